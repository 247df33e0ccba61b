//! Statuses by table.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use super::*;
use crate::pod::observed::{ContainerSeen, SandboxSeen, State};

struct Healthy(bool);

impl Health for Healthy {
    fn started(&self, _: &api::core::v1::Container, _: &str) -> Option<bool> {
        Some(true)
    }
    fn ready(&self, _: &api::core::v1::Container, _: &str) -> Option<bool> {
        Some(self.0)
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn seen(name: &str, state: State, exit_code: i32, restart_count: u32) -> ContainerSeen {
    ContainerSeen {
        id: format!("{name}{restart_count}"),
        name: name.to_owned(),
        sandbox_id: "s".to_owned(),
        image: "image".to_owned(),
        image_id: "sha256:1".to_owned(),
        hash: String::new(),
        restart_count,
        state,
        created_at: at(10),
        started_at: Some(at(11)),
        finished_at: (state == State::Exited).then(|| at(12)),
        exit_code,
        reason: String::new(),
        message: String::new(),
        log_path: String::new(),
    }
}

fn observed(containers: Vec<ContainerSeen>) -> Observed {
    let sandbox = SandboxSeen {
        id: "s".to_owned(),
        ready: true,
        attempt: 0,
        created_at: at(9),
        ips: vec!["10.0.0.7".to_owned()],
        host_network: false,
    };
    Observed { sandboxes: vec![sandbox], containers }
}

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u", "generation": 3}, "spec": spec})).unwrap()
}

fn status(pod: &Pod, observed: &Observed, waits: &WaitReasons, over: bool) -> PodStatus {
    let host_ips = ["192.0.2.1".to_owned()];
    pod_status(&Facts {
        pod,
        observed,
        waits,
        health: &Healthy(true),
        runtime_name: "knarr",
        host_ips: &host_ips,
        over,
        verdict: None,
        now: at(100),
    })
}

fn conditions(status: &PodStatus) -> String {
    let texts: Vec<String> = status
        .conditions
        .iter()
        .flatten()
        .map(|c| {
            let reason = c.reason.as_ref().map(|r| format!("/{r}")).unwrap_or_default();
            format!("{}={}{reason}", c.type_, c.status)
        })
        .collect();
    texts.join(" ")
}

#[test]
fn a_running_pod() {
    let pod = pod(json!({"containers": [{"name": "b"}, {"name": "a"}]}));
    let observed = observed(vec![seen("a", State::Running, 0, 0), seen("b", State::Running, 0, 2)]);
    let status = status(&pod, &observed, &WaitReasons::new(), false);
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.7"));
    assert_eq!(status.host_ip.as_deref(), Some("192.0.2.1"));
    assert_eq!(status.observed_generation, Some(3));
    let all = "PodReadyToStartContainers=True Initialized=True Ready=True ContainersReady=True PodScheduled=True";
    assert_eq!(conditions(&status), all);
    let containers = status.container_statuses.unwrap();
    assert_eq!((containers[0].name.as_str(), containers[1].name.as_str()), ("a", "b"));
    assert_eq!(containers[0].container_id.as_deref(), Some("knarr://a0"));
    assert_eq!((containers[1].restart_count, containers[1].started, containers[1].ready), (2, Some(true), true));
}

#[test]
fn an_ephemeral_container_is_told_and_changes_nothing_else() {
    let pod = pod(json!({"restartPolicy": "Never", "containers": [{"name": "a"}],
        "ephemeralContainers": [{"name": "f", "image": "i"}, {"name": "e"}]}));
    let mut observed = observed(vec![seen("e", State::Exited, 3, 0), seen("a", State::Running, 0, 0)]);
    let status_of = |observed: &Observed| status(&pod, observed, &WaitReasons::new(), false);
    let now = status_of(&observed);
    assert_eq!((now.phase.as_deref(), now.container_statuses.unwrap().len()), (Some("Running"), 1));
    let told = serde_json::to_value(now.ephemeral_container_statuses).unwrap();
    assert_eq!(told[0]["state"]["terminated"]["exitCode"], 3);
    assert_eq!((&told[0]["ready"], &told[0]["started"]), (&json!(false), &Value::Null));
    assert_eq!(told[1]["state"]["waiting"]["reason"], "ContainerCreating");
    observed.containers.remove(0);
    observed.containers.insert(0, seen("e", State::Running, 0, 0));
    observed.containers[1] = seen("a", State::Exited, 0, 0);
    assert_eq!(status_of(&observed).phase.as_deref(), Some("Succeeded"));
}

#[test]
fn an_evicted_pod_has_failed_when_nothing_of_it_runs() {
    let pod = pod(json!({"containers": [{"name": "a"}]}));
    let verdict = Verdict {
        reason: "Evicted".to_owned(),
        message: "The node was low on resource: memory. ".to_owned(),
        disruption: Some("why".to_owned()),
    };
    let status_of = |state, over| {
        let observed = observed(vec![seen("a", state, 137, 0)]);
        pod_status(&Facts {
            pod: &pod,
            observed: &observed,
            waits: &WaitReasons::new(),
            health: &Healthy(true),
            runtime_name: "knarr",
            host_ips: &[],
            over,
            verdict: Some(&verdict),
            now: at(100),
        })
    };
    let ending = status_of(State::Running, false);
    assert_eq!((ending.phase.as_deref(), ending.reason), (Some("Running"), None));
    let ended = status_of(State::Exited, true);
    assert_eq!((ended.phase.as_deref(), ended.reason.as_deref()), (Some("Failed"), Some("Evicted")));
    assert_eq!(ended.message.as_deref(), Some("The node was low on resource: memory. "));
    assert!(conditions(&ended).ends_with("PodScheduled=True DisruptionTarget=True/TerminationByKubelet"));
    assert!(ended.conditions.iter().flatten().all(|c| c.observed_generation == Some(3)));
}

#[test]
fn nothing_changes_when_nothing_happened() {
    let mut pod = pod(json!({"containers": [{"name": "a"}]}));
    let observed = observed(vec![seen("a", State::Running, 0, 0)]);
    let first = status(&pod, &observed, &WaitReasons::new(), false);
    pod.status = Some(serde_json::from_value(serde_json::to_value(&first).unwrap()).unwrap());
    let mut again = Facts {
        pod: &pod,
        observed: &observed,
        waits: &WaitReasons::new(),
        health: &Healthy(true),
        runtime_name: "knarr",
        host_ips: &["192.0.2.1".to_owned()],
        over: false,
        verdict: None,
        now: at(5000),
    };
    assert_eq!(pod_status(&again), first);
    again.health = &Healthy(false);
    let unready = pod_status(&again);
    let ready = unready.conditions.as_ref().unwrap().iter().find(|c| c.type_ == "Ready").unwrap().clone();
    assert_eq!(ready.message.as_deref(), Some("containers with unready status: [a]"));
    assert_eq!(ready.last_transition_time, Some(Time(at(5000))));
}

#[test]
fn phases() {
    let check = |policy: &str, states: &[(State, i32)], over: bool, expect: &str| {
        let names = ["a", "b"];
        let containers: Vec<Value> = names[..states.len()].iter().map(|n| json!({"name": n})).collect();
        let pod = pod(json!({"restartPolicy": policy, "containers": containers}));
        let seen = states.iter().zip(names).map(|((state, code), name)| seen(name, *state, *code, 0)).collect();
        let found = status(&pod, &observed(seen), &WaitReasons::new(), over);
        assert_eq!(found.phase.as_deref(), Some(expect), "{policy} {states:?} {over}");
    };
    let (ok, bad, running) = ((State::Exited, 0), (State::Exited, 1), (State::Running, 0));
    check("Always", &[running, ok], false, "Running");
    check("Always", &[ok, ok], false, "Running");
    check("Always", &[ok, ok], true, "Succeeded");
    check("Always", &[ok, bad], true, "Failed");
    check("OnFailure", &[ok, ok], false, "Succeeded");
    check("OnFailure", &[ok, bad], false, "Running");
    check("Never", &[ok, bad], false, "Failed");
    check("Never", &[bad, running], false, "Running");
    check("Never", &[ok], false, "Succeeded");
    check("Always", &[(State::Created, 0)], false, "Pending");
}

#[test]
fn waiting_to_start_again() {
    let pod = pod(json!({"restartPolicy": "Always", "containers": [{"name": "a"}]}));
    let observed = observed(vec![seen("a", State::Exited, 7, 1), seen("a", State::Exited, 6, 0)]);
    let waits = WaitReasons::from([("a".to_owned(), ("CrashLoopBackOff".to_owned(), "back-off".to_owned()))]);
    let found = status(&pod, &observed, &waits, false);
    assert_eq!(found.phase.as_deref(), Some("Running"));
    let container = &found.container_statuses.unwrap()[0];
    let waiting = container.state.clone().unwrap().waiting.unwrap();
    assert_eq!((waiting.reason.as_deref(), waiting.message.as_deref()), (Some("CrashLoopBackOff"), Some("back-off")));
    let last = container.last_state.clone().unwrap().terminated.unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (7, Some("Error")));
    assert_eq!(container.restart_count, 1);
    assert!(!container.ready);
}

