//! Which verdicts hold for a socket. The kernel side decides with this for every socket, a replay decides again with the thresholds
//! of the replay.

use crate::{
    PassSettings, SocketRow, States, Verdict, Verdicts,
    conditions::{at_least, not},
    row_flags, ticks_to_ns,
};

impl Verdicts {
    /// The verdicts that hold for `row` under `limits`.
    ///
    /// No verdict holds for listening sockets, minisocks, sockets that the application has closed, and unknown states. For a socket in
    /// an accept queue only [`Verdict::NotAccepted`] can hold. A row may contain any bits: `tests/verdicts.rs` checks the result
    /// against the contract for all of them.
    ///
    /// There are no branches (see [`crate::conditions`]): ten branches that each set a bit are a thousand paths, and the verifier of 6.1
    /// did not finish them within 100 s.
    #[inline(always)]
    pub fn of(row: &SocketRow, limits: &PassSettings) -> Self {
        let is = |states: States| states.has(row.state);
        let has = |flag: u32| at_least((row.flags & flag).into(), 1);
        let lasts = |span: u32, limit: u32| at_least(span.into(), limit.into());

        let open = is(States::OPEN) & not(has(row_flags::ORPHAN));
        let queued = open & has(row_flags::IN_ACCEPT_QUEUE);
        let held = open & not(has(row_flags::IN_ACCEPT_QUEUE));
        // States in which payload can wait in a queue.
        let flowing = held & is(States::CONNECTED);
        let established = held & is(States::ESTABLISHED);
        let stuck = lasts(row.in_state, limits.stall);
        let dead = held & is(States::CLOSED) & has(row_flags::WAS_CONNECTED);
        let long = at_least(row.age_ns, limits.threshold_ns);
        // In nanoseconds, because an age in ticks may not fit into 32 bits.
        let waiting_old = at_least(row.age_ns, ticks_to_ns(limits.stall));
        let waits = lasts(row.rx_queue_bytes, 1);
        let unread = flowing & waits & lasts(row.unread, limits.stall);
        let has_read = at_least(row.bytes_read(), 1);
        let unsent = lasts(row.tx_queue_bytes, 1);
        let guarded = has(row_flags::KEEPALIVE) | lasts(row.user_timeout_ms, 1);
        // A restored socket (TCP_REPAIR) may have bytes in its queue and a count of 0.
        let never_heard = not(at_least(row.bytes_received, 1) | waits);
        let quiet = lasts(row.idle, limits.idle) & not(unsent);
        let not_half_open = held & not(is(States::CLOSED) & not(has(row_flags::WAS_CONNECTED)));

        let bit = |condition: u32, verdict: Verdict| condition << verdict as u32;
        Self(
            bit(held & is(States::CLOSE_WAIT) & stuck, Verdict::CloseWait)
                | bit(dead & stuck, Verdict::DeadHeld)
                | bit(unread & not(has_read), Verdict::NeverRead)
                | bit(unread & has_read, Verdict::ReadStalled)
                | bit(flowing & unsent & lasts(row.unacked, limits.stall), Verdict::WriteStalled)
                | bit(established & never_heard & stuck, Verdict::SilentPeer)
                | bit(held & is(States::SYN_SENT) & stuck, Verdict::Connecting)
                | bit(queued & is(States::CONNECTED) & waiting_old, Verdict::NotAccepted)
                | bit(established & quiet & not(guarded), Verdict::IdleUnguarded)
                | bit(not_half_open & long, Verdict::LongLived),
        )
    }
}
