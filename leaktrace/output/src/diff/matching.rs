//! Which call sites of two reports are the same code.
//!
//! Three passes, surest first: the same names; the most similar stacks, one to one; call sites that an optimizer has
//! folded into one, or split. Deterministic, and bounded for any report.

use super::{
    alike::{Alike, Knowledge, compare},
    signature::{Name, Signature},
};
use leaktrace_model::Direction;
use std::collections::HashMap;

/// Stacks less alike than this are different call sites.
const ALIKE: f64 = 0.55;
/// Candidates this close to the best count as equally good.
const TIE: f64 = 0.08;
/// Most pairs of frames that are compared; above, only equal names are matched.
const MOST_WORK: usize = 400_000_000;

/// Call sites that are the same code, by their index in each report. One side may be empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Group {
    pub(super) old: Vec<usize>,
    pub(super) new: Vec<usize>,
    /// 1 for equal names, less for similar ones; `None` when one side is empty.
    pub(super) similarity: Option<f64>,
}

/// Matches all call sites; each is in exactly one group.
pub(super) fn pair(old: &[Signature], new: &[Signature], names: &[Name]) -> Vec<Group> {
    let mut groups = equal_names(old, new);
    let lone = |groups: &[Group]| -> (Vec<usize>, Vec<usize>) {
        let without =
            |side: fn(&Group) -> &Vec<usize>| (0..groups.len()).filter(|&at| side(&groups[at]).is_empty()).collect();
        (without(|group| &group.new), without(|group| &group.old))
    };
    let (lone_old, lone_new) = lone(&groups);
    if work(&lone_old, &lone_new, &groups, old, new) <= MOST_WORK {
        let knowledge = Knowledge::of(old, new, names);
        similar(&mut groups, &lone_old, &lone_new, old, new, &knowledge);
        let (lone_old, lone_new) = lone(&groups);
        folded(&mut groups, &lone_old, &lone_new, old, new, &knowledge);
    }
    groups.retain(|group| !group.old.is_empty() || !group.new.is_empty());
    groups
}

/// First pass: the same names. Call sites of one report with the same names differ in addresses or lines only, and become one.
fn equal_names(old: &[Signature], new: &[Signature]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<(Direction, &str, &[u32]), usize> = HashMap::new();
    let mut place = |signature, groups: &mut Vec<Group>| {
        *places.entry(key(signature)).or_insert_with(|| {
            groups.push(Group::default());
            groups.len() - 1
        })
    };
    for (index, signature) in old.iter().enumerate() {
        let at = place(signature, &mut groups);
        groups[at].old.push(index);
    }
    for (index, signature) in new.iter().enumerate() {
        let at = place(signature, &mut groups);
        groups[at].new.push(index);
    }
    for group in &mut groups {
        group.similarity = (!group.old.is_empty() && !group.new.is_empty()).then_some(1.0);
    }
    groups
}

fn key(signature: &Signature) -> (Direction, &str, &[u32]) {
    let program = signature.program.as_deref().unwrap_or(&signature.comm);
    (signature.direction, program, &signature.names)
}

/// How many pairs of frames the second and the third pass compare.
fn work(lone_old: &[usize], lone_new: &[usize], groups: &[Group], old: &[Signature], new: &[Signature]) -> usize {
    let frames = |signatures: &[Signature]| signatures.iter().map(|one| one.names.len() + 1).sum::<usize>();
    let first =
        |at: usize, side: fn(&Group) -> &Vec<usize>, all: &[Signature]| all[side(&groups[at])[0]].names.len() + 1;
    let left: usize = lone_old.iter().map(|&at| first(at, |group| &group.old, old)).sum();
    let right: usize = lone_new.iter().map(|&at| first(at, |group| &group.new, new)).sum();
    left.saturating_mul(frames(new)).saturating_add(right.saturating_mul(frames(old)))
}

