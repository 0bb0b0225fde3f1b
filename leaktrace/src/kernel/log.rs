//! Kernel-side diagnostics, printed to stderr when asked for (`-vv`).

use aya::Ebpf;
use aya_log::EbpfLogger;

/// The way out of the kernel side's messages; nothing where none are asked for.
pub struct KernelLog(Option<EbpfLogger<&'static StderrLog>>);

/// Writes records to stderr as they come.
pub struct StderrLog;

impl ::log::Log for StderrLog {
    fn enabled(&self, _: &::log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &::log::Record<'_>) {
        eprintln!("leaktrace: kernel: {}: {}", record.level().as_str().to_lowercase(), record.args());
    }

    fn flush(&self) {}
}

impl KernelLog {
    /// Connects to the loaded object.
    pub fn new(ebpf: &mut Ebpf, level: u8) -> Self {
        static LOG: StderrLog = StderrLog;
        if level == 0 {
            return Self(None);
        }
        Self(EbpfLogger::init_with_logger(ebpf, &LOG).ok())
    }

    /// Prints what has come since the last call.
    pub fn flush(&mut self) {
        if let Some(logger) = &mut self.0 {
            logger.flush();
        }
    }
}
