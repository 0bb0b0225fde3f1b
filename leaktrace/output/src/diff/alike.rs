//! How alike two stacks are.
//!
//! Compilers leave functions out of a stack: they inline them, or replace the last call of a function by a jump. They do not
//! exchange one function for another. So a function that is missing on one side costs little, and less if the other report never
//! shows it; two different functions in the same place cost much.

use super::signature::{Name, Signature};

/// Share of its weight that a left-out function costs when the other report shows it nowhere.
const VANISHED: f64 = 0.15;
/// The same when the other report shows it elsewhere.
const LEFT_OUT: f64 = 0.6;
/// How many times its weight a function costs where the other stack has a different one.
const EXCHANGED: f64 = 2.0;

/// What is known about names besides the two stacks.
pub(super) struct Knowledge<'a> {
    names: &'a [Name],
    shown_by_old: Vec<bool>,
    shown_by_new: Vec<bool>,
}

impl<'a> Knowledge<'a> {
    /// Collects which names each report shows.
    pub(super) fn of(old: &[Signature], new: &[Signature], names: &'a [Name]) -> Self {
        let shown = |signatures: &[Signature]| {
            let mut shown = vec![false; names.len()];
            for &name in signatures.iter().flat_map(|signature| &signature.names) {
                shown[name as usize] = true;
            }
            shown
        };
        Self { names, shown_by_old: shown(old), shown_by_new: shown(new) }
    }

    fn weight(&self, name: u32) -> f64 {
        self.names[name as usize].weight
    }

    fn is_own(&self, name: u32) -> bool {
        self.names[name as usize].is_own
    }
}

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alike {
    /// From 0 to 1.
    pub(super) score: f64,
    /// Whether the stacks have anything in common.
    common: bool,
    /// Functions of the application that only the old stack has.
    only_old: usize,
    /// Functions of the application that only the new stack has.
    only_new: usize,
}

impl Alike {
    /// Whether the new stack shows all that the old one does.
    pub(super) fn old_within_new(self) -> bool {
        self.common && self.only_old == 0
    }

    /// Whether the old stack shows all that the new one does.
    pub(super) fn new_within_old(self) -> bool {
        self.common && self.only_new == 0
    }
}

/// Compares a stack of the old report with one of the new, leaf first.
pub(super) fn compare(old: &[u32], new: &[u32], knowledge: &Knowledge<'_>) -> Alike {
    if old.is_empty() && new.is_empty() {
        // Neither has a stack: both are the sockets of their program whose origin is not known.
        return Alike { score: 1.0, ..Alike::default() };
    }
    let mut matched = common(old, new, knowledge);
    let shared: f64 = matched.iter().map(|&(left, _)| knowledge.weight(old[left])).sum();
    let own_shared = matched.iter().any(|&(left, _)| knowledge.is_own(old[left]));
    matched.push((old.len(), new.len()));
    let mut alike = Alike { common: own_shared, ..Alike::default() };
    let (mut left, mut right, mut cost) = (0, 0, 0.0);
    let mut at_leaf = true;
    for (next_left, next_right) in matched {
        let (one, two) = (&old[left..next_left], &new[right..next_right]);
        let own = |names: &[u32]| names.iter().filter(|&&name| knowledge.is_own(name)).count();
        let (own_one, own_two) = (own(one), own(two));
        let hidden = |names: &[u32], shown: &[bool]| names.iter().all(|&name| !shown[name as usize]);
        let exchanged = own_one > 0 && own_two > 0;
        // A function that the other report shows elsewhere was not left out here by the compiler.
        if exchanged && (at_leaf || !hidden(one, &knowledge.shown_by_new) || !hidden(two, &knowledge.shown_by_old)) {
            return Alike::default();
        }
        let price = |names: &[u32], shown: &[bool]| -> f64 {
            let share = |name: u32| match (exchanged, shown[name as usize]) {
                (true, _) => EXCHANGED,
                (false, true) => LEFT_OUT,
                (false, false) => VANISHED,
            };
            names.iter().map(|&name| knowledge.weight(name) * share(name)).sum()
        };
        cost += price(one, &knowledge.shown_by_new) + price(two, &knowledge.shown_by_old);
        alike.only_old += own_one;
        alike.only_new += own_two;
        if let Some(&name) = old.get(next_left) {
            at_leaf &= !knowledge.is_own(name);
        }
        (left, right) = (next_left + 1, next_right + 1);
    }
    if shared > 0.0 {
        alike.score = 2.0 * shared / (2.0 * shared + cost);
    }
    alike
}

/// The heaviest common subsequence: places in both stacks, in order.
fn common(old: &[u32], new: &[u32], knowledge: &Knowledge<'_>) -> Vec<(usize, usize)> {
    let columns = new.len() + 1;
    // Entry (i, j): the common weight of both stacks from i and j on.
    let mut table = vec![0.0_f64; (old.len() + 1) * columns];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            let skipped = table[(i + 1) * columns + j].max(table[i * columns + j + 1]);
            let taken =
                if old[i] == new[j] { table[(i + 1) * columns + j + 1] + knowledge.weight(old[i]) } else { 0.0 };
            table[i * columns + j] = skipped.max(taken);
        }
    }
    let (mut i, mut j, mut places) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        let here = table[i * columns + j];
        if old[i] == new[j] && here == table[(i + 1) * columns + j + 1] + knowledge.weight(old[i]) {
            places.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if here == table[(i + 1) * columns + j] {
            i += 1;
        } else {
            j += 1;
        }
    }
    places
}
