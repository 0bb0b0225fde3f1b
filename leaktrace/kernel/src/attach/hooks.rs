//! Attaching one of the three kinds of hooks, chosen by trying.

use super::{call_events::CallEvents, facts::KernelFacts};
use crate::{
    error::{StartError, chain},
    request::HookChoice,
};
use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, FEntry, FExit, KProbe, Program, TracePoint},
};
use leaktrace_model::{Degradation, HookKind};
use std::{os::fd::AsFd as _, thread};

/// What a user can do on a kernel that refuses this kind.
const fn hint(kind: HookKind) -> &'static str {
    match kind {
        HookKind::Fentry => "use --hooks kprobe or --hooks tracepoint, or leave --hooks out",
        HookKind::Kprobe => "use --hooks tracepoint, or leave --hooks out",
        HookKind::Tracepoint => {
            "this kernel lacks tracepoints in its BTF (CONFIG_FTRACE_SYSCALLS, CONFIG_DEBUG_INFO_BTF)"
        }
    }
}

/// Attached hooks. They stay attached until this or the loaded object is dropped.
#[derive(Debug)]
pub(crate) struct Attached {
    /// Which kind.
    pub kind: HookKind,
    /// What does not work, or works less well, with these hooks.
    pub degraded: Vec<Degradation>,
    _calls: Option<CallEvents>,
}

/// Attaches one kind of hooks: the chosen one, or the first that attaches.
pub(crate) fn attach(
    ebpf: &mut Ebpf,
    btf: &Btf,
    facts: &KernelFacts,
    choice: HookChoice,
) -> Result<Attached, StartError> {
    let mut degraded = Vec::new();
    let kinds: &[HookKind] = match &choice {
        HookChoice::Auto => &HookKind::ALL,
        HookChoice::Only(kind) => std::slice::from_ref(kind),
    };
    for kind in kinds {
        match attach_kind(ebpf, btf, facts, *kind) {
            Ok((notes, calls)) => {
                degraded.extend(notes);
                return Ok(Attached { kind: *kind, degraded, _calls: calls });
            }
            Err(reason) if choice == HookChoice::Auto => {
                degraded.push(Degradation::NoHooks { kind: *kind, why: reason });
            }
            Err(reason) => {
                return Err(StartError::Hooks {
                    asked: kind.name().to_owned(),
                    reason: format!("{reason}; {}", hint(*kind)),
                });
            }
        }
    }
    let reasons: Vec<String> = degraded.iter().map(|one| format!("{}: {}", one.feature(), one.reason())).collect();
    Err(StartError::Hooks {
        asked: "usable".to_owned(),
        reason: format!("{}; `leaktrace doctor` says what would help", reasons.join("; ")),
    })
}

/// Attaches the programs that follow the process tree of a command. The first process may be added to the tree only after this.
pub(crate) fn attach_tree(ebpf: &mut Ebpf, btf: &Btf, facts: &KernelFacts) -> Result<(), StartError> {
    let reason = |reason| StartError::Hooks {
        asked: "process".to_owned(),
        reason: format!("{reason}; without it the tree of a command cannot be followed, `leaktrace report` can"),
    };
    // Exits before forks: otherwise a process could join the tree and exit unseen.
    for program in needed(facts, HookKind::Tracepoint, &["tp_exit", "tp_exit_2"]) {
        tracepoint(ebpf, btf, program, "sched_process_exit").map_err(reason)?;
    }
    tracepoint(ebpf, btf, "tp_exec", "sched_process_exec").map_err(reason)?;
    for program in needed(facts, HookKind::Tracepoint, &["tp_fork", "tp_fork_2"]) {
        tracepoint(ebpf, btf, program, "sched_process_fork").map_err(reason)?;
    }
    Ok(())
}

fn attach_kind(
    ebpf: &mut Ebpf,
    btf: &Btf,
    facts: &KernelFacts,
    kind: HookKind,
) -> Result<(Vec<Degradation>, Option<CallEvents>), String> {
    let (mut notes, mut calls) = (Vec::new(), None);
    let outcome = match kind {
        HookKind::Fentry => attach_fentry(ebpf, btf, facts),
        HookKind::Kprobe => attach_kprobe(ebpf, facts, &mut notes),
        HookKind::Tracepoint => attach_tracepoints(ebpf, btf, facts, &mut notes).map(|attached| calls = attached),
    };
    let outcome = outcome.and_then(|()| tracepoint(ebpf, btf, "tp_destroy", "tcp_destroy_sock"));
    if outcome.is_err() {
        for name in programs_of(kind, facts) {
            unload(ebpf, name);
        }
    }
    outcome.map(|()| (notes, calls))
}

