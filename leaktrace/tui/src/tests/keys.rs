//! What keys and clicks do, seen from outside: effects and screens.

use super::Stage;
use crate::{Effect, Flow, MouseCapture, ReplayState, Update};
use crossterm::event::KeyCode;
use leaktrace_model::fixtures::busy::{Size, snapshot};
use leaktrace_model::{Limits, SocketId};
use leaktrace_output::ReportFormat;
use std::net::IpAddr;
use std::time::Duration;

/// Identities of the sockets that would be closed.
fn cookies(effects: &[Effect]) -> Vec<u64> {
    let killed = effects.iter().filter_map(|effect| match effect {
        Effect::KillSockets { sockets } => Some(sockets),
        _ => None,
    });
    killed.flatten().map(|id: &SocketId| id.cookie.get()).collect()
}

#[test]
fn q_quits_from_the_table_and_not_from_a_dialog() {
    let mut stage = Stage::busy();
    stage.keys("?q").keys("oq").keys("/q");
    assert!(stage.effects.is_empty());
    stage.key(KeyCode::Esc).keys("q");
    assert_eq!(stage.effects, [Effect::Quit]);
}

#[test]
fn the_cursor_stays_with_its_row_when_the_order_changes() {
    let mut stage = Stage::busy();
    stage.key(KeyCode::Down).key(KeyCode::Down);
    let row = stage.app.list().selected.clone();
    stage.keys("i").sample(2);
    assert_eq!(stage.app.list().selected, row);
    assert_eq!(stage.app.list().position, Size::SMALL.callsites - 3);
    stage.key(KeyCode::Home).keys("i");
    assert_eq!((stage.app.list().position, &stage.app.list().selected), (0, &None));
}

#[test]
fn a_column_sorts_and_again_the_other_way() {
    let mut stage = Stage::busy();
    stage.keys("o");
    for _ in 0..6 {
        stage.key(KeyCode::Down);
    }
    stage.key(KeyCode::Enter);
    let opens = |stage: &Stage| {
        let snapshot = &stage.app.data.as_ref().unwrap().snapshot;
        stage.app.rows.iter().map(|at| snapshot.callsites[*at as usize].sums.open).collect::<Vec<_>>()
    };
    assert!(opens(&stage).is_sorted_by(|a, b| a >= b), "{:?}", opens(&stage));
    assert!(stage.line_with("OPEN▼").is_some(), "{}", stage.screen());
    stage.keys("i");
    assert!(opens(&stage).is_sorted(), "{:?}", opens(&stage));
    assert!(stage.line_with("OPEN▲").is_some());
}

#[test]
fn arrows_walk_through_the_columns_and_back_to_worst_first() {
    let mut stage = Stage::busy();
    stage.key(KeyCode::Right).key(KeyCode::Right);
    assert!(stage.line_with("PROCESS▲").is_some(), "{}", stage.screen());
    stage.key(KeyCode::Left).key(KeyCode::Left);
    assert_eq!(stage.app.list().sort, None);
}

#[test]
fn the_filter_works_while_it_is_typed() {
    let mut stage = Stage::busy();
    stage.keys("/pool");
    assert_eq!(stage.app.rows.len(), 2);
    stage.keys(" !worker");
    assert_eq!(stage.app.rows.len(), 1);
    stage.key(KeyCode::Backspace).key(KeyCode::Enter).keys("j");
    assert!(stage.line_with("/pool !worke").is_some());
    stage.key(KeyCode::Esc);
    assert_eq!(stage.app.rows.len(), Size::SMALL.callsites);
}

#[test]
fn a_filter_finds_peers_containers_verdicts_and_process_ids() {
    for (filter, rows) in
        [("peer:10.0.0.3:9092", 5), ("container:c0ffee000000", 2), ("close-wait", 1), ("growing", 2), ("1037", 2)]
    {
        let mut stage = Stage::busy();
        stage.keys("/").keys(filter);
        assert_eq!(stage.app.rows.len(), rows, "{filter}");
    }
}

#[test]
fn n_jumps_between_flagged_rows_round_and_round() {
    let mut stage = Stage::busy();
    stage.key(KeyCode::End).keys("n");
    assert_eq!(stage.app.list().position, 0);
    stage.keys("N");
    assert_eq!(stage.app.list().position, 6, "the last row that is suspect");
}

#[test]
fn severity_and_direction_narrow_and_come_back() {
    let mut stage = Stage::busy();
    let mut counts = Vec::new();
    for _ in 0..4 {
        stage.keys("f");
        counts.push(stage.app.rows.len());
    }
    assert_eq!(counts, [8, 7, 4, 14]);
    stage.keys("dd");
    assert_eq!(stage.app.rows.len(), 1);
}

