//! Reads the recorded requests.

use std::{collections::HashSet, env, fs, path::PathBuf};

use apimachinery::Object;
use serde_json::Value;

const FOLDER: &str = "/work/shared/golden";

/// A request that makes an object, and the answer to it.
pub(crate) struct Case {
    pub(crate) id: String,
    /// `apps`, empty for the core group.
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) namespace: Option<String>,
    pub(crate) body: Value,
    pub(crate) status: u64,
    pub(crate) answer: Value,
    pub(crate) warnings: Vec<String>,
}

/// A case of several requests about one object.
pub(crate) struct Sequence {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) steps: Vec<Step>,
}

pub(crate) struct Step {
    pub(crate) method: String,
    /// `status`, empty for the object itself.
    pub(crate) subresource: String,
    /// The body is whole, or a merge patch.
    pub(crate) merge: bool,
    pub(crate) body: Option<Object>,
    pub(crate) status: u64,
    pub(crate) answer: Value,
}

/// The cases of several steps that begin with the making of an object.
pub(crate) fn sequences(areas: &[&str]) -> Option<Vec<Sequence>> {
    let mut sequences = Vec::new();
    for case in cases(areas)? {
        let steps = case["steps"].as_array().unwrap();
        let Some(place) = steps[0]["path"].as_str().and_then(place) else { continue };
        if steps.len() < 2 || steps[0]["method"] != "POST" {
            continue;
        }
        sequences.push(Sequence {
            id: case["id"].as_str().unwrap().to_owned(),
            group: place.group,
            plural: place.plural,
            steps: steps.iter().filter_map(step).collect(),
        });
    }
    Some(sequences)
}

fn step(step: &Value) -> Option<Step> {
    let place = step["path"].as_str().and_then(place)?;
    let method = step["method"].as_str()?.to_owned();
    let media_type = step["headers"]["Content-Type"].as_str().unwrap_or_default();
    Some(Step {
        merge: method != "PATCH" || media_type == "application/merge-patch+json",
        method,
        subresource: place.subresource,
        body: Object::from_value(step["body"].clone()).ok(),
        status: step["expect"]["status"].as_u64()?,
        answer: step["expect"]["json"].clone(),
    })
}

/// What a path is about.
struct Place {
    group: String,
    namespace: Option<String>,
    plural: String,
    subresource: String,
}

fn place(path: &str) -> Option<Place> {
    let path: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, rest) = match path.as_slice() {
        ["api", "v1", rest @ ..] => ("", rest),
        ["apis", group, "v1", rest @ ..] => (*group, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && !matches!(rest[0], "status" | "finalize") => {
            (Some((*namespace).to_owned()), rest)
        }
        rest => (None, rest),
    };
    let plural = (*rest.first()?).to_owned();
    let subresource = rest.get(2).copied().unwrap_or_default().to_owned();
    Some(Place { group: group.to_owned(), namespace, plural, subresource })
}

/// The cases of some areas; nothing where the folder is not there.
fn cases(areas: &[&str]) -> Option<Vec<Value>> {
    let folder = PathBuf::from(env::var("KNARR_GOLDEN").unwrap_or_else(|_| FOLDER.to_owned()));
    let ids = fs::read_to_string(folder.join("first-voyage.txt")).ok()?;
    let ids: HashSet<&str> = ids.lines().collect();
    let mut cases = Vec::new();
    for area in areas {
        let text = fs::read_to_string(folder.join(format!("cases/{area}.json"))).ok()?;
        let text = text.replace("{{u}}", "u1").replace("<rand>", "abcde");
        let of_area: Vec<Value> = serde_json::from_str(&text).unwrap();
        cases.extend(of_area.into_iter().filter(|case| ids.contains(case["id"].as_str().unwrap())));
    }
    Some(cases)
}

/// The first requests of cases, where they make an object.
pub(crate) fn load(areas: &[&str]) -> Option<Vec<Case>> {
    let cases = cases(areas)?;
    Some(cases.iter().filter_map(|case| first_step(case["id"].as_str().unwrap(), &case["steps"][0])).collect())
}

fn first_step(id: &str, step: &Value) -> Option<Case> {
    let place = step["path"].as_str().and_then(place)?;
    let expect = &step["expect"];
    if !place.subresource.is_empty()
        || step["method"] != "POST"
        || !step["body"].is_object()
        || expect["json"].is_null()
    {
        return None;
    }
    let warnings = expect["headers"]["Warning"].as_array().into_iter().flatten();
    let warnings = warnings.filter_map(|w| w.as_str()?.strip_prefix("299 - \"")?.strip_suffix('"'));
    Some(Case {
        id: id.to_owned(),
        group: place.group,
        plural: place.plural,
        namespace: place.namespace,
        body: step["body"].clone(),
        status: expect["status"].as_u64()?,
        answer: expect["json"].clone(),
        warnings: warnings.map(|w| w.replace("\\\"", "\"")).collect(),
    })
}
