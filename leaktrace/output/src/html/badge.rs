//! A verdict as a coloured word.

use crate::{evidence::meaning, markup::escape};
use leaktrace_model::Verdict;

/// `words` in the colour of the verdict's severity, with its meaning as a tooltip.
pub(crate) fn badge(verdict: Verdict, words: &str) -> String {
    format!("<span class=\"tag {}\" title=\"{}\">{}</span>", verdict.severity().name(), meaning(verdict), escape(words))
}
