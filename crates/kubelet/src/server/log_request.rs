//! Which log, and how much of it.

use api::{
    core::v1::{ContainerStatus, Pod},
    jiff::{SignedDuration, Timestamp},
};
use form_urlencoded::parse;

use super::Refusal;

/// `PodLogOptions`, judged by the API server.
#[derive(Debug, Default)]
pub(super) struct LogOptions {
    pub(super) follow: bool,
    pub(super) previous: bool,
    pub(super) timestamps: bool,
    pub(super) since: Option<Timestamp>,
    pub(super) tail: Option<u64>,
    pub(super) limit: Option<u64>,
    /// `stdout` or `stderr`; none means both.
    pub(super) stream: Option<String>,
}

impl LogOptions {
    pub(super) fn read(query: &str, now: Timestamp) -> Result<Self, Refusal> {
        let mut options = Self::default();
        for (key, value) in parse(query.as_bytes()) {
            let number =
                || value.parse::<u64>().map_err(|_| Refusal::bad_request(format!("{key}: {value} is no number")));
            let flag = value == "true" || value == "1";
            match key.as_ref() {
                "follow" => options.follow = flag,
                "previous" => options.previous = flag,
                "timestamps" => options.timestamps = flag,
                "tailLines" => options.tail = Some(number()?),
                "limitBytes" => options.limit = Some(number()?),
                "sinceSeconds" => {
                    let seconds = i64::try_from(number()?).unwrap_or(i64::MAX);
                    options.since = now.checked_sub(SignedDuration::from_secs(seconds)).ok();
                }
                "sinceTime" => {
                    let time =
                        value.parse().map_err(|_| Refusal::bad_request(format!("sinceTime: {value} is no time")));
                    options.since = Some(time?);
                }
                "stream" if value != "All" => options.stream = Some(value.to_ascii_lowercase()),
                _ => {}
            }
        }
        Ok(options)
    }
}

/// The id of the container whose log is meant, by what the pod's status says of it.
pub(super) fn container_id(pod: &Pod, container: &str, previous: bool) -> Result<String, Refusal> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref();
    let statuses = status.into_iter().flat_map(|s| {
        let lists = [&s.container_statuses, &s.init_container_statuses, &s.ephemeral_container_statuses];
        lists.into_iter().flatten().flatten()
    });
    let Some(found) = statuses.into_iter().find(|s| s.name == container) else {
        return Err(Refusal::bad_request(format!("container {container:?} in pod {name:?} is not available")));
    };
    choose(found, previous).map(bare).ok_or_else(|| {
        if previous {
            return Refusal::bad_request(format!(
                "previous terminated container {container:?} in pod {name:?} not found"
            ));
        }
        let waiting = found.state.as_ref().and_then(|s| s.waiting.as_ref()).and_then(|w| w.reason.as_deref());
        let why = match waiting {
            Some("ErrImagePull") => "image can't be pulled",
            Some("ImagePullBackOff") => "trying and failing to pull image",
            Some(reason) => reason,
            None => return Refusal::bad_request(format!("container {container:?} in pod {name:?} is not available")),
        };
        Refusal::bad_request(format!("container {container:?} in pod {name:?} is waiting to start: {why}"))
    })
}

fn choose(status: &ContainerStatus, previous: bool) -> Option<&str> {
    let ended = |s: &Option<api::core::v1::ContainerState>| s.as_ref().and_then(|s| s.terminated.as_ref()).is_some();
    let id_of_last = || {
        let last = status.last_state.as_ref()?.terminated.as_ref()?;
        last.container_id.as_deref().filter(|id| !id.is_empty())
    };
    if previous {
        return id_of_last();
    }
    let runs = status.state.as_ref().is_some_and(|s| s.running.is_some());
    let own = status.container_id.as_deref().filter(|id| !id.is_empty());
    if runs || ended(&status.state) { own.or_else(id_of_last) } else { id_of_last() }
}

/// Without the runtime's name before it.
fn bare(id: &str) -> String {
    id.split_once("://").map_or(id, |(_, id)| id).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(status: Value, previous: bool, expect: Result<&str, &str>) {
        let mut whole = json!({"name": "c", "ready": false, "image": "i", "imageID": "", "restartCount": 0});
        whole.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
        let pod = json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [whole]}});
        let found = container_id(&serde_json::from_value(pod).unwrap(), "c", previous).map_err(|e| e.1);
        assert_eq!(found, expect.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn the_container_is_chosen_as_upstream_does() {
        let last = json!({"terminated": {"exitCode": 1, "containerID": "knarr://old"}});
        let running = json!({"running": {}});
        let both = json!({"state": running, "lastState": last, "containerID": "knarr://new"});
        check(both.clone(), false, Ok("new"));
        check(both, true, Ok("old"));
        let none = r#"previous terminated container "c" in pod "p" not found"#;
        check(json!({"state": running, "containerID": "knarr://new"}), true, Err(none));
        let backing_off = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        check(json!({"state": backing_off, "lastState": last}), false, Ok("old"));
        let pulling = json!({"waiting": {"reason": "ImagePullBackOff"}});
        let why = r#"container "c" in pod "p" is waiting to start: trying and failing to pull image"#;
        check(json!({"state": pulling}), false, Err(why));
    }

    #[test]
    fn options_are_read() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let options = LogOptions::read("follow=true&tailLines=5&sinceSeconds=60&stream=Stderr", now).ok().unwrap();
        assert!(options.follow && !options.previous);
        assert_eq!((options.tail, options.stream.as_deref()), (Some(5), Some("stderr")));
        assert_eq!(options.since.unwrap().to_string(), "2026-01-01T00:00:00Z");
    }
}
