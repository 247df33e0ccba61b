//! One operation: what it is called, what it takes and what it answers.

use serde_json::{Map, Value, json};

use super::{Form, GroupVersion, Resource, parameters, parameters::Query, schemas::Schemas};

const JSON_TYPES: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const PATCH_TYPES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// What an operation does, in the words of `x-kubernetes-action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Get,
    List,
    Post,
    Put,
    Patch,
    Delete,
    DeleteCollection,
    Connect(&'static str),
}

impl Action {
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Get | Self::List => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete | Self::DeleteCollection => "delete",
            Self::Connect(method) => method,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::DeleteCollection => "deletecollection",
            Self::List => "list",
            Self::Connect(_) => "connect",
            other => other.method(),
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Get => "read",
            Self::List => "list",
            Self::Post => "create",
            Self::Put => "replace",
            Self::Patch => "patch",
            Self::Delete | Self::DeleteCollection => "delete",
            Self::Connect(_) => "connect",
        }
    }

    fn queries(self) -> &'static [Query] {
        match self {
            Self::Get | Self::Connect(_) => parameters::GET,
            Self::List => parameters::LIST,
            Self::Post | Self::Put => parameters::WRITE,
            Self::Patch => parameters::PATCH,
            Self::Delete => parameters::DELETE,
            Self::DeleteCollection => parameters::DELETE_COLLECTION,
        }
    }
}

pub(super) struct Operation<'a> {
    pub(super) form: Form,
    pub(super) of: &'a GroupVersion<'a>,
    pub(super) resource: &'a Resource<'a>,
    pub(super) action: Action,
    /// A list over all namespaces of a namespaced resource.
    pub(super) everywhere: bool,
}

impl Operation<'_> {
    pub(super) fn write(&self, schemas: &mut Schemas) -> Value {
        let (group, version, kind) = self.resource.body;
        let streams = parameters::of_stream(self.resource.subresource);
        let mut parameters = parameters::query(self.form, self.action.queries());
        parameters.extend(parameters::query(self.form, streams));
        let mut operation = json!({
            "operationId": self.id(),
            "tags": [tag(self.of)],
            "x-kubernetes-action": self.action.word(),
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
        });
        let text = !streams.is_empty();
        let answer = if text { json!({"type": "string"}) } else { self.answer(schemas) };
        let body = if text { None } else { self.body(schemas) };
        match self.form {
            Form::V3 => self.write_v3(&mut operation, parameters, body, &answer),
            Form::V2 => self.write_v2(&mut operation, parameters, body, &answer),
        }
        operation
    }

    fn write_v3(&self, operation: &mut Value, parameters: Vec<Value>, body: Option<Value>, answer: &Value) {
        let contents = |types: &[&str], schema: &Value| -> Map<String, Value> {
            types.iter().map(|t| ((*t).to_owned(), json!({"schema": schema}))).collect()
        };
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = body {
            let types: &[&str] = if self.action == Action::Patch { &PATCH_TYPES } else { &["*/*"] };
            operation["requestBody"] = json!({"content": contents(types, &body)});
            if !matches!(self.action, Action::Delete | Action::DeleteCollection) {
                operation["requestBody"]["required"] = true.into();
            }
        }
        let mut responses = Map::new();
        for (code, description) in self.codes() {
            responses.insert(
                (*code).to_owned(),
                json!({"description": description, "content": contents(&JSON_TYPES, answer)}),
            );
        }
        responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
        operation["responses"] = responses.into();
    }

    fn write_v2(&self, operation: &mut Value, mut parameters: Vec<Value>, body: Option<Value>, answer: &Value) {
        if let Some(body) = body {
            let mut parameter = json!({"name": "body", "in": "body", "schema": body});
            if !matches!(self.action, Action::Delete | Action::DeleteCollection) {
                parameter["required"] = true.into();
            }
            parameters.insert(0, parameter);
        }
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        operation["consumes"] = if self.action == Action::Patch { json!(PATCH_TYPES) } else { json!(["*/*"]) };
        operation["produces"] = json!(JSON_TYPES);
        operation["schemes"] = json!(["https"]);
        let mut responses = Map::new();
        for (code, description) in self.codes() {
            responses.insert((*code).to_owned(), json!({"description": description, "schema": answer}));
        }
        responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
        operation["responses"] = responses.into();
    }

    fn codes(&self) -> &'static [(&'static str, &'static str)] {
        match self.action {
            Action::Post => &[("200", "OK"), ("201", "Created"), ("202", "Accepted")],
            Action::Put | Action::Patch => &[("200", "OK"), ("201", "Created")],
            Action::Delete => &[("200", "OK"), ("202", "Accepted")],
            _ => &[("200", "OK")],
        }
    }

    fn own(&self, schemas: &mut Schemas) -> Value {
        self.resource.node.map_or_else(|| json!({"type": "string"}), |node| schemas.of(node))
    }

    fn answer(&self, schemas: &mut Schemas) -> Value {
        match self.action {
            Action::List => self.resource.list.map_or_else(|| json!({"type": "object"}), |node| schemas.of(node)),
            Action::Delete | Action::DeleteCollection => schemas.named(&format!("{META}.Status")),
            _ => self.own(schemas),
        }
    }

    fn body(&self, schemas: &mut Schemas) -> Option<Value> {
        match self.action {
            Action::Post | Action::Put => Some(self.own(schemas)),
            Action::Patch => Some(schemas.named(&format!("{META}.Patch"))),
            Action::Delete | Action::DeleteCollection => Some(schemas.named(&format!("{META}.DeleteOptions"))),
            Action::Get | Action::List | Action::Connect(_) => None,
        }
    }

    /// `readAppsV1NamespacedDeploymentScale`, `deleteCoreV1CollectionNamespacedPod`.
    fn id(&self) -> String {
        let method = match self.action {
            Action::Connect(method) => capitalized(method),
            Action::DeleteCollection => "Collection".to_owned(),
            _ => String::new(),
        };
        let scope = if self.resource.namespaced && !self.everywhere { "Namespaced" } else { "" };
        let everywhere = if self.everywhere { "ForAllNamespaces" } else { "" };
        format!(
            "{}{}{}{method}{scope}{}{}{everywhere}",
            self.action.verb(),
            group_words(self.of.group),
            capitalized(self.of.version),
            self.resource.kind,
            subresource_words(self.resource.subresource)
        )
    }
}

fn tag(of: &GroupVersion<'_>) -> String {
    let words = group_words(of.group);
    let mut chars = words.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_lowercase).collect();
    format!("{first}{}_{}", chars.as_str(), of.version)
}

/// `rbac.authorization.k8s.io` is `RbacAuthorization`.
fn group_words(group: &str) -> String {
    if group.is_empty() {
        return "Core".to_owned();
    }
    group.strip_suffix(".k8s.io").unwrap_or(group).split('.').map(capitalized).collect()
}

fn subresource_words(subresource: &str) -> String {
    match subresource {
        "ephemeralcontainers" => "Ephemeralcontainers".to_owned(),
        other => capitalized(other),
    }
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}", chars.as_str())
}
