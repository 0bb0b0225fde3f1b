//! Passes over records: by iterators over their map, or by lists of their keys where the kernel refuses those.
//!
//! Refused they are by hardened kernels: one that a sandbox ran on (6.18) answers EPERM to each iterator whose programs are handed
//! entries of a map, before it verifies anything. A list costs a copy of each record.

use super::{
    error::{StartError, chain},
    map_entries::{self, Position},
    mapped::{MappedArray, map_array},
    passes::{self, Load, Rows},
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

/// Set to anything, iterators over maps are not even tried: for tests on kernels that have them.
const NO_ITERATORS: &str = "LEAKTRACE_NO_MAP_ITERATORS";

/// What an iterator over the entries of a map is over (5.8).
const OVER: &str = "bpf_map_elem";

/// For so long looks at the table may bring nothing, because it is locked.
const PATIENCE: Duration = Duration::from_secs(1);

/// A pass over records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordPass {
    /// From each record to its socket.
    Sockets,
    /// Drops what is stale.
    Sweep,
}

impl RecordPass {
    /// Its program, as an iterator.
    const fn iterator(self) -> &'static str {
        match self {
            Self::Sockets => "pass_records",
            Self::Sweep => "pass_sweep",
        }
    }

    /// The one that goes through a list.
    const fn by_list(self) -> &'static str {
        match self {
            Self::Sockets => "list_records",
            Self::Sweep => "list_sweep",
        }
    }
}

/// How passes go through the records.
pub enum Records {
    /// By iterator.
    Iterators,
    /// By list.
    Lists(Box<Lists>),
}

impl Records {
    /// Loads the programs of the passes over records, and the `others`.
    ///
    /// # Errors
    /// When the kernel refuses one that there is no other way for.
    pub fn load(ebpf: &mut Ebpf, btf: &Btf, others: &[(&str, Load<'_>)]) -> Result<Self, StartError> {
        let mut wanted = others.to_vec();
        let Some(refusal) = refusal_of_iterators(ebpf, btf)? else {
            wanted.push((RecordPass::Sockets.iterator(), Load::Over(OVER)));
            return passes::load(ebpf, btf, &wanted).map(|()| Self::Iterators);
        };
        wanted.extend([RecordPass::Sockets, RecordPass::Sweep].map(|pass| (pass.by_list(), Load::OnRequest)));
        passes::load(ebpf, btf, &wanted).map_err(|error| match error {
            StartError::Load { reason } => StartError::Load {
                reason: format!(
                    "{reason}; iterators over maps, which others stand in for from 5.17 on, it forbids: {refusal}"
                ),
            },
            other => other,
        })?;
        Ok(Self::Lists(Box::new(Lists::new(ebpf)?)))
    }

    /// Whether it is by list.
    pub fn are_listed(&self) -> bool {
        matches!(self, Self::Lists(_))
    }

    /// Runs a pass to its end and decodes its rows.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn run(
        &mut self,
        ebpf: &mut Ebpf,
        pass: RecordPass,
        buffer: &mut BytesMut,
        rows: &mut Rows,
    ) -> Result<(), StartError> {
        let map = passes::hash_map(ebpf, "SOCKETS")?;
        match self {
            Self::Iterators => passes::run_over_map(ebpf, pass.iterator(), &map, buffer, rows),
            Self::Lists(lists) => lists.run(ebpf, pass, &map, rows),
        }
    }
}

/// Loads the sweep, the shortest of the iterators over maps; says why the others need not be tried.
fn refusal_of_iterators(ebpf: &mut Ebpf, btf: &Btf) -> Result<Option<String>, StartError> {
    if std::env::var_os(NO_ITERATORS).is_some() {
        return Ok(Some(format!("{NO_ITERATORS} is set")));
    }
    let refusal = passes::load_unless_forbidden(ebpf, btf, RecordPass::Sweep.iterator(), OVER)?;
    Ok(refusal.map(|refusal| refusal.to_string()))
}

/// What passes by list work with.
pub struct Lists {
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

    fn run(&mut self, ebpf: &mut Ebpf, pass: RecordPass, map: &OwnedFd, rows: &mut Rows) -> Result<(), StartError> {
        let sample = |error: &dyn Error| StartError::Sample { reason: chain(error) };
        let program = passes::on_request(ebpf, pass.by_list())?;
        let mut position = Position::Start;
        let mut vain_since = None;
        while position != Position::End {
            let (len, next) = map_entries::look_up(map.as_fd(), position, &mut self.keys, &mut self.values)
                .map_err(|error| sample(&error))?;
            position = next;
            if len == 0 {
                let since = *vain_since.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    // The next pass mends it, and health tells of this one.
                    rows.damaged += 1;
                    return Ok(());
                }
                thread::yield_now();
                continue;
            }
            vain_since = None;
            for (place, key) in self.keys.iter().take(len).enumerate() {
                self.list.set(place, *key);
            }
            self.listed.set(0, Listed { len: len as u64, rows: 0 });
            program.test_run(RawTracePointRunOptions::new()).map_err(|error| sample(&error))?;
            self.take_rows(rows);
        }
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
