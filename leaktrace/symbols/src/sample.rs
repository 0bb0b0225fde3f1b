//! Samples the functions of a file as locations that can be named. Only the benchmark `bench_symbols` needs this.

use crate::image::{Image, ImageError};
use crate::open;
use crate::process::Locator;
use crate::unwind::Table;
use leaktrace_model::{Location, Module, ModuleKind};
use std::path::Path;

impl Locator {
    /// About `count` functions of a file, from the start of its tables to their end. Each location is a return address one
    /// byte into the function. The file stays open in [`Self::images`].
    ///
    /// # Errors
    /// When the file cannot be read or is not ELF.
    pub fn sample_functions(&self, path: &Path, count: usize) -> Result<Vec<Location>, ImageError> {
        let mut image = Image::new(open::regular(path)?, &path.to_string_lossy())?;
        image.find_debug(&crate::fetch::Direct::default(), None, &path.to_string_lossy());
        let mut addresses = Vec::new();
        if let Some(go) = image.go() {
            addresses = go.sample(&image.bytes, count);
        } else if let Some(table) = Table::read(&image) {
            table.sample(count, |mut rows| {
                if let Ok(Some(row)) = rows.next_row() {
                    addresses.push(row.start_address());
                }
            });
        }
        let identity = image.identity();
        let module = Module {
            path: path.to_string_lossy().into_owned(),
            kind: ModuleKind::File,
            device: identity.device,
            inode: identity.inode,
            size: identity.size,
            modified_ns: identity.modified_ns,
            build_id: image.elf.build_id.clone(),
        };
        let place = |vaddr: &u64| {
            // A return address is named by the byte before it.
            let offset = image.elf.offset_of(*vaddr)?.checked_add(1)?;
            Some((*vaddr, offset))
        };
        let offsets: Vec<_> = addresses.iter().filter_map(place).collect();
        let content = image.content();
        self.images().keep(content, image);
        let id = self.modules().intern(module);
        Ok(offsets.into_iter().map(|(address, offset)| Location { address, module: id, offset, name: None }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DEFAULT_CACHE_BYTES, Symbolizer};

    #[test]
    fn sampled_functions_have_names() {
        let locator = Locator::default();
        let places = locator.sample_functions(&std::env::current_exe().unwrap(), 20).unwrap();
        let mut symbolizer = Symbolizer::new(locator.modules().clone(), locator.images().clone(), DEFAULT_CACHE_BYTES);
        let named = symbolizer.resolve(&places).iter().flatten().filter(|frame| frame.symbol.is_some()).count();
        assert!(places.len() >= 15 && named >= places.len() / 2, "{named} of {}", places.len());
    }
}
