//! Which rows are shown and in which order: computed when snapshot, filter or order change, not for every frame.

use super::columns::{Around, Sort, Tabular};
use super::filter::Filter;
use super::item::Lens;
use super::row_key::RowKey;
use super::table::Table;
use super::view_kind::{DirectionFilter, SeverityFilter};
use leaktrace_model::snapshot::Socket;
use std::any::Any;
use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};

/// What rows must be to be shown.
#[derive(Clone, Debug, Default)]
pub struct Sieve {
    /// Words.
    pub filter: Filter,
    /// How bad.
    pub severity: SeverityFilter,
    /// Who opened.
    pub direction: DirectionFilter,
    /// Sockets of this row only.
    pub scope: Option<RowKey>,
}

/// Whether an order is turned round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    /// As the column orders by itself.
    #[default]
    Usual,
    /// The other way.
    Round,
}

impl Turn {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Usual => Self::Round,
            Self::Round => Self::Usual,
        }
    }
}

/// The rows of `table` that pass, in the snapshot's order: worst first.
pub fn sift<T: Tabular>(table: &Table<'_, T>, sieve: &Sieve) -> Vec<u32> {
    (0u32..).zip(table.items).filter(|(at, item)| passes(table, *at, item, sieve)).map(|pair| pair.0).collect()
}

/// Those of `rows` that pass; for a sieve that only became finer.
pub fn sift_again<T: Tabular>(table: &Table<'_, T>, rows: &mut Vec<u32>, sieve: &Sieve) {
    rows.retain(|at| table.items.get(*at as usize).is_some_and(|item| passes(table, *at, item, sieve)));
}

fn passes<T: Tabular>(table: &Table<'_, T>, at: u32, item: &T, sieve: &Sieve) -> bool {
    (sieve.severity == SeverityFilter::All || sieve.severity.admits(table.worst(at as usize)))
        && sieve.direction.admits(item.direction())
        && in_scope(item, sieve.scope.as_ref(), table.lens)
        && (sieve.filter.is_empty() || item.passes(&sieve.filter, table.lens))
}

/// Scopes are about sockets; every other kind of row is in scope.
fn in_scope<T: Tabular>(item: &T, scope: Option<&RowKey>, lens: Lens<'_>) -> bool {
    let socket = scope.and_then(|key| Some((key, (item as &dyn Any).downcast_ref::<Socket>()?)));
    socket.is_none_or(|(key, socket)| key.owns(socket, lens))
}

/// Orders `rows` by a column. Equal rows keep the snapshot's order; unknown comes last either way.
pub fn sort<'a, T: Tabular>(
    table: &Table<'a, T>,
    rows: &mut Vec<u32>,
    column: usize,
    turn: Turn,
    around: impl Fn(usize) -> Around<'a>,
) {
    let Some(column) = T::columns().get(column) else { return };
    match column.sort {
        Sort::Number(number) => {
            let key = |at: u32| {
                let item = table.items.get(at as usize)?;
                number(item, &around(at as usize)).filter(|n| !n.is_nan()).map(|n| ascending(-n))
            };
            by_key(rows, turn, key, |_, _| Ordering::Equal);
        }
        Sort::Text(text) => {
            let of = |at: u32| table.items.get(at as usize).map(text).unwrap_or_default();
            by_key(rows, turn, |at| prefix(of(at)), |a, b| of(a).cmp(of(b)));
        }
        Sort::Address(text) => {
            let of = |at: u32| table.items.get(at as usize).map(text).unwrap_or_default();
            by_key(rows, turn, |at| address(of(at)), |a, b| of(a).cmp(of(b)));
        }
    }
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

/// A number with the order of `n` among all numbers that are not NaN.
fn ascending(n: f64) -> u64 {
    let bits = n.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The first eight bytes, which decide most comparisons; nothing for empty text.
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

/// IPv4 before IPv6 before what is no address.
fn address(text: &str) -> Option<(u8, u128, u16)> {
    if text.is_empty() {
        return None;
    }
    let parsed = text.parse::<SocketAddr>().map(|full| (full.ip(), full.port()));
    let parsed = parsed.or_else(|_| text.parse::<IpAddr>().map(|ip| (ip, 0)));
    Some(match parsed {
        Ok((IpAddr::V4(ip), port)) => (0, u128::from(u32::from(ip)), port),
        Ok((IpAddr::V6(ip), port)) => (1, u128::from(ip), port),
        Err(_) => (2, 0, 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_order_as_keys() {
        let numbers = [f64::NEG_INFINITY, -2.5, -0.0, 0.0, 1e-9, 3.0, f64::INFINITY];
        assert!(numbers.windows(2).all(|pair| ascending(pair[0]) <= ascending(pair[1])));
    }

    #[test]
    fn addresses_order_by_number_and_not_by_digit() {
        assert!(address("9.0.0.1:80") < address("10.0.0.1:80"));
        assert!(address("10.0.0.1:80") < address("10.0.0.1:443"));
        assert!(address("255.0.0.1:80") < address("[::1]:80"));
        assert!(address("[::1]:80") < address("nonsense"));
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
