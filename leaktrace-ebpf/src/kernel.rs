//! Reading kernel memory: direct loads where the verifier knows the type, probe reads where it does not.

use crate::constants::{enabled, offset, setup};
use aya_ebpf::bindings::task_struct;
use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_current_task, bpf_get_current_task_btf,
    generated::{bpf_probe_read_kernel, bpf_task_pt_regs},
};
use core::{arch::asm, ffi::c_void, mem::MaybeUninit};
use leaktrace_common::{placeholder::RDONLY_CAST_CALL, setup_flags};

/// Address families (include/linux/socket.h).
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;

/// The ways to read fields of one kernel object.
pub trait Fields: Copy {
    /// The value at `offset` bytes.
    fn read<T: Copy + Default>(self, offset: usize) -> T;
}

/// A pointer read from a typed object, typed in turn.
#[derive(Clone, Copy)]
pub struct Pointer(pub *mut u8);

impl Default for Pointer {
    fn default() -> Self {
        Self(core::ptr::null_mut())
    }
}

/// A pointer whose type the verifier knows: loads compile to plain loads that cannot fault (a bad address reads 0).
#[derive(Clone, Copy)]
pub struct Typed(pub *const u8);

impl Fields for Typed {
    #[inline(always)]
    fn read<T: Copy + Default>(self, offset: usize) -> T {
        // SAFETY: the verifier checks that the offset is a field of the pointer's type.
        let field = unsafe { self.0.add(offset) }.cast::<T>();
        // SAFETY: as above; the load is volatile so that it keeps the field's own width.
        unsafe { field.read_volatile() }
    }
}

