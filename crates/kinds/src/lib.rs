//! One file per built-in kind: its facts, defaults and rules. Pure: everything here can be tested with strings.

mod kind;

pub use kind::{Column, ColumnFormat, Facts, Kind, NameRule, Now, Scope, Subresource, UpdateRules, Verb, Visitor};
