//! A step as rows: texts, lines that are typed, choices, and at the end a list that scrolls.

use ironwake_api::{DhcpChoice, SetupDhcp, SetupInterface};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::{dialogs, paint};
use super::{about, keys};
use crate::human;
use crate::input::Input;
use crate::list::List;
use crate::look::{Look, Tone};
use crate::model::first::{Field, First, How, MODES, Permit, Stage};
use crate::model::{Model, condition};

/// Columns of the label of a field.
const LABEL_COLUMNS: usize = 21;
/// Columns of an interface's name.
const NAME_COLUMNS: usize = 12;

/// A row.
pub enum Row {
    /// Text.
    Text(Line<'static>),
    /// A line that is typed.
    Typed {
        /// Beside it.
        label: &'static str,
        /// What is typed.
        input: Input,
        /// Whether it is shown as asterisks.
        secret: bool,
        /// Whether the cursor is there.
        focused: bool,
    },
    /// Something that can be chosen.
    Choice {
        /// What it is.
        line: Line<'static>,
        /// Whether the cursor is there.
        focused: bool,
    },
}

/// Names, one of which is chosen, in as many rows as are left.
pub struct Listing {
    /// What is listed.
    pub names: Vec<String>,
    /// The cursor.
    pub list: List,
    /// What is chosen so far.
    pub chosen: String,
}

/// A step.
pub struct Page {
    rows: Vec<Row>,
    list: Option<Listing>,
    /// How it looks.
    pub look: Look,
    /// How wide it is.
    pub columns: usize,
    /// Rows above the screen; where the cursor is, unless told otherwise.
    pub scroll: Option<usize>,
}

impl Page {
    /// An empty one.
    pub fn new(look: Look, body: Rect) -> Self {
        Self { rows: Vec::new(), list: None, look, columns: usize::from(body.width), scroll: None }
    }

    /// Rows above its list.
    pub fn rows_above_list(&self) -> usize {
        if self.list.is_some() { self.rows.len() } else { 0 }
    }

    /// Rows that it has so far.
    pub fn rows_used(&self) -> usize {
        self.rows.len()
    }

    /// An empty row.
    pub fn gap(&mut self) {
        self.rows.push(Row::Text(Line::default()));
    }

    /// A line as it is.
    pub fn line(&mut self, line: Line<'static>) {
        self.rows.push(Row::Text(line));
    }

    /// A text in as many rows as it takes, with `lead` before it.
    pub fn text(&mut self, lead: (&str, Tone), text: &str, tone: Tone) {
        let indent = unicode_width::UnicodeWidthStr::width(lead.0);
        for (row, text) in human::wrap(text, self.columns.saturating_sub(indent)).into_iter().enumerate() {
            let shown = if row == 0 { lead.0.to_owned() } else { " ".repeat(indent) };
            self.line(paint::line(self.look, [(&shown, lead.1), (&text, tone)]));
        }
    }

    /// The same with a symbol of its tone.
    pub fn said(&mut self, symbol: &str, text: &str, tone: Tone) {
        let indent = unicode_width::UnicodeWidthStr::width(symbol) + 1;
        for (row, part) in human::wrap(text, self.columns.saturating_sub(indent)).into_iter().enumerate() {
            let lead = if row == 0 { format!("{symbol} ") } else { " ".repeat(indent) };
            self.line(paint::line(self.look, [(&lead, tone), (&part, Tone::Plain)]));
        }
    }

    /// Something that can be chosen.
    pub fn choice(&mut self, symbol: (&str, Tone), name: &str, rest: &str, focused: bool) {
        let line = paint::line(
            self.look,
            [(symbol.0, symbol.1), (" ", Tone::Plain), (name, Tone::Strong), (rest, Tone::Dim)],
        );
        self.rows.push(Row::Choice { line, focused });
    }

    /// A line that is typed.
    pub fn typed(&mut self, first: &First, field: Field) {
        self.rows.push(Row::Typed {
            label: field.label(),
            input: first.input(field),
            secret: field.is_secret(),
            focused: first.field() == Some(field) && !first.is_asking,
        });
        self.mistakes(first, |mistake| field.is_of(mistake));
    }

    /// What the daemon says against fields.
    fn mistakes(&mut self, first: &First, is_of: impl Fn(&str) -> bool) {
        let wrong: Vec<String> = first
            .mistakes(first.stage)
            .into_iter()
            .filter(|mistake| is_of(&mistake.field))
            .map(|mistake| mistake.message.clone())
            .collect();
        let bad = format!("  {} ", self.look.symbols().bad);
        wrong.iter().for_each(|text| self.text((&bad, Tone::Bad), text, Tone::Bad));
    }

