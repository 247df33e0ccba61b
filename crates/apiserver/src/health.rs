//! `/healthz`, `/livez` and `/readyz`, whole and check by check.

use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;

use crate::{
    query::Query,
    respond::{self, Body},
};

/// A check that can fail, and which of the three paths ask it.
struct Check {
    name: &'static str,
    livez: bool,
    passes: fn(&Health) -> bool,
}

const CHECKS: &[Check] = &[
    Check { name: "ping", livez: true, passes: |_| true },
    Check { name: "log", livez: true, passes: |_| true },
    Check { name: "etcd", livez: true, passes: |health| health.stored.load(Ordering::Acquire) },
    Check { name: "etcd-readiness", livez: false, passes: |health| health.stored.load(Ordering::Acquire) },
    Check { name: "informer-sync", livez: false, passes: |health| health.synced.load(Ordering::Acquire) },
    Check {
        name: "poststarthook/rbac/bootstrap-roles",
        livez: true,
        passes: |health| health.bootstrapped.load(Ordering::Acquire),
    },
    Check { name: "shutdown", livez: false, passes: |health| !health.stopping.load(Ordering::Acquire) },
];

/// What the checks look at. Set by whoever knows.
#[derive(Debug, Default)]
pub(crate) struct Health {
    pub stored: AtomicBool,
    pub synced: AtomicBool,
    pub bootstrapped: AtomicBool,
    pub stopping: AtomicBool,
}

impl Health {
    pub(crate) fn is_ready(&self) -> bool {
        CHECKS.iter().all(|check| (check.passes)(self))
    }

    /// Answers `path`; `None` when there is no such check.
    pub(crate) fn answer(&self, path: &str, query: &Query) -> Option<http::Response<Body>> {
        let (root, check) = match path.trim_matches('/').split_once('/') {
            Some((root, check)) => (root, Some(check)),
            None => (path.trim_matches('/'), None),
        };
        let asked = |check: &&Check| root == "readyz" || check.livez;
        if let Some(name) = check {
            let check = CHECKS.iter().filter(asked).find(|c| c.name == name)?;
            return Some(if (check.passes)(self) { ok() } else { failed("internal server error: not ready\n") });
        }
        Some(self.all(root, query, asked))
    }

    fn all(&self, root: &str, query: &Query, asked: impl Fn(&&Check) -> bool) -> http::Response<Body> {
        let mut excluded = query.all("exclude");
        let mut report = String::new();
        let mut healthy = true;
        for check in CHECKS.iter().filter(asked) {
            if let Some(at) = excluded.iter().position(|e| e == check.name) {
                excluded.swap_remove(at);
                report.push_str(&format!("[+]{} excluded: ok\n", check.name));
            } else if (check.passes)(self) {
                report.push_str(&format!("[+]{} ok\n", check.name));
            } else {
                healthy = false;
                report.push_str(&format!("[-]{} failed: reason withheld\n", check.name));
            }
        }
        if !excluded.is_empty() {
            let names: Vec<String> = excluded.iter().map(|e| apimachinery::field::quote(e)).collect();
            report.push_str(&format!(
                "warn: some health checks cannot be excluded: no matches for {}\n",
                names.join(",")
            ));
        }
        if !healthy {
            report.push_str(&format!("{root} check failed\n"));
            return failed(report);
        }
        if query.first("verbose").is_none() {
            return ok();
        }
        report.push_str(&format!("{root} check passed\n"));
        no_sniff(respond::text(StatusCode::OK, report))
    }
}

fn ok() -> http::Response<Body> {
    no_sniff(respond::text(StatusCode::OK, "ok"))
}

fn failed(text: impl Into<String>) -> http::Response<Body> {
    no_sniff(respond::text(StatusCode::INTERNAL_SERVER_ERROR, text))
}

fn no_sniff(mut response: http::Response<Body>) -> http::Response<Body> {
    response.headers_mut().insert(http::header::X_CONTENT_TYPE_OPTIONS, http::HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn each_check_counts() {
        let health = Health::default();
        let code = |path: &str, query: &str| health.answer(path, &Query::parse(query)).unwrap().status().as_u16();
        assert_eq!(code("/readyz", ""), 500);
        assert_eq!(code("/livez/ping", ""), 200);
        assert!(health.answer("/livez/nosuch", &Query::default()).is_none());
        health.stored.store(true, Ordering::Release);
        health.bootstrapped.store(true, Ordering::Release);
        assert_eq!(code("/livez", ""), 200);
        assert_eq!(code("/readyz", ""), 500);
        assert_eq!(code("/readyz", "exclude=informer-sync"), 200);
        health.synced.store(true, Ordering::Release);
        assert_eq!(code("/readyz", "verbose"), 200);
    }
}
