//! Claims about [`units`](super): what is read, what is refused in which words, what people see.

use super::*;

fn ms(text: &str) -> Result<u128, DurationError> {
    parse_duration(text).map(|duration| duration.as_millis())
}

#[test]
fn every_unit_of_the_contract_is_read() {
    for (text, expected) in [
        ("500ms", 500),
        ("10s", 10_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("0s", 0),
        ("0", 0),
        ("1m30s", 90_000),
        ("1d2h3m4s5ms", 93_784_005),
        (" 10s ", 10_000),
    ] {
        assert_eq!(ms(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_not_a_duration_is_refused_with_what_was_expected() {
    for text in ["banana", "", " ", "s", "-1s", "1.5s", "10 s", "10S", "30s1m", "1m1m", "5x", "1s!", "１s", "1é"] {
        assert_eq!(ms(text), Err(DurationError::Malformed), "{text}");
    }
    assert_eq!(ms("10"), Err(DurationError::NoUnit));
    assert_eq!(ms("1m30"), Err(DurationError::NoUnit));
    assert_eq!(DurationError::Malformed.to_string(), "expected a duration such as 500ms, 10s, 5m, 2h, 1d or 1m30s");
    assert_eq!(DurationError::NoUnit.to_string(), "expected a unit after the number: ms, s, m, h or d");
}

#[test]
fn a_duration_beyond_every_counter_is_refused_and_not_wrapped() {
    for text in ["36501d", "18446744073709551615d", "99999999999999999999999s", "36500d1ms"] {
        assert_eq!(ms(text), Err(DurationError::TooLong), "{text}");
    }
    assert!(ms("36500d").is_ok());
}

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
