//! The one pipeline for every resource, and the delivery of changes to watchers. Objects stay encoded: a get, a list
//! and a watch event copy no object and parse none unless a selector or a table asks.

mod admission;
mod body;
mod builtin;
mod context;
mod continuation;
mod create;
mod decode;
mod delete;
mod encode;
mod expiry;
mod failure;
mod form;
mod freshness;
mod header;
mod keys;
mod list;
mod managed;
mod masters;
mod moved;
mod options;
mod patch;
mod prepare;
mod read;
mod registry;
mod resource;
mod resources;
mod selection;
mod services;
mod subresource;
mod update;
mod view;
mod watch;

pub use admission::{Admission, AdmitAll, Attributes, Operation};
pub use body::{Body, Deleted, Patch, Written};
pub use builtin::BuiltIn;
pub use context::{FieldValidation, RequestContext, Warnings};
pub use form::{StorageForm, StorageMediaType, UnreadableObject, why_unreadable};
pub use masters::Master;
pub use moved::{MOVED, NOTES, moved_from};
pub use options::{DeleteOptions, GetOptions, IncludeObject, ListOptions, Preconditions, View};
pub use registry::{Config, Listed, Registry};
pub use resource::{Column, Facts, Resource};
pub use resources::Resources;
pub use watch::{EventType, WatchEvent, Watcher};
