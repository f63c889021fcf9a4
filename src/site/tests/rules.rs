//! Enrolment by rules that look at tags.

use super::*;
use crate::config::EnrolmentPolicy;

const RULES: &str = "[enrolment]\npolicy = \"rules\"\n[[enrolment.rule]]\nname = \"lab\"\ntags = [\"owner=lab\", \"ready\"]\n\
     subnet = \"10.0.0.0/29\"\nadd_tags = [\"rack1\"]\n";

fn tagged(tags: &[&str]) -> MachinePatch {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    MachinePatch { tags: Some(tags), ..MachinePatch::default() }
}

impl Fixture {
    /// Actor and grounds of each enrolment.
    async fn enrolments(&self) -> Vec<(Actor, Enrolment, String)> {
        let events = self.site.store().events_after(0, None, 1000).await.expect("events");
        let enrolment = |event: Event| match event.kind {
            EventKind::Enrolment { from, by, .. } => Some((event.actor, from, by)),
            _ => None,
        };
        events.into_iter().filter_map(enrolment).collect()
    }

    async fn edit(&self, key: &str, tags: &[&str]) -> Machine {
        self.site.edit(key, tagged(tags), operator()).await.expect("edited")
    }
}

#[tokio::test]
async fn a_machine_registered_with_the_tags_is_enrolled_by_the_rule() {
    let lab = Fixture::with(RULES).await;
    for (serial, tags) in [("A1234", &["ready", "owner=lab"][..]), ("B1234", &["ready"])] {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let new = MachineNew { serial: Some(serial.into()), tags, ..MachineNew::default() };
        lab.site.register(new, operator()).await.expect("registered");
    }
    assert!(lab.enroll("A1234", &[1]).await.answer.enrolled);
    assert!(lab.enroll("B1234", &[2]).await.answer.enrolled, "an operator named it: that suffices");
    assert_eq!(lab.site.machine("A1234").expect("a record").tags, ["owner=lab", "rack1", "ready"]);
    assert_eq!(lab.site.machine("B1234").expect("a record").tags, ["ready"]);
    let by = |by: &str| (Actor::Daemon, Enrolment::Registered, by.to_owned());
    assert_eq!(lab.enrolments().await, [by("rule lab"), by("registration")]);
}

#[tokio::test]
async fn tagging_a_machine_whose_inventory_is_in_enrols_it_at_once() {
    let lab = Fixture::with(RULES).await;
    assert!(!lab.enroll("A1234", &[1]).await.answer.enrolled);
    assert!(!lab.enroll("B1234", &[99]).await.answer.enrolled);
    assert_eq!(lab.edit("A1234", &["ready"]).await.enrolment, Enrolment::Unenrolled);
    let notes = MachinePatch { notes: Some(Some("owner=lab".into())), ..MachinePatch::default() };
    lab.site.edit("A1234", notes, operator()).await.expect("edited");
    assert_eq!(lab.enrolments().await, []);

    let known = lab.edit("A1234", &["ready", "owner=lab"]).await;
    assert_eq!(
        (known.enrolment, known.tags.join(" ")),
        (Enrolment::Enrolled, "owner=lab rack1 ready".into())
    );
    // Every condition counts: this one's address is another subnet's.
    assert_eq!(lab.edit("B1234", &["ready", "owner=lab"]).await.enrolment, Enrolment::Unenrolled);
    let by_rule = [(Actor::Daemon, Enrolment::Unenrolled, "rule lab".to_owned())];
    assert_eq!(lab.enrolments().await, by_rule);

    // What is known stays so, and is there after a restart.
    assert_eq!(lab.edit("A1234", &[]).await.enrolment, Enrolment::Enrolled);
    let lab = lab.restart().await;
    assert_eq!(lab.site.machine("A1234").expect("a record").enrolment, Enrolment::Enrolled);
    assert_eq!(lab.enrolments().await, by_rule);
}

#[tokio::test]
async fn a_machine_seen_and_tagged_is_unknown_until_its_inventory_comes() {
    let lab = Fixture::with(RULES).await;
    lab.site.handoff(&sighting(1));
    let seen = lab.edit("52:54:00:00:00:01", &["ready", "owner=lab"]).await;
    assert_eq!((seen.enrolment, seen.inventory_at), (Enrolment::Unenrolled, None));
    assert_eq!(lab.plan(1), BootPlan::Discovery(Why::Unknown));
    let enrolled = lab.enroll("A1234", &[1]).await.answer;
    assert_eq!((enrolled.machine, enrolled.enrolled), (seen.id, true));
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::NotArmed));
}

#[tokio::test]
async fn tags_enrol_nothing_where_rules_do_not_decide() {
    for policy in [EnrolmentPolicy::Manual, EnrolmentPolicy::Auto] {
        let mut lab = Fixture::new().await;
        lab.enroll("A1234", &[1]).await;
        lab.config.enrolment.policy = policy;
        let lab = lab.restart().await;
        assert_eq!(lab.edit("A1234", &["ready", "owner=lab"]).await.enrolment, Enrolment::Unenrolled);
    }
}

/// An agent that waits is heard and keeps its time: enrolment is no order.
#[tokio::test]
async fn an_agent_that_waits_when_its_machine_is_tagged_keeps_waiting() {
    let lab = Fixture::with(RULES).await;
    let id = lab.enroll("A1234", &[1]).await.answer.machine;
    assert_eq!(lab.site.next_order(&id, Duration::ZERO).await.expect("an answer"), None);
    assert_eq!(lab.edit(&id, &["ready", "owner=lab"]).await.enrolment, Enrolment::Enrolled);
    assert_eq!(lab.site.next_order(&id, Duration::ZERO).await.expect("an answer"), None);
    let order = Order { order: OrderKind::Reboot, reason: None };
    lab.site.order(&id, order.clone(), operator()).await.expect("it waits");
    assert_eq!(lab.site.next_order(&id, Duration::ZERO).await.expect("an answer"), Some(order));
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::NotArmed));
}
