//! The first set-up: the list of steps, the step that is open, and what it is about.

mod about;
mod keys;
mod page;
mod progress;
mod steps;
mod summary;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{area, paint};
use crate::look::Tone;
use crate::model::Model;
use crate::model::first::{First, Phase, Stage};
use page::Page;

/// Columns of the list of steps.
const STEPS_COLUMNS: u16 = 24;
/// The same where what was chosen is beside them.
const STEPS_WIDE_COLUMNS: u16 = 34;
/// From this width on, what was chosen is told below each step.
const WIDE_FROM_COLUMNS: u16 = 120;
/// From this width on, what the step is about stands beside it.
const ABOUT_FROM_COLUMNS: u16 = 150;
/// Longer lines are harder to read than to wrap.
const ABOUT_COLUMNS_MAX: u16 = 56;
/// The step itself is no wider.
const BODY_COLUMNS_MAX: u16 = 92;
/// Below this the list of steps is not shown.
const STEPS_FROM_COLUMNS: u16 = 64;

/// The parts of the screen.
struct Parts {
    /// The list of steps, where there is room.
    steps: Option<Rect>,
    /// The step that is open.
    body: Rect,
    /// What it is about, where there is room beside it.
    about: Option<Rect>,
}

fn parts(screen: Rect) -> Parts {
    let columns = match screen.width {
        WIDE_FROM_COLUMNS.. => STEPS_WIDE_COLUMNS,
        STEPS_FROM_COLUMNS.. => STEPS_COLUMNS,
        _ => 0,
    };
    let steps = (columns > 0).then_some(Rect { width: columns, ..screen });
    let left = screen.width - columns;
    let about = (screen.width >= ABOUT_FROM_COLUMNS).then(|| (left * 2 / 5).min(ABOUT_COLUMNS_MAX));
    let width = (left - about.unwrap_or(0)).saturating_sub(3).min(BODY_COLUMNS_MAX);
    // An empty line above, two columns beside.
    let below = Rect { y: screen.y + 1, height: screen.height.saturating_sub(1), ..screen };
    let body = Rect { x: screen.x + columns + 2, width, ..below };
    let about = about.map(|about| Rect { x: body.right() + 2, width: about.saturating_sub(3), ..below });
    Parts { steps, body, about }
}

/// In place of the tabs: what this is, and how far one is.
pub fn title(model: &Model, buffer: &mut Buffer) {
    let look = model.setup.look;
    let symbols = look.symbols();
    let columns = model.setup.columns;
    paint::fill(buffer, 0, area::TABS_ROW + 1, columns, symbols.rule, look.style(Tone::Faint));
    let Some(first) = &model.first else { return };
    let there: Vec<Stage> = Stage::ALL.into_iter().filter(|stage| first.left_out(*stage).is_none()).collect();
    let place = there.iter().position(|stage| *stage == first.stage).map_or(0, |place| place + 1);
    let (done, said) = match first.phase {
        Phase::Filling => (place, format!("step {place} of {}: {}", there.len(), first.stage.title())),
        Phase::Done { .. } => (there.len(), "done".to_owned()),
        _ => (there.len(), "being done".to_owned()),
    };
    let line =
        paint::line(look, [(" First set-up ", Tone::Strong), (" ", Tone::Plain), (&said, Tone::Accent)]);
    paint::put(buffer, 0, area::TABS_ROW, columns, &line, look);
    let heavy = (usize::from(columns) * done / there.len().max(1)) as u16;
    paint::fill(buffer, 0, area::TABS_ROW + 1, heavy, symbols.heavy, look.style(Tone::Accent));
}

/// Paints it.
pub fn show(model: &Model, buffer: &mut Buffer, screen: Rect) {
    let Some(first) = &model.first else { return };
    let parts = parts(screen);
    if let Some(rect) = parts.steps {
        steps::show(model, first, buffer, rect);
    }
    page(model, first, &parts).show(buffer, parts.body, model.setup.look);
    if let Some(rect) = parts.about {
        about::show(model, first, buffer, rect);
    }
}

fn page(model: &Model, first: &First, parts: &Parts) -> Page {
    match first.phase {
        Phase::Filling if first.stage == Stage::Summary => summary::page(model, first, parts.body),
        Phase::Filling => page::page(model, first, parts.body, parts.about.is_none()),
        _ => progress::page(model, first, parts.body),
    }
}

/// Rows of the list of the step that is open.
pub fn list_height(model: &Model) -> usize {
    let parts = parts(area::area(model));
    let Some(first) = &model.first else { return 1 };
    let rows = page(model, first, &parts).rows_above_list();
    usize::from(parts.body.height).saturating_sub(rows).max(1)
}

/// Lines of the summary, to know how far it scrolls.
pub fn summary_lines(model: &Model) -> usize {
    let parts = parts(area::area(model));
    model.first.as_ref().map_or(0, |first| summary::lines(model, first, parts.body).len())
}

/// The step at a place of the screen, by its place among all.
pub fn step_at(model: &Model, column: u16, row: u16) -> Option<usize> {
    let rect = parts(area::area(model)).steps?;
    if !rect.contains((column, row).into()) {
        return None;
    }
    let place = usize::from(row.checked_sub(rect.y + 1)?) / usize::from(steps::rows(model, rect));
    (place < Stage::ALL.len()).then_some(place)
}
