//! What tests and checks found: single cells, sums, and the table of a whole run. Starts nothing.

pub mod cell;
pub mod count;
pub mod table;
