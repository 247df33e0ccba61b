//! What the restricted level asks besides.

use serde_json::Value;

use super::{Finding, Subject, Version, baseline, counted, finding, plural, quoted, set, texts};

/// Since then pods of Windows are not asked for what only Linux has.
const KNOWS_WINDOWS: Version = Version(25);

fn exempt_for_windows(subject: &Subject<'_>) -> bool {
    subject.version >= KNOWS_WINDOWS && subject.is_windows()
}

pub(super) fn allow_privilege_escalation(subject: &Subject<'_>) -> Option<Finding> {
    let names = subject.failing(|context| context["allowPrivilegeEscalation"] != false);
    if names.is_empty() || exempt_for_windows(subject) {
        return None;
    }
    let names = counted("container", &names);
    finding(
        "allowPrivilegeEscalation != false",
        format!("{names} must set securityContext.allowPrivilegeEscalation=false"),
    )
}

pub(super) fn capabilities(subject: &Subject<'_>) -> Option<Finding> {
    if exempt_for_windows(subject) {
        return None;
    }
    let keeping = subject.failing(|context| !texts(&context["capabilities"]["drop"]).any(|c| c == "ALL"));
    let keeping = (!keeping.is_empty())
        .then(|| format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", counted("container", &keeping)));
    let adding = baseline::added_capabilities(subject, &["NET_BIND_SERVICE"]);
    let details: Vec<String> = keeping.into_iter().chain(adding).collect();
    if details.is_empty() { None } else { finding("unrestricted capabilities", details.join("; ")) }
}

const ALLOWED_VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

pub(super) fn volumes(subject: &Subject<'_>) -> Option<Finding> {
    let (mut names, mut types) = (Vec::new(), Vec::new());
    for volume in subject.volumes() {
        let source = volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).find(|key| *key != "name");
        if let (Some(name), Some(source)) = (volume["name"].as_str(), source)
            && !ALLOWED_VOLUMES.contains(&source)
        {
            names.push(name);
            types.push(source.to_owned());
        }
    }
    if names.is_empty() {
        return None;
    }
    let types = set(types);
    let detail = format!(
        "{} {} restricted volume {} {}",
        counted("volume", &names),
        plural("uses", "use", names.len()),
        plural("type", "types", types.len()),
        quoted(types.iter().map(String::as_str))
    );
    finding("restricted volume types", detail)
}

pub(super) fn run_as_non_root(subject: &Subject<'_>) -> Option<Finding> {
    const REASON: &str = "runAsNonRoot != true";
    if subject.has_own_users() {
        return None;
    }
    let setters = subject.setters(|context| context["runAsNonRoot"] == false);
    if !setters.is_empty() {
        return finding(REASON, format!("{} must not set securityContext.runAsNonRoot=false", setters.join(" and ")));
    }
    let silent = subject.failing(|context| context["runAsNonRoot"].is_null());
    if silent.is_empty() || subject.pod_context()["runAsNonRoot"] == true {
        return None;
    }
    finding(REASON, format!("pod or {} must set securityContext.runAsNonRoot=true", counted("container", &silent)))
}

pub(super) fn run_as_user(subject: &Subject<'_>) -> Option<Finding> {
    let setters = subject.setters(|context| context["runAsUser"] == 0);
    if setters.is_empty() || subject.has_own_users() {
        return None;
    }
    finding("runAsUser=0", format!("{} must not set runAsUser=0", setters.join(" and ")))
}

pub(super) fn seccomp_profile(subject: &Subject<'_>) -> Option<Finding> {
    if exempt_for_windows(subject) {
        return None;
    }
    if let Some(found) = baseline::bad_seccomp_profile(subject) {
        return Some(found);
    }
    let unset = |context: &Value| !context["seccompProfile"].is_object();
    let silent = subject.failing(unset);
    if silent.is_empty() || !unset(subject.pod_context()) {
        return None;
    }
    let detail = format!(
        "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
        counted("container", &silent)
    );
    finding("seccompProfile", detail)
}
