//! The table of keys: it drives dispatch, the footer, the help and the manual.
//!
//! What a key does is decided in `update`; here is only which action it stands for, and where.

use crate::rows::view_kind::View;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use leaktrace_model::Glyphs;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table below says what each does")]
pub(crate) enum Action {
    Quit,
    Help,
    Health,
    Redraw,
    Suspend,
    Show(View),
    NextView,
    PreviousView,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Back,
    Sockets,
    PreviousRow,
    NextRow,
    SortLeft,
    SortRight,
    Invert,
    SortMenu,
    Filter,
    Severity,
    Direction,
    Group,
    NextFlagged,
    PreviousFlagged,
    Pause,
    Thresholds,
    Export,
    Kill,
    Fold,
    Names,
    Mouse,
    StepBack,
    StepForward,
    JumpBack,
    JumpForward,
    Slower,
    Faster,
    Accept,
    Cancel,
    Yes,
    No,
    Less,
    More,
    Reset,
}

/// Where a key means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Context {
    /// A table has the keyboard.
    Browse,
    /// The detail of one row has the keyboard.
    Detail,
    /// The filter is being typed.
    Filter,
    /// A page of help or health is open.
    Page,
    /// The order is being chosen.
    Sort,
    /// Thresholds are being changed.
    Thresholds,
    /// An export is being prepared.
    Export,
    /// Something waits for yes or no.
    Confirm,
    /// A recording is shown: these come on top of the others.
    Replay,
}

impl Context {
    /// All of them, as the help lists them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Browse,
        Self::Detail,
        Self::Filter,
        Self::Page,
        Self::Sort,
        Self::Thresholds,
        Self::Export,
        Self::Confirm,
        Self::Replay,
    ];

    /// Its title in the help.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Browse => "Tables",
            Self::Detail => "Detail, full screen",
            Self::Filter => "Filter",
            Self::Page => "Help and health",
            Self::Sort => "Order",
            Self::Thresholds => "Thresholds",
            Self::Export => "Export",
            Self::Confirm => "Confirmation",
            Self::Replay => "Replay",
        }
    }
}

/// A key as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A character, as the keyboard gives it.
    Char(char),
    /// A character together with Ctrl.
    Ctrl(char),
    /// Any other key.
    Code(KeyCode),
}

impl Key {
    fn of(event: &KeyEvent) -> Option<Self> {
        match event.code {
            KeyCode::Char(c) if event.modifiers.contains(KeyModifiers::CONTROL) => {
                Some(Self::Ctrl(c.to_ascii_lowercase()))
            }
            KeyCode::Char(_) if event.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SUPER) => None,
            KeyCode::Char(c) => Some(Self::Char(c)),
            code => Some(Self::Code(code)),
        }
    }

    /// How footer and help write it on a screen, by its characters.
    pub(crate) fn sign(self, glyphs: Glyphs) -> String {
        let arrow = match self {
            Self::Code(KeyCode::Up) => "↑",
            Self::Code(KeyCode::Down) => "↓",
            Self::Code(KeyCode::Left) => "←",
            Self::Code(KeyCode::Right) => "→",
            _ => return self.label(),
        };
        if glyphs == Glyphs::Unicode { arrow.to_owned() } else { self.label() }
    }

    /// How the manual writes it.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Char(' ') => "Space".to_owned(),
            Self::Char(c) => c.to_string(),
            Self::Ctrl(c) => format!("^{}", c.to_ascii_uppercase()),
            Self::Code(KeyCode::F(n)) => format!("F{n}"),
            Self::Code(KeyCode::BackTab) => "S-Tab".to_owned(),
            Self::Code(KeyCode::PageUp) => "PgUp".to_owned(),
            Self::Code(KeyCode::PageDown) => "PgDn".to_owned(),
            Self::Code(code) => format!("{code:?}"),
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    /// Where it has a meaning.
    pub(crate) contexts: &'static [Context],
    /// Any of these, the one to name first.
    pub(crate) keys: &'static [Key],
    /// The action.
    pub(crate) action: Action,
    /// One or two words for the footer; empty where the footer need not say it. Neighbours with the same words share one
    /// place there.
    pub(crate) short: &'static str,
    /// A sentence for help and manual.
    pub(crate) long: &'static str,
}

