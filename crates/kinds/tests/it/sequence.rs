//! Cases of several steps: make an object, change it, look at it. Only what the kinds alone can answer.

use apimachinery::Object;
use kinds::{Kind, Visitor};
use serde_json::Value;

use crate::corpus::{Sequence, Step};
use crate::run::{Outcome, compare_errors};

pub(crate) fn all(sequences: &[Sequence]) -> Outcome {
    let mut runner = Runner { sequences, outcome: Outcome::default() };
    kinds::visit(&mut runner);
    runner.outcome
}

struct Runner<'a> {
    sequences: &'a [Sequence],
    outcome: Outcome,
}

impl Visitor for Runner<'_> {
    fn visit<K: Kind>(&mut self) {
        let ours = |s: &&Sequence| s.group == K::FACTS.group && s.plural == K::FACTS.plural;
        for sequence in self.sequences.iter().filter(ours) {
            let mut state = None;
            for (index, step) in sequence.steps.iter().enumerate() {
                match run::<K>(step, &mut state) {
                    Some(Ok(())) => self.outcome.agreed += 1,
                    Some(Err(text)) => {
                        let text = format!("{} step {index}\n{text}", sequence.id);
                        self.outcome.failures.push((sequence.id.clone(), text));
                    }
                    None => self.outcome.beyond += 1,
                }
            }
        }
    }
}

fn typed<K: Kind>(object: &Object) -> Option<K::Object> {
    serde_json::from_value(object.clone().into_value()).ok()
}

/// The object as it would be stored.
fn defaulted<K: Kind>(mut object: Object) -> Option<Object> {
    if object.get_str(&["metadata", "creationTimestamp"]).is_none() {
        object.set(&["metadata", "creationTimestamp"], "2020-01-01T00:00:00Z");
    }
    let mut typed = typed::<K>(&object)?;
    K::default(&mut typed);
    Some(kinds::to_tree::<K>(&typed))
}

fn run<K: Kind>(step: &Step, state: &mut Option<Object>) -> Option<Result<(), String>> {
    match (step.method.as_str(), step.status, state.clone()) {
        ("POST", 201, _) => {
            let mut object = defaulted::<K>(step.body.clone()?)?;
            let mut typed = typed::<K>(&object)?;
            K::prepare_for_create(&mut typed);
            object = kinds::to_tree::<K>(&typed);
            if object.kind() == "Pod" {
                object.set(&["spec", "serviceAccountName"], "default");
                object.set(&["spec", "serviceAccount"], "default");
            }
            *state = Some(object);
            None
        }
        ("GET", 200, Some(object)) if step.answer["kind"] == "Table" => Some(compare_table::<K>(&object, &step.answer)),
        ("PUT" | "PATCH", 200 | 422, Some(old)) => change::<K>(step, &old, state),
        ("DELETE", 200, Some(mut object)) => {
            object.set(&["metadata", "deletionTimestamp"], "2020-01-01T00:00:00Z");
            *state = Some(object);
            None
        }
        _ => None,
    }
}

fn change<K: Kind>(step: &Step, old: &Object, state: &mut Option<Object>) -> Option<Result<(), String>> {
    if !step.merge || !matches!(step.subresource.as_str(), "" | "status") {
        return None;
    }
    let mut tree = match step.method.as_str() {
        "PUT" => step.body.clone()?.into_value(),
        _ => old.clone().into_value(),
    };
    if step.method == "PATCH" {
        merge(&mut tree, &step.body.clone()?.into_value());
    }
    let mut new = Object::from_value(tree).ok()?;
    for field in ["namespace", "creationTimestamp", "uid"] {
        if let Some(value) = old.get(&["metadata", field]) {
            new.set(&["metadata", field], value.clone());
        }
    }
    let new = defaulted::<K>(new)?;
    let (mut new, before) = (typed::<K>(&new)?, typed::<K>(old)?);
    let errors = if step.subresource == "status" {
        K::validate_status_update(&new, &before)
    } else {
        K::prepare_for_update(&mut new, &before);
        K::validate_update(&new, &before)
    };
    if step.status == 422 {
        return Some(compare_errors(&errors, &step.answer));
    }
    if !errors.is_empty() {
        return Some(Err(format!("  is refused: {errors}")));
    }
    *state = Some(kinds::to_tree::<K>(&new));
    Some(Ok(()))
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let map = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// The one row, cell by cell; recordings hide ages and allocated addresses.
fn compare_table<K: Kind>(object: &Object, answer: &Value) -> Result<(), String> {
    let columns = answer["columnDefinitions"].as_array().cloned().unwrap_or_default();
    let ours: Vec<(&str, &str, i64)> =
        K::FACTS.columns.iter().map(|c| (c.name, c.data_type, i64::from(c.priority))).collect();
    let theirs: Vec<(&str, &str, i64)> = columns
        .iter()
        .map(|c| (c["name"].as_str().unwrap(), c["type"].as_str().unwrap(), c["priority"].as_i64().unwrap()))
        .collect();
    if !columns.is_empty() && ours != theirs {
        return Err(format!("  columns + {ours:?}\n  - {theirs:?}"));
    }
    let cells = K::cells(object, 1_600_000_000);
    let Some(expected) = answer.pointer("/rows/0/cells").and_then(Value::as_array) else { return Ok(()) };
    let hidden = |value: &Value| {
        value.as_str().is_some_and(|text| text.starts_with('<') && !matches!(text, "<none>" | "<unknown>" | "<unset>"))
    };
    let differs = |(ours, theirs): (&Value, &Value)| !hidden(theirs) && ours != theirs;
    if cells.len() != expected.len() || cells.iter().zip(expected).any(differs) {
        return Err(format!("  + {cells:?}\n  - {expected:?}"));
    }
    Ok(())
}
