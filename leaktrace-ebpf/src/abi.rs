//! Numbers of the kernel that are the same in every version, with their source. What differs between kernels is in
//! [`Offsets`](leaktrace_common::Offsets) and [`Setup`](leaktrace_common::Setup).

/// Address families (include/linux/socket.h).
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;

/// Protocols (include/uapi/linux/in.h).
pub const IPPROTO_TCP: u16 = 6;
pub const IPPROTO_MPTCP: u16 = 262;

/// File types in an inode's mode (include/uapi/linux/stat.h).
pub const S_IFMT: u16 = 0o170000;
pub const S_IFSOCK: u16 = 0o140000;

/// `SHUTDOWN_MASK` (include/net/sock.h): both directions are shut down.
pub const SHUTDOWN_MASK: u8 = 3;

/// `PF_EXITING` (include/linux/sched.h): `exit_signals` sets it before the descriptors are closed.
pub const PF_EXITING: u32 = 0x4;

/// `PF_IO_WORKER | PF_USER_WORKER | PF_KTHREAD` (include/linux/sched.h): threads without a user mode.
pub const NO_USER_MODE: u32 = 0x0000_0010 | 0x0000_4000 | 0x0020_0000;

/// Numbers of system calls on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).
pub mod system_call {
    pub const ACCEPT: u64 = 43;
    pub const SHUTDOWN: u64 = 48;
    pub const ACCEPT4: u64 = 288;
}
