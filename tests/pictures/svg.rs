//! A screen of a terminal as SVG: text stays text, each run of one style at its place and of its width, whatever the font.

use std::fmt::Write as _;

/// Of one character, in units of the picture; the shape of most fonts for terminals.
const CELL: (f64, f64) = (8.4, 17.0);
/// Around the screen.
const MARGIN: f64 = 14.0;
/// Above the screen: the bar of a window.
const BAR: f64 = 26.0;
const FONT: &str = "ui-monospace,'JetBrains Mono','DejaVu Sans Mono',Menlo,Consolas,monospace";
const BACKGROUND: &str = "#12161d";
const FOREGROUND: &str = "#d5dae3";

/// How a character looks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Style {
    foreground: Option<String>,
    background: Option<String>,
    bold: bool,
    dim: bool,
    reversed: bool,
}

/// A piece of a row in one style: its first column, and its text.
struct Run {
    column: usize,
    text: String,
    style: Style,
}

/// The picture of a screen as tmux captures it with its colours.
pub fn picture(capture: &str, columns: usize, rows: usize, title: &str) -> String {
    let (width, height) = (columns as f64 * CELL.0, rows as f64 * CELL.1);
    let (whole, tall) = (width + 2.0 * MARGIN, height + 2.0 * MARGIN + BAR);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole:.0} {tall:.0}\" width=\"{whole:.0}\" height=\"{tall:.0}\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"9\" fill=\"{BACKGROUND}\"/>\n",
        escaped(title)
    );
    for (place, colour) in ["#ea6f6f", "#e5b567", "#7fc98a"].iter().enumerate() {
        let x = MARGIN + 6.0 + place as f64 * 18.0;
        let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"17\" r=\"5.5\" fill=\"{colour}\"/>");
    }
    let _ = writeln!(
        svg,
        "<g font-family=\"{FONT}\" font-size=\"14\" fill=\"{FOREGROUND}\" xml:space=\"preserve\" transform=\"translate({MARGIN} {})\">",
        MARGIN + BAR
    );
    for (row, line) in capture.lines().take(rows).enumerate() {
        for run in runs(line) {
            write_run(&mut svg, row, &run);
        }
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

fn write_run(svg: &mut String, row: usize, run: &Run) {
    let Style { foreground, background, bold, dim, reversed } = &run.style;
    let (mut fore, mut back) = (foreground.as_deref(), background.as_deref());
    if *reversed {
        (fore, back) = (back.or(Some(BACKGROUND)), fore.or(Some(FOREGROUND)));
    }
    let columns = run.text.chars().count() as f64;
    let (x, y) = (run.column as f64 * CELL.0, row as f64 * CELL.1);
    if let Some(back) = back {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{back}\"/>",
            columns * CELL.0,
            CELL.1
        );
    }
    let text = run.text.trim_end();
    let lead = text.len() - text.trim_start().len();
    let text = text.trim_start();
    if text.is_empty() {
        return;
    }
    let (x, columns) = (x + lead as f64 * CELL.0, text.chars().count() as f64);
    let fill = fore.map(|colour| format!(" fill=\"{colour}\"")).unwrap_or_default();
    let weight = if *bold { " font-weight=\"bold\"" } else { "" };
    let fade = if *dim { " opacity=\".6\"" } else { "" };
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{:.1}\"{fill}{weight}{fade}>{}</text>",
        y + 13.0,
        columns * CELL.0,
        escaped(text)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The runs of a line with its escape sequences (ECMA-48, SGR); spaces in the background of the screen are in none.
fn runs(line: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let (mut style, mut column) = (Style::default(), 0);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            let sequence: String = chars.by_ref().skip(1).take_while(|c| *c != 'm').collect();
            style = styled(style, &sequence);
            continue;
        }
        match runs.last_mut() {
            // Two spaces part what stands in columns of its own.
            Some(run)
                if run.style == style
                    && !(c != ' ' && run.text.ends_with("  ") && style.background.is_none()) =>
            {
                run.text.push(c);
            }
            _ => runs.push(Run { column, text: c.into(), style: style.clone() }),
        }
        column += 1;
    }
    runs
}

fn styled(mut style: Style, sequence: &str) -> Style {
    let mut numbers = sequence.split([';', ':']).map(|number| number.parse::<u32>().unwrap_or(0));
    while let Some(number) = numbers.next() {
        match number {
            0 => style = Style::default(),
            1 => style.bold = true,
            2 => style.dim = true,
            7 => style.reversed = true,
            22 => (style.bold, style.dim) = (false, false),
            27 => style.reversed = false,
            38 | 48 => {
                let colour = match numbers.next() {
                    Some(2) => {
                        let mut part = || numbers.next().unwrap_or(0).min(255);
                        Some(format!("#{:02x}{:02x}{:02x}", part(), part(), part()))
                    }
                    _ => numbers.next().map(indexed),
                };
                if number == 38 { style.foreground = colour } else { style.background = colour }
            }
            39 => style.foreground = None,
            49 => style.background = None,
            30..=37 => style.foreground = Some(indexed(number - 30)),
            90..=97 => style.foreground = Some(indexed(number - 82)),
            40..=47 => style.background = Some(indexed(number - 40)),
            _ => {}
        }
    }
    style
}

/// One of the 256 colours, as xterm has them.
fn indexed(index: u32) -> String {
    const FIRST: [&str; 16] = [
        "#1b212b", "#ea6f6f", "#7fc98a", "#e5b567", "#5fb3d9", "#b48ead", "#5fb3d9", "#d5dae3", "#495162",
        "#ea6f6f", "#7fc98a", "#e5b567", "#93a8ff", "#b48ead", "#5fb3d9", "#ffffff",
    ];
    let level = |step: u32| if step == 0 { 0 } else { 55 + step * 40 };
    match index {
        0..16 => FIRST[index as usize].to_owned(),
        16..232 => {
            let cube = index - 16;
            format!("#{:02x}{:02x}{:02x}", level(cube / 36), level(cube / 6 % 6), level(cube % 6))
        }
        _ => {
            let grey = 8 + (index.min(255) - 232) * 10;
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    }
}
