//! What identifies a call site across builds: program, direction, and the normal names on its stack with their weight.
//!
//! A name that many call sites share identifies none of them, so it weighs little; so do the frames of runtimes.

use super::{
    name,
    read::{Site, SiteFrame},
};
use crate::{naming::base_name, own_code::is_plumbing};
use leaktrace_model::{Direction, Frame};
use std::collections::{HashMap, HashSet};

/// Frames beyond this, counted from the leaf, are not compared.
const COMPARED: usize = 96;
/// Share of its weight that the frame of a runtime keeps.
const PLUMBING: f64 = 0.25;
/// Share of its weight that code without a name keeps.
const NAMELESS: f64 = 0.1;

/// One call site for comparison.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) direction: Direction,
    pub(super) comm: String,
    pub(super) program: Option<String>,
    /// Indexes into the names, leaf first; a function that calls itself is listed once.
    pub(super) names: Vec<u32>,
}

impl Signature {
    /// Whether both can be the same call site: the same direction, and the same executable or process name.
    pub(super) fn is_comparable(&self, other: &Self) -> bool {
        let same_program = matches!((&self.program, &other.program), (Some(one), Some(two)) if one == two);
        self.direction == other.direction && (same_program || self.comm == other.comm)
    }
}

/// The call sites of two reports.
pub(super) struct Signatures {
    pub(super) old: Vec<Signature>,
    pub(super) new: Vec<Signature>,
    /// How much each name says.
    pub(super) names: Vec<Name>,
}

/// How much a name says about a call site.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    /// From 0 to 1.
    pub(super) weight: f64,
    /// Whether it is a function of the application, not of a runtime, and known by name.
    pub(super) is_own: bool,
}

#[derive(Default)]
struct Names {
    indexes: HashMap<String, u32>,
    shares: Vec<f64>,
    sites: Vec<u32>,
}

/// Prepares both reports.
pub(super) fn signatures(old: &[Site], new: &[Site]) -> Signatures {
    let mut names = Names::default();
    let old: Vec<_> = old.iter().map(|site| names.signature(site)).collect();
    let new: Vec<_> = new.iter().map(|site| names.signature(site)).collect();
    let all = (old.len() + new.len()).max(1) as f64;
    let tell = |(share, sites): (&f64, &u32)| Name {
        weight: share * (1.0 + all / f64::from((*sites).max(1))).ln() / (1.0 + all).ln(),
        is_own: *share >= 1.0,
    };
    let names = names.shares.iter().zip(&names.sites).map(tell).collect();
    Signatures { old, new, names }
}

impl Names {
    fn signature(&mut self, site: &Site) -> Signature {
        let mut names: Vec<u32> = Vec::new();
        for frame in site.stack.iter() {
            let (text, share) = match frame.symbol.as_deref().map(name::normal) {
                Some(text) if text.is_empty() => continue,
                Some(text) => (text, if is_runtime(frame) { PLUMBING } else { 1.0 }),
                None => (name::module(frame.module.as_deref().unwrap_or("")), NAMELESS),
            };
            let index = self.index(text, share);
            if names.last() != Some(&index) && names.len() < COMPARED {
                names.push(index);
            }
        }
        for index in names.iter().copied().collect::<HashSet<_>>() {
            if let Some(sites) = self.sites.get_mut(index as usize) {
                *sites += 1;
            }
        }
        Signature {
            direction: site.direction,
            comm: site.comm.clone(),
            program: site.exe.as_deref().map(|exe| base_name(exe).trim_end_matches(" (deleted)").to_owned()),
            names,
        }
    }

    fn index(&mut self, text: String, share: f64) -> u32 {
        let next = self.shares.len() as u32;
        let index = *self.indexes.entry(text).or_insert(next);
        if index == next {
            self.shares.push(share);
            self.sites.push(0);
        }
        index
    }
}

fn is_runtime(frame: &SiteFrame) -> bool {
    is_plumbing(&Frame { symbol: frame.symbol.clone(), module: frame.module.clone(), ..Frame::default() })
}
