//! Durations and sizes as people write them.

use std::time::Duration;

/// A duration that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    /// Not a duration at all.
    #[error("expected a duration such as 500ms, 10s, 5m, 2h, 1d or 1m30s")]
    Malformed,
    /// A number without a unit.
    #[error("expected a unit after the number: ms, s, m, h or d")]
    NoUnit,
    /// Longer than 100 years.
    #[error("expected a duration of at most 100 years")]
    TooLong,
}

/// Milliseconds in each unit, largest first. The units of one duration follow each other in this order.
const UNITS_MS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Longest accepted duration. The limit keeps every later sum of ticks and nanoseconds within 64 bits.
const LONGEST_MS: u64 = 100 * 365 * 86_400_000;

/// Reads `500ms`, `10s`, `5m`, `2h`, `1d` and combinations such as `1m30s`, larger units first; `0` needs no unit.
///
/// # Errors
/// When the text is not a duration. The message says what was expected.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, DurationError> {
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
pub(crate) struct SizeError;

/// Reads `64MiB`, `512KiB`, `1GiB`, or plain bytes.
///
/// # Errors
/// When the text is not a size. The message says what was expected.
pub(crate) fn parse_size(text: &str) -> Result<u64, SizeError> {
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

#[cfg(test)]
mod tests {
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
        for text in ["banana", "", " ", "s", "-1s", "1.5s", "10 s", "10S", "30s1m", "1m1m", "5x", "1s!", "１s", "1é"]
        {
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
}
