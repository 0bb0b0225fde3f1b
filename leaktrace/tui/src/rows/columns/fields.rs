//! Columns that show a field of a socket and nothing else. The field's entry in [`SOCKET_FIELDS`] describes the column; the variant of
//! its value decides the rest.

use super::{Address, Align, Around, By, Cell, Column, Content, Sort, When, cells};
use crate::text::clean;
use crate::theme::Role;
use leaktrace_model::{FieldColumn, FieldValue, SOCKET_FIELDS, Socket, SocketField};
use std::borrow::Cow;

/// Adds the column of each field that has one, to the right of the column that it names.
pub(crate) fn add(columns: &mut Vec<Column<Socket>>) {
    for field in SOCKET_FIELDS {
        let Some(shown) = &field.column else { continue };
        let named = shown.after.and_then(|heading| columns.iter().position(|column| column.name == heading));
        columns.insert(named.map_or(columns.len(), |at| at + 1), column(field, shown));
    }
}

fn column(field: &SocketField, shown: &FieldColumn) -> Column<Socket> {
    // Every socket has the same variant, also an empty one.
    let (align, by) = match (field.value)(&Socket::default()) {
        FieldValue::Word(_) | FieldValue::Text(_) => (Align::Left, By::Text),
        FieldValue::Address(_) => (Align::Left, By::Address),
        FieldValue::Number(_)
        | FieldValue::Bytes(_)
        | FieldValue::Seconds(_)
        | FieldValue::Flag(_)
        | FieldValue::Holders(_)
        | FieldValue::Verdicts(_) => (Align::Right, By::Number),
    };
    let FieldColumn { heading: name, about, cells: [least, good, most], rank, .. } = *shown;
    let (cell, sort) = (Content::Field(field.value), Sort::Field(by, field.value));
    Column { name, about, least, good, most, rank, align, when: When::Always, cell, sort }
}

impl<T> Column<T> {
    /// Its cell of a row.
    pub(crate) fn cell<'a>(&self, row: &'a T, around: &Around<'a>) -> Cell<'a> {
        match self.cell {
            Content::Made(cell) => cell(row, around),
            Content::Field(value) => self::cell(value(row), around),
            Content::Verdict(verdict) => cells::verdict(verdict, around),
        }
    }
}

/// What a column shows of a field.
pub(crate) fn cell<'a>(value: FieldValue<'a>, around: &Around<'a>) -> Cell<'a> {
    match value {
        FieldValue::Number(Some(number)) => cells::count(number, around),
        FieldValue::Bytes(Some(bytes)) => cells::size(bytes, around),
        FieldValue::Seconds(Some(seconds)) => cells::span(Some(seconds), around),
        FieldValue::Flag(Some(true)) => cells::own("yes", around, Role::Text),
        FieldValue::Flag(Some(false)) => cells::own("no", around, Role::Faint),
        FieldValue::Word(word) => cells::own(word, around, Role::Text),
        FieldValue::Address(address) => cells::address(address, around, Role::Text),
        FieldValue::Text(Some(Cow::Borrowed(text))) => cells::foreign(text, around, Role::Text),
        FieldValue::Text(Some(Cow::Owned(text))) => {
            cells::own(clean(&text, around.glyphs).into_owned(), around, Role::Text)
        }
        FieldValue::Holders(holders) => cells::count(holders.len() as u64, around),
        FieldValue::Verdicts(verdicts) => cells::count(verdicts.iter().count() as u64, around),
        FieldValue::Number(None)
        | FieldValue::Bytes(None)
        | FieldValue::Seconds(None)
        | FieldValue::Flag(None)
        | FieldValue::Text(None) => cells::absent(around),
    }
}

/// A field as a number to sort by; `None` where it is not known or is not a number.
pub(crate) fn number(value: &FieldValue<'_>) -> Option<f64> {
    match value {
        FieldValue::Number(number) | FieldValue::Bytes(number) => number.map(|number| number as f64),
        FieldValue::Seconds(seconds) => *seconds,
        FieldValue::Flag(flag) => flag.map(|flag| f64::from(u8::from(flag))),
        FieldValue::Holders(holders) => Some(holders.len() as f64),
        FieldValue::Verdicts(verdicts) => Some(verdicts.iter().count() as f64),
        FieldValue::Word(_) | FieldValue::Address(_) | FieldValue::Text(_) => None,
    }
}

/// A field as text to sort by; empty where it is not known or is not text.
pub(crate) fn text(value: FieldValue<'_>) -> Cow<'_, str> {
    match value {
        FieldValue::Word(word) => Cow::Borrowed(word),
        FieldValue::Text(Some(text)) => text,
        _ => Cow::Borrowed(""),
    }
}

/// A field as an address to sort by; `None` where it is none.
pub(crate) fn address(value: &FieldValue<'_>) -> Option<Address> {
    match value {
        FieldValue::Address(address) => Some(Address::of(*address)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
