//! The user that a program runs as which leaktrace starts: id, groups, and what the environment says of that user.

use leaktrace_output::Caller;
use nix::unistd::{Gid, Uid, User, getgrouplist, setgid, setgroups, setuid};
use std::{
    ffi::{CString, OsString},
    io,
    os::unix::process::CommandExt as _,
    process::Command,
};

/// What sudo tells of its caller. A program that runs as the caller has no use for it.
const OF_SUDO: [&str; 4] = ["SUDO_COMMAND", "SUDO_GID", "SUDO_UID", "SUDO_USER"];

/// A user that a program can run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    /// `HOME`, and `USER`, `LOGNAME` and `SHELL` of a user that has an account.
    environment: Vec<(&'static str, OsString)>,
}

impl Owner {
    /// The caller, from the database of users.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) fn of_caller(caller: &Caller) -> io::Result<Self> {
        let (uid, gid) = (Uid::from_raw(caller.uid()), Gid::from_raw(caller.gid()));
        match User::from_uid(uid)? {
            Some(user) => Ok(Self { gid, ..Self::of_account(user, gid)? }),
            // A user without an account, as in a container.
            None => Ok(Self { uid, gid, groups: vec![gid], environment: vec![("HOME", "/".into())] }),
        }
    }

    /// The user with this name or number; without one the caller of sudo, or `None` to change nothing.
    ///
    /// # Errors
    /// When there is no such user, or only root could do it.
    pub(super) fn find(asked: Option<&str>, caller: &Caller) -> anyhow::Result<Option<Self>> {
        let Some(name) = asked else {
            return Ok(caller.is_by_sudo().then(|| Self::of_caller(caller)).transpose()?);
        };
        let found = match name.parse() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid)),
            Err(_) => User::from_name(name),
        };
        let user = found?.ok_or_else(|| anyhow::anyhow!("there is no user {name}: see `getent passwd`"))?;
        if user.uid != Uid::effective() && !Uid::effective().is_root() {
            anyhow::bail!("only root can run a command as {name}: use sudo, or leave --user out");
        }
        let gid = user.gid;
        Ok(Some(Self::of_account(user, gid)?))
    }

    fn of_account(user: User, gid: Gid) -> io::Result<Self> {
        let groups = getgrouplist(&CString::new(user.name.as_str())?, gid)?;
        let name = OsString::from(&user.name);
        let environment = vec![
            ("HOME", user.dir.into_os_string()),
            ("USER", name.clone()),
            ("LOGNAME", name),
            ("SHELL", user.shell.into_os_string()),
        ];
        Ok(Self { uid: user.uid, gid, groups, environment })
    }

    /// What the environment says of this user.
    pub(super) fn environment(&self) -> &[(&'static str, OsString)] {
        &self.environment
    }

    /// Has a program run with the id and the groups of this user. What was set up to run before that in the new process still has
    /// the rights of leaktrace.
    pub(super) fn take_over(&self, command: &mut Command) {
        let Self { uid, gid, groups, .. } = self.clone();
        let change = move || {
            // The user last: only root may change the others.
            setgroups(&groups).and_then(|()| setgid(gid)).and_then(|()| setuid(uid)).map_err(io::Error::from)
        };
        // SAFETY: the closure makes only system calls between fork and exec: none of them allocates or locks.
        unsafe { command.pre_exec(change) };
    }

    /// The same, and the environment says so: what is of this user is set, the rest stays.
    pub(super) fn take_over_whole(&self, command: &mut Command) {
        for name in OF_SUDO {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.take_over(command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_sudo_and_without_a_wish_nothing_changes() {
        assert_eq!(Owner::find(None, &Caller::of(0, 0, |_| None)).unwrap(), None);
        assert_eq!(Owner::find(None, &Caller::of(500, 500, |_| Some("1000".to_owned()))).unwrap(), None);
    }

    #[test]
    fn a_user_is_found_by_name_and_by_number() {
        let caller = Caller::of_this_process();
        let root = Owner::find(Some("root"), &caller);
        if !Uid::effective().is_root() {
            assert!(root.unwrap_err().to_string().contains("only root can"));
            return;
        }
        let root = root.unwrap().unwrap();
        assert_eq!((root.uid.as_raw(), root.environment[1].1.to_str()), (0, Some("root")));
        assert_eq!(Owner::find(Some("0"), &caller).unwrap(), Some(root));
        let error = Owner::find(Some("no such user"), &caller).unwrap_err().to_string();
        assert!(error.contains("there is no user no such user"), "{error}");
    }

    #[test]
    fn a_caller_without_an_account_has_one_group() {
        let owner = Owner::of_caller(&Caller::of(0, 0, |_| Some("54321".to_owned()))).unwrap();
        let gid = Gid::from_raw(54_321);
        assert_eq!((owner.uid.as_raw(), owner.gid, owner.groups), (54_321, gid, vec![gid]));
        assert_eq!(owner.environment, [("HOME", "/".into())]);
    }

    #[test]
    fn the_caller_of_sudo_owns_the_program_with_its_groups() {
        let Some(nobody) = User::from_name("nobody").unwrap().filter(|_| Uid::effective().is_root()) else { return };
        let (uid, gid) = (nobody.uid, nobody.gid);
        let caller = Caller::of(0, 0, |name| Some(if name == "SUDO_UID" { uid.to_string() } else { gid.to_string() }));
        let owner = Owner::find(None, &caller).unwrap().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "id -u; id -g; id -G; echo $USER $SUDO_UID$SUDO_USER"]).env("SUDO_USER", "x");
        owner.take_over_whole(&mut command);
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{uid}\n{gid}\n{gid}\nnobody\n"));
    }
}