/// Types an address that is just a number, by the kernel function of that name (6.2): reads through it are loads that give 0
/// at a bad address, where a probe read is a call. `type_id` must be the one of a structure.
///
/// aya relocates no calls of kernel functions, so this is a call of a helper that does not exist, and user space puts the
/// real one there before loading ([`RDONLY_CAST_CALL`]).
#[inline(always)]
pub fn rdonly_cast(address: u64, type_id: u32) -> Typed {
    let typed: *const u8;
    // SAFETY: a call takes its arguments in r1 and r2 and changes r0 to r5.
    unsafe {
        asm!(
            "call {call}",
            call = const RDONLY_CAST_CALL,
            inlateout("r1") address => _,
            inlateout("r2") u64::from(type_id) => _,
            lateout("r0") typed,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
    Typed(typed)
}

/// A structure at an address that is just a number: read by loads where [`rdonly_cast`] can be called, else by probe reads.
#[derive(Clone, Copy)]
pub struct Structure {
    address: u64,
    type_id: u32,
}

impl Structure {
    /// The structure of that type id at an address.
    #[inline(always)]
    pub fn at(address: u64, type_id: u32) -> Self {
        Self { address, type_id }
    }
}

impl Fields for Structure {
    #[inline(always)]
    fn read<T: Copy + Default>(self, offset: usize) -> T {
        if enabled(setup_flags::RDONLY_CAST) {
            rdonly_cast(self.address, self.type_id).read(offset)
        } else {
            Address(self.address).read(offset)
        }
    }
}

/// An address that is just a number: every read is checked at run time and gives zero if it fails.
#[derive(Clone, Copy)]
pub struct Address(pub u64);

impl Fields for Address {
    #[inline(always)]
    fn read<T: Copy + Default>(self, offset: usize) -> T {
        let field = self.0.wrapping_add(offset as u64) as *const c_void;
        let mut value = MaybeUninit::<T>::uninit();
        // Its answer needs no look: it clears what it cannot fill (`bpf_probe_read_kernel_common`, kernel/trace/bpf_trace.c, 5.5).
        // SAFETY: the helper checks the address itself, and the value is that long.
        unsafe { bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, field) };
        // SAFETY: the types that are read are numbers only, for which any bytes are a value.
        unsafe { value.assume_init() }
    }
}

/// Process and thread of the caller.
#[inline(always)]
pub fn current_ids() -> (u32, u32) {
    let ids = bpf_get_current_pid_tgid();
    ((ids >> 32) as u32, ids as u32)
}

/// User registers at the entry into the kernel.
#[derive(Clone, Copy)]
pub struct UserRegisters {
    /// Instruction pointer.
    pub ip: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer, or whatever that register holds.
    pub bp: u64,
}

/// `PF_IO_WORKER | PF_USER_WORKER | PF_KTHREAD` (include/linux/sched.h): threads that never ran in user mode.
const NO_USER_MODE: u32 = 0x0000_0010 | 0x0000_4000 | 0x0020_0000;

/// An object that is reached from [`Task`]: read by loads where its type is known, else by probe reads.
#[derive(Clone, Copy)]
pub struct Reached(Pointer);

impl Fields for Reached {
    #[inline(always)]
    fn read<T: Copy + Default>(self, offset: usize) -> T {
        let Pointer(object) = self.0;
        if enabled(setup_flags::TASK_PT_REGS) {
            Typed(object).read(offset)
        } else {
            Address(object as u64).read(offset)
        }
    }
}

impl Reached {
    /// What a pointer field leads to; `None` where it is null.
    #[inline(always)]
    pub fn follow(self, offset: usize) -> Option<Self> {
        let pointer: Pointer = self.read(offset);
        (!pointer.0.is_null()).then_some(Self(pointer))
    }
}

/// The task that runs. Each call of a helper costs as much as dozens of loads: it is asked for once, and has the answers of
/// other helpers.
#[derive(Clone, Copy)]
pub struct Task(*mut task_struct);

impl Task {
    /// Asks the kernel.
    #[inline(always)]
    pub fn current() -> Self {
        if enabled(setup_flags::TASK_PT_REGS) {
            // SAFETY: the helper takes nothing.
            return Self(unsafe { bpf_get_current_task_btf() });
        }
        // SAFETY: the helper takes nothing.
        Self(unsafe { bpf_get_current_task() } as *mut task_struct)
    }

    /// Its fields.
    #[inline(always)]
    pub fn fields(self) -> Reached {
        Reached(Pointer(self.0.cast()))
    }

    /// Process and thread.
    #[inline(always)]
    pub fn ids(self) -> (u32, u32) {
        if enabled(setup_flags::TASK_PT_REGS) {
            return (self.fields().read(offset!(task_tgid)), self.fields().read(offset!(task_pid)));
        }
        current_ids()
    }

    /// Its user registers, or `None` in a thread without any.
    #[inline(always)]
    pub fn user_registers(self, place: &mut RegistersPlace) -> Option<UserRegisters> {
        if self.fields().read::<u32>(offset!(task_flags)) & NO_USER_MODE != 0 {
            return None;
        }
        if enabled(setup_flags::TASK_PT_REGS) {
            if enabled(setup_flags::RDONLY_CAST) {
                return Some(registers_at(rdonly_cast(place.of(self), setup!(regs_type))));
            }
            // SAFETY: the verifier knows the task pointer.
            let regs = unsafe { bpf_task_pt_regs(self.0) };
            return Some(registers_at(Typed(regs as *const u8)));
        }
        let stack: u64 = self.fields().read(offset!(task_stack));
        Some(registers_at(Address(stack + u64::from(setup!(regs_from_stack)))))
    }

    /// Start and end of the code of its executable.
    #[inline(always)]
    pub fn executable_code(self) -> (u64, u64) {
        let Some(memory) = self.fields().follow(offset!(task_mm)) else {
            return (0, 0);
        };
        (memory.read(offset!(mm_start_code)), memory.read(offset!(mm_end_code)))
    }
}

/// Where the user registers of a task are: as far from its kernel stack as those of any other. A helper says where one task's are,
/// and a call of it costs more than all loads of them.
#[repr(C)]
pub struct RegistersPlace {
    /// 0 until the helper was asked.
    from_stack: u64,
    /// What goes through here is a number to the verifier, which else takes a pointer for one (7.2).
    number: u64,
}

impl RegistersPlace {
    #[inline(always)]
    fn of(&mut self, task: Task) -> u64 {
        let stack = self.as_number(task.fields().read(offset!(task_stack)));
        if self.from_stack == 0 {
            // SAFETY: the verifier knows the task pointer.
            let regs = unsafe { bpf_task_pt_regs(task.0) } as u64;
            self.from_stack = self.as_number(regs).wrapping_sub(stack);
        }
        stack.wrapping_add(self.from_stack)
    }

    #[inline(always)]
    fn as_number(&mut self, pointer: u64) -> u64 {
        // SAFETY: a field of a live map value, here and below; volatile, so that it is stored there.
        unsafe { (&raw mut self.number).write_volatile(pointer) };
        // SAFETY: as above.
        unsafe { (&raw const self.number).read_volatile() }
    }
}

#[inline(always)]
fn registers_at(regs: impl Fields) -> UserRegisters {
    UserRegisters { ip: regs.read(offset!(regs_ip)), sp: regs.read(offset!(regs_sp)), bp: regs.read(offset!(regs_bp)) }
}

/// Number of the system call that the caller is in; meaningless in a thread without user mode.
#[inline(always)]
pub fn system_call() -> u64 {
    if enabled(setup_flags::TASK_PT_REGS) {
        // SAFETY: the helper takes nothing.
        let task = unsafe { bpf_get_current_task_btf() };
        // SAFETY: the verifier knows the task pointer.
        let regs = unsafe { bpf_task_pt_regs(task) };
        return Typed(regs as *const u8).read(offset!(regs_nr));
    }
    // SAFETY: the helper takes nothing.
    let task = Address(unsafe { bpf_get_current_task() });
    let stack: u64 = task.read(offset!(task_stack));
    Address(stack + u64::from(setup!(regs_from_stack))).read(offset!(regs_nr))
}
