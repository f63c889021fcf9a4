//! `ironwake over-ssh`: one command of somebody who has logged in over SSH.
//!
//! The SSH server starts it, with the line that its client sent in a variable. The line is read as this command's own arguments
//! are, and only what asks the daemon is done: nothing that runs here, and nothing that reads or writes files of this host.

use clap::Parser as _;

use super::{
    Cli, Command, Failure, appliance, artifact, builder, config, machine, profile, setup, update, words,
};

/// Holds the line; an argument could be read by every user of the host.
const LINE: &str = "IRONWAKE_LINE";
/// The command's own name, which a line may begin with.
const NAME: &str = "ironwake";

/// The command that the line says; a line that is none ends the process as wrong arguments do.
pub fn read() -> Result<Cli, Failure> {
    let line = std::env::var(LINE).map_err(|_| {
        Failure::Usage(format!("over-ssh is what the SSH server starts, with a line in the variable {LINE}"))
    })?;
    let words = words::split(&line).map_err(Failure::Usage)?;
    let skipped = usize::from(words.first().is_some_and(|word| word == NAME));
    let arguments = std::iter::once(NAME.to_owned()).chain(words.into_iter().skip(skipped));
    // It says what is wrong, or shows the help that was asked for.
    let cli = Cli::try_parse_from(arguments).unwrap_or_else(|error| error.exit());
    allow(&cli).map_err(|why| Failure::Usage(format!("over SSH, {why}")))?;
    Ok(cli)
}

