//! Templates: the engine with its limits, filters and the rule for what may be written without one.
//!
//! A value is written as it is only where it consists of characters that mean nothing in any format; everything
//! else takes a filter of the format that it goes into, and a value that is not set is an error. So nothing that a
//! machine or an operator says can become a line, a key or a command of its own.

use std::collections::BTreeMap;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use super::input::Value;
use super::names::{Role, Word, words};
use super::quote::{self, Unwritable};
use super::render::FACTS;
use crate::document::{Findings, nearest, shorten};

/// Steps of the engine for one file: a hundred times what the longest shipped template takes.
const FUEL_MAX: u64 = 200_000;
/// Templates that include one another.
const RECURSION_MAX: usize = 20;

/// The filters that write a value for a format.
type Quote = fn(&Value) -> Result<String, Unwritable>;
const QUOTES: &[(&str, Quote)] = &[
    ("yaml", quote::yaml),
    ("json", quote::json),
    ("shell", quote::shell),
    ("kickstart", quote::kickstart),
    ("preseed", quote::preseed),
    ("line", quote::line),
    ("parameter", quote::parameter),
];
/// The engine's own filters that make sense here.
const FILTERS: &[&str] = &[
    "safe", "lower", "upper", "replace", "join", "trim", "length", "first", "last", "default", "sort",
    "unique", "list", "map", "select", "reject", "split", "lines", "items", "int", "string", "indent",
    "reverse", "min", "max",
];
/// The engine's own tests that make sense here.
const TESTS: &[&str] = &[
    "defined",
    "undefined",
    "none",
    "true",
    "false",
    "string",
    "number",
    "integer",
    "boolean",
    "sequence",
    "startingwith",
    "endingwith",
    "in",
    "eq",
    "ne",
    "lt",
    "gt",
    "le",
    "ge",
    "odd",
    "even",
];
/// What can be called.
const FUNCTIONS: &[&str] = &["artifact", "range", "dict", "namespace", "loop", "caller", "self", "super"];
/// What the engine brings that shows values or belongs to other formats.
const REMOVED_FILTERS: &[&str] = &["escape", "e", "pprint"];

/// The engine with a profile's templates.
pub(super) fn environment(templates: &BTreeMap<String, String>) -> Result<Environment<'_>, Error> {
    let mut environment = empty();
    for (name, source) in templates {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

fn empty<'s>() -> Environment<'s> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("filters".into()));
    environment.set_formatter(write);
    environment.set_fuel(Some(FUEL_MAX));
    environment.set_recursion_limit(RECURSION_MAX);
    environment.set_debug(false);
    environment.set_syntax(syntax());
    environment.remove_global("debug");
    for name in REMOVED_FILTERS {
        environment.remove_filter(name);
    }
    for (name, quote) in QUOTES.iter().copied() {
        environment.add_filter(name, move |value: minijinja::Value| filter(name, quote, &value));
    }
    environment
}

/// A line that holds nothing but a statement leaves nothing behind.
fn syntax() -> SyntaxConfig {
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    syntax.build().expect("the default marks")
}

fn filter(name: &str, quote: Quote, value: &minijinja::Value) -> Result<minijinja::Value, Error> {
    let wrong = |why: String| Error::new(ErrorKind::InvalidOperation, why);
    let value = typed(value).ok_or_else(|| wrong(format!("the value before `| {name}` is not set")))?;
    let written =
        quote(&value).map_err(|error| wrong(format!("the value cannot be written by `{name}`: {error}")))?;
    Ok(minijinja::Value::from_safe_string(written))
}

