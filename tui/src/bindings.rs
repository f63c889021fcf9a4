//! The key table: context × key → action. The help screen, the hints in the footer and the palette are printed from it.

use crate::key::Key;

/// Where a key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Context {
    /// On every screen, unless a dialog is open.
    Everywhere,
    /// The list of machines.
    Machines,
    /// One machine.
    Machine,
    /// The steps of a rebuild.
    Rebuild,
    /// The list of operations.
    Operations,
    /// One operation.
    Operation,
    /// The tail of events.
    Events,
    /// Artifacts and builds.
    Artifacts,
    /// Interfaces and leases.
    Network,
    /// The appliance itself.
    System,
    /// Every setting.
    Settings,
    /// The steps of the first set-up.
    First,
    /// A line of text is typed.
    Typing,
    /// A text of several lines is typed.
    Editor,
    /// Some of a list are chosen.
    Picker,
    /// One of a list is chosen.
    Choice,
    /// A QR code is shown.
    Code,
    /// The palette is open.
    Palette,
    /// A question waits for an answer.
    Question,
    /// The help screen.
    Help,
}

impl Context {
    /// Every context, in the order of the help screen.
    pub const ALL: [Self; 20] = [
        Self::Everywhere,
        Self::Machines,
        Self::Machine,
        Self::Rebuild,
        Self::Operations,
        Self::Operation,
        Self::Events,
        Self::Artifacts,
        Self::Network,
        Self::System,
        Self::Settings,
        Self::First,
        Self::Palette,
        Self::Typing,
        Self::Editor,
        Self::Picker,
        Self::Choice,
        Self::Code,
        Self::Question,
        Self::Help,
    ];

    /// Its heading on the help screen.
    pub fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::Machines => "Machines",
            Self::Machine => "Machine",
            Self::Rebuild => "Rebuild",
            Self::Operations => "Operations",
            Self::Operation => "Operation",
            Self::Events => "Events",
            Self::Artifacts => "Artifacts and builds",
            Self::Network => "Network",
            Self::System => "System",
            Self::Settings => "Settings",
            Self::First => "First set-up",
            Self::Typing => "Typing",
            Self::Editor => "Notes",
            Self::Picker => "Choosing",
            Self::Choice => "Choosing one",
            Self::Code => "QR code",
            Self::Palette => "Palette",
            Self::Question => "Questions",
            Self::Help => "Help",
        }
    }

    /// Whether what is below it hears no key while it is open.
    pub fn is_modal(self) -> bool {
        matches!(
            self,
            Self::First
                | Self::Typing
                | Self::Editor
                | Self::Picker
                | Self::Choice
                | Self::Code
                | Self::Palette
                | Self::Question
                | Self::Help
        )
    }
}

