//! What a report got wrong about one class of sockets.

use super::super::report::Socket;

/// Distinct complaints with an example each, so that a thousand equal ones stay readable.
pub struct Complaints {
    role: String,
    /// The complaints so far.
    pub list: Vec<String>,
}

impl Complaints {
    /// Most complaints about one class.
    pub const MOST: usize = 6;

    /// No complaints yet about the class of this role.
    pub fn about(role: &str) -> Self {
        Self { role: role.to_owned(), list: Vec::new() }
    }

    /// Adds one while there is space.
    pub fn add(&mut self, what: String) {
        if self.list.len() < Self::MOST {
            self.list.push(format!("{}: {what}", self.role));
        }
    }

    /// Complains when what was found is not what is right.
    pub fn equal<T: PartialEq + std::fmt::Debug>(&mut self, socket: &Socket, what: &str, found: T, right: T) {
        if found != right {
            self.add(format!("{} {what} {found:?}, not {right:?}", name(socket)));
        }
    }
}

/// A socket as complaints name it.
pub fn name(socket: &Socket) -> String {
    format!("{}→{} {}", socket.local, socket.remote, socket.state)
}
