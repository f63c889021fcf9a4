//! What becomes of the set-up: how far it is, the address that waits for its confirmation, and the end.

use ironwake_api::CONFIRM_WITHIN;
use ratatui::layout::Rect;

use super::super::paint;
use super::page::Page;
use crate::look::Tone;
use crate::model::first::{First, Phase};
use crate::model::{Model, condition};

/// Columns of the bar of what is left to confirm.
const BAR_COLUMNS_MAX: usize = 48;

/// What is going on.
pub fn page(model: &Model, first: &First, body: Rect) -> Page {
    let look = model.setup.look;
    let symbols = look.symbols();
    let busy = condition::busy(symbols, model.beat());
    let mut page = Page::new(look, body);
    let title = match &first.phase {
        Phase::Filling | Phase::Applying => "Setting up",
        Phase::Confirming { .. } => "Is the new address right?",
        Phase::Restarting { .. } => "The daemon starts again",
        Phase::Done { by_hand: false } => "Ironwake is set up",
        Phase::Done { by_hand: true } => "Nearly done: start the daemon again",
    };
    page.line(paint::heading(look, title, "", usize::from(body.width)));
    page.gap();
    steps(&mut page, first, symbols, busy);
    page.gap();
    match &first.phase {
        Phase::Filling | Phase::Applying => {}
        Phase::Confirming { change, sent } => confirm(&mut page, model, first, change, *sent, busy),
        Phase::Restarting { gone } => {
            let text = match gone {
                false => "It answers, and ends in a moment.",
                true => "Waiting until it answers again, and serves.",
            };
            page.said(busy, text, Tone::Busy);
            page.gap();
            let text = "Should it not come back within a minute, `journalctl -u ironwake` on the appliance says why.";
            page.text(("", Tone::Plain), text, Tone::Dim);
        }
        Phase::Done { by_hand } => done(&mut page, model, first, *by_hand),
    }
    page
}

/// Each step: done, being done, or to come.
fn steps(page: &mut Page, first: &First, symbols: &'static crate::look::Symbols, busy: &str) {
    let planned = first.run.iter().flat_map(|run| &run.steps);
    let known: Vec<&String> =
        planned.filter(|step| first.done.iter().all(|(what, _)| what != *step)).collect();
    for (what, problem) in &first.done {
        match problem {
            None => page.said(symbols.ok, what, Tone::Ok),
            Some(why) => page.said(symbols.bad, &format!("{what}: {why}"), Tone::Bad),
        }
    }
    if first.phase == Phase::Applying {
        for (place, step) in known.into_iter().enumerate() {
            match place {
                0 => page.said(busy, step, Tone::Busy),
                _ => page.said(symbols.unknown, step, Tone::Dim),
            }
        }
    }
}

fn confirm(
    page: &mut Page,
    model: &Model,
    first: &First,
    change: &ironwake_api::NetworkChange,
    sent: bool,
    busy: &str,
) {
    let look = model.setup.look;
    let symbols = look.symbols();
    page.said(symbols.arrow, &format!("{} has {} from here on.", change.interface, change.to), Tone::Accent);
    page.gap();
    let left = change.confirm_by.saturating_sub(model.now);
    let percent = u8::try_from((left.min(CONFIRM_WITHIN) * 100) / CONFIRM_WITHIN).unwrap_or(100);
    let columns = usize::from(model.setup.columns).saturating_sub(34).min(BAR_COLUMNS_MAX);
    let tone = if left < 20_000 { Tone::Bad } else { Tone::Warn };
    page.line(ratatui::text::Line::from(paint::bar(look, columns, Some(percent), model.beat(), tone)));
    match (left, sent) {
        (0, _) => page.said(busy, "Its time is up: it is being taken back.", Tone::Warn),
        (_, true) => page.said(busy, "Asking the daemon to keep it.", Tone::Busy),
        (_, false) => {
            let going = format!("Going back in {} s.", left.div_ceil(1000));
            page.line(paint::line(look, [(&going, tone), ("  Enter keeps it.", Tone::Strong)]));
            page.gap();
            let text = "If you can still read this over the network, it works. Do nothing, and it is as it was before.";
            page.text(("", Tone::Plain), text, Tone::Dim);
            if let Some(token) = &change.token {
                let text = "From elsewhere, such as over SSH to the new address:";
                page.text(("", Tone::Plain), text, Tone::Dim);
                let line = format!("  ironwake system confirm {token}");
                page.line(paint::line(look, [(&line, Tone::Accent)]));
            }
        }
    }
    if let Some(refused) = &first.refused {
        page.gap();
        page.said(symbols.bad, refused, Tone::Bad);
    }
}

fn done(page: &mut Page, model: &Model, first: &First, by_hand: bool) {
    let look = model.setup.look;
    let symbols = look.symbols();
    if by_hand {
        let text = "All of it is written. This host has no systemd that starts the daemon again: end it, and start it as you did. \
                    It serves then.";
        page.said(symbols.warn, text, Tone::Warn);
    } else {
        page.said(
            symbols.ok,
            "It serves. Switch on a machine that boots from the network: it shows up here.",
            Tone::Ok,
        );
    }
    if model.access.is_locked() {
        page.gap();
        let text = "Sessions have ended with the daemon before: ctrl-l logs in again where something is to be changed.";
        page.text(("", Tone::Plain), text, Tone::Dim);
    }
    if !first.keys.listed.is_empty() {
        page.gap();
        page.text(("", Tone::Plain), "The listed keys may log in over SSH.", Tone::Dim);
    }
    page.gap();
    page.text(
        ("", Tone::Plain),
        "Everything can be changed later under System, Settings (6, then s).",
        Tone::Dim,
    );
    page.gap();
    page.line(paint::line(look, [("Enter", Tone::Accent), (" shows machines.", Tone::Plain)]));
}
