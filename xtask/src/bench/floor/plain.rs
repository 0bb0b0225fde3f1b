//! A plain tracer: the table of open sockets by stack, out of what the kernel has ready for that.
//!
//! An open takes the time, the thread and the kernel's own id of the user stack, which follows frame pointers, and counts for
//! that stack; an end looks the open up, counts, adds its lifetime up, and drops it. It judges nothing, samples nothing and
//! shows nothing, has no process that reads it, and puts accepted sockets under their descriptor, which spares it the way from there
//! to the socket: the least that these hooks cost for that much, unless stacks are captured in another way.

use std::os::fd::OwnedFd;

use anyhow::Result;

use super::code::{Code, Helper, Map, R0, R1, R2, R3, R4, R6, R7, When};
use super::load::{self, Keeping};

/// `TCP_SYN_SENT` (include/net/tcp_states.h).
const SYN_SENT: i32 = 2;

/// `BPF_F_USER_STACK`
const USER_STACK: i32 = 1 << 8;

/// The most that the kernel takes (`kernel.perf_event_max_stack`).
const MOST_FRAMES: u32 = 127;

/// How many stacks are distinguished.
const STACKS: u32 = 1 << 14;

/// How many sockets may be open.
const SOCKETS: u32 = 1 << 16;

/// Its maps.
pub struct Maps {
    /// Socket, or descriptor → time of its opening, thread, stack.
    sockets: OwnedFd,
    stacks: OwnedFd,
    /// Opened, closed and summed lifetimes, by stack.
    counts: OwnedFd,
}

impl Maps {
    pub fn new() -> Result<Self> {
        Ok(Self {
            sockets: load::map(Keeping::Hash, 8, 24, SOCKETS, 0)?,
            stacks: load::map(Keeping::Stacks, 4, MOST_FRAMES * 8, STACKS, 0)?,
            counts: load::map(Keeping::Array, 4, 24, STACKS, 0)?,
        })
    }

    /// On `inet_sock_set_state`, of whose arguments the third is the new state.
    pub fn state(&self) -> Vec<u64> {
        let mut code = Code::default();
        code.read(R2, R1, 16);
        let other = code.jump(R2, When::LowerIsNot(SYN_SENT));
        code.read(R7, R1, 0);
        self.open(&mut code);
        code.land(other);
        code.end()
    }

    /// At the end of accept or accept4, whose result is the third word.
    pub fn accepted(&self) -> Vec<u64> {
        let mut code = Code::default();
        code.read(R7, R1, 16);
        let failed = code.jump(R7, When::Negative);
        self.open(&mut code);
        code.land(failed);
        code.end()
    }

    /// On `tcp_destroy_sock`.
    pub fn destroyed(&self) -> Vec<u64> {
        const KEY: i16 = -8;
        const STACK: i16 = -12;
        let sockets = load::named(&self.sockets);
        let mut code = Code::default();
        code.read(R6, R1, 0);
        code.keep(KEY, R6);
        look_up(&mut code, sockets, KEY);
        let unknown = code.jump(R0, When::Zero);
        code.read(R6, R0, 0);
        code.read(R7, R0, 16);
        code.call(Helper::BootNs);
        code.subtract(R0, R6);
        code.copy(R6, R0);
        code.keep_half(STACK, R7);
        look_up(&mut code, load::named(&self.counts), STACK);
        let uncounted = code.jump(R0, When::Zero);
        code.set(R1, 1);
        code.add(R0, 8, R1);
        code.add(R0, 16, R6);
        code.land(uncounted);
        code.map(R1, sockets);
        code.place(R2, KEY.into());
        code.call(Helper::MapDelete);
        code.land(unknown);
        code.end()
    }

    /// Notes an open of what is in R7; the context is in R1.
    fn open(&self, code: &mut Code) {
        const RECORD: i16 = -24;
        const KEY: i16 = -32;
        const STACK: i16 = -36;
        code.copy(R6, R1);
        code.call(Helper::BootNs);
        code.keep(RECORD, R0);
        code.call(Helper::CurrentPidTgid);
        code.keep(RECORD + 8, R0);
        code.copy(R1, R6);
        code.map(R2, load::named(&self.stacks));
        code.set(R3, USER_STACK);
        code.call(Helper::StackId);
        code.keep(RECORD + 16, R0);
        code.keep_half(STACK, R0);
        look_up(code, load::named(&self.counts), STACK);
        let uncounted = code.jump(R0, When::Zero);
        code.set(R1, 1);
        code.add(R0, 0, R1);
        code.land(uncounted);
        code.keep(KEY, R7);
        code.map(R1, load::named(&self.sockets));
        code.place(R2, KEY.into());
        code.place(R3, RECORD.into());
        code.set(R4, 0);
        code.call(Helper::MapUpdate);
    }
}

fn look_up(code: &mut Code, map: Map, key: i16) {
    code.map(R1, map);
    code.place(R2, key.into());
    code.call(Helper::MapLookup);
}
