#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::json;

use super::{
    conditions::{PROGRESSING, condition},
    *,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

fn deployment(replicas: i32, image: &str, strategy: serde_json::Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "n", "uid": "d", "generation": 1},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"a": "b"}}, "strategy": strategy,
            "revisionHistoryLimit": 1, "progressDeadlineSeconds": 600,
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": image}]}},
        },
    }))
    .unwrap()
}

fn rolling(surge: i32, unavailable: i32) -> serde_json::Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
}

/// A deployment and its sets, with the replica set controller and kubelet played by the test.
struct World {
    deployment: Deployment,
    sets: Vec<ReplicaSet>,
    old_pods_run: bool,
    seconds: i64,
}

impl World {
    fn new(deployment: Deployment) -> Self {
        Self { deployment, sets: Vec::new(), old_pods_run: false, seconds: 0 }
    }

    /// Plans once and takes every step.
    fn turn(&mut self) -> Plan {
        self.seconds += 1;
        let observed =
            Observed { deployment: self.deployment.clone(), sets: self.sets.clone(), old_pods_run: self.old_pods_run };
        let plan = plan(observed, at(self.seconds));
        for step in &plan.steps {
            match step {
                Step::Create(set) => {
                    let mut set = set.as_ref().clone();
                    set.metadata.uid = Some(format!("u{}", self.sets.len()));
                    set.metadata.creation_timestamp = Some(api::meta::Time(at(self.seconds)));
                    set.metadata.generation = Some(1);
                    self.sets.push(set);
                }
                Step::Update { set, .. } => {
                    let mine = self.sets.iter_mut().find(|s| s.metadata.name == set.metadata.name).unwrap();
                    *mine = set.as_ref().clone();
                }
                Step::Delete { name, .. } => self.sets.retain(|s| s.metadata.name.as_ref() != Some(name)),
            }
        }
        if let Some(status) = &plan.status {
            self.deployment.status = Some(status.clone());
        }
        if let Some(newest) = plan.revision {
            let annotations = self.deployment.metadata.annotations.get_or_insert_default();
            annotations.insert(revision::REVISION.to_owned(), newest.to_string());
        }
        plan
    }

    /// Every set gets the pods it asks for; those whose image is `bad` never become available.
    fn pods_come(&mut self) {
        for set in &mut self.sets {
            let spec = &set.spec;
            let size = spec.replicas.unwrap();
            let image = &spec.template.as_ref().unwrap().spec.as_ref().unwrap().containers[0].image;
            let good = if image.as_deref() == Some("bad") { 0 } else { size };
            set.status = Some(api::apps::v1::ReplicaSetStatus {
                replicas: size,
                ready_replicas: Some(good),
                available_replicas: Some(good),
                observed_generation: set.metadata.generation,
                terminating_replicas: Some(0),
                ..Default::default()
            });
        }
    }

    fn settle(&mut self) {
        for _ in 0..100 {
            self.pods_come();
            if self.turn() == (Plan { next: None, ..Plan::default() }) {
                return;
            }
        }
        panic!("does not settle: {:?}", self.deployment.status);
    }

    fn set_image(&mut self, image: &str) {
        let spec = &mut self.deployment.spec;
        spec.template.spec.as_mut().unwrap().containers[0].image = Some(image.to_owned());
        *self.deployment.metadata.generation.as_mut().unwrap() += 1;
    }

    fn set_replicas(&mut self, replicas: i32) {
        self.deployment.spec.replicas = Some(replicas);
        *self.deployment.metadata.generation.as_mut().unwrap() += 1;
    }

    fn sizes(&self) -> Vec<i32> {
        self.sets.iter().map(sizes::replicas).collect()
    }

    fn revisions(&self) -> Vec<i64> {
        self.sets.iter().map(|set| revision::revision(&set.metadata)).collect()
    }

    fn progressing(&self) -> (String, String) {
        let status = self.deployment.status.as_ref().unwrap();
        let condition = condition(status, PROGRESSING).unwrap();
        (condition.status.clone().unwrap(), condition.reason.clone().unwrap())
    }
}

#[test]
fn a_new_deployment_makes_one_set_and_completes() {
    let mut world = World::new(deployment(3, "v1", rolling(1, 0)));
    let plan = world.turn();
    assert!(matches!(plan.steps.as_slice(), [Step::Create(_)]));
    assert_eq!((world.sizes(), plan.revision), (vec![3], Some(1)));
    assert_eq!(world.progressing().1, "NewReplicaSetCreated");
    let set = &world.sets[0];
    let hash = set.metadata.name.as_ref().unwrap().strip_prefix("web-").unwrap().to_owned();
    for labels in [
        set.metadata.labels.clone(),
        set.spec.selector.match_labels.clone(),
        set.spec.template.as_ref().unwrap().metadata.as_ref().unwrap().labels.clone(),
    ] {
        assert_eq!(labels.unwrap().get("pod-template-hash"), Some(&hash));
    }
    world.settle();
    let status = world.deployment.status.as_ref().unwrap();
    assert_eq!((status.replicas, status.available_replicas, status.unavailable_replicas), (Some(3), Some(3), None));
    assert_eq!(world.progressing(), ("True".to_owned(), "NewReplicaSetAvailable".to_owned()));
}

