//! Probes, and the handlers that they share with lifecycle hooks.

use api::core::v1::{ExecAction, HTTPGetAction, Probe, SleepAction, TCPSocketAction};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation;

use super::Cx;
use crate::rules;

/// The actions of a probe or hook, of which there must be one.
pub(super) struct Handler<'a> {
    pub(super) exec: Option<&'a ExecAction>,
    pub(super) http_get: Option<&'a HTTPGetAction>,
    pub(super) tcp_socket: Option<&'a TCPSocketAction>,
    pub(super) grpc_port: Option<i32>,
    pub(super) sleep: Option<&'a SleepAction>,
}

impl Handler<'_> {
    pub(super) fn validate(&self, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
        let mut handlers = 0;
        // Only the first is judged; each further one is one too many.
        let mut first = |field: &str, errors: &mut ErrorList| {
            handlers += 1;
            if handlers > 1 {
                errors.push(Error::forbidden(&path.child(field), "may not specify more than 1 handler type"));
            }
            handlers == 1
        };
        if let Some(exec) = self.exec
            && first("exec", errors)
            && rules::slice(&exec.command).is_empty()
        {
            errors.push(Error::required(&path.children(&["exec", "command"]), ""));
        }
        if let Some(action) = self.http_get
            && first("httpGet", errors)
        {
            http_get(action, &path.child("httpGet"), errors);
        }
        if let Some(action) = self.tcp_socket
            && first("tcpSocket", errors)
        {
            rules::port_number_or_name(&action.port, &path.children(&["tcpSocket", "port"]), errors);
        }
        if let Some(port) = self.grpc_port
            && first("grpc", errors)
        {
            rules::port_number(port.into(), &path.children(&["grpc", "port"]), errors);
        }
        if let Some(sleep) = self.sleep
            && first("sleep", errors)
            && !(0..=cx.grace_period_seconds).contains(&sleep.seconds)
        {
            let why = format!(
                "must be non-negative and less than terminationGracePeriodSeconds ({})",
                cx.grace_period_seconds
            );
            errors.push(Error::invalid(&path.child("sleep"), sleep.seconds, why));
        }
        if handlers == 0 {
            errors.push(Error::required(path, "must specify a handler type"));
        }
    }
}

fn http_get(action: &HTTPGetAction, path: &Path, errors: &mut ErrorList) {
    rules::required(rules::text(&action.path), &path.child("path"), errors);
    rules::port_number_or_name(&action.port, &path.child("port"), errors);
    rules::one_of(rules::text(&action.scheme), &["HTTP", "HTTPS"], &path.child("scheme"), errors);
    for header in rules::slice(&action.http_headers) {
        let good = !header.name.is_empty() && header.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !good {
            let message = "a valid HTTP header must consist of alphanumeric characters or '-'";
            let why = validation::regex_error(message, "[-A-Za-z0-9]+", &["X-Header-Name"]);
            errors.push(Error::invalid(&path.child("httpHeaders"), header.name.clone(), why));
        }
    }
}

fn probe(probe: &Probe, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    let handler = Handler {
        exec: probe.exec.as_ref(),
        http_get: probe.http_get.as_ref(),
        tcp_socket: probe.tcp_socket.as_ref(),
        grpc_port: probe.grpc.as_ref().map(|grpc| grpc.port),
        sleep: None,
    };
    handler.validate(cx, path, errors);
    for (value, field) in [
        (probe.initial_delay_seconds, "initialDelaySeconds"),
        (probe.timeout_seconds, "timeoutSeconds"),
        (probe.period_seconds, "periodSeconds"),
        (probe.success_threshold, "successThreshold"),
        (probe.failure_threshold, "failureThreshold"),
    ] {
        rules::not_negative(value.unwrap_or_default().into(), &path.child(field), errors);
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|seconds| *seconds <= 0) {
        errors.push(Error::invalid(&path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0"));
    }
}

/// Liveness and startup: one success is enough.
pub(super) fn liveness(liveness: Option<&Probe>, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    let Some(liveness) = liveness else { return };
    probe(liveness, cx, path, errors);
    let threshold = liveness.success_threshold.unwrap_or_default();
    if threshold != 1 {
        errors.push(Error::invalid(&path.child("successThreshold"), threshold, "must be 1"));
    }
}

pub(super) fn readiness(readiness: Option<&Probe>, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    let Some(readiness) = readiness else { return };
    probe(readiness, cx, path, errors);
    if let Some(seconds) = readiness.termination_grace_period_seconds {
        let at = path.child("terminationGracePeriodSeconds");
        errors.push(Error::invalid(&at, seconds, "must not be set for readinessProbes"));
    }
}
