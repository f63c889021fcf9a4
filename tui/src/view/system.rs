//! The appliance itself: how it is, what runs, and how it is set.

use ironwake_api::{EventKind, SettingOrigin};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::area;
use super::network::health;
use super::paint::{self, Column, column};
use crate::human;
use crate::look::Tone;
use crate::model::Model;

const COLUMNS: [Column; 4] = [
    column("setting", 26, 40, 0),
    column("value", 24, 60, 1),
    column("from", 10, 10, 2),
    column("place", 20, 60, 3),
];

/// Paints health and settings.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let above = lines(model, area.width);
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(3), ..area };
    paint::lines(buffer, inner, &above, 0, look);
    let y = area.y + above.len() as u16;
    settings(model, buffer, Rect { y, height: area.bottom().saturating_sub(y), ..area });
}

/// What stands above the settings.
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
    lines
}

fn settings(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let shown = model.settings_shown();
    let columns = usize::from(area.width.saturating_sub(3));
    let restart = model.settings.as_ref().map(|settings| settings.restart.as_slice()).unwrap_or_default();
    let rest =
        if restart.is_empty() { String::new() } else { format!("after a restart: {}", restart.join(", ")) };
    paint::put(
        buffer,
        area.x + 2,
        area.y,
        area.width - 3,
        &paint::heading(look, "Settings", &rest, columns),
        look,
    );
    if !model.access.shows_settings() && area.height > 1 {
        let how = paint::line(look, [("Shown to who has logged in with the password: ctrl-l", Tone::Dim)]);
        paint::put(buffer, area.x + 2, area.y + 1, area.width - 3, &how, look);
    }
    if shown.is_empty() || area.height < 3 {
        return;
    }
    let (table, widths) = paint::table(buffer, area, &COLUMNS, ("", ""), look);
    let height = usize::from(area.height.saturating_sub(area::LIST_HEAD_ROWS));
    for (row, place) in model.settings_list.shown(shown.len(), height).enumerate() {
        let setting = shown[place];
        let y = area.y + area::LIST_HEAD_ROWS + row as u16;
        paint::choose(buffer, area, y, place == model.settings_list.cursor, false, look);
        let (origin, tone) = match setting.origin {
            SettingOrigin::Default => ("default", Tone::Faint),
            SettingOrigin::File => ("file", Tone::Plain),
            SettingOrigin::Credential => ("credential", Tone::Plain),
            SettingOrigin::Settings => ("API", Tone::Accent),
        };
        let text = |text: &str, tone| Line::from(paint::span(look, text, tone));
        let value_tone = if setting.origin == SettingOrigin::Default { Tone::Dim } else { Tone::Plain };
        let cells = [
            text(&setting.key, value_tone),
            text(&setting.value, value_tone),
            text(origin, tone),
            text(setting.place.as_deref().unwrap_or(""), Tone::Dim),
        ];
        paint::row(buffer, Rect { y, height: 1, ..table }, &COLUMNS, &widths, &cells, look);
    }
}
