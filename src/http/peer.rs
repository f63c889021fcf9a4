//! Who is at the other end of a connection, and whether they may call.

use std::net::IpAddr;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// Members of this group operate Ironwake.
pub const GROUP: &str = "ironwake";

/// What is known of a connection's other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// The kernel vouches for them: may call everything; the user's name, or `uid N` for a user without one.
    Operator(String),
    /// Somebody on the network, who has to show a token with each request.
    Remote(IpAddr),
    /// Somebody whose token, of this name, was good for this request.
    Token(String),
    /// May not, and why.
    Refused(String),
}

impl Peer {
    /// Looks a user up by the credentials of its process. May block on the name service.
    pub fn resolve(uid: u32, gid: u32) -> Self {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let group = Group::from_name(GROUP).ok().flatten().map(|group| group.gid);
        let mut groups = vec![Gid::from_raw(gid)];
        if let Some(name) = user.as_ref().and_then(|user| std::ffi::CString::new(&*user.name).ok()) {
            groups.extend(getgrouplist(&name, Gid::from_raw(gid)).unwrap_or_default());
        }
        let name = user.map_or_else(|| format!("uid {uid}"), |user| user.name);
        if may_call(Uid::from_raw(uid), Uid::effective(), &groups, group) {
            Self::Operator(name)
        } else {
            Self::Refused(format!("{name} is neither root nor a member of the group {GROUP}: add them to it"))
        }
    }
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
        assert_eq!(Peer::resolve(0, 0), Peer::Operator("root".into()));
        let stranger = Peer::resolve(3_999_999_999, 3_999_999_999);
        assert!(
            matches!(&stranger, Peer::Refused(why) if why.starts_with("uid 3999999999 ")),
            "{stranger:?}"
        );
    }
}
