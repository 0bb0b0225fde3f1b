//! Claims about [`text`](super): fits, reads, is harmless.

use super::*;
use crate::PlainTable;
use leaktrace_model::{Glyphs, Verdicts, fixtures};

fn render(format: &dyn Format, snapshot: &Snapshot) -> String {
    let mut out = Vec::new();
    format.write(snapshot, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_rich_report_reads_well() {
    insta::assert_snapshot!(render(&Text, &fixtures::rich()));
}

#[test]
fn a_command_comes_first_in_its_report() {
    insta::assert_snapshot!(render(&Text, &fixtures::run()).split("VERDICTS\n").next().unwrap());
}

#[test]
fn an_empty_report_reads_well() {
    insta::assert_snapshot!(render(&Text, &fixtures::empty()));
}

#[test]
fn a_degraded_and_lossy_report_says_so_at_the_top() {
    insta::assert_snapshot!(render(&Text, &fixtures::degraded()));
}

#[test]
fn a_plain_table_reads_well_in_a_log() {
    insta::assert_snapshot!(render(&PlainTable::default(), &fixtures::degraded()));
    let narrow = PlainTable { columns: 60, glyphs: Glyphs::Ascii };
    insta::assert_snapshot!("narrow_and_ascii", render(&narrow, &fixtures::rich()));
}

#[test]
fn a_healthy_host_is_said_to_be_healthy() {
    let mut snapshot = fixtures::rich();
    snapshot.totals.sums.flagged = 0;
    snapshot.sockets.clear();
    snapshot.callsites.retain(|site| site.sums.flagged == 0);
    assert!(render(&Text, &snapshot).contains("Nothing is flagged"));
}

#[test]
fn no_line_is_wider_than_its_limit_whatever_the_names_are() {
    for snapshot in [
        fixtures::empty(),
        fixtures::rich(),
        fixtures::degraded(),
        fixtures::hostile(),
        fixtures::run(),
        fixtures::many_sockets(500),
    ] {
        for line in render(&Text, &snapshot).lines() {
            assert!(layout::width(line) <= COLUMNS, "{} columns: {line}", layout::width(line));
        }
        for columns in [60, 80, 120] {
            let table = PlainTable { columns, glyphs: Glyphs::Unicode };
            for line in render(&table, &snapshot).lines() {
                assert!(layout::width(line) <= columns.max(72), "{} columns: {line}", layout::width(line));
            }
        }
    }
}

#[test]
fn no_name_reaches_the_terminal_as_a_command() {
    let text = render(&Text, &fixtures::hostile()) + &render(&PlainTable::default(), &fixtures::hostile());
    let bad: Vec<char> =
        text.chars().filter(|&c| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))).collect();
    assert_eq!(bad, []);
}

#[test]
fn a_long_list_is_cut_and_says_so_unless_all_were_asked_for() {
    let mut snapshot = fixtures::many_sockets(500);
    let text = render(&Text, &snapshot);
    assert!(text.contains("  and 450 sockets more; --format csv or json lists them all\n"), "{text}");
    snapshot.sockets[499].observed.verdicts = Verdicts::NONE;
    assert!(!render(&Text, &snapshot).contains("sockets more"));
}
