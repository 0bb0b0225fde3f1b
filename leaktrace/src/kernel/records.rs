//! Passes over records: by iterators over their map, or by lists of their keys where the kernel refuses those.
//!
//! Refused they are by hardened kernels: one that a sandbox ran on (6.18) answers EPERM to each iterator whose programs are handed
//! entries of a map, before it verifies anything. A list costs a copy of the entry and a look-up more for each socket.

use super::{
    error::{StartError, chain},
    map_entries::{self, Position},
    mapped::{MappedArray, take_map_data},
    passes::{self, Rows},
};
use aya::{
    Btf, Ebpf,
    programs::{ProgramError, RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use bytes::BytesMut;
use leaktrace_common::{Listed, MAX_LISTED, SocketRecord, SocketRow, row_kind};
use std::{
    error::Error,
    os::fd::{AsFd as _, OwnedFd},
};

/// Set to anything, iterators over maps are not even tried: for tests on kernels that have them.
const NO_ITERATORS: &str = "LEAKTRACE_NO_MAP_ITERATORS";

/// A pass over records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordPass {
    /// From each record to its socket.
    Sockets,
    /// Drops what is stale.
    Sweep,
}

impl RecordPass {
    const ALL: [Self; 2] = [Self::Sockets, Self::Sweep];

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
    /// Loads the programs of the passes over records, and the `others`: iterators, each with what it iterates over.
    ///
    /// # Errors
    /// When the kernel refuses one that there is no other way for.
    pub fn load(ebpf: &mut Ebpf, btf: &Btf, others: &[(&str, &str)]) -> Result<Self, StartError> {
        let mut wanted = others.to_vec();
        let is_tried = std::env::var_os(NO_ITERATORS).is_none();
        if is_tried {
            wanted.extend(RecordPass::ALL.map(|pass| (pass.iterator(), "bpf_map_elem")));
        }
        let forbidden = passes::load(ebpf, btf, &wanted)?;
        let (over_maps, others): (Vec<_>, Vec<_>) = forbidden
            .into_iter()
            .partition(|(program, _)| RecordPass::ALL.iter().any(|pass| pass.iterator() == program.as_str()));
        if let Some((_, refusal)) = others.into_iter().next() {
            return Err(refusal);
        }
        if is_tried && over_maps.is_empty() {
            return Ok(Self::Iterators);
        }
        for pass in RecordPass::ALL {
            if let Err(error) = program_by_list(ebpf, pass).and_then(loaded) {
                return Err(over_maps.into_iter().next().map_or(error, |(_, refusal)| refusal));
            }
        }
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

fn program_by_list(ebpf: &mut Ebpf, pass: RecordPass) -> Result<&mut RawTracePoint, StartError> {
    let name = pass.by_list();
    let program = ebpf.program_mut(name).ok_or_else(|| StartError::internal(&format!("no program {name}")))?;
    program.try_into().map_err(|error: ProgramError| StartError::internal(&chain(&error)))
}

fn loaded(program: &mut RawTracePoint) -> Result<(), StartError> {
    program.load().map_err(|error| StartError::load(&error))
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
            list: mapped(ebpf, "LIST", most)?,
            listed: mapped(ebpf, "LISTED", 1)?,
            rows: mapped(ebpf, "LISTED_ROWS", most)?,
            keys: vec![0; most],
            values: vec![SocketRecord::default(); most],
        })
    }

    fn run(&mut self, ebpf: &mut Ebpf, pass: RecordPass, map: &OwnedFd, rows: &mut Rows) -> Result<(), StartError> {
        let sample = |error: &dyn Error| StartError::Sample { reason: chain(error) };
        let program = program_by_list(ebpf, pass)?;
        let mut position = Position::Start;
        while position != Position::End {
            let (len, next) = map_entries::look_up(map.as_fd(), position, &mut self.keys, &mut self.values)
                .map_err(|error| sample(&error))?;
            position = next;
            if len == 0 {
                continue;
            }
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

fn mapped<T: zerocopy::FromBytes + zerocopy::IntoBytes + Copy>(
    ebpf: &mut Ebpf,
    name: &str,
    len: usize,
) -> Result<MappedArray<T>, StartError> {
    let data = take_map_data(ebpf, name).map_err(|error| StartError::internal(&error))?;
    MappedArray::new(data, len).map_err(|error| StartError::internal(&error))
}
