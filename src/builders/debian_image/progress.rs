//! How a build gets on, from what its programs say.

use super::MIB;

/// What whoever asked for a build is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// It begins with something else.
    Stage(&'static str),
    /// So much of the stage is done, of so much where that is known.
    Bytes {
        /// Done.
        done: u64,
        /// Of.
        total: Option<u64>,
    },
    /// A program said this.
    Line(String),
}

/// How a line of mmdebstrap begins, and what it does from there on.
const STAGES: &[(&str, &str)] = &[
    ("I: running apt-get update", "reading the lists of packages"),
    ("I: downloading packages", "downloading the essential packages"),
    ("I: extracting archives", "unpacking the essential packages"),
    ("I: installing essential packages", "installing the essential packages"),
    ("I: installing remaining packages", "installing the other packages"),
    ("I: running --customize-hook", "making the initramfs and what boots it"),
    ("I: creating tarball", "gathering the files"),
];

/// Reports are no finer than this.
const STEP_BYTES: u64 = 4 * MIB;

/// Turns what programs say into reports.
pub struct Watch<'a> {
    report: &'a mut dyn FnMut(Report),
    done: u64,
    total: Option<u64>,
    reported: u64,
}

impl<'a> Watch<'a> {
    /// Reports to `report`.
    pub fn new(report: &'a mut dyn FnMut(Report)) -> Self {
        Self { report, done: 0, total: None, reported: 0 }
    }

    /// Something else begins.
    pub fn stage(&mut self, stage: &'static str) {
        (self.done, self.total, self.reported) = (0, None, 0);
        (self.report)(Report::Stage(stage));
    }

    /// So much is done.
    pub fn bytes(&mut self, done: u64, total: Option<u64>) {
        if done >= self.reported + STEP_BYTES || Some(done) == total {
            self.reported = done;
            (self.report)(Report::Bytes { done, total });
        }
    }

    /// A program said something.
    pub fn line(&mut self, line: &str) {
        (self.report)(Report::Line(line.to_owned()));
    }

    /// mmdebstrap said something: what it begins with, and how far its apt is.
    pub fn mmdebstrap(&mut self, line: &str) {
        if let Some((_, stage)) = STAGES.iter().find(|(begin, _)| line.starts_with(begin)) {
            self.stage(stage);
        }
        if let Some(size) = line.strip_prefix("Need to get ").and_then(size) {
            (self.done, self.total, self.reported) = (0, Some(size), 0);
        } else if line.starts_with("Get:")
            && let Some(size) = line.rsplit_once('[').and_then(|(_, size)| self::size(size))
        {
            self.done += size;
            self.bytes(self.done, self.total);
        }
        self.line(line);
    }
}

/// A size as apt writes it, such as `9,678 kB` or `25.4 MB/30 MB of archives`; its units are decimal.
fn size(text: &str) -> Option<u64> {
    let (number, rest) = text.split_once(' ')?;
    let number: f64 = number.replace(',', "").parse().ok()?;
    let unit = match rest.trim_end_matches(']').split([' ', '/']).next()? {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    Some((number * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_apt_writes_them() {
        for (text, expected) in [
            ("25.4 MB of archives.", Some(25_400_000)),
            ("25.4 MB/133 MB of archives.", Some(25_400_000)),
            ("9,678 kB]", Some(9_678_000)),
            ("612 B]", Some(612)),
            ("0 B of archives.", Some(0)),
            ("amd64]", None),
            ("1 parsec", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
    }

    #[test]
    fn downloads_are_counted_within_their_stage() {
        let mut reports = Vec::new();
        let mut report = |report| reports.push(report);
        let mut watch = Watch::new(&mut report);
        for line in [
            "I: downloading packages with apt...",
            "Need to get 10.0 MB of archives.",
            "Get:1 http://a.example/debian trixie/main amd64 gcc-14-base amd64 14.2.0-19 [1000 kB]",
            "Get:2 http://a.example/debian trixie/main amd64 libc6 amd64 2.41-12 [9000 kB]",
            "I: extracting archives...",
        ] {
            watch.mmdebstrap(line);
        }
        reports.retain(|report| !matches!(report, Report::Line(_)));
        assert_eq!(
            reports,
            [
                Report::Stage("downloading the essential packages"),
                Report::Bytes { done: 10_000_000, total: Some(10_000_000) },
                Report::Stage("unpacking the essential packages"),
            ]
        );
    }
}
