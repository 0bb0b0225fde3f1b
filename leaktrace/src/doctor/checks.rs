//! The individual checks.

use super::check::{Check, Standing};
use leaktrace_kernel::{
    HoldersPass, HookChoice, KernelFacts, Namespaces, SampleRequest, Stacks, StartError, Tracer, TracerOptions,
    VMLINUX, Walk,
    host::{KernelRelease, Lockdown},
    pid_namespace,
    privilege::{self, Capability},
};
use leaktrace_model::{HookKind, Limits, Modules, Shown, Unwind};
use leaktrace_symbols::{HelperOptions, Helpers};
use std::{num::NonZeroU32, path::Path, time::Duration};

/// Table size of the trial run, which is not kept.
const TRIAL_CACHE_BYTES: usize = 1 << 20;
const TRIAL_SOCKETS: u32 = 4096;

/// All checks, in order.
pub(crate) fn all() -> Vec<Check> {
    let mut findings = vec![kernel(), btf()];
    let capabilities: Vec<Check> = Capability::ALL.iter().map(|capability| self::capability(*capability)).collect();
    findings.extend(capabilities);
    findings.push(lockdown());
    findings.push(memlock());
    findings.push(pid_namespace());
    let may_load = findings.iter().all(|finding| finding.standing != Standing::Fatal);
    let hooks = if may_load { hooks() } else { Vec::new() };
    findings.extend(hooks);
    findings.push(namespaces());
    findings
}

fn kernel() -> Check {
    let release = KernelRelease::running();
    if release.version == (0, 0) || release.version >= (5, 9) {
        return Check::yes("kernel", release.text);
    }
    Check::no("kernel", Standing::Fatal, format!("{} is older than 5.9", release.text), "boot a newer kernel")
}

fn btf() -> Check {
    match KernelFacts::of_running_kernel() {
        Ok(facts) if facts.has_iterators => Check::yes("kernel types", format!("all fields found in {VMLINUX}")),
        Ok(_) => Check::no(
            "kernel types",
            Standing::Fatal,
            "this kernel has no BPF iterators over TCP sockets",
            "boot a kernel from 5.9 on",
        ),
        Err(error) => Check::no(
            "kernel types",
            Standing::Fatal,
            error.to_string(),
            "boot a kernel with CONFIG_DEBUG_INFO_BTF, as distributions have had since 2021",
        ),
    }
}

fn capability(capability: Capability) -> Check {
    if privilege::has(capability) {
        return Check::yes(capability.name(), capability.purpose());
    }
    if capability.is_needed() && !privilege::missing().contains(&capability) {
        return Check::yes(capability.name(), format!("not there; {} does as well", Capability::SysAdmin.name()));
    }
    let standing = if capability.is_needed() { Standing::Fatal } else { Standing::No };
    Check::no(
        capability.name(),
        standing,
        format!("missing; it is for {}", capability.purpose()),
        "run leaktrace with sudo, or give it this capability",
    )
}

fn lockdown() -> Check {
    match Lockdown::running() {
        Lockdown::Confidentiality => Check::no(
            "lockdown",
            Standing::Fatal,
            "confidentiality: BPF programs may not read kernel memory",
            "boot with lockdown=integrity or without lockdown",
        ),
        Lockdown::Integrity => Check::yes("lockdown", "integrity, which is not in the way"),
        Lockdown::None => Check::yes("lockdown", "none, or the kernel does not show it"),
    }
}

fn memlock() -> Check {
    let counts = {
        let version = KernelRelease::running().version;
        version != (0, 0) && version < (5, 11)
    };
    let limit = privilege::memlock_limit();
    match limit {
        _ if !counts => Check::yes("memlock", "does not count for BPF on this kernel"),
        None => Check::yes("memlock", "unlimited"),
        Some(_) if privilege::has(Capability::SysResource) => Check::yes("memlock", "will be raised as needed"),
        Some(bytes) => Check::no(
            "memlock",
            Standing::No,
            format!("limited to {bytes} bytes, which kernels before 5.11 count maps against"),
            "ulimit -l unlimited, or a lower --max-sockets",
        ),
    }
}

fn pid_namespace() -> Check {
    if !pid_namespace::is_own() {
        return Check::yes("PID namespace", "the host's, as the kernel numbers processes");
    }
    Check::no(
        "PID namespace",
        Standing::Fatal,
        "another than the host's: the kernel's numbers of processes mean others here",
        "run leaktrace on the host, or in a container with --pid=host",
    )
}

fn hooks() -> Vec<Check> {
    let mut findings = Vec::new();
    let mut works = None;
    for (kind, name) in HookKind::ALL.into_iter().zip(["fentry hooks", "kprobe hooks", "tracepoint hooks"]) {
        match trial(kind) {
            Ok(passes) => {
                findings.push(Check::yes(name, "attached and detached"));
                works.get_or_insert(passes);
            }
            Err(error) => findings.push(Check::no(name, Standing::No, error.to_string(), "another kind is used")),
        }
    }
    match works {
        Some(detail) => findings.push(Check::yes("passes", detail)),
        None => {
            for finding in &mut findings {
                finding.standing = Standing::Fatal;
                finding.hint = Some("boot a distribution kernel: it has at least one kind".to_owned());
            }
        }
    }
    findings
}

/// Attaches one kind of hook, makes one pass of each kind except the sweep, and detaches. Before 6.2 only iterators
/// make passes over records.
fn trial(kind: HookKind) -> Result<String, StartError> {
    let options = TracerOptions {
        tree: None,
        hooks: HookChoice::Only(kind),
        stacks: Stacks::Capture,
        unwind: Unwind::Auto,
        max_sockets: TRIAL_SOCKETS,
        walk_every: NonZeroU32::new(2),
    };
    let helpers = HelperOptions { unwind: options.unwind, cache_bytes: TRIAL_CACHE_BYTES };
    let helpers = Helpers::start(helpers, Modules::default());
    let mut tracer = Tracer::start(&options, Box::new(helpers))?;
    let minute = Duration::from_secs(60);
    let request = SampleRequest {
        limits: Limits { threshold: minute, stall: minute, idle: minute },
        shown: Shown::default(),
        walk: Walk::Now,
        holders: HoldersPass::Run,
    };
    let sample = tracer.sample(&request)?;
    tracer.sample(&SampleRequest { walk: Walk::WhenDue, holders: HoldersPass::Skip, ..request })?;
    let descriptors = sample.holders.map_or(0, |holders| holders.descriptors);
    let lists = if tracer.goes_by_lists() { "; records by lists, for want of iterators over maps" } else { "" };
    Ok(format!(
        "{} open sockets sampled in {:.1?}, holders among {descriptors} descriptors found in {:.1?}{lists}",
        sample.totals.sums.open, sample.cost.sockets, sample.cost.holders
    ))
}

fn namespaces() -> Check {
    let seen = Namespaces::find().count();
    if privilege::has(Capability::SysAdmin) && privilege::has(Capability::SysPtrace) {
        return Check::yes("network namespaces", format!("{seen} seen, all can be entered"));
    }
    let own = Path::new("/proc/self/ns/net");
    Check::no(
        "network namespaces",
        Standing::No,
        format!("{seen} seen, only {} can be sampled", own.display()),
        "run with CAP_SYS_ADMIN and CAP_SYS_PTRACE to see sockets in containers",
    )
}
