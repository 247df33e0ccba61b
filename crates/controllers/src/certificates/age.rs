//! How long a request for a certificate is kept, as upstream's cleaner has it. Pure.

use std::time::{Duration, SystemTime};

use api::{certificates::v1::CertificateSigningRequest, jiff::Timestamp};

/// After it was approved or denied, or has failed.
const KEEP_ANSWERED: Duration = Duration::from_secs(60 * 60);
/// While nobody has answered.
const KEEP_PENDING: Duration = Duration::from_secs(24 * 60 * 60);

/// The time until the request is of no more use; none if there is no such time.
pub(super) fn time_left(request: &CertificateSigningRequest, now: Timestamp) -> Option<Duration> {
    let status = request.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let until = |from: Timestamp, keep: Duration| {
        let end = from.checked_add(keep).unwrap_or(Timestamp::MAX);
        Duration::try_from(end.duration_since(now)).unwrap_or_default()
    };
    if conditions.is_empty() {
        return request.metadata.creation_timestamp.as_ref().map(|born| until(born.0, KEEP_PENDING));
    }
    let answered = conditions.iter().filter(|c| matches!(c.type_.as_str(), "Approved" | "Denied" | "Failed"));
    let answered = answered.filter_map(|c| c.last_update_time.as_ref()).map(|at| until(at.0, KEEP_ANSWERED));
    let certificate = status.certificate.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
    let expires = certificate.and_then(|pem| pki::end_time(&pem)).map(|end| {
        let now = SystemTime::from(now);
        end.duration_since(now).unwrap_or_default()
    });
    answered.chain(expires).min()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use serde_json::json;

    use super::*;

    fn left(conditions: serde_json::Value) -> Option<Duration> {
        let request = serde_json::from_value(json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"request": "", "signerName": "a.b/c"}, "status": {"conditions": conditions}}));
        time_left(&request.unwrap(), "2026-01-01T00:40:00Z".parse().unwrap())
    }

    #[test]
    fn answered_requests_go_sooner_than_those_that_wait() {
        let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
        let condition = |kind: &str, at: &str| json!([{"type": kind, "status": "True", "lastUpdateTime": at}]);
        assert_eq!(left(json!([])), minutes(23 * 60 + 20));
        assert_eq!(left(condition("Approved", "2026-01-01T00:10:00Z")), minutes(30));
        assert_eq!(left(condition("Denied", "2025-12-31T00:10:00Z")), minutes(0));
        assert_eq!(left(condition("Failed", "2026-01-01T00:40:00Z")), minutes(60));
        assert_eq!(left(condition("SomebodyElses", "2026-01-01T00:40:00Z")), None);
    }
}
