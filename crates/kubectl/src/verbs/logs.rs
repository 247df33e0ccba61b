//! `kubectl logs`.

use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use serde_json::Value;

use crate::{
    failure::{Failure, Result, refuse},
    manifest::text_at,
    pods,
    server::{Query, Server, print_bytes},
};

/// Lines of each container when a selector names many; upstream's number.
const SELECTED_TAIL: i64 = 10;
/// The longest line kept before its prefix is written.
const MAX_LINE_BYTES: usize = 1 << 20;

#[derive(Args)]
pub(crate) struct Logs {
    #[arg(value_name = "POD | TYPE/NAME")]
    words: Vec<String>,
    /// Go on as the container writes
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    follow: bool,
    /// Of the container before the last restart
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    previous: bool,
    /// The container
    #[arg(short, long)]
    container: Option<String>,
    /// Of all containers
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    all_containers: bool,
    /// Of all pods of the object named
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    all_pods: bool,
    /// The last lines only; -1 for all
    #[arg(long, allow_negative_numbers = true)]
    tail: Option<i64>,
    /// Not older than this, such as 5s, 2m or 3h
    #[arg(long)]
    since: Option<String>,
    /// Not older than this time (RFC 3339)
    #[arg(long)]
    since_time: Option<String>,
    /// With the time of each line
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    timestamps: bool,
    /// At most so many bytes
    #[arg(long)]
    limit_bytes: Option<u64>,
    /// With pod and container before each line
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    prefix: bool,
    /// Label selector
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Containers followed at once at most
    #[arg(long, default_value_t = 5)]
    max_log_requests: usize,
    /// A container that cannot be read is no error
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    ignore_errors: bool,
}

/// Upstream says in which namespace it looked.
fn absent(failure: Failure, server: &Server) -> Failure {
    match failure {
        Failure::Server { status, .. } if status.code == 404 => Failure::Request {
            reason: format!("error from server (NotFound): {} in namespace {:?}", status.message, server.namespace),
        },
        other => other,
    }
}

/// The logs of one container.
struct Source {
    pod: String,
    container: String,
}

impl Logs {
    pub(crate) async fn run(self, server: &Server) -> Result {
        let sources = self.sources(server).await?;
        if self.follow && sources.len() > 1 {
            if sources.len() > self.max_log_requests {
                return refuse(format!(
                    "you are attempting to follow {} log streams, but maximum allowed concurrency is {}, use \
                     --max-log-requests to increase the limit",
                    sources.len(),
                    self.max_log_requests
                ));
            }
            let all = sources.iter().map(|source| self.print(server, source));
            return Failure::several(
                futures::future::join_all(all).await.into_iter().filter_map(Result::err).collect(),
            );
        }
        for source in &sources {
            match self.print(server, source).await {
                Err(failure) if self.ignore_errors => eprintln!("error: {failure}"),
                other => other?,
            }
        }
        Ok(())
    }

    async fn sources(&self, server: &Server) -> Result<Vec<Source>> {
        let pods = match (&self.selector, self.words.as_slice()) {
            (Some(_), [_, ..]) => return refuse("only a selector (-l) or a POD name is allowed"),
            (Some(selector), []) => pods::list(server, server.discovery().await?.find("pods")?, selector).await?,
            (None, [name]) => pods::find(server, name).await.map_err(|f| absent(f, server))?,
            (None, [name, container]) if self.container.is_none() => {
                let pod = pods::find(server, name).await.map_err(|f| absent(f, server))?.remove(0);
                return Ok(vec![Source {
                    pod: text_at(&pod, "/metadata/name").to_owned(),
                    container: container.clone(),
                }]);
            }
            _ => {
                return refuse(
                    "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required \
                    argument for the logs command\nSee 'kubectl logs -h' for help and examples",
                );
            }
        };
        if self.selector.is_some() && pods.is_empty() {
            eprintln!("No resources found in {} namespace.", server.namespace);
        }
        let take_all = self.selector.is_some() || self.all_pods;
        if !take_all && pods.len() > 1 {
            eprintln!("Found {} pods, using pod/{}", pods.len(), text_at(&pods[0], "/metadata/name"));
        }
        let count = if take_all { pods.len() } else { 1 };
        let mut sources = Vec::new();
        for pod in pods.iter().take(count) {
            for container in self.containers(pod)? {
                sources.push(Source { pod: text_at(pod, "/metadata/name").to_owned(), container });
            }
        }
        Ok(sources)
    }

