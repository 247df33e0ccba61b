//! Asking once.

use std::time::Duration;

use api::core::v1::{Container, Probe};
use cri::{CriError, RuntimeService, v1::ExecSyncRequest};

use super::grpc;
use crate::http_get::{self, connect, from_action, get, port_of};

/// The most of a probe's output that is told.
const MAX_OUTPUT_BYTES: usize = 10 * 1024;
const USER_AGENT: &str = "kube-probe/1.37";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    /// Passed, with something to say.
    Warning(String),
    Failure(String),
    /// The question itself could not be asked.
    Error(String),
}

impl Outcome {
    pub(super) fn is_success(&self) -> bool {
        matches!(self, Self::Success | Self::Warning(_))
    }
}

pub(crate) async fn check(
    service: &dyn RuntimeService,
    probe: &Probe,
    container: &Container,
    id: &str,
    address: &str,
) -> Outcome {
    let seconds = probe.timeout_seconds.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0).unwrap_or(1);
    let timeout = Duration::from_secs(seconds);
    if let Some(exec) = &probe.exec {
        return exec_check(service, id, exec.command.clone().unwrap_or_default(), timeout).await;
    }
    if let Some(action) = &probe.http_get {
        return match from_action(action, container, address, timeout, USER_AGENT) {
            Some(wanted) => http_check(wanted).await,
            None => Outcome::Error(format!("couldn't find port: {:?}", action.port)),
        };
    }
    if let Some(action) = &probe.tcp_socket {
        let host = action.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| address.to_owned());
        return match port_of(&action.port, container) {
            Some(port) => connect(&host, port, timeout).await.map_or_else(Outcome::Failure, |()| Outcome::Success),
            None => Outcome::Error(format!("couldn't find port: {:?}", action.port)),
        };
    }
    if let Some(action) = &probe.grpc {
        let Ok(port) = u16::try_from(action.port) else {
            return Outcome::Error(format!("invalid port number: {}", action.port));
        };
        let service = action.service.clone().unwrap_or_default();
        return grpc::check(address, port, &service, timeout, USER_AGENT).await;
    }
    Outcome::Error("missing probe handler".to_owned())
}

async fn http_check(wanted: http_get::Get) -> Outcome {
    match get(wanted).await {
        Err(error) => Outcome::Failure(error.to_string()),
        Ok(answer) if answer.elsewhere.is_some() => {
            let location = answer.elsewhere.unwrap_or_default();
            Outcome::Warning(format!("Probe terminated redirects, Response body: {} ({location})", answer.body))
        }
        Ok(answer) if (200..400).contains(&answer.status) => Outcome::Success,
        Ok(answer) => Outcome::Failure(format!("HTTP probe failed with statuscode: {}", answer.status)),
    }
}

async fn exec_check(service: &dyn RuntimeService, id: &str, command: Vec<String>, timeout: Duration) -> Outcome {
    let request =
        ExecSyncRequest { container_id: id.to_owned(), cmd: command.clone(), timeout: timeout.as_secs() as i64 };
    match service.exec_sync(request).await {
        Ok(answer) if answer.exit_code == 0 => Outcome::Success,
        Ok(answer) => {
            let output: Vec<u8> = answer.stdout.into_iter().chain(answer.stderr).take(MAX_OUTPUT_BYTES).collect();
            Outcome::Failure(String::from_utf8_lossy(&output).into_owned())
        }
        Err(CriError::DeadlineExceeded { .. }) => {
            let command = command.join(" ");
            Outcome::Failure(format!("command timed out: {command:?} timed out after {}s", timeout.as_secs()))
        }
        Err(error) => Outcome::Error(error.to_string()),
    }
}
