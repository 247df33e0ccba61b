//! Structural schemas as one compact table: what fields a kind has, of which types, and how lists and maps merge.
//! Strict decoding and OpenAPI documents are functions over it.

mod builder;
mod builtin;
mod complete;
mod decode;
mod descriptions;
mod node;
pub mod openapi;
pub mod protobuf;
mod shape;
mod table;
mod text;
mod word_map;

pub use builder::{Attributes, DefinitionId, NodeId, Presence, TableBuilder};
pub use builtin::builtin;
pub use complete::complete;
pub use decode::{DecodeError, Decoded, MAX_DEPTH, MAX_STRICT_ERRORS, conform, decode, decode_any};
pub use descriptions::escaped;
pub use node::{Definition, Field, Node};
pub use shape::{ListType, MapType, PatchStrategy, Shape};
pub use table::Table;
pub use text::{TextError, parse};