    fn containers(&self, pod: &Value) -> Result<Vec<String>> {
        if self.all_containers {
            return Ok(pods::containers(pod, &["initContainers", "containers", "ephemeralContainers"]));
        }
        let Some(name) = &self.container else { return Ok(vec![pods::default_container(pod)?]) };
        let known = pods::containers(pod, &["initContainers", "containers", "ephemeralContainers"]);
        if !known.contains(name) {
            return refuse(format!("container {name} is not valid for pod {}", text_at(pod, "/metadata/name")));
        }
        Ok(vec![name.clone()])
    }

    fn path(&self, server: &Server, source: &Source) -> Result<String> {
        let mut query = Query::default().with("container", &source.container);
        for (name, set) in [("follow", self.follow), ("previous", self.previous), ("timestamps", self.timestamps)] {
            if set {
                query = query.with(name, "true");
            }
        }
        if let Some(since) = &self.since {
            if self.since_time.is_some() {
                return refuse("at most one of `sinceTime` or `sinceSeconds` may be specified");
            }
            query = query.with("sinceSeconds", &duration(since)?.as_secs_f64().ceil().to_string());
        }
        let tail = self.tail.or(self.selector.is_some().then_some(SELECTED_TAIL)).filter(|t| *t != -1);
        let query = query
            .with_some("sinceTime", self.since_time.as_deref())
            .with_some("tailLines", tail.map(|t| t.to_string()).as_deref())
            .with_some("limitBytes", self.limit_bytes.map(|l| l.to_string()).as_deref());
        Ok(query.on(&format!("/api/v1/namespaces/{}/pods/{}/log", server.namespace, source.pod)))
    }

    async fn print(&self, server: &Server, source: &Source) -> Result {
        let mut stream = server.stream(&self.path(server, source)?, "application/json, */*").await?;
        let prefix = if self.prefix { format!("[pod/{}/{}] ", source.pod, source.container) } else { String::new() };
        let mut line = Vec::new();
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|e| Failure::from_client(e, &server.host))?;
            if prefix.is_empty() {
                print_bytes(&bytes)?;
                continue;
            }
            line.extend_from_slice(&bytes);
            while let Some(end) =
                line.iter().position(|b| *b == b'\n').or((line.len() > MAX_LINE_BYTES).then_some(MAX_LINE_BYTES))
            {
                let whole: Vec<u8> = prefix.bytes().chain(line.drain(..=end)).collect();
                print_bytes(&whole)?;
            }
        }
        if line.is_empty() { Ok(()) } else { print_bytes(&[prefix.as_bytes(), &line].concat()) }
    }
}

/// A duration as Go reads it: `1h30m`, `1.5s`, `300ms`.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let invalid = || Failure::Request { reason: format!("invalid argument: time: invalid duration {text:?}") };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let units = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..units] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(invalid()),
            };
        rest = &rest[units..];
    }
    if text.is_empty() { Err(invalid()) } else { Duration::try_from_secs_f64(seconds).map_err(|_| invalid()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [("5s", 5000), ("1h30m", 5_400_000), ("1.5s", 1500), ("300ms", 300), ("0", 0)] {
            assert_eq!(duration(text).unwrap().as_millis(), millis, "{text}");
        }
        for wrong in ["", "5", "s", "5x", "1.2.3s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
