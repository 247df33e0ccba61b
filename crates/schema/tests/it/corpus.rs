//! Recorded answers of upstream's server, where the folder of recordings stands beside the clone: every object must
//! decode to itself, and every refused body must be refused in the same words.

use std::{fs, path::PathBuf};

use serde_json::Value;

/// All cases, or nothing where there are no recordings.
fn cases() -> Vec<Value> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let Some(folder) = root.ancestors().map(|a| a.join("shared/golden/cases")).find(|f| f.is_dir()) else {
        eprintln!("no recordings beside the clone: nothing compared");
        return Vec::new();
    };
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder").flatten() {
        let text = fs::read_to_string(entry.path()).expect("a readable file");
        // Placeholders of the recordings that are no values of their type.
        let text = text
            .replace("<time>", "2020-01-01T00:00:00Z")
            .replace("<microtime>", "2020-01-01T00:00:00.000000Z")
            .replace("\"<nodeport>\"", "30000")
            .replace("{{u}}", "u");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        cases.extend(file.as_array().cloned().unwrap_or_default());
    }
    cases
}

fn steps() -> Vec<(String, Value)> {
    let id = |case: &Value| case["id"].as_str().unwrap_or_default().to_owned();
    let of = |case: &Value| case["steps"].as_array().cloned().unwrap_or_default();
    cases().iter().flat_map(|case| of(case).into_iter().map(move |step| (id(case), step))).collect()
}

fn node(object: &Value) -> Option<schema::Node<'static>> {
    let (group, version) = match object["apiVersion"].as_str()?.split_once('/') {
        Some((group, version)) => (group, version),
        None => ("", object["apiVersion"].as_str()?),
    };
    schema::builtin().by_gvk(group, version, object["kind"].as_str()?)
}

/// Without nulls, which stand for nothing.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| (k.clone(), plain(v)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}

#[test]
fn answers_decode_to_themselves() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (id, step) in steps() {
        let answer = &step["expect"]["json"];
        let Some(node) = node(answer) else { continue };
        count += 1;
        match schema::conform(node, answer) {
            Err(error) => wrong.push(format!("{id}: {error}")),
            Ok(decoded) => {
                for note in &decoded.strict {
                    wrong.push(format!("{id}: {note}"));
                }
                if plain(&decoded.value) != plain(answer) {
                    let patch = json_patch::diff(&plain(answer), &plain(&decoded.value));
                    wrong.push(format!("{id}: {}", serde_json::to_string(&patch).expect("serializes")));
                }
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn bodies_are_refused_in_the_same_words() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (id, step) in steps() {
        let (message, body) = (step["expect"]["json"]["message"].as_str().unwrap_or_default(), &step["body"]);
        let (Some((_, expected)), Some(node)) = (message.split_once(" cannot be handled as a "), node(body)) else {
            continue;
        };
        let Some((_, expected)) = expected.split_once(": ").filter(|(_, e)| !e.starts_with("converting ")) else {
            continue;
        };
        count += 1;
        let got = match schema::conform(node, body) {
            Err(error) => error.to_string(),
            Ok(decoded) => decoded.strict_error().unwrap_or_default(),
        };
        // The recordings do not say the Go type.
        let got = got.split_once(" of type ").map_or(got.clone(), |(words, _)| format!("{words} of type <type>"));
        // Recorded bodies are printed with their keys in another order.
        let sorted = |text: &str| {
            let mut words: Vec<String> = text.split(", ").map(|w| w.replace("strict decoding error: ", "")).collect();
            words.sort();
            words
        };
        if sorted(&got) != sorted(expected) {
            wrong.push(format!("{id}\n  - {expected}\n  + {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Zero values that upstream drops on the way from body to answer are dropped on decoding.
#[test]
fn values_upstream_drops_are_dropped() {
    let mut wrong = Vec::new();
    for (id, step) in steps() {
        let (body, answer) = (&step["body"], &step["expect"]["json"]);
        if step["method"] != "POST" || step["expect"]["status"] != 201 || body["kind"] != answer["kind"] {
            continue;
        }
        let Some(Ok(decoded)) = node(body).map(|node| schema::conform(node, body)) else { continue };
        missing("", &decoded.value, answer, &mut |path, value| {
            if matches!(value, Value::Bool(false)) || value == &Value::from(0) || value == "" {
                wrong.push(format!("{id}: {path} = {value}"));
            }
        });
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Calls back with every value that the second tree does not have.
fn missing(path: &str, a: &Value, b: &Value, report: &mut impl FnMut(&str, &Value)) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                let path = format!("{path}.{key}");
                match b.get(key) {
                    Some(other) => missing(&path, value, other, report),
                    None => report(&path, value),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).for_each(|(a, b)| missing(path, a, b, report));
        }
        _ => {}
    }
}

/// Without what is empty: protobuf writes no list or map without elements.
fn sparse(value: &Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        value => value.is_null(),
    };
    match value {
        Value::Object(map) => {
            let fields = map.iter().map(|(k, v)| (k.clone(), sparse(v))).filter(|(_, v)| !is_empty(v));
            fields.collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(list) => list.iter().map(sparse).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}

#[test]
fn answers_survive_protobuf() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (id, step) in steps() {
        let answer = &step["expect"]["json"];
        let Some(node) = node(answer) else { continue };
        let tree = schema::conform(node, answer).map(|decoded| decoded.value).unwrap_or_default();
        let kind = |field: &str| (field.to_owned(), answer[field].clone());
        let tree: Value = match tree {
            Value::Object(map) => map.into_iter().chain([kind("apiVersion"), kind("kind")]).collect(),
            _ => continue,
        };
        let body = match schema::protobuf::encode_object(&tree) {
            Ok(body) => body,
            // Definitions of custom resources have no protobuf, upstream neither.
            Err(_) if answer["apiVersion"] == "apiextensions.k8s.io/v1" => continue,
            Err(_) if answer["apiVersion"] == "apiregistration.k8s.io/v1" => continue,
            Err(error) => {
                wrong.push(format!("{id}: {error}"));
                continue;
            }
        };
        count += 1;
        let read = schema::protobuf::envelope(&body).and_then(|envelope| schema::protobuf::decode(node, envelope.raw));
        match read {
            // The kinds of claim templates stand in no message, upstream neither.
            Ok(_) if id == "create/statefulsets-full" => {}
            Ok(Value::Object(map)) => {
                let read: Value = map.into_iter().chain([kind("apiVersion"), kind("kind")]).collect();
                if sparse(&read) != sparse(&tree) {
                    let patch = json_patch::diff(&sparse(&tree), &sparse(&read));
                    wrong.push(format!("{id}: {}", serde_json::to_string(&patch).expect("serializes")));
                }
            }
            other => wrong.push(format!("{id}: {other:?}")),
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
