//! `Namespace`: a scope for names.

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use super::pod_spec::defaults::set_text;
use crate::rules;
use crate::{Column, Facts, Kind, Now, Subresource, Verb};
use crate::{names, print};
use apimachinery::field::{Error, ErrorList, Path};

/// Lets selectors name a namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Keeps a namespace until everything in it is gone.
const FINALIZER: &str = "kubernetes";

pub struct Namespace;

impl Kind for Namespace {
    type Object = v1::Namespace;

    const FACTS: Facts = Facts {
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        verbs: &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch],
        subresources: &[Subresource::Finalize, Subresource::Status],
        definition: "io.k8s.api.core.v1.Namespace",
        storage: "namespaces",
        name_rule: names::label,
        selectable: &["status.phase"],
        columns: &[
            Column::name(),
            Column::new("Status", "string", "Whether the namespace is in use or being deleted."),
            Column::age(),
        ],
        ..Facts::CLUSTER
    };

    fn default(namespace: &mut v1::Namespace) {
        label_with_name(namespace);
        namespace.spec.get_or_insert_default();
        set_text(&mut namespace.status.get_or_insert_default().phase, "Active");
    }

    fn prepare_for_create(namespace: &mut v1::Namespace) {
        // A generated name was not known when defaults ran.
        label_with_name(namespace);
        namespace.status = Some(v1::NamespaceStatus { phase: Some("Active".to_owned()), conditions: None });
        let finalizers = namespace.spec.get_or_insert_default().finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
    }

    fn prepare_for_update(new: &mut v1::Namespace, old: &v1::Namespace) {
        new.spec.get_or_insert_default().finalizers = old.spec.as_ref().and_then(|spec| spec.finalizers.clone());
    }

    fn validate(namespace: &v1::Namespace) -> ErrorList {
        let mut errors = ErrorList::new();
        let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_deref()).unwrap_or_default();
        for finalizer in finalizers {
            let path = Path::new("spec").child("finalizers");
            rules::qualified_name(finalizer, &path, &mut errors);
        }
        errors
    }

    fn validate_status_update(new: &v1::Namespace, _old: &v1::Namespace) -> ErrorList {
        let phase = new.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let (only, why) = match new.metadata.deletion_timestamp {
            None => ("Active", "may only be 'Active' if `deletionTimestamp` is empty"),
            Some(_) => ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty"),
        };
        if phase == only {
            return ErrorList::new();
        }
        Error::invalid(&Path::new("status").child("Phase"), phase, why).into()
    }

    fn field(object: &Object, field: &str) -> Option<String> {
        (field == "status.phase").then(|| print::text(object, &["status", "phase"]).to_owned())
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        cells![print::name(object), print::text(object, &["status", "phase"]), print::age(object, now)]
    }
}

fn label_with_name(namespace: &mut v1::Namespace) {
    let metadata = &mut namespace.metadata;
    if let Some(name) = metadata.name.as_ref().filter(|name| !name.is_empty()) {
        metadata.labels.get_or_insert_default().insert(NAME_LABEL.to_owned(), name.clone());
    }
}
