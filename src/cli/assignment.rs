//! `NAME=VALUE` for variables of profiles, on the command line and from files.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::Value as Json;

/// `NAME=VALUE`. The value is JSON where it reads so (`2`, `true`, `["a"]`), and text else.
#[derive(Debug, Clone)]
pub struct Assignment(String, Json);

impl std::str::FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("it should look like name=value")?;
        let read = serde_json::from_str(value).ok().filter(|value: &Json| !value.is_string());
        Ok(Self(name.to_owned(), read.unwrap_or_else(|| value.into())))
    }
}

/// `NAME=FILE`: the value is the file's text without the last end of line.
#[derive(Debug, Clone)]
pub struct FromFile(String, std::path::PathBuf);

impl std::str::FromStr for FromFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) = text.split_once('=').ok_or("it should look like name=file")?;
        Ok(Self(name.to_owned(), file.into()))
    }
}

/// Values of an operation's variables.
#[derive(Debug, clap::Args)]
pub struct Variables {
    /// Value of one of the profile's variables; may be repeated. Every user of this host can read it while the command runs
    #[arg(id = "variables", long = "var", value_name = "NAME=VALUE")]
    values: Vec<Assignment>,
    /// Value of one of the profile's variables from a file, for secrets; may be repeated
    #[arg(id = "variable_files", long = "var-file", value_name = "NAME=FILE")]
    files: Vec<FromFile>,
}

impl Variables {
    /// Whether any of them is in a file.
    pub fn reads_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// All as one map; of two for one variable the later wins, and a file over a word.
    pub fn read(self) -> anyhow::Result<BTreeMap<String, Json>> {
        read(self.values, self.files)
    }
}

/// Assignments and files as one map.
pub fn read(values: Vec<Assignment>, files: Vec<FromFile>) -> anyhow::Result<BTreeMap<String, Json>> {
    let mut all: BTreeMap<String, Json> =
        values.into_iter().map(|Assignment(name, value)| (name, value)).collect();
    for FromFile(name, file) in files {
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        all.insert(name, text.strip_suffix('\n').unwrap_or(&text).into());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_text_and_a_word_json_where_it_reads_so() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "se=cret\n").expect("written");
        let words =
            ["n=2", "list=[\"a\"]", "text=\"2\"", "key=word"].map(|word| word.parse().expect("a word"));
        let given = format!("key={}", file.path().display()).parse().expect("a file");
        let all = read(words.into(), vec![given]).expect("values");
        let expected = serde_json::json!({"n": 2, "list": ["a"], "text": "\"2\"", "key": "se=cret"});
        assert_eq!(serde_json::json!(all), expected);
        let missing = read(Vec::new(), vec!["key=/no/such/file".parse().expect("a file")]);
        assert!(missing.expect_err("a failure").to_string().contains("read /no/such/file"));
    }
}
