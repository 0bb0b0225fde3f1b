//! Names of frames, as every output prints them.
//!
//! Works on resolved frames only: it reads no process and no ELF file.

use crate::clean::clean;
use leaktrace_model::Frame;

/// The last part of a path.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}

/// A frame's name: the function without the compiler's hash, else `module+0x1f`, else the address. Clean.
pub fn frame_name(frame: &Frame) -> String {
    match (&frame.symbol, &frame.module) {
        (Some(symbol), _) if !symbol.is_empty() => clean(without_hash(symbol)).into_owned(),
        (_, Some(module)) => {
            format!("{}+{:#x}", clean(base_name(module)), frame.offset.unwrap_or(frame.address))
        }
        _ => format!("{:#x}", frame.address),
    }
}

/// A frame with where it is in the source: `api::fetch (fetch.rs:42)`. Clean.
pub fn frame_with_place(frame: &Frame) -> String {
    let name = frame_name(frame);
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{name} ({}:{line})", clean(base_name(file))),
        (Some(file), None) => format!("{name} ({})", clean(base_name(file))),
        _ => name,
    }
}

/// The name without the hash of Rust's legacy mangling: `::h` and 16 digits, which change with every build.
pub fn without_hash(symbol: &str) -> &str {
    match symbol.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => symbol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(symbol: &str) -> Frame {
        Frame { symbol: Some(symbol.to_owned()), module: Some("/opt/api".to_owned()), ..Frame::default() }
    }

    #[test]
    fn the_hash_of_a_rust_build_is_not_part_of_a_name() {
        assert_eq!(frame_name(&named("api::fetch::h0123456789abcdef")), "api::fetch");
        assert_eq!(frame_name(&named("api::height::h2")), "api::height::h2");
    }

    #[test]
    fn a_frame_without_a_function_reads_as_module_and_offset_and_then_as_address() {
        let mut frame = Frame { address: 0x7f01, module: Some("/usr/lib/libx.so".into()), ..Frame::default() };
        assert_eq!(frame_name(&frame), "libx.so+0x7f01");
        frame.offset = Some(0x1f);
        assert_eq!(frame_name(&frame), "libx.so+0x1f");
        frame.module = None;
        assert_eq!(frame_name(&frame), "0x7f01");
    }
}
