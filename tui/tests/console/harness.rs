//! A console without a terminal: messages in, requests and text out.

use ironwake_tui::look::{Colours, Look};
use ironwake_tui::message::{Answer, Message};
use ironwake_tui::model::{Model, Setup};
use ironwake_tui::request::Request;
use ironwake_tui::update::update;
use ironwake_tui::view;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

/// 2026-03-14 15:09:26 UTC.
pub const NOW: u64 = 1_773_500_966_000;

/// A console and what it asked for.
pub struct Console {
    /// What it knows.
    pub model: Model,
    /// What it asked for since it was last looked at.
    pub requests: Vec<Request>,
}

impl Console {
    /// One that knows nothing yet.
    pub fn new(columns: u16, rows: u16) -> Self {
        let look = Look { colours: Colours::None, ascii: false };
        let (name, place) = ("boot-1".into(), "/run/ironwake/api.sock".into());
        Self { model: Model::new(Setup { name, place, look, columns, rows, now: NOW }), requests: Vec::new() }
    }

    /// One that a daemon answers with `answers`.
    pub fn with(columns: u16, rows: u16, answers: Vec<Answer>) -> Self {
        let mut console = Self::new(columns, rows);
        console.take(Message::Connected { last_event: Some(1000) });
        for answer in answers {
            console.answer(answer);
        }
        console.requests.clear();
        console
    }

    /// Takes a message.
    pub fn take(&mut self, message: Message) {
        self.requests.extend(update(&mut self.model, message));
    }

    /// Takes an answer.
    pub fn answer(&mut self, answer: Answer) {
        self.take(Message::Answer(Box::new(answer)));
    }

    /// Presses keys, with spaces between.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        for key in keys.split_whitespace() {
            self.take(Message::Key(key.parse().expect("a key")));
        }
        self
    }

    /// Types a text letter by letter.
    pub fn types(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            let key = if c == ' ' { "space".to_owned() } else { c.to_string() };
            self.keys(&key);
        }
        self
    }

    /// Clicks the first letter of a text on the screen.
    #[track_caller]
    pub fn click(&mut self, text: &str) -> &mut Self {
        let screen = self.screen();
        let found = screen.lines().enumerate().find_map(|(row, line)| Some((row, line.find(text)?, line)));
        let (row, place, line) = found.unwrap_or_else(|| panic!("{text:?} is not on\n{screen}"));
        let column = line[..place].chars().count() as u16;
        self.click_at(column, row as u16)
    }

    /// Clicks a place.
    pub fn click_at(&mut self, column: u16, row: u16) -> &mut Self {
        self.take(Message::Click { column, row });
        self
    }

    /// What was asked for since the last time.
    pub fn asked(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    /// The screen as text, without what is empty at the right.
    pub fn screen(&self) -> String {
        let (columns, rows) = (self.model.setup.columns, self.model.setup.rows);
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("a terminal");
        terminal.draw(|frame| view::draw(&self.model, frame)).expect("drawn");
        let buffer = terminal.backend().buffer();
        let row = |y| (0..columns).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..rows).map(row).collect::<Vec<_>>().join("\n")
    }

    /// The screen has this text.
    #[track_caller]
    pub fn shows(&mut self, text: &str) -> &mut Self {
        let screen = self.screen();
        assert!(screen.contains(text), "{text:?} is not on\n{screen}");
        self
    }

    /// The screen does not have this text.
    #[track_caller]
    pub fn hides(&mut self, text: &str) -> &mut Self {
        let screen = self.screen();
        assert!(!screen.contains(text), "{text:?} is on\n{screen}");
        self
    }
}
