//! Passes over records. There are three ways:
//! - by lists of keys from the [`KeyCache`], while there are few records;
//! - by an iterator over the map, with many records;
//! - by lists of keys read from the map, where the kernel forbids iterators over maps. This copies each record to user space.
//!
//! Hardened kernels forbid iterators over maps: a 6.18 of a sandbox returned EPERM for each, before verifying the program.
//!
//! All three are needed. Processor time of one pass over 1,000, 50,000 and 1,000,000 records, medians in milliseconds (Linux 6.18):
//! cache 1.2, 61, 901; iterator 7.2, 44, 797; lists read from the map 4.9, 53, 978; a walk over the kernel's own tables 2.8, 60, 1,251.
//! The cache and the iterator are the fewest that are within a fifth of the best at every size. Lists read from the map fill the cache,
//! and are the only sweep where iterators are forbidden. Only a walk finds sockets without a record.

use super::{
    iterators::{self, Load, Rows},
    key_cache::KeyCache,
    map_entries::{self, Position},
};
use crate::{
    error::{StartError, chain},
    maps::{MappedArray, map_array},
};
use aya::{
    Btf, Ebpf,
    programs::{RawTracePointRunOptions, TestRun as _},
};
use bytes::BytesMut;
use leaktrace_common::{Listed, MAX_LISTED, SocketRecord, SocketRow, row_kind};
use std::{
    error::Error,
    os::fd::{AsFd as _, OwnedFd},
    thread,
    time::{Duration, Instant},
};

/// If this variable is set, iterators over maps are not used: for tests on kernels that have them.
const NO_ITERATORS: &str = "LEAKTRACE_NO_MAP_ITERATORS";

/// The kind of object of an iterator over the entries of a map (5.8).
const OVER: &str = "bpf_map_elem";

/// How long lookups may return no entries because the table is locked.
const PATIENCE: Duration = Duration::from_secs(1);

/// A pass over records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordPass {
    /// Visits the socket of each record.
    Sockets,
    /// Removes stale records.
    Sweep,
}

impl RecordPass {
    /// Name of its program that is an iterator.
    const fn iterator(self) -> &'static str {
        match self {
            Self::Sockets => "pass_records",
            Self::Sweep => "pass_sweep",
        }
    }

    /// Name of its program that goes through a list.
    const fn by_list(self) -> &'static str {
        match self {
            Self::Sockets => "list_records",
            Self::Sweep => "list_sweep",
        }
    }
}

/// How passes go through the records on this kernel.
pub(crate) struct Records {
    has_iterators: bool,
    /// Used without iterators, or with a cache.
    lists: Option<Lists>,
    /// From 6.2 on: there sockets can be read quickly by their address.
    cache: Option<KeyCache>,
}

impl Records {
    /// Loads the programs of the passes over records, and `others`.
    ///
    /// # Errors
    /// If the kernel refuses a program that cannot be replaced by another.
    pub(crate) fn load(
        ebpf: &mut Ebpf,
        btf: &Btf,
        has_rdonly_cast: bool,
        others: &[(&str, Load<'_>)],
    ) -> Result<Self, StartError> {
        let mut wanted = others.to_vec();
        let refusal = refusal_of_iterators(ebpf, btf)?;
        if refusal.is_none() {
            wanted.push((RecordPass::Sockets.iterator(), Load::Over(OVER)));
        }
        let has_lists = refusal.is_some() || has_rdonly_cast;
        if has_lists {
            wanted.extend([RecordPass::Sockets, RecordPass::Sweep].map(|pass| (pass.by_list(), Load::OnRequest)));
        }
        iterators::load(ebpf, btf, &wanted).map_err(|error| match (error, &refusal) {
            (StartError::Load { reason }, Some(refusal)) => StartError::Load {
                reason: format!(
                    "{reason}; iterators over maps, which others stand in for from 5.17 on, it forbids: {refusal}"
                ),
            },
            (other, _) => other,
        })?;
        Ok(Self {
            has_iterators: refusal.is_none(),
            lists: has_lists.then(|| Lists::new(ebpf)).transpose()?,
            cache: has_rdonly_cast.then(|| KeyCache::new(ebpf)).transpose()?,
        })
    }

    /// Whether passes use lists for any number of records.
    pub(crate) fn are_always_listed(&self) -> bool {
        !self.has_iterators
    }

    /// Whether the cost of a pass depends on how many sockets are open, not on the size of the table.
    pub(crate) fn have_known_keys(&mut self) -> bool {
        self.cache.as_mut().is_some_and(KeyCache::is_valid)
    }

    /// Runs a pass to its end and decodes its rows. `open` is the number of open sockets that the last pass found.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(crate) fn run(
        &mut self,
        ebpf: &mut Ebpf,
        pass: RecordPass,
        open: u64,
        buffer: &mut BytesMut,
        rows: &mut Rows,
    ) -> Result<(), StartError> {
        let has_known_keys = self.have_known_keys();
        let Self { has_iterators, lists, cache } = self;
        let cache = cache.as_mut().filter(|_| has_known_keys || KeyCache::is_worth_filling(open));
        match (lists, cache) {
            (Some(lists), Some(cache)) if has_known_keys => lists.run_over(ebpf, pass, cache, rows),
            (Some(lists), cache) if cache.is_some() || !*has_iterators => {
                let map = iterators::hash_map(ebpf, "SOCKETS")?;
                lists.run(ebpf, pass, &map, cache, rows)
            }
            _ => {
                let map = iterators::hash_map(ebpf, "SOCKETS")?;
                iterators::run_over_map(ebpf, pass.iterator(), &map, buffer, rows)
            }
        }
    }
}

/// Loads the sweep, the shortest of the iterators over maps. Returns the reason if the kernel refuses such iterators.
fn refusal_of_iterators(ebpf: &mut Ebpf, btf: &Btf) -> Result<Option<String>, StartError> {
    if std::env::var_os(NO_ITERATORS).is_some() {
        return Ok(Some(format!("{NO_ITERATORS} is set")));
    }
    let refusal = iterators::load_unless_forbidden(ebpf, btf, RecordPass::Sweep.iterator(), OVER)?;
    Ok(refusal.map(|refusal| refusal.to_string()))
}

/// What passes by list work with.
pub(super) struct Lists {
    list: MappedArray<u64>,
    listed: MappedArray<Listed>,
    rows: MappedArray<SocketRow>,
    keys: Vec<u64>,
    values: Vec<SocketRecord>,
}

impl Lists {
    fn new(ebpf: &mut Ebpf) -> Result<Self, StartError> {
        let most = MAX_LISTED as usize;
        Ok(Self {
            list: map_array(ebpf, "LIST", most)?,
            listed: map_array(ebpf, "LISTED", 1)?,
            rows: map_array(ebpf, "LISTED_ROWS", most)?,
            keys: vec![0; most],
            values: vec![SocketRecord::default(); most],
        })
    }

