//! Rows of one kind, from sample to sample: only differences are written.
//!
//! A row is an array of cells, which are numbers. Its first cells are its key, and rows are sorted by key. Knows nothing of what cells mean.

use super::block::Damage;
use serde::{Deserialize, Serialize};

/// Cells of a row that differ from another row: the cell's index, and by how much (wrapping).
pub(crate) type Cells = Vec<(u8, i64)>;

/// One step from the rows of the previous sample to those of this one. Previous rows after the last step are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// This many rows stay as they were.
    Keep(u32),
    /// This many rows are gone.
    Drop(u32),
    /// A row has changed; its differences from what it was.
    Change(Cells),
    /// A row is new; its differences from the row above it.
    New(Cells),
}

/// The rows of one kind, as the last sample had them. `N` cells, of which the first `K` are the key.
#[derive(Clone, Debug)]
pub(crate) struct Table<const N: usize, const K: usize> {
    rows: Vec<[u64; N]>,
    most: usize,
}

impl<const N: usize, const K: usize> Table<N, K> {
    /// A table without rows. It holds at most `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { rows: Vec::new(), most }
    }

    /// How many rows it may hold.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// The rows.
    pub(crate) fn rows(&self) -> &[[u64; N]] {
        &self.rows
    }

    /// Replaces the rows by `now`, which is sorted by key, and passes the steps that lead there to `emit`.
    ///
    /// # Errors
    /// Those of `emit`.
    pub(crate) fn go_to<E>(
        &mut self,
        now: Vec<[u64; N]>,
        mut emit: impl FnMut(Step) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut before = self.rows.iter().peekable();
        let (mut kept, mut above) = (0, [0; N]);
        for row in &now {
            let mut gone = 0;
            while before.next_if(|old| old[..K] < row[..K]).is_some() {
                gone += 1;
            }
            let old = before.next_if(|old| old[..K] == row[..K]);
            if gone == 0 && old == Some(row) {
                kept += 1;
                above = *row;
                continue;
            }
            if kept > 0 {
                emit(Step::Keep(std::mem::take(&mut kept)))?;
            }
            if gone > 0 {
                emit(Step::Drop(gone))?;
            }
            match old {
                Some(old) if old == row => kept = 1,
                Some(old) => emit(Step::Change(difference(old, row)))?,
                None => emit(Step::New(difference(&above, row)))?,
            }
            above = *row;
        }
        if kept > 0 {
            emit(Step::Keep(kept))?;
        }
        self.rows = now;
        Ok(())
    }
}

fn difference<const N: usize>(old: &[u64; N], new: &[u64; N]) -> Cells {
    let cells = old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new);
    cells.map(|(cell, (old, new))| (cell as u8, new.wrapping_sub(*old).cast_signed())).collect()
}

fn apply<const N: usize>(row: &[u64; N], cells: &Cells) -> Result<[u64; N], Damage> {
    let mut row = *row;
    for (cell, by) in cells {
        let cell = row.get_mut(usize::from(*cell)).ok_or(Damage::Nonsense("a cell that no row has"))?;
        *cell = cell.wrapping_add_signed(*by);
    }
    Ok(row)
}

/// The rows of a sample while its steps are read.
#[derive(Debug)]
pub(crate) struct Growing<const N: usize> {
    rows: Vec<[u64; N]>,
    at: usize,
}

impl<const N: usize> Default for Growing<N> {
    fn default() -> Self {
        Self { rows: Vec::new(), at: 0 }
    }
}

impl<const N: usize> Growing<N> {
    /// Applies one step to the rows of `before`.
    ///
    /// # Errors
    /// When `before` has no such row, a row has no such cell, or there are too many rows.
    pub(crate) fn apply<const K: usize>(&mut self, before: &Table<N, K>, step: &Step) -> Result<(), Damage> {
        const NOWHERE: Damage = Damage::Nonsense("a row that was not there");
        let rest = before.rows.get(self.at..).unwrap_or_default();
        match step {
            Step::Keep(count) => {
                let kept = rest.get(..*count as usize).ok_or(NOWHERE)?;
                self.rows.extend_from_slice(kept);
                self.at += kept.len();
            }
            Step::Drop(count) => {
                self.at += rest.get(..*count as usize).ok_or(NOWHERE)?.len();
            }
            Step::Change(cells) => {
                self.rows.push(apply(rest.first().ok_or(NOWHERE)?, cells)?);
                self.at += 1;
            }
            Step::New(cells) => {
                let row = apply(self.rows.last().unwrap_or(&[0; N]), cells)?;
                self.rows.push(row);
            }
        }
        if self.rows.len() > before.most {
            return Err(Damage::Nonsense("more rows than a host has"));
        }
        Ok(())
    }

    /// Makes them the rows of the table.
    pub(crate) fn finish<const K: usize>(self, table: &mut Table<N, K>) {
        table.rows = self.rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn steps(table: &mut Table<3, 1>, rows: Vec<[u64; 3]>) -> Vec<Step> {
        let mut steps = Vec::new();
        let emit = |step| {
            steps.push(step);
            Ok::<(), ()>(())
        };
        table.go_to(rows, emit).unwrap();
        steps
    }

    #[test]
    fn rows_that_stay_cost_one_step() {
        let mut table = Table::new(100);
        let rows: Vec<[u64; 3]> = (0..50).map(|key| [key, key * 7, 1]).collect();
        steps(&mut table, rows.clone());
        assert_eq!(steps(&mut table, rows.clone()), [Step::Keep(50)]);
        let mut other = rows;
        other[20][2] = 0;
        other.remove(30);
        assert_eq!(
            steps(&mut table, other),
            [Step::Keep(20), Step::Change(vec![(2, -1)]), Step::Keep(9), Step::Drop(1), Step::Keep(19)]
        );
    }

    #[test]
    fn steps_that_lead_nowhere_are_refused() {
        let table = Table::<3, 1>::new(2);
        for step in [Step::Keep(1), Step::Drop(1), Step::Change(vec![]), Step::New(vec![(3, 1)])] {
            assert!(Growing::default().apply(&table, &step).is_err(), "{step:?}");
        }
        let mut growing = Growing::default();
        assert!(growing.apply(&table, &Step::New(vec![])).is_ok());
        assert!(growing.apply(&table, &Step::New(vec![])).is_ok());
        assert!(growing.apply(&table, &Step::New(vec![])).is_err(), "a third row where two are the limit");
    }

    fn some_rows() -> impl Strategy<Value = Vec<[u64; 3]>> {
        let row = (0..30_u64, any::<u64>(), 0..3_u64).prop_map(|(key, big, small)| [key, big, small]);
        proptest::collection::vec(row, 0..40).prop_map(|mut rows| {
            rows.sort_by_key(|row| row[0]);
            rows
        })
    }

    proptest! {
        #[test]
        fn steps_lead_from_any_rows_to_any_others(samples in proptest::collection::vec(some_rows(), 1..6)) {
            let (mut writes, mut reads) = (Table::<3, 1>::new(1000), Table::<3, 1>::new(1000));
            for rows in samples {
                let mut growing = Growing::default();
                for step in steps(&mut writes, rows.clone()) {
                    growing.apply(&reads, &step).unwrap();
                }
                growing.finish(&mut reads);
                prop_assert_eq!(reads.rows(), &rows[..]);
            }
        }
    }
}
