//! Hooks at the start and end of a container's life.

use api::core::v1::{Lifecycle, LifecycleHandler};
use apimachinery::field::{Error, ErrorList, Path};

use super::{Cx, probe::Handler};

/// Signals by which containers can be asked to stop.
const LINUX_SIGNALS: &[&str] = &[
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];
const WINDOWS_SIGNALS: &[&str] = &["SIGKILL", "SIGTERM"];

pub(super) fn validate(lifecycle: &Lifecycle, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    for (handler, field) in [(&lifecycle.post_start, "postStart"), (&lifecycle.pre_stop, "preStop")] {
        if let Some(handler) = handler {
            actions(handler).validate(cx, &path.child(field), errors);
        }
    }
    if let Some(signal) = &lifecycle.stop_signal {
        stop_signal(signal, cx.os, &path.child("stopSignal"), errors);
    }
}

fn actions(handler: &LifecycleHandler) -> Handler<'_> {
    Handler {
        exec: handler.exec.as_ref(),
        http_get: handler.http_get.as_ref(),
        tcp_socket: handler.tcp_socket.as_ref(),
        grpc_port: None,
        sleep: handler.sleep.as_ref(),
    }
}

fn stop_signal(signal: &str, os: &str, path: &Path, errors: &mut ErrorList) {
    let is_real_time = |signal: &str| {
        let number = |text: &str, range: std::ops::RangeInclusive<u8>| {
            text.is_empty() || text[1..].parse().is_ok_and(|n| range.contains(&n))
        };
        signal
            .strip_prefix("SIGRTMIN")
            .is_some_and(|rest| (rest.is_empty() || rest.starts_with('+')) && number(rest, 1..=15))
            || signal
                .strip_prefix("SIGRTMAX")
                .is_some_and(|rest| (rest.is_empty() || rest.starts_with('-')) && number(rest, 1..=14))
    };
    match os {
        "" => errors.push(Error::forbidden(path, "may not be set for containers with empty `spec.os.name`")),
        "windows" if !WINDOWS_SIGNALS.contains(&signal) => {
            errors.push(Error::not_supported(path, signal, WINDOWS_SIGNALS));
        }
        "linux" if !LINUX_SIGNALS.contains(&signal) && !is_real_time(signal) => {
            errors.push(Error::not_supported(path, signal, LINUX_SIGNALS));
        }
        _ => {}
    }
}
