//! What surrounds every screen: header, tabs, banner, footer, and what is said in passing.

use ironwake_api::HealthState;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::{area, first, paint};
use crate::bindings::{self, Action, Binding, Context};
use crate::human;
use crate::look::{Look, Tone};
use crate::model::overlay::Overlay;
use crate::model::wizard::Stage;
use crate::model::{Link, Model, Screen};

/// What is shown of who has logged in.
const WHO_COLUMNS_MAX: usize = 32;
/// What is said in passing is no wider.
const TOAST_COLUMNS_MAX: u16 = 72;
/// Lines at the bottom of the steps of a rebuild, where values and names are typed.
const TYPED_ROWS: u16 = 3;
/// Lines of one thing that is said.
const TOAST_LINES_MAX: usize = 6;

/// Header, tabs, rule and banner.
pub fn top(model: &Model, buffer: &mut Buffer) {
    header(model, buffer);
    match model.screen() {
        Screen::First => first::title(model, buffer),
        _ => tabs(model, buffer),
    }
    let look = model.setup.look;
    let mut y = area::TOP_ROWS;
    let mut banner = |text: &str, tone| {
        paint::put(buffer, 0, y, model.setup.columns, &paint::line(look, [(text, tone)]), look);
        y += 1;
    };
    if let Link::Lost { why, since, retry_at } = &model.link {
        let again = match retry_at.saturating_sub(model.now).div_ceil(1000) {
            0 => "trying again".to_owned(),
            secs => format!("again in {secs} s"),
        };
        let symbols = model.setup.look.symbols();
        let lost = human::duration(model.now.saturating_sub(*since) / 1000 * 1000);
        let text = format!(
            " {} The daemon does not answer, {again} {} gone for {lost} {} {why}",
            symbols.bad, symbols.dot, symbols.dot
        );
        banner(&text, Tone::Bad);
    }
    if let Some(change) = model.own.waiting(model.now) {
        let symbols = look.symbols();
        let secs = change.confirm_by.saturating_sub(model.now).div_ceil(1000);
        let keep = match &change.token {
            Some(token) => format!(
                "Y keeps it {} where this console is cut off: ironwake system confirm {token}",
                symbols.dot
            ),
            None => "who changed it can keep it".into(),
        };
        let text = format!(
            " {} {} has {}, and goes back in {secs} s {} {keep}",
            symbols.warn, change.interface, change.to, symbols.dot
        );
        banner(&text, Tone::Warn);
    }
}

fn header(model: &Model, buffer: &mut Buffer) {
    let look = model.setup.look;
    let symbols = look.symbols();
    let columns = model.setup.columns;
    let mut left = vec![
        paint::span(look, format!(" {} ", symbols.mark), Tone::Accent),
        paint::span(look, "Ironwake", Tone::Strong),
        paint::span(look, format!("  {}", model.setup.name), Tone::Dim),
    ];
    left.extend(who(model));
    let (link_tone, link) = match model.link {
        Link::Connecting => (Tone::Dim, "connecting"),
        Link::Live => (Tone::Ok, "live"),
        Link::Lost { .. } => (Tone::Bad, "lost"),
    };
    let link_symbol = match model.link {
        Link::Connecting => symbols.idle,
        Link::Live => symbols.ok,
        Link::Lost { .. } => symbols.bad,
    };
    let right = Line::from(vec![
        paint::span(look, format!("{} UTC  ", human::clock(model.now)), Tone::Dim),
        paint::span(look, link_symbol, link_tone),
        paint::span(look, format!(" {link} "), link_tone),
    ]);
    let (state, words) = model.worst();
    let (tone, symbol, word) = match (&model.health, state) {
        (None, _) => (Tone::Dim, symbols.idle, ""),
        (_, HealthState::Ok) => (Tone::Ok, symbols.ok, "healthy"),
        (_, HealthState::Degraded) => (Tone::Warn, symbols.warn, "degraded"),
        (_, HealthState::Failed) => (Tone::Bad, symbols.bad, "failing"),
    };
    if model.health.is_some() {
        left.push(paint::span(look, format!("   {symbol} {word}"), tone));
        left.push(paint::span(
            look,
            if words.is_empty() { String::new() } else { format!("  {words}") },
            Tone::Dim,
        ));
    }
    let room = columns.saturating_sub(right.width() as u16 + 2);
    paint::put(buffer, 0, 0, room, &Line::from(left), look);
    paint::put(buffer, columns.saturating_sub(right.width() as u16), 0, columns, &right, look);
}

/// Who has logged in, where people log in at all.
fn who(model: &Model) -> Option<Span<'static>> {
    let look = model.setup.look;
    if model.access.is_locked() {
        return Some(paint::span(look, format!("   {} locked", look.symbols().lock), Tone::Warn));
    }
    let name = model.access.whoami.as_ref().filter(|_| model.access.is_in_session())?.name.as_deref()?;
    let name = human::fit(name, WHO_COLUMNS_MAX, look.symbols().cut);
    Some(paint::span(look, format!("   {name}"), Tone::Accent))
}

