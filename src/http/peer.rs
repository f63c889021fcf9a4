//! Who is at the other end of a connection, and whether they may call.

use std::net::IpAddr;

use ironwake_api::{Entrance, Scope};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use crate::site::InSession;

/// Members of this group operate Ironwake.
pub const GROUP: &str = "ironwake";

/// What is known of a connection's other end.
#[derive(Debug, Clone)]
pub enum Peer {
    /// The kernel vouches for them: may call everything; the user's name, or `uid N` for a user without one.
    Operator(String),
    /// Somebody on the network, who has to show a token with each request.
    Remote(IpAddr),
    /// Somebody whose token, of this name and scope, was good for this request.
    Token(String, Scope),
    /// Somebody at a socket where people log in, who has not, and may look.
    Viewer(Entrance),
    /// Somebody there who has logged in.
    Session(Box<InSession>),
    /// May not, and why.
    Refused(String),
}

impl Peer {
    /// Looks a user up by the credentials of its process. May block on the name service.
    pub fn resolve(uid: u32, gid: u32) -> Self {
        match user(uid, gid, GROUP) {
            Ok(name) => Self::Operator(name),
            Err(why) => Self::Refused(why),
        }
    }

    /// The same, of a process at a socket where people log in.
    pub fn resolve_at(entrance: Entrance, uid: u32, gid: u32) -> Self {
        match user(uid, gid, group_of(entrance)) {
            Ok(_) => Self::Viewer(entrance),
            Err(why) => Self::Refused(why),
        }
    }
}

/// Who belongs to a socket where people log in: the group of the one program that is for it.
pub(super) fn group_of(entrance: Entrance) -> &'static str {
    match entrance {
        Entrance::Console => "ironwake-console",
        Entrance::Ssh => "ironwake-ssh",
    }
}

/// The name of a user who may call, or `uid N` for a user without one; else why not.
fn user(uid: u32, gid: u32, group_name: &str) -> Result<String, String> {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let group = Group::from_name(group_name).ok().flatten().map(|group| group.gid);
    let mut groups = vec![Gid::from_raw(gid)];
    if let Some(name) = user.as_ref().and_then(|user| std::ffi::CString::new(&*user.name).ok()) {
        groups.extend(getgrouplist(&name, Gid::from_raw(gid)).unwrap_or_default());
    }
    let name = user.map_or_else(|| format!("uid {uid}"), |user| user.name);
    if may_call(Uid::from_raw(uid), Uid::effective(), &groups, group) {
        return Ok(name);
    }
    Err(format!("{name} is neither root nor a member of the group {group_name}: add them to it"))
}

/// Root, the daemon's own user, and members of the group, where it exists.
fn may_call(uid: Uid, own: Uid, groups: &[Gid], group: Option<Gid>) -> bool {
    uid.is_root() || uid == own || group.is_some_and(|group| groups.contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uid: u32, groups: &[u32], group: Option<u32>, expected: bool) {
        let groups: Vec<_> = groups.iter().copied().map(Gid::from_raw).collect();
        let allowed = may_call(Uid::from_raw(uid), Uid::from_raw(990), &groups, group.map(Gid::from_raw));
        assert_eq!(allowed, expected, "uid {uid}, groups {groups:?}, the group is {group:?}");
    }

    #[test]
    fn root_the_daemon_and_the_group_may_call() {
        check(0, &[0], Some(980), true);
        check(990, &[990], None, true);
        check(1000, &[1000, 27, 980], Some(980), true);
        check(1000, &[980], Some(980), true);
        check(1000, &[1000, 27], Some(980), false);
        check(1000, &[1000, 27], None, false);
        // Group root is not user root.
        check(1000, &[0], Some(980), false);
    }

    #[test]
    fn users_are_named() {
        assert!(matches!(Peer::resolve(0, 0), Peer::Operator(name) if name == "root"));
        assert!(matches!(Peer::resolve_at(Entrance::Console, 0, 0), Peer::Viewer(Entrance::Console)));
        let stranger = Peer::resolve(3_999_999_999, 3_999_999_999);
        assert!(
            matches!(&stranger, Peer::Refused(why) if why.starts_with("uid 3999999999 ")),
            "{stranger:?}"
        );
        let stranger = Peer::resolve_at(Entrance::Ssh, 3_999_999_999, 3_999_999_999);
        assert!(
            matches!(&stranger, Peer::Refused(why) if why.contains("the group ironwake-ssh")),
            "{stranger:?}"
        );
    }
}
