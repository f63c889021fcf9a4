//! Updates of the appliance: what runs, what there is, how far it is, and what became of the last one.

use ironwake_api::{Update, UpdateOutcome, UpdateProgress, UpdateStep};
use ratatui::text::Line;

use super::paint;
use crate::human;
use crate::look::{Look, Tone};

/// Columns of the bar.
const BAR_COLUMNS: usize = 24;
/// Columns before a text that goes on in the next line.
const INDENT: usize = 2;

/// Lines of the part, without its heading.
pub(super) fn lines(look: Look, update: &Update, columns: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(why) = &update.unavailable {
        lines.extend(wrapped(look, why, Tone::Dim, columns));
    }
    let channel = update.channel.as_deref().unwrap_or("none; `url` of [update] is the setting");
    if update.unavailable.is_none() || update.channel.is_some() {
        lines.push(paint::fact(look, "channel", channel, Tone::Dim));
    }
    if let Some(why) = &update.check_failed {
        lines.extend(wrapped(look, why, Tone::Warn, columns));
    }
    if let Some(found) = update.available.as_ref().filter(|found| found.newer) {
        let text =
            format!("{}, {}, signed by {}", found.version, human::size(found.size_bytes), found.signed_by);
        lines.push(paint::fact(look, "available", text, Tone::Ok));
    }
    for stick in &update.sticks {
        let text = format!("{}, {}", stick.path, human::size(stick.size_bytes));
        lines.push(paint::fact(look, "on a stick", text, Tone::Plain));
    }
    if let Some(progress) = &update.progress {
        lines.extend(under_way(look, progress, columns));
    }
    if let Some(last) = &update.last {
        let (version, from) = (&last.version, &last.from);
        let (text, tone) = match last.outcome {
            UpdateOutcome::Installed => (format!("{version} is installed: R restarts into it"), Tone::Ok),
            UpdateOutcome::Trial => (format!("{version} is on trial"), Tone::Warn),
            UpdateOutcome::Good => (format!("{version} stays; before it was {from}"), Tone::Ok),
            UpdateOutcome::FellBack => {
                let boots = last.boots.map(|boots| format!(" {boots} starts")).unwrap_or_default();
                (format!("{version} failed{boots}, this is {from} again"), Tone::Bad)
            }
            UpdateOutcome::Failed => (format!("{version} was not installed"), Tone::Bad),
        };
        lines.push(paint::fact(look, "last", text, tone));
        if let Some(why) = &last.why {
            lines.extend(wrapped(look, why, Tone::Plain, columns));
        }
    }
    lines
}

fn under_way(look: Look, progress: &UpdateProgress, columns: usize) -> Vec<Line<'static>> {
    let version = progress.version.as_deref().unwrap_or_default();
    match progress.step {
        UpdateStep::Done => Vec::new(),
        UpdateStep::Failed => {
            let why = progress.error.as_deref().unwrap_or("no reason is known");
            wrapped(look, &format!("not installed {version}: {why}"), Tone::Bad, columns)
        }
        step => {
            let mut line = paint::fact(look, "under way", "", Tone::Plain);
            line.spans.extend(paint::bar(look, BAR_COLUMNS, progress.percent, 0, Tone::Busy));
            let percent = progress.percent.map(|percent| format!(" {percent:>3} %")).unwrap_or_default();
            line.spans.push(paint::span(look, percent, Tone::Strong));
            let bytes = match (progress.progress.done_bytes, progress.progress.total_bytes) {
                (0, _) => String::new(),
                (done, None) => format!(", {}", human::size(done)),
                (done, Some(total)) => format!(", {} of {}", human::size(done), human::size(total)),
            };
            let left = progress.secs_left.map(|secs| format!(", {} left", human::duration(secs * 1000)));
            let text = format!("  {} {version}{bytes}{}", step.name(), left.unwrap_or_default());
            line.spans.push(paint::span(look, text, Tone::Dim));
            vec![line]
        }
    }
}

fn wrapped(look: Look, text: &str, tone: Tone, columns: usize) -> Vec<Line<'static>> {
    let rows = human::wrap(text, columns.saturating_sub(INDENT));
    rows.into_iter().map(|row| paint::line(look, [(" ", Tone::Plain), (&row, tone)])).collect()
}
