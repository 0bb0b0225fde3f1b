//! Tests of the live view as a whole.
