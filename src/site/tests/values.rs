//! Values of the site, of tags and of machines in rebuilds, and what hosts are called.

use ironwake_api::{MachinePatch, MachineValuesPatch, RenderRequest};
use serde_json::json;

use super::operations::{FROM, operator, refused};
use super::rebuild::{import, rebuild};
use super::*;

fn patch(values: serde_json::Value) -> MachineValuesPatch {
    serde_json::from_value(json!({ "values": values })).expect("a patch")
}

/// An enrolled machine with one disk.
async fn machine(lab: &Fixture, number: u8) -> String {
    let mut report = report(&format!("S{number}"), &[number]);
    report.inventory.disks = vec![Disk { size_bytes: 8_000_000_000, ..operations::disk("sda", "A") }];
    report.inventory.memory.total_bytes = Some(4 << 30);
    let id = lab.site.enroll(report, None, FROM).await.expect("an inventory").answer.machine;
    lab.site.enroll_by_operator(&id, operator()).await.expect("enrolled");
    id
}

/// The hostname that a rebuild of the machine is rendered with.
async fn hostname(lab: &Fixture, id: &str) -> String {
    let request = RenderRequest { machine: id.into(), variables: rebuild("thirteen").variables, disk: None };
    let files = lab.site.render_profile("cloud-image", &request).await.expect("files");
    let text = files.iter().find(|file| file.place.ends_with("/meta-data")).expect("a file").content.clone();
    let line = text.lines().find(|line| line.contains("local-hostname")).expect("a name").to_owned();
    line.split(':').nth(1).expect("a value").trim().trim_matches(['"', '\'']).to_owned()
}

/// Rebuilds and cancels, which is when a name is given.
async fn rebuilt(lab: &Fixture, id: &str) -> String {
    let operation = lab.site.operate(id, rebuild("thirteen"), operator()).await.expect("an operation").id;
    lab.site
        .happen(&operation, crate::operation::Trigger::Cancel { why: None }, &operator())
        .await
        .expect("cancelled");
    lab.site.machine_values(id).expect("it").hostname.expect("a name")
}

async fn rendered(lab: &Fixture, id: &str, variables: serde_json::Value) -> String {
    let variables = serde_json::from_value(variables).expect("values");
    let request = RenderRequest { machine: id.into(), variables, disk: None };
    format!("{:?}", lab.site.render_profile("cloud-image", &request).await.expect("files"))
}

#[tokio::test]
async fn values_come_from_site_tags_machine_and_operation_in_that_order() {
    let text = "[values]\nimage = \"thirteen\"\ntimezone = \"Site/One\"\ndomain = \"site.example.org\"\nnobodys = \"x\"\n\
                [tag.gpu.values]\ntimezone = \"Tag/One\"\n[tag.rack.values]\ntimezone = \"Tag/Two\"\n";
    let lab = Fixture::with(text).await;
    import(&lab).await;
    let id = machine(&lab, 1).await;
    let check = async |variables, zone: &str| {
        let text = rendered(&lab, &id, variables).await;
        assert!(text.contains(zone), "{zone}: {text}");
    };
    let tags = |tags: &[&str]| MachinePatch {
        tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
        ..MachinePatch::default()
    };
    // The profile's own default stands over the site's value; where it has none, the site's counts.
    check(json!({}), "Etc/UTC").await;
    check(json!({}), "site.example.org").await;
    lab.site.edit(&id, tags(&["gpu", "rack"]), operator()).await.expect("tagged");
    check(json!({}), "Tag/Two").await;
    lab.site
        .set_machine_values(&id, patch(json!({"timezone": "Machine/One"})), operator())
        .await
        .expect("set");
    check(json!({}), "Machine/One").await;
    check(json!({"timezone": "Operation/One"}), "Operation/One").await;
    check(json!({"timezone": null}), "Machine/One").await;

    // A rebuild is what it was confirmed with, whatever is set later, and a restart keeps the values.
    let mut new = rebuild("thirteen");
    new.variables.remove("image");
    let operation = lab.site.operate(&id, new, operator()).await.expect("an operation");
    let variables = operation.profile.expect("a profile").variables;
    assert_eq!((&variables["image"], &variables["timezone"]), (&json!("thirteen"), &json!("Machine/One")));
    assert_eq!(variables["password_hash"], "***");
    let lab = lab.restart().await;
    assert_eq!(lab.site.machine_values(&id).expect("it").values["timezone"], "Machine/One");
    let frozen = lab.site.operations.of_machine(&id).expect("it runs").rebuild.expect("a rebuild").written;
    assert_eq!(frozen["timezone"], "Machine/One");
}