#[test]
fn a_paused_view_holds_still_and_goes_on_with_the_newest() {
    let mut stage = Stage::busy();
    stage.keys("p").sample(7).sample(8);
    assert!(stage.line_with("12:00:31").is_some(), "{}", stage.screen());
    assert!(stage.line_with("PAUSED").is_some());
    stage.keys("p");
    assert!(stage.line_with("12:00:38").is_some());
    assert_eq!(stage.effects, [Effect::SetFlow(Flow::Paused), Effect::SetFlow(Flow::Running)]);
}

#[test]
fn symbols_that_come_while_paused_are_shown() {
    let mut stage = Stage::busy();
    stage.keys("p").key(KeyCode::Enter);
    assert!(stage.line_with("checkout+0x45").is_some(), "{}", stage.screen());
    let mut resolved = snapshot(Size::SMALL, 1);
    resolved.callsites[0].stack[5].symbol = Some("app::main".to_owned());
    stage.show(resolved);
    assert!(stage.line_with("app::main").is_some());
}

#[test]
fn thresholds_change_at_once_and_can_be_put_back() {
    let mut stage = Stage::busy();
    stage.keys("t").key(KeyCode::Right).key(KeyCode::Down).key(KeyCode::Left);
    let set = |stall, idle| {
        let [threshold, stall, idle] = [60, stall, idle].map(Duration::from_secs);
        Effect::SetThresholds(Limits { threshold, stall, idle })
    };
    assert_eq!(stage.effects, [set(15, 60), set(15, 45)]);
    stage.keys("0").key(KeyCode::Esc).keys("q");
    assert_eq!(stage.effects[2..], [set(10, 60), Effect::Quit]);
}

#[test]
fn an_export_has_the_rows_that_are_shown() {
    let mut stage = Stage::busy();
    stage.keys("/pool").key(KeyCode::Enter).keys("e").key(KeyCode::Down);
    stage.key(KeyCode::Home).keys("out-").key(KeyCode::Enter);
    let [Effect::Export { format, path, shown }] = stage.effects.as_slice() else { panic!("{:?}", stage.effects) };
    assert_eq!(*format, ReportFormat::Json);
    assert_eq!(path.to_str(), Some("out-leaktrace-shop3-20261120T120031.json"));
    let part = shown.to_snapshot();
    assert_eq!(part.callsites.len(), 2);
    assert!(part.sockets.iter().all(|socket| [Some(0x1000), Some(0x100a)].contains(&socket.callsite)));
}

#[test]
fn an_export_of_an_unnarrowed_view_is_the_whole_report() {
    let mut stage = Stage::busy();
    stage.keys("e").key(KeyCode::Enter);
    let Some(Effect::Export { shown, .. }) = stage.effects.first() else { panic!("{:?}", stage.effects) };
    assert_eq!(*shown.to_snapshot(), snapshot(Size::SMALL, 1));
}

#[test]
fn closing_takes_a_yes_and_closes_what_was_named_even_if_the_row_changes_meanwhile() {
    let mut stage = Stage::busy();
    stage.keys("K").key(KeyCode::Enter);
    assert!(cookies(&stage.effects).is_empty(), "Enter is no answer");
    stage.keys("n");
    assert!(stage.line_with("Nothing was closed").is_some());
    stage.keys("K").show(snapshot(Size { sockets: 3, ..Size::SMALL }, 2)).keys("y");
    assert_eq!(cookies(&stage.effects), [0x4000, 0x400e, 0x401c, 0x402a]);
    let Some(Effect::KillSockets { sockets }) = stage.effects.last() else { panic!() };
    assert_eq!(Some(sockets[0]), snapshot(Size::SMALL, 1).sockets[0].observed.id());
}

#[test]
fn one_socket_is_closed_alone_and_a_recording_never() {
    let mut stage = Stage::busy();
    stage.keys("4").key(KeyCode::Down).keys("Ky");
    assert_eq!(cookies(&stage.effects), [0x4001]);
    stage.tell(Update::Replay(ReplayState::default())).keys("Ky");
    assert_eq!(cookies(&stage.effects), [0x4001]);
    assert!(stage.line_with("recording").is_none(), "y said something else");
}