    /// Paints it; where it is longer than the screen, so that the cursor is seen.
    pub fn show(&self, buffer: &mut Buffer, area: Rect, look: Look) {
        let height = usize::from(area.height);
        let focused = self.rows.iter().rposition(|row| {
            matches!(row, Row::Typed { focused: true, .. } | Row::Choice { focused: true, .. })
        });
        // What is said of the field below it is seen, too.
        let scroll = self.scroll.unwrap_or_else(|| focused.map_or(0, |row| (row + 3).saturating_sub(height)));
        for (place, row) in self.rows.iter().skip(scroll).take(height).enumerate() {
            let y = area.y + place as u16;
            match row {
                Row::Text(line) => paint::put(buffer, area.x, y, area.width, line, look),
                Row::Choice { line, focused } => {
                    let row = Rect { x: area.x - 1, width: area.width + 1, ..area };
                    paint::choose(buffer, row, y, *focused, false, look);
                    paint::put(buffer, area.x + 1, y, area.width - 1, line, look);
                }
                Row::Typed { label, input, secret, focused } => {
                    typed(buffer, Rect { y, height: 1, ..area }, label, input, *secret, *focused, look);
                }
            }
        }
        let below = self.rows.len().saturating_sub(scroll + height);
        if below > 0 {
            let more = format!(" {below} more {} ", look.symbols().descending);
            let columns = unicode_width::UnicodeWidthStr::width(more.as_str()) as u16;
            let x = area.right().saturating_sub(columns);
            paint::put(buffer, x, area.bottom() - 1, columns, &paint::line(look, [(&more, Tone::Dim)]), look);
        }
        if let Some(listing) = &self.list {
            let used = self.rows.len().min(height);
            let rest = Rect { y: area.y + used as u16, height: area.height - used as u16, ..area };
            show_list(buffer, rest, listing, look);
        }
    }
}

fn typed(
    buffer: &mut Buffer,
    area: Rect,
    label: &str,
    input: &Input,
    secret: bool,
    focused: bool,
    look: Look,
) {
    let row = Rect { x: area.x - 1, width: area.width + 1, ..area };
    paint::choose(buffer, row, area.y, focused, false, look);
    let label = paint::line(look, [(label, if focused { Tone::Strong } else { Tone::Dim })]);
    paint::put(buffer, area.x + 1, area.y, LABEL_COLUMNS as u16, &label, look);
    let x = area.x + 1 + LABEL_COLUMNS as u16;
    let value = Rect { x, width: area.right().saturating_sub(x), ..area };
    if focused {
        return dialogs::typed(buffer, value, input, secret, look);
    }
    let (text, _) = input.window(usize::from(value.width), secret);
    let shown =
        if text.is_empty() { (look.symbols().none, Tone::Faint) } else { (text.as_str(), Tone::Plain) };
    paint::put(buffer, x, area.y, value.width, &paint::line(look, [shown]), look);
}

fn show_list(buffer: &mut Buffer, area: Rect, listing: &Listing, look: Look) {
    let height = usize::from(area.height);
    let mut list = listing.list;
    list.settle(listing.names.len(), height);
    for (row, place) in list.shown(listing.names.len(), height).enumerate() {
        let name = &listing.names[place];
        let y = area.y + row as u16;
        let line = Rect { x: area.x - 1, width: area.width.min(48) + 1, ..area };
        paint::choose(buffer, line, y, place == list.cursor, false, look);
        let symbol = if *name == listing.chosen { look.symbols().marked } else { " " };
        let line = paint::line(look, [(symbol, Tone::Ok), (" ", Tone::Plain), (name, Tone::Plain)]);
        paint::put(buffer, area.x + 1, y, area.width - 1, &line, look);
    }
    let below = listing.names.len().saturating_sub(list.top + height);
    if below > 0 && area.height > 0 {
        let more = format!("{below} more {}", look.symbols().descending);
        let columns = unicode_width::UnicodeWidthStr::width(more.as_str()) as u16;
        let x = area.x + area.width.min(48).saturating_sub(columns + 1);
        paint::put(buffer, x, area.bottom() - 1, columns, &paint::line(look, [(&more, Tone::Dim)]), look);
    }
}

/// The step that is open.
pub fn page(model: &Model, first: &First, body: Rect, tells: bool) -> Page {
    let look = model.setup.look;
    let symbols = look.symbols();
    let busy = condition::busy(symbols, model.beat());
    let mut page = Page::new(look, body);
    if tells && let Some(text) = about::paragraphs(first.stage).first() {
        page.text(("", Tone::Plain), text, Tone::Dim);
        page.gap();
    }
    if let Some(note) = &first.note {
        page.said(symbols.warn, note, Tone::Warn);
        page.gap();
    }
    match first.stage {
        Stage::Password => password(&mut page, model, first, busy),
        Stage::Keyboard => pick(&mut page, first, Field::Keyboard, busy),
        Stage::Interface => interfaces(&mut page, model, first, busy),
        Stage::Address => address(&mut page, first, look),
        Stage::Dhcp => dhcp(&mut page, model, first),
        Stage::Range => {
            if let Some(own) = own_address(first) {
                page.line(paint::fact(look, "own address", own, Tone::Plain));
                page.gap();
            }
            for field in [Field::Range, Field::Router, Field::Told] {
                page.typed(first, field);
            }
            of_no_field(&mut page, first);
        }
        Stage::Name => page.typed(first, Field::Name),
        Stage::Time => time(&mut page, first, busy),
        Stage::Keys => keys::keys(&mut page, model, first, busy),
        Stage::Summary => {}
    }
    if let Some(refused) = &first.refused {
        let row = page.rows.len();
        page.said(symbols.bad, refused, Tone::Bad);
        page.rows.insert(row, Row::Text(Line::default()));
    }
    page
}

/// Mistakes that only the settings know, where ranges are typed.
fn of_no_field(page: &mut Page, first: &First) {
    let all = first.run.iter().flat_map(|run| &run.mistakes);
    let whole: Vec<String> = all
        .filter(|mistake| Stage::of(&mistake.field).is_none())
        .map(|mistake| super::summary::sentence(&mistake.message))
        .collect();
    let bad = page.look.symbols().bad;
    for text in whole {
        page.gap();
        page.said(bad, &text, Tone::Bad);
    }
}

/// The address that the appliance will have.
fn own_address(first: &First) -> Option<String> {
    match first.how {
        How::Static => Some(first.text(Field::Address)),
        How::Keep => first.address().map(str::to_owned),
        How::Dhcp => None,
    }
}

fn password(page: &mut Page, model: &Model, first: &First, busy: &str) {
    let symbols = page.look.symbols();
    let name = model.access.whoami.as_ref().and_then(|who| who.name.clone()).unwrap_or_default();
    match &first.permit {
        Permit::Given { anew: false } => {
            page.said(symbols.ok, &format!("You are {name}: nothing more is needed."), Tone::Ok);
            page.gap();
            page.text(("", Tone::Plain), "Enter goes on.", Tone::Plain);
        }
        Permit::Given { anew: true } => {
            if !first.retypes {
                let text = "No password is set. You need none here, but the console on the appliance's screen and the one over \
                            SSH do. Enter with nothing typed goes on without.";
                page.text(("", Tone::Plain), text, Tone::Plain);
                page.gap();
            }
            page.typed(first, Field::New);
            page.typed(first, Field::Again);
        }
        Permit::First => {
            let text =
                "No password is set yet. Choose one: 8 characters or more, or a PIN of 6 digits or more.";
            page.text(("", Tone::Plain), text, Tone::Plain);
            page.gap();
            page.typed(first, Field::New);
            page.typed(first, Field::Again);
        }
        Permit::Login => {
            page.text(("", Tone::Plain), "A password is set already. Log in with it to go on.", Tone::Plain);
            page.gap();
            page.typed(first, Field::Login);
        }
        Permit::Elsewhere => {
            let text = "No password is set, and the first one cannot be set from here: set it on the appliance's own screen, or \
                        with `ironwake password set` as root there.";
            page.said(symbols.bad, text, Tone::Bad);
        }
    }
    if first.is_asking {
        page.gap();
        page.said(busy, "Asking the daemon", Tone::Busy);
    }
}

fn pick(page: &mut Page, first: &First, field: Field, busy: &str) {
    let (pick, names) = match field {
        Field::Zone => (&first.zone, &first.choices.timezones),
        _ => (&first.keyboard, &first.choices.keyboards),
    };
    let focused = first.field() == Some(field) && !first.is_asking;
    let shown = if focused { pick.typed.clone() } else { Input::new(&pick.chosen) };
    page.rows.push(Row::Typed { label: field.label(), input: shown, secret: false, focused });
    page.mistakes(first, |mistake| field.is_of(mistake));
    if first.is_asking {
        page.gap();
        return page.said(busy, "It is being set", Tone::Busy);
    }
    if !focused {
        return;
    }
    let look = page.look;
    let found: Vec<String> = pick.shown(names).into_iter().map(str::to_owned).collect();
    let said = match (names.is_empty(), found.is_empty()) {
        (true, _) if pick.chosen.is_empty() => {
            "This host lists none: type its name, or go on as it is".to_owned()
        }
        (true, _) => format!("This host lists none: type its name; it is {}", pick.chosen),
        (false, true) => "Nothing of that name".to_owned(),
        (false, false) if pick.typed.is_empty() => {
            format!("{} to choose from: type a part of a name", human::grouped(found.len()))
        }
        (false, false) => format!("{} of {}", human::grouped(found.len()), human::grouped(names.len())),
    };
    page.line(paint::line(look, [(" ", Tone::Plain), (&said, Tone::Dim)]));
    page.list = Some(Listing { names: found, list: pick.list, chosen: pick.chosen.clone() });
}

fn interfaces(page: &mut Page, model: &Model, first: &First, busy: &str) {
    let look = page.look;
    let symbols = look.symbols();
    let Some(state) = &first.state else {
        return page.said(busy, "Looking at interfaces", Tone::Busy);
    };
    if state.interfaces.is_empty() {
        let text = "There is no network interface with a MAC address. Plug one in, or give this machine one.";
        return page.said(symbols.bad, text, Tone::Bad);
    }
    for (place, found) in state.interfaces.iter().enumerate() {
        let focused = place == first.interface.cursor;
        let link = if found.link { (symbols.ok, Tone::Ok) } else { (symbols.unknown, Tone::Warn) };
        let name = human::fit(&found.name, NAME_COLUMNS, symbols.cut);
        let word = match (found.link, found.up) {
            (true, _) => "link",
            (false, true) => "no cable",
            (false, false) => "off",
        };
        let rest = format!(" {word:<9} {}", found.mac);
        page.choice(link, &format!("{name:<NAME_COLUMNS$}"), &rest, focused);
        let indent = "    ";
        let addresses =
            if found.addresses.is_empty() { "no address".into() } else { found.addresses.join("  ") };
        page.text((indent, Tone::Plain), &addresses, Tone::Plain);
        let (text, tone) = heard(found, first.is_looking);
        let symbol = match tone {
            Tone::Busy => busy,
            Tone::Warn => symbols.warn,
            Tone::Ok => symbols.ok,
            _ => symbols.dot,
        };
        let columns = page.columns.saturating_sub(6);
        for (row, part) in human::wrap(&text, columns).into_iter().enumerate() {
            let lead = if row == 0 { format!("{indent}{symbol} ") } else { format!("{indent}  ") };
            page.line(paint::line(look, [(&lead, tone), (&part, Tone::Dim)]));
        }
        page.gap();
    }
    page.mistakes(first, |_| true);
    if model.is_lost() {
        page.said(symbols.warn, "The daemon does not answer: this may be old", Tone::Warn);
    }
}

/// What is known of other DHCP servers on an interface.
pub fn heard(found: &SetupInterface, is_looking: bool) -> (String, Tone) {
    match &found.dhcp {
        _ if !found.link => ("no cable, or nobody at its other end".into(), Tone::Dim),
        None if is_looking => ("asking for other DHCP servers".into(), Tone::Busy),
        None => ("not asked for other DHCP servers".into(), Tone::Dim),
        Some(SetupDhcp { problem: Some(why), .. }) => (format!("could not be asked: {why}"), Tone::Warn),
        Some(found) if found.servers.is_empty() => ("no DHCP server answers".into(), Tone::Ok),
        Some(found) => {
            let count =
                if found.servers.len() == 1 { "a DHCP server answers" } else { "DHCP servers answer" };
            (format!("{count}: {}", found.servers.join(", ")), Tone::Warn)
        }
    }
}

fn address(page: &mut Page, first: &First, look: Look) {
    let symbols = look.symbols();
    let focused = first.field() == Some(Field::How);
    for how in first.hows() {
        let chosen = how == first.how;
        let symbol = if chosen { (symbols.ok, Tone::Accent) } else { (symbols.unknown, Tone::Faint) };
        let keep = first.address().unwrap_or_default();
        let (name, rest) = match how {
            How::Keep => ("As it is", format!("  {keep}, wherever that comes from")),
            How::Dhcp => ("DHCP", "  another server on this network gives it".into()),
            How::Static => ("Static", "  one of its own, as server mode needs".into()),
        };
        page.choice(symbol, name, &rest, chosen && focused);
    }
    page.mistakes(first, |mistake| Field::How.is_of(mistake));
    if first.how == How::Static {
        page.gap();
        for field in [Field::Address, Field::Gateway, Field::Dns] {
            page.typed(first, field);
        }
        page.gap();
        let text = "Gateway and name servers may stay empty where this network leads nowhere else.";
        page.text(("", Tone::Plain), text, Tone::Dim);
    }
}

/// A way of serving DHCP: its name, and what it means.
fn explained(mode: DhcpChoice) -> (&'static str, &'static str, &'static str) {
    match mode {
        DhcpChoice::Proxy => (
            "Proxy",
            "  the safe choice",
            "Another DHCP server gives addresses. Ironwake only tells machines that boot from the network where to boot from, and \
             disturbs nobody.",
        ),
        DhcpChoice::Server => (
            "Server",
            "  for a network of its own",
            "Ironwake gives addresses too, where nobody else does. Needs a static address.",
        ),
        DhcpChoice::Off => (
            "Off",
            "  no DHCP at all",
            "The network's own DHCP server tells machines where to boot from, and is configured for it by you.",
        ),
    }
}

fn dhcp(page: &mut Page, model: &Model, first: &First) {
    let look = page.look;
    let symbols = look.symbols();
    let columns = page.columns;
    for mode in MODES {
        let chosen = mode == first.dhcp;
        let symbol = if chosen { (symbols.ok, Tone::Accent) } else { (symbols.unknown, Tone::Faint) };
        let (name, rest, text) = explained(mode);
        page.choice(symbol, name, rest, chosen);
        for part in human::wrap(text, columns.saturating_sub(3)) {
            page.line(paint::line(look, [("   ", Tone::Plain), (&part, Tone::Dim)]));
        }
        if model.setup.rows > 30 {
            page.gap();
        }
    }
    page.mistakes(first, |_| true);
    let Some(served) = first.served() else { return };
    let (text, tone) = advice(first, served);
    let symbol = match tone {
        Tone::Warn => symbols.warn,
        Tone::Ok => symbols.ok,
        _ => symbols.dot,
    };
    page.said(symbol, &text, tone);
}

/// What follows from what was heard on the network.
fn advice(first: &First, served: &SetupInterface) -> (String, Tone) {
    let name = &served.name;
    let heard = served.dhcp.as_ref().filter(|heard| heard.problem.is_none() && served.link);
    let Some(heard) = heard else {
        return (format!("Nobody knows whether another DHCP server is on {name}: proxy is safe."), Tone::Dim);
    };
    let servers = heard.servers.join(", ");
    if let Some(danger) = first.danger() {
        return (format!("{danger} Choose proxy, or switch that one off first."), Tone::Warn);
    }
    match (first.dhcp, heard.servers.is_empty()) {
        (DhcpChoice::Server, _) => (format!("No other DHCP server answers on {name}."), Tone::Ok),
        (DhcpChoice::Proxy, false) => {
            (format!("{servers} gives addresses on {name}: proxy goes beside it."), Tone::Ok)
        }
        (DhcpChoice::Proxy, true) => {
            let text = format!(
                "No DHCP server answers on {name}: beside none, machines get no address and do not boot. Server gives them one."
            );
            (text, Tone::Warn)
        }
        (DhcpChoice::Off, _) => ("Machines that ask Ironwake by DHCP are not answered.".into(), Tone::Dim),
    }
}

fn time(page: &mut Page, first: &First, busy: &str) {
    let fields = first.fields();
    let look = page.look;
    if first.field() != Some(Field::Zone) || fields.len() == 1 {
        pick(page, first, Field::Zone, busy);
    }
    if fields.contains(&Field::Ntp) {
        let word = if first.ntp { "yes" } else { "no" };
        let focused = first.field() == Some(Field::Ntp);
        let label = format!("{:<width$}", Field::Ntp.label(), width = LABEL_COLUMNS);
        let hint = if focused { "  space changes it" } else { "" };
        let tone = if focused { Tone::Strong } else { Tone::Dim };
        let line = paint::line(look, [(&label, tone), (word, Tone::Plain), (hint, Tone::Dim)]);
        page.rows.push(Row::Choice { line, focused });
        page.mistakes(first, |mistake| Field::Ntp.is_of(mistake));
    }
    if fields.contains(&Field::Servers) {
        page.typed(first, Field::Servers);
    }
    // The list takes all that is left.
    if first.field() == Some(Field::Zone) && fields.len() > 1 {
        page.gap();
        pick(page, first, Field::Zone, busy);
    }
}