/// A value of the engine as one of ours; `None` where nothing is set.
fn typed(value: &minijinja::Value) -> Option<Value> {
    Some(match value.kind() {
        ValueKind::Undefined | ValueKind::None => return None,
        ValueKind::Bool => Value::Boolean(value.is_true()),
        ValueKind::Number => match i64::try_from(value.clone()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Text(value.to_string()),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().ok()?;
            Value::List(items.map(|item| Some(item.as_str()?.to_owned())).collect::<Option<_>>()?)
        }
        _ => Value::Text(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
    })
}

/// Writes what stands between `{{` and `}}`. The value itself is in no message: it may be a secret.
fn write(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &minijinja::Value) -> Result<(), Error> {
    let wrong = |why: &str| Err(Error::new(ErrorKind::InvalidOperation, why.to_owned()));
    let written = match value.kind() {
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::None => return wrong("the value is not set: write {% if … %} around it"),
        ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => write!(out, "{value}"),
        ValueKind::String => match value.as_str() {
            Some(text) if value.is_safe() || quote::is_plain(text) => out.write_str(text),
            _ => {
                return wrong(
                    "the value has characters that mean something: write a filter behind it, such as `| yaml`",
                );
            }
        },
        _ => return wrong("a list is written by a loop, or by a filter such as `| yaml`"),
    };
    written.map_err(Error::from)
}

/// What an error of the engine says, without its place.
pub(super) fn explain(error: &Error) -> String {
    let kind = match error.kind() {
        ErrorKind::UndefinedError => "there is no such value".into(),
        ErrorKind::OutOfFuel => format!("it takes more than {FUEL_MAX} steps"),
        ErrorKind::InvalidOperation | ErrorKind::SyntaxError => String::new(),
        kind => kind.to_string(),
    };
    match error.detail() {
        Some(detail) if kind.is_empty() => detail.to_owned(),
        Some(detail) => format!("{kind}: {detail}"),
        None if kind.is_empty() => error.kind().to_string(),
        None => kind,
    }
}

/// Reports everything that can be told of a template before it is rendered. Without `variables` nothing is said
/// of names.
pub(super) fn check(
    name: &str,
    source: &str,
    templates: &BTreeMap<String, String>,
    variables: Option<&Vec<String>>,
    findings: &mut Findings,
) {
    let environment = empty();
    let compiled = match environment.template_from_named_str(name, source) {
        Ok(compiled) => compiled,
        Err(error) => {
            let span = error.range().unwrap_or_else(|| line_span(source, error.line().unwrap_or(1)));
            return findings.add(span, explain(&error), None);
        }
    };
    let words = words(source);
    for word in &words {
        let span = word.at..word.at + word.text.len();
        let quotes = QUOTES.iter().map(|(name, _)| *name);
        match word.role {
            Role::Filter => {
                let known: Vec<&str> = quotes.chain(FILTERS.iter().copied()).collect();
                unknown("filter", word.text, &known, span, findings);
            }
            Role::Test => unknown("test", word.text, TESTS, span, findings),
            Role::Template => {
                let known: Vec<&str> = templates.keys().map(String::as_str).collect();
                unknown("template", word.text, &known, span, findings);
            }
            Role::Name => {}
        }
    }
    let Some(variables) = variables else { return };
    let mut undeclared: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
    undeclared.sort();
    for name in undeclared.iter().filter(|name| !is_known(name, variables)) {
        let span = place(&words, name).unwrap_or(0..0);
        let first = name.split('.').next().unwrap_or(name);
        if variables.iter().any(|known| known == first) {
            findings.add(span, format!("the variable `{first}` has no parts"), format!("write `{first}`"));
            continue;
        }
        let mut known: Vec<&str> = FACTS.to_vec();
        known.extend(variables.iter().map(String::as_str));
        let help = match nearest(name, &known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("declare it: [variables.{}]", shorten(first)),
        };
        findings.add(span, format!("`{}` is neither a variable nor a fact", shorten(name)), help);
    }
}

/// Reports what is wrong in a template of one line, which stands at `span` of the document.
pub(super) fn check_line(
    key: &str,
    line: &str,
    span: &Range<usize>,
    variables: &Vec<String>,
    findings: &mut Findings,
) {
    let mut own = Findings::default();
    if line.contains(['\n', '\r']) {
        own.add(0..0, "it has several lines", "one line; `~` joins texts".to_owned());
    } else {
        check(key, line, &BTreeMap::new(), Some(variables), &mut own);
    }
    findings.add_at(span, key, own);
}

fn unknown(what: &str, word: &str, known: &[&str], span: Range<usize>, findings: &mut Findings) {
    if known.contains(&word) {
        return;
    }
    let help = match nearest(word, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => format!("there is no other {what} here"),
        None => format!("there are: {}", known.join(", ")),
    };
    findings.add(span, format!("there is no {what} `{}`", shorten(word)), help);
}

/// Whether a name with its parts is a fact, something above or below one, a variable, or a function.
fn is_known(name: &str, variables: &[String]) -> bool {
    let below = |whole: &str, part: &str| whole.strip_prefix(part).is_some_and(|rest| rest.starts_with('.'));
    FACTS.iter().any(|fact| *fact == name || below(fact, name))
        || FUNCTIONS.contains(&name.split('.').next().unwrap_or(name))
        || variables.iter().any(|known| known == name)
}

/// Where a name is used first.
fn place(words: &[Word<'_>], name: &str) -> Option<Range<usize>> {
    let names = || words.iter().filter(|word| word.role == Role::Name);
    let first = name.split('.').next().unwrap_or(name);
    let word = names()
        .find(|word| word.text == name || word.text.starts_with(&format!("{name}.")))
        .or_else(|| names().find(|word| word.text.split('.').next() == Some(first)))?;
    Some(word.at..word.at + word.text.len())
}

fn line_span(source: &str, line: usize) -> Range<usize> {
    let start: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let length = source[start..].lines().next().map_or(0, str::len);
    start..start + length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A template of one line with `x` as given.
    fn rendered(source: &str, x: minijinja::Value) -> Result<String, String> {
        let template = empty();
        let template = template.template_from_named_str("t", source).map_err(|error| explain(&error))?;
        let context = minijinja::Value::from_pairs([("x".to_owned(), x)]);
        template.render(context).map_err(|error| explain(&error))
    }

    #[track_caller]
    fn check(source: &str, x: impl Into<minijinja::Value>, expected: &str) {
        assert_eq!(rendered(source, x.into()).unwrap_or_else(|error| error), expected, "{source}");
    }

    #[test]
    fn only_plain_values_need_no_filter() {
        check("a: {{ x }}", "node-1.example.org", "a: node-1.example.org");
        check("{{ x }}", true, "true");
        check("{{ x }}", 7, "7");
        let refused =
            "the value has characters that mean something: write a filter behind it, such as `| yaml`";
        for text in ["a b", "a\nb", "$x", "a;b", "'", "a,b", "é", "a#b", "${x}"] {
            check("{{ x }}", text, refused);
            check("{{ x ~ x }}", text, refused);
            check("{% set y = x %}{{ y }}", text, refused);
            check("{{ x | upper }}", text, refused);
        }
        check("{{ x | safe }}", "a b", "a b");
        check("{{ x | yaml }}", "a b", "\"a b\"");
        check("{{ ['c', x] | map('shell') | join(' && ' | safe) | preseed }}", "a b", "'c' && 'a b'");
        check("{% set y %}1 {{ x | yaml }}{% endset %}{{ y }}", "b c", "1 \"b c\"");
        check("{% macro m(v) %}<{{ v | shell }}>{% endmacro %}{{ m(x) }}", "b c", "<'b c'>");
    }

    #[test]
    fn what_is_not_set_is_an_error() {
        check("{{ y }}", 1, "there is no such value");
        check("{{ x.y.z }}", 1, "there is no such value");
        check("{{ x }}", (), "the value is not set: write {% if … %} around it");
        check("{{ x | yaml }}", (), "the value before `| yaml` is not set");
        check("{% if x %}{{ x }}{% endif %}", (), "");
    }

    #[test]
    fn a_template_that_does_not_end_is_stopped() {
        let source = "{% for a in range(10000) %}{% for b in range(10000) %}{{ b }}{% endfor %}{% endfor %}";
        check(source, 1, "it takes more than 200000 steps");
    }

    #[test]
    fn everything_that_is_offered_is_there() {
        for name in FILTERS {
            let error =
                rendered(&format!("{{{{ x | {name} | safe }}}}"), "1".into()).err().unwrap_or_default();
            assert!(!error.contains("unknown"), "{name}: {error}");
        }
        for name in TESTS {
            let error = rendered(&format!("{{{{ x is {name} }}}}"), "1".into()).err().unwrap_or_default();
            assert!(!error.contains("unknown"), "{name}: {error}");
        }
        for name in REMOVED_FILTERS {
            let error = rendered(&format!("{{{{ x | {name} }}}}"), "1".into()).unwrap_err();
            assert!(error.contains("unknown filter"), "{name}: {error}");
        }
        assert!(rendered("{{ debug() }}", 1.into()).is_err());
    }
}
