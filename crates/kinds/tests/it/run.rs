//! Runs a case through its kind and compares.

use apimachinery::{Object, field::ErrorList};
use kinds::{Kind, Visitor, object_meta};
use serde_json::{Value, json};

use crate::corpus::Case;

#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) agreed: usize,
    /// Answers that other parts of a server give.
    pub(crate) beyond: usize,
    pub(crate) failures: Vec<(String, String)>,
}

pub(crate) fn all(cases: &[Case]) -> Outcome {
    let mut runner = Runner { cases, outcome: Outcome::default() };
    kinds::visit(&mut runner);
    runner.outcome
}

struct Runner<'a> {
    cases: &'a [Case],
    outcome: Outcome,
}

impl Visitor for Runner<'_> {
    fn visit<K: Kind>(&mut self) {
        for case in self.cases.iter().filter(|c| c.group == K::FACTS.group && c.plural == K::FACTS.plural) {
            match run::<K>(case) {
                None => self.outcome.beyond += 1,
                Some(Ok(())) => self.outcome.agreed += 1,
                Some(Err(text)) => self.outcome.failures.push((case.id.clone(), format!("{}\n{text}", case.id))),
            }
        }
    }
}

/// Nothing when the answer is not the kinds' matter.
fn run<K: Kind>(case: &Case) -> Option<Result<(), String>> {
    if !matches!(case.status, 201 | 422) || case.answer["kind"] == "Table" {
        return None;
    }
    let mut object = Object::from_value(case.body.clone()).unwrap();
    if let Some(namespace) = &case.namespace {
        object.set(&["metadata", "namespace"], namespace.clone());
    }
    let answered_name = case.answer.pointer("/metadata/name").or(case.answer.pointer("/details/name"));
    if object.name().is_empty() && !object.generate_name().is_empty() {
        object.set(&["metadata", "name"], answered_name.cloned().unwrap_or_default());
    }
    admit(&mut object, &case.answer);
    let mut typed: K::Object = match serde_json::from_value(object.clone().into_value()) {
        Ok(typed) => typed,
        Err(error) => return Some(Err(format!("  does not decode: {error}"))),
    };
    K::default(&mut typed);
    K::prepare_for_create(&mut typed);
    let tree = kinds::to_tree::<K>(&typed);
    let mut errors = object_meta::validate(&tree, K::FACTS.scope, K::FACTS.name_rule);
    if K::FACTS.storage.is_empty() {
        errors = ErrorList::new();
    }
    errors.extend(K::validate_create(&typed));
    if case.status == 422 {
        return Some(compare_errors(&errors, &case.answer));
    }
    if !errors.is_empty() {
        return Some(Err(format!("  is refused: {errors}")));
    }
    let warnings = K::warnings(&typed);
    let unknown = |w: &&String| !w.starts_with("unknown field");
    if !warnings.iter().eq(case.warnings.iter().filter(unknown)) {
        return Some(Err(format!("  warns: {warnings:?} and not {:?}", case.warnings)));
    }
    if K::FACTS.storage.is_empty() {
        return None;
    }
    Some(compare_objects(tree.into_value(), case.answer.clone()))
}

/// What admission would put into a pod before its rules are asked: taken from the answer.
fn admit(object: &mut Object, answer: &Value) {
    if object.kind() != "Pod" {
        return;
    }
    object.set(&["spec", "serviceAccountName"], "default");
    for field in ["volumes", "tolerations", "priority", "preemptionPolicy", "serviceAccountName"] {
        match answer.pointer(&format!("/spec/{field}")) {
            Some(value) if answer["kind"] == "Pod" => object.set(&["spec", field], value.clone()),
            _ => {}
        }
    }
    for list in ["containers", "initContainers"] {
        let count = object.get(&["spec", list]).and_then(Value::as_array).map_or(0, Vec::len);
        for index in 0..count {
            if let Some(mounts) = answer.pointer(&format!("/spec/{list}/{index}/volumeMounts")) {
                let mounts = mounts.clone();
                object.with_value(|value| value["spec"][list][index]["volumeMounts"] = mounts);
            }
        }
    }
}

pub(crate) fn compare_errors(errors: &ErrorList, answer: &Value) -> Result<(), String> {
    let mut ours: Vec<(String, String)> = errors.iter().map(|e| (e.field.clone(), normal(&e.body()))).collect();
    let text = |cause: &Value, field: &str| cause[field].as_str().unwrap_or_default().to_owned();
    let causes = answer.pointer("/details/causes").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut theirs: Vec<(String, String)> =
        causes.iter().map(|cause| (text(cause, "field"), normal(&text(cause, "message")))).collect();
    ours.sort();
    theirs.sort();
    if ours == theirs { Ok(()) } else { Err(format!("  + {ours:?}\n  - {theirs:?}")) }
}

/// Texts that may differ: values that are structs, and lengths in bytes instead of characters.
fn normal(message: &str) -> String {
    let mut message = message.replace(" characters", " bytes").replace("must have at most", "may not be more than");
    for start in ["Invalid value: ", "Unsupported value: "] {
        let Some(rest) = message.strip_prefix(start) else { continue };
        if rest.starts_with(['{', '[', '(']) || rest.starts_with("<value>") || rest.starts_with("map[") {
            let detail = rest.rsplit_once(": supported").map(|(_, d)| format!("supported{d}"));
            let detail = detail.or_else(|| after_value(rest)).unwrap_or_default();
            message = format!("{start}<value>: {detail}");
        }
    }
    message
}

/// What follows the outermost bracket.
fn after_value(text: &str) -> Option<String> {
    let end = text.rfind("}: ").or(text.rfind("]: ")).or(text.rfind("): ")).or(text.find(">: "))?;
    Some(text[end + 3..].to_owned())
}

fn compare_objects(mut ours: Value, mut theirs: Value) -> Result<(), String> {
    for object in [&mut ours, &mut theirs] {
        let metadata = object["metadata"].as_object_mut().unwrap();
        for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink"] {
            metadata.remove(field);
        }
        metadata.remove("deletionGracePeriodSeconds");
        tidy(object);
    }
    let mut differences = Vec::new();
    compare("", &ours, &theirs, &mut differences);
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
}

/// Fields the registry fills in, values the corpus hides, and empty lists and maps, which the server's codec drops.
fn tidy(object: &mut Value) {
    if object["kind"] == "Service" {
        let spec = object["spec"].as_object_mut().unwrap();
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
            spec.remove(field);
        }
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            port.as_object_mut().unwrap().remove("nodePort");
        }
    }
    if object["kind"] == "Node" {
        object["spec"].as_object_mut().unwrap().remove("taints");
    }
    if object["kind"] == "Pod" {
        object["status"].as_object_mut().unwrap().remove("observedGeneration");
    }
}

fn compare(path: &str, ours: &Value, theirs: &Value, differences: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let absent = json!("(absent)");
                let (a, b) = (a.get(key).unwrap_or(&absent), b.get(key).unwrap_or(&absent));
                compare(&format!("{path}/{key}"), a, b, differences);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}/{index}"), a, b, differences);
            }
        }
        (Value::String(a), Value::String(b)) if b.starts_with('<') && !a.starts_with('(') => {}
        (a, b) if a == b => {}
        (a, b) => differences.push(format!("  {path}: + {a} - {b}")),
    }
}