use Action as A;
use Context::{Browse, Confirm, Detail, Export, Filter, Page, Replay, Sort, Thresholds};
use Key::{Char, Code, Ctrl};

const fn bind(
    contexts: &'static [Context],
    keys: &'static [Key],
    action: Action,
    short: &'static str,
    long: &'static str,
) -> Binding {
    Binding { contexts, keys, action, short, long }
}

const MAIN: &[Context] = &[Browse, Detail];

/// Every key. Within a context the footer shows as many as fit, first ones first.
pub(crate) const TABLE: &[Binding] = &[
    bind(&[Browse], &[Code(KeyCode::Enter)], A::Open, "detail", "open the detail of the row; again: full screen"),
    bind(&[Confirm], &[Char('y'), Char('Y')], A::Yes, "close them", "close the sockets that are named"),
    bind(&[Confirm], &[Char('n'), Code(KeyCode::Esc), Char('q')], A::No, "keep them", "close nothing"),
    bind(&[Confirm], &[Code(KeyCode::Down), Char('j')], A::Down, "", "next line of what is named"),
    bind(&[Confirm], &[Code(KeyCode::Up), Char('k')], A::Up, "", "line before"),
    bind(&[Filter], &[Code(KeyCode::Enter)], A::Accept, "keep", "keep the filter and go back to the table"),
    bind(&[Filter], &[Code(KeyCode::Esc)], A::Cancel, "clear", "drop the filter"),
    bind(&[Filter], &[Code(KeyCode::Down)], A::Down, "", "next row, while typing"),
    bind(&[Filter], &[Code(KeyCode::Up)], A::Up, "", "previous row, while typing"),
    bind(&[Sort], &[Code(KeyCode::Enter), Char(' ')], A::Accept, "sort by it", "sort by the column"),
    bind(&[Export], &[Code(KeyCode::Enter)], A::Accept, "write", "write the file"),
    bind(
        &[Thresholds],
        &[Code(KeyCode::Left), Char('-'), Char('h')],
        A::Less,
        "change",
        "lower the threshold, at once",
    ),
    bind(
        &[Thresholds],
        &[Code(KeyCode::Right), Char('+'), Char('='), Char('l')],
        A::More,
        "change",
        "raise the threshold, at once",
    ),
    bind(
        &[Thresholds],
        &[Char('0'), Code(KeyCode::Backspace)],
        A::Reset,
        "reset",
        "back to the thresholds of the start",
    ),
    bind(&[Export, Sort], &[Code(KeyCode::Esc)], A::Cancel, "cancel", "close the dialog"),
    bind(&[Sort], &[Char('q')], A::Cancel, "", "close the dialog"),
    bind(
        &[Thresholds],
        &[Code(KeyCode::Esc), Code(KeyCode::Enter), Char('t'), Char('q')],
        A::Cancel,
        "done",
        "close the dialog",
    ),
    bind(&[Export], &[Code(KeyCode::Up), Code(KeyCode::BackTab)], A::Up, "format", "previous format"),
    bind(&[Export], &[Code(KeyCode::Down), Code(KeyCode::Tab)], A::Down, "format", "next format"),
    bind(
        &[Page],
        &[Code(KeyCode::Esc), Char('q'), Char('?'), Char('h'), Code(KeyCode::F(1)), Code(KeyCode::Enter)],
        A::Cancel,
        "back",
        "close the page",
    ),
    bind(&[Detail], &[Code(KeyCode::Esc)], A::Back, "back", "back to the table"),
    bind(&[Detail], &[Code(KeyCode::Left)], A::PreviousRow, "row", "the row before this one"),
    bind(&[Detail], &[Code(KeyCode::Right), Code(KeyCode::Enter)], A::NextRow, "row", "the row after this one"),
    bind(MAIN, &[Char('s')], A::Sockets, "sockets", "show the sockets of the row"),
    bind(
        MAIN,
        &[Char('/'), Code(KeyCode::F(4)), Code(KeyCode::F(3))],
        A::Filter,
        "filter",
        "filter as you type: process, symbol, peer, container, verdict; !word excludes",
    ),
    bind(MAIN, &[Char('f')], A::Severity, "severity", "show all rows, flagged ones, suspects and leaks, leaks only"),
    bind(
        &[Browse],
        &[Char('o'), Code(KeyCode::F(6))],
        A::SortMenu,
        "order",
        "choose the column that sorts, also one that does not fit",
    ),
    bind(&[Browse], &[Char('n')], A::NextFlagged, "next flagged", "jump to the next flagged row"),
    bind(&[Browse], &[Char('N')], A::PreviousFlagged, "", "jump to the flagged row before"),
    bind(MAIN, &[Char('p'), Char(' ')], A::Pause, "pause", "hold the picture still; sampling goes on"),
    bind(MAIN, &[Char('t')], A::Thresholds, "thresholds", "change threshold, stall and idle"),
    bind(MAIN, &[Char('e')], A::Export, "export", "write what is shown to a file, in any report format"),
    bind(MAIN, &[Char('K'), Code(KeyCode::F(9))], A::Kill, "close", "close the sockets of the row, after confirmation"),
    bind(&[Detail], &[Char('x')], A::Fold, "fold", "fold or unfold frames of libraries and runtimes"),
    bind(&[Browse], &[Char('x')], A::Fold, "", "fold or unfold frames of libraries and runtimes"),
    bind(
        MAIN,
        &[Char('b')],
        A::Group,
        "group by",
        "group rows: by code or process; by process, name, container, unit; by peer, host, listener",
    ),
    bind(MAIN, &[Char('d')], A::Direction, "direction", "show connects, accepts or both"),
    bind(MAIN, &[Char('?'), Code(KeyCode::F(1))], A::Help, "help", "this page"),
    bind(MAIN, &[Char('h')], A::Health, "health", "how well leaktrace itself is doing: losses, degradations, cost"),
    bind(MAIN, &[Char('R')], A::Names, "names", "look up the names of peers, or stop it"),
    bind(MAIN, &[Char('m')], A::Mouse, "mouse", "leave the mouse to the terminal, to select text, or take it back"),
    bind(MAIN, &[Char('q'), Code(KeyCode::F(10)), Ctrl('c')], A::Quit, "quit", "quit"),
    bind(MAIN, &[Char('1')], A::Show(View::Callsites), "", "call sites, worst first"),
    bind(MAIN, &[Char('2')], A::Show(View::Processes), "", "processes"),
    bind(MAIN, &[Char('3')], A::Show(View::Peers), "", "peers"),
    bind(MAIN, &[Char('4')], A::Show(View::Sockets), "", "sockets"),
    bind(MAIN, &[Code(KeyCode::Tab)], A::NextView, "", "next view"),
    bind(MAIN, &[Code(KeyCode::BackTab)], A::PreviousView, "", "previous view"),
    bind(&[Browse, Detail, Page, Sort, Thresholds], &[Code(KeyCode::Up), Char('k')], A::Up, "", "up"),
    bind(&[Browse, Detail, Page, Sort, Thresholds], &[Code(KeyCode::Down), Char('j')], A::Down, "", "down"),
    bind(&[Browse, Detail, Page], &[Code(KeyCode::PageUp), Ctrl('b'), Ctrl('u')], A::PageUp, "", "a page up"),
    bind(&[Browse, Detail, Page], &[Code(KeyCode::PageDown), Ctrl('f'), Ctrl('d')], A::PageDown, "", "a page down"),
    bind(&[Browse, Detail, Page, Sort], &[Code(KeyCode::Home), Char('g')], A::First, "", "to the top, and stay there"),
    bind(&[Browse, Detail, Page, Sort], &[Code(KeyCode::End), Char('G')], A::Last, "", "to the end"),
    bind(&[Browse], &[Code(KeyCode::Left), Char('<')], A::SortLeft, "", "sort by the column to the left"),
    bind(&[Browse], &[Code(KeyCode::Right), Char('>')], A::SortRight, "", "sort by the column to the right"),
    bind(&[Browse, Sort], &[Char('i')], A::Invert, "", "turn the order round"),
    bind(
        &[Browse],
        &[Code(KeyCode::Esc), Code(KeyCode::Backspace)],
        A::Back,
        "",
        "one step back: detail, filter, the sockets of one row",
    ),
    bind(MAIN, &[Ctrl('l')], A::Redraw, "", "draw everything anew"),
    bind(MAIN, &[Ctrl('z')], A::Suspend, "", "suspend; fg comes back"),
    bind(&[Replay], &[Char(',')], A::StepBack, "step", "one sample back"),
    bind(&[Replay], &[Char('.')], A::StepForward, "step", "one sample on"),
    bind(&[Replay], &[Char('{')], A::JumpBack, "jump", "a tenth of the recording back"),
    bind(&[Replay], &[Char('}')], A::JumpForward, "jump", "a tenth of the recording on"),
    bind(&[Replay], &[Char('[')], A::Slower, "speed", "half the speed"),
    bind(&[Replay], &[Char(']')], A::Faster, "speed", "twice the speed"),
];

