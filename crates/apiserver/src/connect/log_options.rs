//! `PodLogOptions` in a query.

use apimachinery::{
    GroupKind, Status,
    field::{Error, ErrorList, Path, quote},
};

use crate::query::Query;

/// The parameters the kubelet understands, as they came.
const PASSED_ON: [&str; 10] = [
    "follow",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "timestamps",
    "tailLines",
    "limitBytes",
    "insecureSkipTLSVerifyBackend",
    "stream",
    "pretty",
];

/// Judges the options; answers them as a query for the kubelet.
pub(super) fn read(query: &Query, pod: &str) -> Result<String, Status> {
    let tail = query.integer("tailLines")?;
    let limit = query.integer("limitBytes")?;
    let since_seconds = query.integer("sinceSeconds")?;
    let since_time = query.first("sinceTime").filter(|t| !t.is_empty());
    if let Some(time) = since_time
        && time.parse::<jiff::Timestamp>().is_err()
    {
        let time = quote(time);
        return Err(Status::bad_request(format!(
            "parsing time {time} as \"2006-01-02T15:04:05Z07:00\": cannot parse {time} as \"2006\""
        )));
    }
    let mut errors = ErrorList::new();
    if let Some(tail) = tail.filter(|n| *n < 0) {
        errors.push(Error::invalid(&Path::new("tailLines"), tail, "must be greater than or equal to 0"));
    }
    if let Some(limit) = limit.filter(|n| *n < 1) {
        errors.push(Error::invalid(&Path::new("limitBytes"), limit, "must be greater than 0"));
    }
    match (since_seconds, since_time) {
        (Some(_), Some(_)) => {
            errors.push(Error::forbidden(
                &Path::new("[]"),
                "at most one of `sinceTime` or `sinceSeconds` may be specified",
            ));
        }
        (Some(seconds), None) if seconds < 1 => {
            errors.push(Error::invalid(&Path::new("sinceSeconds"), seconds, "must be greater than 0"));
        }
        _ => {}
    }
    if !errors.is_empty() {
        return Err(Status::invalid(&GroupKind::new("", "PodLogOptions"), pod, &errors));
    }
    let mut passed = form_urlencoded::Serializer::new(String::new());
    for (key, value) in query.iter().filter(|(key, _)| PASSED_ON.contains(key) && *key != "pretty") {
        passed.append_pair(key, value);
    }
    Ok(passed.finish())
}