macro_rules! actions {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// Everything that a key can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Action { $($(#[$meta])* $name,)* }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

actions! {
    /// Ends the console.
    Quit,
    /// Opens the help screen.
    Help,
    /// Opens the palette.
    Palette,
    /// Leaves what is open.
    Back,
    /// Asks the daemon for everything again.
    Refresh,
    /// Locks the console, or asks for a login.
    Lock,
    /// Sets the administrator's password.
    Password,
    /// One item back.
    Up,
    /// One item on.
    Down,
    /// A page back.
    PageUp,
    /// A page on.
    PageDown,
    /// To the first item.
    First,
    /// To the last item.
    Last,
    /// Opens what is chosen.
    Open,
    /// Narrows the list by a text.
    Search,
    /// The next tab.
    NextTab,
    /// The tab before.
    PreviousTab,
    /// The list of machines.
    GoMachines,
    /// The list of operations.
    GoOperations,
    /// The tail of events.
    GoEvents,
    /// Artifacts and builds.
    GoArtifacts,
    /// Interfaces and leases.
    GoNetwork,
    /// The appliance itself.
    GoSystem,
    /// Sorts by the next column.
    Sort,
    /// Sorts the other way round.
    SortReverse,
    /// Narrows the list by state.
    FilterState,
    /// Narrows the list by tag.
    FilterTag,
    /// Marks or unmarks an item.
    Mark,
    /// Marks every item that is shown, or none.
    MarkAll,
    /// Makes machines known.
    Enroll,
    /// Has the inventory read again.
    Inspect,
    /// Opens the steps of a rebuild.
    Rebuild,
    /// Overwrites disks.
    Wipe,
    /// Boots a system in RAM.
    Rescue,
    /// Asks for discovery at the next boot, or takes that back.
    Discover,
    /// Deletes what is chosen.
    Delete,
    /// Changes the name.
    Rename,
    /// Changes the tags.
    EditTags,
    /// Changes the notes.
    EditNotes,
    /// Takes an operation back.
    Cancel,
    /// Takes an arming back.
    Disarm,
    /// Arms what is recorded.
    Arm,
    /// Does an operation again.
    Retry,
    /// Narrows the list to what runs, failed, or all.
    FilterEnded,
    /// Goes to the machine of an item.
    GoMachine,
    /// Holds the tail, or lets it follow.
    Pause,
    /// Shows events of one level and above.
    FilterLevel,
    /// Shows events of one machine.
    FilterMachine,
    /// Shows events about some things only.
    FilterAbout,
    /// Moves back in the stages of a boot.
    StagesUp,
    /// Moves on in the stages of a boot.
    StagesDown,
    /// Pins an import, or takes the pin back.
    Pin,
    /// Orders a build.
    Build,
    /// Names the appliance.
    SetHostname,
    /// Sets its time zone.
    SetTimezone,
    /// Sets its clock from the network, or not any more.
    SetNtp,
    /// Names the servers that its clock is set from.
    SetNtpServers,
    /// Sets its keyboard.
    SetKeyboard,
    /// Gives one of its interfaces another address.
    SetAddress,
    /// Keeps the address that was given last.
    KeepAddress,
    /// Starts one of its services again.
    RestartUnit,
    /// Restarts it.
    Reboot,
    /// Switches it off.
    PowerOff,
    /// Goes on with an update: looks for one, installs it, or restarts into it.
    Update,
    /// Installs the appliance on one of its disks.
    InstallOnDisk,
    /// Makes the appliance as it was made.
    FactoryReset,
    /// Shows where a browser finds what is open, as a QR code.
    ShowCode,
    /// The steps of the first set-up.
    GoFirst,
    /// The list of settings.
    GoSettings,
    /// Changes a setting.
    EditSetting,
    /// Takes a setting back that was changed through the API.
    UnsetSetting,
    /// Sets something by its key.
    NewSetting,
    /// Narrows settings to what somebody set or changed.
    FilterOrigin,
    /// The next pane of the screen.
    NextPane,
    /// The next step.
    Next,
    /// The next choice of a value.
    Choose,
    /// Takes what was typed.
    Accept,
    /// Sends a text that was typed.
    Save,
    /// Chooses one of a list, or does not any more.
    Toggle,
    /// Completes what was typed.
    Complete,
    /// Says yes.
    Yes,
    /// Says no.
    No,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Where it counts.
    pub context: Context,
    /// Its keys, the one that is shown first.
    pub keys: &'static [&'static str],
    /// What it does.
    pub action: Action,
    /// Its name in the palette.
    pub name: &'static str,
    /// In the footer; empty for what is not worth the room.
    pub hint: &'static str,
    /// A line for the help screen.
    pub help: &'static str,
}

macro_rules! table {
    ($($context:ident, [$($key:literal),+], $action:ident, $name:literal, $hint:literal, $help:literal;)*) => {
        /// Every binding, in the order in which help shows them.
        pub const BINDINGS: &[Binding] = &[$(Binding {
            context: Context::$context,
            keys: &[$($key),+],
            action: Action::$action,
            name: $name,
            hint: $hint,
            help: $help,
        },)*];
    };
}

