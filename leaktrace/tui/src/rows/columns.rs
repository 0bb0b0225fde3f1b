//! What a column is and which columns fit a width. The columns of each table are in its own file.

pub(crate) mod callsites;
pub(crate) mod cells;
pub(crate) mod counted;
pub(crate) mod fields;
pub(crate) mod peers;
pub(crate) mod processes;
pub(crate) mod sockets;

use crate::rows::group::Extra;
use crate::rows::history::History;
use crate::rows::lens::Lens;
use crate::rows::names::Names;
use crate::rows::row::Row;
use crate::rows::view_kind::{Grouping, Opened};
use crate::theme::Colour;
use leaktrace_model::{FieldValue, Glyphs, GroupKey, Peer, Verdict, VerdictCounts};
use ratatui::style::Style;
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

/// What a cell is made from beside its row.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    /// The snapshot and its index.
    pub(crate) lens: Lens<'a>,
    /// Counts over time.
    pub(crate) history: &'a History,
    /// Names of peers.
    pub(crate) names: &'a Names,
    /// Characters to use.
    pub(crate) glyphs: Glyphs,
    /// Colours to use.
    pub(crate) colour: Colour,
    /// What makes a row.
    pub(crate) grouping: Grouping,
    /// The row's sockets by verdict.
    pub(crate) counts: VerdictCounts,
    /// Which end opened them, where rows of its kind have a direction.
    pub(crate) opened: Option<Opened>,
    /// What a grouped row has beside the fields of its kind.
    pub(crate) extra: Option<Extra>,
    /// Cells there are to fill.
    pub(crate) width: usize,
}

/// The content of one cell of a table. Its text must be clean.
pub(crate) struct Cell<'a> {
    /// The table cuts it to the width of the column.
    pub(crate) text: Cow<'a, str>,
    /// How it looks.
    pub(crate) style: Style,
}

/// To which side the text of a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Figures.
    Right,
}

/// When a column may be shown at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Always.
    Always,
    /// The count of a verdict: where one socket has it and all such columns fit.
    Seen(Verdict),
    /// All verdicts in one text: where their columns do not fit.
    Otherwise,
    /// While names are looked up.
    Named,
}

/// The value of a field of a row.
pub(crate) type ValueOf<T> = for<'a> fn(&'a T) -> FieldValue<'a>;

/// What a column shows of a row.
pub(crate) enum Content<T: 'static> {
    /// A cell that is made by hand.
    Made(for<'a> fn(&'a T, &Around<'a>) -> Cell<'a>),
    /// A field, shown as its kind of value says.
    Field(ValueOf<T>),
    /// How many of the row's sockets have a verdict.
    Verdict(Verdict),
}

/// How a field orders rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// As a number, largest first unless reversed.
    Number,
    /// As text, A first unless reversed.
    Text,
    /// As an address and port, lowest first unless reversed.
    Address,
}

/// How a column orders rows. Unknown comes last either way.
pub(crate) enum Sort<T: 'static> {
    /// By a number, largest first unless reversed.
    Number(fn(&T, &Around<'_>) -> Option<f64>),
    /// By text, A first unless reversed.
    Text(for<'a> fn(&'a T) -> Cow<'a, str>),
    /// By the word for which end opened, A first unless reversed.
    Direction,
    /// By address and port, lowest first unless reversed.
    Address(fn(&T) -> Option<Address>),
    /// By a field.
    Field(By, ValueOf<T>),
    /// By how many of its sockets have a verdict, most first unless reversed.
    Verdict(Verdict),
}

/// An address in the order of rows: IPv4 before IPv6, then by number, then by port. No port comes before every port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address(IpAddr, Option<u16>);

impl Address {
    /// Of one end of a connection.
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self(address.ip(), Some(address.port()))
    }

    /// Of a peer.
    pub(crate) fn of_peer(peer: Peer) -> Self {
        match peer {
            Peer::Service(address) => Self::of(address),
            Peer::Client(ip) => Self(ip, None),
        }
    }

    /// Of the key of a group.
    pub(crate) fn of_group(key: GroupKey) -> Self {
        match key {
            GroupKey::Peer(peer) => Self::of_peer(peer),
            GroupKey::Listener(address) => Self::of(address),
        }
    }
}

