//! The one place where a tree becomes a struct and back: a built-in kind behind the face of a resource.

use std::marker::PhantomData;

use apimachinery::{GroupKind, Object, Status, field::ErrorList};
use kinds::{ColumnFormat, Kind, Now};
use schema::Node;
use serde::Deserialize;
use serde_json::Value;

use crate::{Column, Facts, Resource};

/// A [`Kind`] as a [`Resource`].
pub struct BuiltIn<K> {
    facts: Facts,
    node: Node<'static>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> BuiltIn<K> {
    /// # Panics
    /// If the kind names a definition the schema table lacks, which the tests of the kinds rule out.
    pub fn new() -> Self {
        let node = schema::builtin().definition(K::FACTS.definition).expect("every built-in kind has a schema");
        Self { facts: facts::<K>(), node, kind: PhantomData }
    }
}

impl<K: Kind> Default for BuiltIn<K> {
    fn default() -> Self {
        Self::new()
    }
}

fn facts<K: Kind>() -> Facts {
    let of = K::FACTS;
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut sample = Object::default();
    sample.set_gvk(&of.gvk());
    K::into_stored(&mut sample);
    Facts {
        gvk: of.gvk(),
        plural: of.plural.to_owned(),
        singular: of.singular.to_owned(),
        short_names: owned(of.short_names),
        categories: owned(of.categories),
        namespaced: of.namespaced(),
        verbs: of.verbs.to_vec(),
        subresources: of.subresources.to_vec(),
        storage_prefix: if of.storage.is_empty() { String::new() } else { format!("/registry/{}/", of.storage) },
        stored_api_version: sample.api_version().to_owned(),
        relaxed: of.relaxed,
        generation: of.generation,
        create_on_update: of.update.create_on_update,
        unconditional_update: of.update.unconditional,
        status_keeps_labels: K::STATUS_KEEPS_LABELS,
        returns_deleted: K::RETURNS_DELETED,
        keeps_status_on_create: K::KEEPS_STATUS_ON_CREATE,
        bare_list_items: true,
        selectable: owned(of.selectable),
        columns: of.columns.iter().map(column).collect(),
    }
}

fn column(of: &kinds::Column) -> Column {
    let format = match of.format {
        ColumnFormat::Name => "name",
        ColumnFormat::None => "",
    };
    Column {
        name: of.name.to_owned(),
        data_type: of.data_type.to_owned(),
        format: format.to_owned(),
        description: of.description.to_owned(),
        priority: of.priority,
    }
}

/// The schema let the tree pass, yet it is no such object: a number too large for its type, say.
fn mismatch<K: Kind>(error: &serde_json::Error) -> Status {
    let facts = K::FACTS;
    Status::bad_request(format!(
        "{} in version {} cannot be handled as a {}: {error}",
        facts.kind, facts.version, facts.kind
    ))
}

fn typed<K: Kind>(object: &Object) -> Result<K::Object, Status> {
    K::Object::deserialize(object.map()).map_err(|error| mismatch::<K>(&error))
}

/// Runs a hook on the struct and writes the result back into the tree.
fn change<K: Kind>(object: &mut Object, hook: impl FnOnce(&mut K::Object)) -> Result<(), Status> {
    let mut typed = typed::<K>(object)?;
    hook(&mut typed);
    *object = kinds::to_tree::<K>(&typed);
    Ok(())
}

impl<K: Kind> Resource for BuiltIn<K> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn node(&self) -> Node<'_> {
        self.node
    }

    fn blamed(&self) -> GroupKind {
        K::blamed()
    }

    fn validate_metadata(&self, object: &Object) -> ErrorList {
        kinds::object_meta::validate(object, K::FACTS.scope, K::FACTS.name_rule)
    }

    fn default(&self, object: &mut Object) -> Result<(), Status> {
        change::<K>(object, K::default)
    }

    fn prepare_for_create(&self, object: &mut Object) -> Result<(), Status> {
        change::<K>(object, K::prepare_for_create)
    }

    fn prepare_for_update(&self, new: &mut Object, old: &Object) -> Result<(), Status> {
        let old = typed::<K>(old)?;
        change::<K>(new, |new| K::prepare_for_update(new, &old))
    }

    fn prepare_for_status_update(&self, new: &mut Object, old: &Object) -> Result<(), Status> {
        let old = typed::<K>(old)?;
        change::<K>(new, |new| K::prepare_for_status_update(new, &old))
    }

    fn validate(&self, object: &Object) -> Result<ErrorList, Status> {
        Ok(K::validate(&typed::<K>(object)?))
    }

    fn validate_create(&self, object: &Object) -> Result<ErrorList, Status> {
        Ok(K::validate_create(&typed::<K>(object)?))
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Result<ErrorList, Status> {
        Ok(K::validate_update(&typed::<K>(new)?, &typed::<K>(old)?))
    }

    fn validate_status_update(&self, new: &Object, old: &Object) -> Result<ErrorList, Status> {
        Ok(K::validate_status_update(&typed::<K>(new)?, &typed::<K>(old)?))
    }

    fn validate_approval(&self, new: &Object, old: &Object) -> Result<ErrorList, Status> {
        Ok(K::validate_approval(&typed::<K>(new)?, &typed::<K>(old)?))
    }

    fn warnings(&self, object: &Object) -> Result<Vec<String>, Status> {
        Ok(K::warnings(&typed::<K>(object)?))
    }

    fn field(&self, object: &Object, field: &str) -> Option<String> {
        K::field(object, field)
    }

    fn row_conditions(&self, object: &Object) -> Vec<Value> {
        K::row_conditions(object)
    }

    fn cells(&self, object: &Object, now: Now) -> Vec<Value> {
        K::cells(object, now)
    }

    fn to_stored_form(&self, object: &mut Object) {
        K::into_stored(object);
    }

    fn to_served_form(&self, object: &mut Object) {
        K::from_stored(object);
    }
}
