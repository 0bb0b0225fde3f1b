//! Which tests a run has: how many of them, and where.

use crate::vm::request::Column;

/// How much is tested.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Unit tests without the slow end-to-end ones, and the short column on this host.
    Quick,
    /// Checks, unit tests, every scenario on this host, the short column on three kernels.
    Usual,
    /// Checks, unit tests, every scenario on this host and on every kernel.
    All,
}

/// Where tests run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// On this host and in virtual machines.
    Everywhere,
    /// On this host.
    Host,
    /// In virtual machines.
    VirtualMachines,
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// How much.
    pub extent: Extent,
    /// Where.
    pub places: Places,
}

impl Scope {
    /// What was asked for, with a name or without. A name alone is looked for on this host only, so that one cell takes seconds.
    pub fn of(extent: Extent, places: Places, name: Option<&str>) -> Self {
        let host = extent == Extent::Quick || (name.is_some() && extent == Extent::Usual);
        let places = if places == Places::Everywhere && host { Places::Host } else { places };
        Self { extent, places }
    }

    /// Whether this host takes part.
    pub fn includes_host(self) -> bool {
        self.places != Places::VirtualMachines
    }

    /// Whether virtual machines take part.
    pub fn includes_machines(self) -> bool {
        self.places != Places::Host
    }

    /// Which scenarios this host plays.
    pub fn host_column(self) -> Column {
        if self.extent == Extent::Quick { Column::Short } else { Column::Full }
    }

    /// Which scenarios virtual machines play.
    pub fn machine_column(self) -> Column {
        if self.extent == Extent::All { Column::Full } else { Column::Short }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_stays_on_this_host() {
        let places = |extent, places, name| Scope::of(extent, places, name).places;
        assert!(places(Extent::Usual, Places::Everywhere, None) == Places::Everywhere);
        assert!(places(Extent::Usual, Places::Everywhere, Some("growth")) == Places::Host);
        assert!(places(Extent::All, Places::Everywhere, Some("growth")) == Places::Everywhere);
        assert!(places(Extent::Usual, Places::VirtualMachines, Some("growth")) == Places::VirtualMachines);
        assert!(places(Extent::Quick, Places::Everywhere, None) == Places::Host);
    }
}
