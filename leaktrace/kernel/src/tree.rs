//! Reads the process tree of one command from the kernel side: its processes, and the sockets that only their exit closed.

use crate::{error::StartError, host::process_text, maps::take_map_data, rows};
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

/// Most sockets read for one sample: 40 MB. More wait in the kernel; those that do not fit there are only counted.
const MOST_LEFT: usize = 1 << 18;

/// How long a process is kept after its exit at least, because its descriptors are closed after that.
const CLOSING_NS: u64 = 1_000_000_000;

/// The process tree of one command.
pub(crate) struct TreeReader {
    processes: HashMap<MapData, u32, PodProcess>,
    left: RingBuf<MapData>,
    waiting: Vec<LeftRow>,
}

impl TreeReader {
    /// Takes the maps out of the loaded object and makes `root` the first process of the tree. From now on its children belong to the
    /// tree.
    pub(crate) fn new(ebpf: &mut Ebpf, root: u32, now_ns: u64) -> Result<Self, StartError> {
        let internal = |error: aya::maps::MapError| StartError::internal(&error);
        let processes = Map::HashMap(take_map_data(ebpf, "TREE").map_err(internal)?);
        let left = Map::RingBuf(take_map_data(ebpf, "LEFT").map_err(internal)?);
        let mut processes = HashMap::try_from(processes).map_err(internal)?;
        let first = TreeProcess { started_ns: now_ns, parent: std::process::id(), ..TreeProcess::default() };
        processes.insert(root, PodProcess(first), 0).map_err(internal)?;
        Ok(Self { processes, left: RingBuf::try_from(left).map_err(internal)?, waiting: Vec::new() })
    }

    /// How many processes of the tree are running now.
    pub(crate) fn running(&self) -> usize {
        self.processes.iter().filter(|entry| matches!(entry, Ok((_, process)) if process.0.exited_ns == 0)).count()
    }

    /// Reads what the hooks have reported, so that their buffer does not fill up.
    pub(crate) fn receive(&mut self) {
        while self.waiting.len() < MOST_LEFT
            && let Some(item) = self.left.next()
        {
            if MessageKind::of(&item) == Some(MessageKind::LeftRow) {
                self.waiting.extend(LeftRow::read_from_bytes(&item));
            }
        }
    }

    /// The tree and the sockets since the last call. A process that has exited may be in several samples, until it is removed.
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
                // Fails if the entry is gone, because its id has been given to another process.
                let _ = self.processes.remove(pid);
            }
        }
        TreeSample {
            processes: processes.iter().map(|(pid, process)| (*pid, rows::tree_process(process))).collect(),
            left: std::mem::take(&mut self.waiting).iter().map(rows::left).collect(),
        }
    }
}

/// Raises the priority of the calling thread, so that it reads the mappings of a short-lived process before that process is gone. The
/// thread has little to do.
pub(crate) fn hurry() {
    const FIRST: libc::c_int = -15;
    // If the kernel refuses, more stacks are missed.
    // SAFETY: the call takes numbers only; 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, FIRST) };
}

/// The name of a running process, in the kernel side's form; empty if the process is gone.
fn name_of(pid: u32) -> [u8; 16] {
    let mut name = [0; 16];
    let text = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    let len = text.len().min(name.len() - 1);
    name[..len].copy_from_slice(&text[..len]);
    name
}

/// Whether a process is gone, except perhaps for its exit status.
fn has_ended(pid: u32) -> bool {
    let Some(stat) = process_text(pid, "stat") else { return true };
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}
