//! The columns that tables of counted rows have in common: severity, counts, trends, verdicts.

use super::cells;
use super::{Column, Sort, When, left, right};
use crate::rows::history::Whose;
use leaktrace_model::{Callsite, Group, Process, Sums, Trend};

/// A row that stands for sockets.
pub(crate) trait CountedRow: 'static {
    /// Whose history it has.
    fn whose(&self) -> Whose;
    /// Sockets that are open.
    fn open(&self) -> u64;
    /// Those with a verdict.
    fn flagged(&self) -> u64;
    /// Kernel memory that they take, in bytes.
    fn memory_bytes(&self) -> u64;
}

/// A counted row with sums, whose growth is judged.
pub(crate) trait Judged: CountedRow {
    /// Sums over its sockets.
    fn sums(&self) -> &Sums;
    /// How their number moves.
    fn trend(&self) -> Option<Trend>;
}

macro_rules! judged {
    ($row:ty, $whose:expr) => {
        impl CountedRow for $row {
            fn whose(&self) -> Whose {
                $whose(self)
            }

            fn open(&self) -> u64 {
                self.sums.open
            }

            fn flagged(&self) -> u64 {
                self.sums.flagged
            }

            fn memory_bytes(&self) -> u64 {
                self.sums.memory_bytes
            }
        }

        impl Judged for $row {
            fn sums(&self) -> &Sums {
                &self.sums
            }

            fn trend(&self) -> Option<Trend> {
                self.trend
            }
        }
    };
}

judged!(Callsite, |row: &Callsite| Whose::Callsite(row.id));
judged!(Group, |row: &Group| Whose::Group(row.key));

impl CountedRow for Process {
    fn whose(&self) -> Whose {
        Whose::Process(self.pid)
    }

    fn open(&self) -> u64 {
        self.open
    }

    fn flagged(&self) -> u64 {
        self.flagged
    }

    fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }
}

/// A sign of the worst verdict.
pub(crate) const fn how_bad<T>() -> Column<T> {
    left("", "how bad", [1, 1, 1], 0)
        .shows(|_, around| cells::sign(around), Sort::Number(|_, around| cells::badness(around)))
}

/// Open sockets.
pub(crate) const fn open<T: CountedRow>(about: &'static str) -> Column<T> {
    right("OPEN", about, [5, 5, 5], 0)
        .shows(|row, around| cells::count(row.open(), around), Sort::Number(|row, _| Some(row.open() as f64)))
}

/// Sockets with a verdict.
pub(crate) const fn flagged<T: CountedRow>(about: &'static str) -> Column<T> {
    right("FLAG", about, [5, 5, 5], 0)
        .shows(|row, around| cells::flagged(row.flagged(), around), Sort::Number(|row, _| Some(row.flagged() as f64)))
}

/// Change of open sockets.
pub(crate) const fn growth<T: Judged>() -> Column<T> {
    right("+/MIN", "change of open sockets a minute; marked where it is judged to grow", [6, 6, 6], 2).shows(
        |row, around| cells::growth(row.trend(), around),
        Sort::Number(|row, _| row.trend().map(|trend| trend.per_min)),
    )
}

/// Open sockets over time.
pub(crate) const fn trend<T: CountedRow>(sort: Sort<T>) -> Column<T> {
    left("TREND", "open sockets over the whole run", [8, 10, 16], 3).shows(
        |row, around| cells::trend(around.history.row(row.whose()).filter(|_| around.extra.is_none()), around),
        sort,
    )
}

/// Age of the oldest.
pub(crate) const fn oldest<T: Judged>() -> Column<T> {
    right("OLDEST", "age of the oldest", [7, 7, 7], 1)
        .shows(|row, around| cells::age(row.sums().oldest, around), Sort::Number(|row, _| row.sums().oldest_s()))
}

/// All verdicts in one text.
pub(crate) const fn verdicts<T>() -> Column<T> {
    left("VERDICTS", "all verdicts with their counts", [16, 30, 64], 1)
        .when(When::Otherwise)
        .shows(|_, around| cells::verdicts(around), Sort::Number(|_, around| cells::badness(around)))
}

/// Payload that waits unread.
pub(crate) const fn unread<T: Judged>() -> Column<T> {
    right("RXQ", "payload that waits unread", [5, 5, 5], 6).shows(
        |row, around| cells::size(row.sums().rx_queue_bytes, around),
        Sort::Number(|row, _| Some(row.sums().rx_queue_bytes as f64)),
    )
}

/// Kernel memory.
pub(crate) const fn memory<T: CountedRow>(about: &'static str, rank: u8) -> Column<T> {
    right("MEM", about, [5, 5, 5], rank).shows(
        |row, around| cells::size(row.memory_bytes(), around),
        Sort::Number(|row, _| Some(row.memory_bytes() as f64)),
    )
}
