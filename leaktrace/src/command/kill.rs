//! `leaktrace kill`: takes as many samples as the requested verdicts need, lists matching sockets and, with `--yes`,
//! closes exactly those. What matches is decided once in a call; only their identity is checked again, by the kernel.

use super::Outcome;
use crate::{
    cli::{Act, KillConfig, Ssh},
    config::WatchConfig,
    watch::{Detail, Session},
};
use leaktrace_kernel::{
    destroy::{Outcome as Closing, SshConnections, destroy},
    namespace_name, own_namespace,
};
use leaktrace_model::{Observed, Socket, SocketId, TcpState, Verdict, Verdicts, format_counted, format_duration};
use leaktrace_output::{Caller, clean};
use std::{
    io::{self, Write},
    num::NonZeroU64,
    time::{Duration, Instant},
};

/// Lists or closes what matches.
///
/// # Errors
/// When the host cannot be sampled, more sockets match than allowed, or stdout cannot be written.
pub(crate) fn kill(config: KillConfig) -> anyhow::Result<Outcome> {
    let mut session = Session::start(config.watch.clone())?;
    if let Some(span) = time_needed(config.verdicts, &config.watch) {
        say(&format!("watching for {}, the time that such a verdict takes", format_duration(span.as_secs_f64())));
        watch(&mut session, span)?;
    }
    session.sample(Detail::All, true)?;
    let sockets = session.snapshot().sockets;
    drop(session);
    let mut chosen = choose(sockets, config.verdicts);
    let spared = match config.ssh {
        Ssh::Spared => spare(&mut chosen, &ssh_connections()),
        Ssh::Included => Vec::new(),
    };
    for (socket, _) in &spared {
        say(&format!(
            "{}: left out, as you are using this SSH connection; --include-ssh closes it too",
            describe(socket)
        ));
    }
    if chosen.is_empty() {
        let other = if spared.is_empty() { "" } else { " other" };
        say(&format!("no{other} connection matches that could be closed; nothing was"));
        return Ok(Outcome::Done);
    }
    if chosen.len() > config.max {
        let (found, max) = (format_counted(chosen.len() as u64, "socket"), config.max);
        anyhow::bail!(
            "{found} would be closed, more than --max {max}: nothing was closed; add a filter or raise --max"
        );
    }
    if !print_list(&mut io::stdout().lock(), &chosen)? {
        say("the list could not be printed to its end; nothing was closed");
        return Ok(Outcome::Done);
    }
    if config.act == Act::List {
        say(&format!("{} would be closed; nothing was: add --yes", format_counted(chosen.len() as u64, "socket")));
        return Ok(Outcome::Done);
    }
    let ids: Vec<SocketId> = chosen.iter().map(|(_, id)| *id).collect();
    let outcomes = destroy(&ids);
    print_outcomes(&mut io::stdout().lock(), &chosen, &outcomes)?;
    let is_settled = outcomes.iter().all(Closing::is_settled);
    Ok(if is_settled { Outcome::Done } else { Outcome::Unable })
}

/// The SSH connections that this program is used through.
pub(super) fn ssh_connections() -> SshConnections {
    let caller = Caller::of_this_process();
    SshConnections::of_this_process(|uid| !caller.is_stranger(uid))
}

/// Takes out the sockets that are ends of SSH connections, and gives them.
fn spare(chosen: &mut Vec<(Socket, SocketId)>, ssh: &SshConnections) -> Vec<(Socket, SocketId)> {
    let (spared, rest) = std::mem::take(chosen).into_iter().partition(|(_, id)| ssh.have(id));
    *chosen = rest;
    spared
}

/// How long sockets must be watched until all of these verdicts can hold; `None` when a single sample is enough.
fn time_needed(verdicts: Verdicts, watch: &WatchConfig) -> Option<Duration> {
    let span = |verdict| match verdict {
        Verdict::LongLived => watch.limits.threshold,
        Verdict::IdleUnguarded => watch.limits.idle,
        _ => watch.limits.stall,
    };
    // Time counts from the first sample. One more interval puts a sample after the end.
    verdicts.iter().map(span).max().map(|longest| longest + watch.interval)
}

fn watch(session: &mut Session, span: Duration) -> anyhow::Result<()> {
    let end = Instant::now() + span;
    let mut next = Instant::now();
    while Instant::now() < end {
        session.sample(Detail::Suspects, false)?;
        next += session.interval();
        while let wait = next.min(end).saturating_duration_since(Instant::now())
            && !wait.is_zero()
        {
            session.attend(wait)?;
        }
    }
    Ok(())
}

/// Prints what is chosen, before anything is closed. False if its reader has gone.
fn print_list(out: &mut dyn Write, chosen: &[(Socket, SocketId)]) -> anyhow::Result<bool> {
    let mut lines = chosen.iter().map(|(socket, _)| describe(socket));
    match lines.try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(anyhow::anyhow!("cannot write to standard output: {error}; nothing was closed")),
        Ok(()) => Ok(true),
    }
}

/// Prints what became of each. A reader that has gone is not an error.
fn print_outcomes(out: &mut dyn Write, chosen: &[(Socket, SocketId)], outcomes: &[Closing]) -> anyhow::Result<()> {
    let mut pairs = chosen.iter().zip(outcomes);
    let printed = pairs.try_for_each(|((socket, _), outcome)| writeln!(out, "{}: {outcome}", describe(socket)));
    match printed.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::anyhow!("cannot write to standard output: {error}; the sockets were closed"))
        }
        _ => Ok(()),
    }
}

