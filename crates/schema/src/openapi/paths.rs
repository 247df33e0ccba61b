//! The paths of a group and version, with an operation for every verb.

use serde_json::{Map, Value, json};

use super::{
    Form, GroupVersion, Resource,
    operations::{Action, Operation},
    parameters,
    schemas::Schemas,
};

pub(super) fn paths(form: Form, of: &GroupVersion<'_>, schemas: &mut Schemas) -> Map<String, Value> {
    let base =
        if of.group.is_empty() { format!("/api/{}", of.version) } else { format!("/apis/{}/{}", of.group, of.version) };
    let mut paths = Map::new();
    for resource in of.resources {
        let scoped = if resource.namespaced { format!("{base}/namespaces/{{namespace}}") } else { base.clone() };
        let collection = format!("{scoped}/{}", resource.plural);
        let named = format!("{collection}/{{name}}");
        let mut place = Place { form, of, resource, schemas };
        if resource.subresource.is_empty() {
            place.put(&mut paths, &collection, false, &[Action::List, Action::Post, Action::DeleteCollection]);
            place.put(&mut paths, &named, true, &[Action::Get, Action::Put, Action::Patch, Action::Delete]);
            if resource.namespaced && resource.verbs.contains(&"list") {
                place.put_everywhere(&mut paths, &format!("{base}/{}", resource.plural));
            }
        } else if connects(resource.subresource) {
            let path = format!("{named}/{}", resource.subresource);
            place.put(&mut paths, &path, true, &[Action::Connect("get"), Action::Connect("post")]);
        } else {
            let path = format!("{named}/{}", resource.subresource);
            place.put(&mut paths, &path, true, &[Action::Get, Action::Post, Action::Put, Action::Patch]);
        }
    }
    paths
}

fn connects(subresource: &str) -> bool {
    matches!(subresource, "exec" | "attach" | "portforward" | "proxy")
}

struct Place<'a, 's> {
    form: Form,
    of: &'a GroupVersion<'a>,
    resource: &'a Resource<'a>,
    schemas: &'s mut Schemas,
}

impl Place<'_, '_> {
    fn serves(&self, action: Action) -> bool {
        let verb = match action {
            Action::Get => "get",
            Action::List => "list",
            Action::Post => "create",
            Action::Put => "update",
            Action::Patch => "patch",
            Action::Delete => "delete",
            Action::DeleteCollection => "deletecollection",
            Action::Connect(method) => {
                if method == "get" {
                    "get"
                } else {
                    "create"
                }
            }
        };
        self.resource.verbs.contains(&verb)
    }

    fn put(&mut self, paths: &mut Map<String, Value>, path: &str, named: bool, actions: &[Action]) {
        let mut item = Map::new();
        for &action in actions {
            if self.serves(action) {
                let operation = self.operation(action, false);
                item.insert(action.method().to_owned(), operation);
            }
        }
        if !item.is_empty() {
            let shared = parameters::of_path(self.form, named, self.resource.namespaced);
            item.insert("parameters".to_owned(), shared.into());
            paths.insert(path.to_owned(), item.into());
        }
    }

    fn put_everywhere(&mut self, paths: &mut Map<String, Value>, path: &str) {
        let operation = self.operation(Action::List, true);
        let shared = parameters::of_path(self.form, false, false);
        paths.insert(path.to_owned(), json!({"get": operation, "parameters": shared}));
    }

    fn operation(&mut self, action: Action, everywhere: bool) -> Value {
        let operation = Operation { form: self.form, of: self.of, resource: self.resource, action, everywhere };
        operation.write(self.schemas)
    }
}
