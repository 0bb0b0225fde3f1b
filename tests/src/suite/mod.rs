//! Runs scenario programs with leaktrace beside them, and compares each program's truth with the report.
//!
//! One tracer watches all programs at once, so that a kind of hook costs one start and one wait.

pub mod act;
pub mod bpf;
pub mod cells;
pub mod check;
pub mod child;
pub mod gdb;
pub mod interpreters;
pub mod kernel;
pub mod languages;
pub mod locked_down;
pub mod opinion;
pub mod real;
pub mod report;
pub mod run;
pub mod samples;
pub mod scenario;
pub mod skips;
pub mod tools;
pub mod tracer;
pub mod whole;
pub mod workshop;
