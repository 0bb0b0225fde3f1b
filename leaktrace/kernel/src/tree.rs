//! The tree of one command as the kernel side follows it: its processes, and the sockets that only their exit closed.

use crate::{error::StartError, host::process_text, passes::mapped::take_map_data, rows};
use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData, RingBuf},
};
use leaktrace_common::{LeftRow, MessageKind, TreeProcess};
use leaktrace_model::TreeSample;
use std::fs;
use zerocopy::FromBytes;

/// A process that aya may copy in and out of the kernel.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodProcess(TreeProcess);
// SAFETY: TreeProcess is plain data without padding, as its derives prove.
unsafe impl aya::Pod for PodProcess {}

/// Most sockets taken over in one sample: 40 MB. What is more waits in the kernel, or is counted only.
const MOST_LEFT: usize = 1 << 18;

/// How long after its exit a process is kept at least, for its descriptors to be closed.
const CLOSING_NS: u64 = 1_000_000_000;

/// The tree.
pub(crate) struct TreeReader {
    processes: HashMap<MapData, u32, PodProcess>,
    left: RingBuf<MapData>,
    waiting: Vec<LeftRow>,
}

impl TreeReader {
    /// Takes the maps out of the loaded object and makes `root` the first process of the tree. From here on its children
    /// belong to it.
    pub(crate) fn new(ebpf: &mut Ebpf, root: u32, now_ns: u64) -> Result<Self, StartError> {
        let internal = |error: aya::maps::MapError| StartError::internal(&error);
        let processes = Map::HashMap(take_map_data(ebpf, "TREE").map_err(internal)?);
        let left = Map::RingBuf(take_map_data(ebpf, "LEFT").map_err(internal)?);
        let mut processes = HashMap::try_from(processes).map_err(internal)?;
        let first = TreeProcess { started_ns: now_ns, parent: std::process::id(), ..TreeProcess::default() };
        processes.insert(root, PodProcess(first), 0).map_err(internal)?;
        Ok(Self { processes, left: RingBuf::try_from(left).map_err(internal)?, waiting: Vec::new() })
    }

    /// How many processes of the tree run now.
    pub(crate) fn running(&self) -> usize {
        self.processes.iter().filter(|entry| matches!(entry, Ok((_, process)) if process.0.exited_ns == 0)).count()
    }

    /// Takes over what the hooks have told, so that their buffer does not run full.
    pub(crate) fn receive(&mut self) {
        while self.waiting.len() < MOST_LEFT
            && let Some(item) = self.left.next()
        {
            if MessageKind::of(&item) == Some(MessageKind::LeftRow) {
                self.waiting.extend(LeftRow::read_from_bytes(&item));
            }
        }
    }

    /// What has happened so far. Processes that have exited are told once more than once, until they are gone.
    pub(crate) fn collect(&mut self, now_ns: u64) -> TreeSample {
        self.receive();
        let mut processes: Vec<(u32, TreeProcess)> =
            self.processes.iter().flatten().map(|(pid, process)| (pid, process.0)).collect();
        for (pid, process) in processes.iter_mut().filter(|(_, process)| process.exited_ns == 0) {
            process.comm = name_of(*pid);
        }
        for (pid, process) in &processes {
            let is_over = process.exited_ns != 0 && process.exited_ns + CLOSING_NS < now_ns;
            if is_over && has_ended(*pid) {
                // Gone already if the id has been given to another process.
                let _ = self.processes.remove(pid);
            }
        }
        TreeSample {
            processes: processes.iter().map(|(pid, process)| (*pid, rows::tree_process(process))).collect(),
            left: std::mem::take(&mut self.waiting).iter().map(rows::left).collect(),
        }
    }
}

/// Lets the calling thread run as soon as there is something to look at: a short-lived process is gone a moment later, and
/// its mappings with it. It has little to do.
pub(crate) fn hurry() {
    const FIRST: libc::c_int = -15;
    // May be refused, and then more stacks are missed.
    // SAFETY: the call takes numbers only; 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, FIRST) };
}

/// The name of a process that runs, as the kernel side gives it for others; empty if it is gone by now.
fn name_of(pid: u32) -> [u8; 16] {
    let mut name = [0; 16];
    let text = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    let len = text.len().min(name.len() - 1);
    name[..len].copy_from_slice(&text[..len]);
    name
}

/// Whether nothing is left of a process but perhaps its exit status.
fn has_ended(pid: u32) -> bool {
    let Some(stat) = process_text(pid, "stat") else { return true };
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}
