//! Leak programs with known truth (`scenarios`), and the suite that compares leaktrace's reports with that truth.
//!
//! Nothing here links against leaktrace: the suite reads its JSON by the contract's names, so that a field
//! renamed in the program is found here.

pub mod leftovers;
pub mod load;
pub mod scenarios;
pub mod suite;
pub mod truth;