fn programs_of(kind: HookKind, facts: &KernelFacts) -> Vec<&'static str> {
    match kind {
        HookKind::Fentry => {
            [&CONNECT[..], &["kp_connect", "fe_close", "fe_graft", fexit_of(facts), "tp_destroy"]].concat()
        }
        HookKind::Kprobe => vec!["kp_connect", "kp_close", "kp_graft", "kr_accept", "tp_destroy"],
        HookKind::Tracepoint => [&STATE[..], &ACCEPT[..], &["tp_accepted", "tp_destroy"]].concat(),
    }
}

fn fexit_of(facts: &KernelFacts) -> &'static str {
    if facts.accept_parameters == 2 { "fx_accept_2" } else { "fx_accept_4" }
}

/// The programs on `tcp_connect` by trampoline.
const CONNECT: [&str; 2] = ["fe_connect", "fe_connect_2"];

/// The programs on `inet_sock_set_state`. Three, because two miss more: of 36,000 to 45,000 connections by 16 threads on two emulated
/// processors (7.2), two programs missed 258 to 637 opens at each end, three missed 10 to 57.
const STATE: [&str; 3] = ["tp_state", "tp_state_2", "tp_state_3"];

/// The programs on `sys_exit`.
const ACCEPT: [&str; 3] = ["tp_accept", "tp_accept_2", "tp_accept_3"];

