//! Cells of tables: durations, labels and lists as upstream's printers write them. All read trees, since a table may
//! have thousands of rows.

use api::jiff::Timestamp;
use apimachinery::{LabelSelector, Object};
use serde_json::Value;

use crate::Now;

pub(crate) const NONE: &str = "<none>";
pub(crate) const UNKNOWN: &str = "<unknown>";

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// A duration in the two most telling units: `45s`, `3m20s`, `5h`, `2d4h`.
pub fn human_duration(seconds: i64) -> String {
    match seconds {
        i64::MIN..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds / MINUTE, 'm', seconds % MINUTE, 's'),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds / HOUR, 'h', seconds % HOUR / MINUTE, 'm'),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds / DAY, 'd', seconds % DAY / HOUR, 'h'),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(seconds / YEAR, 'y', seconds / DAY % 365, 'd'),
        _ => format!("{}y", seconds / YEAR),
    }
}

fn two(large: i64, large_unit: char, small: i64, small_unit: char) -> String {
    if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit}{small}{small_unit}") }
}

/// Reads an RFC 3339 time; seconds since the epoch.
pub(crate) fn seconds(time: &str) -> Option<i64> {
    time.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// The time since a moment, `<unknown>` where there is none.
pub(crate) fn since(time: Option<&str>, now: Now) -> String {
    time.and_then(seconds).map_or_else(|| UNKNOWN.to_owned(), |then| human_duration(now - then))
}

pub(crate) fn age(object: &Object, now: Now) -> Value {
    since(object.get_str(&["metadata", "creationTimestamp"]), now).into()
}

/// The moment of creation as it stands in the object.
pub(crate) fn created_at(object: &Object) -> Value {
    object.get_str(&["metadata", "creationTimestamp"]).map_or(Value::Null, Value::from)
}

pub(crate) fn name(object: &Object) -> Value {
    object.name().into()
}

/// The text at a path, empty where it is absent.
pub(crate) fn text<'a>(object: &'a Object, path: &[&str]) -> &'a str {
    object.get_str(path).unwrap_or_default()
}

/// The text at a path, or the given words.
pub(crate) fn text_or<'a>(object: &'a Object, path: &[&str], otherwise: &'a str) -> &'a str {
    or(text(object, path), otherwise)
}

pub(crate) fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// The number at a path, 0 where it is absent.
pub(crate) fn number(object: &Object, path: &[&str]) -> i64 {
    object.get(path).and_then(Value::as_i64).unwrap_or_default()
}

pub(crate) fn flag(object: &Object, path: &[&str]) -> bool {
    object.get(path).and_then(Value::as_bool).unwrap_or_default()
}

/// The entries of the list at a path.
pub(crate) fn list<'a>(object: &'a Object, path: &[&str]) -> &'a [Value] {
    object.get(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// How many entries the map at a path has.
pub(crate) fn count(object: &Object, path: &[&str]) -> usize {
    object.get(path).and_then(Value::as_object).map_or(0, serde_json::Map::len)
}

/// A field of a list entry as text.
pub(crate) fn str_in<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter().try_fold(value, |value, name| value.get(name)).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn int_in(value: &Value, path: &[&str]) -> i64 {
    path.iter().try_fold(value, |value, name| value.get(name)).and_then(Value::as_i64).unwrap_or_default()
}

/// Labels as `a=b,c=d` in the order of their keys.
pub(crate) fn labels(map: Option<&Value>) -> String {
    let mut pairs: Vec<String> = map
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort();
    if pairs.is_empty() { NONE.to_owned() } else { pairs.join(",") }
}

/// A `LabelSelector` in the query form; `<none>` when it selects everything.
pub(crate) fn selector(selector: Option<&Value>) -> String {
    match LabelSelector::from_object(selector) {
        Ok(selector) => or(&selector.to_string(), NONE).to_owned(),
        Err(_) => "<error>".to_owned(),
    }
}

/// Names and images of a pod template's containers.
pub(crate) fn containers(object: &Object, pod_spec: &[&str]) -> (String, String) {
    let mut path = pod_spec.to_vec();
    path.push("containers");
    let containers = list(object, &path);
    let join = |field: &str| containers.iter().map(|c| str_in(c, &[field])).collect::<Vec<_>>().join(",");
    (join("name"), join("image"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_upstreams() {
        for (seconds, words) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (10_860, "3h1m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (176_400, "2d1h"),
            (691_200, "8d"),
            (63_071_999, "729d"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(human_duration(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn a_missing_time_is_unknown() {
        assert_eq!(since(None, 5), "<unknown>");
        assert_eq!(since(Some("1970-01-01T00:00:02Z"), 5), "3s");
    }
}
