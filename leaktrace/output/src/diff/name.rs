//! A function's name without what compilers, linkers and template arguments add to it.
//!
//! Two builds of the same function must get the same name. Works on text only.

use crate::naming::{base_name, without_hash};

/// Words that compilers append after a dot to functions they split, clone or specialize.
const CLONES: [&str; 14] = [
    "isra",
    "constprop",
    "part",
    "cold",
    "lto_priv",
    "llvm",
    "clone",
    "resolver",
    "warm",
    "split",
    "localalias",
    "abi0",
    "abiinternal",
    "stub",
];

/// The name by which a function is compared. Empty for code that is not in the source.
pub(super) fn normal(symbol: &str) -> String {
    let symbol = without_hash(symbol.trim());
    if symbol.starts_with("OUTLINED_FUNCTION_") {
        return String::new();
    }
    let symbol = symbol.split(" [clone").next().unwrap_or(symbol);
    let symbol = symbol.split('@').next().filter(|name| !name.is_empty()).unwrap_or(symbol);
    let symbol = without_clone(symbol);
    let symbol = without_parameters(symbol);
    let symbol = without_brackets(symbol);
    let symbol = plain_closures(&symbol);
    let symbol = symbol.replace("::::", "::");
    let symbol = symbol.trim_end_matches("::");
    without_alias(symbol).to_owned()
}

/// The module of code without a name, without its version: `libssl.so.3` and `libssl.so.1.1` are `[libssl]`.
pub(super) fn module(path: &str) -> String {
    let file = base_name(path);
    let stem = file.split_once(".so").map_or(file, |(stem, _)| stem);
    let stem = stem.trim_end_matches(|character: char| character.is_ascii_digit() || matches!(character, '.' | '-'));
    format!("[{}]", if stem.is_empty() { file } else { stem })
}

fn without_clone(symbol: &str) -> &str {
    let mut from = 0;
    while let Some(dot) = symbol[from..].find('.').map(|at| at + from) {
        let word = symbol[dot + 1..].split('.').next().unwrap_or("");
        if dot > 0 && CLONES.contains(&word) {
            return &symbol[..dot];
        }
        from = dot + 1;
    }
    symbol
}

/// `ns::f(int) const` is `ns::f`; the receiver in Go's `main.(*T).m` and C++'s `(anonymous namespace)` stay.
fn without_parameters(symbol: &str) -> &str {
    let head = symbol.trim_end_matches(" const").trim_end_matches(" volatile").trim_end_matches([' ', '&']);
    if !head.ends_with(')') {
        return symbol;
    }
    let mut depth = 0_usize;
    for (at, byte) in head.bytes().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    let inside = &head[at + 1..head.len() - 1];
                    let name = &head[..at];
                    let is_part = inside == "anonymous namespace" || name.is_empty() || name.ends_with("operator");
                    return if is_part { head } else { name };
                }
            }
            _ => {}
        }
    }
    symbol
}

/// Without type arguments, those in `[…]` of Go too. `<T as Trait>::m` keeps its outermost pair.
fn without_brackets(symbol: &str) -> String {
    let mut kept = String::with_capacity(symbol.len());
    let leading = symbol.starts_with('<');
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, character) in symbol.char_indices() {
        let outermost = leading && depth == 0 && at == 0;
        match character {
            '<' | '[' if outermost => {
                depth = 1;
                kept.push(character);
            }
            '<' | '[' if kept.ends_with("operator") => kept.push(character),
            '<' | '[' => depth += 1,
            '>' | ']' if before != '-' && depth > 0 => {
                depth -= 1;
                if leading && depth == 0 && !kept.contains('>') {
                    kept.push(character);
                }
            }
            _ if depth == 0 || leading && depth == 1 && !kept.contains('>') => kept.push(character),
            _ => {}
        }
        before = character;
    }
    kept
}

