//! Names of call sites: in a few words, and as a path for flame graphs.

use crate::{clean::clean, layout, naming::frame_name, own_code::telling_frames};
use leaktrace_model::{Callsite, Direction, Glyphs, StackReason};

/// Printed in place of a stack that is not known.
const NO_STACK: &str = "[no stack]";

/// Printed in place of a stack that was left out on purpose.
const LEFT_OUT: &str = "[stack not sampled]";

/// What is printed in place of the stack of a call site that has none.
pub fn stand_in(callsite: &Callsite) -> &'static str {
    let is_left_out = callsite.stack_reason.as_ref().is_some_and(StackReason::is_not_sampled);
    if is_left_out { LEFT_OUT } else { NO_STACK }
}

/// A call site in a few words, leaf first: `fetch_user ← handle ← main`. Has as many callers as fit into `width` columns. A first
/// name that does not fit loses its beginning, because the end of a path says more. Clean.
pub fn short_name(callsite: &Callsite, width: usize, glyphs: Glyphs) -> String {
    let frames = telling_frames(&callsite.stack);
    let arrow = arrow(glyphs);
    let mut line = String::new();
    for frame in frames.iter().take(4) {
        let name = frame_name(frame);
        if line.is_empty() {
            line = layout::fit_end(&name, width, glyphs);
        } else if layout::width(&line) + layout::width(arrow) + layout::width(&name) <= width {
            line.push_str(arrow);
            line.push_str(&name);
        } else {
            break;
        }
    }
    if line.is_empty() { stand_in(callsite).to_owned() } else { line }
}

/// What is printed before the name of a call site: how it opened its sockets.
pub(crate) fn how_opened(direction: Direction) -> &'static str {
    match direction {
        Direction::Connect => "connect: ",
        Direction::Accept => "accept: ",
        Direction::Unknown => "",
    }
}

/// What is printed between a function and its caller.
pub(crate) fn arrow(glyphs: Glyphs) -> &'static str {
    match glyphs {
        Glyphs::Unicode => " ← ",
        Glyphs::Ascii => " < ",
    }
}

/// The stack as flame graph tools take it, root first: process name, then functions. Clean, and free of `;`.
pub fn folded_path(callsite: &Callsite) -> Vec<String> {
    let comm = if callsite.comm.is_empty() { "[unknown process]" } else { &callsite.comm };
    let mut path = vec![unfold(&clean(comm))];
    if callsite.stack.is_empty() {
        path.push(stand_in(callsite).to_owned());
    }
    path.extend(callsite.stack.iter().rev().map(|frame| unfold(&frame_name(frame))));
    path
}

/// Replaces `;`, which separates frames in folded stacks and cannot be escaped there.
fn unfold(name: &str) -> String {
    name.replace(';', ":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::Frame;
    use std::num::NonZeroU32;

    fn named(symbol: &str) -> Frame {
        Frame { symbol: Some(symbol.to_owned()), module: Some("/opt/api".to_owned()), ..Frame::default() }
    }

    fn site(symbols: &[&str]) -> Callsite {
        Callsite { stack: symbols.iter().map(|symbol| named(symbol)).collect(), ..Callsite::default() }
    }

    #[test]
    fn a_short_name_begins_at_the_applications_own_code() {
        let site = site(&["connect", "std::net::TcpStream::connect", "<std::x as Y>::z", "api::fetch", "api::main"]);
        assert_eq!(short_name(&site, 60, Glyphs::Unicode), "api::fetch ← api::main");
        assert_eq!(short_name(&site, 60, Glyphs::Ascii), "api::fetch < api::main");
        assert_eq!(short_name(&site, 12, Glyphs::Unicode), "api::fetch");
        assert_eq!(short_name(&site, 6, Glyphs::Unicode), "…fetch");
    }

    #[test]
    fn runtimes_alone_are_better_than_nothing() {
        assert_eq!(short_name(&site(&["connect", "_start"]), 60, Glyphs::Unicode), "connect ← _start");
        assert_eq!(short_name(&site(&[]), 60, Glyphs::Unicode), NO_STACK);
    }

    #[test]
    fn a_stack_that_was_left_out_reads_differently_from_one_that_is_unknown() {
        let mut site = site(&[]);
        site.stack_reason = Some(StackReason::NotSampled { one_in: NonZeroU32::new(100).unwrap() });
        assert_eq!(short_name(&site, 60, Glyphs::Unicode), "[stack not sampled]");
        assert_eq!(folded_path(&site), ["[unknown process]", "[stack not sampled]"]);
    }

    #[test]
    fn a_folded_path_has_no_separator_inside_a_name() {
        let mut site = site(&["a;b\n", "main"]);
        site.comm = "x;y".into();
        assert_eq!(folded_path(&site), ["x:y", "main", "a:b\\n"]);
    }
}