#[test]
fn the_sockets_of_a_row_are_one_key_away_and_back() {
    let mut stage = Stage::busy();
    stage.key(KeyCode::Down).keys("s");
    assert_eq!(stage.app.rows.len(), 4);
    assert!(stage.line_with("of api-gateway main.(*Dispatcher).fetchInvoice").is_some(), "{}", stage.screen());
    stage.key(KeyCode::Esc);
    assert_eq!(stage.app.list().position, 1);
    assert_eq!(stage.app.rows.len(), Size::SMALL.callsites);
}

#[test]
fn clicks_choose_views_rows_columns_and_footer_keys() {
    let mut stage = Stage::busy();
    stage.click(20, 3);
    assert!(stage.line_with("PID").is_some(), "{}", stage.screen());
    stage.keys("1").click(30, 7);
    assert_eq!(stage.app.list().position, 2);
    stage.click(30, 7);
    assert!(stage.line_with("Enter enlarges").is_some(), "a second click opens the detail");
    stage.key(KeyCode::Esc).click(4, 4);
    assert!(stage.line_with("PROCESS▲").is_some());
    let footer = stage.screen().lines().last().unwrap().to_owned();
    let x = footer.chars().position(|c| c == '?').unwrap() as u16;
    stage.click(x, 39);
    assert!(stage.line_with("Keys and signs").is_some());
}

#[test]
fn the_mouse_can_be_left_to_the_terminal() {
    let mut stage = Stage::busy();
    stage.keys("mm");
    let taken = [MouseCapture::Released, MouseCapture::Captured].map(Effect::CaptureMouse);
    assert_eq!(stage.effects, taken);
}

#[test]
fn a_recording_steps_jumps_changes_speed_and_seeks_by_click() {
    let mut stage = Stage::busy();
    stage.tell(Update::Replay(ReplayState { index: 100, count: Some(901), speed: 1.0, flow: Flow::Running }));
    stage.keys(".}[] ");
    let seek = |index, flow| Effect::ReplaySeek { index, flow };
    let expected = [
        seek(101, Flow::Paused),
        seek(191, Flow::Paused),
        Effect::ReplaySpeed(0.5),
        Effect::ReplaySpeed(1.0),
        Effect::SetFlow(Flow::Running),
    ];
    assert_eq!(stage.effects, expected);
    stage.click(110, 38);
    let Some(Effect::ReplaySeek { index, .. }) = stage.effects.last() else { panic!("{:?}", stage.effects) };
    assert!((800..=900).contains(index), "{index}");
}

#[test]
fn replay_keys_mean_nothing_live() {
    let mut stage = Stage::busy();
    stage.keys(",.[]{}");
    assert!(stage.effects.is_empty());
}

#[test]
fn symbols_are_asked_for_once_and_only_for_what_is_on_the_screen() {
    let mut stage = Stage::new(80, 12);
    stage.sample(0);
    let asked = stage.wants();
    let [Effect::ResolveSymbols { callsites }] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(callsites.len(), 8);
    assert!(stage.wants().is_empty());
    stage.key(KeyCode::End);
    assert_eq!(stage.wants().len(), 1);
}

#[test]
fn names_are_looked_up_only_when_switched_on() {
    let mut stage = Stage::busy();
    stage.keys("3");
    assert!(!stage.wants().iter().any(|effect| matches!(effect, Effect::ReverseLookup { .. })));
    stage.keys("R");
    let asked = stage.wants();
    let Some(Effect::ReverseLookup { addresses }) = asked.last() else { panic!("{asked:?}") };
    let known = ["10.0.0.1", "2001:db8::5"].map(|text| text.parse::<IpAddr>().unwrap());
    assert!(known.iter().all(|address| addresses.contains(address)), "{addresses:?}");
    assert!(stage.wants().is_empty());
}

#[test]
fn the_detail_fills_a_small_terminal_and_shares_a_large_one() {
    let mut stage = Stage::new(80, 24);
    stage.sample(0).key(KeyCode::Enter);
    assert!(stage.line_with("PROCESS").is_none(), "{}", stage.screen());
    let mut stage = Stage::busy();
    stage.key(KeyCode::Enter);
    assert!(stage.line_with("PROCESS").is_some() && stage.line_with("Stack").is_some());
    stage.key(KeyCode::Down);
    assert!(stage.line_with("─ api-gateway").is_some(), "the detail follows the cursor");
    stage.key(KeyCode::Esc);
    assert!(stage.line_with("Stack").is_none());
}

#[test]
fn pasted_text_never_acts_as_keys() {
    let mut stage = Stage::busy();
    stage.send(crate::Msg::Paste("q".to_owned()));
    assert!(stage.effects.is_empty());
    stage.keys("/").send(crate::Msg::Paste("po\nol".to_owned()));
    assert_eq!(stage.app.rows.len(), 2);
}
