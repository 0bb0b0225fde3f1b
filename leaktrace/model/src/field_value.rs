//! The value of a field, as JSON, CSV and the live view take it.

use crate::{Holder, Verdict, Verdicts};
use serde::{Serialize, Serializer};
use std::{borrow::Cow, net::SocketAddr};

/// The value of a field. A field has the same variant for every socket, as the variant decides how its column in the live view
/// looks. Unknown is `None`, never a made-up value.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// A number, as a count.
    Number(Option<u64>),
    /// A size in bytes.
    Bytes(Option<u64>),
    /// Seconds.
    Seconds(Option<f64>),
    /// Yes or no.
    Flag(Option<bool>),
    /// A word that leaktrace defines: a state, a direction.
    Word(&'static str),
    /// An address and port.
    Address(SocketAddr),
    /// Text that another program chose.
    Text(Option<Cow<'a, str>>),
    /// The holders of the socket.
    Holders(&'a [Holder]),
    /// Verdicts, worst first.
    Verdicts(Verdicts),
}

impl FieldValue<'_> {
    /// A size that is known.
    pub fn bytes(bytes: impl Into<u64>) -> Self {
        Self::Bytes(Some(bytes.into()))
    }
}

impl From<u64> for FieldValue<'_> {
    fn from(number: u64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<u32> for FieldValue<'_> {
    fn from(number: u32) -> Self {
        Self::Number(Some(number.into()))
    }
}

impl<N: Into<u64>> From<Option<N>> for FieldValue<'_> {
    fn from(number: Option<N>) -> Self {
        Self::Number(number.map(N::into))
    }
}

impl Serialize for FieldValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) | Self::Bytes(number) => number.serialize(serializer),
            Self::Seconds(seconds) => seconds.serialize(serializer),
            Self::Flag(flag) => flag.serialize(serializer),
            Self::Word(word) => serializer.serialize_str(word),
            Self::Address(address) => serializer.collect_str(address),
            Self::Text(text) => text.serialize(serializer),
            Self::Holders(holders) => holders.serialize(serializer),
            Self::Verdicts(verdicts) => serializer.collect_seq(verdicts.iter().map(Verdict::name)),
        }
    }
}
