//! The plan by table: a pod, what the runtime holds, and what is to be done.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;

use api::jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::pod::observed::SandboxSeen;

#[derive(Default)]
struct Verdicts(HashMap<(String, ProbeKind), Verdict>);

impl Probes for Verdicts {
    fn verdict(&self, id: &str, kind: ProbeKind) -> Option<Verdict> {
        self.0.get(&(id.to_owned(), kind)).copied()
    }
}

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "spec": spec})).unwrap()
}

fn sandbox(id: &str, attempt: u32, ready: bool) -> SandboxSeen {
    SandboxSeen {
        id: id.to_owned(),
        ready,
        attempt,
        created_at: Timestamp::UNIX_EPOCH,
        ips: vec!["10.0.0.1".to_owned()],
        host_network: false,
    }
}

/// `name@sandbox state[=code]`, newest first.
fn seen(pod: &Pod, texts: &[&str]) -> Vec<ContainerSeen> {
    let spec = pod.spec.as_ref().unwrap();
    texts
        .iter()
        .map(|text| {
            let (who, what) = text.split_once(' ').unwrap();
            let (name, sandbox_id) = who.split_once('@').unwrap();
            let (state, code) = what.split_once('=').unwrap_or((what, "0"));
            let all = spec.containers.iter().chain(spec.init_containers.iter().flatten()).cloned();
            let container = all.chain(crate::pod::ephemeral::of(spec)).find(|c| c.name == name);
            ContainerSeen {
                id: format!("{name}-id"),
                name: name.to_owned(),
                sandbox_id: sandbox_id.to_owned(),
                image: String::new(),
                image_id: String::new(),
                hash: container_hash(&container.unwrap()),
                restart_count: 0,
                state: match state {
                    "created" => State::Created,
                    "running" => State::Running,
                    "exited" => State::Exited,
                    _ => State::Unknown,
                },
                created_at: Timestamp::UNIX_EPOCH,
                started_at: None,
                finished_at: None,
                exit_code: code.parse().unwrap(),
                reason: String::new(),
                message: String::new(),
                log_path: String::new(),
            }
        })
        .collect()
}

fn describe(pod: &Pod, plan: &Plan) -> String {
    let spec = pod.spec.as_ref().unwrap();
    let mut words = Vec::new();
    if plan.kill_pod {
        words.push("kill-pod".to_owned());
    }
    if let Some(attempt) = plan.create_sandbox {
        words.push(format!("sandbox({attempt})"));
    }
    words.extend(plan.kill.iter().map(|k| format!("kill({}: {})", k.name, k.message)));
    words.extend(plan.start.iter().map(|s| format!("start({})", container_of(spec, *s).unwrap().name)));
    words.join(" ")
}

#[track_caller]
fn check(pod: &Pod, sandboxes: &[SandboxSeen], containers: &[&str], expect: &str) {
    check_probed(pod, sandboxes, containers, &Verdicts::default(), expect);
}

#[track_caller]
fn check_probed(pod: &Pod, sandboxes: &[SandboxSeen], containers: &[&str], probes: &Verdicts, expect: &str) {
    let observed = Observed { sandboxes: sandboxes.to_vec(), containers: seen(pod, containers) };
    assert_eq!(describe(pod, &plan(pod, &observed, probes)), expect);
}

fn two(policy: &str) -> Pod {
    pod(json!({"restartPolicy": policy, "containers": [{"name": "a"}, {"name": "b"}]}))
}

#[test]
fn a_new_pod_gets_a_sandbox_and_its_containers() {
    check(&two("Always"), &[], &[], "sandbox(0) start(a) start(b)");
    check(&two("Never"), &[], &[], "sandbox(0) start(a) start(b)");
}

#[test]
fn ephemeral_containers_start_once_and_keep_nothing_alive() {
    let mut pod = pod(json!({"restartPolicy": "Never", "initContainers": [{"name": "i"}],
        "containers": [{"name": "a"}], "ephemeralContainers": [{"name": "e"}, {"name": "f"}]}));
    let ready = [sandbox("s", 0, true)];
    check(&pod, &[], &[], "sandbox(0) start(i)");
    check(&pod, &ready, &["i@s running"], "start(e) start(f)");
    check(&pod, &ready, &["e@s exited=1", "a@s running", "i@s exited"], "start(f)");
    check(&pod, &ready, &["f@s running", "e@s exited=1", "a@s exited", "i@s exited"], "kill-pod");
    pod.metadata.deletion_timestamp = Some(api::meta::Time(Timestamp::UNIX_EPOCH));
    check(&pod, &ready, &["a@s running", "i@s exited"], "");
}

