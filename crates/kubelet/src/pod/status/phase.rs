//! The phase of a pod from the statuses of its containers.

use api::{
    core::v1::{ContainerState, ContainerStatus, PodSpec},
    resources::is_restartable_init,
};

#[derive(Default)]
struct Counts {
    initializing: usize,
    init_failed: usize,
    unknown: usize,
    running: usize,
    waiting: usize,
    stopped: usize,
    succeeded: usize,
}

pub(crate) fn phase(spec: &PodSpec, init: &[ContainerStatus], regular: &[ContainerStatus], over: bool) -> &'static str {
    let mut counts = Counts::default();
    let initialized = regular.iter().any(ever_ran);
    for container in spec.init_containers.iter().flatten() {
        let status = init.iter().find(|s| s.name == container.name);
        // What initialization left behind may be gone once regular containers ran.
        if !initialized {
            count_init(&mut counts, status, is_restartable_init(container));
        } else if let Some(code) = status.and_then(exit_code).filter(|_| !is_restartable_init(container)) {
            counts.init_failed += usize::from(code != 0);
        }
    }
    for container in &spec.containers {
        count(&mut counts, regular.iter().find(|s| s.name == container.name));
    }
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    if counts.init_failed > 0 && (policy == "Never" || over) {
        "Failed"
    } else if counts.initializing > 0 || counts.waiting > 0 {
        if over { "Failed" } else { "Pending" }
    } else if counts.running > 0 && counts.unknown == 0 {
        "Running"
    } else if counts.running == 0 && counts.stopped > 0 && counts.unknown == 0 {
        stopped(&counts, policy, over)
    } else if over {
        "Failed"
    } else {
        "Pending"
    }
}

fn stopped(counts: &Counts, policy: &str, over: bool) -> &'static str {
    let all_well = counts.stopped == counts.succeeded;
    match policy {
        _ if over => {
            if all_well {
                "Succeeded"
            } else {
                "Failed"
            }
        }
        "Always" => "Running",
        _ if all_well => "Succeeded",
        "Never" => "Failed",
        _ => "Running",
    }
}

fn count_init(counts: &mut Counts, status: Option<&ContainerStatus>, sidecar: bool) {
    let Some(status) = status else {
        counts.initializing += 1;
        return;
    };
    if sidecar {
        counts.initializing += usize::from(status.started != Some(true));
        return;
    }
    match exit_code(status) {
        Some(0) => {}
        Some(_) => {
            counts.init_failed += 1;
            counts.initializing += 1;
        }
        None => counts.initializing += 1,
    }
}

/// How the container ended; of one that waits to start again, how it last ended.
fn exit_code(status: &ContainerStatus) -> Option<i32> {
    let ended = |state: &ContainerState| state.terminated.as_ref().map(|t| t.exit_code);
    let state = status.state.as_ref()?;
    match &state.waiting {
        Some(_) => status.last_state.as_ref().and_then(ended),
        None => ended(state),
    }
}

fn ever_ran(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    state.is_some_and(|s| s.running.is_some() || s.terminated.is_some())
        || status.last_state.as_ref().is_some_and(|s| s.terminated.is_some())
}

fn count(counts: &mut Counts, status: Option<&ContainerStatus>) {
    let Some(state) = status.and_then(|s| s.state.as_ref()) else {
        counts.unknown += 1;
        return;
    };
    if state.running.is_some() {
        counts.running += 1;
    } else if let Some(ended) = &state.terminated {
        counts.stopped += 1;
        counts.succeeded += usize::from(ended.exit_code == 0);
    } else if state.waiting.is_some() {
        let restarting = status.and_then(|s| s.last_state.as_ref()).is_some_and(|s| s.terminated.is_some());
        if restarting {
            counts.stopped += 1;
        } else {
            counts.waiting += 1;
        }
    } else {
        counts.unknown += 1;
    }
}
