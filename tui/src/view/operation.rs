//! One operation: where it stands among its states, its disks, its steps on the host, and its history.

use ironwake_api::{Operation, OperationKind, OperationState};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::operations;
use super::paint::{self, fact};
use crate::human;
use crate::look::Tone;
use crate::model::Model;
use crate::model::telling;

/// Lines of a step's output that are shown.
const OUTPUT_LINES_MAX: usize = 8;

/// Paints the operation that is open.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(3), ..area };
    paint::lines(buffer, inner, &lines(model, area.width), model.works.scroll, model.setup.look);
}

/// Its lines.
pub fn lines(model: &Model, width: u16) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let columns = usize::from(width.saturating_sub(3));
    let Some(operation) = &model.works.open else { return Vec::new() };
    let name = model.fleet.name(&operation.machine);
    let mut title = vec![
        paint::span(look, format!("{} ", operation.kind), Tone::Accent),
        paint::span(look, name, Tone::Strong),
        Span::raw("   "),
    ];
    title.extend(operations::state(model, operation).spans);
    let mut lines = vec![Line::from(title), Line::default(), path(model, operation)];
    if !operation.state.has_ended() {
        lines.push(Line::default());
        lines.push(operations::progress(model, operation, columns));
    }
    if let Some(failure) = &operation.failure {
        lines.push(Line::default());
        let stage = telling::state_word(failure.stage);
        lines.push(paint::line(
            look,
            [(look.symbols().bad, Tone::Bad), (" stopped while ", Tone::Bad), (stage, Tone::Bad)],
        ));
        lines.extend(
            human::wrap(&failure.reason, columns - 2)
                .iter()
                .map(|text| paint::line(look, [("  ", Tone::Plain), (text, Tone::Plain)])),
        );
        let next = "  r tries it again, m shows the machine with the stages of its boot";
        lines.push(paint::line(look, [(next, Tone::Dim)]));
    }
    lines.push(Line::default());
    if let Some(choice) = &operation.profile {
        lines.push(fact(look, "profile", format!("{} {}", choice.name, choice.version), Tone::Plain));
        for (name, value) in &choice.variables {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            lines.push(fact(look, "", format!("{name} = {value}"), Tone::Dim));
        }
    }
    let by = telling::actor(&operation.created_by);
    lines.push(fact(look, "asked", format!("{} by {by}", human::time(operation.created_at)), Tone::Plain));
    if let Some(arming) = &operation.arming {
        let until = human::until(arming.expires_at, model.now);
        lines.push(fact(
            look,
            "armed",
            format!("by {}, ends {until}", telling::actor(&arming.by)),
            Tone::Warn,
        ));
    }
    if let Some(deadline) = operation.deadline {
        lines.push(fact(
            look,
            "deadline",
            format!("{}: it fails unless it got further", human::until(deadline, model.now)),
            Tone::Plain,
        ));
    }
    if let Some(batch) = &operation.batch {
        let goes_on = if batch.keep_going { ", goes on after a failure" } else { "" };
        lines.push(fact(look, "batch", format!("{} at once{goes_on}", batch.at_once), Tone::Plain));
    }
    lines.push(fact(look, "id", &operation.id, Tone::Dim));
    disks(model, operation, columns, &mut lines);
    steps(model, operation, columns, &mut lines);
    history(model, operation, columns, &mut lines);
    lines
}

