//! Tests of the live view as a whole: screens, keys, hostile input.

mod keys;
mod screens;
mod stress;

use super::{App, Effect, Msg, Options, SnapshotIndex, Update, update, view, wants};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use leaktrace_model::Snapshot;
use leaktrace_model::fixtures::busy::{Size, snapshot};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use std::sync::Arc;

/// A live view on a terminal of its own.
struct Stage {
    app: App,
    /// The effects, in order.
    effects: Vec<Effect>,
}

impl Stage {
    fn new(width: u16, height: u16) -> Self {
        Self::with(Options::default(), width, height)
    }

    fn with(options: Options, width: u16, height: u16) -> Self {
        Self { app: App::new(options, width, height), effects: Vec::new() }
    }

    fn busy() -> Self {
        let mut stage = Self::new(120, 40);
        stage.sample(0).sample(1);
        stage
    }

    fn send(&mut self, msg: Msg) -> &mut Self {
        self.effects.extend(update(&mut self.app, msg));
        self
    }

    fn show(&mut self, snapshot: Snapshot) -> &mut Self {
        let index = SnapshotIndex::of(&snapshot);
        self.send(Msg::Snapshot(Arc::new(snapshot), Arc::new(index)))
    }

    fn sample(&mut self, tick: u64) -> &mut Self {
        self.show(snapshot(Size::SMALL, tick))
    }

    fn tell(&mut self, said: Update) -> &mut Self {
        self.send(Msg::Update(said))
    }

    fn key(&mut self, code: KeyCode) -> &mut Self {
        self.send(Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    fn keys(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            self.key(KeyCode::Char(c));
        }
        self
    }

    fn click(&mut self, column: u16, row: u16) -> &mut Self {
        let kind = MouseEventKind::Down(MouseButton::Left);
        self.send(Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
    }

    /// The requests of the screen itself.
    fn wants(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| wants(&mut self.app)).collect()
    }

    fn buffer(&self) -> Buffer {
        let (width, height) = self.app.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view(&self.app, frame)).unwrap();
        terminal.backend().buffer().clone()
    }

    /// The screen as text.
    fn screen(&self) -> String {
        let buffer = self.buffer();
        let row = |y: u16| -> String {
            let mut line = String::new();
            let mut x = 0;
            while x < buffer.area.width {
                let symbol = buffer[(x, y)].symbol();
                line.push_str(symbol);
                x += crate::text::width(symbol).max(1) as u16;
            }
            line.trim_end().to_owned()
        };
        (0..buffer.area.height).map(row).collect::<Vec<_>>().join("\n")
    }

    /// The line of the screen that `text` is on.
    fn line_with(&self, text: &str) -> Option<String> {
        self.screen().lines().find(|line| line.contains(text)).map(str::to_owned)
    }
}