/// The programs of a hook that this kernel needs: all if it may skip one, else the first.
fn needed(facts: &KernelFacts, kind: HookKind, programs: &[&'static str]) -> impl Iterator<Item = &'static str> {
    programs.iter().copied().take(if facts.skips(kind) { programs.len() } else { 1 })
}

fn attach_fentry(ebpf: &mut Ebpf, btf: &Btf, facts: &KernelFacts) -> Result<(), String> {
    // Close before open: otherwise a socket could be recorded whose close no hook sees.
    fentry(ebpf, btf, "fe_close", "tcp_close")?;
    connect(ebpf, btf, facts)?;
    if facts.has_sock_graft {
        return fentry(ebpf, btf, "fe_graft", "security_sock_graft");
    }
    let program: &mut FExit = typed(ebpf, fexit_of(facts))?;
    program.load("inet_csk_accept", btf).map_err(|error| refused("load", "inet_csk_accept", &error))?;
    program.attach().map_err(|error| refused("attach", "inet_csk_accept", &error))?;
    Ok(())
}

/// Attaches the hook on connect: a breakpoint where the kernel may skip programs by trampoline, else a trampoline.
///
/// A program by breakpoint is hardly ever skipped. Of 41,765 and 44,642 connects by 16 threads on two emulated processors (7.2), two
/// programs by trampoline missed 256 and 429. Of 35,786, 46,611 and 31,404, one by breakpoint missed 0, 0 and 18. Kernels without
/// kprobes get the two. Only connect needs this: the other hooks run with preemption off, or another hook sees what they miss.
fn connect(ebpf: &mut Ebpf, btf: &Btf, facts: &KernelFacts) -> Result<(), String> {
    let programs: Vec<_> = needed(facts, HookKind::Fentry, &CONNECT).collect();
    if programs.len() > 1 {
        if kprobe(ebpf, "kp_connect", "tcp_connect").is_ok() {
            return Ok(());
        }
        unload(ebpf, "kp_connect");
    }
    for program in programs {
        fentry(ebpf, btf, program, "tcp_connect")?;
    }
    Ok(())
}

fn fentry(ebpf: &mut Ebpf, btf: &Btf, program: &str, function: &str) -> Result<(), String> {
    let program: &mut FEntry = typed(ebpf, program)?;
    program.load(function, btf).map_err(|error| refused("load", function, &error))?;
    program.attach().map_err(|error| refused("attach", function, &error))?;
    Ok(())
}

/// Loads several programs at the same time, because the kernel takes tens of milliseconds to verify each. Errors are ignored here:
/// attaching loads a program that is not loaded, and reports why that fails.
fn load_together(ebpf: &mut Ebpf, btf: &Btf, facts: &KernelFacts) {
    let skips = facts.skips(HookKind::Tracepoint);
    let wanted = if skips { [&STATE[..], &ACCEPT[..]].concat() } else { vec![STATE[0], "tp_accepted"] };
    let programs = ebpf.programs_mut().filter(|(name, _)| wanted.contains(name));
    thread::scope(|scope| {
        for (name, program) in programs {
            let event = if ACCEPT.contains(&name) { "sys_exit" } else { "inet_sock_set_state" };
            scope.spawn(move || match program {
                Program::BtfTracePoint(program) => program.load(event, btf),
                Program::TracePoint(program) => program.load(),
                _ => Ok(()),
            });
        }
    });
}

fn attach_tracepoints(
    ebpf: &mut Ebpf,
    btf: &Btf,
    facts: &KernelFacts,
    notes: &mut Vec<Degradation>,
) -> Result<Option<CallEvents>, String> {
    load_together(ebpf, btf, facts);
    for program in needed(facts, HookKind::Tracepoint, &STATE) {
        tracepoint(ebpf, btf, program, "inet_sock_set_state")?;
    }
    let reason = match accept_calls(ebpf, facts) {
        Ok(calls) => return Ok(Some(calls)),
        Err(reason) => reason,
    };
    for program in needed(facts, HookKind::Tracepoint, &ACCEPT) {
        tracepoint(ebpf, btf, program, "sys_exit")?;
    }
    notes.push(Degradation::AcceptAtEveryCall { why: reason });
    Ok(None)
}

/// Attaches a program to the ends of accept(2) and accept4(2). Not on kernels that skip programs: all programs of an event share one
/// guard, so a duplicate would be skipped too. There, one of a hundred simultaneous accepts was lost (7.2 and 7.3).
fn accept_calls(ebpf: &mut Ebpf, facts: &KernelFacts) -> Result<CallEvents, String> {
    if facts.skips(HookKind::Tracepoint) {
        return Err("this kernel preempts programs at the end of accept, and would miss some".to_owned());
    }
    let program: &mut TracePoint = typed(ebpf, "tp_accepted")?;
    if program.fd().is_err() {
        program.load().map_err(|error| refused("load", "accept", &error))?;
    }
    let descriptor = program.fd().map_err(|error| refused("load", "accept", &error))?;
    let calls = CallEvents::attach(descriptor.as_fd(), &["accept", "accept4"]);
    calls.map_err(|error| error.to_string()).inspect_err(|_| unload(ebpf, "tp_accepted"))
}

fn attach_kprobe(ebpf: &mut Ebpf, facts: &KernelFacts, notes: &mut Vec<Degradation>) -> Result<(), String> {
    kprobe(ebpf, "kp_close", "tcp_close")?;
    kprobe(ebpf, "kp_connect", "tcp_connect")?;
    let graft = if facts.has_sock_graft {
        kprobe(ebpf, "kp_graft", "security_sock_graft")
    } else {
        Err("this kernel has no security_sock_graft (CONFIG_SECURITY is off)".to_owned())
    };
    let Err(reason) = graft else { return Ok(()) };
    kprobe(ebpf, "kr_accept", "inet_csk_accept")?;
    notes.push(Degradation::AcceptByReturnProbe { why: reason });
    Ok(())
}

fn kprobe(ebpf: &mut Ebpf, program: &str, function: &str) -> Result<(), String> {
    let program: &mut KProbe = typed(ebpf, program)?;
    program.load().map_err(|error| refused("load", function, &error))?;
    program.attach(function, 0).map_err(|error| refused("attach", function, &error))?;
    Ok(())
}

fn tracepoint(ebpf: &mut Ebpf, btf: &Btf, program: &str, tracepoint: &str) -> Result<(), String> {
    let program: &mut BtfTracePoint = typed(ebpf, program)?;
    if program.fd().is_err() {
        program.load(tracepoint, btf).map_err(|error| refused("load", tracepoint, &error))?;
    }
    program.attach().map_err(|error| refused("attach", tracepoint, &error))?;
    Ok(())
}

fn typed<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, String>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program>,
    <&'a mut P as TryFrom<&'a mut aya::programs::Program>>::Error: std::error::Error,
{
    let program = ebpf.program_mut(name).ok_or_else(|| format!("the object has no program {name}"))?;
    program.try_into().map_err(|error: <&'a mut P as TryFrom<_>>::Error| chain(&error))
}

fn refused(what: &str, hook: &str, error: &dyn std::error::Error) -> String {
    let cause = chain(error);
    let why = if cause.contains("os error 1)") || cause.contains("os error 524") || cause.contains("os error 95)") {
        "this kernel does not offer that kind of hook"
    } else if cause.contains("os error 2)") || cause.contains("tracefs") {
        "this kernel was built without it, or hides it"
    } else {
        "the kernel refused"
    };
    format!("cannot {what} a hook on {hook}: {why} ({cause})")
}

/// Removes a program from the kernel, for a kind of hooks of which only some could be attached.
fn unload(ebpf: &mut Ebpf, name: &str) {
    let outcome = match ebpf.program_mut(name) {
        Some(Program::FEntry(program)) => program.unload(),
        Some(Program::FExit(program)) => program.unload(),
        Some(Program::KProbe(program)) => program.unload(),
        Some(Program::BtfTracePoint(program)) => program.unload(),
        Some(Program::TracePoint(program)) => program.unload(),
        _ => return,
    };
    // A program that was never loaded has nothing to unload.
    let _ = outcome;
}