/// Refuses what is not for those who are not on this host.
fn allow(cli: &Cli) -> Result<(), String> {
    if !cli.connect.is_unset() {
        return Err(
            "the daemon is the one of this host: leave out --socket, --url, --ca and --token-file".into()
        );
    }
    let here = |what: &str| Err(format!("{what} is for whoever is on the appliance itself"));
    let file = |what: &str| {
        Err(format!("{what} names a file of the appliance: give the value itself, or use the API"))
    };
    match &cli.command {
        Command::Serve(_) => here("`serve`"),
        Command::Builder(builder::Command::Run(_) | builder::Command::Make(_)) => here("`builder`"),
        Command::Doctor(_) => here("`doctor`"),
        Command::Probe(_) => here("`probe`"),
        Command::Completions(_) => here("`completions`"),
        Command::Man(_) => here("`man`"),
        Command::Password(_) => Err("the password is set in the console: `ssh HOST` opens it, then System, `P`".into()),
        Command::OverSsh => here("`over-ssh`"),
        Command::Console => here("`console`"),
        Command::Profile(profile::Command::Check { .. }) => file("`profile check`"),
        Command::Config(config::Command::Check { .. }) => file("`config check`"),
        Command::Profile(profile::Command::Render { variables, .. }) if variables.reads_files() => {
            file("--var-file")
        }
        Command::Rebuild(args) if args.reads_files() => file("--var-file"),
        Command::Rescue(args) if args.reads_files() => file("--var-file"),
        Command::Machine(machine::Command::Set(args)) if args.reads_files() => file("--value-file"),
        Command::Config(config::Command::Set(args)) if args.reads_files() => file("--file"),
        Command::Setup(setup::Command::Apply { file: named, .. }) if named.as_os_str() != "-" => {
            file("`setup apply`")
        }
        Command::Key(command) if command.reads_files() => {
            Err("keys come on standard input: `ssh HOST key add < FILE`".into())
        }
        Command::Artifact(artifact::Command::Import(args)) if args.reads_files() => Err(
            "an image comes by URL, or as `-` from standard input: `ssh HOST artifact import NAME - < FILE`"
                .into(),
        ),
        Command::Backup(args) if args.names_files() => {
            Err("a backup goes to standard output, and its passphrase comes on standard input: `ssh HOST backup - --stdin > \
                 FILE`"
                .into())
        }
        Command::Restore(args) if args.names_files() => {
            Err("a backup comes on standard input, behind a line with its passphrase: `(cat PASSPHRASE; cat FILE) | ssh \
                 HOST restore - --stdin`"
                .into())
        }
        Command::Update { command: Some(update::Command::Install(args)) } if args.reads_files() => {
            Err("an update comes by URL, or as `-` from standard input: `ssh HOST update install - < FILE`"
                .into())
        }
        Command::Appliance(appliance::Command::Bundle(_)) => here("`appliance bundle`"),
        Command::Appliance(command) if command.is_of_a_unit() => here("`appliance`"),
        Command::Appliance(_)
        | Command::Update { .. }
        | Command::Machine(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Inspect(_)
        | Command::Rebuild(_)
        | Command::Rescue(_)
        | Command::Shell(_)
        | Command::Wipe(_)
        | Command::Operation(_)
        | Command::Profile(
            profile::Command::List { .. } | profile::Command::Show { .. } | profile::Command::Render { .. },
        )
        | Command::Events(_)
        | Command::Lease(_)
        | Command::Artifact(_)
        | Command::Webhook(_)
        | Command::Token(_)
        | Command::Key(_)
        | Command::Whoami
        | Command::Ca(_)
        | Command::Config(
            config::Command::Show
            | config::Command::Set(_)
            | config::Command::Unset(_)
            | config::Command::Example,
        )
        | Command::Setup(_)
        | Command::System(_)
        | Command::Simulate(_)
        | Command::Health
        | Command::Version => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected` is empty for a line that is done.
    #[track_caller]
    fn check(line: &str, expected: &str) {
        let words = words::split(line).expect("words");
        let cli = Cli::try_parse_from(std::iter::once(NAME.to_owned()).chain(words));
        let said = allow(&cli.unwrap_or_else(|error| panic!("{line}: {error}"))).err().unwrap_or_default();
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{line}: {said}");
    }

    #[test]
    fn what_asks_the_daemon_is_done() {
        for line in [
            "machine list --json",
            "--json health",
            "machine show node-1",
            "machine set node-1 --value timezone=Europe/Vienna",
            "rebuild node-1 --profile cloud-image --var image=trixie --yes --wait",
            "wipe node-1 --disk smallest --yes",
            "rescue node-1",
            "shell node-1 -- uname -a",
            "operation follow 1",
            "events --follow",
            "artifact import trixie -",
            "artifact import trixie https://example.org/a.raw --sha256 00",
            "profile render cloud-image --machine node-1 --var image=trixie",
            "config show",
            "config set enrolment.policy=auto",
            "token list",
            "whoami",
            "key list --json",
            "key add",
            "key add -",
            "key delete SHA256:abc",
            "key one-time-password",
            "setup apply -",
            "system show",
            "update",
            "update install -",
            "update install https://example.org/a.update",
            "appliance show",
            "appliance disks",
            "appliance install --disk serial=S1 --yes-wipe sda",
            "backup - --stdin",
            "restore - --stdin --replace --yes",
            "version",
        ] {
            check(line, "");
        }
    }

    #[test]
    fn what_runs_on_the_host_or_names_its_files_is_refused() {
        for (line, said) in [
            ("serve", "`serve` is for whoever is on the appliance"),
            ("serve --config /etc/passwd", "`serve`"),
            ("update install /etc/shadow", "`-` from standard input: `ssh HOST update install - < FILE`"),
            ("appliance bless", "`appliance`"),
            ("appliance bundle a --version 1 --key b --output c", "`appliance bundle`"),
            ("builder run", "`builder`"),
            ("doctor", "`doctor`"),
            ("appliance install-disk", "`appliance`"),
            ("probe dhcp --interface eth0 --arch 7", "`probe`"),
            ("completions bash", "`completions`"),
            ("man /tmp", "`man`"),
            ("password set --stdin", "set in the console: `ssh HOST` opens it"),
            ("over-ssh", "`over-ssh`"),
            ("console", "`console`"),
            ("profile check /etc", "`profile check` names a file"),
            ("config check /etc/shadow", "`config check` names a file"),
            ("setup apply /etc/shadow", "`setup apply` names a file"),
            ("backup /tmp/a", "`ssh HOST backup - --stdin > FILE`"),
            ("backup - --passphrase-file /etc/shadow", "`ssh HOST backup - --stdin > FILE`"),
            ("restore /tmp/a", "ssh HOST restore - --stdin`"),
            ("restore - --state /tmp", "ssh HOST restore - --stdin`"),
            ("key add /etc/shadow", "standard input: `ssh HOST key add < FILE`"),
            ("config set --file a=/etc/shadow", "--file names a file"),
            ("machine set node-1 --value-file a=/etc/shadow", "--value-file names a file"),
            ("rebuild node-1 --profile a --var-file a=/etc/shadow", "--var-file names a file"),
            ("rescue node-1 --profile a --var-file a=/etc/shadow", "--var-file names a file"),
            ("profile render a --machine b --var-file a=/etc/shadow", "--var-file names a file"),
            ("artifact import a /etc/shadow", "`-` from standard input"),
            (
                "artifact import a https://x/y --checksums https://x/z --signature https://x/s --keyring /k",
                "`-` from",
            ),
            ("--socket /run/another.sock health", "leave out --socket"),
            ("machine list --socket /run/another.sock", "leave out --socket"),
            ("health --url https://example.org", "leave out"),
            ("health --ca /etc/passwd", "leave out"),
            ("health --token-file /etc/passwd", "leave out"),
        ] {
            check(line, said);
        }
    }
}