/// One column of a table.
pub(crate) struct Column<T: 'static> {
    /// Its heading.
    pub(crate) name: &'static str,
    /// What it says, for the order dialog.
    pub(crate) about: &'static str,
    /// Fewest cells.
    pub(crate) least: u16,
    /// Width that it gets before less important columns get any.
    pub(crate) good: u16,
    /// Most cells.
    pub(crate) most: u16,
    /// Columns with a high rank are left out first where there is little room.
    pub(crate) rank: u8,
    /// Which side.
    pub(crate) align: Align,
    /// When it may be shown.
    pub(crate) when: When,
    /// What it shows.
    pub(crate) cell: Content<T>,
    /// How it orders.
    pub(crate) sort: Sort<T>,
}

impl<T> Column<T> {
    /// Whether the largest comes first, unless reversed.
    pub(crate) fn falls(&self) -> bool {
        matches!(self.sort, Sort::Number(_) | Sort::Field(By::Number, _))
    }
}

/// The part of a column that does not depend on the kind of row.
pub(crate) struct Head {
    name: &'static str,
    about: &'static str,
    cells: [u16; 3],
    rank: u8,
    align: Align,
    when: When,
}

/// A column of text: heading, meaning, fewest, good and most cells, rank (see [`Column`]).
pub(crate) const fn left(name: &'static str, about: &'static str, cells: [u16; 3], rank: u8) -> Head {
    Head { name, about, cells, rank, align: Align::Left, when: When::Always }
}

/// A column of figures, from the same arguments.
pub(crate) const fn right(name: &'static str, about: &'static str, cells: [u16; 3], rank: u8) -> Head {
    Head { name, about, cells, rank, align: Align::Right, when: When::Always }
}

impl Head {
    /// The column is shown only then.
    pub(crate) const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    /// The column, with what it shows of a row and how it orders rows.
    pub(crate) const fn shows<T>(self, cell: for<'a> fn(&'a T, &Around<'a>) -> Cell<'a>, sort: Sort<T>) -> Column<T> {
        self.has(Content::Made(cell), sort)
    }

    /// The same, with a content of any kind.
    pub(crate) const fn has<T>(self, cell: Content<T>, sort: Sort<T>) -> Column<T> {
        let [least, good, most] = self.cells;
        let Self { name, about, rank, align, when, .. } = self;
        Column { name, about, least, good, most, rank, align, when, cell, sort }
    }
}

/// A kind of row that has columns.
pub(crate) trait Tabular: Row {
    /// All its columns, left to right.
    fn columns() -> &'static [Column<Self>];
}

/// A column in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index among the columns of the table.
    pub(crate) column: usize,
    /// First cell, from the left edge of the table.
    pub(crate) x: u16,
    /// Cells.
    pub(crate) width: u16,
}

/// What decides which columns may be shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fitting {
    /// Cells there are.
    pub(crate) width: u16,
    /// Sockets by verdict in the whole snapshot.
    pub(crate) seen: VerdictCounts,
    /// Whether names of peers are looked up.
    pub(crate) naming: crate::rows::names::Naming,
    /// The column that sorts: shown whatever its rank.
    pub(crate) sorting: Option<usize>,
}

