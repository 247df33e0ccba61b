//! The table row of a pod: above all, one word for what its containers are doing.

use apimachinery::Object;
use serde_json::{Value, json};

use crate::{Now, print};

pub(super) fn cells(object: &Object, now: Now) -> Vec<Value> {
    let summary = Summary::of(object);
    let pod_ip = print::list(object, &["status", "podIPs"]).first().map_or("", |ip| print::str_in(ip, &["ip"]));
    cells![
        print::name(object),
        format!("{}/{}", summary.ready, summary.total),
        summary.reason.clone(),
        summary.restarts_text(now),
        print::age(object, now),
        print::or(pod_ip, print::NONE),
        print::text_or(object, &["spec", "nodeName"], print::NONE),
        print::text_or(object, &["status", "nominatedNodeName"], print::NONE),
        readiness_gates(object),
    ]
}

/// Pods that have ended.
pub(super) fn conditions_of_row(object: &Object) -> Vec<Value> {
    let completed = |reason: &str, message: &str| {
        vec![json!({"type": "Completed", "status": "True", "reason": reason, "message": message})]
    };
    match print::text(object, &["status", "phase"]) {
        "Succeeded" => completed("Succeeded", "The pod has completed successfully."),
        "Failed" => completed("Failed", "The pod failed."),
        _ => Vec::new(),
    }
}

fn conditions(object: &Object) -> &[Value] {
    print::list(object, &["status", "conditions"])
}

fn is_true(object: &Object, condition: &str) -> bool {
    let is = |c: &&Value| print::str_in(c, &["type"]) == condition;
    conditions(object).iter().find(is).is_some_and(|c| print::str_in(c, &["status"]) == "True")
}

fn readiness_gates(object: &Object) -> String {
    let gates = print::list(object, &["spec", "readinessGates"]);
    if gates.is_empty() {
        return print::NONE.to_owned();
    }
    let met = gates.iter().filter(|gate| is_true(object, print::str_in(gate, &["conditionType"]))).count();
    format!("{met}/{}", gates.len())
}

/// Restarts of some containers, and the end of the last run that was followed by one.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i64,
    last: Option<i64>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += print::int_in(status, &["restartCount"]);
        let ended = print::seconds(print::str_in(status, &["lastState", "terminated", "finishedAt"]));
        self.last = self.last.max(ended);
    }
}

struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: Restarts,
}

impl Summary {
    fn of(object: &Object) -> Self {
        let phase = print::text(object, &["status", "phase"]);
        let status_reason = print::text(object, &["status", "reason"]);
        let mut reason = print::or(status_reason, phase).to_owned();
        let gated = |c: &Value| {
            print::str_in(c, &["type"]) == "PodScheduled" && print::str_in(c, &["reason"]) == "SchedulingGated"
        };
        if conditions(object).iter().any(gated) {
            reason = "SchedulingGated".to_owned();
        }
        let sidecars = print::list(object, &["spec", "initContainers"]).iter().filter(|c| is_sidecar(c)).count();
        let mut summary = Self {
            ready: 0,
            total: print::list(object, &["spec", "containers"]).len() + sidecars,
            reason,
            restarts: Restarts::default(),
        };
        let (initializing, sidecar_restarts) = summary.add_init_containers(object);
        if !initializing || is_true(object, "Initialized") {
            summary.restarts = sidecar_restarts;
            summary.add_containers(object);
        }
        if object.deletion_timestamp().is_some() {
            if status_reason == "NodeLost" {
                summary.reason = "Unknown".to_owned();
            } else if !matches!(phase, "Failed" | "Succeeded") {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Whether an init container is not done, and the restarts of sidecars.
    fn add_init_containers(&mut self, object: &Object) -> (bool, Restarts) {
        let specs = print::list(object, &["spec", "initContainers"]);
        let mut sidecar_restarts = Restarts::default();
        for (index, status) in print::list(object, &["status", "initContainerStatuses"]).iter().enumerate() {
            self.restarts.add(status);
            let name = print::str_in(status, &["name"]);
            let sidecar = specs.iter().any(|spec| print::str_in(spec, &["name"]) == name && is_sidecar(spec));
            if sidecar {
                sidecar_restarts.add(status);
            }
            let terminated = state(status, "terminated");
            if terminated.is_some_and(|t| print::int_in(t, &["exitCode"]) == 0) {
                continue;
            }
            if sidecar && is_set(status, "started") {
                self.ready += usize::from(is_set(status, "ready"));
                continue;
            }
            let waiting = state(status, "waiting").map_or("", |waiting| print::str_in(waiting, &["reason"]));
            self.reason = match (terminated, waiting) {
                (Some(terminated), _) => format!("Init:{}", ended(terminated)),
                (None, "" | "PodInitializing") => format!("Init:{index}/{}", specs.len()),
                (None, waiting) => format!("Init:{waiting}"),
            };
            return (true, sidecar_restarts);
        }
        (false, sidecar_restarts)
    }

    fn add_containers(&mut self, object: &Object) {
        let mut running = false;
        for status in print::list(object, &["status", "containerStatuses"]).iter().rev() {
            self.restarts.add(status);
            let waiting = state(status, "waiting").map_or("", |waiting| print::str_in(waiting, &["reason"]));
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if let Some(terminated) = state(status, "terminated") {
                self.reason = ended(terminated);
            } else if is_set(status, "ready") && state(status, "running").is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            self.reason = if is_true(object, "Ready") { "Running".to_owned() } else { "NotReady".to_owned() };
        }
    }

    fn restarts_text(&self, now: Now) -> String {
        match self.restarts {
            Restarts { count, last: Some(last) } if count != 0 => {
                format!("{count} ({} ago)", print::human_duration(now - last))
            }
            Restarts { count, .. } => count.to_string(),
        }
    }
}

fn is_sidecar(spec: &Value) -> bool {
    print::str_in(spec, &["restartPolicy"]) == "Always"
}

fn state<'a>(status: &'a Value, state: &str) -> Option<&'a Value> {
    status.get("state")?.get(state).filter(|state| state.is_object())
}

fn is_set(status: &Value, flag: &str) -> bool {
    status.get(flag).and_then(Value::as_bool).unwrap_or_default()
}

/// How a container ended: the reason, or the signal or exit code.
fn ended(terminated: &Value) -> String {
    let reason = print::str_in(terminated, &["reason"]);
    if !reason.is_empty() {
        return reason.to_owned();
    }
    match print::int_in(terminated, &["signal"]) {
        0 => format!("ExitCode:{}", print::int_in(terminated, &["exitCode"])),
        signal => format!("Signal:{signal}"),
    }
}
