//! Hostile text, and any keys on any terminal.

use super::Stage;
use crate::{Colour, Msg, Options, ReplayState, Update};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use leaktrace_model::fixtures::busy::{Size, degraded, lossy, snapshot};
use leaktrace_model::{Comm, Degradation, Frame, Glyphs, Opener, Snapshot, StackReason};
use proptest::prelude::*;

const HOSTILE: &str = "e\x1b]0;gone\x07\x1b[2J\u{9b}31m\r\n\t\u{202e}lve\u{200b}\u{7f}漢\u{301}";

fn hostile() -> Snapshot {
    let mut now = degraded(lossy(snapshot(Size::SMALL, 1)));
    let evil = || HOSTILE.to_owned();
    now.host.hostname = Some(evil());
    now.host.kernel = Some(evil());
    now.settings.filter.comms = vec![evil()];
    now.settings.filter.containers = vec![evil()];
    now.health.degraded = vec![Degradation::Recorded { feature: evil(), reason: evil() }; 2];
    for site in &mut now.callsites {
        (site.comm, site.exe) = (evil(), Some(evil()));
        site.stack_reason = Some(StackReason::Recorded { text: evil(), not_sampled: false });
        let frame =
            Frame { symbol: Some(evil()), file: Some(evil()), module: Some(evil()), line: Some(1), ..Frame::default() };
        site.stack = vec![frame.clone(), Frame { symbol: None, file: None, ..frame }];
    }
    for process in &mut now.processes {
        process.comm = evil();
        (process.exe, process.container, process.unit, process.cgroup) =
            (Some(evil()), Some(evil()), Some(evil()), Some(evil()));
    }
    for socket in &mut now.sockets {
        socket.opener = Some(Opener { pid: 1, comm: Comm::new(HOSTILE) });
        socket.container = Some(evil());
        for holder in &mut socket.holders {
            holder.comm = evil();
        }
    }
    now
}

fn assert_harmless(stage: &Stage) {
    for cell in &stage.buffer().content {
        let bad = |c: char| c.is_control() || matches!(c, '\u{200b}' | '\u{202e}' | '\u{9b}' | '\u{301}');
        assert!(!cell.symbol().chars().any(bad), "{:?}", cell.symbol());
    }
}

#[test]
fn no_control_character_reaches_the_terminal_from_any_screen() {
    for glyphs in [Glyphs::Unicode, Glyphs::Ascii] {
        let mut stage = Stage::with(Options { glyphs, colour: Colour::Palette }, 120, 40);
        stage.show(hostile());
        let peer = snapshot(Size::SMALL, 1).peers[1].key.ip();
        stage.tell(Update::PeerName { address: peer, name: Some(HOSTILE.to_owned()) });
        for keys in [
            "", "K", "n", "h", "\x1b", "2", "b", "bb", "3R", "b", "b", "4", "K", "n", "1s", "e", "\x1b", "o", "\x1b",
            "/", HOSTILE,
        ] {
            for c in keys.chars() {
                stage.key(if c == '\x1b' { KeyCode::Esc } else { KeyCode::Char(c) });
            }
            assert_harmless(&stage);
            stage.key(KeyCode::Enter);
            assert_harmless(&stage);
            stage.key(KeyCode::Esc);
        }
        if glyphs == Glyphs::Ascii {
            assert!(stage.screen().is_ascii(), "{}", stage.screen());
        }
    }
}

#[test]
fn ascii_terminals_get_nothing_else_on_any_screen() {
    let options = Options { glyphs: Glyphs::Ascii, colour: Colour::Plain };
    let mut stage = Stage::with(options, 100, 30);
    stage.sample(0).sample(1);
    stage.tell(Update::Replay(ReplayState { index: 1, count: Some(9), speed: 0.5, ..ReplayState::default() }));
    stage.tell(Update::Adopting { done: 1, total: Some(2) });
    for keys in ["1", "2", "3", "4", "?", "h", "t", "o", "e", "K", "/", "p"] {
        stage.keys(keys);
        assert!(stage.screen().is_ascii(), "{keys}\n{}", stage.screen());
        stage.key(KeyCode::Enter);
        assert!(stage.screen().is_ascii(), "{keys}, Enter\n{}", stage.screen());
        stage.key(KeyCode::Esc).key(KeyCode::Esc);
    }
}

fn any_msg() -> impl Strategy<Value = Msg> {
    let plain = "[ -~]".prop_map(|text| KeyCode::Char(text.chars().next().unwrap_or(' ')));
    let named = prop::sample::select(vec![
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Backspace,
        KeyCode::Delete,
        KeyCode::F(9),
        KeyCode::Char('é'),
    ]);
    // Keys that open something are chosen more often than others.
    let useful = prop::sample::select("1234jkKynbfdsoi/?hteRpx,.[]{}".chars().map(KeyCode::Char).collect::<Vec<_>>());
    let code = prop_oneof![1 => plain, 2 => named, 4 => useful];
    let modifiers = prop_oneof![9 => Just(KeyModifiers::NONE), 1 => Just(KeyModifiers::CONTROL)];
    let key = (code, modifiers).prop_map(|(code, modifiers)| Msg::Key(KeyEvent::new(code, modifiers)));
    let kind = prop::sample::select(vec![
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::ScrollDown,
        MouseEventKind::ScrollUp,
    ]);
    let mouse = (kind, 0..220u16, 0..70u16)
        .prop_map(|(kind, column, row)| Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
    let resize = (0..220u16, 0..70u16).prop_map(|(width, height)| Msg::Resize(width, height));
    let replay = (0..20u64, proptest::option::of(0..20u64), -1.0..9.0f64).prop_map(|(index, count, speed)| {
        Msg::Update(Update::Replay(ReplayState { index, count, speed, ..ReplayState::default() }))
    });
    let adopting = (0..9u64, proptest::option::of(0..9u64))
        .prop_map(|(done, total)| Msg::Update(Update::Adopting { done, total }));
    prop_oneof![16 => key, 3 => mouse, 2 => resize, 1 => replay, 1 => adopting]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_key_sequence_on_any_terminal_panics(
        width in 0..200u16,
        height in 0..60u16,
        msgs in prop::collection::vec(any_msg(), 1..60),
        ascii in any::<bool>(),
    ) {
        let glyphs = if ascii { Glyphs::Ascii } else { Glyphs::Unicode };
        let mut stage = Stage::with(Options { glyphs, colour: Colour::Palette }, width, height);
        for (nth, msg) in msgs.into_iter().enumerate() {
            match nth % 16 {
                2 => stage.sample(nth as u64),
                6 => stage.show(hostile()),
                10 => stage.show(Snapshot::default()),
                _ => &mut stage,
            };
            stage.send(msg);
            stage.wants();
            stage.buffer();
        }
    }
}
