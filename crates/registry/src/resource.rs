//! What the pipeline asks of a resource, on trees. Built-in kinds and custom resources are equals behind it.

use apimachinery::{GroupKind, GroupResource, GroupVersionKind, Object, Status, field::ErrorList};
use kinds::{Now, Subresource, Verb};
use schema::Node;
use serde_json::Value;

/// A column of the server-side table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub data_type: String,
    /// `name` for the column that holds the object's name, else usually empty.
    pub format: String,
    pub description: String,
    /// 0 shows always; 1 shows with `-o wide`.
    pub priority: i32,
}

/// What there is to know of a resource without looking at an object.
#[derive(Clone, Debug)]
pub struct Facts {
    pub gvk: GroupVersionKind,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub verbs: Vec<Verb>,
    pub subresources: Vec<Subresource>,
    /// `/registry/pods/`; empty for kinds that are only answered, never stored.
    pub storage_prefix: String,
    /// The stored `apiVersion`, where several versions share a storage.
    pub stored_api_version: String,
    /// Objects that a crash may lose because they are renewed or only inform.
    pub relaxed: bool,
    /// `metadata.generation` counts changes of everything but metadata and status.
    pub generation: bool,
    pub create_on_update: bool,
    pub unconditional_update: bool,
    /// A write through `/status` leaves the labels as they are.
    pub status_keeps_labels: bool,
    /// A deletion answers with the deleted object instead of a `Status`.
    pub returns_deleted: bool,
    /// A creator may choose the status too.
    pub keeps_status_on_create: bool,
    /// Items of lists carry no `kind` and `apiVersion`, as upstream's built-in kinds.
    pub bare_list_items: bool,
    /// Fields that field selectors may name besides `metadata.name` and `metadata.namespace`.
    pub selectable: Vec<String>,
    pub columns: Vec<Column>,
}

impl Facts {
    pub fn group_kind(&self) -> GroupKind {
        self.gvk.group_kind()
    }

    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(self.gvk.group.clone(), self.plural.clone())
    }

    pub fn has(&self, subresource: Subresource) -> bool {
        self.subresources.contains(&subresource)
    }

    pub fn can(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }

    /// Whether another version's objects lie in the store.
    pub fn converts(&self) -> bool {
        self.stored_api_version != self.gvk.api_version()
    }
}

/// A resource of the API in one version. Everything is pure; the pipeline owns clock and store. A hook fails where
/// a tree that passed its schema still is no object of the kind.
pub trait Resource: Send + Sync + 'static {
    fn facts(&self) -> &Facts;

    /// The schema of the objects.
    fn node(&self) -> Node<'_>;

    /// The kind that a refusal names; nearly always its own.
    fn blamed(&self) -> GroupKind {
        self.facts().group_kind()
    }

    /// Judges the metadata of a new object, after its name is made.
    fn validate_metadata(&self, object: &Object) -> ErrorList;

    /// Fills in what the user left out. Idempotent.
    fn default(&self, object: &mut Object) -> Result<(), Status>;

    /// Clears and sets what a creator may not choose, after the generic part.
    fn prepare_for_create(&self, object: &mut Object) -> Result<(), Status>;

    /// Keeps what an update through the main resource may not change, after the generic part.
    fn prepare_for_update(&self, new: &mut Object, old: &Object) -> Result<(), Status>;

    /// The same for a write through `/status`.
    fn prepare_for_status_update(&self, _new: &mut Object, _old: &Object) -> Result<(), Status> {
        Ok(())
    }

    fn validate(&self, object: &Object) -> Result<ErrorList, Status>;

    /// Rules for a new object, where there are more than lasting ones.
    fn validate_create(&self, object: &Object) -> Result<ErrorList, Status> {
        self.validate(object)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Result<ErrorList, Status>;

    fn validate_status_update(&self, new: &Object, old: &Object) -> Result<ErrorList, Status>;

    /// Rules for a write through `/approval`, where there is one.
    fn validate_approval(&self, new: &Object, old: &Object) -> Result<ErrorList, Status> {
        self.validate_update(new, old)
    }

    /// Sentences for `Warning` headers about accepted but questionable use.
    fn warnings(&self, object: &Object) -> Result<Vec<String>, Status>;

    /// The value of a selectable field; `None` for a field that is not selectable.
    fn field(&self, object: &Object, field: &str) -> Option<String>;

    /// Conditions of the table row.
    fn row_conditions(&self, _object: &Object) -> Vec<Value> {
        Vec::new()
    }

    /// The cells of the table row, as many as columns.
    fn cells(&self, object: &Object, now: Now) -> Vec<Value>;

    /// To the version that lies in the store.
    fn to_stored_form(&self, _object: &mut Object) {}

    /// From the version that lies in the store.
    fn to_served_form(&self, _object: &mut Object) {}
}
