//! A sortable and filterable table of the page.
//!
//! A cell is HTML that is already escaped; only the constructors of [`Cell`] make one.

use crate::{clean::clean, markup::escape};
use leaktrace_model::{Verdict, Verdicts};
use std::io::{self, Write};

/// One cell: what is shown, and what it is sorted by where that is not the same.
pub(crate) struct Cell {
    html: String,
    sort: Option<String>,
    class: &'static str,
}

impl Cell {
    /// Foreign text.
    pub(crate) fn text(text: &str) -> Self {
        Self { html: escape(&clean(text)), sort: None, class: "" }
    }

    /// Foreign text in the font of code.
    pub(crate) fn code(text: &str) -> Self {
        Self { class: "mono", ..Self::text(text) }
    }

    /// A number as people read it, sorted by its value.
    pub(crate) fn number(shown: &str, value: f64) -> Self {
        Self { html: escape(shown), sort: Some(value.to_string()), class: "num" }
    }

    /// A number that calls for attention.
    pub(crate) fn alarming(shown: &str, value: f64) -> Self {
        Self { class: "num up", ..Self::number(shown, value) }
    }

    /// A value that is not known; it stays at the end in any sort order.
    pub(crate) fn absent() -> Self {
        Self { html: "–".to_owned(), sort: Some(String::new()), class: "num" }
    }

    /// HTML made by this module's siblings from escaped parts, sorted by `sort`.
    pub(crate) fn html(html: String, sort: &str) -> Self {
        Self { html, sort: Some(escape(&clean(sort))), class: "" }
    }
}

/// Whether a column holds numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Words,
    Numbers,
}

/// What else rows can be filtered by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    Words,
    WordsAndVerdict,
}

/// A row and its verdicts.
pub(crate) struct Row {
    pub(crate) cells: Vec<Cell>,
    pub(crate) verdicts: Verdicts,
}

/// Writes a section with its heading, tools and table. `left_out` is how many rows are not in `rows`, as the page would be too
/// large.
pub(crate) fn write(
    out: &mut dyn Write,
    title: &str,
    filter: Filter,
    columns: &[(&str, Kind)],
    rows: impl Iterator<Item = Row>,
    left_out: usize,
) -> io::Result<()> {
    writeln!(out, "<section data-table><h2>{title}</h2>")?;
    write!(out, "<div class=\"tools\"><input type=\"search\" placeholder=\"Filter by words\" aria-label=\"Filter\">")?;
    if filter == Filter::WordsAndVerdict {
        write!(out, "<select aria-label=\"Verdict\"><option value=\"\">every verdict</option>")?;
        for verdict in Verdict::ALL {
            write!(out, "<option>{}</option>", verdict.name())?;
        }
        write!(out, "</select>")?;
    }
    writeln!(out, "<span class=\"soft shown\" aria-live=\"polite\"></span></div>")?;
    if left_out > 0 {
        writeln!(
            out,
            "<p class=\"soft\">{left_out} more are left out of this page; the json and csv reports list them all.</p>"
        )?;
    }
    write!(out, "<div class=\"scroll\"><table><thead><tr>")?;
    for (name, kind) in columns {
        let class = if *kind == Kind::Numbers { " class=\"num\"" } else { "" };
        write!(out, "<th scope=\"col\"{class}><button type=\"button\">{name}</button></th>")?;
    }
    writeln!(out, "</tr></thead><tbody>")?;
    for row in rows {
        let names: Vec<&str> = row.verdicts.iter().map(Verdict::name).collect();
        write!(out, "<tr data-verdicts=\"{}\">", names.join(" "))?;
        for cell in row.cells {
            let class = if cell.class.is_empty() { String::new() } else { format!(" class=\"{}\"", cell.class) };
            let sort = cell.sort.map(|sort| format!(" data-v=\"{sort}\"")).unwrap_or_default();
            write!(out, "<td{class}{sort}>{}</td>", cell.html)?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div></section>")
}
