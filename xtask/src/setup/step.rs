//! How set-up reports what it does.

/// Prints one line for one step.
pub fn step(text: &str) {
    eprintln!("set-up: {text}");
}
