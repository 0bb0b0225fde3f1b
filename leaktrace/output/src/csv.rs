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
mod tests {
    use super::*;
    use leaktrace_model::{Comm, Opener, fixtures};

    fn rows(snapshot: &Snapshot) -> Vec<::csv::StringRecord> {
        let mut out = Vec::new();
        Csv.write(snapshot, &mut out).unwrap();
        ::csv::Reader::from_reader(&out[..]).records().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn the_columns_are_the_fields_of_the_json_report_in_order() {
        let json = serde_json::to_string(&fixtures::rich().sockets[0]).unwrap();
        let mut from = 0;
        for column in columns().filter(|column| *column != CALLSITE_NAME) {
            let found = json[from..].find(&format!("\"{column}\":"));
            from += found.unwrap_or_else(|| panic!("{column} is missing or out of order"));
        }
        let fields = serde_json::to_value(Socket::default()).unwrap().as_object().unwrap().len();
        assert_eq!(fields + 1, columns().count());
    }

    /// The names and the order of columns are part of the contract: scripts depend on them.
    #[test]
    fn the_header_is_the_one_that_was_published() {
        let header: Vec<&str> = columns().collect();
        assert_eq!(
            header.join(","),
            "cookie,callsite,direction,family,local,remote,state,pid,tid,comm,holders,age_s,age_exact,idle_s,\
             rx_queue_bytes,tx_queue_bytes,bytes_received,bytes_read,bytes_sent,bytes_acked,unread_s,unacked_s,state_s,\
             keepalive,user_timeout_ms,waiters,memory_bytes,netns,container,verdicts,callsite_name"
        );
    }

    #[test]
    fn seconds_are_written_with_a_fraction_and_small_ones_with_an_exponent() {
        let mut snapshot = fixtures::rich();
        snapshot.sockets[0].observed.age_ns = 723_000_000_000;
        snapshot.sockets[1].observed.age_ns = 10;
        let rows = rows(&snapshot);
        assert_eq!((&rows[0][11], &rows[1][11]), ("723.0", "1e-8"));
    }

    #[test]
    fn unknown_is_an_empty_cell_and_lists_are_one_cell() {
        let rows = rows(&fixtures::rich());
        assert_eq!(rows.len(), 4);
        assert_eq!(&rows[2][10], "12:9:api;13:9:api");
        assert_eq!(&rows[2][29], "write-stalled;silent-peer;long-lived");
        assert_eq!((&rows[3][0], &rows[3][7], &rows[3][25]), ("", "", ""));
        assert_eq!(&rows[1][30], "api::upstream::open < api::upstream::fetch_user < api::handler::profile < api::main");
    }

    #[test]
    fn a_name_does_not_make_a_holder_of_its_own() {
        let mut snapshot = fixtures::rich();
        snapshot.sockets[2].holders[0].comm = "api;1:2:sshd".into();
        assert_eq!(&rows(&snapshot)[2][10], "12:9:api:1:2:sshd;13:9:api");
    }

    #[test]
    fn an_empty_report_is_a_header() {
        let mut out = Vec::new();
        Csv.write(&fixtures::empty(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().trim_end(), columns().collect::<Vec<_>>().join(","));
    }

    #[test]
    fn no_cell_is_a_formula_or_an_escape_sequence() {
        let mut snapshot = fixtures::hostile();
        snapshot.sockets[0].opener = Some(Opener { pid: 12, comm: Comm::new("=HYPERLINK(1)") });
        snapshot.sockets[1].opener = Some(Opener { pid: 12, comm: Comm::new("@x") });
        let rows = rows(&snapshot);
        assert_eq!((&rows[0][9], &rows[1][9]), ("'=HYPERLINK(1)", "'@x"));
        assert!(rows.iter().flatten().all(|cell| !cell.contains(char::is_control)));
    }
}
