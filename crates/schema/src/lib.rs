//! Structural schemas as one compact table: what fields a kind has, of which types, and how lists and maps merge.
//! Strict decoding and OpenAPI documents are functions over it.

mod builder;
mod builtin;
mod node;
mod shape;
mod table;
mod text;

pub use builder::{Attributes, DefinitionId, NodeId, TableBuilder};
pub use builtin::builtin;
pub use node::{Definition, Field, Node};
pub use shape::{ListType, MapType, PatchStrategy, Shape};
pub use table::Table;
pub use text::{TextError, parse};
