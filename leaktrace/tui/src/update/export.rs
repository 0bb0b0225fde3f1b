//! Preparing and asking for an export of what is shown.

use super::say;
use crate::{
    app::App,
    input::TextInput,
    item::Item,
    keys::Action,
    mode::{Export, Mode, extension},
    msg::{Effect, NoticeKind},
    scope::Shown,
    table::with_table,
    text::clean,
};
use leaktrace_output::{
    ReportFormat,
    units::{format_count, format_duration},
};

/// Opens the export of what is shown.
pub fn open(app: &mut App) {
    let Some(data) = &app.data else {
        say(app, NoticeKind::Failed, "Nothing has been sampled yet, so there is nothing to export");
        return;
    };
    let snapshot = &data.snapshot;
    let plain = |text: &str| -> String { text.chars().filter(|c| c.is_ascii_alphanumeric()).take(32).collect() };
    let host = plain(snapshot.host.hostname.as_deref().unwrap_or("host"));
    let end = plain(snapshot.window.end.split(['.', 'Z', '+']).next().unwrap_or_default());
    let format = ReportFormat::default();
    let path = TextInput::new(&format!("leaktrace-{host}-{end}.{}", extension(format)));
    let noun = app.view.title().to_lowercase();
    let what = if app.is_narrowed() {
        format!("the {} {noun} shown, and their sockets", format_count(app.rows.len() as u64))
    } else {
        format!("everything seen in the last {}", format_duration(snapshot.window.seconds))
    };
    app.mode = Mode::Export(Export { format, path, what });
}

/// What an action does in the dialog.
pub fn act(app: &mut App, action: Action) -> Option<Effect> {
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
            app.rows.iter().filter_map(|at| table.items.get(*at as usize)).map(|row| row.key(table.grouping)).collect()
        }))
    };
    let rows = if app.is_narrowed() { Some(keys(app)?) } else { None };
    let shown = Shown { data, view: app.view, grouping: app.list().grouping, rows };
    app.mode = Mode::Browse;
    let file = clean(&path.to_string_lossy(), app.options.charset).into_owned();
    say(app, NoticeKind::Done, format!("Writing {file}"));
    Some(Effect::Export { format, path, shown })
}
