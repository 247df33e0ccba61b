//! Conditions of the node, from what the runtime and the kernel say.

use api::{
    core::v1::{Node, NodeCondition},
    jiff::Timestamp,
};
use cri::v1::StatusResponse;

use crate::pod::status::seconds;

/// Pressure begins below these, as upstream's default hard eviction thresholds.
const MIN_MEMORY_AVAILABLE: u64 = 100 << 20;
const MIN_DISK_PERCENT: u64 = 10;
const MIN_INODES_PERCENT: u64 = 5;
/// The share of process ids in use above which there is pressure.
const MAX_PIDS_PERCENT: u64 = 90;

struct Finding {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

pub(super) fn all(old: &Node, runtime: &cri::Result<StatusResponse>, now: Timestamp) -> Vec<NodeCondition> {
    let before = old.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let findings = [memory(), disk(), pids(), ready(runtime)];
    findings.into_iter().map(|finding| condition(before, finding, now)).collect()
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

fn pressure(kind: &'static str, holds: bool, reasons: [&'static str; 2], texts: [&'static str; 2]) -> Finding {
    let at = usize::from(!holds);
    Finding { kind, holds, reason: reasons[at], message: texts[at].to_owned() }
}

fn memory() -> Finding {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        text.lines().find_map(|l| l.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let short = kib.is_some_and(|kib| kib << 10 < MIN_MEMORY_AVAILABLE);
    pressure(
        "MemoryPressure",
        short,
        ["KubeletHasInsufficientMemory", "KubeletHasSufficientMemory"],
        ["kubelet has insufficient memory available", "kubelet has sufficient memory available"],
    )
}

fn disk() -> Finding {
    let short = nix::sys::statvfs::statvfs("/").is_ok_and(|disk| {
        let below = |free: u64, all: u64, percent: u64| all > 0 && free * 100 < all * percent;
        below(disk.blocks_available(), disk.blocks(), MIN_DISK_PERCENT)
            || below(disk.files_available(), disk.files(), MIN_INODES_PERCENT)
    });
    pressure(
        "DiskPressure",
        short,
        ["KubeletHasDiskPressure", "KubeletHasNoDiskPressure"],
        ["kubelet has disk pressure", "kubelet has no disk pressure"],
    )
}

fn pids() -> Finding {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    // The fourth field of loadavg is "running/all".
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let used = load.split(' ').nth(3).and_then(|f| f.split('/').nth(1)?.parse::<u64>().ok());
    let limit = number("/proc/sys/kernel/pid_max").zip(number("/proc/sys/kernel/threads-max")).map(|(a, b)| a.min(b));
    let short = used.zip(limit).is_some_and(|(used, limit)| used * 100 > limit * MAX_PIDS_PERCENT);
    pressure(
        "PIDPressure",
        short,
        ["KubeletHasInsufficientPID", "KubeletHasSufficientPID"],
        ["kubelet has insufficient PID available", "kubelet has sufficient PID available"],
    )
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
