//! Snapshots of every view, dialog and state at three sizes.

use super::Stage;
use crate::{Colour, Flow, Notice, NoticeKind, Options, ReplayState, Update};
use crossterm::event::KeyCode;
use leaktrace_model::fixtures::busy::{Size, degraded, lossy, snapshot};
use leaktrace_model::{Glyphs, Snapshot};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (40, 10)];

/// The screens of a scene at all sizes, in one text.
fn at_all_sizes(options: Options, scene: impl Fn(&mut Stage) -> &mut Stage) -> String {
    let mut text = String::new();
    for (width, height) in SIZES {
        let mut stage = Stage::with(options, width, height);
        scene(&mut stage);
        text.push_str(&format!("{width}x{height}\n{}\n\n", stage.screen()));
    }
    text
}

fn scene(scene: impl Fn(&mut Stage) -> &mut Stage) -> String {
    at_all_sizes(Options::default(), scene)
}

/// A host that has been watched for a while.
fn watched(stage: &mut Stage) -> &mut Stage {
    for tick in [0, 1, 2, 3, 4, 5, 6, 7] {
        stage.sample(tick * 4);
    }
    stage
}

fn empty() -> Snapshot {
    snapshot(Size { sockets: 0, callsites: 0, processes: 0, peers: 0 }, 3)
}

#[test]
fn call_sites() {
    insta::assert_snapshot!(scene(|stage| watched(stage)));
}

#[test]
fn processes() {
    insta::assert_snapshot!(scene(|stage| watched(stage).keys("2")));
}

#[test]
fn processes_by_container() {
    insta::assert_snapshot!(scene(|stage| watched(stage).keys("2bb")));
}

#[test]
fn peers_with_names() {
    insta::assert_snapshot!(scene(|stage| {
        watched(stage).keys("3R").key(KeyCode::Down);
        let name = Some("db-1.example.net".to_owned());
        stage.tell(Update::PeerName { address: [10, 0, 0, 1].into(), name })
    }));
}

#[test]
fn sockets_sorted_by_age() {
    insta::assert_snapshot!(scene(|stage| {
        watched(stage).keys("4o");
        for _ in 0..8 {
            stage.key(KeyCode::Down);
        }
        stage.key(KeyCode::Enter)
    }));
}

#[test]
fn before_the_first_sample() {
    insta::assert_snapshot!(scene(|stage| stage));
}

#[test]
fn adopting_a_large_host() {
    insta::assert_snapshot!(scene(|stage| { stage.tell(Update::Adopting { done: 300_000, total: Some(1_000_000) }) }));
}

#[test]
fn nothing_is_leaking() {
    insta::assert_snapshot!(scene(|stage| stage.show(empty()).keys("4")));
}

#[test]
fn everything_is_filtered_away() {
    insta::assert_snapshot!(scene(|stage| { watched(stage).keys("f/nosuchthing").key(KeyCode::Enter) }));
}

#[test]
fn degraded_and_lossy() {
    insta::assert_snapshot!(scene(|stage| stage.show(lossy(degraded(snapshot(Size::SMALL, 0))))));
}

#[test]
fn health_of_a_degraded_and_lossy_tracer() {
    insta::assert_snapshot!(scene(|stage| stage.show(lossy(degraded(snapshot(Size::SMALL, 0)))).keys("h")));
}

#[test]
fn ascii_without_colour() {
    let options = Options { glyphs: Glyphs::Ascii, colour: Colour::Plain };
    insta::assert_snapshot!(at_all_sizes(options, |stage| watched(stage).keys("n").key(KeyCode::Enter)));
}

#[test]
fn detail_of_a_call_site() {
    insta::assert_snapshot!(scene(|stage| watched(stage).key(KeyCode::Enter)));
}

#[test]
fn detail_with_all_frames_on_the_full_screen() {
    insta::assert_snapshot!(scene(|stage| watched(stage).key(KeyCode::Enter).key(KeyCode::Enter).keys("x")));
}

#[test]
fn detail_of_a_process() {
    insta::assert_snapshot!(scene(|stage| watched(stage).keys("2").key(KeyCode::Enter)));
}

#[test]
fn help() {
    insta::assert_snapshot!(scene(|stage| watched(stage).keys("?")));
}

#[test]
fn filter_while_it_is_typed() {
    insta::assert_snapshot!(scene(|stage| watched(stage).keys("/pool verdict:close")));
}

#[test]
fn confirmation_names_what_is_closed() {
    insta::assert_snapshot!(scene(|stage| watched(stage).keys("K")));
}

#[test]
fn export_dialog() {
    insta::assert_snapshot!(scene(|stage| watched(stage).keys("e").key(KeyCode::Down)));
}

#[test]
fn thresholds_dialog() {
    insta::assert_snapshot!(scene(|stage| watched(stage).keys("t").key(KeyCode::Right)));
}

#[test]
fn order_dialog() {
    insta::assert_snapshot!(scene(|stage| watched(stage).keys("o")));
}

#[test]
fn replay_that_stands_still() {
    insta::assert_snapshot!(scene(|stage| {
        watched(stage).tell(Update::Replay(ReplayState {
            index: 312,
            count: Some(900),
            speed: 4.0,
            flow: Flow::Paused,
        }))
    }));
}

#[test]
fn paused_grouped_scoped_and_told_something() {
    insta::assert_snapshot!(scene(|stage| {
        watched(stage).keys("dfs").keys("p").sample(99);
        let text = "cannot write a.json: the disk is full".to_owned();
        stage.tell(Update::Notice(Notice { kind: NoticeKind::Failed, text }))
    }));
}

#[test]
fn detail_of_a_socket() {
    insta::assert_snapshot!(scene(|stage| watched(stage).keys("4").key(KeyCode::Enter)));
}

#[test]
fn without_colour_the_cursor_and_the_worst_rows_still_stand_out() {
    use ratatui::style::{Color, Modifier};
    let options = Options { glyphs: Glyphs::Unicode, colour: Colour::Plain };
    let mut stage = Stage::with(options, 80, 24);
    watched(&mut stage);
    let buffer = stage.buffer();
    assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let row =
        (0..24).find(|y| buffer[(0, *y)].symbol() == "●" && buffer[(2, *y)].modifier.contains(Modifier::REVERSED));
    assert!(row.is_some());
}

#[test]
fn only_the_palette_of_the_terminal_is_used() {
    use ratatui::style::Color;
    let mut stage = Stage::new(120, 40);
    watched(&mut stage).key(KeyCode::Enter);
    let own = |colour: Color| matches!(colour, Color::Rgb(..) | Color::Indexed(16..));
    assert!(stage.buffer().content.iter().all(|cell| !own(cell.fg) && !own(cell.bg)));
}