#[tokio::test]
async fn a_secret_value_of_a_machine_is_shown_nowhere() {
    let lab = Fixture::with("").await;
    let id = machine(&lab, 1).await;
    let values = json!({"password_hash": "$6$hunter2", "timezone": "UTC", "nobodys": "hunter2"});
    let shown = lab.site.set_machine_values(&id, patch(values.clone()), operator()).await.expect("set");
    let expected = json!({"password_hash": "***", "timezone": "UTC", "nobodys": "***"});
    assert_eq!(serde_json::to_value(&shown.values).expect("JSON"), expected);
    let all = format!("{:?} {:?}", lab.kinds().await, lab.site.machine(&id).expect("it"));
    assert!(!all.contains("hunter2") && all.contains("values.password_hash"), "{all}");
    let events = lab.kinds().await.len();
    lab.site.set_machine_values(&id, patch(values), operator()).await.expect("the same");
    assert_eq!(lab.kinds().await.len(), events, "nothing changed");
    let removed = lab.site.set_machine_values(&id, patch(json!({"timezone": null})), operator()).await;
    assert_eq!(removed.expect("removed").values.len(), 2);

    let set = async |values| lab.site.set_machine_values(&id, patch(values), operator()).await;
    refused(set(json!({"A": 1})).await, "values.A: it is not the name of a variable");
    refused(set(json!({"a": 1.5})).await, "values.a: ");
    refused(set(json!({"a": {"b": "hunter2"}})).await, "a list of strings");
    lab.site.delete(&id, operator()).await.expect("deleted");
    refused(lab.site.machine_values(&id), "no machine");
}

#[tokio::test]
async fn parity_fl10_host_names_come_from_a_pool_or_a_pattern_unique_and_stable() {
    let pool = "[hostnames]\npool = [\"rincewind\", \"luggage\", \"weatherwax\"]\n";
    let pattern = "[hostnames]\npattern = \"node-{rack}-{seq:03}\"\n[tag.one.values]\nrack = \"r1\"\n";
    let rows = [
        (pool, ["rincewind", "luggage", "weatherwax"]),
        (pattern, ["node-r1-001", "node-r1-002", "node-r1-003"]),
    ];
    for (policy, expected) in rows {
        let lab = Fixture::with(policy).await;
        import(&lab).await;
        let mut ids = Vec::new();
        for (number, name) in (1..).zip(expected) {
            let id = machine(&lab, number).await;
            let tagged = MachinePatch { tags: Some(vec!["one".into()]), ..MachinePatch::default() };
            lab.site.edit(&id, tagged, operator()).await.expect("tagged");
            assert_eq!(hostname(&lab, &id).await, name, "what would come");
            assert_eq!(rebuilt(&lab, &id).await, name);
            ids.push(id);
        }
        let lab = lab.restart().await;
        for (id, name) in ids.iter().zip(expected).rev() {
            assert_eq!((rebuilt(&lab, id).await, hostname(&lab, id).await), (name.into(), name.into()));
        }
        // Nobody else gets a name that a host has; a machine that is gone gives it back.
        let named = |name: &str| MachinePatch { name: Some(Some(name.into())), ..MachinePatch::default() };
        refused(lab.site.edit(&ids[0], named(expected[1]), operator()).await, "is called");
        lab.site.delete(&ids[1], operator()).await.expect("deleted");
        lab.site.edit(&ids[0], named(expected[1]), operator()).await.expect("free");
        assert_eq!(rebuilt(&lab, &ids[0]).await, expected[1]);
        let fourth = machine(&lab, 4).await;
        let tagged = MachinePatch { tags: Some(vec!["one".into()]), ..MachinePatch::default() };
        lab.site.edit(&fourth, tagged, operator()).await.expect("tagged");
        assert_eq!(rebuilt(&lab, &fourth).await, expected[0], "the first gave its name back");
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_named_is_not_rebuilt() {
    let lab = Fixture::with("[hostnames]\npattern = \"node-{rack}\"\n").await;
    import(&lab).await;
    let id = machine(&lab, 1).await;
    let operated = lab.site.operate(&id, rebuild("thirteen"), operator()).await;
    refused(operated, "set the variable rack, or a tag rack=VALUE");
}

/// All of the line but BMCs.
#[tokio::test]
async fn parity_me9_without_bmc() {
    let lab = Fixture::with("").await;
    let (first, second) = (machine(&lab, 1).await, machine(&lab, 2).await);
    let edit = async |id: &str, fields| {
        let patch: MachinePatch = serde_json::from_value(fields).expect("a patch");
        lab.site.edit(id, patch, operator()).await
    };
    let changed = edit(&first, json!({"name": "Web1", "notes": "left"})).await.expect("changed");
    assert_eq!((changed.name.as_deref(), changed.notes.as_deref()), (Some("web1"), Some("left")));
    let changed = edit(&first, json!({"notes": null})).await.expect("changed");
    assert_eq!((changed.name.as_deref(), changed.notes), (Some("web1"), None), "what is left out stays");
    assert!(matches!(edit(&second, json!({"name": "web1"})).await, Err(SiteError::Conflict(_))));
    assert!(matches!(edit(&second, json!({"name": "a b"})).await, Err(SiteError::Invalid(_))));
    assert_eq!(edit(&first, json!({"name": null})).await.expect("cleared").name, None);
    edit(&second, json!({"name": "web1"})).await.expect("free");
}
