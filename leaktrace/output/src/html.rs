//! The HTML report: one page that needs nothing but itself.
//!
//! Everything in it is written out as plain HTML, so it reads without scripts; the scripts sort, filter and zoom.
//! The page forbids itself the network. Foreign text enters through [`table::Cell`] or `escape(clean(…))` only.

mod table;
mod tables;

use super::flame::{Graph, SCRIPT, STYLE, WIDTH, escape};
use super::{Format, clean, meaning};
use crate::units::{format_count, format_duration, format_size};
use leaktrace_common::{Severity, Verdict};
use leaktrace_model::snapshot::Snapshot;
use std::io::{self, Write};

/// `--format html`
pub(super) struct Html;

impl Format for Html {
    fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
        head(snapshot, out)?;
        summary(snapshot, out)?;
        verdicts(snapshot, out)?;
        flame(snapshot, out)?;
        if !snapshot.callsites.is_empty() {
            tables::callsites(snapshot, out)?;
        }
        if !snapshot.sockets.is_empty() {
            tables::sockets(snapshot, out)?;
        }
        if !snapshot.processes.is_empty() {
            tables::processes(snapshot, out)?;
        }
        for (title, groups) in [("Peers", &snapshot.peers), ("Listeners", &snapshot.listeners)] {
            if !groups.is_empty() {
                tables::groups(title, groups, out)?;
            }
        }
        let tool = format!("{} {}", snapshot.tool.name, snapshot.tool.version);
        writeln!(out, "<footer>Written by {}.</footer>", text(&tool))?;
        writeln!(out, "<script>\n{SCRIPT}{}</script>\n</body></html>", include_str!("html/page.js"))
    }
}

/// Foreign text as HTML.
fn text(foreign: &str) -> String {
    escape(&clean(foreign))
}

fn severity(verdict: Verdict) -> Severity {
    verdict.severity()
}

/// A verdict as a coloured word.
fn tag(verdict: Verdict, words: &str) -> String {
    format!("<span class=\"tag {}\" title=\"{}\">{}</span>", verdict.severity().name(), meaning(verdict), escape(words))
}

fn head(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let host = text(snapshot.host.hostname.as_deref().unwrap_or("unknown host"));
    let kernel = snapshot.host.kernel.as_deref().map(|kernel| format!(", Linux {}", text(kernel))).unwrap_or_default();
    writeln!(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")?;
    writeln!(
        out,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'\">"
    )?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
    writeln!(out, "<title>leaktrace: {host}</title>")?;
    writeln!(out, "<style>\n{}{STYLE}</style></head><body>", include_str!("html/page.css"))?;
    writeln!(out, "<h1>TCP sockets on {host}</h1>")?;
    let end = text(&snapshot.window.end);
    let span = if snapshot.window.seconds > 0.0 {
        format!("{} until {end}", format_duration(snapshot.window.seconds))
    } else {
        format!("one look at {end}")
    };
    let settings = &snapshot.settings;
    writeln!(
        out,
        "<p class=\"soft\">{span}{kernel}, hooks {}, sampled every {}, stuck from {}, idle from {}, long-lived from {}</p>",
        text(&snapshot.health.hooks),
        escape(&format_duration(settings.interval_s)),
        escape(&format_duration(settings.stall_s)),
        escape(&format_duration(settings.idle_s)),
        escape(&format_duration(settings.threshold_s))
    )?;
    if let Some(sample) = super::text::stack_sample(settings) {
        writeln!(out, "<p class=\"soft\">{}</p>", text(&sample))?;
    }
    if let Some(filters) = super::text::filters(&settings.filters) {
        writeln!(out, "<p class=\"soft\">only {}</p>", text(&filters))?;
    }
    for degradation in &snapshot.health.degraded {
        let (feature, reason) = (text(&degradation.feature), text(&degradation.reason));
        writeln!(out, "<p class=\"notice\"><b>Degraded: {feature}.</b> {reason}</p>")?;
    }
    if let Some(lost) = super::text::losses(snapshot) {
        writeln!(out, "<p class=\"notice\"><b>Lost:</b> {}</p>", text(&lost))?;
    }
    Ok(())
}

fn summary(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let totals = &snapshot.totals;
    let bad = if totals.flagged > 0 { " class=\"bad\"" } else { "" };
    writeln!(out, "<ul class=\"cards\">")?;
    writeln!(out, "<li><b>{}</b>open</li>", format_count(totals.open))?;
    writeln!(out, "<li{bad}><b>{}</b>flagged</li>", format_count(totals.flagged))?;
    writeln!(out, "<li><b>{}</b>opened</li>", format_count(totals.opened))?;
    writeln!(out, "<li><b>{}</b>closed</li>", format_count(totals.closed))?;
    writeln!(out, "<li><b>{}</b>unread</li>", format_size(totals.rx_queue_bytes))?;
    writeln!(out, "<li><b>{}</b>kernel memory</li>", format_size(totals.memory_bytes))?;
    writeln!(out, "</ul>")
}

fn verdicts(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    if totals_are_clean(snapshot) {
        return writeln!(out, "<p>Nothing is flagged: no socket met the condition of any verdict.</p>");
    }
    writeln!(out, "<ul class=\"cards\">")?;
    for verdict in Verdict::ALL {
        let sockets: u64 = snapshot.callsites.iter().filter_map(|site| site.verdicts.get(verdict.name())).sum();
        if sockets > 0 {
            let word = tag(verdict, verdict.name());
            writeln!(out, "<li><b>{}</b>{word}<br>{}</li>", format_count(sockets), meaning(verdict))?;
        }
    }
    writeln!(out, "</ul>")
}

fn totals_are_clean(snapshot: &Snapshot) -> bool {
    snapshot.totals.flagged == 0
}

fn flame(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let graph = Graph::of(snapshot);
    if graph.is_empty() {
        return writeln!(out, "<p>No socket was open.</p>");
    }
    writeln!(out, "<section><h2>Open sockets by the code that opened them</h2>")?;
    writeln!(
        out,
        "<div class=\"tools\"><input id=\"find\" type=\"search\" placeholder=\"Mark functions\" \
         aria-label=\"Mark functions\"><button id=\"whole\" type=\"button\">Whole graph</button>\
         <span class=\"soft\" id=\"found\" aria-live=\"polite\"></span>\
         <span class=\"soft\">Warm colours lead to flagged sockets. Click to zoom.</span></div>"
    )?;
    writeln!(out, "<div id=\"flame\"><svg viewBox=\"0 0 {WIDTH:.0} {:.0}\" role=\"img\">", graph.height())?;
    writeln!(out, "<title>Flame graph</title>")?;
    graph.draw(out)?;
    writeln!(out, "</svg></div></section>")
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
