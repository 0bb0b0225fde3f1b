//! Leak programs with known truth (`zoo`), and the suite that holds leaktrace's reports against that truth.
//!
//! Nothing here links against leaktrace: the suite reads its JSON by the contract's names, so that a field
//! renamed in the program is found here.

pub mod leftovers;
pub mod load;
pub mod suite;
pub mod truth;
pub mod zoo;
