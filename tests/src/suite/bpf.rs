//! What BPF objects exist in the kernel, asked of bpf(2) itself, and which of them a process has open.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// `BPF_PROG_GET_NEXT_ID` of <linux/bpf.h>.
const PROGRAMS: u32 = 11;
/// `BPF_MAP_GET_NEXT_ID`
const MAPS: u32 = 12;
/// `BPF_LINK_GET_NEXT_ID`, kernel 5.8.
const LINKS: u32 = 31;

/// Ids of all BPF objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Programs.
    pub programs: BTreeSet<u32>,
    /// Maps.
    pub maps: BTreeSet<u32>,
    /// Links.
    pub links: BTreeSet<u32>,
}

/// The first words of `union bpf_attr` for the three commands; the kernel takes a shorter attribute.
#[repr(C)]
#[derive(Default)]
struct NextId {
    start: u32,
    next: u32,
    flags: u32,
}

impl Objects {
    /// All that exist now. Needs CAP_SYS_ADMIN; empty without.
    pub fn now() -> Self {
        Self { programs: ids(PROGRAMS), maps: ids(MAPS), links: ids(LINKS) }
    }

    /// Those that a process has descriptors of.
    pub fn of(pid: u32) -> Self {
        let mut objects = Self::default();
        let folder = Path::new("/proc").join(pid.to_string()).join("fdinfo");
        for descriptor in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            // The process may have ended already.
            let text = std::fs::read_to_string(descriptor.path()).unwrap_or_default();
            let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            // A link's text names its program as well: the link is what the descriptor is of.
            if let Some(id) = value("link_id:") {
                objects.links.insert(id);
            } else if let Some(id) = value("prog_id:") {
                objects.programs.insert(id);
            } else if let Some(id) = value("map_id:") {
                objects.maps.insert(id);
            }
        }
        objects
    }

    /// Those of these that the kernel still has after up to a minute, within which a busy machine gets through its RCU grace periods.
    #[must_use]
    pub fn that_stay(&self) -> Self {
        let both = |a: &BTreeSet<u32>, b: &BTreeSet<u32>| a.intersection(b).copied().collect();
        let mut left = self.clone();
        for _ in 0..600 {
            let now = Self::now();
            left = Self {
                programs: both(&self.programs, &now.programs),
                maps: both(&self.maps, &now.maps),
                links: both(&self.links, &now.links),
            };
            if left.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        left
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty() && self.maps.is_empty() && self.links.is_empty()
    }
}

fn ids(command: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut attribute = NextId::default();
    loop {
        // SAFETY: the attribute is as large as said and outlives the call, which writes only within it.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attribute, size_of::<NextId>()) };
        if result != 0 || !found.insert(attribute.next) {
            return found;
        }
        attribute.start = attribute.next;
    }
}
