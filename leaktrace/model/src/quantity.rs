//! Quantities as people read them: durations, ages, sizes, rates, counts. Programs get plain numbers instead.

/// Which characters the reader's terminal can show.
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

/// A duration in its two largest units: `850ms`, `4.2s`, `12m 3s`, `3d 4h`. Rounds down, as ages do.
///
/// Takes seconds; a negative number or NaN gives `0s`.
pub fn format_duration(seconds: f64) -> String {
    if seconds.is_nan() || seconds <= 0.0 {
        return "0s".to_owned();
    }
    if seconds < 0.001 {
        return "<1ms".to_owned();
    }
    // `as` saturates. The small addition keeps 0.07 s, which is 69.999… ms, from being shown as 69 ms.
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

/// How long something has existed, as far as that is known.
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

/// A size in binary units: `512 B`, `4.0 KiB`, `1.2 GiB`, with at most three digits before the unit.
pub fn format_size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        // 999.5 and not 1024: a value that would round to four digits moves on to the next unit.
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

/// A count with its thousands apart: `1,234,567`.
pub fn format_count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
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
mod tests {
    use super::*;

    #[test]
    fn durations_read_in_their_two_largest_units() {
        for (seconds, expected) in [
            (0.0, "0s"),
            (-1.0, "0s"),
            (f64::NAN, "0s"),
            (0.0004, "<1ms"),
            (0.85, "850ms"),
            (0.07, "70ms"),
            (0.9999, "999ms"),
            (1.0, "1s"),
            (4.25, "4.2s"),
            (9.99, "9.9s"),
            (10.9, "10s"),
            (59.99, "59s"),
            (60.0, "1m"),
            (723.0, "12m 3s"),
            (3_599.9, "59m 59s"),
            (3_600.0, "1h"),
            (8_100.0, "2h 15m"),
            (273_600.0, "3d 4h"),
            (1e30, "213503982334d 14h"),
            (f64::INFINITY, "213503982334d 14h"),
        ] {
            assert_eq!(format_duration(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn an_age_that_is_a_lower_bound_says_so() {
        let age = Age { seconds: 723.0, exact: false };
        assert_eq!(format_age(age, Glyphs::Unicode), "≥12m 3s");
        assert_eq!(format_age(age, Glyphs::Ascii), ">=12m 3s");
        assert_eq!(format_age(Age { exact: true, ..age }, Glyphs::Unicode), "12m 3s");
    }

    #[test]
    fn sizes_read_in_binary_units_with_three_digits_at_the_most() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (4096, "4.0 KiB"),
            (102_348, "99.9 KiB"),
            (102_400, "100 KiB"),
            (1_023_900, "1.0 MiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(format_size(bytes), expected, "{bytes}");
        }
        assert_eq!(format_size_change(-4096), "-4.0 KiB");
        assert_eq!(format_size_change(4096), "+4.0 KiB");
        assert_eq!(format_size_change(i64::MIN), "-8.0 EiB");
    }

    #[test]
    fn rates_and_counts_read_at_a_glance() {
        for (rate, expected) in [
            (12.3, "+12/min"),
            (0.44, "+0.4/min"),
            (-3.5, "-3.5/min"),
            (0.04, "0/min"),
            (-0.04, "0/min"),
            (9.96, "+10/min"),
            (2.0, "+2/min"),
            (123_456.7, "+123,457/min"),
            (f64::NAN, "0/min"),
        ] {
            assert_eq!(format_rate(rate), expected, "{rate}");
        }
        assert_eq!(format_count(0), "0");
        assert_eq!(format_count(999), "999");
        assert_eq!(format_count(1_234_567), "1,234,567");
        assert_eq!(format_counted(1, "socket"), "1 socket");
        assert_eq!(format_counted(1_200, "process"), "1,200 processes");
        assert_eq!(format_counted(2, "stack copy"), "2 stack copies");
    }
}
