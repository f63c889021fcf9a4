//! The tail of events.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::area;
use super::paint::{self, Column, column};
use crate::human;
use crate::look::{Look, Tone};
use crate::model::Model;
use crate::model::tail::Level;
use crate::model::telling;

const COLUMNS: [Column; 4] = [
    column("time", 12, 12, 0),
    column("machine", 14, 22, 1),
    column("what", 40, 160, 2),
    column("by", 8, 14, 3),
];

/// The symbol of an event, by how it is said.
pub fn symbol(look: Look, tone: Tone) -> &'static str {
    let symbols = look.symbols();
    match tone {
        Tone::Bad => symbols.bad,
        Tone::Warn => symbols.warn,
        Tone::Ok => symbols.ok,
        Tone::Accent => symbols.unknown,
        _ => symbols.dot,
    }
}

/// Paints the tail.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let tail = &model.tail;
    let symbols = look.symbols();
    let (lead, tone, word) =
        if tail.held { (symbols.warn, Tone::Warn, "held") } else { (symbols.ok, Tone::Ok, "following") };
    let mut left = vec![Span::raw("  "), paint::span(look, format!("{lead} {word}   "), tone)];
    left.push(paint::span(
        look,
        format!("{} of {} events   ", human::grouped(tail.shown.len()), human::grouped(tail.events.len())),
        Tone::Dim,
    ));
    let mut narrowed = Vec::new();
    narrowed.extend((tail.level != Level::All).then(|| tail.level.word().to_owned()));
    narrowed.extend((!tail.scope.about.is_empty()).then(|| {
        let words: Vec<&str> = tail.scope.about.iter().map(|about| about.word()).collect();
        words.join(", ")
    }));
    narrowed.extend(tail.scope.machine.as_ref().map(|id| model.fleet.name(id)));
    narrowed.extend((!tail.search.is_empty()).then(|| format!("\"{}\"", tail.search.text())));
    left.push(paint::span(look, narrowed.join(" + "), Tone::Accent));
    paint::put(buffer, area.x, area.y, area.width, &Line::from(left), look);
    let body = area::below_head(area);
    if tail.shown.is_empty() {
        let (what, next): (&str, &[&str]) = match (tail.loaded, tail.events.is_empty()) {
            (false, true) => ("Asking the daemon …", &[]),
            (_, true) => (
                "Nothing has happened yet",
                &["Everything that machines, operators and the daemon do appears here as it happens."],
            ),
            (_, false) => ("No event fits", &["esc shows all of them again"]),
        };
        return paint::empty(buffer, body, what, next, look);
    }
    let (table, widths) = paint::table(buffer, area, &COLUMNS, ("", ""), look);
    for (row, place) in tail.list.shown(tail.shown.len(), usize::from(body.height)).enumerate() {
        let event = &tail.events[tail.shown[place]];
        let y = body.y + row as u16;
        paint::choose(buffer, area, y, place == tail.list.cursor, false, look);
        let (tone, text) = telling::event(&event.kind);
        let machine = event.machine.as_deref().map(|id| model.fleet.name(id)).unwrap_or_default();
        let text_tone = if matches!(tone, Tone::Bad | Tone::Warn) { tone } else { Tone::Plain };
        let cells = [
            Line::from(paint::span(look, human::when(event.at, model.now), Tone::Dim)),
            Line::from(paint::span(look, machine, Tone::Plain)),
            paint::line(
                look,
                [
                    (symbol(look, tone), if tone == Tone::Plain { Tone::Faint } else { tone }),
                    (" ", tone),
                    (&text, text_tone),
                ],
            ),
            Line::from(paint::span(look, telling::actor(&event.actor), Tone::Dim)),
        ];
        paint::row(buffer, Rect { y, height: 1, ..table }, &COLUMNS, &widths, &cells, look);
    }
}
