//! Public keys that are listed: how they come and go, and what a one-time password is good for.

use axum::http::{Method, StatusCode};
use ironwake_api::{Actor, Entrance, EventKind, LoginWith, Scope, SshKeysNew};
use serde_json::{Value, json};

use super::logins_tests::{Api, KEY, MINUTE, PASSWORD, code, later};
use crate::access::{FAILURES_FREE, ONE_TIME_TIME_MAX};
use crate::site::{SSH_KEYS_MAX, SiteError};

/// What `ssh-keygen -l` says of [`KEY`], and the path of it.
const FINGERPRINT: &str = "SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE";
const KEYS: &str = "/api/v1/ssh-keys";
const ONE_TIME: &str = "/api/v1/ssh-keys/one-time-password";

/// Another key for each number.
fn key(number: u8) -> String {
    let bytes: String = [number >> 4, number & 15].map(|digit| char::from(b'A' + digit)).iter().collect();
    KEY.replace("AAAAIJdD", &format!("AAAAI{bytes}d"))
}

impl Api {
    /// What an administrator is answered.
    async fn admin(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let token = self.by_password(Entrance::Console).await.token;
        let (status, _, answer) = self.ask(Entrance::Console, Some(&token), (method, path), body).await;
        (status, answer)
    }

    async fn one_time(&self) -> String {
        let (status, made) = self.admin(Method::POST, ONE_TIME, Value::Null).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        assert_eq!(made["expires_at"], json!(self.site.now() + ONE_TIME_TIME_MAX));
        made["password"].as_str().expect("a password").to_owned()
    }

    /// A login at the SSH server, from an address.
    async fn by_ssh(&self, body: Value) -> (StatusCode, Value) {
        let mut body = body;
        body["user"] = json!("anna");
        body["from"] = json!("10.0.0.7");
        let (status, _, answer) = self.log_in(Entrance::Ssh, body).await;
        (status, answer)
    }

    async fn kinds(&self) -> Vec<EventKind> {
        self.events().await.into_iter().map(|event| event.kind).collect()
    }
}

fn decoded(path: &str) -> String {
    path.replace('/', "%2F").replace('+', "%2B")
}

#[tokio::test]
async fn an_added_key_opens_until_it_is_deleted_and_its_sessions_end_with_it() {
    let api = Api::new().await;
    api.set_password(PASSWORD).await.expect("set");
    let other = format!("{} bo", key(1));
    let (status, answer) =
        api.admin(Method::POST, KEYS, json!({"keys": format!("# mine\n{KEY} anna@laptop\n{other}\n")})).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let shown = json!({"fingerprint": FINGERPRINT, "kind": "ssh-ed25519", "comment": "anna@laptop"});
    assert_eq!((&answer["added"][0], &answer["present"]), (&shown, &json!([])));
    let (_, answer) = api.admin(Method::POST, KEYS, json!({"keys": format!("{KEY} another comment")})).await;
    assert_eq!((&answer["added"], &answer["present"][0]["fingerprint"]), (&json!([]), &json!(FINGERPRINT)));
    let (_, listed) = api.admin(Method::GET, KEYS, Value::Null).await;
    assert_eq!((&listed[0]["place"], &listed[0]["comment"]), (&json!("added"), &json!("anna@laptop")));
    assert_eq!(listed[0]["by"], json!({"operator": "administrator (console)"}));

    let (anna, bo) = (
        api.session(Entrance::Ssh, json!({"key": KEY})).await,
        api.session(Entrance::Ssh, json!({"key": key(1)})).await,
    );
    assert_eq!((anna.name.as_str(), anna.with), ("anna@laptop (ssh)", LoginWith::Key));
    let path = format!("{KEYS}/{}", decoded(FINGERPRINT));
    let (status, answer) = api.admin(Method::DELETE, &path, Value::Null).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    assert_eq!(api.changes(Entrance::Ssh, &anna.token).await, StatusCode::UNAUTHORIZED);
    assert_eq!(api.changes(Entrance::Ssh, &bo.token).await, StatusCode::NOT_FOUND);
    assert_eq!(code(&api.by_ssh(json!({"key": KEY})).await.1), "login_refused");
    assert_eq!(code(&api.admin(Method::DELETE, &path, Value::Null).await.1), "no_such_ssh_key");

    let (fingerprint, comment) = (FINGERPRINT.to_owned(), "anna@laptop".to_owned());
    let kinds = api.kinds().await;
    let added = EventKind::SshKeyAdded { fingerprint: fingerprint.clone(), comment: comment.clone() };
    assert_eq!(kinds.iter().filter(|kind| **kind == added).count(), 1);
    assert!(kinds.contains(&EventKind::SshKeyDeleted { fingerprint, comment }));
}

