//! Facts about the running kernel: offsets, bits, helpers, and what depends on its version. No other file finds them out; the others use
//! [`KernelFacts`].

use super::{
    btf::{BtfError, KernelTypes},
    preemption::Preemption,
};
use crate::host::{self, KernelRelease};
use leaktrace_common::{FIELDS, OFFSET_COUNT, Offsets, Setup, setup_flags};
use leaktrace_model::HookKind;
use zerocopy::FromBytes;

/// Everything that is looked up by name.
const NAMES: &[&str] = &[
    "sock",
    "inet_sock",
    "inet_connection_sock",
    "tcp_sock",
    "mptcp_sock",
    "net",
    "socket",
    "socket_wq",
    "task_struct",
    "mm_struct",
    "files_struct",
    "fdtable",
    "file",
    "inode",
    "seq_file",
    "pt_regs",
    "list_head",
    "signal_struct",
    "sock_flags",
    "inet_csk_accept",
    "security_sock_graft",
    "bpf_task_pt_regs",
    "bpf_rdonly_cast",
    "bpf_get_socket_ptr_cookie",
    "bpf_iter_tcp",
    "bpf_iter_task_file",
];

/// The oldest kernel that leaktrace works on: `iter/tcp` came with 5.9.
pub(crate) const OLDEST: (u32, u32) = (5, 9);

/// First kernel with an atomic compare-and-exchange for programs.
const EXCHANGES: (u32, u32) = (5, 12);

/// First kernel on which allocating in a tracing program cannot deadlock (`bpf_mem_alloc`).
const ALLOCATES_SAFELY: (u32, u32) = (6, 1);

/// Size of a task's kernel stack on x86-64 (`THREAD_SIZE`, arch/x86/include/asm/page_64_types.h, without KASAN). Needed only before 5.15,
/// where no helper gives the user registers.
const THREAD_SIZE: u32 = 16 << 10;

/// What is known about the running kernel.
#[derive(Clone, Debug)]
pub struct KernelFacts {
    /// Name and version.
    pub(crate) release: KernelRelease,
    /// How kernel code is preempted.
    pub(crate) preemption: Preemption,
    /// Offsets of fields.
    pub(crate) offsets: Offsets,
    /// BTF id of the function `bpf_rdonly_cast`, if there is one (6.2).
    pub(crate) rdonly_cast: Option<u32>,
    /// Bits and type ids. [`Setup::flags`] has what the kernel can do; the user's choices are added when loading.
    pub(crate) setup: Setup,
    /// Parameters of `inet_csk_accept`: 4 before 6.10, 2 since.
    pub(crate) accept_parameters: u32,
    /// Whether `security_sock_graft` is a function here (CONFIG_SECURITY).
    pub(crate) has_sock_graft: bool,
    /// Whether TCP sockets and descriptors can be iterated.
    pub has_iterators: bool,
}

impl KernelFacts {
    /// Reads them from the running kernel's BTF.
    pub fn of_running_kernel() -> Result<Self, BtfError> {
        Self::of(&KernelTypes::from_running_kernel(NAMES)?, KernelRelease::running(), Preemption::of_running_kernel())
    }

    /// Whether entries of hash maps may be allocated when they are inserted.
    pub fn allocates_safely(&self) -> bool {
        self.release.version >= ALLOCATES_SAFELY
    }

    /// Whether this kernel may skip programs of a kind of hook.
    pub fn skips(&self, kind: HookKind) -> bool {
        self.preemption.skips(kind, &self.release)
    }

    fn of(types: &KernelTypes, release: KernelRelease, preemption: Preemption) -> Result<Self, BtfError> {
        let mut values = [0; OFFSET_COUNT];
        for (value, field) in values.iter_mut().zip(FIELDS) {
            *value = match types.offset(field.structure, field.path) {
                Ok(offset) => offset,
                Err(_) if field.optional => Offsets::ABSENT,
                Err(error) => return Err(error),
            };
        }
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let offsets =
            Offsets::read_from_bytes(&bytes).map_err(|_| BtfError::Malformed("a table of offsets of another size"))?;
        let bit = |name| {
            types
                .enumerator("sock_flags", name)
                .filter(|bit| *bit < 64)
                .ok_or(BtfError::MissingField { structure: "enum sock_flags".to_owned(), path: String::from(name) })
        };
        let mut flags = preemption.setup_flags(&release);
        if release.version >= EXCHANGES {
            flags |= setup_flags::EXCHANGE;
        }
        if types.has_function("bpf_task_pt_regs") {
            flags |= setup_flags::TASK_PT_REGS;
        }
        if types.has_function("bpf_get_socket_ptr_cookie") {
            flags |= setup_flags::SOCKET_COOKIE;
        }
        let rdonly_cast = types.function("bpf_rdonly_cast");
        if rdonly_cast.is_some() {
            flags |= setup_flags::RDONLY_CAST;
        }
        let setup = Setup {
            flags,
            regs_from_stack: THREAD_SIZE - types.size("pt_regs").unwrap_or(0),
            sock_dead: bit("SOCK_DEAD")?,
            sock_done: bit("SOCK_DONE")?,
            sock_keepopen: bit("SOCK_KEEPOPEN")?,
            sample_one_in: 0,
            sample_above: 0,
            tcp_sock_type: types.structure("tcp_sock").unwrap_or(0),
            file_type: types.structure("file").unwrap_or(0),
            socket_type: types.structure("socket").unwrap_or(0),
            regs_type: types.structure("pt_regs").unwrap_or(0),
            pointer_type: types.structure("list_head").unwrap_or(0),
            tick_ns: host::tick_ns(),
        };
        Ok(Self {
            release,
            preemption,
            offsets,
            rdonly_cast,
            setup,
            accept_parameters: types.parameter_count("inet_csk_accept").unwrap_or(0),
            has_sock_graft: types.has_function("security_sock_graft"),
            has_iterators: types.has_function("bpf_iter_tcp") && types.has_function("bpf_iter_task_file"),
        })
    }
}
