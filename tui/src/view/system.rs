//! The appliance itself: how it is, what runs, and how it is set.

use ironwake_api::{EventKind, SettingOrigin};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::network::health;
use super::paint;
use crate::human;
use crate::look::Tone;
use crate::model::Model;

/// Paints the text, from where it was scrolled to.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(3), ..area };
    paint::lines(buffer, inner, &lines(model, area.width), model.system_scroll, model.setup.look);
}

/// Its lines.
pub fn lines(model: &Model, width: u16) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let columns = usize::from(width.saturating_sub(3));
    let version = model.version.as_ref().map_or_else(|| "unknown".into(), |version| version.version.clone());
    let schema = model
        .version
        .as_ref()
        .map(|version| format!("   store schema {}", version.schema))
        .unwrap_or_default();
    let started =
        model.tail.events.iter().rev().find(|event| matches!(event.kind, EventKind::DaemonStarted { .. }));
    let uptime = started.map(|event| {
        format!("   up for {}", human::duration(model.now.saturating_sub(event.at) / 1000 * 1000))
    });
    let mut lines = vec![
        paint::line(
            look,
            [
                ("Ironwake ", Tone::Strong),
                (&version, Tone::Strong),
                (&schema, Tone::Dim),
                (uptime.as_deref().unwrap_or(""), Tone::Dim),
            ],
        ),
        paint::fact(look, "asked at", &model.setup.place, Tone::Plain),
        Line::default(),
        paint::heading(look, "Health", "", columns),
    ];
    let Some(found) = &model.health else {
        lines.push(paint::line(look, [("not known yet", Tone::Dim)]));
        lines.push(Line::default());
        settings(model, columns, &mut lines);
        return lines;
    };
    for check in &found.checks {
        let (symbol, tone) = health(look, check.state);
        lines.push(paint::line(
            look,
            [
                (symbol, tone),
                (" ", tone),
                (&format!("{:<12}", check.name), Tone::Strong),
                (&check.message, Tone::Plain),
            ],
        ));
        if let Some(remedy) = &check.remedy {
            for (place, text) in human::wrap(remedy, columns.saturating_sub(16)).into_iter().enumerate() {
                let arrow = if place == 0 { look.symbols().arrow } else { " " };
                let lead = format!("{:14}{arrow} ", "");
                lines.push(paint::line(look, [(&lead, Tone::Accent), (&text, Tone::Plain)]));
            }
        }
    }
    lines.push(Line::default());
    settings(model, columns, &mut lines);
    lines
}

/// Settings that somebody set; the others are on a screen of their own.
fn settings(model: &Model, columns: usize, lines: &mut Vec<Line<'static>>) {
    let look = model.setup.look;
    if !model.access.shows_settings() {
        lines.push(paint::heading(look, "Settings", "", columns));
        let how = "Shown to who has logged in with the password: ctrl-l";
        lines.push(paint::line(look, [(how, Tone::Dim)]));
        return;
    }
    let restart = model.settings.all.as_ref().map(|all| all.restart.as_slice()).unwrap_or_default();
    lines.push(paint::heading(look, "Settings", "enter shows all of them, and changes them", columns));
    if !restart.is_empty() {
        let text = format!(" after the next start: {}", restart.join(", "));
        lines.push(paint::line(look, [(look.symbols().warn, Tone::Warn), (&text, Tone::Warn)]));
    }
    let set = model.settings.settings().iter().filter(|setting| setting.origin != SettingOrigin::Default);
    lines.extend(set.map(|setting| super::settings::brief(look, setting, columns)));
}
