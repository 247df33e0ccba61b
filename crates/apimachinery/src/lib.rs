//! The words every part of Kubernetes shares: objects as trees, kinds and resources, selectors, quantities,
//! field errors and the one API error. Pure: no clock, no I/O.

mod fields;
mod identity;
mod image_reference;
mod labels;
mod names;
mod object;
mod quantity;
mod status;

pub mod field;
pub mod validation;

pub use fields::{FieldRequirement, FieldSelector};
pub use identity::{Identity, UserInfo};
pub use image_reference::{ImageReference, ImageReferenceError};
pub use labels::{LabelSelector, Operator, Requirement, SelectorError};
pub use names::{GroupKind, GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource};
pub use object::{Object, OwnerReference};
pub use quantity::{Format, Quantity, QuantityError};
pub use status::{Cause, Details, Reason, Status};
