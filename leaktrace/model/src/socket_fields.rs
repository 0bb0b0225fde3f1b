//! The table of a socket's fields: JSON and CSV write them in this order.

use crate::{Holder, Socket, Verdict, Verdicts};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use std::{
    borrow::Cow,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64},
};

/// One field of a socket, in every output that lists fields: its name in the JSON report and in CSV, and its value.
pub struct SocketField {
    /// Name in JSON and CSV.
    pub name: &'static str,
    /// Its value.
    pub value: for<'a> fn(&'a Socket) -> FieldValue<'a>,
}

/// The value of a field, as formats write it. Unknown is `None`, never a made-up value.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// A number.
    Number(Option<u64>),
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
            Self::Number(number) => number.serialize(serializer),
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

const fn field(name: &'static str, value: for<'a> fn(&'a Socket) -> FieldValue<'a>) -> SocketField {
    SocketField { name, value }
}

/// Every field of a socket in the order of the JSON report and of the CSV columns. A new field is one line here.
pub const SOCKET_FIELDS: &[SocketField] = &[
    field("cookie", |socket| socket.observed.cookie.map(NonZeroU64::get).into()),
    field("callsite", |socket| socket.callsite.into()),
    field("direction", |socket| FieldValue::Word(socket.observed.direction.name())),
    field("family", |socket| FieldValue::Word(socket.observed.family())),
    field("local", |socket| FieldValue::Address(socket.observed.local)),
    field("remote", |socket| FieldValue::Address(socket.observed.remote)),
    field("state", |socket| FieldValue::Word(socket.observed.state.name())),
    field("pid", |socket| socket.opener.map(|opener| opener.pid).into()),
    field("tid", |socket| socket.observed.tid.map(NonZeroU32::get).into()),
    field("comm", |socket| FieldValue::Text(socket.opener.as_ref().map(|opener| opener.comm.text()))),
    field("holders", |socket| FieldValue::Holders(&socket.holders)),
    field("age_s", |socket| FieldValue::Seconds(Some(socket.observed.age_s()))),
    field("age_exact", |socket| FieldValue::Flag(Some(socket.observed.age_exact))),
    field("idle_s", |socket| FieldValue::Seconds(socket.observed.idle_s())),
    field("rx_queue_bytes", |socket| socket.observed.rx_queue_bytes.into()),
    field("tx_queue_bytes", |socket| socket.observed.tx_queue_bytes.into()),
    field("bytes_received", |socket| socket.observed.bytes_received.into()),
    field("bytes_read", |socket| socket.observed.bytes_read().into()),
    field("bytes_sent", |socket| socket.observed.bytes_sent.into()),
    field("bytes_acked", |socket| socket.observed.bytes_acked.into()),
    field("unread_s", |socket| FieldValue::Seconds(socket.observed.unread_s())),
    field("unacked_s", |socket| FieldValue::Seconds(socket.observed.unacked_s())),
    field("state_s", |socket| FieldValue::Seconds(socket.observed.state_s())),
    field("keepalive", |socket| FieldValue::Flag(Some(socket.observed.keepalive))),
    field("user_timeout_ms", |socket| socket.observed.user_timeout_ms.map(NonZeroU32::get).into()),
    field("waiters", |socket| FieldValue::Flag(socket.observed.waiters)),
    field("memory_bytes", |socket| socket.observed.memory_bytes.into()),
    field("netns", |socket| socket.observed.netns.map(NonZeroU32::get).into()),
    field("container", |socket| FieldValue::Text(socket.container.as_deref().map(Cow::Borrowed))),
    field("verdicts", |socket| FieldValue::Verdicts(socket.observed.verdicts)),
];

impl Serialize for Socket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(Some(SOCKET_FIELDS.len()))?;
        for field in SOCKET_FIELDS {
            fields.serialize_entry(field.name, &(field.value)(self))?;
        }
        fields.end()
    }
}
