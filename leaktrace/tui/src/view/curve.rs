//! Bars of counts over time, one line high or several.

use crate::signs::Signs as _;
use leaktrace_model::Glyphs;

/// The counts at the bottom and at the top of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// Bottom.
    pub(crate) low: u32,
    /// Top.
    pub(crate) high: u32,
}

/// A scale that shows the shape: from zero if counts fall far, else from the lowest one. Counts that move by less than a fiftieth stay
/// at the bottom, so that noise does not look like an alarm.
pub(crate) fn scale(counts: &[u32]) -> Scale {
    let high = counts.iter().copied().max().unwrap_or(0);
    let low = counts.iter().copied().min().unwrap_or(0);
    let spread = u64::from(high - low);
    if u64::from(low) * 2 <= u64::from(high) {
        Scale { low: 0, high }
    } else if spread * 50 < u64::from(high) {
        Scale { low, high: low.saturating_mul(2) }
    } else {
        Scale { low, high }
    }
}

/// One line: each count as one of eight heights.
pub(crate) fn line(counts: &[u32], glyphs: Glyphs) -> String {
    rows(counts, 1, glyphs).pop().unwrap_or_default()
}

/// Several lines, the top one first.
pub(crate) fn rows(counts: &[u32], height: usize, glyphs: Glyphs) -> Vec<String> {
    let bars = glyphs.bars();
    let Scale { low, high } = scale(counts);
    let range = u64::from(high - low).max(1);
    let steps = 8 * height as u64;
    let reach = |count: u32| {
        let step = u64::from(count.saturating_sub(low)) * steps / range;
        if count > 0 { step.max(1) } else { 0 }
    };
    (0..height)
        .rev()
        .map(|row| {
            let below = 8 * row as u64;
            let cell = |count: &u32| match reach(*count).saturating_sub(below) {
                0 => " ",
                step => bars[(step.min(8) - 1) as usize],
            };
            counts.iter().map(cell).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_reaches_the_top_and_one_socket_is_never_invisible() {
        assert_eq!(line(&[0, 1, 500, 1000], Glyphs::Unicode), " ▁▄█");
        assert_eq!(rows(&[1, 16], 2, Glyphs::Unicode), [" █", "▁█"]);
        assert_eq!(rows(&[], 2, Glyphs::Ascii), ["", ""]);
    }

    #[test]
    fn a_slope_on_a_high_level_is_seen_and_noise_is_not() {
        assert_eq!(line(&[800, 850, 900], Glyphs::Unicode), "▁▄█");
        assert_eq!(line(&[1000, 1003, 1001], Glyphs::Unicode), "▁▁▁");
        assert_eq!(scale(&[u32::MAX, u32::MAX]), Scale { low: u32::MAX, high: u32::MAX });
    }
}
