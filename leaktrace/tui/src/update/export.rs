//! Preparing and requesting an export of what is shown.

use super::say::say;
use crate::app::App;
use crate::app::input::TextInput;
use crate::app::keys::Action;
use crate::app::mode::{Export, Mode};
use crate::app::msg::{Effect, NoticeKind};
use crate::rows::export_rows::Shown;
use crate::rows::row::Row;
use crate::rows::table::with_table;
use crate::short_numbers::file_stamp;
use crate::text::clean;
use leaktrace_model::{format_count, format_duration};
use leaktrace_output::ReportFormat;

/// Opens the export of what is shown.
pub(crate) fn open(app: &mut App) {
    let Some(data) = &app.data else {
        say(app, NoticeKind::Failed, "Nothing has been sampled yet, so there is nothing to export");
        return;
    };
    let snapshot = &data.snapshot;
    let plain = |text: &str| -> String { text.chars().filter(|c| c.is_ascii_alphanumeric()).take(32).collect() };
    let host = plain(snapshot.host.hostname.as_deref().unwrap_or("host"));
    let end = file_stamp(snapshot.window.end);
    let format = ReportFormat::default();
    let path = TextInput::new(&format!("leaktrace-{host}-{end}.{}", format.extension()));
    let noun = app.view.title().to_lowercase();
    let what = if app.is_narrowed() {
        format!("the {} {noun} shown, and their sockets", format_count(app.rows.len() as u64))
    } else {
        format!("everything seen in the last {}", format_duration(snapshot.window.seconds()))
    };
    app.mode = Mode::Export(Export { format, path, what });
}

/// What an action does in the dialog.
pub(crate) fn act(app: &mut App, action: Action) -> Option<Effect> {
    let Mode::Export(export) = &mut app.mode else { return None };
    let all = ReportFormat::ALL;
    let at = all.iter().position(|format| *format == export.format).unwrap_or(0);
    match action {
        Action::Up => export.set_format(all[(at + all.len() - 1) % all.len()]),
        Action::Down => export.set_format(all[(at + 1) % all.len()]),
        Action::Accept => return accept(app),
        _ => app.mode = Mode::Browse,
    }
    None
}

fn accept(app: &mut App) -> Option<Effect> {
    let Mode::Export(export) = &app.mode else { return None };
    if export.path.text().trim().is_empty() {
        say(app, NoticeKind::Failed, "An export needs the name of a file");
        return None;
    }
    let (format, path) = (export.format, export.file());
    let data = app.data.clone()?;
    let keys = |app: &App| {
        Some(with_table!(app.table()?, table => {
            app.rows.iter().filter_map(|at| table.items.get(*at as usize)).map(|row| Row::key(row, table.grouping)).collect()
        }))
    };
    let rows = if app.is_narrowed() { Some(keys(app)?) } else { None };
    let shown = Shown { data, view: app.view, grouping: app.list().grouping, rows };
    app.mode = Mode::Browse;
    let file = clean(&path.to_string_lossy(), app.options.glyphs).into_owned();
    say(app, NoticeKind::Done, format!("Writing {file}"));
    Some(Effect::Export { format, path, shown })
}
