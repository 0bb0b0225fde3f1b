//! The kernel fields that leaktrace reads, by name. No other file knows the layout of a kernel structure.

/// One field of a kernel structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The structure in which it is looked up.
    pub structure: &'static str,
    /// Member names joined by dots. Anonymous members are not named.
    pub path: &'static str,
    /// If true, an absent field gets [`Offsets::ABSENT`]; else it is an error.
    pub optional: bool,
}

macro_rules! offsets {
    ($( $(#[$doc:meta])* $name:ident: $structure:literal $path:literal $($optional:ident)?; )*) => {
        /// Byte offsets in the running kernel. User space finds them in the kernel's BTF and writes them into the programs before
        /// loading ([`crate::relocation`]).
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq,
            zerocopy::IntoBytes, zerocopy::FromBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        pub struct Offsets { $( $(#[$doc])* pub $name: u32, )* }

        /// The fields of [`Offsets`], in the same order.
        pub const FIELDS: &[Field] = &[ $( Field {
            structure: $structure, path: $path, optional: offsets!(@optional $($optional)?),
        }, )* ];

        /// Number of fields.
        pub const OFFSET_COUNT: usize = FIELDS.len();
        const _: () = assert!(size_of::<Offsets>() == 4 * OFFSET_COUNT);
    };
    (@optional optional) => { true };
    (@optional) => { false };
}

offsets! {
    /// TCP state.
    skc_state: "sock" "__sk_common.skc_state";
    /// Remote port, network order.
    skc_dport: "sock" "__sk_common.skc_dport";
    /// Address family.
    skc_family: "sock" "__sk_common.skc_family";
    /// Remote IPv4 address.
    skc_daddr: "sock" "__sk_common.skc_daddr";
    /// Local IPv4 address.
    skc_rcv_saddr: "sock" "__sk_common.skc_rcv_saddr";
    /// Remote IPv6 address; absent without CONFIG_IPV6.
    skc_v6_daddr: "sock" "__sk_common.skc_v6_daddr" optional;
    /// Local IPv6 address; absent without CONFIG_IPV6.
    skc_v6_rcv_saddr: "sock" "__sk_common.skc_v6_rcv_saddr" optional;
    /// Network namespace.
    skc_net: "sock" "__sk_common.skc_net";
    /// Socket cookie, 0 until it is requested.
    skc_cookie: "sock" "__sk_common.skc_cookie";
    /// Inode number of a network namespace.
    net_inum: "net" "ns.inum";
    /// Flag bits of `enum sock_flags`.
    sk_flags: "sock" "__sk_common.skc_flags";
    /// Protocol number.
    sk_protocol: "sock" "sk_protocol";
    /// Wait queue; null for a socket without a file.
    sk_wq: "sock" "sk_wq";
    /// Head of the list of waiters.
    wq_head: "socket_wq" "wait.head";
    /// The `struct socket`; null if not yet accepted, or orphaned.
    sk_socket: "sock" "sk_socket";
    /// Directions that are shut down.
    sk_shutdown: "sock" "sk_shutdown";
    /// Receive memory charged.
    sk_rmem_alloc: "sock" "sk_backlog.rmem_alloc";
    /// Send memory charged.
    sk_wmem_queued: "sock" "sk_wmem_queued";
    /// Memory reserved ahead.
    sk_forward_alloc: "sock" "sk_forward_alloc";
    /// Local port, network order; kept after a reset.
    inet_sport: "inet_sock" "inet_sport";
    /// TCP_USER_TIMEOUT, milliseconds.
    icsk_user_timeout: "inet_connection_sock" "icsk_user_timeout";
    /// Next byte the application will read.
    copied_seq: "tcp_sock" "copied_seq";
    /// Next byte expected from the peer.
    rcv_nxt: "tcp_sock" "rcv_nxt";
    /// Oldest unacknowledged byte.
    snd_una: "tcp_sock" "snd_una";
    /// End of what the application has written.
    write_seq: "tcp_sock" "write_seq";
    /// Payload received, plus one for a FIN.
    bytes_received: "tcp_sock" "bytes_received";
    /// Payload sent, with retransmissions (4.19).
    bytes_sent: "tcp_sock" "bytes_sent";
    /// Sequence space acknowledged.
    bytes_acked: "tcp_sock" "bytes_acked";
    /// `CLOCK_MONOTONIC` of the last segment received or sent, in nanoseconds (4.20).
    tcp_clock_cache: "tcp_sock" "tcp_clock_cache" optional;
    /// Open files of a task.
    task_files: "task_struct" "files";
    /// Thread id of a task.
    task_pid: "task_struct" "pid";
    /// Process of a task.
    task_tgid: "task_struct" "tgid";
    /// Name of a task.
    task_comm: "task_struct" "comm";
    /// Kernel stack of a task.
    task_stack: "task_struct" "stack";
    /// Memory of a task; null for a kernel thread.
    task_mm: "task_struct" "mm";
    /// Start of the executable's code.
    mm_start_code: "mm_struct" "start_code";
    /// End of the executable's code.
    mm_end_code: "mm_struct" "end_code";
    /// Flags of a task (`PF_KTHREAD` and the like).
    task_flags: "task_struct" "flags";
    /// Main thread of a task's process.
    task_leader: "task_struct" "group_leader";
    /// Exit code of a task that exits.
    task_exit_code: "task_struct" "exit_code";
    /// Signal state shared by the threads of a task's process.
    task_signal: "task_struct" "signal";
    /// How many of those threads are alive.
    signal_live: "signal_struct" "live";
    /// Descriptor table.
    files_fdt: "files_struct" "fdt";
    /// Array of files.
    fdt_fd: "fdtable" "fd";
    /// Size of that array.
    fdt_max_fds: "fdtable" "max_fds";
    /// Private data of a file: of a socket, the `struct socket`.
    file_private: "file" "private_data";
    /// Inode of a file.
    file_inode: "file" "f_inode";
    /// Type and mode bits.
    inode_mode: "inode" "i_mode";
    /// The `struct sock` of a socket.
    socket_sk: "socket" "sk";
    /// First subflow of an MPTCP socket; absent without CONFIG_MPTCP (5.6).
    mptcp_first: "mptcp_sock" "first" optional;
    /// Bytes in the buffer of an iterator.
    seq_count: "seq_file" "count";
    /// User instruction pointer.
    regs_ip: "pt_regs" "ip";
    /// User stack pointer.
    regs_sp: "pt_regs" "sp";
    /// User frame pointer.
    regs_bp: "pt_regs" "bp";
    /// Number of the system call.
    regs_nr: "pt_regs" "orig_ax";
}

impl Offsets {
    /// Offset of an optional field that this kernel does not have.
    pub const ABSENT: u32 = i32::MAX as u32;
}
