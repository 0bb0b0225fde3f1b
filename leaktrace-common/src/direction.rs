//! Which end opened a connection.

/// Which end opened the connection. The discriminant is the number kept in records and rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Direction {
    /// The opening was not seen: the socket is older than the tracer, or a hook was skipped.
    #[default]
    Unknown = 0,
    /// This end called connect.
    Connect = 1,
    /// This end called accept.
    Accept = 2,
}

impl Direction {
    /// How many directions there are.
    pub const COUNT: u32 = 3;

    /// The direction of a number. An unknown number gives [`Self::Unknown`].
    #[inline(always)]
    pub const fn from_raw(raw: u8) -> Self {
        match raw {
            1 => Self::Connect,
            2 => Self::Accept,
            _ => Self::Unknown,
        }
    }

    /// The number kept in records and rows.
    #[inline(always)]
    pub const fn raw(self) -> u8 {
        self as u8
    }

    /// The name used in reports and filters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Connect => "connect",
            Self::Accept => "accept",
        }
    }
}

// `from_raw` is the inverse of `raw`, and the numbers are 0 to COUNT - 1.
const _: () = {
    let mut raw = 0;
    while raw < Direction::COUNT as u8 {
        assert!(Direction::from_raw(raw).raw() == raw);
        raw += 1;
    }
};