/// The columns that fit, in their places.
pub(crate) fn fit<T: Tabular>(fitting: &Fitting) -> Vec<Place> {
    let columns = T::columns();
    let seen = |verdict: Verdict| fitting.seen.get(verdict) > 0;
    let cost = |column: &Column<T>| usize::from(column.least) + 1;
    // Verdicts get a column each if all of these fit beside the needed columns at their good width.
    let apart: usize = columns
        .iter()
        .filter(|column| match column.when {
            When::Seen(verdict) => seen(verdict),
            When::Always => column.rank <= NEEDED,
            _ => false,
        })
        .map(|column| usize::from(column.good) + 1)
        .sum();
    let any_seen = !fitting.seen.is_empty();
    let verdicts_apart = any_seen && apart <= usize::from(fitting.width) + 1;
    let may = |at: usize, column: &Column<T>| {
        let usual = match column.when {
            When::Always => true,
            When::Seen(verdict) => verdicts_apart && seen(verdict),
            When::Otherwise => !verdicts_apart,
            When::Named => fitting.naming == crate::rows::names::Naming::On,
        };
        usual || fitting.sorting == Some(at)
    };
    let rank = |at: usize| match columns[at].when {
        // The column that sorts comes before all others.
        _ if fitting.sorting == Some(at) => 0,
        When::Seen(_) => NEEDED,
        _ => columns[at].rank,
    };
    let mut wanted: Vec<(u8, bool, usize)> = columns
        .iter()
        .enumerate()
        .filter(|(at, column)| may(*at, column))
        .map(|(at, _)| (rank(at), fitting.sorting != Some(at), at))
        .collect();
    wanted.sort_unstable();
    let mut left = usize::from(fitting.width) + 1;
    let mut chosen: Vec<(usize, u16)> = Vec::with_capacity(wanted.len());
    let needed = wanted.partition_point(|(rank, ..)| *rank <= NEEDED);
    for (.., at) in &wanted[..needed] {
        let cells = cost(&columns[*at]);
        if cells <= left {
            left -= cells;
            chosen.push((*at, columns[*at].least));
        } else if columns[*at].rank == 0 && left > 6 {
            // The most important columns take the rest, even if it is too narrow for them.
            chosen.push((*at, (left - 1) as u16));
            left = 0;
        }
    }
    chosen.sort_unstable();
    left = widen(&mut chosen, left, |at| columns[at].good);
    for (.., at) in &wanted[needed..] {
        let cells = usize::from(columns[*at].good) + 1;
        if cells <= left {
            left -= cells;
            chosen.push((*at, columns[*at].good));
        }
    }
    chosen.sort_unstable();
    widen(&mut chosen, left, |at| columns[at].most);
    let mut x = 0;
    let place = |(column, width): (usize, u16)| {
        let place = Place { column, x, width };
        x += width + 1;
        place
    };
    chosen.into_iter().filter(|(_, width)| *width > 0).map(place).collect()
}

/// Columns up to this rank are placed before any column gets more than its fewest cells.
const NEEDED: u8 = 2;

/// Shares the cells that are left among the columns that can use them, in equal parts. Returns what is left then.
fn widen(chosen: &mut [(usize, u16)], mut left: usize, most: impl Fn(usize) -> u16) -> usize {
    loop {
        let growing = chosen.iter().filter(|(at, width)| *width < most(*at)).count();
        if left == 0 || growing == 0 {
            return left;
        }
        let share = (left / growing).max(1);
        for (at, width) in chosen.iter_mut() {
            let more = share.min(left).min(usize::from(most(*at).saturating_sub(*width)));
            *width += more as u16;
            left -= more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::names::Naming;
    use leaktrace_model::{Callsite, Group, Process, Socket};

    fn check<T: Tabular>() {
        for width in 0..400u16 {
            for (nth, sorting) in (0..T::columns().len()).map(Some).chain([None]).enumerate() {
                let seen = VerdictCounts::from_iter([(Verdict::ALL[nth % 10], 1)]);
                let places = fit::<T>(&Fitting { width, seen, naming: Naming::On, sorting });
                let end = places.last().map_or(0, |place| place.x + place.width);
                assert!(end <= width, "{width}: {places:?}");
                assert!(places.windows(2).all(|pair| pair[0].x + pair[0].width < pair[1].x));
                if width >= 24 {
                    assert!(sorting.is_none_or(|at| places.iter().any(|place| place.column == at)));
                }
            }
        }
    }

    #[test]
    fn columns_never_overlap_or_leave_the_table_and_the_one_that_sorts_is_shown() {
        check::<Callsite>();
        check::<Process>();
        check::<Group>();
        check::<Socket>();
    }

    #[test]
    fn every_column_of_rank_nought_is_on_an_80_column_terminal() {
        let fitting = Fitting {
            width: 80,
            seen: Verdict::ALL.into_iter().map(|verdict| (verdict, 1)).collect(),
            naming: Naming::Off,
            sorting: None,
        };
        let places = fit::<Callsite>(&fitting);
        for (at, column) in Callsite::columns().iter().enumerate().filter(|pair| pair.1.rank == 0) {
            assert!(places.iter().any(|place| place.column == at), "{}", column.name);
        }
    }
}
