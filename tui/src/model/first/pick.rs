//! One of a long list of names, such as time zones: what is typed narrows it.

use crate::input::Input;
use crate::list::List;

/// A choice among names.
#[derive(Debug, Default)]
pub struct Pick {
    /// What is chosen; empty where nothing is.
    pub chosen: String,
    /// What narrows the list.
    pub typed: Input,
    /// The line under the cursor.
    pub list: List,
}

impl Pick {
    /// The names that fit what is typed: those in which a word begins with it come first.
    pub fn shown<'a>(&self, names: &'a [String]) -> Vec<&'a str> {
        let plain = |text: &str| text.trim().to_lowercase().replace(' ', "_");
        let typed = plain(&self.typed.text());
        let rank = |name: &str| {
            let name = plain(name);
            let begins = |part: &str| part.starts_with(&typed);
            match () {
                () if name == typed => Some(0),
                () if begins(&name) || name.split('/').any(begins) => Some(1),
                () if name.contains(&typed) => Some(2),
                () => None,
            }
        };
        let mut found: Vec<(u8, &str)> =
            names.iter().filter_map(|name| Some((rank(name)?, name.as_str()))).collect();
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().map(|(_, name)| name).collect()
    }

    /// What would be taken: the name under the cursor; where the host lists none, what is typed.
    pub fn offered(&self, names: &[String]) -> Option<String> {
        if names.is_empty() {
            let typed = self.typed.text().trim().to_owned();
            return Some(if typed.is_empty() { self.chosen.clone() } else { typed });
        }
        self.shown(names).get(self.list.cursor).map(|name| (*name).to_owned())
    }

    /// Takes what is offered; says whether there was anything.
    pub fn take(&mut self, names: &[String]) -> bool {
        let Some(name) = self.offered(names) else { return false };
        self.choose(name, names);
        true
    }

    /// Chooses a name, with the cursor on it in the whole list.
    pub fn choose(&mut self, name: String, names: &[String]) {
        self.typed = Input::default();
        self.list = List { cursor: names.iter().position(|other| *other == name).unwrap_or(0), top: 0 };
        self.chosen = name;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_narrows_the_list_and_beginnings_come_first() {
        let names: Vec<String> = ["America/New_York", "Antarctica/Vostok", "Europe/Stockholm", "Etc/York"]
            .map(str::to_owned)
            .into();
        let shown = |typed: &str| {
            let pick = Pick { typed: Input::new(typed), ..Pick::default() };
            pick.shown(&names).join(" ")
        };
        assert_eq!(shown("york"), "Etc/York America/New_York");
        assert_eq!(shown("new y"), "America/New_York");
        assert_eq!(shown("sto"), "Europe/Stockholm Antarctica/Vostok");
        assert_eq!(shown("xyz"), "");
        let mut pick = Pick { typed: Input::new("sto"), ..Pick::default() };
        assert!(pick.take(&names));
        assert_eq!((pick.chosen.as_str(), pick.list.cursor), ("Europe/Stockholm", 2));
        pick.typed = Input::new("xyz");
        assert!(!pick.take(&names));
        // A host that lists none takes what is typed.
        assert!(pick.take(&[]));
        assert_eq!(pick.chosen, "xyz");
    }
}
