//! The machine.

use serde::Serialize;

/// The identity of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Host name.
    pub hostname: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Boot id: changes with every boot.
    pub boot_id: Option<String>,
}
