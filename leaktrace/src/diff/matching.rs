//! Which call sites of two reports are the same code.
//!
//! Three passes, surest first: the same names; the most similar stacks, one to one; call sites that an optimizer has
//! folded into one, or taken apart. Deterministic, and bounded whatever the reports hold.

use super::signature::Signature;
use std::collections::HashMap;

/// Stacks less alike than this are different call sites.
const ALIKE: f64 = 0.55;
/// How much of the shorter stack must be within the longer one to count as the same code with functions left out.
const CONTAINED: f64 = 0.95;
/// Comparisons of stacks at the most; beyond, only equal names are matched.
const MOST_COMPARISONS: usize = 2_000_000;

/// Call sites that are the same code, by their index in each report. One side may be empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Group {
    pub old: Vec<usize>,
    pub new: Vec<usize>,
    /// 1 for equal names, less for similar ones; `None` when one side is empty.
    pub similarity: Option<f64>,
}

/// How alike two stacks are.
#[derive(Clone, Copy, Debug)]
struct Likeness {
    /// From 0 to 1.
    score: f64,
    /// Share of the lighter stack that is in the other, in order.
    contained: f64,
}

/// Matches all call sites; each is in exactly one group.
pub(super) fn pair(old: &[Signature], new: &[Signature], weights: &[f64]) -> Vec<Group> {
    let mut groups = equal_names(old, new);
    similar(&mut groups, old, new, weights);
    groups
}

/// First pass. Call sites of one report that have the same names differ in addresses or lines only; they are one here.
fn equal_names(old: &[Signature], new: &[Signature]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<(&str, &str, &[u32]), usize> = HashMap::new();
    for (index, signature) in old.iter().enumerate() {
        let at = *places.entry(key(signature)).or_insert_with(|| {
            groups.push(Group::default());
            groups.len() - 1
        });
        groups[at].old.push(index);
    }
    for (index, signature) in new.iter().enumerate() {
        let at = *places.entry(key(signature)).or_insert_with(|| {
            groups.push(Group::default());
            groups.len() - 1
        });
        groups[at].new.push(index);
    }
    for group in &mut groups {
        group.similarity = (!group.old.is_empty() && !group.new.is_empty()).then_some(1.0);
    }
    groups
}

fn key(signature: &Signature) -> (&str, &str, &[u32]) {
    let program = signature.program.as_deref().unwrap_or(&signature.comm);
    (&signature.direction, program, &signature.names)
}

/// Second and third pass, over what the first has left alone.
fn similar(groups: &mut Vec<Group>, old: &[Signature], new: &[Signature], weights: &[f64]) {
    let lone_old: Vec<usize> = (0..groups.len()).filter(|&at| groups[at].new.is_empty()).collect();
    let lone_new: Vec<usize> = (0..groups.len()).filter(|&at| groups[at].old.is_empty()).collect();
    if lone_old.len().saturating_mul(lone_new.len()) > MOST_COMPARISONS {
        return;
    }
    let mut likenesses: Vec<(usize, usize, Likeness)> = Vec::new();
    for &left in &lone_old {
        let one = &old[groups[left].old[0]];
        for &right in &lone_new {
            let two = &new[groups[right].new[0]];
            if one.is_comparable(two) {
                let likeness = compare(&one.names, &two.names, weights);
                if likeness.score >= ALIKE {
                    likenesses.push((left, right, likeness));
                }
            }
        }
    }
    // Stable: what is equally alike keeps the order of the reports, which is worst first.
    likenesses.sort_by(|one, two| two.2.score.total_cmp(&one.2.score));
    let mut partner: HashMap<usize, usize> = HashMap::new();
    for &(left, right, likeness) in &likenesses {
        if !partner.contains_key(&left) && !partner.contains_key(&right) {
            partner.insert(left, right);
            partner.insert(right, left);
            join(groups, left, right, likeness.score);
        }
    }
    // Several call sites of one build are one in the other where a function between was put into its caller: the
    // lone one then lies within, or around, a stack whose own partner is not its equal.
    for &(left, right, likeness) in &likenesses {
        let (lone, taken) = match (partner.get(&left), partner.get(&right)) {
            (None, Some(&taken)) => (left, taken),
            (Some(_), None) => (right, left),
            _ => continue,
        };
        if likeness.contained >= CONTAINED {
            partner.insert(lone, taken);
            join(groups, taken, lone, likeness.score);
        }
    }
    groups.retain(|group| !group.old.is_empty() || !group.new.is_empty());
}

fn join(groups: &mut [Group], into: usize, from: usize, score: f64) {
    let Group { old, new, .. } = std::mem::take(&mut groups[from]);
    let group = &mut groups[into];
    group.old.extend(old);
    group.new.extend(new);
    group.similarity = Some(group.similarity.map_or(score, |before| before.min(score)));
}

/// Compares by the heaviest common subsequence: frames may be left out on either side, their order may not change.
fn compare(one: &[u32], two: &[u32], weights: &[f64]) -> Likeness {
    if one.is_empty() && two.is_empty() {
        // Both have no stack: the rest of their program's sockets, as far as anyone can tell.
        return Likeness { score: 1.0, contained: 0.0 };
    }
    let weight = |name: u32| weights.get(name as usize).copied().unwrap_or(0.0);
    let sum = |names: &[u32]| names.iter().map(|&name| weight(name)).sum::<f64>();
    let (lighter, heavier) = {
        let (left, right) = (sum(one), sum(two));
        (left.min(right), left.max(right))
    };
    if lighter <= 0.0 {
        return Likeness { score: 0.0, contained: 0.0 };
    }
    let mut row = vec![0.0_f64; two.len() + 1];
    for &left in one {
        let mut diagonal = 0.0;
        for (column, &right) in two.iter().enumerate() {
            let above = row[column + 1];
            let matched = if left == right { diagonal + weight(left) } else { 0.0 };
            row[column + 1] = above.max(row[column]).max(matched);
            diagonal = above;
        }
    }
    let common = row[two.len()];
    let contained = common / lighter;
    Likeness { score: 0.6 * contained + 0.4 * common / heavier, contained }
}
