//! What one lookup may cost: time and memory.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Longest time of one lookup. Indexing an honest file of a gigabyte takes a fraction of it.
const TIME: Duration = Duration::from_secs(2);
/// Steps between two checks of the clock. A step takes from nanoseconds to a few microseconds.
const STEPS: u32 = 256;

/// Why a lookup found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// This part of the file is damaged or unusual. Other parts may be fine.
    Damaged,
    /// The lookup cost too much. The file must not be asked again.
    TooMuch,
}

impl From<gimli::Error> for Stop {
    fn from(_: gimli::Error) -> Self {
        Self::Damaged
    }
}

/// The rest of what a lookup may cost.
#[derive(Debug)]
pub(crate) struct Budget {
    until: Instant,
    all: usize,
    room: Cell<usize>,
    steps: Cell<u32>,
    spent: Cell<bool>,
}

impl Budget {
    /// A budget of `room` bytes for tables.
    pub(crate) fn new(room: usize) -> Self {
        let until = Instant::now() + TIME;
        Self { until, all: room, room: Cell::new(room), steps: Cell::new(0), spent: Cell::new(false) }
    }

    /// Counts a step of a loop.
    pub(crate) fn step(&self) -> Result<(), Stop> {
        let steps = self.steps.get().wrapping_add(1);
        self.steps.set(steps);
        if steps.is_multiple_of(STEPS) && Instant::now() >= self.until { self.spend() } else { Ok(()) }
    }

    /// Takes memory for a table.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Stop> {
        match self.room.get().checked_sub(bytes) {
            Some(room) => {
                self.room.set(room);
                Ok(())
            }
            None => self.spend(),
        }
    }

    /// Returns memory that was taken for something that is gone.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.room.set(self.room.get().saturating_add(bytes));
    }

    /// Memory that was taken, in bytes.
    pub(crate) fn taken(&self) -> usize {
        self.all.saturating_sub(self.room.get())
    }

    /// Whether a limit was reached, whatever came of it.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.get()
    }

    /// Ends the lookup: the file has too much of something.
    pub(crate) fn spend(&self) -> Result<(), Stop> {
        self.spent.set(true);
        Err(Stop::TooMuch)
    }

    #[cfg(test)]
    pub(crate) fn late() -> Self {
        Self { until: Instant::now(), ..Self::new(usize::MAX) }
    }
}
