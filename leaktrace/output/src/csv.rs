//! The CSV report: one row for each listed socket, with the fields of the JSON report's sockets in the same order.
//!
//! A value that is not known is an empty cell. A list is one cell: verdicts separated by `;`, holders as `pid:fd:comm` separated
//! by `;`.

use crate::{callsite_name::short_name, clean::clean, writer::Format};
use leaktrace_model::{FieldValue, Glyphs, Holder, SOCKET_FIELDS, Snapshot, Socket, Verdict};
use serde::{Serialize, Serializer, ser::SerializeSeq as _};
use std::{
    borrow::Cow,
    collections::HashMap,
    io::{self, Write},
};

/// `--format csv`
pub(crate) struct Csv;

/// The column that JSON has no field for: what opened the socket, in a few words.
const CALLSITE_NAME: &str = "callsite_name";

/// Most characters of a call site's name.
const NAME_COLUMNS: usize = 200;

fn columns() -> impl Iterator<Item = &'static str> {
    SOCKET_FIELDS.iter().map(|field| field.name).chain([CALLSITE_NAME])
}

impl Format for Csv {
    fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
        let names: HashMap<u64, String> =
            snapshot.callsites.iter().map(|site| (site.id, short_name(site, NAME_COLUMNS, Glyphs::Ascii))).collect();
        let mut writer = ::csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(out);
        writer.write_record(columns()).map_err(io_error)?;
        for socket in &snapshot.sockets {
            let name = socket.callsite.and_then(|id| names.get(&id)).map_or("", String::as_str);
            writer.serialize(Row { socket, callsite_name: name }).map_err(io_error)?;
        }
        writer.flush()
    }
}

fn io_error(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// One line: the fields of a socket, and the name of its call site.
struct Row<'a> {
    socket: &'a Socket,
    callsite_name: &'a str,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut cells = serializer.serialize_seq(Some(SOCKET_FIELDS.len() + 1))?;
        for field in SOCKET_FIELDS {
            cells.serialize_element(&Cell((field.value)(self.socket)))?;
        }
        cells.serialize_element(&safe(self.callsite_name))?;
        cells.end()
    }
}

/// One cell. Numbers, flags and our own words are as in JSON; foreign text is made harmless, and a list is one text.
struct Cell<'a>(FieldValue<'a>);

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            FieldValue::Text(text) => text.as_deref().map(safe).serialize(serializer),
            FieldValue::Holders(holders) => serializer.serialize_str(&safe(&holder_list(holders))),
            FieldValue::Verdicts(verdicts) => {
                let names: Vec<&str> = verdicts.iter().map(Verdict::name).collect();
                serializer.serialize_str(&names.join(";"))
            }
            plain => plain.serialize(serializer),
        }
    }
}

fn holder_list(holders: &[Holder]) -> String {
    // A name may contain the character that separates holders.
    let comm = |holder: &Holder| holder.comm.replace(';', ":");
    let holders: Vec<String> =
        holders.iter().map(|holder| format!("{}:{}:{}", holder.pid, holder.fd, comm(holder))).collect();
    holders.join(";")
}

/// Makes text harmless on a terminal and in a spreadsheet: a cell that a spreadsheet would take for a formula gets a `'` in front.
fn safe(text: &str) -> Cow<'_, str> {
    let text = clean(text);
    if text.starts_with(['=', '+', '-', '@']) { Cow::Owned(format!("'{text}")) } else { text }
}

#[cfg(test)]
mod tests;
