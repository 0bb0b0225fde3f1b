//! The HTML report: one page that needs nothing but itself.
//!
//! All its data is plain HTML and can be read without scripts; the scripts sort, filter and zoom. The page's own policy forbids
//! network access. Foreign text enters through [`table::Cell`] or `escape(clean(…))` only.

mod badge;
mod table;
mod tables;

use crate::{
    clean::clean,
    evidence::meaning,
    flame::{Graph, SCRIPT, STYLE, WIDTH},
    markup::escape,
    text::{filters, losses, stack_sample},
    writer::Format,
};
use badge::badge;
use leaktrace_model::{Snapshot, VerdictCounts, format_count, format_duration, format_size};
use std::io::{self, Write};

/// `--format html`
pub(crate) struct Html;

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
    let (seconds, end) = (snapshot.window.seconds(), snapshot.window.end);
    let span =
        if seconds > 0.0 { format!("{} until {end}", format_duration(seconds)) } else { format!("one look at {end}") };
    let settings = &snapshot.settings;
    let limits = &settings.limits;
    writeln!(
        out,
        "<p class=\"soft\">{span}{kernel}, hooks {}, sampled every {}, stuck from {}, idle from {}, long-lived from {}</p>",
        snapshot.health.hooks.name(),
        escape(&format_duration(settings.interval.as_secs_f64())),
        escape(&format_duration(limits.stall.as_secs_f64())),
        escape(&format_duration(limits.idle.as_secs_f64())),
        escape(&format_duration(limits.threshold.as_secs_f64()))
    )?;
    if let Some(sample) = stack_sample(settings) {
        writeln!(out, "<p class=\"soft\">{}</p>", text(&sample))?;
    }
    if let Some(filters) = filters(&settings.filter) {
        writeln!(out, "<p class=\"soft\">only {}</p>", text(&filters))?;
    }
    for degradation in &snapshot.health.degraded {
        let (feature, reason) = (text(&degradation.feature()), text(&degradation.reason()));
        writeln!(out, "<p class=\"notice\"><b>Degraded: {feature}.</b> {reason}</p>")?;
    }
    if let Some(lost) = losses(snapshot) {
        writeln!(out, "<p class=\"notice\"><b>Lost:</b> {}</p>", text(&lost))?;
    }
    Ok(())
}

fn summary(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let totals = &snapshot.totals;
    let sums = &totals.sums;
    let bad = if sums.flagged > 0 { " class=\"bad\"" } else { "" };
    writeln!(out, "<ul class=\"cards\">")?;
    writeln!(out, "<li><b>{}</b>open</li>", format_count(sums.open))?;
    writeln!(out, "<li{bad}><b>{}</b>flagged</li>", format_count(sums.flagged))?;
    writeln!(out, "<li><b>{}</b>opened</li>", format_count(totals.opened))?;
    writeln!(out, "<li><b>{}</b>closed</li>", format_count(totals.closed))?;
    writeln!(out, "<li><b>{}</b>unread</li>", format_size(sums.rx_queue_bytes))?;
    writeln!(out, "<li><b>{}</b>kernel memory</li>", format_size(sums.memory_bytes))?;
    writeln!(out, "</ul>")
}

fn verdicts(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    if snapshot.totals.sums.flagged == 0 {
        return writeln!(out, "<p>Nothing is flagged: no socket met the condition of any verdict.</p>");
    }
    writeln!(out, "<ul class=\"cards\">")?;
    let mut counts = VerdictCounts::default();
    snapshot.callsites.iter().for_each(|site| counts.merge(&site.sums.verdicts));
    for (verdict, sockets) in counts.iter() {
        let badge = badge(verdict, verdict.name());
        writeln!(out, "<li><b>{}</b>{badge}<br>{}</li>", format_count(sockets), meaning(verdict))?;
    }
    writeln!(out, "</ul>")
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
mod tests;