/// The title of a tab with what there is of it.
fn tab_title(model: &Model, place: usize, tab: Screen) -> [String; 3] {
    let count = match tab {
        Screen::Machines if model.fleet.loaded => Some(model.fleet.rows.len()),
        Screen::Operations => Some(model.works.running()).filter(|running| *running > 0),
        _ => None,
    };
    let wide = model.setup.columns >= 90;
    let title = if wide { tab.title() } else { tab.title().split(' ').next().unwrap_or_default() };
    [(place + 1).to_string(), title.to_owned(), count.map(human::grouped).unwrap_or_default()]
}

/// Columns of a tab with what is beside it.
pub fn tab_width(model: &Model, place: usize, tab: Screen) -> u16 {
    let [number, title, count] = tab_title(model, place, tab);
    let gap = if model.setup.columns >= 90 { 3 } else { 2 };
    (number.width() + 1 + title.width() + if count.is_empty() { 0 } else { count.width() + 1 } + gap) as u16
}

fn tabs(model: &Model, buffer: &mut Buffer) {
    let look = model.setup.look;
    let symbols = look.symbols();
    let columns = model.setup.columns;
    paint::fill(buffer, 0, area::TABS_ROW + 1, columns, symbols.rule, look.style(Tone::Faint));
    let mut x = 1;
    for (place, tab) in Screen::TABS.into_iter().enumerate() {
        let [number, title, count] = tab_title(model, place, tab);
        let open = model.tab() == tab;
        let (number_tone, title_tone) =
            if open { (Tone::Accent, Tone::Strong) } else { (Tone::Faint, Tone::Dim) };
        let count_shown = if count.is_empty() { String::new() } else { format!(" {count}") };
        let line = paint::line(
            look,
            [
                (&number, number_tone),
                (" ", Tone::Plain),
                (&title, title_tone),
                (&count_shown, if tab == Screen::Operations { Tone::Busy } else { Tone::Dim }),
            ],
        );
        let width = line.width() as u16;
        paint::put(buffer, x, area::TABS_ROW, columns.saturating_sub(x), &line, look);
        if open {
            paint::fill(buffer, x, area::TABS_ROW + 1, width, symbols.heavy, look.style(Tone::Accent));
        }
        x += tab_width(model, place, tab);
    }
}

/// A key in the footer.
#[derive(Debug, Clone, Copy)]
pub struct Hint {
    /// Its first column.
    pub x: u16,
    /// Its columns.
    pub columns: u16,
    /// What it stands for.
    pub binding: &'static Binding,
}

/// Columns of a search that is typed in the footer.
pub const SEARCH_COLUMNS: u16 = 50;
/// Between hints.
const HINT_GAP: u16 = 2;

/// What a key does here, in a word; nothing where it does nothing. Of the steps of a rebuild only the values have choices, and the
/// last one arms.
fn hint(model: &Model, binding: &Binding) -> &'static str {
    let wizard = model.wizard.as_ref().filter(|_| binding.context == Context::Rebuild);
    match (wizard.map(|wizard| wizard.stage), binding.action) {
        (Some(Stage::Confirm), Action::Next) => "arm",
        (Some(Stage::Profile | Stage::Disk | Stage::Confirm), Action::Choose) => "",
        _ => binding.hint,
    }
}

/// The keys that count here, as many as fit; at the right what is the same everywhere.
pub fn hints(model: &Model) -> Vec<Hint> {
    let columns = model.setup.columns;
    let contexts = model.contexts();
    let is_here = |binding: &Binding| binding.action != Action::GoFirst || model.needs_set_up;
    let hinted = |context| {
        bindings::of(context).filter(move |binding| !hint(model, binding).is_empty() && is_here(binding))
    };
    let width = |binding: &Binding| (binding.keys[0].width() + 1 + hint(model, binding).width()) as u16;
    let everywhere: Vec<&'static Binding> =
        contexts.iter().skip(1).flat_map(|context| hinted(*context)).collect();
    let right: u16 = everywhere.iter().map(|binding| width(binding) + HINT_GAP).sum();
    let mut hints = Vec::new();
    let mut x = columns.saturating_sub(right);
    for binding in everywhere {
        hints.push(Hint { x, columns: width(binding), binding });
        x += width(binding) + HINT_GAP;
    }
    let end = columns.saturating_sub(right);
    let mut x = 1 + marked(model).width() as u16;
    if matches!(model.overlay, Some(Overlay::Search)) {
        x = SEARCH_COLUMNS.min(columns) + 1;
    }
    for binding in contexts.iter().take(1).flat_map(|context| hinted(*context)) {
        if x + width(binding) > end {
            break;
        }
        hints.push(Hint { x, columns: width(binding), binding });
        x += width(binding) + HINT_GAP;
    }
    hints
}

/// How many machines are marked, where that counts.
fn marked(model: &Model) -> String {
    let marked = model.fleet.marked.len();
    if marked == 0 || model.screen() != Screen::Machines || model.overlay.is_some() {
        return String::new();
    }
    format!("{} marked  ", human::grouped(marked))
}

