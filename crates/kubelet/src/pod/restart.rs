//! Whether a container that ended is started again.

use api::core::v1::{Container, Pod};

use super::observed::{Observed, State};

/// What the pod's or the container's own policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Always,
    OnFailure,
    Never,
}

fn parse(text: Option<&str>) -> Option<Policy> {
    match text? {
        "Always" => Some(Policy::Always),
        "OnFailure" => Some(Policy::OnFailure),
        "Never" => Some(Policy::Never),
        _ => None,
    }
}

pub(crate) fn pod_policy(pod: &Pod) -> Policy {
    parse(pod.spec.as_ref().and_then(|s| s.restart_policy.as_deref())).unwrap_or(Policy::Always)
}

/// The container's own policy goes before the pod's.
pub(crate) fn policy(pod: &Pod, container: &Container) -> Policy {
    parse(container.restart_policy.as_deref()).unwrap_or_else(|| pod_policy(pod))
}

/// Whether a container that ended with `exit_code` starts again: the first of its rules that fits, or its policy.
pub(crate) fn restarts_after(pod: &Pod, container: &Container, exit_code: i32) -> bool {
    for rule in container.restart_policy_rules.iter().flatten() {
        let Some(codes) = &rule.exit_codes else { continue };
        let listed = codes.values.iter().flatten().any(|code| *code == exit_code);
        let fits = match codes.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        };
        if fits && rule.action == "Restart" {
            return true;
        }
    }
    match policy(pod, container) {
        Policy::Always => true,
        Policy::OnFailure => exit_code != 0,
        Policy::Never => false,
    }
}

/// Whether the container is to be started, given what is known of its last run.
pub(crate) fn should_start(pod: &Pod, container: &Container, observed: &Observed) -> bool {
    if pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    match observed.latest(&container.name) {
        None => true,
        Some(seen) => match seen.state {
            State::Running => false,
            State::Created | State::Unknown => true,
            State::Exited => restarts_after(pod, container, seen.exit_code),
        },
    }
}
