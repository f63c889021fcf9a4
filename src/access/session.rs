//! Sessions of people who have logged in: each known by the digest of its token, ended by time, by logout and with the daemon.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ironwake_api::{Entrance, LoginWith, Millis, Scope};

use super::PublicKey;

/// A session ends after so long however much it is used: a day's work.
pub const SESSION_TIME_MAX: Millis = 24 * 60 * 60 * 1000;
/// Sessions at once: every console over SSH and as many commands. Beyond it the one ends that was left alone for longest.
const SESSIONS_MAX: usize = 256;

/// SHA-256 of a session's token, which is kept nowhere.
pub type SessionId = [u8; 32];

/// Who has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The actor of what is done.
    pub name: String,
    /// What may be done.
    pub scope: Scope,
    /// Where it counts.
    pub entrance: Entrance,
    /// With what.
    pub with: LoginWith,
    /// The key, where it was one.
    pub key: Option<PublicKey>,
    /// When the one-time password ends, where it was one: the session is worth nothing without that.
    pub one_time: Option<Millis>,
    /// Over SSH: from where.
    pub from: Option<IpAddr>,
    /// When it began.
    pub began_at: Millis,
    /// When something was done last.
    pub used_at: Millis,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    /// Nothing was done for as long as the lock waits.
    Locked,
    /// It has lasted as long as any may.
    Over,
}

impl Session {
    /// Whether it is over; `lock_after` is how long it may be left alone, if that is limited. A clock that was set back counts
    /// as one that went on: it must not make a session last.
    pub fn end(&self, now: Millis, lock_after: Option<Millis>) -> Option<SessionEnd> {
        if now.abs_diff(self.began_at) >= SESSION_TIME_MAX {
            return Some(SessionEnd::Over);
        }
        lock_after.filter(|limit| now.abs_diff(self.used_at) >= *limit).map(|_| SessionEnd::Locked)
    }

    /// When it ends however much it is used.
    pub fn expires_at(&self) -> Millis {
        self.began_at + SESSION_TIME_MAX
    }

    /// When it ends if nothing is done.
    pub fn locks_at(&self, lock_after: Option<Millis>) -> Option<Millis> {
        lock_after.map(|limit| (self.used_at + limit).min(self.expires_at()))
    }
}

/// Every session; each carries `T` with it.
#[derive(Debug)]
pub struct Sessions<T> {
    held: HashMap<SessionId, (Session, T)>,
}

impl<T> Default for Sessions<T> {
    fn default() -> Self {
        Self { held: HashMap::new() }
    }
}

impl<T> Sessions<T> {
    /// Begins a session; gives the one that had to make room.
    pub fn begin(&mut self, id: SessionId, session: Session, carried: T) -> Option<(Session, T)> {
        let oldest = self.held.iter().min_by_key(|(_, (session, _))| session.used_at).map(|(id, _)| *id);
        let gone = oldest.filter(|_| self.held.len() >= SESSIONS_MAX).and_then(|id| self.held.remove(&id));
        self.held.insert(id, (session, carried));
        gone
    }

    /// The session of this id, if it counts here and is not over.
    pub fn find(
        &self,
        id: &SessionId,
        entrance: Entrance,
        now: Millis,
        lock_after: Option<Millis>,
    ) -> Option<&(Session, T)> {
        let found = self.held.get(id)?;
        (found.0.entrance == entrance && found.0.end(now, lock_after).is_none()).then_some(found)
    }

    /// Something was done in it.
    pub fn renew(&mut self, id: &SessionId, now: Millis) {
        if let Some((session, _)) = self.held.get_mut(id) {
            session.used_at = now;
        }
    }

    /// The clock was set: `moved` is a time of before by the clock as it is.
    pub fn clock_jumped(&mut self, moved: impl Fn(Millis) -> Millis) {
        for (session, _) in self.held.values_mut() {
            (session.began_at, session.used_at) = (moved(session.began_at), moved(session.used_at));
        }
    }

    /// Ends one.
    pub fn end(&mut self, id: &SessionId) -> Option<(Session, T)> {
        self.held.remove(id)
    }

    /// The keys that sessions were begun with, each once.
    pub fn keys(&self) -> HashSet<PublicKey> {
        self.held.values().filter_map(|(session, _)| session.key.clone()).collect()
    }

