//! Boots of a machine: each attempt, and the timeline of the chosen one, with where it stopped and what helps.

use ironwake_api::{Attempt, AttemptOutcome};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::{area, paint};
use crate::human;
use crate::look::Tone;
use crate::model::machine::Opened;
use crate::model::{Model, condition, telling};

/// Columns of the list of boots, where it is beside the stages.
const LIST_COLUMNS: u16 = 44;
/// A step that took longer is shown as a gap: seconds in which nothing was heard.
const GAP_MILLIS: u64 = 2_000;

/// Paints both.
pub fn show(model: &Model, opened: &Opened, buffer: &mut Buffer, area: Rect, whole: Rect) {
    let look = model.setup.look;
    if opened.attempts.is_empty() {
        let next =
            ["Each run of this machine through DHCP, TFTP, HTTP and the agent is told here, stage by stage."];
        let what = if opened.attempts_loaded { "No boot was recorded" } else { "Asking the daemon …" };
        return paint::empty(buffer, area, what, &next, look);
    }
    let (list, stages) = places(opened, area, whole);
    attempts(model, opened, buffer, list);
    if list.height == area.height {
        for y in area.y..area.bottom() {
            let rail = paint::line(look, [(look.symbols().rail, Tone::Faint)]);
            paint::put(buffer, area.x + LIST_COLUMNS, y, 1, &rail, look);
        }
    }
    if let Some(attempt) = shown(opened) {
        let lines = timeline(model, attempt, usize::from(stages.width));
        // The end of a boot tells most: where not all of it fits, that is what is shown, until somebody moves in it.
        let last = lines.len().saturating_sub(usize::from(stages.height));
        let top = opened.stages_top.unwrap_or(last).min(last);
        paint::lines(buffer, stages, &lines, top, look);
        if top > 0 {
            let more = format!(" {top} more {} ", look.symbols().ascending);
            let columns = more.width() as u16;
            let x = stages.right().saturating_sub(columns + 1);
            paint::put(buffer, x, stages.y, columns, &paint::line(look, [(&more, Tone::Dim)]), look);
        }
    }
}

/// Lines of the stages that are shown, and how many of them fit.
pub fn stages_size(model: &Model, whole: Rect) -> (usize, usize) {
    let Some(opened) = &model.opened else { return (0, 0) };
    let (_, stages) = places(opened, area::machine_body(whole), whole);
    let lines = shown(opened).map_or(0, |attempt| timeline(model, attempt, usize::from(stages.width)).len());
    (lines, usize::from(stages.height))
}

/// Where the list of boots lies in `area`, and where the stages; beside one another if the screen is wide enough.
pub fn places(opened: &Opened, area: Rect, whole: Rect) -> (Rect, Rect) {
    if whole.width >= area::SPLIT_FROM_COLUMNS {
        let list = Rect { width: LIST_COLUMNS, ..area };
        return (list, Rect { x: area.x + LIST_COLUMNS + 2, width: area.width - LIST_COLUMNS - 3, ..area });
    }
    let height = (area::attempts_height(whole) as u16).min(opened.attempts.len() as u16);
    let list = Rect { height, ..area };
    let stages = Rect {
        x: area.x + 2,
        y: area.y + height + 1,
        width: area.width.saturating_sub(3),
        height: area.height.saturating_sub(height + 1),
    };
    (list, stages)
}

/// The boot under the cursor with its stages, if they are here.
fn shown(opened: &Opened) -> Option<&Attempt> {
    let chosen = opened.attempts.get(opened.attempt_list.cursor)?;
    opened.attempt.as_ref().filter(|attempt| attempt.id == chosen.id)
}

