//! Small programs with known truth: leaks of every kind, and healthy controls.
//!
//! Each runs in a process of its own, makes its own peers on loopback, prints what is true of its sockets, and
//! holds them until stdin closes. The catalogue names them all and says when the suite starts each.

pub mod accepts;
pub mod controls;
pub mod destroy;
pub mod endings;
pub mod families;
pub mod halves;
pub mod leaks;
pub mod mended;
pub mod net;
pub mod netns;
pub mod peer;
pub mod protocols;
pub mod reading;
pub mod refusal;
pub mod sharing;
pub mod stage;
pub mod stories;
pub mod suspects;
pub mod uring;

use anyhow::Result;
use stage::Stage;

/// What a program shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who opened which socket and when: what every verdict stands on.
    Foundation,
    /// A socket that must earn verdicts.
    Leak,
    /// Sockets that must earn none above info.
    Control,
    /// A leak that is mended on the word `mend`.
    Mended,
    /// A part of another program, never run on its own.
    Part,
}

/// One program of the catalogue.
#[derive(Clone, Copy)]
pub struct Program {
    /// Its subcommand.
    pub name: &'static str,
    /// What it shows.
    pub kind: Kind,
    /// The program itself.
    pub run: fn(&mut Stage) -> Result<()>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Program").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

const fn program(name: &'static str, kind: Kind, run: fn(&mut Stage) -> Result<()>) -> Program {
    Program { name, kind, run }
}

/// Every program.
pub const CATALOGUE: &[Program] = &[
    program("fifty", Kind::Foundation, leaks::fifty),
    program("two-callsites", Kind::Foundation, leaks::two_callsites),
    program("ipv6", Kind::Foundation, families::ipv6),
    program("mapped", Kind::Foundation, families::mapped),
    program("dual-stack-server", Kind::Foundation, families::dual_stack_server),
    program("bound-client", Kind::Foundation, families::bound_client),
    program("netns", Kind::Foundation, netns::process_namespace),
    program("netns-twins", Kind::Foundation, netns::twin_namespaces),
    program("netns-of-a-thread", Kind::Foundation, netns::thread_namespace),
    program("netns-mounted", Kind::Foundation, netns::mounted_namespace),
    program("hundred-accepts", Kind::Foundation, accepts::hundred_accepts),
    program("accepts-begun-before", Kind::Foundation, accepts::accepts_begun_before),
    program("closed-by-exit", Kind::Foundation, endings::closed_by_exit),
    program("closed-by-sigkill", Kind::Foundation, endings::closed_by_sigkill),
    program("reused-memory", Kind::Foundation, endings::reused_memory),
    program("close-wait", Kind::Leak, leaks::close_wait),
    program("close-wait-wordless", Kind::Leak, leaks::close_wait_wordless),
    program("dead-held", Kind::Leak, leaks::dead_held),
    program("dead-held-accepted", Kind::Leak, leaks::dead_held_accepted),
    program("dead-held-timed-out", Kind::Leak, netns::dead_held_timed_out),
    program("dead-held-destroyed", Kind::Leak, destroy::dead_held_destroyed),
    program("never-read", Kind::Leak, leaks::never_read),
    program("read-stalled", Kind::Leak, leaks::read_stalled),
    program("write-stalled", Kind::Leak, leaks::write_stalled),
    program("silent-peer", Kind::Leak, suspects::silent_peer),
    program("connecting", Kind::Leak, suspects::connecting),
    program("not-accepted", Kind::Leak, suspects::not_accepted),
    program("idle-unguarded", Kind::Leak, suspects::idle_unguarded),
    program("long-lived", Kind::Leak, suspects::long_lived),
    program("story-controller", Kind::Leak, stories::controller),
    program("story-ssh", Kind::Leak, stories::ssh),
    program("story-slow-leak", Kind::Leak, stories::slow_leak),
    program("growth", Kind::Leak, stories::growth),
    program("story-tls", Kind::Leak, stories::tls),
    program("story-websocket", Kind::Leak, stories::websocket),
    program("fork-shared", Kind::Leak, sharing::fork_shared),
    program("fork-orphaned", Kind::Leak, sharing::fork_orphaned),
    program("prefork", Kind::Leak, sharing::prefork),
    program("exec-inherited", Kind::Leak, sharing::exec_inherited),
    program("dup", Kind::Leak, sharing::dup),
    program("dup-closed", Kind::Leak, sharing::dup_closed),
    program("scm-rights", Kind::Leak, sharing::scm_rights),
    program("scm-rights-in-flight", Kind::Leak, sharing::scm_rights_in_flight),
    program("opener-gone", Kind::Leak, sharing::opener_gone),
    program("mptcp", Kind::Leak, protocols::mptcp),
    program("fast-open", Kind::Leak, protocols::fast_open),
    program("linger-zero", Kind::Leak, protocols::linger_zero),
    program("uring-accept", Kind::Leak, uring::accept),
    program("uring-accept-worker", Kind::Leak, uring::accept_in_worker),
    program("uring-connect", Kind::Leak, uring::connect),
    program("uring-connect-worker", Kind::Leak, uring::connect_in_worker),
    program("peeker", Kind::Leak, reading::peeker),
    program("splice-stalled", Kind::Leak, reading::splice_stalled),
    program("half-closed-by-us", Kind::Leak, halves::half_closed_by_us),
    program("half-closed-unread", Kind::Leak, halves::half_closed_unread),
    program("receive-shut", Kind::Leak, halves::receive_shut),
    program("shut-both-ways", Kind::Leak, halves::shut_both_ways),
    program("control-keepalive-server", Kind::Control, controls::keepalive_server),
    program("control-pool", Kind::Control, controls::pool),
    program("control-churn", Kind::Control, controls::churn),
    program("control-churn-by-reset", Kind::Control, controls::churn_by_reset),
    program("control-churn-by-shutdown", Kind::Control, controls::churn_by_shutdown),
    program("control-churn-half-closed", Kind::Control, controls::churn_half_closed),
    program("control-epoll-echo", Kind::Control, controls::epoll_echo),
    program("control-ping-pong", Kind::Control, controls::ping_pong),
    program("control-slow-reader", Kind::Control, controls::slow_reader),
    program("control-bulk", Kind::Control, controls::bulk),
    program("control-pausing-peer", Kind::Control, controls::pausing_peer),
    program("control-late-accepter", Kind::Control, controls::late_accepter),
    program("control-peek-then-read", Kind::Control, controls::peek_then_read),
    program("control-splice-proxy", Kind::Control, reading::splice_proxy),
    program("control-never-connected", Kind::Control, controls::never_connected),
    program("control-idle-guarded", Kind::Control, suspects::idle_guarded),
    program("mended-never-read", Kind::Mended, mended::never_read),
    program("mended-close-wait", Kind::Mended, mended::close_wait),
    program("mended-dead-held", Kind::Mended, mended::dead_held),
    program("mended-idle-unguarded", Kind::Mended, mended::idle_unguarded),
    program("mended-silent-peer", Kind::Mended, mended::silent_peer),
    program("mended-write-stalled", Kind::Mended, mended::write_stalled),
    program("mended-not-accepted", Kind::Mended, mended::not_accepted),
    program("bystander", Kind::Part, sharing::bystander),
];

/// The program of that name.
pub fn find(name: &str) -> Option<&'static Program> {
    CATALOGUE.iter().find(|program| program.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_is_there_once() {
        let names: BTreeSet<&str> = CATALOGUE.iter().map(|program| program.name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
    }
}