#[rustfmt::skip]
table! {
    Everywhere, ["up", "k"], Up, "up", "", "One line up";
    Everywhere, ["down", "j"], Down, "down", "", "One line down";
    Everywhere, ["pageup", "ctrl-b"], PageUp, "page up", "", "A page up";
    Everywhere, ["pagedown", "ctrl-f"], PageDown, "page down", "", "A page down";
    Everywhere, ["home", "g"], First, "first", "", "To the first line";
    Everywhere, ["end", "G"], Last, "last", "", "To the last line";
    Everywhere, ["esc"], Back, "back", "", "Leave what is open; drop search, filter, marks";
    Everywhere, ["1"], GoMachines, "machines", "", "Machines";
    Everywhere, ["2"], GoOperations, "operations", "", "Operations";
    Everywhere, ["3"], GoEvents, "events", "", "Events, as they happen";
    Everywhere, ["4"], GoArtifacts, "artifacts", "", "Images, loaders and builds";
    Everywhere, ["5"], GoNetwork, "network", "", "Interfaces and leases";
    Everywhere, ["6"], GoSystem, "system", "", "The appliance itself";
    Everywhere, ["f2"], GoFirst, "set up the appliance", "set up", "The first set-up";
    Everywhere, [":", "ctrl-p"], Palette, "palette", "commands", "Reach any action or machine by name";
    Everywhere, ["?", "f1"], Help, "help", "help", "This list";
    Everywhere, ["ctrl-r", "f5"], Refresh, "refresh", "", "Ask for everything again";
    Everywhere, ["Y"], KeepAddress, "address: keep", "", "Keep an address that goes back otherwise";
    Everywhere, ["ctrl-l"], Lock, "lock or log in", "", "Lock it, or log in";
    Everywhere, ["q", "ctrl-c"], Quit, "quit", "quit", "Leave the console";

    Machines, ["enter", "right"], Open, "machine: open", "open", "Everything about this machine";
    Machines, ["/"], Search, "machines: search", "search", "Only those with this text in name, MAC, address, model, tag …";
    Machines, ["space"], Mark, "machines: mark", "mark", "Mark it; actions then concern all that are marked";
    Machines, ["a"], MarkAll, "machines: mark all", "", "Mark all that are listed, or none";
    Machines, ["b"], Rebuild, "machine: rebuild", "rebuild", "Rebuild it by a profile; confirmed by name";
    Machines, ["e"], Enroll, "machine: enroll", "enroll", "Make it known";
    Machines, ["i"], Inspect, "machine: inspect", "inspect", "Read its hardware again at its next boot; writes nothing";
    Machines, ["d"], Disarm, "machine: disarm", "disarm", "Take its arming back; it stays recorded";
    Machines, ["c"], Cancel, "machine: cancel", "", "Take its whole operation back";
    Machines, ["w"], Wipe, "machine: wipe", "", "Overwrite its disks; confirmed by name";
    Machines, ["D", "delete"], Delete, "machine: delete", "", "Delete its record, not what is on its disks";
    Machines, ["s"], Sort, "machines: sort", "sort", "Sort by the next column";
    Machines, ["S"], SortReverse, "machines: reverse the sort", "", "Sort the other way round";
    Machines, ["f"], FilterState, "machines: filter by state", "filter", "Only one state, the next one with each press";
    Machines, ["t"], FilterTag, "machines: filter by tag", "tags", "Only machines with the tags that are chosen";
    Machines, ["tab"], NextTab, "next tab", "", "The next screen";
    Machines, ["shift-tab"], PreviousTab, "previous tab", "", "The screen before";

    Machine, ["tab", "right", "l"], NextPane, "machine: next tab", "tabs", "Overview, hardware, boots, operations, host, notes";
    Machine, ["shift-tab", "left", "h"], PreviousTab, "machine: previous tab", "", "The tab before";
    Machine, ["enter"], Open, "machine: show", "", "Open the operation that is chosen";
    Machine, ["J"], StagesDown, "machine: stages down", "", "On in the stages of a boot; pagedown by pages";
    Machine, ["K"], StagesUp, "machine: stages up", "", "Back in the stages of a boot; pageup by pages";
    Machine, ["b"], Rebuild, "machine: rebuild", "rebuild", "Rebuild it by a profile; confirmed by name";
    Machine, ["e"], Enroll, "machine: enroll", "enroll", "Make it known";
    Machine, ["i"], Inspect, "machine: inspect", "inspect", "Read its hardware again at its next boot; writes nothing";
    Machine, ["d"], Disarm, "machine: disarm", "disarm", "Take its arming back; it stays recorded";
    Machine, ["c"], Cancel, "machine: cancel", "", "Take its whole operation back";
    Machine, ["w"], Wipe, "machine: wipe", "wipe", "Overwrite its disks; confirmed by name";
    Machine, ["r"], Rescue, "machine: rescue", "", "A system in RAM at its next boot; writes nothing by itself";
    Machine, ["x"], Discover, "machine: discover", "", "Discovery at its next boot, or take that back";
    Machine, ["n"], Rename, "machine: rename", "rename", "Change its name";
    Machine, ["T"], EditTags, "machine: tags", "", "Change its tags";
    Machine, ["N"], EditNotes, "machine: notes", "notes", "Change its notes, in as many lines as they need";
    Machine, ["u"], ShowCode, "machine: QR code", "", "Its URL as a QR code";
    Machine, ["D", "delete"], Delete, "machine: delete", "", "Delete its record, not what is on its disks";

    Rebuild, ["enter"], Next, "rebuild: next", "next", "Go on; the last step asks for the machine's name";
    Rebuild, ["space", "right"], Choose, "rebuild: choose", "choose", "The next choice where a value has choices";
    Rebuild, ["tab"], NextPane, "rebuild: next field", "", "The next field";

    Operations, ["enter", "right"], Open, "operation: open", "open", "Its states, disks, steps and history";
    Operations, ["m"], GoMachine, "operation: machine", "machine", "Go to its machine";
    Operations, ["c"], Cancel, "operation: cancel", "cancel", "Take it back";
    Operations, ["d"], Disarm, "operation: disarm", "disarm", "Take its arming back; it stays recorded";
    Operations, ["a"], Arm, "operation: arm", "arm", "Arm what is recorded; one that writes is confirmed by name";
    Operations, ["r"], Retry, "operation: retry", "retry", "Do one again that failed; one that writes is confirmed by name";
    Operations, ["f"], FilterEnded, "operations: filter", "filter", "All, running, or failed";
    Operations, ["/"], Search, "operations: search", "search", "Only those with this text";
    Operations, ["tab"], NextTab, "next tab", "", "The next screen";
    Operations, ["shift-tab"], PreviousTab, "previous tab", "", "The screen before";

    Operation, ["m", "enter"], GoMachine, "operation: machine", "machine", "Go to its machine";
    Operation, ["c"], Cancel, "operation: cancel", "cancel", "Take it back";
    Operation, ["d"], Disarm, "operation: disarm", "disarm", "Take its arming back; it stays recorded";
    Operation, ["a"], Arm, "operation: arm", "arm", "Arm it, if it is recorded; one that writes is confirmed by name";
    Operation, ["r"], Retry, "operation: retry", "retry", "Do it again, if it failed; one that writes is confirmed by name";

    Events, ["space", "p"], Pause, "events: hold", "hold", "Hold the tail, or let it follow";
    Events, ["/"], Search, "events: search", "search", "Only those with this text";
    Events, ["f"], FilterLevel, "events: filter", "filter", "All, what matters, or troubles only";
    Events, ["t"], FilterAbout, "events: by kind", "kinds", "Only events about what is chosen: boots, operations, network …";
    Events, ["o"], FilterMachine, "events: of this machine", "one machine", "Only events of the chosen one's machine, or all again";
    Events, ["enter", "m"], GoMachine, "event: machine", "machine", "Go to its machine";
    Events, ["tab"], NextTab, "next tab", "", "The next screen";
    Events, ["shift-tab"], PreviousTab, "previous tab", "", "The screen before";

    Artifacts, ["p"], Pin, "artifact: pin", "pin", "Pin an import so that nothing deletes it, or take the pin back";
    Artifacts, ["D", "delete"], Delete, "artifact: delete", "delete", "Delete an import, or cancel its download";
    Artifacts, ["b"], Build, "artifact: build", "build", "Have the builder make it again";
    Artifacts, ["/"], Search, "artifacts: search", "search", "Only those with this text";
    Artifacts, ["tab"], NextTab, "next tab", "", "The next screen";
    Artifacts, ["shift-tab"], PreviousTab, "previous tab", "", "The screen before";

    Network, ["/"], Search, "leases: search", "search", "Only leases with this text";
    Network, ["enter", "m"], GoMachine, "lease: machine", "machine", "Go to the machine that has the lease";
    Network, ["tab"], NextTab, "next tab", "", "The next screen";
    Network, ["shift-tab"], PreviousTab, "previous tab", "", "The screen before";

    System, ["enter", "s"], GoSettings, "settings", "settings", "Every setting: where it comes from, and its change";
    System, ["a"], SetAddress, "system: address", "address", "Another address; Y keeps it within a minute";
    System, ["r"], RestartUnit, "system: restart a service", "restart", "Start one of its services again";
    System, ["h"], SetHostname, "system: host name", "name", "Change its host name";
    System, ["t"], SetTimezone, "system: time zone", "", "Choose its time zone";
    System, ["n"], SetNtp, "system: clock from the network", "", "Clock from the network, or not";
    System, ["v"], SetNtpServers, "system: time servers", "", "Name its time servers";
    System, ["y"], SetKeyboard, "system: keyboard", "", "Choose its keyboard";
    System, ["u"], ShowCode, "system: QR code", "QR code", "Its URL as a QR code";
    System, ["U"], Update, "system: update", "", "Look for, install a new version";
    System, ["i"], InstallOnDisk, "system: install on a disk", "", "Install it on one of its disks";
    System, ["X"], FactoryReset, "system: factory reset", "", "Destroy all it has; asks first";
    System, ["R"], Reboot, "system: reboot", "", "Restart the appliance";
    System, ["O"], PowerOff, "system: power off", "", "Switch the appliance off";
    System, ["P"], Password, "password: set", "", "Set the administrator's password or PIN";
    System, ["tab"], NextTab, "next tab", "", "The next screen";
    System, ["shift-tab"], PreviousTab, "previous tab", "", "The screen before";

    Settings, ["enter", "e"], EditSetting, "setting: change", "change", "Change its value; the daemon checks it before it counts";
    Settings, ["u", "delete"], UnsetSetting, "setting: take back", "take back", "Take back what was changed through the API";
    Settings, ["n"], NewSetting, "setting: another", "another", "Set something that is not listed, by its key";
    Settings, ["f"], FilterOrigin, "settings: filter", "filter", "All, what somebody set, or what was changed through the API";
    Settings, ["/"], Search, "settings: search", "search", "Only settings with this text";

    First, ["enter"], Next, "set-up: next", "next", "Take it and go on; at the end, do it";
    First, ["shift-tab"], PreviousTab, "set-up: back", "back", "The field before, from the first one the step before";
    First, ["tab"], NextPane, "set-up: next field", "", "The next field";
    First, ["up"], Up, "set-up: up", "", "One line or field up";
    First, ["down"], Down, "set-up: down", "", "One line or field down";
    First, ["pageup"], PageUp, "set-up: page up", "", "A page up";
    First, ["pagedown"], PageDown, "set-up: page down", "", "A page down";
    First, ["home"], First, "set-up: first", "", "To the first line";
    First, ["end"], Last, "set-up: last", "", "To the last line";
    First, ["space", "left", "right"], Choose, "set-up: yes or no", "", "Turn a yes into a no; at the end, say that a danger is meant";
    First, ["f5", "ctrl-r"], Refresh, "set-up: look again", "look again", "Look again for cables, other DHCP servers and USB sticks";
    First, ["esc"], Back, "set-up: leave", "leave", "Leave it; F2 opens it again with all that was chosen";
    First, ["f1"], Help, "set-up: help", "help", "This list";
    First, ["ctrl-l"], Lock, "set-up: lock or log in", "", "Lock the console; where it is locked, log in";
    First, ["ctrl-c"], Quit, "set-up: quit", "", "Leave the console";

    Palette, ["enter"], Accept, "palette: run", "run", "Run what is chosen";
    Palette, ["up", "ctrl-k"], Up, "list: up", "", "One line up";
    Palette, ["down", "ctrl-j"], Down, "list: down", "", "One line down";
    Palette, ["tab"], Complete, "palette: complete", "", "Complete what was typed";
    Palette, ["esc", "ctrl-c"], Back, "palette: close", "close", "Close it";

    Typing, ["enter"], Accept, "typing: accept", "accept", "Take what was typed";
    Typing, ["esc", "ctrl-c"], Back, "typing: leave", "leave", "Leave it as it was";
    Typing, ["up"], Up, "typing: up", "", "Move in the list meanwhile";
    Typing, ["down"], Down, "typing: down", "", "Move in the list meanwhile";

    Editor, ["ctrl-s", "f2"], Save, "notes: save", "save", "Save them";
    Editor, ["esc", "ctrl-c"], Back, "notes: leave", "leave as they were", "Leave them as they were";

    Picker, ["enter"], Accept, "choosing: take", "take", "Take what is chosen, else the line under the cursor";
    Picker, ["space"], Toggle, "choosing: choose", "choose several", "Choose it, to take several together";
    Picker, ["up", "ctrl-k"], Up, "list: up", "", "One line up";
    Picker, ["down", "ctrl-j"], Down, "list: down", "", "One line down";
    Picker, ["pageup"], PageUp, "list: page up", "", "A page up";
    Picker, ["pagedown"], PageDown, "list: page down", "", "A page down";
    Picker, ["esc", "ctrl-c"], Back, "choosing: leave", "leave", "Leave it as it was";

    Choice, ["enter"], Accept, "choice: take", "take", "Take the line under the cursor";
    Choice, ["up", "ctrl-k"], Up, "list: up", "", "One line up";
    Choice, ["down", "ctrl-j"], Down, "list: down", "", "One line down";
    Choice, ["pageup"], PageUp, "list: page up", "", "A page up";
    Choice, ["pagedown"], PageDown, "list: page down", "", "A page down";
    Choice, ["esc", "ctrl-c"], Back, "choosing: leave", "leave", "Leave it as it was";

    Code, ["esc", "q", "u", "enter", "ctrl-c"], Back, "code: close", "close", "Close it";

    Question, ["y", "enter"], Yes, "question: yes", "yes", "Do it";
    Question, ["n", "esc", "ctrl-c", "q"], No, "question: no", "no", "Leave it";

    Help, ["esc", "q", "?", "f1", "enter"], Back, "help: close", "close", "Close it";
    Help, ["up", "k"], Up, "list: up", "", "One line up";
    Help, ["down", "j"], Down, "list: down", "scroll", "One line down";
    Help, ["pageup", "ctrl-b"], PageUp, "list: page up", "", "A page up";
    Help, ["pagedown", "ctrl-f", "space"], PageDown, "list: page down", "", "A page down";
    Help, ["home", "g"], First, "list: first", "", "To the first line";
    Help, ["end", "G"], Last, "list: last", "", "To the last line";
    Help, ["ctrl-c"], Quit, "help: quit", "", "Leave the console";
}

