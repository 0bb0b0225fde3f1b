//! The running task: its ids, its user registers, and what can be reached from it.

use crate::{
    abi::NO_USER_MODE,
    constants::{enabled, offset, setup},
    fields::{Address, Fields, Pointer, Typed, rdonly_cast},
    map_values::RegistersPlace,
};
use aya_ebpf::bindings::task_struct;
use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_current_task, bpf_get_current_task_btf, generated::bpf_task_pt_regs,
};
use leaktrace_common::setup_flags;

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

/// An object reached from [`Task`]. Reads are loads where its type is known, else probe reads.
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
    /// The object that a pointer field points to; `None` where the pointer is null.
    #[inline(always)]
    pub fn follow(self, offset: usize) -> Option<Self> {
        let pointer: Pointer = self.read(offset);
        (!pointer.0.is_null()).then_some(Self(pointer))
    }
}

/// The running task. A helper call costs as much as dozens of loads, so one call gets the task and everything else is read from it.
#[derive(Clone, Copy)]
pub struct Task(*mut task_struct);

impl Task {
    /// Gets it from the kernel.
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

    /// Its user registers; `None` for a thread without a user mode.
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

impl RegistersPlace {
    /// Address of the user registers of `task`.
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
        // SAFETY: a field of a live map value. Volatile, so that it is stored there.
        unsafe { (&raw mut self.number).write_volatile(pointer) };
        // SAFETY: a field of a live map value. Volatile, so that it is loaded from there.
        unsafe { (&raw const self.number).read_volatile() }
    }
}

#[inline(always)]
fn registers_at(regs: impl Fields) -> UserRegisters {
    UserRegisters { ip: regs.read(offset!(regs_ip)), sp: regs.read(offset!(regs_sp)), bp: regs.read(offset!(regs_bp)) }
}

/// Number of the system call that the caller is in; meaningless in a thread without a user mode.
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
