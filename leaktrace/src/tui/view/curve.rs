//! Bars of counts over time, one line high or several.

use crate::tui::glyphs::Charset;

/// One line: each count as one of eight heights between nothing and the highest.
pub fn line(counts: &[u32], charset: Charset) -> String {
    rows(counts, 1, charset).pop().unwrap_or_default()
}

/// Several lines, the top one first; the highest count reaches the top.
pub fn rows(counts: &[u32], height: usize, charset: Charset) -> Vec<String> {
    let bars = charset.bars();
    let highest = u64::from(counts.iter().copied().max().unwrap_or(0)).max(1);
    let steps = 8 * height as u64;
    let reach = |count: u32| {
        let step = u64::from(count) * steps / highest;
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
        assert_eq!(line(&[0, 1, 500, 1000], Charset::Unicode), " ▁▄█");
        assert_eq!(rows(&[1, 16], 2, Charset::Unicode), [" █", "▁█"]);
        assert_eq!(rows(&[], 2, Charset::Ascii), ["", ""]);
    }
}
