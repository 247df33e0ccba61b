//! The container runtime interface, v1: its messages, and its two services as traits.
//!
//! The kubelet is written against this crate and nothing lower. The built-in runtime implements the traits in process.

mod error;
mod image_service;
mod runtime_service;
pub mod v1;

pub use error::{CriError, Result};
pub use image_service::ImageService;
pub use runtime_service::{ContainerEvents, RuntimeService};