/// The bindings of one context.
pub fn of(context: Context) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |binding| binding.context == context)
}

/// What `key` does where `contexts` count, the innermost first.
pub fn action(contexts: &[Context], key: Key) -> Option<Action> {
    let key = key.to_string();
    let bound = |context: &Context| of(*context).find(|binding| binding.keys.contains(&key.as_str()));
    contexts.iter().find_map(bound).map(|binding| binding.action)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_key_has_help_and_means_one_thing() {
        let mut seen = HashSet::new();
        for binding in BINDINGS {
            assert!(!binding.help.is_empty() && !binding.name.is_empty(), "{binding:?} has no help");
            for key in binding.keys {
                let parsed: Key = key.parse().unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(parsed.to_string(), *key, "is not how the key is written");
                assert!(
                    seen.insert((binding.context, *key)),
                    "{key} means two things in {:?}",
                    binding.context
                );
            }
        }
        for binding in BINDINGS.iter().filter(|binding| !binding.context.is_modal()) {
            for key in binding.keys.iter().filter(|_| binding.context != Context::Everywhere) {
                assert!(
                    !seen.contains(&(Context::Everywhere, *key)),
                    "{key} of {binding:?} hides one that is everywhere"
                );
            }
        }
    }

    #[test]
    fn every_action_has_a_key_and_every_context_a_binding() {
        for action in Action::ALL {
            assert!(BINDINGS.iter().any(|binding| binding.action == *action), "{action:?} has no key");
        }
        for context in Context::ALL {
            assert!(of(context).next().is_some(), "{context:?} has no key");
        }
    }

    #[test]
    fn a_name_in_the_palette_is_one_action() {
        for binding in BINDINGS {
            let same = BINDINGS.iter().filter(|other| other.name == binding.name);
            for other in same {
                assert_eq!(other.action, binding.action, "{}", binding.name);
            }
        }
    }

    #[test]
    fn the_innermost_context_comes_first() {
        let key = |text: &str| text.parse().expect("a key");
        let contexts = [Context::Machines, Context::Everywhere];
        assert_eq!(action(&contexts, key("b")), Some(Action::Rebuild));
        assert_eq!(action(&contexts, key("j")), Some(Action::Down));
        assert_eq!(action(&[Context::Typing], key("j")), None);
    }
}
