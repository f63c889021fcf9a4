//! Operations: what runs with its bars, then what ended.

use ironwake_api::{Operation, OperationState};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::area;
use super::paint::{self, Column, column, right};
use crate::human;
use crate::look::Tone;
use crate::model::Model;
use crate::model::condition;
use crate::model::telling;
use crate::model::works;

const COLUMNS: [Column; 7] = [
    column("machine", 14, 26, 0),
    column("what", 8, 8, 1),
    column("state", 13, 13, 2),
    column("progress", 24, 72, 3),
    right("since", 6, 6, 4),
    column("profile", 12, 20, 5),
    column("by", 10, 16, 6),
];
/// Columns of a bar.
const BAR_COLUMNS_MAX: usize = 26;

/// Paints the list.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let works = &model.works;
    let running = works.running();
    let failed = works.listed().filter(|operation| operation.state == OperationState::Failed).count();
    // Nobody has counted those that are older.
    let (word, more) = match (works.is_whole() || !works.loaded, works.all.len() >= works::KEPT_MAX) {
        (true, _) => ("in all", ""),
        (false, false) => ("newest", "older ones come at the end of the list   "),
        (false, true) => ("newest", "older ones stand with their machine   "),
    };
    let mut left = vec![Span::raw("  ")];
    let symbols = look.symbols();
    let moving = if running > 0 { condition::busy(symbols, model.beat()) } else { symbols.idle };
    for (symbol, tone, number, word) in [
        (moving, Tone::Busy, running, "running"),
        (symbols.bad, Tone::Bad, failed, "failed"),
        (symbols.dot, Tone::Dim, works.listed().count(), word),
    ] {
        left.push(paint::span(look, symbol, if number > 0 { tone } else { Tone::Faint }));
        left.push(paint::span(look, format!(" {}", human::grouped(number)), Tone::Plain));
        left.push(paint::span(look, format!(" {word}   "), Tone::Dim));
    }
    left.push(paint::span(look, more, Tone::Dim));
    let mut narrowed = Vec::new();
    narrowed.extend((works.only != crate::model::works::Only::All).then(|| works.only.word().to_owned()));
    narrowed.extend((!works.search.is_empty()).then(|| format!("\"{}\"", works.search.text())));
    left.push(paint::span(look, narrowed.join(" + "), Tone::Accent));
    paint::put(buffer, area.x, area.y, area.width, &Line::from(left), look);
    let body = area::below_head(area);
    if works.shown.is_empty() {
        let (what, next): (&str, &[&str]) = match (works.loaded, works.all.is_empty()) {
            (false, _) => ("Asking the daemon …", &[]),
            (true, true) => {
                ("Nothing was done yet", &["Choose a machine and press b to rebuild it, i to inspect it."])
            }
            (true, false) => ("No operation fits", &["esc shows all of them again"]),
        };
        return paint::empty(buffer, body, what, next, look);
    }
    let (table, widths) = paint::table(buffer, area, &COLUMNS, ("", ""), look);
    for (row, place) in works.list.shown(works.shown.len(), usize::from(body.height)).enumerate() {
        let Some(operation) = works.all.get(&works.shown[place]) else { continue };
        let y = body.y + row as u16;
        paint::choose(buffer, area, y, place == works.list.cursor, false, look);
        let cells = [
            Line::from(paint::span(look, model.fleet.name(&operation.machine), Tone::Strong)),
            Line::from(paint::span(look, operation.kind.name(), Tone::Plain)),
            state(model, operation),
            progress(model, operation, usize::from(widths[3])),
            Line::from(paint::span(look, human::age(operation.state_since, model.now), Tone::Dim)),
            Line::from(paint::span(
                look,
                operation.profile.as_ref().map_or(symbols.none, |choice| &choice.name),
                Tone::Dim,
            )),
            Line::from(paint::span(look, telling::actor(&operation.created_by), Tone::Dim)),
        ];
        paint::row(buffer, Rect { y, height: 1, ..table }, &COLUMNS, &widths, &cells, look);
    }
}

/// The symbol of an operation's state.
pub fn symbol(model: &Model, operation: &Operation) -> &'static str {
    let symbols = model.setup.look.symbols();
    match operation.state {
        OperationState::Registered => symbols.idle,
        OperationState::PxeReady => symbols.warn,
        OperationState::Ready => symbols.ok,
        OperationState::Failed => symbols.bad,
        OperationState::Cancelled => symbols.unknown,
        _ => condition::busy(symbols, model.beat()),
    }
}

/// Symbol and word of an operation's state.
pub fn state(model: &Model, operation: &Operation) -> Line<'static> {
    let tone = telling::state_tone(operation.state);
    let look = model.setup.look;
    paint::line(
        look,
        [(symbol(model, operation), tone), (" ", tone), (telling::state_word(operation.state), tone)],
    )
}

/// How far an operation is: a bar with bytes, rate and time left, or why it ended.
pub fn progress(model: &Model, operation: &Operation, columns: usize) -> Line<'static> {
    let look = model.setup.look;
    let text = |text: &str, tone| Line::from(paint::span(look, text, tone));
    if let Some(failure) = &operation.failure {
        return text(&format!("{}: {}", telling::state_word(failure.stage), failure.reason), Tone::Plain);
    }
    match operation.state {
        OperationState::Ready => {
            let took = human::duration(operation.state_since.saturating_sub(operation.created_at));
            return text(&format!("in {took}"), Tone::Dim);
        }
        OperationState::Cancelled => return text("taken back", Tone::Dim),
        OperationState::Registered if operation.batch.is_some() => {
            return text("waits for its turn", Tone::Dim);
        }
        OperationState::Registered => return text("not armed", Tone::Dim),
        OperationState::PxeReady => {
            let left = operation.arming.as_ref().map(|arming| human::left(arming.expires_at, model.now));
            let left = left.map(|left| format!(", {left}")).unwrap_or_default();
            return text(&format!("waits for its boot{left}"), Tone::Dim);
        }
        _ => {}
    }
    let Some(progress) = &operation.progress else {
        let what = model.works.said.get(&operation.id).cloned().unwrap_or_default();
        let mut spans = paint::bar(look, BAR_COLUMNS_MAX.min(columns), None, model.beat(), Tone::Busy);
        spans.push(paint::span(look, format!("  {what}"), Tone::Dim));
        return Line::from(spans);
    };
    let left = progress
        .secs_left()
        .map(|secs| format!("  {} left", human::duration(secs * 1000)))
        .unwrap_or_default();
    let of = progress.total_bytes.map(|total| format!(" of {}", human::size(total))).unwrap_or_default();
    let rate = match progress.bytes_per_sec {
        0 => String::new(),
        rate => format!("  {}/s", human::size(rate)),
    };
    let percent = progress.percent().map(|percent| format!(" {percent:>3}%")).unwrap_or_default();
    let bytes = format!("  {}{of}", human::size(progress.done_bytes));
    // The bar keeps its place; what says more is added as far as there is room.
    let bar_columns = columns.saturating_sub(percent.len()).min(BAR_COLUMNS_MAX);
    let mut spans = paint::bar(look, bar_columns, progress.percent(), model.beat(), Tone::Busy);
    spans.push(paint::span(look, percent, Tone::Plain));
    for extra in [bytes, rate, left] {
        let used = Line::from(spans.clone()).width();
        if used + extra.len() <= columns {
            spans.push(paint::span(look, extra, Tone::Dim));
        }
    }
    Line::from(spans)
}