    /// Goes through all keys of the map, and fills the cache with them.
    fn run(
        &mut self,
        ebpf: &mut Ebpf,
        pass: RecordPass,
        map: &OwnedFd,
        mut cache: Option<&mut KeyCache>,
        rows: &mut Rows,
    ) -> Result<(), StartError> {
        let sample = |error: &dyn Error| StartError::Sample { reason: chain(error) };
        if let Some(cache) = &mut cache {
            cache.begin_filling();
        }
        let mut position = Position::Start;
        let mut locked_since = None;
        while position != Position::End {
            let (len, next) = map_entries::look_up(map.as_fd(), position, &mut self.keys, &mut self.values)
                .map_err(|error| sample(&error))?;
            position = next;
            if len == 0 {
                let since = *locked_since.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    // The next pass is complete again. This one counts as damaged.
                    rows.damaged += 1;
                    if let Some(cache) = &mut cache {
                        cache.invalidate();
                    }
                    return Ok(());
                }
                thread::yield_now();
                continue;
            }
            locked_since = None;
            let keys = self.keys.get(..len).unwrap_or(&self.keys);
            if let Some(cache) = &mut cache {
                keys.iter().for_each(|key| cache.add(*key));
            }
            self.run_list(ebpf, pass, keys, false, rows)?;
        }
        Ok(())
    }

    /// Goes through the keys in the cache, and keeps those that still have a record.
    fn run_over(
        &self,
        ebpf: &mut Ebpf,
        pass: RecordPass,
        cache: &mut KeyCache,
        rows: &mut Rows,
    ) -> Result<(), StartError> {
        for keys in cache.take().chunks(MAX_LISTED as usize) {
            let gone = self.run_list(ebpf, pass, keys, true, rows);
            if gone.is_err() {
                cache.invalidate();
            }
            gone?;
            let left = (0..keys.len()).filter_map(|place| self.list.get(place)).filter(|key| *key != 0);
            left.for_each(|key| cache.add(key));
        }
        Ok(())
    }

    /// Runs the program over one list.
    fn run_list(
        &self,
        ebpf: &mut Ebpf,
        pass: RecordPass,
        keys: &[u64],
        marks_gone: bool,
        rows: &mut Rows,
    ) -> Result<(), StartError> {
        for (place, key) in keys.iter().enumerate() {
            self.list.set(place, *key);
        }
        self.listed.set(0, Listed { len: keys.len() as u64, rows: 0, marks_gone: marks_gone.into() });
        let program = iterators::on_request(ebpf, pass.by_list())?;
        let ran = program.test_run(RawTracePointRunOptions::new());
        ran.map_err(|error| StartError::Sample { reason: chain(&error) })?;
        self.take_rows(rows);
        Ok(())
    }

    fn take_rows(&self, rows: &mut Rows) {
        let count = self.listed.get(0).map_or(0, |listed| listed.rows.min(u64::from(MAX_LISTED)));
        for row in (0..count as usize).filter_map(|place| self.rows.get(place)) {
            if row.kind == row_kind::SOCKET {
                rows.sockets.push(row);
            } else {
                rows.damaged += 1;
            }
        }
    }
}
