//! Who owns which field, kept up to date on every write.

use apimachinery::{Object, Status};

use crate::{RequestContext, Resource};

/// A new object: everything in it belongs to its creator.
pub(crate) fn created(_resource: &dyn Resource, _cx: &RequestContext, object: &mut Object) -> Result<(), Status> {
    object.remove(&["metadata", "managedFields"]);
    Ok(())
}

/// A changed object: what changed belongs to who changed it.
pub(crate) fn changed(
    _resource: &dyn Resource,
    _cx: &RequestContext,
    _subresource: &str,
    _new: &mut Object,
    _old: &Object,
) -> Result<(), Status> {
    Ok(())
}
