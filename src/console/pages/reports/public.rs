//! The version of the figures that may be published, on a page and as a file.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use crate::console::desk::{Desk, Notice};
use crate::console::ui::plot::Plot;
use crate::console::ui::{Page, View, show};
use crate::lang::Lang;
use crate::store::report::print::Format;
use crate::store::report::public::print::{NOTES, print};
use crate::store::report::public::{Public, Shown, Table, public, words};
use crate::store::report::value::Value;

use super::asked::{Asked, Period, Wrong};
use super::{Line, count, file, names};

/// The paths of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/reports/public", get(page)).route("/reports/public/csv", get(csv))
}

#[derive(Template)]
#[template(path = "reports/public.html", config = ".askama.toml")]
struct Published {
    page: Page,
    asked: Asked,
    period: Period,
    query: String,
    min_cell: u64,
    lines: Vec<Section>,
    notes: Vec<&'static str>,
}

/// A line's figures.
struct Section {
    name: String,
    figures: Vec<Line>,
    tables: Vec<Part>,
}

/// A table, and its plot where every count is shown.
struct Part {
    title: &'static str,
    head: &'static str,
    svg: String,
    rows: Vec<(String, String)>,
}

/// What may be published of the period that was asked for.
async fn read(view: &View, asked: &Asked) -> Result<(Public, Option<Wrong>), Response> {
    let current = view.desk.current();
    let (period, wrong) = asked.whole_period(current.loaded.call.timezone);
    let figures = count(view, period).await.map_err(|error| view.fault(&error))?;
    let mut public = public(&figures, current.loaded.reports.min_cell);
    if !asked.line.is_empty() {
        public.lines.retain(|line| *line.id.0 == *asked.line);
    }
    Ok((public, wrong))
}

async fn page(view: View, Query(asked): Query<Asked>) -> Response {
    let (public, wrong) = match read(&view, &asked).await {
        Ok(read) => read,
        Err(response) => return response,
    };
    let deed = format!("read the report for the public {}", asked.told(&public.period));
    view.desk.audit(&view.person, deed);
    let names = names(&view);
    let lines = public.lines.iter().map(|line| Section {
        name: names.get(&line.id).map_or(&*line.id.0, String::as_str).to_owned(),
        figures: line.figures.iter().filter_map(|it| figure(view.l, it, public.min_cell)).collect(),
        tables: line
            .tables
            .iter()
            .map(|table| part(view.l, &line.id.0, table, public.min_cell))
            .collect(),
    });
    let mut page = view.page(view.t("統計(公表用)", "Reports (for the public)"));
    if let Some(text) = wrong.map(|wrong| wrong.text(view.l)) {
        page.notice = Some(Notice { is_bad: true, text });
    }
    show(&Published {
        page,
        period: asked.named(view.l, &public.period),
        query: asked.query(&public.period),
        min_cell: public.min_cell,
        lines: lines.collect(),
        notes: NOTES.iter().map(|(ja, en)| view.t(ja, en)).collect(),
        asked,
    })
}

fn figure(l: Lang, (key, shown): &(&str, Shown), min: u64) -> Option<Line> {
    let (label, definition) = words(key)?;
    let (ja, en) = shown.text(min);
    Some(Line {
        label: l.t(label.0, label.1),
        value: l.t(&ja, &en).to_owned(),
        definition: l.t(definition.0, definition.1),
    })
}

fn part(l: Lang, line: &str, table: &Table, min: u64) -> Part {
    let t = |words: &(String, String)| l.t(&words.0, &words.1).to_owned();
    let count = |shown: &Shown| match shown {
        Shown::Value(Value::Calls(count)) => Some(*count),
        Shown::Value(_) | Shown::Few | Shown::Withheld => None,
    };
    let bars = table.rows.iter().map(|(_, name, shown)| Some((t(name), vec![count(shown)?])));
    // A bar that is missing would look like nothing.
    let bars: Option<Vec<_>> = bars.collect();
    let plot = bars.map(|bars| Plot {
        id: format!("{line}-{}", table.key),
        title: l.t(table.label.0, table.label.1).to_owned(),
        axes: (l.t(table.row_label.0, table.row_label.1).to_owned(), l.t("件", "calls").to_owned()),
        parts: vec![l.t("件", "calls").to_owned()],
        bars,
        is_histogram: false,
    });
    let rows = table.rows.iter().map(|(_, name, shown)| (t(name), t(&shown.text(min))));
    Part {
        title: l.t(table.label.0, table.label.1),
        head: l.t(table.row_label.0, table.row_label.1),
        svg: plot.map(|plot| plot.svg()).unwrap_or_default(),
        rows: rows.collect(),
    }
}

async fn csv(view: View, Query(asked): Query<Asked>) -> Response {
    match read(&view, &asked).await {
        Ok((_, Some(wrong))) => view.refuse(StatusCode::BAD_REQUEST, wrong.text(view.l)),
        Ok((public, None)) => {
            let deed =
                format!("downloaded the report for the public {}", asked.told(&public.period));
            view.desk.audit(&view.person, deed);
            let name = format!("koebashi-public-{}", public.period.key);
            file(&name, print(&public, &names(&view), Format::Csv))
        }
        Err(response) => response,
    }
}
