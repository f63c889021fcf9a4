//! Profiles: what a machine can be made into.
//!
//! A profile is a folder with `profile.toml` and templates. [`Profile::parse`] finds everything that is wrong in it
//! at once, [`fits`] says why a machine cannot become it, [`resolve`] settles its variables, and [`render`] makes
//! the files and the command line of one operation. Where folders are kept and files are served is not known here.

mod bounded;
mod check;
mod fit;
mod input;
mod mask;
mod named;
mod names;
mod quote;
mod raw;
mod render;
mod resolve;
mod secret;
mod shape;
mod shipped;
mod step;
mod template;

use std::collections::BTreeMap;
use std::fmt;

pub use fit::{Hardware, fits};
pub use input::{Input, Value};
pub use mask::{MASKED_BYTES_MIN, Mask, Veil};
pub use named::{artifacts_of, named_artifacts};
pub(crate) use raw::is_variable_name;
pub use render::{
    DiskFacts, Facts, MachineFacts, OperationFacts, RenderError, Rendered, RenderedBoot, RenderedImage,
    ServedFile, ServerFacts, Urls, render,
};
pub use resolve::{Layers, Origin, Setting, VALUES_MAX, Values, Written, check_value, resolve, settle_all};
pub use secret::{HIDDEN, Secret};
pub use shape::{
    Answer, Architecture, Boot, Firmware, Image, Injection, Judge, Kind, Needs, Profile, Variable,
};
pub use shipped::{SHIPPED, Shipped};
pub use step::{Login, RenderedLogin, RenderedStep, STEPS_MAX, Shell, Step, login};

use crate::document::{Findings, Mistakes};

/// The file of every profile's folder that says what it is.
pub const FILE: &str = "profile.toml";
/// Largest `profile.toml` and largest template: the longest answer files that people write have some ten thousand
/// bytes.
pub const TEXT_BYTES_MAX: usize = 256 << 10;
/// Templates of one profile.
pub const TEMPLATES_MAX: usize = 64;

/// Everything that is wrong in a profile, file by file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// One for each file with mistakes; `profile.toml` first, then templates by name.
    pub files: Vec<Mistakes>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistakes) in self.files.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{mistakes}")?;
        }
        Ok(())
    }
}

impl Profile {
    /// Reads a profile from the text of its `profile.toml` and its templates by name. `folder` is how mistakes name
    /// the place of those files.
    pub fn parse(text: &str, templates: &BTreeMap<String, String>, folder: &str) -> Result<Self, Refused> {
        let place = |name: &str| match folder {
            "" => name.to_owned(),
            folder => format!("{}/{name}", folder.trim_end_matches('/')),
        };
        if let Some(mistakes) = too_large(text, templates, place) {
            return Err(Refused { files: vec![mistakes] });
        }
        let mut files = Vec::new();
        let mut variables = Vec::new();
        let parsed = crate::document::read(text, &place(FILE), raw::read, |raw, findings| {
            variables = raw.variables.iter().map(|variable| variable.name.value.clone()).collect();
            check::check(raw, templates, findings)
        });
        // What the variables are is not known where the document itself cannot be read.
        let known = parsed.is_ok() || !variables.is_empty();
        let parsed = parsed.map_err(|mistakes| files.push(mistakes));
        for (name, source) in templates {
            let mut findings = Findings::default();
            template::check(name, source, templates, known.then_some(&variables), &mut findings);
            if !findings.is_empty() {
                files.push(findings.into_mistakes(&place(name), source));
            }
        }
        match parsed {
            Ok(profile) if files.is_empty() => Ok(profile),
            _ => Err(Refused { files }),
        }
    }
}

/// The one mistake of a folder that nobody wrote by hand: it is not even read.
fn too_large(
    text: &str,
    templates: &BTreeMap<String, String>,
    place: impl Fn(&str) -> String,
) -> Option<Mistakes> {
    let one = |name: &str, message: String, help: String| {
        let mut findings = Findings::default();
        findings.add(0..0, message, help);
        Some(findings.into_mistakes(&place(name), ""))
    };
    if templates.len() > TEMPLATES_MAX {
        let message = format!("the folder has {} templates", templates.len());
        return one(FILE, message, format!("at most {TEMPLATES_MAX}"));
    }
    let texts = templates.iter().map(|(name, source)| (name.as_str(), source.as_str()));
    let (name, text) =
        std::iter::once((FILE, text)).chain(texts).find(|(_, text)| text.len() > TEXT_BYTES_MAX)?;
    one(name, format!("the file has {} bytes", text.len()), format!("at most {TEXT_BYTES_MAX}"))
}

#[cfg(test)]
mod tests;