/// Paints the keys that count here.
pub fn footer(model: &Model, buffer: &mut Buffer) {
    let look = model.setup.look;
    let (columns, y) = (model.setup.columns, model.setup.rows.saturating_sub(1));
    paint::put(buffer, 1, y, columns, &paint::line(look, [(&marked(model), Tone::Accent)]), look);
    for hint in hints(model) {
        let text = format!(" {}", self::hint(model, hint.binding));
        let line = paint::line(look, [(hint.binding.keys[0], Tone::Accent), (&text, Tone::Dim)]);
        paint::put(buffer, hint.x, y, hint.columns, &line, look);
    }
}

/// What is said in passing, above the footer at the right.
pub fn toasts(model: &Model, buffer: &mut Buffer) {
    let look = model.setup.look;
    let symbols = look.symbols();
    // Where a name is typed at the bottom, that line is not to be covered.
    let kept = if model.screen() == Screen::Rebuild { TYPED_ROWS } else { 0 };
    let mut bottom = model.setup.rows.saturating_sub(1 + kept);
    for toast in model.toasts.0.iter().rev() {
        let width = TOAST_COLUMNS_MAX.min(model.setup.columns.saturating_sub(2));
        let room = usize::from(width.saturating_sub(4));
        let symbol = match toast.tone {
            Tone::Ok => symbols.ok,
            Tone::Warn => symbols.warn,
            _ => symbols.bad,
        };
        let mut lines = vec![Line::from(vec![
            paint::span(look, format!("{symbol} "), toast.tone),
            paint::span(look, human::fit(&toast.what, room - 2, symbols.cut), Tone::Strong),
        ])];
        for why in toast.why.iter().filter(|why| !why.is_empty()) {
            let wrapped = human::wrap(why, room - 2);
            lines.extend(
                wrapped
                    .into_iter()
                    .map(|text| paint::line(look, [("  ", Tone::Plain), (&text, Tone::Plain)])),
            );
        }
        lines.truncate(TOAST_LINES_MAX);
        let widest = lines.iter().map(Line::width).max().unwrap_or(0) as u16;
        let height = lines.len() as u16;
        let Some(y) = bottom.checked_sub(height).filter(|y| *y > area::TABS_ROW + 1) else { return };
        let rect = Rect { x: model.setup.columns - widest - 4, y, width: widest + 4, height };
        clear(buffer, rect, look);
        paint::lines(buffer, Rect { x: rect.x + 2, width: widest + 1, ..rect }, &lines, 0, look);
        for y in rect.y..rect.bottom() {
            paint::put(buffer, rect.x, y, 1, &paint::line(look, [(symbols.cursor, toast.tone)]), look);
        }
        bottom = y.saturating_sub(1);
    }
}

/// Empties a part of the screen for what lies above it.
pub fn clear(buffer: &mut Buffer, rect: Rect, look: Look) {
    let rect = rect.intersection(buffer.area);
    for y in rect.y..rect.bottom() {
        for x in rect.x..rect.right() {
            buffer[(x, y)].reset();
        }
    }
    buffer.set_style(rect, look.raised());
}

/// Where a box lies in the middle of the screen.
pub fn dialog_place(model: &Model, width: u16, height: u16) -> Rect {
    let (columns, rows) = (model.setup.columns, model.setup.rows);
    let (width, height) = (width.min(columns.saturating_sub(2)), height.min(rows.saturating_sub(3)));
    Rect { x: (columns - width) / 2, y: (rows - height) / 3, width, height }
}

/// The room in a box.
pub fn dialog_inner(rect: Rect) -> Rect {
    let (width, height) = (rect.width.saturating_sub(4), rect.height.saturating_sub(2));
    Rect { x: rect.x + 2, y: rect.y + 1, width, height }
}

/// A box in the middle of the screen; gives the room in it.
pub fn dialog(model: &Model, buffer: &mut Buffer, title: &str, width: u16, height: u16, tone: Tone) -> Rect {
    let look = model.setup.look;
    let rect = dialog_place(model, width, height);
    clear(buffer, rect, look);
    let set = look.symbols().boxes;
    let style = look.style(tone).patch(look.raised());
    paint::fill(buffer, rect.x + 1, rect.y, rect.width - 2, set.horizontal_top, style);
    paint::fill(buffer, rect.x + 1, rect.bottom() - 1, rect.width - 2, set.horizontal_bottom, style);
    for y in rect.y + 1..rect.bottom() - 1 {
        paint::fill(buffer, rect.x, y, 1, set.vertical_left, style);
        paint::fill(buffer, rect.right() - 1, y, 1, set.vertical_right, style);
    }
    for (x, y, corner) in [
        (rect.x, rect.y, set.top_left),
        (rect.right() - 1, rect.y, set.top_right),
        (rect.x, rect.bottom() - 1, set.bottom_left),
        (rect.right() - 1, rect.bottom() - 1, set.bottom_right),
    ] {
        paint::fill(buffer, x, y, 1, corner, style);
    }
    let title = format!(" {title} ");
    paint::put(
        buffer,
        rect.x + 2,
        rect.y,
        rect.width - 4,
        &paint::line(look, [(&title, Tone::Strong)]),
        look,
    );
    dialog_inner(rect)
}
