//! Conditions of the node, from what the runtime and the kernel say.

use std::collections::BTreeSet;

use api::{
    core::v1::{Node, NodeCondition},
    jiff::Timestamp,
};
use cri::v1::StatusResponse;

use crate::{eviction::Condition, pod::status::seconds};

struct Finding {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

pub(super) fn all(
    old: &Node,
    runtime: &cri::Result<StatusResponse>,
    short: &BTreeSet<Condition>,
    now: Timestamp,
) -> Vec<NodeCondition> {
    let before = old.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let pressures = PRESSURES.into_iter().map(|(kind, reasons, texts)| pressure(kind, short, reasons, texts));
    pressures.chain([ready(runtime)]).map(|finding| condition(before, finding, now)).collect()
}

fn condition(before: &[NodeCondition], finding: Finding, now: Timestamp) -> NodeCondition {
    let status = if finding.holds { "True" } else { "False" };
    let old = before.iter().find(|c| c.type_ == finding.kind && c.status == status);
    NodeCondition {
        type_: finding.kind.to_owned(),
        status: status.to_owned(),
        reason: Some(finding.reason.to_owned()),
        message: Some(finding.message),
        last_heartbeat_time: Some(seconds(now)),
        last_transition_time: old.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(seconds(now))),
    }
}

fn pressure(
    kind: Condition,
    short: &BTreeSet<Condition>,
    reasons: [&'static str; 2],
    texts: [&'static str; 2],
) -> Finding {
    let holds = short.contains(&kind);
    let at = usize::from(!holds);
    Finding { kind: kind.as_str(), holds, reason: reasons[at], message: texts[at].to_owned() }
}

const PRESSURES: [(Condition, [&str; 2], [&str; 2]); 3] = [
    (
        Condition::Memory,
        ["KubeletHasInsufficientMemory", "KubeletHasSufficientMemory"],
        ["kubelet has insufficient memory available", "kubelet has sufficient memory available"],
    ),
    (
        Condition::Disk,
        ["KubeletHasDiskPressure", "KubeletHasNoDiskPressure"],
        ["kubelet has disk pressure", "kubelet has no disk pressure"],
    ),
    (
        Condition::Pid,
        ["KubeletHasInsufficientPID", "KubeletHasSufficientPID"],
        ["kubelet has insufficient PID available", "kubelet has sufficient PID available"],
    ),
];

/// The word the event of a change has, and none for a condition that did not change.
pub(super) fn change(before: &[NodeCondition], now: &NodeCondition) -> Option<&'static str> {
    if before.iter().any(|c| c.type_ == now.type_ && c.status == now.status) {
        return None;
    }
    Some(match (now.type_.as_str(), now.status == "True") {
        ("MemoryPressure", true) => "NodeHasInsufficientMemory",
        ("MemoryPressure", false) => "NodeHasSufficientMemory",
        ("DiskPressure", true) => "NodeHasDiskPressure",
        ("DiskPressure", false) => "NodeHasNoDiskPressure",
        ("PIDPressure", true) => "NodeHasInsufficientPID",
        ("PIDPressure", false) => "NodeHasSufficientPID",
        (_, true) => "NodeReady",
        (_, false) => "NodeNotReady",
    })
}

fn ready(runtime: &cri::Result<StatusResponse>) -> Finding {
    let not = |message: String| Finding { kind: "Ready", holds: false, reason: "KubeletNotReady", message };
    let status = match runtime {
        Err(error) => return not(format!("container runtime is down: {error}")),
        Ok(answer) => answer.status.clone().unwrap_or_default(),
    };
    let mut troubles = Vec::new();
    for (kind, words) in
        [("RuntimeReady", "container runtime not ready"), ("NetworkReady", "container runtime network not ready")]
    {
        match status.conditions.iter().find(|c| c.r#type == kind) {
            Some(c) if c.status => {}
            Some(c) => troubles.push(format!("{words}: {kind}=false reason:{} message:{}", c.reason, c.message)),
            None => troubles.push(format!("{words}: {kind} is not known")),
        }
    }
    if troubles.is_empty() {
        let message = "kubelet is posting ready status".to_owned();
        Finding { kind: "Ready", holds: true, reason: "KubeletReady", message }
    } else {
        not(troubles.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cri::v1::{RuntimeCondition, RuntimeStatus};

    #[test]
    fn pressures_are_told_and_changes_noticed() {
        let short = BTreeSet::from([Condition::Disk]);
        let down = Err(cri::CriError::unavailable("x"));
        let all = all(&Node::default(), &down, &short, Timestamp::UNIX_EPOCH);
        let told: Vec<(&str, &str)> = all.iter().map(|c| (c.type_.as_str(), c.status.as_str())).collect();
        let expect =
            [("MemoryPressure", "False"), ("DiskPressure", "True"), ("PIDPressure", "False"), ("Ready", "False")];
        assert_eq!(told, expect);
        assert_eq!(all[1].reason.as_deref(), Some("KubeletHasDiskPressure"));
        let words: Vec<&str> = all.iter().filter_map(|c| change(&[], c)).collect();
        let expect = ["NodeHasSufficientMemory", "NodeHasDiskPressure", "NodeHasSufficientPID", "NodeNotReady"];
        assert_eq!(words, expect);
        assert!(all.iter().all(|c| change(&all, c).is_none()));
    }

    #[test]
    fn readiness_is_the_runtimes_and_the_networks() {
        let condition = |kind: &str, status, reason: &str| RuntimeCondition {
            r#type: kind.to_owned(),
            status,
            reason: reason.to_owned(),
            message: "m".to_owned(),
        };
        let answer = |network| {
            let conditions = vec![condition("RuntimeReady", true, ""), condition("NetworkReady", network, "r")];
            Ok(StatusResponse { status: Some(RuntimeStatus { conditions }), ..Default::default() })
        };
        assert!(ready(&answer(true)).holds);
        let no = ready(&answer(false));
        let text = "container runtime network not ready: NetworkReady=false reason:r message:m";
        assert_eq!((no.holds, no.message.as_str()), (false, text));
        assert!(!ready(&Err(cri::CriError::unavailable("x"))).holds);
    }
}
