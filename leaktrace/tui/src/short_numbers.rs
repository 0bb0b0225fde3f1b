//! Numbers in few cells, for columns: shorter than the `format_*` functions of the model.

use crate::signs::Signs as _;
use leaktrace_model::{Glyphs, Moment, format_duration};
use std::time::Duration;

/// A count in at most five cells: `99999`, `1.2M`, `345M`.
pub(crate) fn short_count(n: u64) -> String {
    const STEPS: [(f64, &str); 4] = [(1e6, "M"), (1e9, "G"), (1e12, "T"), (1e15, "P")];
    if n < 100_000 {
        return n.to_string();
    }
    if n < 1_000_000 {
        return format!("{}k", n / 1000);
    }
    let (unit, name) = STEPS.into_iter().rev().find(|step| n as f64 >= step.0).unwrap_or(STEPS[0]);
    let scaled = n as f64 / unit;
    if scaled < 10.0 { format!("{:.1}{name}", floor_tenth(scaled)) } else { format!("{scaled:.0}{name}") }
}

fn floor_tenth(x: f64) -> f64 {
    (x * 10.0).floor() / 10.0
}

/// A signed change per minute in few cells: `+12`, `+1.5`, `-0.3`; `0` if it rounds to zero.
pub(crate) fn per_minute(rate: f64) -> String {
    if !rate.is_finite() || rate.abs() < 0.05 {
        "0".to_owned()
    } else if rate.abs() < 10.0 {
        format!("{rate:+.1}")
    } else if rate.abs() < 99_999.5 {
        format!("{rate:+.0}")
    } else {
        format!("{}{}", if rate < 0.0 { "-" } else { "+" }, short_count(rate.abs() as u64))
    }
}

/// A rate without sign: `0`, `3.2`, `118`, `1.2M`.
pub(crate) fn rate(per_second: f64) -> String {
    if !per_second.is_finite() || per_second < 0.05 {
        "0".to_owned()
    } else if per_second < 10.0 {
        format!("{per_second:.1}")
    } else {
        short_count(per_second as u64)
    }
}

/// A span in at most seven cells: `350ms`, `12s`, `3m20s`, `5h12m`, `3d7h`.
pub(crate) fn span(seconds: f64) -> String {
    let mut text = format_duration(seconds);
    text.retain(|c| c != ' ');
    text
}

/// An age, with "≥" where it is a lower bound.
pub(crate) fn age(seconds: f64, exact: bool, glyphs: Glyphs) -> String {
    let text = span(seconds);
    if exact { text } else { format!("{}{text}", glyphs.bound()) }
}

/// A size in at most five cells: `512`, `4.0K`, `12M`.
pub(crate) fn short_size(bytes: u64) -> String {
    const NAMES: [&str; 6] = ["K", "M", "G", "T", "P", "E"];
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut scaled = bytes as f64 / 1024.0;
    let mut name = 0;
    while scaled >= 1000.0 && name + 1 < NAMES.len() {
        scaled /= 1024.0;
        name += 1;
    }
    if scaled < 10.0 {
        format!("{:.1}{}", floor_tenth(scaled), NAMES[name])
    } else {
        format!("{scaled:.0}{}", NAMES[name])
    }
}

/// A duration in its two largest units: `850ms`, `12m 3s`.
pub(crate) fn duration(span: Duration) -> String {
    format_duration(span.as_secs_f64())
}

/// The time of day of a moment, in UTC: `12:04:31`.
pub(crate) fn time_of_day(moment: Moment) -> String {
    let second = moment.unix_ns.max(0) / 1_000_000_000 % 86_400;
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// A moment as a part of a file's name: `20261120T120431`.
pub(crate) fn file_stamp(moment: Moment) -> String {
    moment.to_string().chars().filter(char::is_ascii_alphanumeric).take("20261120T120431".len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_sizes_keep_to_five_cells() {
        for n in [0, 1, 999, 99_999, 100_000, 999_999, 1_000_000, 9_999_999, 123_456_789, u64::MAX] {
            assert!(short_count(n).len() <= 6, "{}", short_count(n));
            assert!(short_size(n).len() <= 5, "{}", short_size(n));
        }
        assert_eq!(short_count(1_290_000), "1.2M");
    }

    #[test]
    fn spans_have_no_blanks() {
        for (seconds, text) in [(0.35, "350ms"), (200.0, "3m20s"), (18_720.0, "5h12m"), (f64::NAN, "0s")] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn a_change_that_rounds_to_nothing_is_none() {
        assert_eq!(per_minute(0.01), "0");
        assert_eq!(per_minute(-3.25), "-3.2");
        assert_eq!(per_minute(12.4), "+12");
        assert_eq!(per_minute(f64::INFINITY), "0");
    }

    #[test]
    fn a_moment_reads_as_time_of_day_and_as_part_of_a_file_name() {
        let moment = |unix_ns| Moment { boot_ns: 0, unix_ns };
        assert_eq!(time_of_day(moment(1_795_176_271_500_000_000)), "12:04:31");
        assert_eq!(file_stamp(moment(1_795_176_271_500_000_000)), "20261120T120431");
        assert_eq!(time_of_day(moment(-5)), "00:00:00");
    }
}
