//! The style of each kind of text. Uses the terminal's own palette only, so dark and light terminals both work. Without colours,
//! roles differ by weight, underline and reversal.

use leaktrace_model::Severity;
use ratatui::style::{Color, Modifier, Style};

/// Whether colours may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// The sixteen colours of the terminal.
    #[default]
    Palette,
    /// None: `NO_COLOR`, `--color never`.
    Plain,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// Normal text.
    #[default]
    Text,
    /// Labels and less important text.
    Faint,
    /// Names, important figures.
    Strong,
    /// Keys, the chosen view, the column that sorts.
    Accent,
    /// The heading of a table.
    Heading,
    /// A severity.
    Bad(Severity),
    /// Nothing is wrong.
    Good,
    /// Loss and degradation.
    Warning,
    /// The row that the cursor is on.
    Selected,
    /// A curve.
    Curve,
}

impl Colour {
    /// The style of a role.
    pub(crate) fn style(self, role: Role) -> Style {
        let plain = match role {
            Role::Text | Role::Good | Role::Curve | Role::Bad(Severity::Info) => Style::new(),
            Role::Faint => Style::new().add_modifier(Modifier::DIM),
            Role::Strong | Role::Bad(Severity::Leak) => Style::new().add_modifier(Modifier::BOLD),
            Role::Accent => Style::new().add_modifier(Modifier::BOLD),
            Role::Heading => Style::new().add_modifier(Modifier::UNDERLINED),
            Role::Bad(Severity::Suspect) => Style::new(),
            Role::Warning => Style::new().add_modifier(Modifier::BOLD),
            Role::Selected => Style::new().add_modifier(Modifier::REVERSED),
        };
        if self == Self::Plain {
            return plain;
        }
        match role {
            Role::Accent => plain.fg(Color::Cyan),
            Role::Bad(Severity::Leak) => plain.fg(Color::Red),
            Role::Bad(Severity::Suspect) | Role::Warning => plain.fg(Color::Yellow),
            Role::Bad(Severity::Info) => plain.fg(Color::Blue),
            Role::Good => plain.fg(Color::Green),
            Role::Curve => plain.fg(Color::Cyan),
            _ => plain,
        }
    }

    /// The style that the selected row adds to its cells: one bar, readable on any palette.
    pub(crate) fn bar(self) -> Style {
        let bar = self.style(Role::Selected).remove_modifier(Modifier::DIM);
        if self == Self::Plain { bar } else { bar.fg(Color::Reset) }
    }

    /// The style of a severity, or of what has none.
    pub(crate) fn severity(self, severity: Option<Severity>) -> Style {
        self.style(severity.map_or(Role::Text, Role::Bad))
    }
}
