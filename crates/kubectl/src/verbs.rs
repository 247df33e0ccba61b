//! One file per verb: what is typed, and what is done.

pub(crate) mod api_resources;
pub(crate) mod apply;
pub(crate) mod config;
pub(crate) mod cordon;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod dry_run;
pub(crate) mod exec;
pub(crate) mod get;
pub(crate) mod label;
pub(crate) mod logs;
pub(crate) mod patch;
pub(crate) mod scale;
pub(crate) mod version;
