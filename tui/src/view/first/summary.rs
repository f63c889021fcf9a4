//! All of the set-up before it is done: what is done already, what will be, and with which values.

use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::paint;
use super::page::Page;
use super::steps;
use crate::human;
use crate::look::Tone;
use crate::model::first::{Field, First, Stage};
use crate::model::{Model, condition};

/// What is to be known before it is done, without what the keys do.
pub fn lines(model: &Model, first: &First, body: Rect) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let symbols = look.symbols();
    let columns = usize::from(body.width);
    let mut lines = Vec::new();
    let wrapped = |lines: &mut Vec<Line<'static>>, symbol: &str, text: &str, tone: Tone| {
        for (row, part) in human::wrap(text, columns.saturating_sub(4)).into_iter().enumerate() {
            let lead = if row == 0 { format!("  {symbol} ") } else { "    ".to_owned() };
            lines.push(paint::line(look, [(&lead, tone), (&part, Tone::Plain)]));
        }
    };
    let run = first.run.as_ref();
    lines.push(paint::heading(look, "Will be done", "", columns));
    for step in run.iter().flat_map(|run| &run.steps) {
        wrapped(&mut lines, symbols.unknown, step, Tone::Accent);
    }
    match run {
        Some(run) if run.mistakes.is_empty() => {
            for warning in &run.warnings {
                wrapped(&mut lines, symbols.warn, warning, Tone::Warn);
            }
            if run.confirms {
                let text = "the address has to be confirmed here within a minute, or goes back";
                wrapped(&mut lines, symbols.warn, text, Tone::Warn);
            }
            let text = match run.restarts {
                true => "the daemon starts again by itself, and serves then",
                false => "the daemon has to be started again by hand: this host has no systemd that does it",
            };
            wrapped(&mut lines, symbols.unknown, text, if run.restarts { Tone::Accent } else { Tone::Warn });
        }
        Some(run) => {
            for mistake in &run.mistakes {
                let title = Stage::of(&mistake.field).map_or("Settings", Stage::title);
                let text = format!("{title}: {}", sentence(&mistake.message));
                wrapped(&mut lines, symbols.bad, &text, Tone::Bad);
            }
        }
        None => {}
    }
    lines.push(Line::default());
    lines.push(paint::heading(look, "Chosen", "", columns));
    let kept =
        |stage: &Stage| !matches!(stage, Stage::Password | Stage::Keyboard | Stage::Keys | Stage::Summary);
    for stage in Stage::ALL.into_iter().filter(kept).filter(|stage| first.left_out(*stage).is_none()) {
        lines.push(fact(look, stage.title(), &steps::value(first, stage)));
        let more: &[(&str, Field)] = match stage {
            Stage::Address if first.how == crate::model::first::How::Static => {
                &[("  gateway", Field::Gateway), ("  name servers", Field::Dns)]
            }
            Stage::Range => &[("  router", Field::Router), ("  name servers", Field::Told)],
            Stage::Time if first.ntp => &[("  time servers", Field::Servers)],
            _ => &[],
        };
        for (label, field) in more {
            let value = first.text(*field);
            let none = if *field == Field::Servers { "those of the system" } else { "none" };
            lines.push(fact(look, label, if value.is_empty() { none } else { &value }));
        }
    }
    lines.push(Line::default());
    lines.push(paint::heading(look, "Done already", "", columns));
    for stage in [Stage::Password, Stage::Keyboard, Stage::Keys] {
        if first.left_out(stage).is_none() {
            lines.push(fact(look, stage.title(), &steps::value(first, stage)));
        }
    }
    let left_out: Vec<(Stage, &str)> = Stage::ALL
        .into_iter()
        .filter(|stage| *stage != Stage::Range)
        .filter_map(|stage| Some((stage, first.left_out(stage)?)))
        .collect();
    if let Some((_, why)) = left_out.first() {
        lines.push(Line::default());
        lines.push(paint::heading(look, "Left out", "", columns));
        let names: Vec<&str> = left_out.iter().map(|(stage, _)| stage.title()).collect();
        wrapped(&mut lines, symbols.none, &format!("{}: {why}", names.join(", ")), Tone::Dim);
    }
    lines
}

/// A step and what was chosen in it.
fn fact(look: crate::look::Look, label: &str, value: &str) -> Line<'static> {
    let label = format!("  {label:<20}");
    paint::line(look, [(&label, Tone::Dim), (value, Tone::Plain)])
}

/// The summary with what Enter does.
pub fn page(model: &Model, first: &First, body: Rect) -> Page {
    let look = model.setup.look;
    let symbols = look.symbols();
    let mut page = Page::new(look, body);
    let busy = condition::busy(symbols, model.beat());
    let run = first.run.as_ref().filter(|_| first.is_checked());
    match (&first.refused, run) {
        (Some(refused), _) => page.said(symbols.bad, refused, Tone::Bad),
        (None, None) => page.said(busy, "The daemon checks it", Tone::Busy),
        (None, Some(run)) if run.mistakes.is_empty() => {
            let danger = first.danger();
            if let Some(danger) = &danger {
                page.said(symbols.warn, danger, Tone::Warn);
            }
            let line = match (danger.is_some(), first.accepts) {
                (true, true) => [
                    (symbols.warn, Tone::Warn),
                    (" That is meant. ", Tone::Plain),
                    ("Enter does it all the same.", Tone::Strong),
                ],
                (true, false) => [
                    (symbols.bad, Tone::Bad),
                    (" Nothing is done unless ", Tone::Plain),
                    ("space says it is meant.", Tone::Strong),
                ],
                (false, _) => [
                    (symbols.ok, Tone::Ok),
                    (" Nothing is wrong with it. ", Tone::Plain),
                    ("Enter does it.", Tone::Strong),
                ],
            };
            page.line(paint::line(look, line));
        }
        (None, Some(run)) => {
            let count = human::count(run.mistakes.len(), "thing");
            let verb = if run.mistakes.len() == 1 { "is" } else { "are" };
            page.said(symbols.bad, &format!("{count} {verb} wrong: enter goes to the first."), Tone::Bad);
        }
    }
    page.gap();
    let all = lines(model, first, body);
    let room = usize::from(body.height).saturating_sub(page.rows_used());
    let scroll = first.scroll.min(all.len().saturating_sub(room));
    let below = all.len().saturating_sub(scroll + room);
    for line in all.into_iter().skip(scroll).take(room.saturating_sub(usize::from(below > 0))) {
        page.line(line);
    }
    if below > 0 {
        let more = format!("  {} more {}", below + 1, symbols.descending);
        page.line(paint::line(look, [(&more, Tone::Dim)]));
    }
    page.scroll = Some(0);
    page
}

/// What a mistake at a place of a file says, in one line.
pub fn sentence(message: &str) -> String {
    human::sentences(message).join("; ")
}
