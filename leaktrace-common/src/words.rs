//! Serialization of states, directions, severities and verdicts as the words that reports use (feature `serde`).

use crate::{Direction, Severity, TcpState, Verdict, Verdicts};
use serde::{Serialize, Serializer};

/// Serializes a type as its name.
macro_rules! as_name {
    ($($type:ty),*) => {
        $(impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        })*
    };
}

as_name!(Direction, Severity, TcpState, Verdict);

/// A list of names, worst first.
impl Serialize for Verdicts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
