//! What a program gets that leaktrace runs for its caller: the caller's user and groups, and an environment with nothing else in it.
//!
//! Under sudo the caller is the user who called sudo; a program of that user must not run as root. Whatever else stands in the environment
//! of root stays there.

use super::owner::Owner;
use leaktrace_output::Caller;
use std::{ffi::OsString, io, process::Command};

/// Where programs are looked for if leaktrace was started without `PATH`.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables that are passed on as they are.
const PASSED_ON: [&str; 2] = ["LANG", "TERM"];

/// The user, the groups and the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AsCaller {
    /// `None` if the program runs as the same user as leaktrace.
    user: Option<Owner>,
    environment: Vec<(&'static str, OsString)>,
}

impl AsCaller {
    /// Looks the caller up in the database of users.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) fn of(caller: &Caller, variable: impl Fn(&str) -> Option<OsString>) -> io::Result<Self> {
        let owner = Owner::of_caller(caller)?;
        let mut environment = vec![("PATH", variable("PATH").unwrap_or_else(|| USUAL_PATH.into()))];
        environment.extend(owner.environment().iter().cloned());
        environment.extend(PASSED_ON.into_iter().filter_map(|name| Some((name, variable(name)?))));
        Ok(Self { user: caller.is_by_sudo().then_some(owner), environment })
    }

    /// Gives a command these.
    pub(super) fn apply(&self, command: &mut Command) {
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(user) = &self.user {
            user.take_over(command);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_has_what_is_named_and_nothing_else() {
        let caller = Caller::of(0, 0, |_| None);
        let variable = |name: &str| (name != "TERM").then(|| OsString::from(format!("own {name}")));
        let AsCaller { user, environment } = AsCaller::of(&caller, variable).unwrap();
        assert_eq!(user, None);
        let text =
            |name: &str| environment.iter().find(|(known, _)| *known == name).and_then(|(_, text)| text.to_str());
        assert_eq!((text("PATH"), text("LANG"), text("TERM")), (Some("own PATH"), Some("own LANG"), None));
        assert_eq!((text("USER"), text("LOGNAME"), text("HOME")), (Some("root"), Some("root"), Some("/root")));
        assert_eq!(environment.len(), 6, "{environment:?}");
        let bare = AsCaller::of(&caller, |_| None).unwrap();
        assert_eq!(bare.environment[0], ("PATH", USUAL_PATH.into()));
    }
}
