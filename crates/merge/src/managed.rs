//! Who owns which field: `metadata.managedFields` and server-side apply.
//!
//! Every write goes through here with the object as it was and as it shall be, both decoded, defaulted and pruned.
//! [`update`] records what a create, update or patch changed; [`apply`] merges a configuration, finds conflicts,
//! and takes away what its manager applied before and does so no more. Owned fields are sets of paths ([`Set`]),
//! written as `FieldsV1`.
//!
//! Unlike Kubernetes: entries of another API version of the same kind are read as if their fields had the same names
//! in this version.

mod cap;
mod conflict;
mod entries;
mod last_applied;
mod owners;
mod path;
mod scale;
mod set;
#[cfg(test)]
mod tests;
mod typed;
mod write;

pub use conflict::{ApplyError, Conflict};
pub use entries::{EntryError, ManagerId, Operation};
pub use path::{Element, Path};
pub use scale::Scale;
pub use set::Set;
pub use write::{Write, apply, ignore_times, update};
