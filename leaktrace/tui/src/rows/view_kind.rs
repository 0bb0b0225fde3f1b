//! The four tables, how their rows can be grouped, and the filters by severity and direction.

use leaktrace_model::{Direction, Severity};

/// Which table is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum View {
    /// The code that opened sockets.
    #[default]
    Callsites,
    /// Who holds them.
    Processes,
    /// The other ends.
    Peers,
    /// One by one.
    Sockets,
}

impl View {
    /// In the order of their keys.
    pub(crate) const ALL: [Self; 4] = [Self::Callsites, Self::Processes, Self::Peers, Self::Sockets];

    /// Its place in [`Self::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The text of its tab.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Callsites => "Call sites",
            Self::Processes => "Processes",
            Self::Peers => "Peers",
            Self::Sockets => "Sockets",
        }
    }

    /// Its tab in little room.
    pub(crate) const fn short_title(self) -> &'static str {
        match self {
            Self::Callsites => "Sites",
            Self::Processes => "Procs",
            Self::Peers => "Peers",
            Self::Sockets => "Socks",
        }
    }

    /// The ways its rows can be grouped, the usual one first.
    pub(crate) const fn groupings(self) -> &'static [Grouping] {
        match self {
            Self::Callsites => &[Grouping::Each, Grouping::Comm],
            Self::Processes => &[Grouping::Each, Grouping::Comm, Grouping::Container, Grouping::Unit],
            Self::Peers => &[Grouping::Each, Grouping::Host, Grouping::Listener],
            Self::Sockets => &[Grouping::Each],
        }
    }
}

/// What makes one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Grouping {
    /// A call site, a process, a peer, a socket.
    #[default]
    Each,
    /// A process name.
    Comm,
    /// A container.
    Container,
    /// A systemd unit.
    Unit,
    /// An address, whatever the port.
    Host,
    /// A local address that connections were accepted on.
    Listener,
}

impl Grouping {
    /// The text in the line of tabs; empty for the usual rows.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Each => "",
            Self::Comm => "by process name",
            Self::Container => "by container",
            Self::Unit => "by unit",
            Self::Host => "by host",
            Self::Listener => "by listener",
        }
    }
}

/// The filter by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SeverityFilter {
    /// Every row.
    #[default]
    All,
    /// Rows with a verdict of this severity or worse.
    AtLeast(Severity),
}

impl SeverityFilter {
    /// The next one; after the last one the first.
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::All => Self::AtLeast(Severity::Info),
            Self::AtLeast(Severity::Info) => Self::AtLeast(Severity::Suspect),
            Self::AtLeast(Severity::Suspect) => Self::AtLeast(Severity::Leak),
            Self::AtLeast(Severity::Leak) => Self::All,
        }
    }

    /// The text in the line of tabs.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::All => "",
            Self::AtLeast(Severity::Info) => "flagged",
            Self::AtLeast(Severity::Suspect) => "suspect or leak",
            Self::AtLeast(Severity::Leak) => "leaks",
        }
    }

    /// Whether a row that is as bad as `worst` is let through.
    pub(crate) fn admits(self, worst: Option<Severity>) -> bool {
        match self {
            Self::All => true,
            Self::AtLeast(severity) => worst >= Some(severity),
        }
    }
}

/// Which end opened the sockets of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// This end opened all of them.
    By(Direction),
    /// Of some this end, of others the other: in a row that stands for several.
    Both,
}

impl Opened {
    /// The word on the screen.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::By(direction) => direction.name(),
            Self::Both => "both",
        }
    }

    /// What is true of two rows together.
    pub(crate) fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Both }
    }
}

/// The filter by direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DirectionFilter {
    /// Both.
    #[default]
    Both,
    /// This end connected.
    Connect,
    /// This end accepted.
    Accept,
}

impl DirectionFilter {
    /// The next one; after the last one the first.
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Both => Self::Connect,
            Self::Connect => Self::Accept,
            Self::Accept => Self::Both,
        }
    }

    /// The text in the line of tabs.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Both => "",
            Self::Connect => "connects",
            Self::Accept => "accepts",
        }
    }

    /// Whether a row whose sockets that end opened is let through; rows without a direction are.
    pub(crate) fn admits(self, opened: Option<Opened>) -> bool {
        match (self, opened) {
            (Self::Both, _) | (_, None) => true,
            (Self::Connect, Some(opened)) => opened == Opened::By(Direction::Connect),
            (Self::Accept, Some(opened)) => opened == Opened::By(Direction::Accept),
        }
    }
}
