//! The list of steps: where one is, what is done, and what is wrong.

use ironwake_api::DhcpChoice;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::paint;
use crate::human;
use crate::look::Tone;
use crate::model::Model;
use crate::model::first::{Field, First, How, Permit, Phase, Stage};

/// Columns of a symbol with what is beside it: in ASCII some symbols are two columns wide.
const SYMBOL_COLUMNS: u16 = 3;

/// Rows of one step: what was chosen stands below it, where there is room.
pub fn rows(model: &Model, rect: Rect) -> u16 {
    let fits = usize::from(rect.height) > 2 * Stage::ALL.len();
    if fits && model.setup.columns >= super::WIDE_FROM_COLUMNS { 2 } else { 1 }
}

/// Paints it, with a rail at its right.
pub fn show(model: &Model, first: &First, buffer: &mut Buffer, rect: Rect) {
    let look = model.setup.look;
    let symbols = look.symbols();
    let rows = rows(model, rect);
    for y in rect.y..rect.bottom() {
        paint::fill(buffer, rect.right() - 1, y, 1, symbols.rail, look.style(Tone::Faint));
    }
    for (place, stage) in Stage::ALL.into_iter().enumerate() {
        let y = rect.y + 1 + place as u16 * rows;
        if y >= rect.bottom() {
            return;
        }
        let is_open = first.phase == Phase::Filling && first.stage == stage;
        let (symbol, tone) = state(first, stage);
        let symbol = match symbol {
            State::Wrong => symbols.bad,
            State::LeftOut => symbols.none,
            State::Done => symbols.ok,
            State::ToCome => symbols.unknown,
        };
        if is_open {
            let row = Rect { x: rect.x, y, width: rect.width - 1, height: 1 };
            buffer.set_style(row, look.chosen());
            paint::put(buffer, rect.x, y, 1, &paint::line(look, [(symbols.cursor, Tone::Accent)]), look);
        }
        paint::put(buffer, rect.x + 1, y, 1, &paint::line(look, [(symbol, tone)]), look);
        let name = match (is_open, tone) {
            (true, _) => Tone::Strong,
            (false, Tone::Faint | Tone::Dim) => Tone::Dim,
            _ => Tone::Plain,
        };
        let room = rect.width.saturating_sub(SYMBOL_COLUMNS + 1);
        paint::put(
            buffer,
            rect.x + SYMBOL_COLUMNS,
            y,
            room,
            &paint::line(look, [(stage.title(), name)]),
            look,
        );
        let value = value(first, stage);
        if rows > 1 && !value.is_empty() {
            let value = human::fit(&value, usize::from(room.saturating_sub(1)), symbols.cut);
            let line = paint::line(look, [(&value, Tone::Dim)]);
            paint::put(buffer, rect.x + SYMBOL_COLUMNS + 1, y + 1, room.saturating_sub(1), &line, look);
        }
    }
}

enum State {
    Wrong,
    LeftOut,
    Done,
    ToCome,
}

fn state(first: &First, stage: Stage) -> (State, Tone) {
    let seen = first.seen.contains(&stage);
    let permitted = matches!(first.permit, Permit::Given { .. });
    match stage {
        _ if first.left_out(stage).is_some() => (State::LeftOut, Tone::Faint),
        _ if seen && !first.mistakes(stage).is_empty() => (State::Wrong, Tone::Bad),
        Stage::Password if !permitted && first.stage != Stage::Password && first.phase == Phase::Filling => {
            (State::Wrong, Tone::Bad)
        }
        Stage::Summary if first.phase == Phase::Filling => (State::ToCome, Tone::Dim),
        _ if seen && (first.stage != stage || first.phase != Phase::Filling) => (State::Done, Tone::Ok),
        _ => (State::ToCome, Tone::Dim),
    }
}

/// What was chosen in a step, short.
pub fn value(first: &First, stage: Stage) -> String {
    if first.left_out(stage).is_some() {
        return if stage == Stage::Range { String::new() } else { "not on this host".into() };
    }
    if !first.seen.contains(&stage) {
        return String::new();
    }
    match stage {
        Stage::Password => match first.permit {
            Permit::Given { anew: true } if !first.has_set => "not set".into(),
            Permit::Given { .. } => "set".into(),
            Permit::Login => "not logged in".into(),
            Permit::First | Permit::Elsewhere => String::new(),
        },
        Stage::Keyboard => first.keyboard.chosen.clone(),
        Stage::Interface => first.served().map_or_else(String::new, |served| served.name.clone()),
        Stage::Address => match first.how {
            How::Keep => first.address().map_or_else(String::new, |own| format!("{own}, as it is")),
            How::Dhcp => "by DHCP".into(),
            How::Static => first.text(Field::Address),
        },
        Stage::Dhcp => mode(first.dhcp).into(),
        Stage::Range => first.text(Field::Range),
        Stage::Name => first.text(Field::Name),
        Stage::Time => first.zone.chosen.clone(),
        Stage::Keys => match first.keys.listed.len() {
            0 => "none".into(),
            many => format!("{many} listed"),
        },
        Stage::Summary => String::new(),
    }
}

/// A way of serving DHCP, in a few words.
pub fn mode(mode: DhcpChoice) -> &'static str {
    match mode {
        DhcpChoice::Proxy => "proxy, beside another server",
        DhcpChoice::Server => "server, gives addresses",
        DhcpChoice::Off => "off",
    }
}
