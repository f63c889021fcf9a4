//! `ironwake whoami`: who this is to the daemon.

use ironwake_api::{KnownBy, Whoami};

use super::output::clean;
use super::{Context, Failure, human};

pub async fn run(context: &mut Context) -> Result<(), Failure> {
    let whoami = context.client.whoami().await?;
    if context.json {
        return Ok(context.output.json(&whoami)?);
    }
    Ok(context.output.line(told(&whoami, human::now()))?)
}

fn told(whoami: &Whoami, now: u64) -> String {
    let name = whoami.name.as_deref().map_or("nobody who has logged in".into(), clean);
    let how = match whoami.how {
        KnownBy::Socket => "by the socket",
        KnownBy::Token => "by a token",
        KnownBy::Session => "by a session",
    };
    let locks = whoami.locks_at.map(|at| format!(", locked in {}", human::duration(at.saturating_sub(now))));
    format!("{name}, scope {}, {how}{}", whoami.scope, locks.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use ironwake_api::{Entrance, Scope};

    use super::*;

    #[test]
    fn a_line_says_who_what_and_for_how_long() {
        let viewer = Whoami {
            name: None,
            scope: Scope::Viewer,
            how: KnownBy::Socket,
            entrance: Some(Entrance::Console),
            locks_at: None,
            expires_at: None,
            password_set: true,
            keys_listed: false,
            one_time_password_set: false,
        };
        assert_eq!(told(&viewer, 0), "nobody who has logged in, scope viewer, by the socket");
        let session = Whoami {
            name: Some("anna (ssh)".into()),
            scope: Scope::Operator,
            how: KnownBy::Session,
            locks_at: Some(600_000),
            ..viewer
        };
        let expected =
            format!("anna (ssh), scope operator, by a session, locked in {}", human::duration(600_000));
        assert_eq!(told(&session, 0), expected);
    }
}
