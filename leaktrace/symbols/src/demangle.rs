//! Makes mangled names of C++ and Rust functions readable.
//!
//! Demangles only names with a mangling prefix: without one, a C++ demangler reads the C function `f` as the type `float`.

use cpp_demangle::DemangleOptions;
use std::fmt;

/// Longest readable name, in bytes. A short mangled name can expand to an exponentially longer one.
const MAX_NAME: usize = 4096;

/// The readable form of a symbol; the symbol itself if it is not mangled. Cut to [`MAX_NAME`].
pub(crate) fn readable(symbol: &str) -> String {
    let mut name = Bounded::default();
    if (symbol.starts_with("_R") || symbol.starts_with("_ZN"))
        && let Ok(rust) = rustc_demangle::try_demangle(symbol)
    {
        let _ = fmt::write(&mut name, format_args!("{rust:#}"));
        return name.0;
    }
    if (symbol.starts_with("_Z") || symbol.starts_with("___Z"))
        && let Ok(cpp) = cpp_demangle::Symbol::new(symbol)
    {
        let done = cpp.structured_demangle(&mut name, &DemangleOptions::default());
        if done.is_ok() || name.0.len() >= MAX_NAME {
            return name.0;
        }
    }
    symbol[..symbol.floor_char_boundary(MAX_NAME)].to_owned()
}

#[derive(Default)]
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_NAME.saturating_sub(self.0.len());
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mangled_names_become_readable_and_others_stay() {
        assert_eq!(readable("_ZN4pool6Dialer4leakEi"), "pool::Dialer::leak(int)");
        assert_eq!(readable("_ZN4pool6Dialer4leak17h0123456789abcdefE"), "pool::Dialer::leak");
        assert_eq!(readable("_RNvC6_123foo3bar"), "123foo::bar");
        for plain in ["f", "i", "main.main", "_start", "_Z", "_R", "", "main.(*T).leak"] {
            assert_eq!(readable(plain), plain);
        }
    }

    #[test]
    fn a_name_that_explodes_is_cut() {
        let bomb = format!("_Z1f{}", "S_S_".repeat(2000));
        assert!(readable(&bomb).len() <= MAX_NAME);
        let nested = format!("_Z1fI{}iE", "1AI".repeat(3000));
        assert!(readable(&nested).len() <= MAX_NAME);
    }

    proptest! {
        #[test]
        fn any_symbol_has_a_form(tail in "[A-Za-z0-9_]{0,120}") {
            for head in ["", "_Z", "_ZN", "_R", "_RNv"] {
                let _ = readable(&format!("{head}{tail}"));
            }
        }
    }
}