/// Second pass: the most similar stacks among those without a partner, one to one where that is possible.
fn similar(
    groups: &mut [Group],
    lone_old: &[usize],
    lone_new: &[usize],
    old: &[Signature],
    new: &[Signature],
    knowledge: &Knowledge<'_>,
) {
    let mut candidates: Vec<(usize, usize, Alike)> = Vec::new();
    for &left in lone_old {
        for &right in lone_new {
            let (one, two) = (&old[groups[left].old[0]], &new[groups[right].new[0]]);
            if one.is_comparable(two) {
                let alike = compare(&one.names, &two.names, knowledge);
                if alike.score >= ALIKE {
                    candidates.push((left, right, alike));
                }
            }
        }
    }
    // A stable sort: equally similar pairs keep the order of the reports, which is worst first.
    candidates.sort_by(|one, two| two.2.score.total_cmp(&one.2.score));
    let mut partner: HashMap<usize, usize> = HashMap::new();
    let mut rest = &candidates[..];
    while let Some((_, _, best)) = rest.first() {
        let (near, further) = rest.split_at(rest.partition_point(|(_, _, alike)| alike.score >= best.score - TIE));
        rest = further;
        for &(left, right, alike) in near {
            if !partner.contains_key(&left) && !partner.contains_key(&right) {
                partner.extend([(left, left), (right, left)]);
                join(groups, left, right, alike.score);
            }
        }
        // If the best partner is taken, the call site was folded into it; the next best would be a wrong one.
        let is_taken: Vec<(bool, bool)> =
            near.iter().map(|(left, right, _)| (partner.contains_key(left), partner.contains_key(right))).collect();
        for (&(left, right, alike), taken) in near.iter().zip(is_taken) {
            let (lone, other) = match taken {
                (false, true) => (left, right),
                (true, false) => (right, left),
                _ => continue,
            };
            if alike.old_within_new() || alike.new_within_old() {
                let into = place_of(&partner, other);
                let from = place_of(&partner, lone);
                if from != into {
                    join(groups, into, from, alike.score);
                }
                partner.extend([(from, into), (lone, into)]);
            }
        }
    }
}

/// Third pass: call sites that an optimizer made of one, or one that it made of several, by leaving out functions. Joins a call
/// site without partner to those whose stack contains its own, or, where their partner is not equal, is contained in it. If
/// several fit equally well, all become one group: their sums can still be compared.
fn folded(
    groups: &mut [Group],
    lone_old: &[usize],
    lone_new: &[usize],
    old: &[Signature],
    new: &[Signature],
    knowledge: &Knowledge<'_>,
) {
    let mut joins: Vec<(usize, Vec<usize>, f64)> = Vec::new();
    let sides = lone_old.iter().map(|&at| (at, true)).chain(lone_new.iter().map(|&at| (at, false)));
    for (lone, is_old) in sides {
        let mut best: Vec<(usize, f64)> = Vec::new();
        for (at, group) in groups.iter().enumerate() {
            let (one, two) = match (is_old, groups[lone].old.first(), groups[lone].new.first()) {
                (true, Some(&own), _) => (Some(&old[own]), group.new.first().map(|&other| &new[other])),
                (false, _, Some(&own)) => (group.old.first().map(|&other| &old[other]), Some(&new[own])),
                _ => continue,
            };
            let (Some(one), Some(two)) = (one, two) else { continue };
            if at == lone || group.similarity.is_none() || !one.is_comparable(two) {
                continue;
            }
            let alike = compare(&one.names, &two.names, knowledge);
            let is_within = if is_old { alike.old_within_new() } else { alike.new_within_old() };
            let is_around = if is_old { alike.new_within_old() } else { alike.old_within_new() };
            let is_equal = group.similarity == Some(1.0);
            if alike.score >= ALIKE && (is_within || is_around && !is_equal) {
                best.push((at, alike.score));
            }
        }
        let top = best.iter().map(|(_, score)| *score).fold(0.0, f64::max);
        best.retain(|(_, score)| *score >= top - TIE);
        if !best.is_empty() {
            joins.push((lone, best.into_iter().map(|(at, _)| at).collect(), top));
        }
    }
    let mut moved: HashMap<usize, usize> = HashMap::new();
    for (lone, into, score) in joins {
        let target = place_of(&moved, into[0]);
        for &other in into.iter().skip(1).chain([&lone]) {
            let from = place_of(&moved, other);
            if from != target {
                join(groups, target, from, score);
                moved.insert(from, target);
            }
        }
    }
}

/// The group that a group has been joined to.
fn place_of(moved: &HashMap<usize, usize>, mut at: usize) -> usize {
    while let Some(&next) = moved.get(&at).filter(|&&next| next != at) {
        at = next;
    }
    at
}

fn join(groups: &mut [Group], into: usize, from: usize, score: f64) {
    let Group { old, new, .. } = std::mem::take(&mut groups[from]);
    let group = &mut groups[into];
    group.old.extend(old);
    group.new.extend(new);
    group.similarity = Some(group.similarity.map_or(score, |before| before.min(score)));
}
