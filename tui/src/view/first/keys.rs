//! The step of the SSH keys: those that are listed, pasted ones, those of USB sticks, and the one-time password.

use super::super::paint;
use super::page::Page;
use crate::human;
use crate::look::Tone;
use crate::model::Model;
use crate::model::first::{Field, First};

/// The rows of the step.
pub fn keys(page: &mut Page, model: &Model, first: &First, busy: &str) {
    let look = page.look;
    let symbols = look.symbols();
    for listed in &first.keys.listed {
        let text = format!("{} {} {}", listed.key.comment, listed.key.kind, listed.key.fingerprint);
        let text = human::fit(text.trim(), page.columns.saturating_sub(3), symbols.cut);
        page.said(symbols.ok, &text, Tone::Ok);
    }
    if first.keys.listed.is_empty() {
        page.text(("", Tone::Plain), "No key is listed yet.", Tone::Plain);
    }
    page.gap();
    page.typed(first, Field::Paste);
    sticks(page, first);
    one_time(page, model, first);
    let at = |field| first.field() == Some(field);
    page.gap();
    page.choice((symbols.arrow, Tone::Accent), "Go on", "  to the summary", at(Field::GoOn));
    if first.keys.is_asking {
        page.said(busy, "Asking the daemon", Tone::Busy);
    }
    let refused = first.keys.refused.clone();
    refused.iter().for_each(|text| page.said(symbols.bad, text, Tone::Bad));
}

fn sticks(page: &mut Page, first: &First) {
    let symbols = page.look.symbols();
    let at = first.field() == Some(Field::Sticks);
    let found = first.keys.found();
    if found.is_empty() {
        let said = match &first.keys.sticks {
            None => "  looking for one",
            Some(sticks) if sticks.is_empty() => "  none is plugged in",
            Some(_) => "  no key is on it",
        };
        page.choice((symbols.unknown, Tone::Faint), "USB stick", said, at);
    }
    for (place, (file, key)) in found.into_iter().enumerate() {
        let symbol = if key.listed { (symbols.ok, Tone::Ok) } else { (symbols.unknown, Tone::Accent) };
        let whose = if key.key.comment.is_empty() { key.key.kind.as_str() } else { key.key.comment.as_str() };
        let does = if key.listed { "listed" } else { "enter adds it" };
        let rest = format!("  {does}; {} in {file}", key.key.kind);
        page.choice(symbol, whose, &rest, at && place == first.keys.list.cursor);
    }
    let problems = first
        .keys
        .sticks
        .iter()
        .flatten()
        .filter_map(|stick| stick.problem.as_ref().map(|why| format!("{}: {why}", stick.label)));
    for problem in problems {
        page.said(symbols.warn, &problem, Tone::Warn);
    }
}

fn one_time(page: &mut Page, model: &Model, first: &First) {
    let look = page.look;
    let symbols = look.symbols();
    let at = first.field() == Some(Field::OneTime);
    let Some(made) = first.keys.one_time.as_ref().filter(|made| made.expires_at > model.now) else {
        let rest = "  enter makes a password that lets a key in once";
        return page.choice((symbols.unknown, Tone::Faint), "ssh-copy-id", rest, at);
    };
    page.choice((symbols.ok, Tone::Accent), "ssh-copy-id", "  on the computer with the key, type:", at);
    let host =
        first.address().and_then(|text| text.split_once('/')).map_or("ADDRESS", |(address, _)| address);
    let line = format!("ssh-copy-id -p {} admin@{host}", made.ssh_port);
    page.line(paint::line(look, [("     ", Tone::Plain), (&line, Tone::Accent)]));
    let left = human::until(made.expires_at, model.now);
    page.line(paint::line(
        look,
        [
            ("     password ", Tone::Dim),
            (&made.password.0, Tone::Strong),
            (", which ends ", Tone::Dim),
            (&left, Tone::Dim),
        ],
    ));
}