/// Removes the numbers of closures, which change with the source; debug information and symbols also name closures differently.
fn plain_closures(symbol: &str) -> String {
    let mut plain = symbol.replace("{{closure}}", "{closure}");
    // Go numbers its function literals alike: `main.fetch.func1`.
    for opening in [".func", ".gowrap", ".deferwrap"] {
        if let Some((head, tail)) = plain.rsplit_once(opening)
            && !tail.is_empty()
            && tail.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        {
            plain = format!("{head}{opening}");
        }
    }
    for opening in ["{closure#", "{closure_env#", "{lambda("] {
        while let Some(start) = plain.find(opening) {
            let end = plain[start..].find('}').map_or(plain.len(), |at| start + at + 1);
            let word = if opening == "{lambda(" { "{lambda}" } else { "{closure}" };
            plain.replace_range(start..end, word);
        }
    }
    plain
}

/// One name for each entry point of the C library, which has several; which one is seen depends on stripping.
fn without_alias(symbol: &str) -> &str {
    let bare = symbol.strip_prefix("__libc_").or_else(|| symbol.strip_prefix("__GI_")).unwrap_or(symbol);
    let short = bare.trim_start_matches('_');
    if ["connect", "accept", "accept4", "clone", "clone3"].contains(&short) { short } else { symbol }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_adds_to_a_name_is_removed() {
        for (symbol, expected) in [
            ("api::fetch::h0123456789abcdef", "api::fetch"),
            ("api::fetch::<alloc::string::String>", "api::fetch"),
            ("api::pool::Pool<T>::get", "api::pool::Pool::get"),
            ("<api::Conn<T> as core::future::Future>::poll", "<api::Conn as core::future::Future>::poll"),
            ("<F as Fn<(A, B)>>::call::{{closure}}", "<F as Fn>::call::{closure}"),
            ("api::run::{closure#3}", "api::run::{closure}"),
            ("api::run::{{closure}}", "api::run::{closure}"),
            ("open_conn.isra.0", "open_conn"),
            ("open_conn.constprop.1.cold", "open_conn"),
            ("open_conn.llvm.1234567890", "open_conn"),
            ("open_conn(int, char const*) [clone .isra.0]", "open_conn"),
            ("ns::Client::open(std::string const&) const", "ns::Client::open"),
            ("ns::f(void (*)(int))", "ns::f"),
            ("(anonymous namespace)::open(int)", "(anonymous namespace)::open"),
            ("ns::F::operator()(int) const", "ns::F::operator()"),
            ("std::vector<int, std::allocator<int> >::push_back(int&&)", "std::vector::push_back"),
            ("main.(*Server).Serve", "main.(*Server).Serve"),
            ("main.fetch[...]", "main.fetch"),
            ("main.fetch.func1", "main.fetch.func"),
            ("main.fetch.func2.1", "main.fetch.func"),
            ("runtime.goexit.abi0", "runtime.goexit"),
            ("__libc_connect", "connect"),
            ("__connect@@GLIBC_2.2.5", "connect"),
            ("__libc_start_main", "__libc_start_main"),
            ("OUTLINED_FUNCTION_12", ""),
            ("", ""),
        ] {
            assert_eq!(normal(symbol), expected, "{symbol}");
        }
    }

    #[test]
    fn broken_names_are_taken_as_they_come() {
        for symbol in
            ["<", ">", "<<>", "f(", ")", "(((((", "]]", "a<b", "{closure#", "::", "日本(", "@", ".", "operator<"]
        {
            let _ = normal(symbol);
        }
    }

    #[test]
    fn the_version_of_a_library_is_not_part_of_its_name() {
        assert_eq!(module("/usr/lib/libssl.so.3"), "[libssl]");
        assert_eq!(module("/lib/libc-2.31.so"), "[libc]");
        assert_eq!(module("/opt/api"), "[api]");
        assert_eq!(module("123"), "[123]");
    }
}