/// What `event` asks for in `context`. `Ctrl-C` quits everywhere.
pub(crate) fn lookup(context: Context, event: &KeyEvent) -> Option<Action> {
    let key = Key::of(event)?;
    if key == Key::Ctrl('c') {
        return Some(Action::Quit);
    }
    TABLE.iter().find(|row| row.contexts.contains(&context) && row.keys.contains(&key)).map(|row| row.action)
}

/// The rows of a context.
pub(crate) fn bindings(context: Context) -> impl Iterator<Item = &'static Binding> {
    TABLE.iter().filter(move |row| row.contexts.contains(&context))
}

/// The table for the manual: title of the context, keys, what they do.
pub fn manual() -> Vec<(&'static str, String, &'static str)> {
    let rows = |context: Context| {
        bindings(context).map(move |row| {
            let keys: Vec<String> = row.keys.iter().map(|key| key.label()).collect();
            (context.title(), keys.join(", "), row.long)
        })
    };
    Context::ALL.into_iter().flat_map(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_context() {
        for context in Context::ALL {
            let keys: Vec<Key> = bindings(context).flat_map(|row| row.keys.iter().copied()).collect();
            for (at, key) in keys.iter().enumerate() {
                assert!(!keys[at + 1..].contains(key), "{key:?} in {context:?}");
            }
        }
    }

    #[test]
    fn replay_keys_take_nothing_away_from_the_other_contexts() {
        for row in bindings(Context::Replay) {
            for key in row.keys {
                assert!(
                    !bindings(Context::Browse).chain(bindings(Context::Detail)).any(|other| other.keys.contains(key))
                );
            }
        }
    }

    #[test]
    fn every_context_can_be_left() {
        for context in Context::ALL {
            let leaves = |a: Action| matches!(a, A::Quit | A::Cancel | A::No);
            assert!(context == Context::Replay || bindings(context).any(|row| leaves(row.action)), "{context:?}");
        }
    }

    #[test]
    fn ctrl_c_quits_from_everywhere() {
        let event = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for context in Context::ALL {
            assert_eq!(lookup(context, &event), Some(Action::Quit));
        }
    }
}
