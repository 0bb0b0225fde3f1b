//! The flame graph as one SVG file: opens in every browser, zooms and searches where scripts may run.
//!
//! Drawn by leaktrace itself: the known crate for flame graphs has a licence that this project does not accept (CDDL).

use crate::{
    clean::clean,
    flame::{Graph, ROW, SCRIPT, STYLE, WIDTH},
    markup::escape,
    writer::Format,
};
use leaktrace_model::{Snapshot, format_count, format_duration};
use std::io::{self, Write};

const MARGIN: f64 = 10.0;
const HEAD: f64 = 56.0;

/// `--format svg`
pub(crate) struct Svg;

impl Format for Svg {
    fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
        let graph = Graph::of(snapshot);
        let width = WIDTH + 2.0 * MARGIN;
        let height = HEAD + graph.height() + MARGIN;
        writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>")?;
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\">"
        )?;
        writeln!(out, "<title>Open TCP sockets by the code that opened them</title>")?;
        // The style cannot end its CDATA section: it is our own and contains no `]]>`.
        writeln!(out, "<style><![CDATA[\n{STYLE}]]></style>")?;
        writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>")?;
        let host = clean(snapshot.host.hostname.as_deref().unwrap_or("unknown host"));
        line(out, 22.0, 16, "Open TCP sockets by the code that opened them")?;
        line(
            out,
            42.0,
            12,
            &format!(
                "{host}, {} until {}: {} open, {} flagged (warm colours). Click a frame to zoom, Ctrl+F to search.",
                format_duration(snapshot.window.seconds()),
                snapshot.window.end,
                format_count(snapshot.totals.sums.open),
                format_count(snapshot.totals.sums.flagged)
            ),
        )?;
        writeln!(out, "<g id=\"flame\" transform=\"translate({MARGIN:.0} {HEAD:.0})\">")?;
        if graph.is_empty() {
            writeln!(out, "<text y=\"{ROW:.0}\" font-family=\"sans-serif\">No socket was open.</text>")?;
        } else {
            graph.draw(out)?;
        }
        writeln!(out, "</g>")?;
        writeln!(out, "<script><![CDATA[\n{SCRIPT}{START}]]></script>")?;
        writeln!(out, "</svg>")
    }
}

/// Ctrl+F asks for text and marks the frames that contain it.
const START: &str = "\
const flame = leaktraceFlame(document.getElementById('flame'));
document.addEventListener('keydown', event => {
  if (event.key === 'Escape') flame.reset();
  if (event.key === 'f' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    const words = prompt('Mark functions that contain:');
    if (words !== null) flame.mark(words);
  }
});
";

fn line(out: &mut dyn Write, y: f64, size: u32, text: &str) -> io::Result<()> {
    let text = escape(text);
    writeln!(out, "<text x=\"{MARGIN:.0}\" y=\"{y:.0}\" font-size=\"{size}\" font-family=\"sans-serif\">{text}</text>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::fixtures;

    fn render(snapshot: &Snapshot) -> String {
        let mut out = Vec::new();
        Svg.write(snapshot, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_hostile_name_adds_no_element() {
        let (plain, hostile) = (render(&fixtures::rich()), render(&fixtures::hostile()));
        for tag in ["<script", "<style", "<svg"] {
            assert_eq!(plain.matches(tag).count(), hostile.matches(tag).count(), "{tag}");
        }
        assert!(!hostile.contains("alert(1)</script>"));
    }

    #[test]
    fn it_asks_for_nothing_from_the_network() {
        let text = render(&fixtures::rich()).replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http") && !text.contains("href"));
    }

    #[test]
    fn nothing_open_says_so() {
        assert!(render(&fixtures::empty()).contains("No socket was open."));
    }
}
