//! Which artifacts a profile names: as it stands, with its own defaults, and in one operation.

use std::collections::BTreeSet;

use super::render::{Facts, Renderer, engine_value};
use super::resolve::{Origin, Setting, Values};
use super::shape::{Kind, Profile};
use super::template;

/// Artifacts that a profile names with nothing but its defaults. A line that needs more, such as a variable without a
/// default or a fact of a machine, names none.
pub fn named_artifacts(profile: &Profile) -> Vec<String> {
    let lines: Vec<&str> = match &profile.kind {
        Kind::Image { image, .. } => vec![&image.artifact_line],
        Kind::Installer { boot, .. } | Kind::Live { boot, .. } => {
            std::iter::once(&boot.kernel_line).chain(&boot.initrd_lines).map(String::as_str).collect()
        }
        Kind::Local => Vec::new(),
    };
    let Ok(environment) = template::environment(&profile.templates) else { return Vec::new() };
    let setting = |default: &Option<_>| match default {
        Some(value) => Setting::Plain(Clone::clone(value), Origin::Profile),
        None => Setting::Unset,
    };
    // A variable that has to be given is no word at all here: strict templates refuse the line then.
    let given =
        profile.variables.iter().filter(|(_, variable)| !variable.required || variable.default.is_some());
    let values = given.map(|(name, variable)| (name.clone(), engine_value(&setting(&variable.default))));
    let context = minijinja::Value::from_pairs(values);
    let render = |line: &&str| environment.render_named_str("artifact", line, context.clone()).ok();
    let names = lines.iter().filter_map(render).map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// Names of artifacts that `artifact("NAME")` finds in all that a profile gives: files, lines and steps. What follows a
/// mistake is passed over, which [`render`](super::render) and [`login`](super::login) tell of.
pub fn artifacts_of(profile: &Profile, values: &Values, facts: &Facts) -> BTreeSet<String> {
    let Ok(renderer) = Renderer::new(profile, values, facts) else { return BTreeSet::new() };
    let _ = renderer.everything(&profile.kind);
    let _ = renderer.visit(&profile.login);
    renderer.found()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let text = format!("name = \"p\"\nversion = \"1\"\n{text}");
        let profile = Profile::parse(&text, &BTreeMap::new(), "").expect("a profile");
        assert_eq!(named_artifacts(&profile), expected, "{text}");
    }

    #[test]
    fn lines_are_rendered_with_defaults_alone() {
        let image = "kind = \"image\"\n[image]\nartifact = ";
        check(&format!("{image}\"debian\""), &["debian"]);
        check(
            &format!(
                "{image}\"a/{{{{ release }}}}\"\n[variables.release]\ntype = \"string\"\ndefault = \"13\""
            ),
            &["a/13"],
        );
        check(
            &format!("{image}\"{{{{ image }}}}\"\n[variables.image]\ntype = \"string\"\nrequired = true"),
            &[],
        );
        check(
            "kind = \"live\"\n[boot]\nkernel = \"k.{{ machine.firmware }}\"\ninitrd = [\"i/{{ 1 + 1 }}\"]\ncommand_line = \"\"",
            &["i/2"],
        );
        check("kind = \"local\"", &[]);
    }
}
