//! A QR code of where a browser finds something, on the whole screen, to be held before a telephone.

use qrcode::{Color as Module, EcLevel, QrCode};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use unicode_width::UnicodeWidthStr;

use super::{frame, paint};
use crate::look::{Colours, Look, Tone};
use crate::model::Model;
use crate::model::overlay::Code;

/// Light modules around the code, as ISO/IEC 18004 wants them; half as many where there is no room, which readers take.
const QUIET_MODULES: [usize; 2] = [4, 2];
/// Below the code: the URL.
const URL_ROWS: u16 = 1;

/// How modules become cells.
#[derive(Clone, Copy)]
enum Cells {
    /// Two above one another in a cell.
    Halves,
    /// Each in two cells side by side.
    Doubles,
}

/// Paints the code, or the URL alone where it has no room.
pub fn show(model: &Model, code: &Code, buffer: &mut Buffer) {
    let look = model.setup.look;
    let (columns, rows) = (model.setup.columns, model.setup.rows.saturating_sub(1));
    let whole = Rect { x: 0, y: 0, width: columns, height: rows };
    frame::clear(buffer, whole, Look { colours: Colours::None, ..look });
    let url = format!("{}  {}", code.title, code.url);
    let room = Rect { height: rows.saturating_sub(URL_ROWS), ..whole };
    let bottom = match modules(&code.url).and_then(|modules| placed(modules, look, room)) {
        Some((modules, cells, place)) => {
            paint_modules(buffer, &modules, cells, place, look);
            place.bottom()
        }
        None => {
            let next = ["The screen has no room for a QR code of it."];
            paint::empty(buffer, room, "Open this in a browser", &next, look);
            rows.saturating_sub(URL_ROWS)
        }
    };
    let x = columns.saturating_sub(url.width() as u16) / 2;
    paint::put(buffer, x, bottom, columns, &paint::line(look, [(&url, Tone::Strong)]), look);
}

/// Rows of modules, true where dark. The level of correction that needs the fewest: a screen has no scratches.
fn modules(url: &str) -> Option<Vec<Vec<bool>>> {
    let code = QrCode::with_error_correction_level(url, EcLevel::L).ok()?;
    let colours = code.to_colors();
    let row = |row: &[Module]| row.iter().map(|module| *module == Module::Dark).collect();
    Some(colours.chunks(code.width()).map(row).collect())
}

/// The modules with as much quiet around them as has room, and where they come to lie.
fn placed(modules: Vec<Vec<bool>>, look: Look, room: Rect) -> Option<(Vec<Vec<bool>>, Cells, Rect)> {
    let cells = if look.ascii { Cells::Doubles } else { Cells::Halves };
    QUIET_MODULES.into_iter().find_map(|quiet| {
        let side = modules.len() + 2 * quiet;
        let (width, height) = match cells {
            Cells::Halves => (side, side.div_ceil(2)),
            Cells::Doubles => (2 * side, side),
        };
        let (width, height) = (u16::try_from(width).ok()?, u16::try_from(height).ok()?);
        if width > room.width || height > room.height {
            return None;
        }
        let mut quieted = vec![vec![false; side]; side];
        for (y, row) in modules.iter().enumerate() {
            quieted[y + quiet][quiet..quiet + row.len()].copy_from_slice(row);
        }
        let (x, y) = (room.x + (room.width - width) / 2, room.y + (room.height - height) / 2);
        Some((quieted, cells, Rect { x, y, width, height }))
    })
}

