//! The columns that tables have in common: how bad, how many, how that changes, which verdicts.

use super::cells;
use super::{Column, Sort, When, left, right};
use crate::history::Whose;
use leaktrace_model::snapshot::{Callsite, Group, Process};

/// A row that stands for sockets.
pub trait Tally: 'static {
    /// Whose history it has.
    fn whose(&self) -> Whose;
    /// Sockets that are open.
    fn open(&self) -> u64;
    /// Those with a verdict.
    fn flagged(&self) -> u64;
    /// Kernel memory that they take, in bytes.
    fn memory_bytes(&self) -> u64;
}

/// One whose change is judged.
pub trait Judged: Tally {
    /// Change of open sockets a minute.
    fn growth_per_min(&self) -> Option<f64>;
    /// Whether that is growth.
    fn growing(&self) -> Option<bool>;
    /// Payload that waits unread, in bytes.
    fn rx_queue_bytes(&self) -> u64;
}

macro_rules! tally {
    ($row:ty, $whose:expr) => {
        impl Tally for $row {
            fn whose(&self) -> Whose {
                $whose(self)
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
    };
}

macro_rules! judged {
    ($row:ty) => {
        impl Judged for $row {
            fn growth_per_min(&self) -> Option<f64> {
                self.growth_per_min
            }

            fn growing(&self) -> Option<bool> {
                self.growing
            }

            fn rx_queue_bytes(&self) -> u64 {
                self.rx_queue_bytes
            }
        }
    };
}

tally!(Callsite, |row: &Callsite| Whose::Callsite(row.id));
tally!(Group, |row: &Group| Whose::group(&row.name));
tally!(Process, |row: &Process| Whose::Process(row.pid));
judged!(Callsite);
judged!(Group);

/// A sign of the worst verdict.
pub const fn how_bad<T>() -> Column<T> {
    left("", "how bad", [1, 1, 1], 0)
        .shows(|_, around| cells::sign(around), Sort::Number(|_, around| cells::badness(around)))
}

/// Open sockets.
pub const fn open<T: Tally>(about: &'static str) -> Column<T> {
    right("OPEN", about, [5, 5, 5], 0)
        .shows(|row, around| cells::count(row.open(), around), Sort::Number(|row, _| Some(row.open() as f64)))
}

/// Sockets with a verdict.
pub const fn flagged<T: Tally>(about: &'static str) -> Column<T> {
    right("FLAG", about, [5, 5, 5], 0)
        .shows(|row, around| cells::flagged(row.flagged(), around), Sort::Number(|row, _| Some(row.flagged() as f64)))
}

/// Change of open sockets.
pub const fn growth<T: Judged>() -> Column<T> {
    right("+/MIN", "change of open sockets a minute; marked where it is judged to grow", [6, 6, 6], 2).shows(
        |row, around| cells::growth(row.growth_per_min(), row.growing(), around),
        Sort::Number(|row, _| row.growth_per_min()),
    )
}

/// Open sockets over time.
pub const fn trend<T: Tally>(sort: Sort<T>) -> Column<T> {
    left("TREND", "open sockets over the whole run", [8, 10, 16], 3).shows(
        |row, around| cells::trend(around.history.row(row.whose()).filter(|_| around.extra.is_none()), around),
        sort,
    )
}

/// All verdicts in one text.
pub const fn verdicts<T>() -> Column<T> {
    left("VERDICTS", "all verdicts with their counts", [16, 30, 64], 1)
        .when(When::Otherwise)
        .shows(|_, around| cells::verdicts(around), Sort::Number(|_, around| cells::badness(around)))
}

/// Payload that waits unread.
pub const fn unread<T: Judged>() -> Column<T> {
    right("RXQ", "payload that waits unread", [5, 5, 5], 6).shows(
        |row, around| cells::size(row.rx_queue_bytes(), around),
        Sort::Number(|row, _| Some(row.rx_queue_bytes() as f64)),
    )
}

/// Kernel memory.
pub const fn memory<T: Tally>(about: &'static str, rank: u8) -> Column<T> {
    right("MEM", about, [5, 5, 5], rank).shows(
        |row, around| cells::size(row.memory_bytes(), around),
        Sort::Number(|row, _| Some(row.memory_bytes() as f64)),
    )
}