/// The states that its kind goes through, the one that is reached marked.
fn path(model: &Model, operation: &Operation) -> Line<'static> {
    use OperationState as S;
    let look = model.setup.look;
    let symbols = look.symbols();
    let states: &[S] = match operation.kind {
        OperationKind::Rebuild => &[
            S::Registered,
            S::PxeReady,
            S::PxeBooted,
            S::Installing,
            S::Installed,
            S::FirstBoot,
            S::Joining,
            S::Ready,
        ],
        OperationKind::Wipe | OperationKind::Rescue => {
            &[S::Registered, S::PxeReady, S::PxeBooted, S::Installing, S::Ready]
        }
        OperationKind::Inspect => &[S::Registered, S::PxeReady, S::PxeBooted, S::Ready],
    };
    let reached = match (&operation.failure, operation.state) {
        (Some(failure), _) => failure.stage,
        (None, S::Cancelled) => operation.history.last().map_or(S::Registered, |event| event.from),
        (None, state) => state,
    };
    let mut spans = Vec::new();
    for (place, state) in states.iter().enumerate() {
        let word = match (operation.kind, state) {
            (OperationKind::Wipe, S::Installing) => "wiping",
            (OperationKind::Rescue, S::Installing) => "running",
            _ => telling::state_word(*state),
        };
        let here = *state == reached;
        let (symbol, tone) = match (*state < reached, here) {
            (true, _) => (symbols.ok, Tone::Ok),
            (_, true) if operation.failure.is_some() => (symbols.bad, Tone::Bad),
            (_, true) if operation.state == S::Ready => (symbols.ok, Tone::Ok),
            (_, true) => (operations::symbol(model, operation), telling::state_tone(operation.state)),
            _ => (symbols.unknown, Tone::Faint),
        };
        if place > 0 {
            spans.push(paint::span(
                look,
                format!(" {} ", symbols.rule),
                if *state <= reached { Tone::Ok } else { Tone::Faint },
            ));
        }
        spans.push(paint::span(look, symbol, tone));
        // Where all words do not fit, the one that matters does.
        if here || model.setup.columns >= super::area::SPLIT_FROM_COLUMNS {
            spans.push(paint::span(look, format!(" {word}"), if here { tone } else { Tone::Dim }));
        }
    }
    Line::from(spans)
}

fn disks(model: &Model, operation: &Operation, columns: usize, lines: &mut Vec<Line<'static>>) {
    let look = model.setup.look;
    if operation.disks.is_empty() {
        return;
    }
    lines.push(Line::default());
    let rest = if operation.may_have_written { "may have been written" } else { "not written" };
    lines.push(paint::heading(look, "Disks", rest, columns));
    for disk in &operation.disks {
        let of = [disk.model.as_deref().unwrap_or(""), disk.serial.as_deref().unwrap_or("")].join("  ");
        lines.push(paint::line(
            look,
            [
                (&format!("{:<10}", disk.name), Tone::Strong),
                (&format!("{:>9}", human::disk(disk.size_bytes)), Tone::Plain),
                ("  ", Tone::Plain),
                (&of, Tone::Dim),
            ],
        ));
        for text in disk.told() {
            lines.push(paint::line(look, [("  held ", Tone::Dim), (&text, Tone::Dim)]));
        }
    }
}

fn steps(model: &Model, operation: &Operation, columns: usize, lines: &mut Vec<Line<'static>>) {
    let look = model.setup.look;
    if operation.steps.is_empty() {
        return;
    }
    lines.push(Line::default());
    lines.push(paint::heading(look, "Steps on the host", "", columns));
    for step in &operation.steps {
        let tone = telling::step_tone(step.state);
        let took = step
            .ended_at
            .map(|at| format!("  in {}", human::duration(at.saturating_sub(step.started_at))))
            .unwrap_or_default();
        let again = if step.tries > 1 { format!("  try {}", step.tries) } else { String::new() };
        lines.push(paint::line(
            look,
            [
                (&format!("{:<22}", step.name), Tone::Strong),
                (step.state.name(), tone),
                (&took, Tone::Dim),
                (&again, Tone::Warn),
            ],
        ));
        if let Some(problem) = &step.problem {
            lines.push(paint::line(look, [("  ", Tone::Plain), (problem, Tone::Bad)]));
        }
        let output: Vec<&str> = step.output.lines().collect();
        for text in &output[output.len().saturating_sub(OUTPUT_LINES_MAX)..] {
            lines.push(paint::line(look, [("  ", Tone::Plain), (text, Tone::Dim)]));
        }
    }
}

fn history(model: &Model, operation: &Operation, columns: usize, lines: &mut Vec<Line<'static>>) {
    let look = model.setup.look;
    if operation.history.is_empty() {
        return;
    }
    lines.push(Line::default());
    lines.push(paint::heading(look, "History", "", columns));
    let mut before = operation.created_at;
    for event in &operation.history {
        let since = human::duration(event.at.saturating_sub(before));
        before = event.at;
        let mut spans = vec![
            paint::span(look, format!("{}  ", human::when(event.at, model.now)), Tone::Dim),
            paint::span(look, format!("{:>9}  ", format!("+{since}")), Tone::Faint),
            paint::span(
                look,
                format!("{:<11}", telling::state_word(event.to)),
                telling::state_tone(event.to),
            ),
        ];
        spans.push(paint::span(look, &event.cause, Tone::Plain));
        spans.push(paint::span(look, format!("  {}", telling::actor(&event.actor)), Tone::Faint));
        lines.push(Line::from(spans));
    }
}