#[test]
fn a_rolling_update_keeps_within_its_bounds() {
    for (surge, unavailable) in [(1, 0), (0, 1), (3, 2), (10, 10)] {
        let mut world = World::new(deployment(10, "v1", rolling(surge, unavailable)));
        world.settle();
        world.set_image("v2");
        for _ in 0..100 {
            let total: i32 = world.sizes().iter().sum();
            let available: i32 = world.sets.iter().map(|s| sizes::available(s).min(sizes::replicas(s))).sum();
            assert!(total <= 10 + surge, "{total} pods with surge {surge}");
            assert!(available >= 10 - unavailable, "{available} available with {unavailable} missing");
            world.turn();
            if world.sizes() == [0, 10] {
                break;
            }
            world.pods_come();
        }
        world.settle();
        assert_eq!((world.sizes(), world.revisions()), (vec![0, 10], vec![1, 2]));
    }
}

#[test]
fn undo_makes_an_old_set_the_newest_and_history_is_cut() {
    let mut world = World::new(deployment(2, "v1", rolling(1, 0)));
    world.settle();
    world.set_image("v2");
    world.settle();
    world.set_image("v1");
    world.settle();
    assert_eq!((world.sizes(), world.revisions()), (vec![2, 0], vec![3, 2]));
    world.set_image("v3");
    world.settle();
    assert_eq!((world.sizes(), world.revisions()), (vec![0, 2], vec![3, 4]), "the limit is one old set");
}

#[test]
fn a_bad_image_stops_the_rollout_and_times_out() {
    let mut world = World::new(deployment(4, "v1", rolling(1, 1)));
    world.settle();
    world.set_image("bad");
    let mut next = None;
    for _ in 0..10 {
        next = world.turn().next;
        world.pods_come();
    }
    assert_eq!(world.sizes(), [3, 2], "old pods keep serving");
    assert!(matches!(next, Some(Next::After(wait)) if wait <= Duration::from_secs(601)), "{next:?}");
    world.seconds += 700;
    world.turn();
    assert_eq!(world.progressing(), ("False".to_owned(), "ProgressDeadlineExceeded".to_owned()));
    let plan = world.turn();
    assert_eq!((plan.status, plan.next), (None, None), "settled, with nothing to wait for");
    world.set_image("v3");
    world.settle();
    assert_eq!(world.progressing().1, "NewReplicaSetAvailable");
}

#[test]
fn recreate_waits_for_the_last_old_pod() {
    let mut world = World::new(deployment(2, "v1", json!({"type": "Recreate"})));
    world.settle();
    world.set_image("v2");
    world.turn();
    assert_eq!(world.sizes(), [0], "nothing new yet");
    world.old_pods_run = true;
    world.pods_come();
    world.turn();
    assert_eq!(world.sizes(), [0]);
    world.old_pods_run = false;
    world.settle();
    assert_eq!((world.sizes(), world.revisions()), (vec![0, 2], vec![1, 2]));
}

#[test]
fn scaling_in_the_middle_of_a_rollout_is_proportional() {
    let mut world = World::new(deployment(10, "v1", rolling(3, 2)));
    world.settle();
    world.set_image("bad");
    for _ in 0..5 {
        world.turn();
        world.pods_come();
    }
    assert_eq!(world.sizes(), [8, 5]);
    world.set_replicas(30);
    world.turn();
    // 33 in all: the larger set takes what rounding leaves over.
    assert_eq!(world.sizes(), [20, 13]);
    world.set_replicas(0);
    world.turn();
    assert_eq!(world.sizes(), [0, 0]);
}

#[test]
fn a_pause_stops_rollouts_but_not_scaling() {
    let mut world = World::new(deployment(2, "v1", rolling(1, 0)));
    world.settle();
    world.deployment.spec.paused = Some(true);
    world.set_image("v2");
    world.turn();
    assert_eq!((world.sizes(), world.progressing().1.as_str()), (vec![2], "DeploymentPaused"));
    world.set_replicas(5);
    world.turn();
    assert_eq!(world.sizes(), [5]);
    world.settle();
    world.deployment.spec.paused = None;
    world.turn();
    assert_eq!(world.sets.len(), 2);
    world.settle();
    assert_eq!(world.sizes(), [0, 5]);
}

#[test]
fn a_deployment_being_deleted_only_counts() {
    let mut world = World::new(deployment(2, "v1", rolling(1, 0)));
    world.settle();
    world.deployment.metadata.deletion_timestamp = Some(api::meta::Time(at(0)));
    world.set_image("v2");
    let plan = world.turn();
    assert!(plan.steps.is_empty());
}
