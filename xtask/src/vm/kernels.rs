//! Which kernels the matrix has, and where their images are. Kept between runs and clones in the user's cache.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::mirror::{Mirror, Offer};
use crate::project;

/// A kernel to boot.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// What the table calls it.
    pub name: String,
    /// A bzImage.
    pub image: PathBuf,
}

/// Whether the package index is asked again for kernels that are in the cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// The cached kernels are used.
    Cached,
    /// Newer kernels are searched for.
    Refresh,
}

/// A row of the matrix.
enum Row {
    /// The last of a series.
    Series(&'static str),
    /// The last in a suite.
    Suite(&'static str),
    /// The last of all.
    Newest,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series(series) => write!(f, "kernel {series}"),
            Self::Suite(suite) => write!(f, "kernel in {suite}"),
            Self::Newest => f.write_str("kernel at all"),
        }
    }
}

/// How many kernels of a row are tried before the row counts as empty.
const TRIES: usize = 6;

const MATRIX: &[Row] =
    &[Row::Series("5.10"), Row::Series("6.1"), Row::Series("6.12"), Row::Suite("unstable"), Row::Newest];

/// Debian's kernels for virtual machines. Up to 6.x the image is in the unsigned package; from 7.x on `linux-binary`.
const PACKAGES: &str = "^linux-(image-[0-9].*-cloud-amd64-unsigned|binary-[0-9].*-cloud-amd64)$";

impl Kernel {
    /// Any image, called by its file name.
    pub fn from_image(image: &Path) -> Result<Self> {
        let name = image.file_name().context("a kernel is a file")?.to_string_lossy().into_owned();
        let name = version(name.trim_start_matches("vmlinuz-")).to_owned();
        if !image.is_file() {
            bail!("no kernel at {}", image.display());
        }
        Ok(Self { name, image: image.to_owned() })
    }
}

/// The kernels of the matrix, fetched where the cache lacks them.
pub fn matrix(index: Index) -> Result<Vec<Kernel>> {
    let cache = project::cache()?;
    let (folder, list) = (cache.join("kernels"), cache.join("kernels/matrix"));
    if index == Index::Cached
        && let Some(kernels) = read(&folder, &list)
    {
        return Ok(kernels);
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mirror = Mirror::read(cache.join("apt"))?;
    let offers = mirror.offers(PACKAGES)?;
    let packages = choose(&offers, |package| fetch(&mirror, package, &folder))?;
    fs::write(&list, packages.join("\n"))?;
    read(&folder, &list).context("a kernel that was just fetched is not in the cache")
}

fn read(folder: &Path, list: &Path) -> Option<Vec<Kernel>> {
    let list = fs::read_to_string(list).ok()?;
    let kernels = list.lines().map(|package| Kernel { name: version(package).to_owned(), image: folder.join(package) });
    let kernels: Vec<Kernel> = kernels.collect();
    (!kernels.is_empty() && kernels.iter().all(|kernel| kernel.image.is_file())).then_some(kernels)
}

/// One package for each row: the last that can be downloaded, since a mirror may list packages that it no longer has. No package
/// twice. A row without a package is an error.
fn choose(offers: &[Offer], mut fetch: impl FnMut(&str) -> Result<()>) -> Result<Vec<String>> {
    let mut chosen: Vec<String> = Vec::new();
    for row in MATRIX {
        let fits = |offer: &&Offer| match row {
            Row::Series(series) => numbers(version(&offer.package)).starts_with(&numbers(series)),
            Row::Suite(suite) => offer.suite == *suite,
            Row::Newest => true,
        };
        let mut candidates: Vec<&str> = offers.iter().filter(fits).map(|offer| offer.package.as_str()).collect();
        candidates.sort_by_key(|package| std::cmp::Reverse(numbers(version(package))));
        candidates.dedup();
        let fetched = candidates.into_iter().take(TRIES).find(|package| match fetch(package) {
            Ok(()) => true,
            Err(error) => {
                eprintln!("vm: {package}: {error:#}; trying the one before it");
                false
            }
        });
        let Some(package) = fetched else {
            bail!("this machine's mirror gives no {row}; name images with `cargo xtask vm --kernel FILE`");
        };
        if !chosen.iter().any(|known| known == package) {
            chosen.push(package.to_owned());
        }
    }
    Ok(chosen)
}

fn fetch(mirror: &Mirror, package: &str, folder: &Path) -> Result<()> {
    let image = folder.join(package);
    if image.is_file() {
        return Ok(());
    }
    let unpacked = folder.join(format!("{package}.unpacked"));
    mirror.unpack(package, &unpacked)?;
    let found = find_image(&unpacked).with_context(|| format!("{package} holds no kernel image"))?;
    // Renamed into place, so that a run cut short leaves no half image.
    fs::rename(found, &image)?;
    fs::remove_dir_all(&unpacked)?;
    Ok(())
}

/// `boot/vmlinuz-VERSION`, or `usr/lib/modules/VERSION/vmlinuz`.
fn find_image(unpacked: &Path) -> Option<PathBuf> {
    let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let in_boot = entries(unpacked.join("boot"))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")));
    in_boot.or_else(|| {
        entries(unpacked.join("usr/lib/modules")).map(|path| path.join("vmlinuz")).find(|path| path.is_file())
    })
}

/// `linux-image-6.1.0-56-cloud-amd64-unsigned` is 6.1.0-56.
fn version(package: &str) -> &str {
    let version = package.trim_start_matches("linux-image-").trim_start_matches("linux-binary-");
    version.split_once("-cloud").map_or(version, |(version, _)| version)
}

/// The numbers of a version, in order: enough to rank the kernels of one distribution.
fn numbers(version: &str) -> Vec<u32> {
    let digits = version.split(|c: char| !c.is_ascii_digit());
    digits.filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(package: &str, suite: &str) -> Offer {
        Offer { package: package.into(), suite: suite.into() }
    }

    #[test]
    fn each_row_takes_the_last_that_can_be_had_and_none_twice() -> Result<()> {
        let offers = [
            offer("linux-image-5.10.0-9-cloud-amd64-unsigned", "bullseye"),
            offer("linux-image-5.10.0-46-cloud-amd64-unsigned", "bullseye-security"),
            offer("linux-image-6.1.0-0.deb11.52-cloud-amd64-unsigned", "bullseye-security"),
            offer("linux-image-6.1.0-57-cloud-amd64-unsigned", "bookworm-security"),
            offer("linux-image-6.1.0-56-cloud-amd64-unsigned", "bookworm-security"),
            offer("linux-image-6.12.117+deb12-cloud-amd64-unsigned", "bookworm-security"),
            offer("linux-binary-7.2.13+deb14-cloud-amd64", "unstable"),
        ];
        let chosen = choose(&offers, |package| {
            anyhow::ensure!(!package.contains("6.1.0-57"), "404 not found");
            Ok(())
        })?;
        let versions: Vec<&str> = chosen.iter().map(|package| version(package)).collect();
        assert_eq!(versions, ["5.10.0-46", "6.1.0-56", "6.12.117+deb12", "7.2.13+deb14"]);
        Ok(())
    }

    #[test]
    fn a_row_without_a_kernel_is_an_error_that_names_it() {
        let error = choose(&[offer("linux-image-6.1.0-56-cloud-amd64-unsigned", "bookworm")], |_| Ok(())).err();
        assert!(error.is_some_and(|error| error.to_string().contains("no kernel 5.10")));
    }
}
