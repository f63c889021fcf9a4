//! The one place where a typed name becomes the permission to arm, or to destroy something of the appliance itself. A [`Confirmation`] has no other maker.

/// What has to be typed before operations that write are armed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    word: String,
    operations: Vec<String>,
}

/// The word of a [`Demand`] was typed in full: its operations may be armed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    operations: Vec<String>,
}

impl Demand {
    /// For these operations `word` has to be typed: the machine's name, or how many machines there are. For the appliance itself
    /// what is named is the disk, as it was shown, or the appliance.
    pub fn new(word: impl Into<String>, operations: Vec<String>) -> Self {
        Self { word: word.into(), operations }
    }

    /// What has to be typed.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// The operations that wait for it.
    pub fn operations(&self) -> &[String] {
        &self.operations
    }

    /// The permission, if `typed` is the word, letter by letter. An empty word permits nothing.
    pub fn confirmed(&self, typed: &str) -> Option<Confirmation> {
        let same = !self.word.is_empty() && !self.operations.is_empty() && typed == self.word;
        same.then(|| Confirmation { operations: self.operations.clone() })
    }
}

impl Confirmation {
    /// The operations that may be armed.
    pub fn operations(&self) -> &[String] {
        &self.operations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_word_permits() {
        let demand = Demand::new("node-1", vec!["op".into()]);
        for typed in ["", "node", "node-11", "NODE-1", " node-1", "node-1 "] {
            assert_eq!(demand.confirmed(typed), None, "{typed:?}");
        }
        assert_eq!(demand.confirmed("node-1").expect("typed").operations(), ["op"]);
        assert_eq!(Demand::new("", vec!["op".into()]).confirmed(""), None);
        assert_eq!(Demand::new("x", Vec::new()).confirmed("x"), None);
    }
}
