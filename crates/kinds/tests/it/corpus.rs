//! Reads the recorded requests.

use std::{collections::HashSet, env, fs, path::PathBuf};

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

/// The cases of some areas; nothing where the folder is not there.
pub(crate) fn load(areas: &[&str]) -> Option<Vec<Case>> {
    let folder = PathBuf::from(env::var("KNARR_GOLDEN").unwrap_or_else(|_| FOLDER.to_owned()));
    let ids = fs::read_to_string(folder.join("first-voyage.txt")).ok()?;
    let ids: HashSet<&str> = ids.lines().collect();
    let mut cases = Vec::new();
    for area in areas {
        let text = fs::read_to_string(folder.join(format!("cases/{area}.json"))).ok()?;
        let text = text.replace("{{u}}", "u1").replace("<rand>", "abcde");
        for case in serde_json::from_str::<Vec<Value>>(&text).unwrap() {
            let id = case["id"].as_str().unwrap();
            if ids.contains(id) {
                cases.extend(first_step(id, &case["steps"][0]));
            }
        }
    }
    Some(cases)
}

fn first_step(id: &str, step: &Value) -> Option<Case> {
    let path: Vec<&str> = step["path"].as_str()?.trim_matches('/').split('/').collect();
    let (group, rest) = match path.as_slice() {
        ["api", "v1", rest @ ..] => ("", rest),
        ["apis", group, "v1", rest @ ..] => (*group, rest),
        _ => return None,
    };
    let (namespace, plural) = match rest {
        ["namespaces", namespace, plural] => (Some((*namespace).to_owned()), *plural),
        [plural] => (None, *plural),
        _ => return None,
    };
    let expect = &step["expect"];
    if step["method"] != "POST" || !step["body"].is_object() || expect["json"].is_null() {
        return None;
    }
    let warnings = expect["headers"]["Warning"].as_array().into_iter().flatten();
    let warnings = warnings.filter_map(|w| w.as_str()?.strip_prefix("299 - \"")?.strip_suffix('"'));
    Some(Case {
        id: id.to_owned(),
        group: group.to_owned(),
        plural: plural.to_owned(),
        namespace,
        body: step["body"].clone(),
        status: expect["status"].as_u64()?,
        answer: expect["json"].clone(),
        warnings: warnings.map(|w| w.replace("\\\"", "\"")).collect(),
    })
}
