//! Whose process a command becomes: under sudo that of the person who called it, or that of `--user`.

use nix::unistd::{Gid, Uid, User, getgrouplist, setgid, setgroups, setuid};
use std::{
    ffi::{CString, OsString},
    io,
    os::unix::{ffi::OsStringExt as _, process::CommandExt as _},
    process::Command,
};

/// What sudo tells of its caller. A command that runs as the caller has no use for it.
const OF_SUDO: [&str; 4] = ["SUDO_COMMAND", "SUDO_GID", "SUDO_UID", "SUDO_USER"];

/// The user that a command runs as, in place of the one that leaktrace runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    /// `HOME`, `USER`, `LOGNAME` and `SHELL` of that user.
    environment: Vec<(&'static str, OsString)>,
}

impl Owner {
    /// The user of `--user` (a name or a number); without it the caller of sudo, which `variable` knows; `None` to change nothing.
    ///
    /// # Errors
    /// When there is no such user, or only root could do it.
    pub(crate) fn find(
        asked: Option<&str>,
        variable: impl FnOnce(&str) -> Option<OsString>,
    ) -> anyhow::Result<Option<Self>> {
        let caller = || variable("SUDO_UID")?.to_str()?.parse::<u32>().ok().filter(|uid| *uid != 0);
        let Some(name) = asked else {
            let uid = if Uid::effective().is_root() { caller() } else { None };
            return Ok(uid.and_then(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten()).map(Self::of));
        };
        let found = match name.parse() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid)),
            Err(_) => User::from_name(name),
        };
        let user = found?.ok_or_else(|| anyhow::anyhow!("there is no user {name}: see `getent passwd`"))?;
        if user.uid != Uid::effective() && !Uid::effective().is_root() {
            anyhow::bail!("only root can run a command as {name}: use sudo, or leave --user out");
        }
        Ok(Some(Self::of(user)))
    }

    fn of(user: User) -> Self {
        let groups = CString::new(user.name.as_str()).ok().and_then(|name| getgrouplist(&name, user.gid).ok());
        let name = OsString::from(&user.name);
        Self {
            uid: user.uid,
            gid: user.gid,
            groups: groups.unwrap_or_else(|| vec![user.gid]),
            environment: vec![
                ("HOME", user.dir.into_os_string()),
                ("USER", name.clone()),
                ("LOGNAME", name),
                ("SHELL", OsString::from_vec(user.shell.into_os_string().into_vec())),
            ],
        }
    }

    /// Has the command run as this user. What was set up for it before runs with the rights of leaktrace still.
    pub(crate) fn take_over(self, command: &mut Command) {
        for name in OF_SUDO {
            command.env_remove(name);
        }
        let Self { uid, gid, groups, environment } = self;
        command.envs(environment);
        let change = move || {
            // The user last: only root may change the others.
            setgroups(&groups).and_then(|()| setgid(gid)).and_then(|()| setuid(uid)).map_err(io::Error::from)
        };
        // SAFETY: the closure makes only system calls between fork and exec: none of them allocates or locks.
        unsafe { command.pre_exec(change) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_for_and_there_is_no_sudo() {
        assert_eq!(Owner::find(None, |_| None).unwrap(), None);
        assert_eq!(Owner::find(None, |_| Some("0".into())).unwrap(), None);
        assert_eq!(Owner::find(None, |_| Some("rubbish".into())).unwrap(), None);
    }

    #[test]
    fn a_user_is_found_by_name_and_by_number() {
        let root = Owner::find(Some("root"), |_| None);
        if !Uid::effective().is_root() {
            assert!(root.unwrap_err().to_string().contains("only root can"));
            return;
        }
        let root = root.unwrap().unwrap();
        assert_eq!((root.uid.as_raw(), root.environment[1].1.to_str()), (0, Some("root")));
        assert_eq!(Owner::find(Some("0"), |_| None).unwrap(), Some(root));
        let error = Owner::find(Some("no such user"), |_| None).unwrap_err().to_string();
        assert!(error.contains("there is no user no such user"), "{error}");
    }

    #[test]
    fn the_caller_of_sudo_owns_the_command_with_its_groups() {
        let Some(nobody) = User::from_name("nobody").unwrap().filter(|_| Uid::effective().is_root()) else { return };
        let uid = OsString::from(nobody.uid.to_string());
        let owner = Owner::find(None, |name| Some(uid).filter(|_| name == "SUDO_UID")).unwrap().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "id -u; id -g; id -G; echo $USER $SUDO_UID$SUDO_USER"]).env("SUDO_USER", "x");
        owner.take_over(&mut command);
        let output = command.output().unwrap();
        let (uid, gid) = (nobody.uid, nobody.gid);
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{uid}\n{gid}\n{gid}\nnobody\n"));
    }
}
