//! Reading the running kernel's BTF: field offsets, enumerators, functions, by name.
//!
//! One scan over the types keeps only the wanted names. The bytes come from the kernel but are not trusted: every read is checked, and
//! recursion is bounded. Format: Documentation/bpf/btf.rst.

use std::collections::HashMap;

/// Where the kernel keeps its own types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xEB9F;
const MAX_DEPTH: u32 = 16;

const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// Why BTF could not be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The kernel has no BTF, or it cannot be read.
    #[error(
        "cannot read kernel types from {VMLINUX}: {0}; this kernel was built without CONFIG_DEBUG_INFO_BTF or hides \
         it: boot a distribution kernel that has it (all since 2021 do)"
    )]
    Unreadable(#[from] std::io::Error),
    /// The bytes do not have the documented format.
    #[error("the kernel types in {VMLINUX} cannot be understood: {0}; please report this kernel's version")]
    Malformed(&'static str),
    /// A field that leaktrace reads does not exist.
    #[error("this kernel's struct {structure} has no field {path}: leaktrace does not know this kernel version")]
    MissingField {
        /// Structure that was searched.
        structure: String,
        /// Path of the field.
        path: String,
    },
}

/// The kernel's types, with an index of the wanted names.
pub(crate) struct KernelTypes {
    bytes: Vec<u8>,
    strings: usize,
    /// Byte offset of each type, by id; id 0 is void.
    types: Vec<u32>,
    /// Ids of structures, enumerations and functions by wanted name.
    named: HashMap<(&'static str, u32), u32>,
}

impl KernelTypes {
    /// Reads the running kernel's types and keeps the ids of `names`.
    pub(crate) fn from_running_kernel(names: &[&'static str]) -> Result<Self, BtfError> {
        Self::parse(std::fs::read(VMLINUX)?, names)
    }

    /// As [`Self::from_running_kernel`], from given bytes.
    pub(crate) fn parse(bytes: Vec<u8>, names: &[&'static str]) -> Result<Self, BtfError> {
        let cut_short = BtfError::Malformed("it is cut short");
        let word = |at: usize| read_u32(&bytes, at);
        let (Some(magic), Some(header), Some(type_off), Some(type_len), Some(str_off), Some(str_len)) =
            (read_u16(&bytes, 0), word(4), word(8), word(12), word(16), word(20))
        else {
            return Err(cut_short);
        };
        if magic != MAGIC {
            return Err(BtfError::Malformed("it does not begin with BTF's magic number"));
        }
        let start = header as usize + type_off as usize;
        let end = start + type_len as usize;
        let strings = header as usize + str_off as usize;
        if end > bytes.len() || strings + str_len as usize > bytes.len() {
            return Err(cut_short);
        }
        let mut wanted: HashMap<&[u8], &'static str> = HashMap::new();
        for name in names {
            wanted.insert(name.as_bytes(), name);
        }
        let mut types = vec![0];
        let mut named = HashMap::new();
        let mut at = start;
        while at < end {
            let (Some(name), Some(info)) = (word(at), word(at + 4)) else {
                return Err(cut_short);
            };
            let kind = info >> 24 & 0x1f;
            if matches!(kind, KIND_STRUCT | KIND_ENUM | KIND_FUNC)
                && let Some(name) = c_string(&bytes, strings + name as usize)
                && let Some(name) = wanted.get(name)
            {
                named.entry((*name, kind)).or_insert(types.len() as u32);
            }
            types.push(at as u32);
            at += 12 + trailing_bytes(kind, (info & 0xffff) as usize).ok_or(BtfError::Malformed("unknown kind"))?;
        }
        Ok(Self { bytes, strings, types, named })
    }

    /// Byte offset of a field in a structure. `path` joins member names with dots and leaves out anonymous members.
    pub(crate) fn offset(&self, structure: &'static str, path: &str) -> Result<u32, BtfError> {
        let missing = || BtfError::MissingField { structure: structure.to_owned(), path: path.to_owned() };
        let mut id = *self.named.get(&(structure, KIND_STRUCT)).ok_or_else(missing)?;
        let mut bytes = 0;
        for name in path.split('.') {
            let (bits, member) = self.member(self.resolve(id), name.as_bytes(), 0).ok_or_else(missing)?;
            bytes += bits / 8;
            id = member;
        }
        Ok(bytes)
    }

    /// Size of a structure in bytes.
    pub(crate) fn size(&self, structure: &'static str) -> Option<u32> {
        let at = self.at(*self.named.get(&(structure, KIND_STRUCT))?)?;
        read_u32(&self.bytes, at + 8)
    }

    /// Value of an enumerator.
    pub(crate) fn enumerator(&self, enumeration: &'static str, name: &str) -> Option<u32> {
        let at = self.at(*self.named.get(&(enumeration, KIND_ENUM))?)?;
        let count = read_u32(&self.bytes, at + 4)? & 0xffff;
        (0..count as usize).find_map(|index| {
            let entry = at + 12 + index * 8;
            let found = c_string(&self.bytes, self.strings + read_u32(&self.bytes, entry)? as usize)?;
            (found == name.as_bytes()).then(|| read_u32(&self.bytes, entry + 4))?
        })
    }

    /// Type id of a function.
    pub(crate) fn function(&self, name: &'static str) -> Option<u32> {
        self.named.get(&(name, KIND_FUNC)).copied()
    }

    /// Type id of a structure.
    pub(crate) fn structure(&self, name: &'static str) -> Option<u32> {
        self.named.get(&(name, KIND_STRUCT)).copied()
    }

    /// Whether the kernel has a function of that name.
    pub(crate) fn has_function(&self, name: &'static str) -> bool {
        self.function(name).is_some()
    }

    /// How many parameters a function takes.
    pub(crate) fn parameter_count(&self, function: &'static str) -> Option<u32> {
        let at = self.at(*self.named.get(&(function, KIND_FUNC))?)?;
        let prototype = self.at(read_u32(&self.bytes, at + 8)?)?;
        let info = read_u32(&self.bytes, prototype + 4)?;
        (info >> 24 & 0x1f == KIND_FUNC_PROTO).then_some(info & 0xffff)
    }

    fn at(&self, id: u32) -> Option<usize> {
        self.types.get(id as usize).filter(|_| id != 0).map(|at| *at as usize)
    }

    /// Follows type definitions and qualifiers.
    fn resolve(&self, mut id: u32) -> u32 {
        for _ in 0..MAX_DEPTH {
            let Some(at) = self.at(id) else { return id };
            let kind = read_u32(&self.bytes, at + 4).unwrap_or(0) >> 24 & 0x1f;
            if !matches!(kind, KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG) {
                return id;
            }
            id = read_u32(&self.bytes, at + 8).unwrap_or(0);
        }
        id
    }

    /// Bit offset and type of a member. Members of anonymous structures and unions count as members.
    fn member(&self, id: u32, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        if depth > MAX_DEPTH {
            return None;
        }
        let at = self.at(id)?;
        let info = read_u32(&self.bytes, at + 4)?;
        if !matches!(info >> 24 & 0x1f, KIND_STRUCT | KIND_UNION) {
            return None;
        }
        let has_bit_fields = info >> 31 == 1;
        (0..(info & 0xffff) as usize).find_map(|index| {
            let entry = at + 12 + index * 12;
            let member = c_string(&self.bytes, self.strings + read_u32(&self.bytes, entry)? as usize)?;
            let member_type = read_u32(&self.bytes, entry + 4)?;
            let raw = read_u32(&self.bytes, entry + 8)?;
            let bits = if has_bit_fields { raw & 0xff_ffff } else { raw };
            if member == name {
                return Some((bits, member_type));
            }
            if member.is_empty() {
                let (inner, found) = self.member(self.resolve(member_type), name, depth + 1)?;
                return Some((bits.checked_add(inner)?, found));
            }
            None
        })
    }
}

/// How many bytes follow a type's 12-byte header.
fn trailing_bytes(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => 12 * count,
        KIND_ENUM | KIND_FUNC_PROTO => 8 * count,
        2 | 7 | 16 | KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_FUNC | KIND_TYPE_TAG => 0,
        _ => return None,
    })
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn c_string(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    Some(&rest[..rest.iter().position(|byte| *byte == 0)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_skip::{Lack, skip};

    /// The types of this machine's kernel, if it has BTF.
    fn running(names: &[&'static str]) -> Option<KernelTypes> {
        bytes().map(|_| KernelTypes::from_running_kernel(names).unwrap())
    }

    fn bytes() -> Option<Vec<u8>> {
        let bytes = std::fs::read(VMLINUX).ok();
        if bytes.is_none() {
            skip(Lack::Machine("this kernel has no BTF"));
        }
        bytes
    }

    #[test]
    fn fields_are_found_through_anonymous_members() {
        let Some(types) = running(&["sock"]) else { return };
        assert_eq!(types.offset("sock", "__sk_common.skc_daddr").ok(), Some(0), "the first field, twice anonymous");
        assert!(types.offset("sock", "sk_wq").is_ok(), "in an anonymous union");
    }

    #[test]
    fn a_missing_field_is_named() {
        let Some(types) = running(&["sock"]) else { return };
        let error = types.offset("sock", "sk_nonsense").unwrap_err().to_string();
        assert!(error.contains("struct sock") && error.contains("sk_nonsense"), "{error}");
    }

    #[test]
    fn damaged_types_are_refused_without_a_panic() {
        let Some(bytes) = bytes() else { return };
        let names = ["sock", "tcp_sock", "sock_flags", "inet_csk_accept"];
        for cut in (0..4096).chain([bytes.len() / 2, bytes.len() - 1]) {
            let _ = KernelTypes::parse(bytes[..cut.min(bytes.len())].to_vec(), &names);
        }
        let mut seed = 0x2545_F491_4F6C_DD1D_u64;
        for _ in 0..20 {
            let mut damaged = bytes.clone();
            for _ in 0..2000 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let at = seed as usize % damaged.len();
                damaged[at] = (seed >> 32) as u8;
            }
            if let Ok(types) = KernelTypes::parse(damaged, &names) {
                let _ = types.offset("sock", "__sk_common.skc_daddr");
                let _ = types.offset("tcp_sock", "copied_seq");
                let _ = types.enumerator("sock_flags", "SOCK_DEAD");
                let _ = types.parameter_count("inet_csk_accept");
            }
        }
    }
}
