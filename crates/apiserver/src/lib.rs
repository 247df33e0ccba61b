//! The HTTP front of the API: routes, negotiation, discovery, authentication and authorization of every request, and
//! the way to the registry. One `tower::Service` for sockets and for callers in this process.

mod authentication;
mod body;
mod bootstrap;
mod config;
mod connect;
mod decode;
mod discovery;
mod feeds;
mod flow;
mod gate;
mod health;
mod ids;
mod listener;
mod live;
mod metrics;
mod negotiation;
mod openapi;
mod paths;
mod peers;
mod protobuf;
mod query;
mod request_info;
mod resources;
mod respond;
mod reviews;
mod server;
mod signers;
mod start;
mod tasks;
mod token_request;
mod version;
mod view;
mod yaml;

pub use authentication::Peer;
pub use config::{Anonymous, AuthorizationModes, Config};
pub use gate::Gate;
pub use listener::Listener;
pub use paths::{Page, ROUTES, Route};
pub use respond::{Body, BoxError};
pub use server::ApiServer;
pub use start::StartError;
pub use version::GIT_VERSION;
