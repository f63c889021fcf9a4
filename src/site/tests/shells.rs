//! Shells: for operators, on machines in rescue, through the agent that took the work; each noted.

use std::future::pending;

use ironwake_api::{OperationKind as Kind, OperationState as State, Work, WorkReport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::operations::{FROM, HTTP, claim, operator, refused, tokens};
use super::*;

const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 66);
const WAIT: Duration = Duration::from_secs(60);

fn rescue() -> OperationNew {
    OperationNew {
        kind: Kind::Rescue,
        profile: None,
        variables: Default::default(),
        disks: Vec::new(),
        arm: true,
        armed_secs: None,
    }
}

/// A machine whose agent offers shells: machine, operation, work token.
async fn in_rescue() -> (std::sync::Arc<Fixture>, String, String, String) {
    let lab = Fixture::new().await;
    let machine = lab.enroll("S1", &[1]).await.answer.machine;
    lab.site.enroll_by_operator(&machine, operator()).await.expect("enrolled");
    let id = lab.site.operate(&machine, rescue(), operator()).await.expect("an operation").id;
    let text = lab.site.ipxe_script(&request(1)).text;
    assert!(text.contains("/artifacts/c/installing") && text.contains("/artifacts/d/rescue"), "{text}");
    let (kernel, work) = tokens(&lab);
    lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    refused(lab.site.open_shell(&machine, operator(), pending()).await.map(drop), "is pxe_booted");
    let taken = lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await.expect("the work");
    assert_eq!(taken.work, Work::Rescue);
    lab.site.work_report(&id, &work, WorkReport::Began, FROM).await.expect("begun");
    (std::sync::Arc::new(lab), machine, id, work)
}

/// The same for who serves the site: site, machine, operation, work token, and the folder of its state.
pub(crate) async fn site_in_rescue() -> (SharedSite, String, String, String, TempDir) {
    let (lab, machine, id, work) = in_rescue().await;
    let Fixture { site, state, .. } = std::sync::Arc::into_inner(lab).expect("nobody else has it");
    (SharedSite::new(site), machine, id, work, state)
}

/// The agent's side of one shell: answers the next wish; the machine's end of the connection.
fn agent(
    lab: &std::sync::Arc<Fixture>,
    id: &str,
    work: &str,
) -> tokio::task::JoinHandle<tokio::io::DuplexStream> {
    let (lab, id, work) = (lab.clone(), id.to_owned(), work.to_owned());
    tokio::spawn(async move {
        let wish = lab.site.shell_wanted(&id, &work, FROM, WAIT).await.expect("heard").expect("a wish");
        let (wire, mut end) = tokio::io::duplex(1024);
        assert!(wish.send(Box::new(wire)).is_ok(), "the operator waits");
        end.write_all(&ShellFrame::Ready.encode()).await.expect("sent");
        end
    })
}

#[tokio::test]
async fn a_shell_joins_operator_and_agent_and_is_noted() {
    let (lab, machine, id, work) = in_rescue().await;
    assert!(!lab.site.operation(&id).await.expect("an operation").may_have_written);
    let answering = agent(&lab, &id, &work);
    let mut shell = lab.site.open_shell(&machine, operator(), pending()).await.expect("a shell");
    assert!(lab.site.operation(&id).await.expect("an operation").may_have_written);
    let mut end = answering.await.expect("the agent");
    shell.wire.write_all(b"ls").await.expect("sent");
    let mut typed = [0; 2];
    end.read_exact(&mut typed).await.expect("received");
    assert_eq!(&typed, b"ls");
    let traffic = ShellTraffic { sent_bytes: 2, received_bytes: 0, reason: "the operator left" };
    lab.site.shell_closed(shell.note, traffic).await.expect("noted");
    let events = lab.site.store().events_after(0, None, 1000).await.expect("events");
    let noted: Vec<_> = events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::ShellOpened { .. } | EventKind::ShellClosed { .. }))
        .collect();
    assert_eq!(noted.len(), 2);
    assert!(noted.iter().all(|event| event.actor == operator() && event.machine.as_ref() == Some(&machine)));
    assert!(matches!(noted[1].kind, EventKind::ShellClosed { sent_bytes: 2, .. }));
    // Whoever ends it does not say that nothing was written.
    assert_eq!(lab.site.cancel(&id, operator()).await.expect("ended").state, State::Ready);
    assert!(shell.ended.is_cancelled());
    refused(lab.site.shell_wanted(&id, &work, FROM, WAIT).await.map(drop), "is ready");
    let part = "machine 52:54:00:00:00:01 is not in rescue: `ironwake rescue 52:54:00:00:00:01`";
    refused(lab.site.open_shell(&machine, operator(), pending()).await.map(drop), part);
}

#[tokio::test]
async fn only_the_agent_that_took_the_work_offers_shells() {
    let (lab, machine, id, work) = in_rescue().await;
    refused(lab.site.shell_wanted(&id, &"0".repeat(64), FROM, WAIT).await.map(drop), "wrong token");
    refused(lab.site.shell_wanted(&id, &work, ELSEWHERE, WAIT).await.map(drop), "did not take the work");
    let none = lab.site.shell_wanted(&id, &work, FROM, Duration::ZERO).await.expect("heard");
    assert!(none.is_none(), "nobody wants one");
    // An agent that died with its connection open is passed over.
    let dead = lab.clone();
    let (dead_id, dead_work) = (id.clone(), work.clone());
    let dying = tokio::spawn(async move {
        drop(dead.site.shell_wanted(&dead_id, &dead_work, FROM, WAIT).await.expect("heard").expect("a wish"));
        agent(&dead, &dead_id, &dead_work).await.expect("the agent")
    });
    lab.site.open_shell(&machine, operator(), pending()).await.expect("a shell");
    drop(dying.await.expect("both"));
}

#[tokio::test]
async fn shells_of_a_machine_are_limited() {
    let (lab, machine, id, work) = in_rescue().await;
    let mut open = Vec::new();
    for _ in 0..SHELLS_MAX {
        let answering = agent(&lab, &id, &work);
        let shell = lab.site.open_shell(&machine, operator(), pending()).await.expect("a shell");
        open.push((shell, answering.await.expect("the agent")));
    }
    refused(
        lab.site.open_shell(&machine, operator(), pending()).await.map(drop),
        "4 shells on this machine already",
    );
    open.pop();
    let answering = agent(&lab, &id, &work);
    lab.site.open_shell(&machine, operator(), pending()).await.expect("there is room again");
    drop(answering);
}

#[tokio::test]
async fn a_rescue_without_a_shell_is_cancelled_and_one_that_nobody_ends_is_done() {
    let (lab, _, id, _) = in_rescue().await;
    assert_eq!(lab.site.cancel(&id, operator()).await.expect("ended").state, State::Cancelled);
    let (lab, _, id, _) = in_rescue().await;
    advance(Duration::from_secs(8 * 3600));
    lab.site.expire_operations().await;
    assert_eq!(lab.site.operation(&id).await.expect("an operation").state, State::Ready);
}
