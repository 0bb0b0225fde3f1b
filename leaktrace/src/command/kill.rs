//! `leaktrace kill`: takes as many samples as the requested verdicts need, lists matching sockets and, with `--yes`,
//! closes them.

use super::Outcome;
use crate::{
    cli::{Act, KillConfig},
    config::WatchConfig,
    watch::{Detail, Session},
};
use leaktrace_kernel::destroy::destroy;
use leaktrace_model::{Observed, Socket, SocketId, TcpState, Verdict, Verdicts, format_counted, format_duration};
use leaktrace_output::{Destination, clean, write_whole};
use std::{
    io::Write as _,
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
    let chosen = choose(sockets, config.verdicts);
    if chosen.is_empty() {
        say("no connection matches that could be closed; nothing was");
        return Ok(Outcome::Done);
    }
    if chosen.len() > config.max {
        let (found, max) = (format_counted(chosen.len() as u64, "socket"), config.max);
        anyhow::bail!(
            "{found} would be closed, more than --max {max}: nothing was closed; add a filter or raise --max"
        );
    }
    match config.act {
        Act::List => list(&chosen),
        Act::Close => close(&chosen),
    }
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

fn list(chosen: &[(Socket, SocketId)]) -> anyhow::Result<Outcome> {
    write_whole(&Destination::from_option(None), |out| {
        chosen.iter().try_for_each(|(socket, _)| writeln!(out, "{}", describe(socket)))
    })?;
    say(&format!("{} would be closed; nothing was: add --yes", format_counted(chosen.len() as u64, "socket")));
    Ok(Outcome::Done)
}

fn close(chosen: &[(Socket, SocketId)]) -> anyhow::Result<Outcome> {
    let ids: Vec<SocketId> = chosen.iter().map(|(_, id)| *id).collect();
    let outcomes = destroy(&ids);
    write_whole(&Destination::from_option(None), |out| {
        let mut pairs = chosen.iter().zip(&outcomes);
        pairs.try_for_each(|((socket, _), outcome)| writeln!(out, "{}: {outcome}", describe(socket)))
    })?;
    let is_settled = outcomes.iter().all(|outcome| outcome.is_settled());
    Ok(if is_settled { Outcome::Done } else { Outcome::Unable })
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

/// One line: both addresses, state, holders, verdicts, and the cookie as `ss -e` prints it.
fn describe(socket: &Socket) -> String {
    let Observed { local, remote, state, verdicts, cookie, .. } = socket.observed;
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
    format!("{local} -> {remote}  {}  {holder}  {verdicts}  sk:{cookie:x}", state.name())
}

fn say(words: &str) {
    // A closed stderr loses only this message.
    let _ = writeln!(std::io::stderr(), "leaktrace: {words}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::Holder;

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

    #[test]
    fn a_line_names_all_and_moves_no_cursor() {
        assert_eq!(
            describe(&socket(TcpState::CloseWait, Verdict::CloseWait)),
            "10.0.0.1:80 -> [2001:db8::1]:4000  CLOSE_WAIT  a\\x1b[2J[7] fd 3 and 1 more  close-wait  sk:1a2b"
        );
    }
}
