//! Claims about [`fields`](super): each field that has a column gets it, where it says and as its value says.

use super::*;
use crate::app::{App, Options};
use crate::rows::columns::Tabular as _;
use crate::rows::data::Data;
use crate::rows::sort::{self, Turn};
use crate::rows::table::Table;
use crate::rows::view_kind::Grouping;
use leaktrace_model::{Snapshot, Verdicts, fixtures};
use std::mem::discriminant;
use std::sync::Arc;

fn place(heading: &str) -> Option<usize> {
    Socket::columns().iter().position(|column| column.name == heading)
}

#[test]
fn a_column_of_a_field_is_to_the_right_of_the_one_that_it_names() {
    for field in SOCKET_FIELDS {
        let Some(column) = field.column else { continue };
        let Some(after) = column.after else { continue };
        assert!(
            place(after) < place(column.heading) && place(after).is_some(),
            "{}: no column {after} is made by hand or belongs to an earlier field",
            field.name
        );
    }
}

#[test]
fn no_two_columns_have_the_same_heading() {
    for (at, column) in Socket::columns().iter().enumerate() {
        assert_eq!(place(column.name), Some(at), "{}", column.name);
    }
}

#[test]
fn a_field_has_the_same_kind_of_value_for_every_socket() {
    let empty = Socket::default();
    for snapshot in [fixtures::rich(), fixtures::hostile()] {
        for (socket, field) in snapshot.sockets.iter().flat_map(|socket| SOCKET_FIELDS.iter().map(move |f| (socket, f)))
        {
            assert_eq!(discriminant(&(field.value)(socket)), discriminant(&(field.value)(&empty)), "{}", field.name);
        }
    }
}

/// Runs `check` with what a cell is made from.
fn with_around(check: impl FnOnce(&Around<'_>)) {
    let data = Data::of(Arc::new(fixtures::rich()));
    check(&App::new(Options::default(), 80, 24).around(&table(&data), 0, 20));
}

fn table(data: &Data) -> Table<'_, Socket> {
    Table { items: &data.snapshot.sockets, extras: None, lens: data.lens(), grouping: Grouping::Each }
}

#[test]
fn a_cell_is_made_as_its_kind_of_value_says() {
    with_around(|around| {
        for (value, shown) in [
            (FieldValue::Number(Some(1_290_000)), "1.2M"),
            (FieldValue::Number(None), "–"),
            (FieldValue::bytes(4_096_u32), "4.0K"),
            (FieldValue::Bytes(None), "–"),
            (FieldValue::Seconds(Some(200.0)), "3m20s"),
            (FieldValue::Seconds(None), "–"),
            (FieldValue::Flag(Some(true)), "yes"),
            (FieldValue::Flag(Some(false)), "no"),
            (FieldValue::Flag(None), "–"),
            (FieldValue::Word("ESTABLISHED"), "ESTABLISHED"),
            (FieldValue::Address(([10, 0, 0, 1], 443).into()), "10.0.0.1:443"),
            (FieldValue::Text(Some(Cow::from("nginx"))), "nginx"),
            (FieldValue::Text(None), "–"),
            (FieldValue::Holders(&[]), "0"),
            (FieldValue::Verdicts(Verdicts::NONE), "0"),
        ] {
            let kind = format!("{value:?}");
            assert_eq!(cell(value, around).text, shown, "{kind}");
        }
        for hostile in [Cow::Borrowed("a\x1b[2Jb"), Cow::Owned("a\x1b[2Jb".to_owned())] {
            let text = cell(FieldValue::Text(Some(hostile)), around).text;
            assert!(!text.contains('\x1b'), "{text:?}");
        }
    });
}

/// The order of the sockets by the column of a field.
fn order(name: &str, snapshot: Snapshot) -> Vec<u32> {
    let data = Data::of(Arc::new(snapshot));
    let (table, app) = (table(&data), App::new(Options::default(), 80, 24));
    let field = SOCKET_FIELDS.iter().find(|field| field.name == name).unwrap();
    let mut rows: Vec<u32> = (0..table.items.len() as u32).collect();
    sort::sort(&table, &mut rows, place(field.column.unwrap().heading).unwrap(), Turn::Usual, |at| {
        app.around(&table, at, 0)
    });
    rows
}

#[test]
fn the_largest_number_the_first_word_and_the_lowest_address_come_first() {
    let mut snapshot = fixtures::rich();
    for (nth, socket) in (0_u8..).zip(&mut snapshot.sockets) {
        socket.observed.bytes_received = u64::from(nth);
        socket.observed.remote = ([10, 0, 0, 9 - nth], 443).into();
        socket.observed.attributed = nth != 1;
    }
    assert_eq!(order("bytes_received", snapshot.clone()), [3, 2, 1, 0]);
    assert_eq!(order("remote", snapshot.clone()), [3, 2, 1, 0]);
    assert_eq!(order("state", snapshot.clone()), [0, 1, 2, 3], "CLOSE_WAIT comes before ESTABLISHED");
    assert_eq!(order("idle_s", snapshot).last(), Some(&1), "what is not known comes last");
}