#[test]
fn what_runs_is_left_alone() {
    check(&two("Always"), &[sandbox("s", 0, true)], &["a@s running", "b@s running"], "");
}

#[test]
fn restart_policies() {
    let s = [sandbox("s", 0, true)];
    check(&two("Always"), &s, &["a@s exited=0", "b@s running"], "start(a)");
    check(&two("OnFailure"), &s, &["a@s exited=0", "b@s running"], "");
    check(&two("OnFailure"), &s, &["a@s exited=1", "b@s running"], "start(a)");
    check(&two("Never"), &s, &["a@s exited=1", "b@s running"], "");
    check(&two("Never"), &s, &["a@s exited=1", "b@s exited=0"], "kill-pod");
    check(&two("OnFailure"), &s, &["a@s exited=0", "b@s exited=0"], "kill-pod");
    check(&two("OnFailure"), &[sandbox("s", 0, false)], &["a@s exited=0", "b@s exited=0"], "");
    check(&two("Always"), &s, &["a@s created", "b@s running"], "start(a)");
}

#[test]
fn a_container_may_have_its_own_policy() {
    let pod = pod(json!({"restartPolicy": "Never", "containers": [
        {"name": "a", "restartPolicy": "Never", "restartPolicyRules": [
            {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]},
        {"name": "b"}]}));
    let s = [sandbox("s", 0, true)];
    check(&pod, &s, &["a@s exited=42", "b@s running"], "start(a)");
    check(&pod, &s, &["a@s exited=1", "b@s running"], "");
}

#[test]
fn a_dead_sandbox_is_replaced() {
    let s = [sandbox("s", 0, false)];
    check(&two("Always"), &s, &["a@s exited=137", "b@s exited=137"], "kill-pod sandbox(1) start(a) start(b)");
    check(&two("OnFailure"), &s, &["a@s exited=0", "b@s exited=137"], "kill-pod sandbox(1) start(b)");
    check(&two("Never"), &s, &["a@s exited=137", "b@s exited=137"], "");
    // Nothing ever ran in it.
    check(&two("Never"), &s, &[], "kill-pod sandbox(1) start(a) start(b)");
    let mut no_address = sandbox("s", 3, true);
    no_address.ips.clear();
    check(&two("Always"), &[no_address], &[], "kill-pod sandbox(4) start(a) start(b)");
    // After the new one is there, containers of the old one are only history.
    let both = [sandbox("t", 1, true), sandbox("s", 0, false)];
    check(&two("Always"), &both, &["a@t running", "a@s exited=137", "b@s exited=137"], "start(b)");
}

#[test]
fn a_changed_image_replaces_the_container() {
    let old = two("Never");
    let new = pod(json!({"restartPolicy": "Never", "containers": [{"name": "a", "image": "new"}, {"name": "b"}]}));
    let containers = seen(&old, &["a@s running", "b@s running"]);
    let observed = Observed { sandboxes: vec![sandbox("s", 0, true)], containers };
    let plan = plan(&new, &observed, &Verdicts::default());
    assert_eq!(describe(&new, &plan), "kill(a: Container a definition changed, will be restarted) start(a)");
}

#[test]
fn probes_kill() {
    let probe = json!({"exec": {"command": ["true"]}});
    let pod = |policy: &str| {
        pod(json!({"restartPolicy": policy, "containers": [
            {"name": "a", "livenessProbe": probe, "startupProbe": probe}, {"name": "b"}]}))
    };
    let s = [sandbox("s", 0, true)];
    let failed = |kind| Verdicts([(("a-id".to_owned(), kind), Verdict::Failure)].into());
    let running = ["a@s running", "b@s running"];
    let liveness = failed(ProbeKind::Liveness);
    let expect = "kill(a: Container a failed liveness probe, will be restarted) start(a)";
    check_probed(&pod("Always"), &s, &running, &liveness, expect);
    check_probed(&pod("Never"), &s, &running, &liveness, "kill(a: Container a failed liveness probe)");
    let expect = "kill(a: Container a failed startup probe, will be restarted) start(a)";
    check_probed(&pod("OnFailure"), &s, &running, &failed(ProbeKind::Startup), expect);
    check_probed(&pod("Always"), &s, &running, &failed(ProbeKind::Readiness), "");
}

#[test]
fn init_containers_go_one_by_one() {
    let pod = |policy: &str| {
        pod(json!({"restartPolicy": policy, "initContainers": [{"name": "i"}, {"name": "j"}],
            "containers": [{"name": "a"}]}))
    };
    let s = [sandbox("s", 0, true)];
    check(&pod("Always"), &[], &[], "sandbox(0) start(i)");
    check(&pod("Always"), &s, &[], "start(i)");
    check(&pod("Always"), &s, &["i@s running"], "");
    check(&pod("Always"), &s, &["i@s exited=0"], "start(j)");
    check(&pod("Always"), &s, &["i@s exited=1"], "start(i)");
    check(&pod("OnFailure"), &s, &["i@s exited=1"], "start(i)");
    check(&pod("Never"), &s, &["i@s exited=1"], "kill-pod");
    check(&pod("Always"), &s, &["j@s exited=0", "i@s exited=0"], "start(a)");
    check(&pod("Always"), &s, &["j@s exited=0"], "start(a)");
    check(&pod("Always"), &s, &["a@s running"], "");
    check(&pod("Always"), &s, &["a@s exited=0", "j@s exited=0"], "start(a)");
    check(&pod("OnFailure"), &s, &["a@s exited=0", "j@s exited=0"], "kill-pod");
    // In a new sandbox initialization begins anew.
    let both = [sandbox("t", 1, true), sandbox("s", 0, false)];
    check(&pod("Always"), &both, &["a@s exited=137", "j@s exited=0", "i@s exited=0"], "start(i)");
    check(&pod("Always"), &both, &["i@t exited=0", "a@s exited=137", "j@s exited=0", "i@s exited=0"], "start(j)");
}

#[test]
fn sidecars_run_beside_what_follows() {
    let probe = json!({"exec": {"command": ["true"]}});
    let pod = |policy: &str, probes: Value| {
        let mut side = json!({"name": "side", "restartPolicy": "Always"});
        side.as_object_mut().unwrap().extend(probes.as_object().unwrap().clone());
        pod(json!({"restartPolicy": policy, "initContainers": [side, {"name": "i"}], "containers": [{"name": "a"}]}))
    };
    let plain = pod("Always", json!({}));
    let s = [sandbox("s", 0, true)];
    check(&plain, &s, &["side@s running"], "start(i)");
    check(&plain, &s, &["i@s running", "side@s running"], "");
    check(&plain, &s, &["i@s running", "side@s exited=0"], "start(side)");
    check(&plain, &s, &["i@s exited=0", "side@s running"], "start(a)");
    check(&plain, &s, &["a@s running", "i@s exited=0", "side@s exited=1"], "start(side)");
    check(&pod("Never", json!({})), &s, &["a@s running", "i@s exited=0", "side@s exited=1"], "start(side)");
    check(&pod("Never", json!({})), &s, &["a@s exited=0", "i@s exited=0", "side@s running"], "kill-pod");
    // The next begins when the startup probe has passed.
    let probed = pod("Always", json!({"startupProbe": probe}));
    check(&probed, &s, &["side@s running"], "");
    let passed = Verdicts([(("side-id".to_owned(), ProbeKind::Startup), Verdict::Success)].into());
    check_probed(&probed, &s, &["side@s running"], &passed, "start(i)");
    let failed = Verdicts([(("side-id".to_owned(), ProbeKind::Startup), Verdict::Failure)].into());
    let expect = "kill(side: Init container side failed startup probe) start(side)";
    check_probed(&probed, &s, &["side@s running"], &failed, expect);
}

#[test]
fn unknown_containers_are_killed_before_they_start_again() {
    let expect = "kill(a: Container is in \"unknown\" state, try killing it before restart) start(a)";
    check(&two("Always"), &[sandbox("s", 0, true)], &["a@s unknown", "b@s running"], expect);
}

#[test]
fn a_pod_on_its_way_out_starts_nothing() {
    let mut pod = two("Always");
    pod.metadata.deletion_timestamp = Some(api::meta::Time(Timestamp::UNIX_EPOCH));
    check(&pod, &[sandbox("s", 0, true)], &["a@s exited=1", "b@s running"], "");
}
