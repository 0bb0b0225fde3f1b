//! The config file: the same settings as the options, and the ignore list. TOML.

use leaktrace_model::{Filter, Network};
use serde::Deserialize;
use std::{
    fs, io,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

/// The file that is read when none is named.
const DEFAULT_PATH: &str = "/etc/leaktrace.toml";

/// A config file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigFileError {
    /// A named file does not exist or cannot be read.
    #[error("cannot read the config file {path}: {source}; name another with --config")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its content is wrong.
    #[error("the config file {path} is wrong: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
}

/// Content of the config file. Everything is optional. A flag overrides an environment variable, which overrides the
/// file, which overrides a default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ConfigFile {
    /// See `--threshold`.
    pub threshold: Option<String>,
    /// See `--stall`.
    pub stall: Option<String>,
    /// See `--idle`.
    pub idle: Option<String>,
    /// See `--interval`.
    pub interval: Option<String>,
    /// See `--cpu-budget`; a number.
    pub cpu_budget: Option<f64>,
    /// See `--hooks`.
    pub hooks: Option<String>,
    /// See `--max-sockets`.
    pub max_sockets: Option<u32>,
    /// See `--walk-every`.
    pub walk_every: Option<NonZeroU32>,
    /// See `--no-stacks`.
    pub no_stacks: Option<bool>,
    /// See `--stack-sample`.
    pub stack_sample: Option<NonZeroU32>,
    /// See `--stack-sample-above`.
    pub stack_sample_above: Option<u32>,
    /// Known long-lived pools: a socket that matches every key of an entry is not reported.
    #[serde(default)]
    pub ignore: Vec<Ignore>,
}

/// One entry of the ignore list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ignore {
    /// Process name.
    pub comm: Option<String>,
    /// Executable: a path, or the name of a file.
    pub exe: Option<String>,
    /// Local or remote port.
    pub port: Option<u16>,
    /// Address or network of the peer.
    pub peer: Option<String>,
    /// Start of a container id.
    pub container: Option<String>,
    /// Systemd unit.
    pub unit: Option<String>,
}

impl ConfigFile {
    /// Reads the named file, or the default file if it exists.
    ///
    /// # Errors
    /// When a named file cannot be read, or any file is not well-formed.
    pub(crate) fn read(named: Option<&Path>) -> Result<Self, ConfigFileError> {
        let path = named.unwrap_or(Path::new(DEFAULT_PATH));
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ConfigFileError::Unreadable { path: path.to_owned(), source }),
        };
        Self::parse(&text).map_err(|reason| ConfigFileError::Malformed { path: path.to_owned(), reason })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().replace('\n', " "))?;
        file.filters()?;
        Ok(file)
    }

    /// The ignore list as filters.
    ///
    /// # Errors
    /// When an entry is empty and would ignore everything, or its peer is not a network.
    pub(crate) fn filters(&self) -> Result<Vec<Filter>, String> {
        self.ignore.iter().map(Ignore::filter).collect()
    }
}

impl Ignore {
    fn filter(&self) -> Result<Filter, String> {
        let peer = self.peer.as_ref().map(|text| {
            text.parse::<Network>().map_err(|error| format!("the ignore entry with peer = \"{text}\": {error}"))
        });
        let filter = Filter {
            comms: self.comm.iter().cloned().collect(),
            exes: self.exe.iter().cloned().collect(),
            ports: self.port.iter().copied().collect(),
            peers: peer.transpose()?.into_iter().collect(),
            containers: self.container.iter().cloned().collect(),
            units: self.unit.iter().cloned().collect(),
            ..Filter::default()
        };
        let names = [&filter.comms, &filter.exes, &filter.containers, &filter.units];
        if names.into_iter().flatten().any(String::is_empty) {
            return Err(
                "an ignore entry has a key with an empty value: leave the key out, or say what it is".to_owned()
            );
        }
        if filter.is_empty() {
            return Err("an ignore entry without any key would ignore everything: give it comm, exe, port, peer, \
                        container or unit"
                .to_owned());
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_the_ignore_list_are_read() {
        let file = ConfigFile::parse(
            "threshold = \"5m\"\nmax-sockets = 1000\n[[ignore]]\ncomm = \"postgres\"\nport = 5432\n[[ignore]]\npeer = \"10.0.0.0/8\"\n",
        );
        let file = file.unwrap_or_else(|reason| panic!("{reason}"));
        assert_eq!((file.threshold.as_deref(), file.max_sockets), (Some("5m"), Some(1000)));
        let filters = file.filters().unwrap_or_default();
        assert_eq!((filters.len(), filters[0].ports.as_slice()), (2, [5432_u16].as_slice()));
    }

    #[test]
    fn a_wrong_key_or_an_empty_entry_is_refused_with_its_name() {
        assert!(ConfigFile::parse("treshold = \"5m\"").is_err_and(|reason| reason.contains("treshold")));
        assert!(ConfigFile::parse("[[ignore]]\n").is_err_and(|reason| reason.contains("ignore everything")));
        assert!(ConfigFile::parse("[[ignore]]\ncomm = \"\"").is_err_and(|reason| reason.contains("empty value")));
        assert!(ConfigFile::parse("[[ignore]]\npeer = \"banana\"").is_err_and(|reason| reason.contains("banana")));
    }
}
