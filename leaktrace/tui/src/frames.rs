//! Stacks as the screen lists them: the short name of a call site, and frames of libraries folded away.
//!
//! Which frames are those of libraries is decided in `leaktrace-output`.

use crate::text::short_function;
use leaktrace_model::{Callsite, Frame};
use leaktrace_output::{frame_name, is_library, own_frame};

/// The function that names a call site, in a few characters; `None` where no frame is known. Clean, but not
/// always ASCII.
pub(crate) fn own_frame_name(site: &Callsite) -> Option<String> {
    own_frame(site).map(|frame| short_function(&frame_name(frame)).to_owned())
}

/// A stack as it is listed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Line<'a> {
    /// One frame and its place in the stack.
    Frame(usize, &'a Frame),
    /// This many frames of libraries in a row.
    Folded(usize),
}

/// Whether frames of libraries are folded away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Folding {
    /// Frames of libraries are folded away.
    #[default]
    Folded,
    /// Every frame is listed.
    Unfolded,
}

/// The lines of a stack, leaf first. Two or more frames of libraries in a row fold into one line.
pub(crate) fn lines(stack: &[Frame], folding: Folding) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut at = 0;
    while at < stack.len() {
        let run = stack[at..].iter().take_while(|frame| is_library(frame)).count();
        if folding == Folding::Folded && run > 1 {
            lines.push(Line::Folded(run));
            at += run;
        } else {
            lines.push(Line::Frame(at, &stack[at]));
            at += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(symbol: &str, module: &str) -> Frame {
        Frame { symbol: Some(symbol.to_owned()), module: Some(module.to_owned()), ..Frame::default() }
    }

    #[test]
    fn the_application_frame_names_a_call_site() {
        let stack = vec![
            frame("connect", "/usr/lib/libc.so.6"),
            frame("std::net::tcp::TcpStream::connect", "/app/api"),
            frame("api::pool::checkout", "/app/api"),
            frame("std::rt::lang_start", "/app/api"),
            frame("__libc_start_main", "/usr/lib/libc.so.6"),
        ];
        let site = Callsite { stack, ..Callsite::default() };
        assert_eq!(own_frame_name(&site).as_deref(), Some("pool::checkout"));
        let folded = lines(&site.stack, Folding::Folded);
        assert_eq!(folded.len(), 3);
        assert_eq!((folded[0], folded[2]), (Line::Folded(2), Line::Folded(2)));
        assert_eq!(lines(&site.stack, Folding::Unfolded).len(), 5);
    }

    #[test]
    fn a_stack_of_nothing_but_libraries_still_has_a_name() {
        let site = Callsite { stack: vec![frame("connect", "libc.so.6")], ..Callsite::default() };
        assert_eq!(own_frame(&site).and_then(|f| f.symbol.as_deref()), Some("connect"));
        assert_eq!(own_frame(&Callsite::default()), None);
    }

    #[test]
    fn a_stripped_program_is_named_rather_than_the_libc_it_called() {
        let bare =
            |module: &str, offset| Frame { module: Some(module.to_owned()), offset: Some(offset), ..Frame::default() };
        let stack = vec![bare("/usr/lib/libc.so.6", 1), bare("/usr/lib/libc.so.6", 2), bare("/srv/app", 0x1f)];
        let site = Callsite { stack, ..Callsite::default() };
        assert_eq!(own_frame_name(&site).as_deref(), Some("app+0x1f"));
    }
}
