//! Quantities as people write and read them: durations, ages, sizes, rates, counts.
//!
//! The only place that turns a number into such words or back. Programs get plain numbers and never pass
//! through here.

pub use leaktrace_model::count::format_count;

use std::time::Duration;

/// Which characters the reader's terminal is trusted with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Glyphs {
    /// `≥`, `–`, `…`
    #[default]
    Unicode,
    /// `>=`, `-`, `...`
    Ascii,
}

impl Glyphs {
    /// The sign before a lower bound.
    pub const fn at_least(self) -> &'static str {
        match self {
            Self::Unicode => "≥",
            Self::Ascii => ">=",
        }
    }

    /// What stands for a value that is not known.
    pub const fn absent(self) -> &'static str {
        match self {
            Self::Unicode => "–",
            Self::Ascii => "-",
        }
    }

    /// What stands for text that was left out.
    pub const fn ellipsis(self) -> &'static str {
        match self {
            Self::Unicode => "…",
            Self::Ascii => "...",
        }
    }
}

/// A duration that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a duration at all.
    #[error("expected a duration such as 500ms, 10s, 5m, 2h, 1d or 1m30s")]
    Malformed,
    /// A number, and nobody knows of what.
    #[error("expected a unit after the number: ms, s, m, h or d")]
    NoUnit,
    /// Longer than 100 years.
    #[error("expected a duration of at most 100 years")]
    TooLong,
}

/// Milliseconds in each unit, largest first, which is also the order in which they may follow each other.
const UNITS_MS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Longest duration that is accepted: keeps every later sum of ticks and nanoseconds within 64 bits.
const LONGEST_MS: u64 = 100 * 365 * 86_400_000;

/// Reads `500ms`, `10s`, `5m`, `2h`, `1d` and combinations such as `1m30s`, larger units first; `0` needs no unit.
///
/// # Errors
/// One sentence that says what was expected.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DurationError::Malformed);
    }
    let mut total_ms = 0_u64;
    let mut allowed = &UNITS_MS[..];
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, tail) = tail.split_at(letters);
        if number.is_empty() {
            return Err(DurationError::Malformed);
        }
        if unit.is_empty() {
            return Err(if tail.is_empty() { DurationError::NoUnit } else { DurationError::Malformed });
        }
        let place = allowed.iter().position(|(name, _)| *name == unit).ok_or(DurationError::Malformed)?;
        let value: u64 = number.parse().map_err(|_| DurationError::TooLong)?;
        total_ms = value
            .checked_mul(allowed[place].1)
            .and_then(|part| total_ms.checked_add(part))
            .filter(|sum| *sum <= LONGEST_MS)
            .ok_or(DurationError::TooLong)?;
        allowed = &allowed[place + 1..];
        rest = tail;
    }
    Ok(Duration::from_millis(total_ms))
}

/// A size that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a size such as 64MiB, 512KiB, 1GiB or a number of bytes")]
pub struct SizeError;

/// Reads `64MiB`, `512KiB`, `1GiB`, or plain bytes.
///
/// # Errors
/// One sentence that says what was expected.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start() {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        _ => return Err(SizeError),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or(SizeError)
}

/// A duration in its two largest units: `850ms`, `4.2s`, `12m 3s`, `3d 4h`. Rounds down, as ages do.
///
/// Takes seconds; what is negative or not a number reads as `0s`.
pub fn format_duration(seconds: f64) -> String {
    if seconds.is_nan() || seconds <= 0.0 {
        return "0s".to_owned();
    }
    if seconds < 0.001 {
        return "<1ms".to_owned();
    }
    // `as` saturates. A hair is added so that 0.07 s, which is 69.999… ms, does not read as 69 ms.
    let ms = (seconds * 1000.0 + 1e-6) as u64;
    let whole = ms / 1000;
    let pair = |large: u64, large_unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit} {small}{small_unit}") }
    };
    match whole {
        0 => format!("{ms}ms"),
        1..10 if ms % 1000 >= 100 => format!("{}.{}s", whole, ms % 1000 / 100),
        1..60 => format!("{whole}s"),
        60..3_600 => pair(whole / 60, "m", whole % 60, "s"),
        3_600..86_400 => pair(whole / 3_600, "h", whole % 3_600 / 60, "m"),
        _ => pair(whole / 86_400, "d", whole % 86_400 / 3_600, "h"),
    }
}

/// How long something has existed, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Age {
    /// Seconds.
    pub seconds: f64,
    /// Whether the beginning was seen; otherwise the age is a lower bound.
    pub exact: bool,
}

/// An age: `12m 3s`, or `≥12m 3s` when it is a lower bound.
pub fn format_age(age: Age, glyphs: Glyphs) -> String {
    let text = format_duration(age.seconds);
    if age.exact { text } else { format!("{}{text}", glyphs.at_least()) }
}

/// A size in binary units: `512 B`, `4.0 KiB`, `1.2 GiB`, three digits at the most before the unit.
pub fn format_size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        // 999.5 and not 1024: what would round to four digits moves on to the next unit.
        if unit != "B" && value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 99.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// A size that may be negative, with its sign: `+4.0 KiB`, `-1.2 MiB`, `0 B`.
pub fn format_size_change(bytes: i64) -> String {
    let size = format_size(bytes.unsigned_abs());
    match bytes {
        0 => size,
        1.. => format!("+{size}"),
        _ => format!("-{size}"),
    }
}

/// A rate of change with its sign: `+12/min`, `+0.4/min`, `-3.5/min`.
pub fn format_rate(per_min: f64) -> String {
    if !per_min.is_finite() {
        return "0/min".to_owned();
    }
    let rounded = if per_min.abs() < 9.95 { (per_min * 10.0).round() / 10.0 } else { per_min.round() };
    if rounded == 0.0 {
        return "0/min".to_owned();
    }
    let sign = if rounded < 0.0 { '-' } else { '+' };
    let size = rounded.abs();
    if size < 9.95 && size.fract() != 0.0 {
        format!("{sign}{size:.1}/min")
    } else {
        // `as` saturates; a rate beyond 64 bits is nonsense anyway.
        format!("{sign}{}/min", format_count(size as u64))
    }
}

/// A count and its noun: `1 socket`, `1,234 sockets`.
pub fn format_counted(count: u64, noun: &str) -> String {
    let (stem, ending) = match noun.strip_suffix('y') {
        _ if count == 1 => (noun, ""),
        Some(stem) => (stem, "ies"),
        None if noun.ends_with("ss") => (noun, "es"),
        None => (noun, "s"),
    };
    format!("{} {stem}{ending}", format_count(count))
}

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
