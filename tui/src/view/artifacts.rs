//! Artifacts and builds: what is here, what comes, what is built, how large it is.

use ironwake_api::{Artifact, ArtifactState, ArtifactUsage};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::area;
use super::paint::{self, Column, column, right};
use crate::human;
use crate::look::{Look, Tone};
use crate::model::{Model, condition, telling};

const COLUMNS: [Column; 7] = [
    column("name", 22, 44, 0),
    column("kind", 9, 9, 4),
    column("state", 12, 12, 1),
    right("size", 10, 10, 2),
    column("progress", 30, 80, 3),
    right("used", 6, 6, 5),
    column("sha256", 12, 12, 6),
];
/// Columns of a bar.
const BAR_COLUMNS_MAX: usize = 24;
/// Columns of the bar of all imports.
const USAGE_COLUMNS: usize = 12;
/// Lines of a build's log below the list.
const LOG_LINES: u16 = 6;

/// Paints the list, and what is known of the chosen one below it where there is room.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let stock = &model.stock;
    let shown = stock.shown();
    let count = human::count(stock.artifacts.len(), "artifact");
    let mut left = vec![paint::span(look, format!("  {count}   "), Tone::Plain)];
    left.extend(stock.usage.iter().flat_map(|usage| imports(look, usage)));
    if !stock.search.is_empty() {
        left.push(paint::span(look, format!("\"{}\"", stock.search.text()), Tone::Accent));
    }
    paint::put(buffer, area.x, area.y, area.width, &Line::from(left), look);
    let body = area::below_head(area);
    if shown.is_empty() {
        let (what, next): (&str, &[&str]) = match (stock.loaded, stock.artifacts.is_empty()) {
            (false, _) => ("Asking the daemon …", &[]),
            (true, true) => {
                ("Nothing is here yet", &["`ironwake artifact import NAME FILE` brings an image."])
            }
            (true, false) => ("No artifact fits", &["esc shows all of them again"]),
        };
        return paint::empty(buffer, body, what, next, look);
    }
    let (table, widths) = paint::table(buffer, area, &COLUMNS, ("", ""), look);
    let mut bottom = body.y;
    for (row, place) in stock.list.shown(shown.len(), usize::from(body.height)).enumerate() {
        let artifact = shown[place];
        let y = body.y + row as u16;
        bottom = y + 1;
        paint::choose(buffer, area, y, place == stock.list.cursor, false, look);
        paint::row(
            buffer,
            Rect { y, height: 1, ..table },
            &COLUMNS,
            &widths,
            &cells(model, artifact, usize::from(widths[4])),
            look,
        );
    }
    if let Some(artifact) = stock.chosen().filter(|_| bottom + LOG_LINES < body.bottom()) {
        let about = Rect {
            x: area.x + 2,
            y: bottom + 1,
            width: area.width.saturating_sub(3),
            height: body.bottom() - bottom - 1,
        };
        paint::lines(buffer, about, &details(model, artifact, usize::from(about.width)), 0, look);
    }
}

/// How much imports take of what they may, and what holds them.
fn imports(look: Look, usage: &ArtifactUsage) -> Vec<Span<'static>> {
    /// From here on the next import makes others go.
    const FULL_PERCENT: u64 = 90;
    let percent = (usage.bytes.saturating_mul(100)).checked_div(usage.bytes_max).unwrap_or(0).min(100);
    let tone = if percent >= FULL_PERCENT { Tone::Warn } else { Tone::Accent };
    let mut spans = paint::bar(look, USAGE_COLUMNS, Some(percent as u8), 0, tone);
    let of = format!(" {} of {}", human::size(usage.bytes), human::size(usage.bytes_max));
    spans.push(paint::span(look, of, Tone::Plain));
    let parts = [
        (usage.pinned_bytes, "pinned"),
        (usage.needed_bytes, "needed"),
        (usage.evictable_bytes, "make room"),
    ];
    let parts = parts.into_iter().filter(|(bytes, _)| *bytes > 0);
    let parts: Vec<String> = parts.map(|(bytes, what)| format!("{} {what}", human::size(bytes))).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    spans.push(paint::span(
        look,
        format!("{parts}   boot files {}   ", human::size(usage.boot_bytes)),
        Tone::Dim,
    ));
    spans
}

