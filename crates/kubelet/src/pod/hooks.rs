//! Life cycle hooks of containers.

use std::time::Duration;

use api::core::v1::{Container, LifecycleHandler};
use cri::{RuntimeService, v1::ExecSyncRequest};

use crate::http_get::{from_action, get};

/// How long an HTTP hook may take; upstream has the same.
const HTTP_TIMEOUT: Duration = Duration::from_secs(60);
const USER_AGENT: &str = "kube-lifecycle/1.37";

#[derive(Debug, thiserror::Error)]
pub(crate) enum HookError {
    #[error("command '{command}' exited with {code}: {output}")]
    Exit { command: String, code: i32, output: String },
    #[error("Exec lifecycle hook ({command:?}) failed - error: {source}")]
    Exec { command: Vec<String>, source: cri::CriError },
    #[error("HTTP lifecycle hook ({path}) failed - error: {message}")]
    Http { path: String, message: String },
    #[error("invalid handler: a hook needs exec, httpGet or sleep")]
    Unknown,
}

/// Runs a hook to its end. The caller bounds the time.
pub(crate) async fn run(
    service: &dyn RuntimeService,
    container: &Container,
    id: &str,
    address: &str,
    hook: &LifecycleHandler,
) -> Result<(), HookError> {
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        let request = ExecSyncRequest { container_id: id.to_owned(), cmd: command.clone(), timeout: 0 };
        let answer =
            service.exec_sync(request).await.map_err(|source| HookError::Exec { command: command.clone(), source })?;
        if answer.exit_code != 0 {
            let output: Vec<u8> = answer.stdout.into_iter().chain(answer.stderr).collect();
            let output = String::from_utf8_lossy(&output).into_owned();
            return Err(HookError::Exit { command: command.join(" "), code: answer.exit_code, output });
        }
        return Ok(());
    }
    if let Some(action) = &hook.http_get {
        let path = action.path.clone().unwrap_or_default();
        let fail = |message: String| HookError::Http { path: path.clone(), message };
        let wanted = from_action(action, container, address, HTTP_TIMEOUT, USER_AGENT)
            .ok_or_else(|| fail("the port is not known".to_owned()))?;
        // Whatever the answer is, it was delivered: upstream looks at errors only.
        return get(wanted).await.map(drop).map_err(|e| fail(e.to_string()));
    }
    if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or_default())).await;
        return Ok(());
    }
    Err(HookError::Unknown)
}