#[test]
fn a_pod_with_nothing_yet() {
    let new = pod(json!({"containers": [{"name": "a", "image": "x"}]}));
    let found = status(&new, &Observed::default(), &WaitReasons::new(), false);
    assert_eq!(found.phase.as_deref(), Some("Pending"));
    let expect = "PodReadyToStartContainers=False Initialized=True Ready=False/ContainersNotReady \
                  ContainersReady=False/ContainersNotReady PodScheduled=True";
    assert_eq!(conditions(&found), expect);
    let reason = |s: PodStatus| s.container_statuses.unwrap()[0].state.clone().unwrap().waiting.unwrap().reason;
    assert_eq!(reason(found).as_deref(), Some("ContainerCreating"));
    let init = pod(json!({"initContainers": [{"name": "i"}], "containers": [{"name": "a"}]}));
    let found = status(&init, &Observed::default(), &WaitReasons::new(), false);
    assert!(conditions(&found).contains("Initialized=False/ContainersNotInitialized"));
    assert_eq!(reason(found).as_deref(), Some("PodInitializing"));
}

#[test]
fn initialization_holds_the_phase() {
    let spec = |policy: &str| json!({"restartPolicy": policy, "initContainers": [{"name": "i"}], "containers": [{"name": "a"}]});
    let phase = |policy: &str, containers| {
        status(&pod(spec(policy)), &observed(containers), &WaitReasons::new(), false).phase.unwrap()
    };
    assert_eq!(phase("Always", vec![seen("i", State::Running, 0, 0)]), "Pending");
    assert_eq!(phase("Always", vec![seen("i", State::Exited, 1, 0)]), "Pending");
    assert_eq!(phase("Never", vec![seen("i", State::Exited, 1, 0)]), "Failed");
    assert_eq!(phase("Always", vec![seen("a", State::Running, 0, 0), seen("i", State::Exited, 0, 0)]), "Running");
    assert_eq!(phase("Always", vec![seen("a", State::Running, 0, 0)]), "Running");
}

