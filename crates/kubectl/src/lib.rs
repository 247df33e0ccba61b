//! kubectl's verbs: what a person types, and what is printed, word for word as upstream prints it. Verbs know no kinds:
//! types come from discovery, lists from the server's tables.

mod command;
mod connection;
mod discovery;
mod failure;
mod flags;
mod manifest;
mod output;
mod pods;
mod selection;
mod server;
mod verbs;
mod waiting;

pub use command::run;
