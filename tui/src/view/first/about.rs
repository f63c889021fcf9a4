//! What each step is about, in plain words.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::paint;
use crate::human;
use crate::look::Tone;
use crate::model::Model;
use crate::model::first::{First, Phase, Stage};

/// What a step is about: a paragraph each. Where there is little room, the first one is all.
pub fn paragraphs(stage: Stage) -> &'static [&'static str] {
    match stage {
        Stage::Password => &[
            "The administrator's password unlocks this console and the console over SSH. What changes something needs it.",
            "8 characters or more, or a PIN of 6 digits or more. It is kept as a hash and shown nowhere.",
            "It can be changed later under System.",
        ],
        Stage::Keyboard => &[
            "The keyboard of the appliance's own screen. Type a part of its name.",
            "It is set at once, so that what is typed in the next steps is what you mean. Over SSH the keyboard of your own \
             computer counts.",
        ],
        Stage::Interface => &[
            "The interface whose network machines boot from.",
            "Others are left alone: Ironwake answers nothing there. More of them can be served later under System, Settings.",
            "Below each stands what answered when its network was asked for DHCP servers.",
        ],
        Stage::Address => &[
            "The appliance's own address on this interface. Server mode needs a static one.",
            "A change of it has to be confirmed within a minute at the end. Otherwise it goes back by itself, so that nobody is \
             locked out by a slip.",
        ],
        Stage::Dhcp => &[
            "How machines that boot learn where from.",
            "Proxy is the safe choice on a network that works: it adds to what the DHCP server there says, and gives no \
             addresses.",
            "It can be changed at any time under System, Settings.",
        ],
        Stage::Range => &[
            "What machines are given in server mode.",
            "Addresses as FIRST-LAST, several with commas. They lie in the appliance's own network, without its own address and \
             without those of anybody who keeps one.",
            "A router is needed only if machines are to reach other networks.",
        ],
        Stage::Name => &[
            "What the appliance is called, in its prompt, its log and on the network.",
            "Letters, digits and hyphens; dots between parts.",
        ],
        Stage::Time => &[
            "The time zone is for people: the daemon itself counts in UTC. Type a part of a city's name.",
            "A clock that is right keeps certificates valid and logs readable. Time servers can stay empty: then those of the \
             system count.",
        ],
        Stage::Keys => &[
            "Whoever holds a listed key may use the console and commands over SSH, besides whoever knows the password.",
            "Paste the line of a .pub file, or plug in a USB stick that has such a file.",
            "ssh-copy-id: makes a password that is good once, for a key to be sent from another computer, and for nothing else.",
            "None is needed: they can be added at any time.",
        ],
        Stage::Summary => &[
            "Nothing of this is done yet, but what is listed as done.",
            "Everything can be changed later under System, Settings.",
        ],
    }
}

/// Paints it beside the step.
pub fn show(model: &Model, first: &First, buffer: &mut Buffer, rect: Rect) {
    let look = model.setup.look;
    if first.phase != Phase::Filling {
        return;
    }
    let columns = usize::from(rect.width);
    let mut lines = vec![paint::heading(look, first.stage.title(), "", columns)];
    for paragraph in paragraphs(first.stage) {
        lines.push(Line::default());
        let wrapped = human::wrap(paragraph, columns);
        lines.extend(wrapped.into_iter().map(|text| paint::line(look, [(&text, Tone::Dim)])));
    }
    paint::lines(buffer, rect, &lines, 0, look);
}
