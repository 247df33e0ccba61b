//! Every way one object changes another: JSON patch, JSON merge patch, strategic merge patch and server-side apply.
//! Pure functions over trees and schemas; times come from the caller.

mod error;
mod go_print;
mod json_patch;
pub mod managed;
mod merge_patch;
mod strategic;

pub use error::PatchError;
pub use go_print::go_print;
pub use json_patch::{JsonPatch, MAX_JSON_PATCH_OPERATIONS};
pub use merge_patch::merge_patch;
pub use strategic::{strategic_merge, three_way_patch};