/// Dark on light whatever the terminal's own colours are, and even where none are wanted: else nothing reads it.
fn paint_modules(buffer: &mut Buffer, modules: &[Vec<bool>], cells: Cells, place: Rect, look: Look) {
    let (dark, light) = match look.colours {
        Colours::True => (Color::from_u32(0), Color::from_u32(0x00ff_ffff)),
        Colours::Indexed => (Color::Indexed(16), Color::Indexed(231)),
        // The bright white of a background is not one of the sixteen everywhere.
        Colours::None | Colours::Sixteen => (Color::Black, Color::Gray),
    };
    let style = Style::new().fg(dark).bg(light);
    let is_dark = |x: usize, y: usize| modules.get(y).is_some_and(|row| row[x]);
    for y in 0..place.height {
        for x in 0..place.width {
            let (column, row) = (usize::from(x), usize::from(y));
            let cell = &mut buffer[(place.x + x, place.y + y)];
            cell.set_style(style);
            match cells {
                Cells::Halves => {
                    let (above, below) = (is_dark(column, 2 * row), is_dark(column, 2 * row + 1));
                    cell.set_symbol(match (above, below) {
                        (true, true) => "█",
                        (true, false) => "▀",
                        (false, true) => "▄",
                        (false, false) => " ",
                    });
                }
                // Where colours are shown, what is dark is dark all over.
                Cells::Doubles if is_dark(column / 2, row) => drop(cell.set_symbol("#").set_bg(dark)),
                Cells::Doubles => drop(cell.set_symbol(" ")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Setup;

    const SMALL: (u16, u16) = (80, 24);

    /// What a telephone reads in the picture that each cell's colours and glyph make.
    fn photographed(buffer: &Buffer) -> Vec<String> {
        const PIXELS: usize = 8;
        let (columns, rows) = (usize::from(buffer.area.width), usize::from(buffer.area.height));
        // Cells are twice as high as wide.
        let (width, height) = (columns * PIXELS, rows * 2 * PIXELS);
        let dark = |colour: Color| {
            matches!(colour, Color::Black | Color::Indexed(16) | Color::Rgb(0, 0, 0) | Color::Reset)
        };
        let shade = |x: usize, y: usize| {
            let cell = &buffer[((x / PIXELS) as u16, (y / (2 * PIXELS)) as u16)];
            let upper = y % (2 * PIXELS) < PIXELS;
            let inked = match cell.symbol() {
                "█" => true,
                "▀" => upper,
                "▄" => !upper,
                _ => false,
            };
            if dark(if inked { cell.fg } else { cell.bg }) { 0 } else { 255 }
        };
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| shade(x, y));
        let pixels: Vec<u8> = pixels.collect();
        let mut picture =
            rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
        picture.detect_grids().iter().filter_map(|grid| Some(grid.decode().ok()?.1)).collect()
    }

    fn painted(url: &str, (columns, rows): (u16, u16), look: Look) -> Buffer {
        let setup = Setup { name: "boot-1".into(), place: String::new(), look, columns, rows, now: 0 };
        let mut buffer = Buffer::empty(Rect::new(0, 0, columns, rows));
        let code = Code { title: "boot-1".into(), url: url.into() };
        show(&Model::new(setup), &code, &mut buffer);
        buffer
    }

    #[track_caller]
    fn check(url: &str, size: (u16, u16), look: Look) {
        assert_eq!(photographed(&painted(url, size, look)), [url], "{size:?} {look:?}");
    }

    #[test]
    fn what_is_painted_is_read_back() {
        let machine = "https://boot.example.org:8443/machines/0195a000-0000-7000-8000-000000000001";
        for colours in [Colours::None, Colours::Sixteen, Colours::Indexed, Colours::True] {
            check("https://10.0.0.1:8443/", SMALL, Look { colours, ascii: false });
            check(machine, SMALL, Look { colours, ascii: false });
            check(machine, (200, 60), Look { colours, ascii: false });
            check(machine, (200, 60), Look { colours, ascii: true });
        }
    }

    #[test]
    fn without_room_there_is_the_url_alone() {
        let look = Look { colours: Colours::Sixteen, ascii: true };
        let buffer = painted("https://10.0.0.1:8443/", SMALL, look);
        let text: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
        assert!(text.contains("https://10.0.0.1:8443/") && text.contains("no room") && !text.contains("##"));
    }
}