fn cells(model: &Model, artifact: &Artifact, columns: usize) -> [Line<'static>; 7] {
    let look = model.setup.look;
    let symbols = look.symbols();
    let text = |text: &str, tone| Line::from(paint::span(look, text, tone));
    let build = model.stock.build(&artifact.name).filter(|build| build.ended_at.is_none());
    let (tone, word) = match (&artifact.download, build) {
        (Some(download), _) => (Tone::Busy, download.step.name()),
        (None, Some(build)) => telling::artifact_state(build.state),
        (None, None) => telling::artifact_state(artifact.state),
    };
    let symbol = match tone {
        Tone::Ok => symbols.ok,
        Tone::Busy => condition::busy(symbols, model.beat()),
        Tone::Bad => symbols.bad,
        Tone::Warn => symbols.warn,
        _ => symbols.idle,
    };
    let pin = if artifact.pinned { format!(" {}", symbols.pin) } else { String::new() };
    let used = artifact.used_at.map(|at| human::age(at, model.now));
    [
        paint::line(look, [(&artifact.name, Tone::Strong), (&pin, Tone::Accent)]),
        text(artifact.kind.name(), Tone::Dim),
        paint::line(look, [(symbol, tone), (" ", tone), (word, tone)]),
        text(&artifact.size.map(human::size).unwrap_or_default(), Tone::Plain),
        progress(model, artifact, columns),
        text(&used.unwrap_or_default(), Tone::Dim),
        text(artifact.sha256.as_deref().map_or("", |digest| &digest[..digest.len().min(12)]), Tone::Faint),
    ]
}

fn progress(model: &Model, artifact: &Artifact, columns: usize) -> Line<'static> {
    let look = model.setup.look;
    let text = |text: &str, tone| Line::from(paint::span(look, text, tone));
    let bar = |percent: Option<u8>, extras: [String; 2]| {
        let shown = percent.map(|percent| format!(" {percent:>3}%")).unwrap_or_default();
        let mut spans = paint::bar(
            look,
            columns.saturating_sub(shown.len()).min(BAR_COLUMNS_MAX),
            percent,
            model.beat(),
            Tone::Busy,
        );
        spans.push(paint::span(look, shown, Tone::Plain));
        for extra in extras {
            if Line::from(spans.clone()).width() + extra.len() <= columns {
                spans.push(paint::span(look, extra, Tone::Dim));
            }
        }
        Line::from(spans)
    };
    if let Some(download) = &artifact.download {
        if let Some(trouble) = &download.trouble {
            return text(trouble, Tone::Warn);
        }
        let rate = match download.progress.bytes_per_sec {
            0 => String::new(),
            rate => format!("  {}/s", human::size(rate)),
        };
        let left = download
            .secs_left
            .map(|secs| format!("  {} left", human::duration(secs * 1000)))
            .unwrap_or_default();
        return bar(download.percent, [rate, left]);
    }
    if let Some(build) =
        model.stock.build(&artifact.name).filter(|build| build.state == ArtifactState::Working)
    {
        let percent = build.done_bytes.zip(build.total_bytes).filter(|(_, total)| *total > 0);
        let percent =
            percent.map(|(done, total)| (u128::from(done.min(total)) * 100 / u128::from(total)) as u8);
        return bar(percent, [format!("  {}", build.stage.as_deref().unwrap_or("")), String::new()]);
    }
    match (&artifact.error, artifact.needed_by.as_slice()) {
        (Some(error), _) => text(error, Tone::Plain),
        (None, []) => text(artifact.version.as_deref().unwrap_or(""), Tone::Dim),
        (None, needed) => text(&format!("for {}", needed.join(", ")), Tone::Dim),
    }
}

fn details(model: &Model, artifact: &Artifact, columns: usize) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let mut lines = vec![paint::heading(look, &artifact.name, "", columns)];
    // The table cuts it; the label has its own columns.
    let wrapped = artifact.error.iter().flat_map(|error| human::wrap(error, columns.saturating_sub(13)));
    for (row, text) in wrapped.enumerate() {
        lines.push(paint::fact(look, if row == 0 { "failed" } else { "" }, text, Tone::Bad));
    }
    let mut say = |label: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(paint::fact(look, label, value, Tone::Plain));
        }
    };
    say("sha256", artifact.sha256.clone());
    say(
        "from",
        artifact.origin.as_ref().and_then(|origin| origin.url.clone()).or_else(|| artifact.source.clone()),
    );
    say("signed by", artifact.origin.as_ref().and_then(|origin| origin.signed_by.clone()));
    let by = artifact
        .imported_by
        .as_ref()
        .map(|actor| format!(" by {}", telling::actor(actor)))
        .unwrap_or_default();
    say("made", artifact.created_at.map(|at| format!("{}{by}", human::time(at))));
    say("disk", artifact.disk_bytes.map(|bytes| format!("{} when it is written", human::size(bytes))));
    say("fetched as", artifact.path.clone());
    say("pinned", artifact.pinned.then(|| "until it is unpinned".into()));
    say("stays", artifact.undeletable.clone().filter(|_| model.stock.is_import(artifact)));
    if let Some(build) = model.stock.build(&artifact.name) {
        let ended =
            build.ended_at.map(|at| format!(", ended {}", human::ago(at, model.now))).unwrap_or_default();
        say(
            "build",
            Some(format!(
                "ordered {} by {}{ended}",
                human::ago(build.ordered_at, model.now),
                telling::actor(&build.ordered_by)
            )),
        );
        if let Some(error) = &build.error {
            lines.push(paint::fact(look, "failed", error, Tone::Bad));
        }
        lines.extend(
            build
                .log
                .iter()
                .map(|text| Line::from(vec![Span::raw("  "), paint::span(look, text, Tone::Dim)])),
        );
    }
    lines
}
