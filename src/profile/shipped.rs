//! The profiles that the program brings along.

/// A profile's folder as text.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// Its name, which is that of its folder.
    pub name: &'static str,
    /// Its `profile.toml`.
    pub profile: &'static str,
    /// Its templates by name.
    pub templates: &'static [(&'static str, &'static str)],
}

macro_rules! shipped {
    ($($name:literal [$($template:literal),*],)*) => {
        &[$(Shipped {
            name: $name,
            profile: include_str!(concat!("../../assets/profiles/", $name, "/profile.toml")),
            templates: &[$((
                $template,
                include_str!(concat!("../../assets/profiles/", $name, "/", $template)),
            )),*],
        },)*]
    };
}

/// Every shipped profile in the order of names.
pub const SHIPPED: &[Shipped] = shipped! {
    "cloud-image" ["meta-data.j2", "network-config.j2", "user-data.j2"],
    "debian-image" [
        "authorized_keys.j2", "first-boot.service", "first-boot.sh.j2", "heartbeat.service", "heartbeat.timer.j2",
        "hostname.j2", "hosts.j2", "network.j2", "wants.conf"
    ],
    "debian-installer" [
        "first-boot.service", "first-boot.sh.j2", "guard.sh.j2", "heartbeat.service", "heartbeat.timer.j2", "late.sh.j2",
        "preseed.cfg.j2"
    ],
    "fedora-kickstart" [
        "first-boot.service", "first-boot.sh.j2", "heartbeat.service", "heartbeat.timer.j2", "ks.cfg.j2"
    ],
    "local" [],
    "memtest" [],
    "rescue" [],
    "ubuntu-autoinstall" ["meta-data.j2", "user-data.j2"],
};

impl Shipped {
    /// The folder's templates, as [`super::Profile::parse`] takes them.
    pub fn templates(&self) -> std::collections::BTreeMap<String, String> {
        self.templates.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }
}
