//! A cursor in a list that is longer than the screen.

/// Which item is chosen, and which is at the top of the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct List {
    /// The chosen item.
    pub cursor: usize,
    /// The first item that is shown.
    pub top: usize,
}

/// How the cursor moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// One item back.
    Up,
    /// One item on.
    Down,
    /// A screen back.
    PageUp,
    /// A screen on.
    PageDown,
    /// To the first.
    First,
    /// To the last.
    Last,
}

impl List {
    /// Moves among `len` items of which `height` are shown.
    pub fn step(&mut self, step: Step, len: usize, height: usize) {
        let page = height.saturating_sub(1).max(1);
        let last = len.saturating_sub(1);
        self.cursor = match step {
            Step::Up => self.cursor.saturating_sub(1),
            Step::Down => self.cursor + 1,
            Step::PageUp => self.cursor.saturating_sub(page),
            Step::PageDown => self.cursor + page,
            Step::First => 0,
            Step::Last => last,
        };
        self.settle(len, height);
    }

    /// Puts cursor and top where they are legal, with the cursor on the screen; the screen moves as little as possible.
    pub fn settle(&mut self, len: usize, height: usize) {
        let height = height.max(1);
        self.cursor = self.cursor.min(len.saturating_sub(1));
        self.top = self.top.min(self.cursor).max((self.cursor + 1).saturating_sub(height));
        self.top = self.top.min(len.saturating_sub(height));
    }

    /// The items that are shown.
    pub fn shown(&self, len: usize, height: usize) -> std::ops::Range<usize> {
        self.top.min(len)..(self.top + height).min(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_on_the_screen() {
        let mut list = List::default();
        let mut check = |step, cursor, top| {
            list.step(step, 10, 4);
            assert_eq!((list.cursor, list.top), (cursor, top), "{step:?}");
        };
        check(Step::Up, 0, 0);
        check(Step::PageDown, 3, 0);
        check(Step::Down, 4, 1);
        check(Step::Last, 9, 6);
        check(Step::Down, 9, 6);
        check(Step::Up, 8, 6);
        check(Step::PageUp, 5, 5);
        check(Step::First, 0, 0);
        list.step(Step::Last, 0, 4);
        assert_eq!((list.cursor, list.top, list.shown(0, 4)), (0, 0, 0..0));
    }
}
