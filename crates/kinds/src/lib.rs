//! One file per built-in kind: its facts, defaults and rules. Pure: everything here can be tested with strings.

macro_rules! cells {
    ($($cell:expr),* $(,)?) => { vec![$(serde_json::Value::from($cell)),*] };
}

mod kind;
mod names;
mod print;
mod quantities;
mod rules;
mod table;
mod tree;

pub mod apps;
pub mod authentication;
pub mod authorization;
pub mod certificates;
pub mod coordination;
pub mod core;
pub mod discovery;
pub mod events;
pub mod object_meta;
pub mod rbac;
pub mod scheduling;

pub use kind::{Column, ColumnFormat, Facts, Kind, NameRule, Now, Scope, Subresource, UpdateRules, Verb, Visitor};
pub use print::human_duration;
pub use table::visit;
pub use tree::{from_tree, to_tree};