fn attempts(model: &Model, opened: &Opened, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    for (row, place) in opened.attempt_list.shown(opened.attempts.len(), usize::from(area.height)).enumerate()
    {
        let attempt = &opened.attempts[place];
        let y = area.y + row as u16;
        paint::choose(buffer, area, y, place == opened.attempt_list.cursor, false, look);
        let (tone, word) = (telling::outcome_tone(attempt.outcome), attempt.outcome.name());
        let took = human::duration(attempt.last_at.saturating_sub(attempt.started_at));
        let line = paint::line(
            look,
            [
                (&format!("{:<12}", human::when(attempt.started_at, model.now)), Tone::Dim),
                (symbol(model, attempt), tone),
                (&format!(" {word:<12}"), tone),
                (&format!("{took:>9}"), Tone::Dim),
                (&format!("  {}", attempt.arch.as_deref().unwrap_or("")), Tone::Dim),
            ],
        );
        paint::put(buffer, area.x + paint::GUTTER, y, area.width - paint::GUTTER, &line, look);
    }
}

fn symbol(model: &Model, attempt: &Attempt) -> &'static str {
    let symbols = model.setup.look.symbols();
    match attempt.outcome {
        AttemptOutcome::Running => condition::busy(symbols, model.beat()),
        AttemptOutcome::Inventoried | AttemptOutcome::LocalBoot => symbols.ok,
        AttemptOutcome::Failed => symbols.bad,
    }
}

/// The stages of one boot: when, which program, what.
pub fn timeline(model: &Model, attempt: &Attempt, columns: usize) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let symbols = look.symbols();
    let (tone, word) = (telling::outcome_tone(attempt.outcome), attempt.outcome.name());
    let took = human::duration(attempt.last_at.saturating_sub(attempt.started_at));
    let title = format!("{} {word}", symbol(model, attempt));
    let about =
        format!("  {} by {}, {took}", attempt.arch.as_deref().unwrap_or("unknown firmware"), attempt.mac);
    let mut lines = vec![paint::line(look, [(&title, tone), (&about, Tone::Dim)])];
    let (mut before, mut client) = (attempt.started_at, None);
    for stage in &attempt.stages {
        let gap = stage.at.saturating_sub(before);
        if gap >= GAP_MILLIS {
            let text =
                format!("{:>9}  {:8} {} {} without a word", "", "", symbols.no_cable, human::duration(gap));
            lines.push(paint::line(look, [(&text, Tone::Faint)]));
        }
        before = stage.at;
        let since = stage.at.saturating_sub(attempt.started_at);
        let name = if client == Some(stage.client) { "" } else { stage.client.name() };
        client = Some(stage.client);
        let (tone, text) = telling::stage(stage);
        let lead = vec![
            paint::span(look, format!("{:>5}.{:03}  ", since / 1000, since % 1000), Tone::Faint),
            paint::span(look, format!("{name:<8} "), Tone::Accent),
            paint::span(look, format!("{} ", symbols.rail), Tone::Faint),
        ];
        let indent = Line::from(lead.clone()).width();
        let mut wrapped = human::wrap(&text, columns.saturating_sub(indent)).into_iter();
        let mut first = lead;
        first.push(paint::span(look, wrapped.next().unwrap_or_default(), tone));
        lines.push(Line::from(first));
        for rest in wrapped {
            let rail = format!("{}{} ", " ".repeat(indent - 2), symbols.rail);
            lines.push(Line::from(vec![paint::span(look, rail, Tone::Faint), paint::span(look, rest, tone)]));
        }
    }
    if let Some(found) = &attempt.diagnosis {
        lines.push(Line::default());
        lines.push(paint::line(
            look,
            [(symbols.bad, Tone::Bad), (" stopped here: ", Tone::Bad), (&found.code, Tone::Bad)],
        ));
        let wrapped = |text: &str| human::wrap(text, columns.saturating_sub(4));
        for text in wrapped(&found.message) {
            lines.push(paint::line(look, [("  ", Tone::Plain), (&text, Tone::Plain)]));
        }
        for (place, text) in wrapped(&found.remedy).into_iter().enumerate() {
            let lead = if place == 0 { format!("{} ", symbols.arrow) } else { "  ".into() };
            lines.push(Line::from(vec![paint::span(look, lead, Tone::Accent), Span::raw(text)]));
        }
    }
    lines
}
