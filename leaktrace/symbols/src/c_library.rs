//! Recognizes the C library by its file name. Only names are compared: no file is opened.

/// Whether a path names the C library, its loader, or a library that glibc installs beside it.
pub(crate) fn is_libc(path: &str) -> bool {
    const NAMES: [&str; 7] = ["libc", "libm", "libpthread", "libdl", "libresolv", "librt", "ld"];
    const STARTS: [&str; 4] = ["libc.musl", "ld-musl", "ld-linux", "libnss_"];
    let name = path.rsplit('/').next().unwrap_or(path);
    // `libc.so.6`; before glibc 2.34 the file was `libc-2.31.so`.
    let is_version = |rest: &str| rest.starts_with(".so") || rest.starts_with("-2.");
    NAMES.iter().any(|known| name.strip_prefix(known).is_some_and(is_version))
        || STARTS.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_is_known_by_its_name() {
        for path in [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib/libc-2.31.so",
            "/lib/ld-musl-x86_64.so.1",
            "/lib64/ld-linux-x86-64.so.2",
            "librt.so.1",
        ] {
            assert!(is_libc(path), "{path}");
        }
        for path in ["/usr/lib/libcurl.so.4", "/usr/bin/ldd", "/opt/libmysql.so", "librtmp.so.1", "/srv/libc.so.d/app"]
        {
            assert!(!is_libc(path), "{path}");
        }
    }
}
