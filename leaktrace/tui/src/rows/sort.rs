//! Which rows are shown and in which order: computed when the snapshot, the filter or the order changes, not for every frame.

use crate::rows::columns::{Around, By, Sort, Tabular, fields};
use crate::rows::lens::Lens;
use crate::rows::row_key::RowKey;
use crate::rows::search::Search;
use crate::rows::table::Table;
use crate::rows::view_kind::{DirectionFilter, Opened, SeverityFilter};
use leaktrace_model::Socket;
use std::any::Any;
use std::borrow::Cow;
use std::cmp::Ordering;

/// Which rows are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowFilter {
    /// Those with these words.
    pub(crate) search: Search,
    /// Those as bad as this.
    pub(crate) severity: SeverityFilter,
    /// Those that this end opened.
    pub(crate) direction: DirectionFilter,
    /// Sockets of this row only.
    pub(crate) scope: Option<RowKey>,
}

/// Whether an order is reversed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// As the column orders by itself.
    #[default]
    Usual,
    /// Reversed.
    Round,
}

impl Turn {
    /// The other one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Usual => Self::Round,
            Self::Round => Self::Usual,
        }
    }
}

/// The rows of `table` that pass, in the snapshot's order: worst first.
pub(crate) fn filter_rows<T: Tabular>(table: &Table<'_, T>, filter: &RowFilter) -> Vec<u32> {
    (0u32..).zip(table.items).filter(|(at, item)| passes(table, *at, item, filter)).map(|pair| pair.0).collect()
}

/// Those of `rows` that pass; for a filter that only became narrower.
pub(crate) fn filter_again<T: Tabular>(table: &Table<'_, T>, rows: &mut Vec<u32>, filter: &RowFilter) {
    rows.retain(|at| table.items.get(*at as usize).is_some_and(|item| passes(table, *at, item, filter)));
}

fn passes<T: Tabular>(table: &Table<'_, T>, at: u32, item: &T, filter: &RowFilter) -> bool {
    (filter.severity == SeverityFilter::All || filter.severity.admits(table.worst(at as usize)))
        && filter.direction.admits(table.opened(at as usize))
        && in_scope(item, filter.scope.as_ref(), table.lens)
        && (filter.search.is_empty() || item.passes(&filter.search, table.opened(at as usize), table.lens))
}

/// A scope applies to sockets; every other kind of row is in scope.
fn in_scope<T: Tabular>(item: &T, scope: Option<&RowKey>, lens: Lens<'_>) -> bool {
    let socket = scope.and_then(|key| Some((key, (item as &dyn Any).downcast_ref::<Socket>()?)));
    socket.is_none_or(|(key, socket)| key.owns(socket, lens))
}

/// Orders `rows` by a column. Equal rows keep the snapshot's order; unknown comes last either way.
pub(crate) fn sort<'a, T: Tabular>(
    table: &Table<'a, T>,
    rows: &mut Vec<u32>,
    column: usize,
    turn: Turn,
    around: impl Fn(usize) -> Around<'a>,
) {
    let Some(column) = T::columns().get(column) else { return };
    let items = table.items;
    match column.sort {
        Sort::Number(number) => by_number(rows, turn, |at| number(items.get(at as usize)?, &around(at as usize))),
        Sort::Text(text) => by_text(rows, turn, |at| items.get(at as usize).map(text).unwrap_or_default()),
        Sort::Direction => by_text(rows, turn, |at| Cow::from(table.opened(at as usize).map_or("", Opened::name))),
        Sort::Address(address) => by_key(rows, turn, |at| address(items.get(at as usize)?), |_, _| Ordering::Equal),
        Sort::Verdict(verdict) => {
            by_number(rows, turn, |at| Some(around(at as usize).counts.get(verdict) as f64));
        }
        Sort::Field(by, value) => {
            let value = |at: u32| items.get(at as usize).map(value);
            match by {
                By::Number => by_number(rows, turn, |at| fields::number(&value(at)?)),
                By::Text => by_text(rows, turn, |at| value(at).map(fields::text).unwrap_or_default()),
                By::Address => by_key(rows, turn, |at| fields::address(&value(at)?), |_, _| Ordering::Equal),
            }
        }
    }
}

fn by_number(rows: &mut Vec<u32>, turn: Turn, number: impl Fn(u32) -> Option<f64>) {
    let key = |at| number(at).filter(|n| !n.is_nan()).map(|n| ascending(-n));
    by_key(rows, turn, key, |_, _| Ordering::Equal);
}

fn by_text<'a>(rows: &mut Vec<u32>, turn: Turn, text: impl Fn(u32) -> Cow<'a, str>) {
    by_key(rows, turn, |at| prefix(&text(at)), |a, b| text(a).cmp(&text(b)));
}

/// Sorts by a key that is computed once for each row, then by `tie`, then by the snapshot's order.
fn by_key<K: Ord>(rows: &mut Vec<u32>, turn: Turn, key: impl Fn(u32) -> Option<K>, tie: impl Fn(u32, u32) -> Ordering) {
    let mut keyed: Vec<(Option<K>, u32)> = rows.drain(..).map(|at| (key(at), at)).collect();
    keyed.sort_unstable_by(|(a, at), (b, bt)| {
        let order = match (a, b) {
            (Some(a), Some(b)) => {
                let order = a.cmp(b).then_with(|| tie(*at, *bt));
                if turn == Turn::Round { order.reverse() } else { order }
            }
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        order.then(at.cmp(bt))
    });
    rows.extend(keyed.into_iter().map(|pair| pair.1));
}

/// A key that orders like `n`, for all numbers but NaN.
fn ascending(n: f64) -> u64 {
    let bits = n.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The first eight bytes, which decide most comparisons; `None` for empty text.
fn prefix(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(text.bytes()) {
        *to = from.to_ascii_lowercase();
    }
    Some(u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::columns::Address;
    use leaktrace_model::Peer;

    #[test]
    fn numbers_keep_their_order_as_keys() {
        let numbers = [f64::NEG_INFINITY, -2.5, -0.0, 0.0, 1e-9, 3.0, f64::INFINITY];
        assert!(numbers.windows(2).all(|pair| ascending(pair[0]) <= ascending(pair[1])));
    }

    #[test]
    fn addresses_order_by_number_and_not_by_digit_and_the_unknown_is_last() {
        let address = |text: &str| Some(Address::of(text.parse().unwrap()));
        let values =
            [None, address("[::1]:80"), address("10.0.0.1:443"), address("10.0.0.1:80"), address("9.0.0.1:80"), None];
        let mut rows: Vec<u32> = (0..6).collect();
        by_key(&mut rows, Turn::Usual, |at| values[at as usize], |_, _| Ordering::Equal);
        assert_eq!(rows, [4, 3, 2, 1, 0, 5]);
        assert!(Address::of_peer(Peer::Client([10, 0, 0, 1].into())) < Address::of("10.0.0.1:1".parse().unwrap()));
    }

    #[test]
    fn unknown_is_last_either_way_and_equals_keep_their_order() {
        let values = [Some(2), None, Some(1), Some(2), None];
        let sorted = |turn| {
            let mut rows: Vec<u32> = (0..5).collect();
            by_key(&mut rows, turn, |at| values[at as usize], |_, _| Ordering::Equal);
            rows
        };
        assert_eq!(sorted(Turn::Usual), [2, 0, 3, 1, 4]);
        assert_eq!(sorted(Turn::Round), [0, 3, 2, 1, 4]);
    }
}
