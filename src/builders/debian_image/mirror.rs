//! Where packages come from: the suites of a release on a mirror, and what their Release files say at the moment.

use std::path::Path;

use super::child::{Child, ChildError};
use crate::artifact::Digest;

/// Debian's keys, in the image and on the host that builds it.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// How this host reaches its mirrors: proxies and the like.
const SETTINGS: &[&str] = &[
    "Acquire::http",
    "Acquire::https",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::Retries",
    "Acquire::ForceIPv",
];

/// A suite on a mirror, as it is at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// URL of the mirror.
    pub mirror: String,
    /// Such as `trixie-updates`.
    pub name: String,
    /// Digest of its signed Release file, which names the digests of all else.
    pub release: Digest,
    /// When that was made, in seconds since 1970.
    pub made: u64,
}

impl Suite {
    /// The line that apt reads.
    pub fn line(&self) -> String {
        format!("deb [signed-by={KEYRING}] {} {} main\n", self.mirror, self.name)
    }
}

/// The suites of a release: on `mirror` if one is given, else where this host's apt has those of its own release.
pub fn suites(
    release: &str,
    mirror: Option<&str>,
    work: &Path,
    on_line: &mut dyn FnMut(&str),
) -> Result<Vec<Suite>, ChildError> {
    let places = match mirror {
        Some(mirror) => on_one_mirror(release, mirror),
        None => {
            let indexes = Child::new("apt-get", "find the mirror of this host")
                .args(["indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"])
                .output(on_line)?;
            let os = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
            places(release, codename(&os), &indexes)
        }
    };
    if places.is_empty() {
        let reason =
            "this host's apt knows no lists of Debian: run `apt-get update`, or name a mirror with --mirror"
                .to_owned();
        return Err(ChildError::Missing { what: "find the mirror of this host", reason });
    }
    places.into_iter().map(|(mirror, name)| suite(mirror, name, work, on_line)).collect()
}

fn suite(
    mirror: String,
    name: String,
    work: &Path,
    on_line: &mut dyn FnMut(&str),
) -> Result<Suite, ChildError> {
    let file = work.join(format!("{name}.InRelease"));
    let url = format!("{}/dists/{name}/InRelease", mirror.trim_end_matches('/'));
    Child::new("/usr/lib/apt/apt-helper", "read what the mirror has")
        .args(["-q", "download-file", &url])
        .arg(&file)
        .run(on_line)?;
    let text = super::read(&file)?;
    let shown = String::from_utf8_lossy(&text);
    let date = shown.lines().find_map(|line| line.strip_prefix("Date: ")).unwrap_or_default();
    let made = Child::new("date", "read when the mirror was updated")
        .args(["--utc", "+%s", "--date", date])
        .output(on_line)?;
    let made = made.trim().parse().unwrap_or_default();
    Ok(Suite { mirror, name, release: Digest::of(&text), made })
}

fn on_one_mirror(release: &str, mirror: &str) -> Vec<(String, String)> {
    [release.to_owned(), format!("{release}-updates")].map(|name| (mirror.to_owned(), name)).into()
}

/// The release's suites, each where `indexes` (lines of a suite and its mirror) has that of the host's own release.
fn places(release: &str, own: &str, indexes: &str) -> Vec<(String, String)> {
    let mirror_of = |suite: String| {
        indexes.lines().filter_map(|line| line.split_once(' ')).find(|(name, _)| *name == suite)
    };
    ["", "-updates", "-security"]
        .iter()
        .filter_map(|part| {
            let (_, mirror) = mirror_of(format!("{own}{part}"))?;
            Some((mirror.trim().to_owned(), format!("{release}{part}")))
        })
        .collect()
}

fn codename(os_release: &str) -> &str {
    os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or_default()
}

/// What this host's apt needs to reach its mirrors, in apt's own words.
pub fn settings(on_line: &mut dyn FnMut(&str)) -> Result<String, ChildError> {
    let all =
        Child::new("apt-config", "read how this host reaches its mirrors").arg("dump").output(on_line)?;
    Ok(reaching(&all))
}

fn reaching(all: &str) -> String {
    let wanted = |line: &&str| SETTINGS.iter().any(|name| line.starts_with(name));
    all.lines().filter(wanted).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_release_is_where_the_own_one_is() {
        let indexes = "bookworm http://a.example/debian/\nbookworm-security http://b.example/sec/\n\
                       nodistro http://c.example/\nbookworm-updates http://a.example/debian/\n";
        let found = places("trixie", codename("ID=debian\nVERSION_CODENAME=bookworm\n"), indexes);
        let text = |mirror: &str, name: &str| (mirror.to_owned(), name.to_owned());
        assert_eq!(
            found,
            [
                text("http://a.example/debian/", "trixie"),
                text("http://a.example/debian/", "trixie-updates"),
                text("http://b.example/sec/", "trixie-security"),
            ]
        );
        assert_eq!(places("trixie", "noble", indexes), []);
    }

    #[test]
    fn only_what_reaching_a_mirror_needs_is_taken_over() {
        let all = "APT::Architecture \"amd64\";\nAcquire::http::Proxy \"http://p.example\";\n\
                   Acquire::Languages \"none\";\nAcquire::Check-Date \"false\";\n";
        assert_eq!(
            reaching(all),
            "Acquire::http::Proxy \"http://p.example\";\nAcquire::Check-Date \"false\";\n"
        );
    }
}
