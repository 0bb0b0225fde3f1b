//! Where a frame is, in terms that stay valid after its process has ended: a module and an offset in its file.
//!
//! Plain data that recordings carry. Does not know open files or symbols.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Most modules that are kept. A frame in a module beyond that has no module.
const MAX_MODULES: usize = 65_536;

/// A GNU build id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildId(Box<[u8]>);

impl BuildId {
    /// Longest accepted build id, in bytes. Linkers write 8, 16 or 20.
    pub const MAX_BYTES: usize = 64;

    /// A build id of these bytes; `None` when empty or longer than [`Self::MAX_BYTES`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty() && bytes.len() <= Self::MAX_BYTES).then(|| Self(bytes.into()))
    }

    /// Reads lower or upper case hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if !digits.len().is_multiple_of(2) || digits.len() > 2 * Self::MAX_BYTES {
            return None;
        }
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        let bytes: Option<Vec<u8>> = digits
            .chunks_exact(2)
            .map(|pair| Some(u8::try_from(nibble(pair[0])? << 4 | nibble(pair[1])?).unwrap_or_default()))
            .collect();
        Self::new(&bytes?)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}

impl Serialize for BuildId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BuildId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("not a build id"))
    }
}

/// What a mapping is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModuleKind {
    /// A file that still exists where it was mapped from.
    File,
    /// A file that has been deleted or replaced since.
    Deleted,
    /// The kernel's vDSO.
    Vdso,
    /// Code that a process generated.
    Jit,
    /// Something without a name.
    Anonymous,
}

/// Code that was mapped into a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Module {
    /// As the process sees it, without the kernel's ` (deleted)`; `[vdso]` for the vDSO, `[jit]` for generated code.
    pub path: String,
    /// What it is.
    pub kind: ModuleKind,
    /// `st_dev` of the file, 0 for none.
    pub device: u64,
    /// Inode of the file, 0 for none.
    pub inode: u64,
    /// Size of the file in bytes when it was opened, 0 when it could not be.
    pub size: u64,
    /// Time of its last change, nanoseconds since the epoch, 0 when it could not be opened.
    pub modified_ns: i64,
    /// Build id, where the file has one and was readable.
    pub build_id: Option<BuildId>,
}

/// Identity of a module's code, equal for two modules with the same code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Build id and size: a stripped copy has the same id but other symbols.
    Build(BuildId, u64),
    /// A file without a build id: device, inode, size, time of change.
    File(u64, u64, u64, i64),
}

impl Module {
    /// Key of everything that is cached about the module; `None` without a file.
    pub fn content(&self) -> Option<Content> {
        match (&self.build_id, self.kind) {
            (_, ModuleKind::Jit | ModuleKind::Anonymous) => None,
            (Some(id), _) => Some(Content::Build(id.clone(), self.size)),
            (None, _) if self.size == 0 => None,
            (None, _) => Some(Content::File(self.device, self.inode, self.size, self.modified_ns)),
        }
    }
}

/// Index of a module in [`Modules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModuleId(pub u32);

/// One frame of a stack, before it has a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Location {
    /// Address in the process.
    pub address: u64,
    /// `None` when nothing executable was mapped there.
    pub module: Option<ModuleId>,
    /// Offset in the module's file; the address itself where there is no file.
    pub offset: u64,
    /// Name of generated code. Only the process's own map has it, so it is read at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
}

impl Location {
    /// An address of which nothing is known.
    pub fn unmapped(address: u64) -> Self {
        Self { address, module: None, offset: address, name: None }
    }
}

/// Every module seen so far. A handle: clones share one table.
#[derive(Clone, Debug, Default)]
pub struct Modules(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    modules: Vec<Arc<Module>>,
    ids: HashMap<Arc<Module>, ModuleId>,
}

impl Modules {
    /// Id of a module, the same for equal modules. `None` when the table is full.
    pub fn intern(&self, module: Module) -> Option<ModuleId> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&id) = table.ids.get(&module) {
            return Some(id);
        }
        let id = ModuleId(u32::try_from(table.modules.len()).ok()?);
        if table.modules.len() >= MAX_MODULES {
            return None;
        }
        let module = Arc::new(module);
        table.modules.push(Arc::clone(&module));
        table.ids.insert(module, id);
        Some(id)
    }

    /// The module with this id.
    pub fn get(&self, id: ModuleId) -> Option<Arc<Module>> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.modules.get(usize::try_from(id.0).ok()?).cloned()
    }

    /// Modules from this index on, in the order of their ids: those that a recording has not written yet.
    pub fn since(&self, first: usize) -> Vec<Arc<Module>> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.modules.get(first..).map(<[_]>::to_vec).unwrap_or_default()
    }
}

/// What an address on a stack means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Where the thread was.
    Leaf,
    /// Where a call will return to; the call itself is the instruction before.
    Return,
}

impl Role {
    /// The role of a frame by its place on the stack.
    pub fn at_depth(depth: usize) -> Self {
        if depth == 0 { Self::Leaf } else { Self::Return }
    }

    /// An address inside the instruction that the frame is at.
    pub fn lookup(self, address: u64) -> u64 {
        match self {
            Self::Leaf => address,
            Self::Return => address.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &str) -> Module {
        Module {
            path: path.to_owned(),
            kind: ModuleKind::File,
            device: 1,
            inode: 2,
            size: 3,
            modified_ns: 4,
            build_id: BuildId::from_hex("00ff10"),
        }
    }

    #[test]
    fn equal_modules_have_one_id_and_others_do_not() {
        let modules = Modules::default();
        let first = modules.intern(module("/a")).unwrap();
        assert_eq!(modules.intern(module("/a")), Some(first));
        let second = modules.intern(module("/b")).unwrap();
        assert_ne!(first, second);
        assert_eq!(modules.get(second).unwrap().path, "/b");
        assert_eq!(modules.since(1).len(), 1);
    }

    #[test]
    fn copies_of_one_build_share_what_is_cached() {
        assert_eq!(module("/a").content(), module("/b").content());
    }

    #[test]
    fn a_build_id_survives_json_and_garbage_does_not_become_one() {
        let id = BuildId::from_hex("00FF10").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"00ff10\"");
        assert_eq!(serde_json::from_str::<BuildId>("\"00ff10\"").unwrap(), id);
        for bad in ["", "0", "zz", "é1", &"ab".repeat(65)] {
            assert_eq!(BuildId::from_hex(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_location_survives_json() {
        let location = Location { address: 7, module: Some(ModuleId(1)), offset: 3, name: Some("f".into()) };
        let text = serde_json::to_string(&location).unwrap();
        assert_eq!(serde_json::from_str::<Location>(&text).unwrap(), location);
    }
}
