//! The thresholds and filters in force.

use crate::{Filter, Limits};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use std::{num::NonZeroU32, time::Duration};

/// The thresholds and filters in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The thresholds of verdicts.
    pub limits: Limits,
    /// Time between samples.
    pub interval: Duration,
    /// How stacks are sampled; `None` when every open has its own stack, in a replay, and without stacks.
    pub stack_sample: Option<StackSample>,
    /// What was asked for.
    pub filter: Filter,
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut settings = serializer.serialize_struct("Settings", 6)?;
        settings.serialize_field("threshold_s", &self.limits.threshold.as_secs_f64())?;
        settings.serialize_field("stall_s", &self.limits.stall.as_secs_f64())?;
        settings.serialize_field("idle_s", &self.limits.idle.as_secs_f64())?;
        settings.serialize_field("interval_s", &self.interval.as_secs_f64())?;
        settings.serialize_field("stack_sample", &self.stack_sample)?;
        settings.serialize_field("filters", &self.filter)?;
        settings.end()
    }
}

/// How stacks are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StackSample {
    /// One stack in this many is captured.
    pub one_in: NonZeroU32,
    /// Of processes that open more sockets than this within a second.
    pub above_per_s: u32,
}
