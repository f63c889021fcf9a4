//! What the appliance runs from, and how far an installation on a disk is.

use ironwake_api::InstallPhase;
use ratatui::text::Line;

use super::paint;
use crate::human;
use crate::look::Tone;
use crate::model::{Model, condition};

/// Columns of the bar.
const BAR_COLUMNS: usize = 24;

/// A line for an appliance that runs from a stick.
pub fn runs_from(model: &Model) -> Option<Line<'static>> {
    let look = model.setup.look;
    let stick = model.medium.stick()?;
    let text = format!("{stick}, which can be taken out: i installs it on a disk");
    Some(paint::fact(look, "runs from", text, Tone::Warn))
}

/// An installation that runs, or how the last one ended.
pub fn installation(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let symbols = look.symbols();
    let Some(state) = model.medium.install.as_ref().filter(|state| state.phase != InstallPhase::None) else {
        return Vec::new();
    };
    let disk = state.disk.as_deref().unwrap_or("a disk");
    let (symbol, tone) = match state.phase {
        InstallPhase::Done => (symbols.ok, Tone::Ok),
        InstallPhase::Failed => (symbols.bad, Tone::Bad),
        _ => (condition::busy(symbols, model.beat()), Tone::Busy),
    };
    let told = format!(" {disk}: {}", state.phase.told());
    let mut lines = vec![
        Line::default(),
        paint::heading(look, "Installation on a disk", "", columns),
        paint::line(look, [(symbol, tone), (&told, Tone::Plain)]),
    ];
    if state.phase.is_running() && state.total_bytes > 0 {
        let percent = state.percent();
        let mut bar = paint::line(look, [("  ", Tone::Plain)]);
        bar.spans.extend(paint::bar(look, BAR_COLUMNS, Some(percent), 0, Tone::Accent));
        let (done, total) = (human::size(state.done_bytes), human::size(state.total_bytes));
        bar.spans.push(paint::span(look, format!(" {percent:>3} %"), Tone::Strong));
        bar.spans.push(paint::span(look, format!("  {done} of {total}"), Tone::Dim));
        lines.push(bar);
    }
    let next = "take out what it was booted from, and restart it: R".to_owned();
    let more = (state.phase == InstallPhase::Done).then_some(next);
    for text in state.problem.iter().chain(&state.notes).chain(&more) {
        lines.extend(
            human::wrap(text, columns.saturating_sub(2))
                .into_iter()
                .map(|text| paint::line(look, [("  ", Tone::Plain), (&text, Tone::Plain)])),
        );
    }
    lines
}
