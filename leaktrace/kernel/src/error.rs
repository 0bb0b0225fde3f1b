//! Why the kernel side could not start. Each message says what failed, why, and what to do on this machine.

use crate::attach::btf::BtfError;
use std::fmt::Display;

/// Why tracing could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process is not root and lacks capabilities.
    #[error("leaktrace needs to be root, or to have the capabilities {missing}: run it with sudo")]
    NotPrivileged {
        /// Which are missing.
        missing: String,
    },
    /// The kernel is too old.
    #[error(
        "this kernel is {release}, and leaktrace needs 5.9 or newer (BPF iterators over TCP sockets): boot a newer kernel"
    )]
    KernelTooOld {
        /// Its release name.
        release: String,
    },
    /// This program was built without the kernel side.
    #[error("this leaktrace was built without its kernel side: run `cargo xtask setup`, then build it again")]
    NoKernelObject,
    /// The kernel has no usable BTF.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// Reading kernel memory from BPF is forbidden.
    #[error(
        "the kernel is locked down for confidentiality, which forbids BPF programs to read kernel memory: boot with \
         lockdown=integrity or without lockdown"
    )]
    LockedDown,
    /// The process is in a PID namespace of its own, where process ids differ from those of the kernel side.
    #[error(
        "cannot trace from a PID namespace of its own, as containers have: the kernel names processes by the host's numbers, \
         which mean others here: run leaktrace on the host, or in a container with --pid=host"
    )]
    PidNamespace,
    /// The kernel refused the object.
    #[error("the kernel refused to load leaktrace's programs: {reason}; `leaktrace doctor` says what this host lacks")]
    Load {
        /// The kernel's message.
        reason: String,
    },
    /// No kind of hook could be attached, or not the chosen one.
    #[error("no {asked} hooks could be attached: {reason}")]
    Hooks {
        /// `fentry`, `kprobe`, `tracepoint`, `usable`, or `process`.
        asked: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A pass could not be run.
    #[error("cannot sample sockets: {reason}")]
    Sample {
        /// Why.
        reason: String,
    },
    /// This program and the object inside it do not fit together.
    #[error(
        "leaktrace and its kernel side disagree: {reason}; please report this with the output of `leaktrace doctor`"
    )]
    Internal {
        /// What does not fit.
        reason: String,
    },
}

impl StartError {
    /// From an error while loading.
    pub fn load(error: &dyn std::error::Error) -> Self {
        let reason = chain(error);
        // Without securityfs, lockdown shows only in the verifier's message, which is one of these on 6.1 and 7.2.
        let no_helper =
            reason.contains("unknown func bpf_probe_read") || reason.contains("cannot use helper bpf_probe_read");
        if no_helper { Self::LockedDown } else { Self::Load { reason } }
    }

    /// From an error that should not happen.
    pub fn internal(error: &dyn Display) -> Self {
        Self::Internal { reason: error.to_string() }
    }
}

/// An error with its causes on one line. Of the verifier's long log only the end is kept, which has the reason.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    const LONGEST: usize = 400;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.len() <= LONGEST || std::env::var_os("LEAKTRACE_VERIFIER_LOG").is_some() {
        return text;
    }
    let skip = text.char_indices().rev().nth(LONGEST).map_or(0, |(at, _)| at);
    format!("… {}", &text[skip..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str);

    #[test]
    fn a_verifier_that_denies_reading_the_kernel_means_lockdown() {
        for message in [
            "85: call 4 unknown func bpf_probe_read#4 verification",
            "program of this type cannot use helper bpf_probe_read#4",
        ] {
            assert!(matches!(StartError::load(&Said(message)), StartError::LockedDown), "{message}");
        }
        assert!(matches!(StartError::load(&Said("BPF program is too large")), StartError::Load { .. }));
    }
}