/// The sockets that can be closed and have a requested verdict, in the order of the snapshot: worst first.
fn choose(sockets: Vec<Socket>, verdicts: Verdicts) -> Vec<(Socket, SocketId)> {
    let is_meant = |socket: &Socket| {
        let Observed { state, verdicts: has, .. } = socket.observed;
        // Listeners are not connections; the last two states have no connection left to close.
        let is_connection =
            !matches!(state, TcpState::Listen | TcpState::TimeWait | TcpState::Closed | TcpState::BoundInactive);
        is_connection && (verdicts.is_empty() || !has.and(verdicts).is_empty())
    };
    let identified = |socket: Socket| socket.observed.id().map(|id| (socket, id));
    sockets.into_iter().filter(is_meant).filter_map(identified).collect()
}

/// One line: both addresses, state, holders, verdicts, the cookie as `ss -e` prints it, and the namespace unless it is the own one.
fn describe(socket: &Socket) -> String {
    let Observed { local, remote, state, verdicts, cookie, netns, .. } = socket.observed;
    let holder = match socket.holders.as_slice() {
        [] => "no holder".to_owned(),
        [first, others @ ..] => {
            let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            format!("{}[{}] fd {}{more}", clean(&first.comm), first.pid, first.fd)
        }
    };
    let names: Vec<&str> = verdicts.iter().map(Verdict::name).collect();
    let verdicts = if names.is_empty() { "-".to_owned() } else { names.join(",") };
    let cookie = cookie.map_or(0, NonZeroU64::get);
    let elsewhere = netns.map(|netns| u64::from(netns.get())).filter(|netns| own_namespace() != Some(*netns));
    let namespace = elsewhere.map_or_else(String::new, |netns| match namespace_name(netns) {
        Some(name) => format!("  netns:{netns} ({})", clean(&name)),
        None => format!("  netns:{netns}"),
    });
    format!("{local} -> {remote}  {}  {holder}  {verdicts}  sk:{cookie:x}{namespace}", state.name())
}

fn say(words: &str) {
    // A closed stderr loses only this message.
    let _ = writeln!(std::io::stderr(), "leaktrace: {words}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::Holder;
    use std::num::NonZeroU32;

    fn socket(state: TcpState, verdict: Verdict) -> Socket {
        let mut verdicts = Verdicts::NONE;
        verdicts.insert(verdict);
        let end = |text: &str| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let observed = Observed {
            cookie: NonZeroU64::new(0x1a2b),
            local: end("10.0.0.1:80"),
            remote: end("[2001:db8::1]:4000"),
            state,
            verdicts,
            ..Observed::default()
        };
        let holders = vec![Holder { pid: 7, comm: "a\x1b[2J".to_owned(), fd: 3 }, Holder::default()];
        Socket { observed, holders, ..Socket::default() }
    }

    #[test]
    fn only_connections_with_the_verdict_are_chosen() {
        let mut leaks = Verdicts::NONE;
        leaks.insert(Verdict::CloseWait);
        let sockets = || {
            let mut unknown = socket(TcpState::CloseWait, Verdict::CloseWait);
            unknown.observed.cookie = None;
            vec![
                socket(TcpState::CloseWait, Verdict::CloseWait),
                socket(TcpState::Established, Verdict::LongLived),
                socket(TcpState::Closed, Verdict::CloseWait),
                unknown,
            ]
        };
        assert_eq!(choose(sockets(), leaks).len(), 1);
        assert_eq!(choose(sockets(), Verdicts::NONE).len(), 2);
    }

    /// A writer whose reader has gone.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_list_that_is_not_read_closes_nothing() {
        let chosen = choose(vec![socket(TcpState::CloseWait, Verdict::CloseWait)], Verdicts::NONE);
        assert!(print_list(&mut Gone, &chosen).is_ok_and(|is_read| !is_read));
        let mut out = Vec::new();
        assert!(print_list(&mut out, &chosen).is_ok_and(|is_read| is_read));
        assert!(print_outcomes(&mut out, &chosen, &[Closing::Closed]).is_ok());
        let lines: Vec<_> = out.split(|byte| *byte == b'\n').map(String::from_utf8_lossy).collect();
        assert_eq!(format!("{}: closed", lines[0]), lines[1], "what was listed is what was closed");
    }

    #[test]
    fn a_line_names_a_namespace_that_is_not_the_own_one() {
        let mut elsewhere = socket(TcpState::CloseWait, Verdict::CloseWait);
        elsewhere.observed.netns = NonZeroU32::new(77);
        assert!(describe(&elsewhere).ends_with("  sk:1a2b  netns:77"));
        let own = own_namespace().and_then(|inode| u32::try_from(inode).ok()).and_then(NonZeroU32::new);
        elsewhere.observed.netns = own;
        assert!(describe(&elsewhere).ends_with("  sk:1a2b"));
    }

    #[test]
    fn a_line_names_all_and_moves_no_cursor() {
        assert_eq!(
            describe(&socket(TcpState::CloseWait, Verdict::CloseWait)),
            "10.0.0.1:80 -> [2001:db8::1]:4000  CLOSE_WAIT  a\\x1b[2J[7] fd 3 and 1 more  close-wait  sk:1a2b"
        );
    }
}
