//! Scenarios: a zoo program, leaktrace beside it, and the program's truth held against the report.

pub mod child;
