//! How much a recording may hold: what the writer leaves out and the reader does not believe.

/// Sockets that a sampling pass has seen.
pub const SOCKETS: usize = 1 << 20;
/// Sockets that only the holders pass has seen.
pub const DEAD: usize = 1 << 17;
/// Call sites.
pub const CALLSITES: usize = 1 << 15;
/// Descriptors.
pub const HOLDERS: usize = 1 << 21;
/// Processes that hold sockets.
pub const PROCESSES: usize = 1 << 18;
/// Frames of one stack.
pub const FRAMES: usize = 1 << 10;
/// Functions at one place, those that the compiler has put into others.
pub const PLACE_FRAMES: usize = 1 << 8;
/// Length of the name of generated code, in bytes.
pub const NAME: usize = 1 << 10;
/// Places in a whole recording.
pub const PLACES: usize = 1 << 20;
/// Memory in bytes, each: for the names of a whole recording, for the processes and stacks that one sample tells of, and for the
/// stacks of the call sites in use with their names.
pub const REMEMBERED: usize = 1 << 30;
