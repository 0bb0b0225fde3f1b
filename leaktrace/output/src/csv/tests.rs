//! Claims about [`csv`](super): its columns are the fields, unknown is empty, and no name breaks a cell.

use super::*;
use leaktrace_model::{Comm, Opener, fixtures};

/// The rows; each has its cells by column.
fn rows(snapshot: &Snapshot) -> Vec<HashMap<String, String>> {
    let mut out = Vec::new();
    Csv.write(snapshot, &mut out).unwrap();
    ::csv::Reader::from_reader(&out[..]).deserialize().collect::<Result<_, _>>().unwrap()
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

/// The names and the order of columns are part of the contract: scripts depend on them. A new one may come between them.
#[test]
fn the_columns_that_were_published_are_there_in_their_order() {
    let published = "cookie,callsite,direction,family,local,remote,state,pid,tid,comm,holders,age_s,age_exact,idle_s,\
        rx_queue_bytes,tx_queue_bytes,bytes_received,bytes_read,bytes_sent,bytes_acked,unread_s,unacked_s,state_s,\
        keepalive,user_timeout_ms,waiters,memory_bytes,netns,container,verdicts,callsite_name";
    let mut columns = columns();
    for name in published.split(',') {
        assert!(columns.any(|column| column == name), "{name} is missing or out of order");
    }
}

#[test]
fn seconds_are_written_with_a_fraction_and_small_ones_with_an_exponent() {
    let mut snapshot = fixtures::rich();
    snapshot.sockets[0].observed.age_ns = 723_000_000_000;
    snapshot.sockets[1].observed.age_ns = 10;
    let rows = rows(&snapshot);
    assert_eq!([0, 1].map(|row| rows[row]["age_s"].as_str()), ["723.0", "1e-8"]);
}

#[test]
fn unknown_is_an_empty_cell_and_lists_are_one_cell() {
    let rows = rows(&fixtures::rich());
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[2]["holders"], "12:9:api;13:9:api");
    assert_eq!(rows[2]["verdicts"], "write-stalled;silent-peer;long-lived");
    assert_eq!(["cookie", "pid", "waiters"].map(|column| rows[3][column].as_str()), [""; 3]);
    let callers = "api::upstream::open < api::upstream::fetch_user < api::handler::profile < api::main";
    assert_eq!(rows[1][CALLSITE_NAME], callers);
}

#[test]
fn a_name_does_not_make_a_holder_of_its_own() {
    let mut snapshot = fixtures::rich();
    snapshot.sockets[2].holders[0].comm = "api;1:2:sshd".into();
    assert_eq!(rows(&snapshot)[2]["holders"], "12:9:api:1:2:sshd;13:9:api");
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
    assert_eq!([0, 1].map(|row| rows[row]["comm"].as_str()), ["'=HYPERLINK(1)", "'@x"]);
    assert!(rows.iter().flat_map(HashMap::values).all(|cell| !cell.contains(char::is_control)));
}
