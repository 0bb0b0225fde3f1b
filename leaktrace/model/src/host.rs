//! The machine.

use serde::Serialize;

/// Who and what the machine is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Host name.
    pub hostname: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Boot id: changes with every boot.
    pub boot_id: Option<String>,
}
