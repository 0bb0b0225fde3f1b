//! The caller: the user that leaktrace works for. Under sudo that is the user who called sudo, else the user that this process runs as.
//!
//! Reads the environment only; `SUDO_UID` and `SUDO_GID` count for root alone, because anybody can set a variable.

use nix::unistd::{getegid, geteuid};

/// The user that leaktrace works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    own_uid: u32,
    uid: u32,
    gid: u32,
}

impl Caller {
    /// The caller of this process.
    pub fn of_this_process() -> Self {
        Self::of(geteuid().as_raw(), getegid().as_raw(), |name| std::env::var(name).ok())
    }

    /// The caller of a process with these effective ids and this environment.
    pub fn of(euid: u32, egid: u32, environment: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name| environment(name).and_then(|text| text.parse().ok());
        match (euid, number("SUDO_UID")) {
            (0, Some(uid)) => Self { own_uid: euid, uid, gid: number("SUDO_GID").unwrap_or(egid) },
            _ => Self { own_uid: euid, uid: euid, gid: egid },
        }
    }

    /// User id.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Group id.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Whether this process runs as another user than the caller, so what it makes must be given to the caller.
    pub fn is_by_sudo(&self) -> bool {
        self.own_uid != self.uid
    }

    /// Whether a user is neither root, nor the caller, nor the user that this process runs as.
    pub fn is_stranger(&self, uid: u32) -> bool {
        ![0, self.own_uid, self.uid].contains(&uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(euid: u32, sudo: &'static [(&str, &str)]) -> Caller {
        Caller::of(euid, euid, |name| {
            sudo.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn sudo_names_the_caller_to_root_only() {
        const SUDO: &[(&str, &str)] = &[("SUDO_UID", "1000"), ("SUDO_GID", "1001")];
        let by_sudo = caller(0, SUDO);
        assert_eq!((by_sudo.uid(), by_sudo.gid(), by_sudo.is_by_sudo()), (1000, 1001, true));
        let user = caller(500, SUDO);
        assert_eq!((user.uid(), user.gid(), user.is_by_sudo()), (500, 500, false));
        assert_eq!(caller(0, &[("SUDO_UID", "-1")]), caller(0, &[]));
    }

    #[test]
    fn strangers_are_all_but_root_and_the_caller() {
        let by_sudo = caller(0, &[("SUDO_UID", "1000")]);
        assert_eq!([0, 1000, 1001].map(|uid| by_sudo.is_stranger(uid)), [false, false, true]);
        let user = caller(500, &[]);
        assert_eq!([0, 500, 501].map(|uid| user.is_stranger(uid)), [false, false, true]);
    }
}
