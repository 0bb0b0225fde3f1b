//! What the tables show: rows of each kind, how they are grouped, searched, ordered and kept apart, and their columns.
//!
//! Everything here is derived from snapshots. Nothing draws, nothing knows keys.

pub(crate) mod columns;
pub(crate) mod data;
pub(crate) mod detail_data;
pub(crate) mod export_rows;
pub(crate) mod group;
pub(crate) mod history;
pub(crate) mod lens;
pub(crate) mod names;
pub(crate) mod row;
pub(crate) mod row_key;
pub(crate) mod search;
pub(crate) mod snapshot_index;
pub(crate) mod sort;
pub(crate) mod table;
pub(crate) mod title;
pub(crate) mod view_kind;