    /// Ends those of which `ends` says why.
    pub fn end_where<E>(
        &mut self,
        mut ends: impl FnMut(&SessionId, &Session) -> Option<E>,
    ) -> Vec<(Session, T, E)> {
        let over: Vec<(SessionId, E)> =
            self.held.iter().filter_map(|(id, (session, _))| Some((*id, ends(id, session)?))).collect();
        let mut ended = Vec::new();
        for (id, why) in over {
            if let Some((session, carried)) = self.held.remove(&id) {
                ended.push((session, carried, why));
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: Millis = 1_000_000_000;
    const LOCK: Option<Millis> = Some(600_000);

    fn session(used_at: Millis) -> Session {
        Session {
            name: "anna (ssh)".into(),
            scope: Scope::Operator,
            entrance: Entrance::Ssh,
            with: LoginWith::Key,
            key: None,
            one_time: None,
            from: None,
            began_at: BEGAN,
            used_at,
        }
    }

    #[track_caller]
    fn check(used_at: Millis, now: Millis, lock_after: Option<Millis>, expected: Option<SessionEnd>) {
        assert_eq!(session(used_at).end(now, lock_after), expected, "used {used_at}, now {now}");
    }

    #[test]
    fn a_session_ends_when_it_is_left_alone_and_in_any_case_after_a_day() {
        check(BEGAN, BEGAN + 599_999, LOCK, None);
        check(BEGAN, BEGAN + 600_000, LOCK, Some(SessionEnd::Locked));
        check(BEGAN, BEGAN + 600_000, None, None);
        check(BEGAN + 500_000, BEGAN + 600_000, LOCK, None);
        let last = BEGAN + SESSION_TIME_MAX;
        check(last - 1, last - 1, LOCK, None);
        check(last - 1, last, LOCK, Some(SessionEnd::Over));
        check(last - 1, last, None, Some(SessionEnd::Over));
        assert_eq!(session(BEGAN).locks_at(LOCK), Some(BEGAN + 600_000));
        assert_eq!(session(last - 1).locks_at(LOCK), Some(last));
        assert_eq!(session(BEGAN).locks_at(None), None);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_session_last() {
        check(BEGAN, BEGAN - 1000, LOCK, None);
        check(BEGAN, BEGAN - 600_000, LOCK, Some(SessionEnd::Locked));
        check(BEGAN, 0, None, Some(SessionEnd::Over));
    }

    #[test]
    fn a_session_counts_on_its_own_socket_until_it_ends() {
        let mut sessions = Sessions::default();
        assert!(sessions.begin([1; 32], session(BEGAN), 'a').is_none());
        let find = |sessions: &Sessions<char>, entrance, now| {
            sessions.find(&[1; 32], entrance, now, LOCK).map(|found| found.1)
        };
        assert_eq!(find(&sessions, Entrance::Ssh, BEGAN), Some('a'));
        assert_eq!(find(&sessions, Entrance::Console, BEGAN), None);
        assert_eq!(find(&sessions, Entrance::Ssh, BEGAN + 600_000), None);
        sessions.renew(&[1; 32], BEGAN + 600_000);
        assert_eq!(find(&sessions, Entrance::Ssh, BEGAN + 600_000), Some('a'));
        let ended = sessions.end_where(|_, session| session.end(BEGAN + 1_200_000, LOCK));
        assert_eq!(ended.iter().map(|end| (end.1, end.2)).collect::<Vec<_>>(), [('a', SessionEnd::Locked)]);
        assert!(sessions.end(&[1; 32]).is_none());
    }

    #[test]
    fn the_one_that_was_left_alone_for_longest_makes_room() {
        let mut sessions = Sessions::default();
        for number in 0..SESSIONS_MAX {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            // Number 3 was used last long ago.
            let used_at = if number == 3 { BEGAN } else { BEGAN + 1 };
            assert!(sessions.begin(id, session(used_at), number).is_none());
        }
        assert_eq!(sessions.begin([9; 32], session(BEGAN + 2), 999).map(|gone| gone.1), Some(3));
        assert_eq!(sessions.held.len(), SESSIONS_MAX);
    }
}
