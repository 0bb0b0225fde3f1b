//! The CSV report: one row a listed socket, with the fields of the JSON report's sockets in the same order.
//!
//! Unknown is an empty cell. A list is one cell: verdicts apart by `;`, holders as `pid:fd:comm` apart by `;`.

use super::{Format, clean};
use leaktrace_model::snapshot::{Holder, Snapshot, Socket};
use std::borrow::Cow;
use std::io::{self, Write};

/// `--format csv`
pub(super) struct Csv;

const COLUMNS: [&str; 31] = [
    "cookie",
    "callsite",
    "direction",
    "family",
    "local",
    "remote",
    "state",
    "pid",
    "tid",
    "comm",
    "holders",
    "age_s",
    "age_exact",
    "idle_s",
    "rx_queue_bytes",
    "tx_queue_bytes",
    "bytes_received",
    "bytes_read",
    "bytes_sent",
    "bytes_acked",
    "unread_s",
    "unacked_s",
    "state_s",
    "keepalive",
    "user_timeout_ms",
    "waiters",
    "memory_bytes",
    "netns",
    "container",
    "verdicts",
    "callsite_name",
];

impl Format for Csv {
    fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
        let names: std::collections::HashMap<u64, String> = snapshot
            .callsites
            .iter()
            .map(|site| (site.id, super::short_name(site, 200, crate::units::Glyphs::Ascii)))
            .collect();
        let mut writer = ::csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(out);
        writer.write_record(COLUMNS).map_err(io_error)?;
        for socket in &snapshot.sockets {
            let name = socket.callsite.and_then(|id| names.get(&id)).map_or("", String::as_str);
            row(socket, name, &mut writer).map_err(io_error)?;
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

fn row<W: Write>(socket: &Socket, callsite_name: &str, writer: &mut ::csv::Writer<W>) -> ::csv::Result<()> {
    // A name may have what keeps holders apart.
    let comm = |holder: &Holder| holder.comm.replace(';', ":");
    let holders: Vec<String> =
        socket.holders.iter().map(|holder| format!("{}:{}:{}", holder.pid, holder.fd, comm(holder))).collect();
    writer.serialize((
        (socket.cookie, socket.callsite, &socket.direction, &socket.family, safe(&socket.local)),
        (safe(&socket.remote), safe(&socket.state), socket.pid, socket.tid, socket.comm.as_deref().map(safe)),
        (safe(&holders.join(";")), socket.age_s, socket.age_exact, socket.idle_s),
        (socket.rx_queue_bytes, socket.tx_queue_bytes, socket.bytes_received, socket.bytes_read),
        (socket.bytes_sent, socket.bytes_acked, socket.unread_s, socket.unacked_s, socket.state_s),
        (socket.keepalive, socket.user_timeout_ms, socket.waiters, socket.memory_bytes, socket.netns),
        (socket.container.as_deref().map(safe), safe(&socket.verdicts.join(";")), safe(callsite_name)),
    ))
}

/// Harmless on a terminal and in a spreadsheet: a cell that a spreadsheet would take for a formula begins with `'`.
fn safe(text: &str) -> Cow<'_, str> {
    let text = clean(text);
    if text.starts_with(['=', '+', '-', '@']) { Cow::Owned(format!("'{text}")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::fixtures;

    fn rows(snapshot: &Snapshot) -> Vec<::csv::StringRecord> {
        let mut out = Vec::new();
        Csv.write(snapshot, &mut out).unwrap();
        ::csv::Reader::from_reader(&out[..]).records().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn the_columns_are_the_fields_of_the_json_report_in_order() {
        let json = serde_json::to_string(&fixtures::rich().sockets[0]).unwrap();
        let mut from = 0;
        for column in COLUMNS.iter().filter(|&&column| column != "callsite_name") {
            let found = json[from..].find(&format!("\"{column}\":"));
            from += found.unwrap_or_else(|| panic!("{column} is missing or out of order"));
        }
        let fields = serde_json::to_value(Socket::default()).unwrap().as_object().unwrap().len();
        assert_eq!(fields + 1, COLUMNS.len());
    }

    #[test]
    fn unknown_is_an_empty_cell_and_lists_are_one_cell() {
        let rows = rows(&fixtures::rich());
        assert_eq!(rows.len(), 4);
        assert_eq!(&rows[2][10], "12:9:api;13:9:api");
        assert_eq!(&rows[2][29], "write-stalled;silent-peer;long-lived");
        assert_eq!((&rows[3][0], &rows[3][7], &rows[3][23]), ("", "", ""));
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
        assert_eq!(String::from_utf8(out).unwrap().trim_end(), COLUMNS.join(","));
    }

    #[test]
    fn no_cell_is_a_formula_or_an_escape_sequence() {
        let mut snapshot = fixtures::hostile();
        snapshot.sockets[0].comm = Some("=HYPERLINK(1)".into());
        snapshot.sockets[1].comm = Some("@x".into());
        let rows = rows(&snapshot);
        assert_eq!((&rows[0][9], &rows[1][9]), ("'=HYPERLINK(1)", "'@x"));
        assert!(rows.iter().flatten().all(|cell| !cell.contains(char::is_control)));
    }
}