#[test]
fn a_container_that_vanished_counts_as_a_restart() {
    let mut pod = pod(json!({"containers": [{"name": "a"}]}));
    let before = status(&pod, &observed(vec![seen("a", State::Running, 0, 0)]), &WaitReasons::new(), false);
    pod.status = Some(before);
    let found = status(&pod, &Observed::default(), &WaitReasons::new(), false);
    let container = &found.container_statuses.as_ref().unwrap()[0];
    assert_eq!(container.restart_count, 1);
    let last = container.last_state.clone().unwrap().terminated.unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (137, Some("ContainerStatusUnknown")));
    assert_eq!(found.pod_ip.as_deref(), Some("10.0.0.7"), "kept while there is no other");
}

#[test]
fn a_finished_pod_stays_finished() {
    let mut pod = pod(json!({"restartPolicy": "Never", "containers": [{"name": "a"}]}));
    pod.status = Some(PodStatus {
        phase: Some("Failed".to_owned()),
        reason: Some("Evicted".to_owned()),
        ..PodStatus::default()
    });
    let found = status(&pod, &observed(vec![seen("a", State::Running, 0, 0)]), &WaitReasons::new(), false);
    assert_eq!((found.phase.as_deref(), found.reason.as_deref()), (Some("Failed"), Some("Evicted")));
}

#[test]
fn readiness_gates() {
    let spec = json!({"readinessGates": [{"conditionType": "x/y"}], "containers": [{"name": "a"}]});
    let mut pod = pod(spec);
    let observed = observed(vec![seen("a", State::Running, 0, 0)]);
    let ready = |pod: &Pod| {
        let status = status(pod, &observed, &WaitReasons::new(), false);
        status.conditions.unwrap().into_iter().find(|c| c.type_ == "Ready").unwrap()
    };
    let missing = "corresponding condition of pod readiness gate \"x/y\" does not exist.";
    assert_eq!(ready(&pod).message.as_deref(), Some(missing));
    let gate = json!({"conditions": [{"type": "x/y", "status": "False"}]});
    pod.status = Some(serde_json::from_value(gate).unwrap());
    let message = "the status of pod readiness gate \"x/y\" is not \"True\", but False";
    assert_eq!(ready(&pod).message.as_deref(), Some(message));
    let gate = json!({"conditions": [{"type": "x/y", "status": "True"}]});
    pod.status = Some(serde_json::from_value(gate).unwrap());
    assert_eq!(ready(&pod).status, "True");
}
