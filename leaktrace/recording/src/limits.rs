//! How much a recording may hold. The writer leaves out what is beyond; the reader refuses it.

/// Sockets that a sampling pass saw.
pub(crate) const SOCKETS: usize = 1 << 20;
/// Sockets that only the holders pass saw.
pub(crate) const DEAD: usize = 1 << 17;
/// Call sites.
pub(crate) const CALLSITES: usize = 1 << 15;
/// Descriptors.
pub(crate) const HOLDERS: usize = 1 << 21;
/// Processes that hold sockets.
pub(crate) const PROCESSES: usize = 1 << 18;
/// Frames of one stack.
pub(crate) const FRAMES: usize = 1 << 10;
/// Functions at one place: more than one where the compiler inlined some.
pub(crate) const PLACE_FRAMES: usize = 1 << 8;
/// Length of the name of generated code, in bytes.
pub(crate) const NAME: usize = 1 << 10;
/// Places in a whole recording.
pub(crate) const PLACES: usize = 1 << 20;
/// Memory in bytes. Applies to each of: the names of a whole recording; the processes and stacks of one sample; the stacks of the call
/// sites in use, with their names.
pub(crate) const MEMORY: usize = 1 << 30;

/// Most files that a sample says are not read any more.
pub(crate) const REFUSED_FILES: usize = 1024;