#[tokio::test]
async fn the_operators_file_is_not_written_and_what_leaves_it_ends_too() {
    let api = Api::with_password().await;
    let (_, listed) = api.admin(Method::GET, KEYS, Value::Null).await;
    let expected = json!([{
        "fingerprint": FINGERPRINT, "kind": "ssh-ed25519", "comment": "anna@laptop",
        "place": "file", "path": api.listed, "line": 1
    }]);
    assert_eq!(listed, expected);
    let (_, answer) = api.admin(Method::POST, KEYS, json!({"keys": KEY})).await;
    assert_eq!(answer["added"], json!([]), "it is listed");
    let (status, problem) =
        api.admin(Method::DELETE, &format!("{KEYS}/{}", decoded(FINGERPRINT)), Value::Null).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let detail = problem["detail"].as_str().expect("a text");
    assert!(
        detail.contains("authorized_keys at line 1") && detail.contains("delete the line there"),
        "{detail}"
    );
    let session = api.session(Entrance::Ssh, json!({"key": KEY})).await;
    api.site.end_unlisted_sessions().await;
    assert_eq!(api.changes(Entrance::Ssh, &session.token).await, StatusCode::NOT_FOUND);
    std::fs::write(&api.listed, "# nobody\n").expect("written");
    api.site.end_unlisted_sessions().await;
    assert_eq!(api.changes(Entrance::Ssh, &session.token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_is_no_key_is_told_by_its_line_and_nothing_is_added() {
    let api = Api::with_password().await;
    let add = async |keys: &str| api.admin(Method::POST, KEYS, json!({"keys": keys})).await.1;
    let problem = add(&format!("{}\nno key\nssh-rsa AAAA bo", key(1))).await;
    assert_eq!(code(&problem), "invalid");
    let messages: Vec<&str> =
        problem["errors"].as_array().expect("errors").iter().filter_map(|e| e["message"].as_str()).collect();
    assert!(messages[0].starts_with("line 2: no public key"), "{messages:?}");
    assert!(messages[1].starts_with("line 3: RSA and DSA are not supported"), "{messages:?}");
    assert_eq!(code(&add("# nothing\n").await), "invalid");
    assert_eq!(api.site.ssh_keys().await.expect("keys").len(), 1);
    // As many as fit, and no more.
    let many = |numbers: std::ops::Range<usize>| {
        numbers.map(|number| key(u8::try_from(number).expect("a byte")) + "\n").collect::<String>()
    };
    assert_eq!(add(&many(0..SSH_KEYS_MAX)).await["added"].as_array().map(Vec::len), Some(SSH_KEYS_MAX));
    let one_more = KEY.replace("OIeZJ", "OIeZI");
    assert_eq!(code(&add(&one_more).await), "full");
}

#[tokio::test]
async fn a_one_time_password_lets_keys_be_added_once_and_nothing_else() {
    let api = Api::new().await;
    api.set_password(PASSWORD).await.expect("set");
    let password = api.one_time().await;
    let (_, whoami) = api.admin(Method::GET, "/api/v1/whoami", Value::Null).await;
    assert_eq!(whoami["one_time_password_set"], json!(true));
    // Only over SSH, and to whoever comes: a console that asks for the password takes the administrator's.
    assert_eq!(code(&api.log_in(Entrance::Console, json!({"password": password})).await.2), "login_refused");
    assert_eq!(code(&api.log_in(Entrance::Ssh, json!({"password": password})).await.2), "login_refused");
    let sessions = [
        api.by_ssh(json!({"password": password})).await.1,
        api.by_ssh(json!({"password": password.to_uppercase().replace('-', "")})).await.1,
    ];
    let [token, second] = sessions.each_ref().map(|begun| begun["token"].as_str().expect("a token"));
    assert_eq!(sessions[0]["name"], json!("anna (ssh, one-time password)"));
    assert_eq!(sessions[0]["with"], json!("one_time_password"));
    let ask = async |token: &str, method, path: &str, body| {
        let (status, _, answer) = api.ask(Entrance::Ssh, Some(token), (method, path), body).await;
        (status, answer)
    };
    for (method, path) in [
        (Method::GET, "/api/v1/machines"),
        (Method::GET, "/api/v1/events"),
        (Method::GET, KEYS),
        (Method::GET, "/api/v1/ssh-keys/found"),
        (Method::DELETE, "/api/v1/ssh-keys/x"),
        (Method::POST, ONE_TIME),
        (Method::POST, "/api/v1/tokens"),
        (Method::PUT, "/api/v1/password"),
        (Method::POST, "/api/v1/login"),
    ] {
        let (status, problem) = ask(token, method.clone(), path, json!({"password": PASSWORD})).await;
        assert_eq!((status, code(&problem)), (StatusCode::FORBIDDEN, "locked"), "{method} {path}");
    }
    // A mistake is no use of it.
    assert_eq!(code(&ask(token, Method::POST, KEYS, json!({"keys": "x"})).await.1), "invalid");
    let keys = json!({"keys": format!("{KEY} anna@laptop")});
    let (status, answer) = ask(token, Method::POST, KEYS, keys.clone()).await;
    assert_eq!(
        (status, &answer["added"][0]["fingerprint"]),
        (StatusCode::OK, &json!(FINGERPRINT)),
        "{answer}"
    );
    // That was all.
    assert_eq!(ask(token, Method::POST, KEYS, keys.clone()).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(second, Method::POST, KEYS, keys).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(code(&api.by_ssh(json!({"password": password})).await.1), "login_refused");

    let events = api.events().await;
    let added = events.iter().find(|event| matches!(event.kind, EventKind::SshKeyAdded { .. }));
    assert_eq!(added.expect("told").actor, Actor::Operator("anna (ssh, one-time password)".into()));
    let begun = EventKind::LoggedIn {
        name: "anna (ssh, one-time password)".into(),
        entrance: Entrance::Ssh,
        with: LoginWith::OneTimePassword,
        scope: Scope::Viewer,
        from: Some("10.0.0.7".into()),
    };
    assert!(events.iter().any(|event| event.kind == begun));
    assert!(!format!("{events:?}").contains(&password));
}

#[tokio::test]
async fn a_session_of_a_one_time_password_that_was_used_is_worth_nothing_with_the_next_one() {
    let api = Api::new().await;
    api.set_password(PASSWORD).await.expect("set");
    let password = api.one_time().await;
    let begun = api.by_ssh(json!({"password": password})).await.1;
    // What another request with that session has got as far as.
    let token = begun["token"].as_str().expect("a token");
    let held = api.site.in_session(Entrance::Ssh, token).expect("it is good");
    let add = async |number| {
        let (new, actor) = (SshKeysNew { keys: key(number) }, Actor::Operator(held.session.name.clone()));
        api.site.add_ssh_keys(&new, actor, Some(&held), None).await
    };
    assert_eq!(add(1).await.expect("added").added.len(), 1);
    assert!(matches!(add(2).await, Err(SiteError::SessionEnded)));
    later(1);
    api.one_time().await;
    assert!(matches!(add(2).await, Err(SiteError::SessionEnded)));
}

#[tokio::test]
async fn a_one_time_password_ends_by_time_and_by_another_one_with_its_sessions() {
    let api = Api::new().await;
    api.set_password(PASSWORD).await.expect("set");
    let first = api.one_time().await;
    let begun = api.by_ssh(json!({"password": first})).await.1;
    let second = api.one_time().await;
    let keys = json!({"keys": KEY});
    let add = async |begun: &Value| {
        let token = begun["token"].as_str().expect("a token");
        api.ask(Entrance::Ssh, Some(token), (Method::POST, KEYS), keys.clone()).await.0
    };
    assert_eq!(add(&begun).await, StatusCode::UNAUTHORIZED);
    assert_eq!(code(&api.by_ssh(json!({"password": first})).await.1), "login_refused");
    let begun = api.by_ssh(json!({"password": second})).await.1;
    later(10 * MINUTE - 1);
    // Nothing but time has passed; the lock waits as long.
    assert_eq!(api.by_ssh(json!({"password": second})).await.0, StatusCode::OK);
    later(1);
    assert_eq!(add(&begun).await, StatusCode::UNAUTHORIZED);
    assert_eq!(code(&api.by_ssh(json!({"password": second})).await.1), "login_refused");
    assert!(!api.site.has_one_time_password());
}

#[tokio::test]
async fn guesses_are_slowed_down_where_there_is_no_other_password_too() {
    let api = Api::new().await;
    let root = Actor::Operator("root".into());
    assert_eq!(code(&api.by_ssh(json!({"password": "x"})).await.1), "no_password");
    let made = api.site.make_one_time_password(root).await.expect("made");
    for _ in 0..=FAILURES_FREE {
        assert_eq!(code(&api.by_ssh(json!({"password": "guess"})).await.1), "login_refused");
    }
    assert_eq!(code(&api.by_ssh(json!({"password": made.password})).await.1), "slowed_down");
    later(1000);
    assert_eq!(api.by_ssh(json!({"password": made.password})).await.0, StatusCode::OK);
}
