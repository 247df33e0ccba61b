//! Why a patch was refused, and the status upstream answers with.

use apimachinery::{Reason, Status};
use thiserror::Error;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatchError {
    /// The patch itself cannot be read.
    #[error("error decoding patch: {reason}")]
    Decode { reason: String },
    #[error("The allowed maximum operations in a JSON patch is {max}, got {got}")]
    TooManyOperations { max: usize, got: usize },
    /// An operation of a JSON patch does not fit the object.
    #[error("operation {index} ({operation} {path:?}): {reason}")]
    Operation { index: usize, operation: String, path: String, reason: String },
    /// A directive of a strategic merge patch has the wrong form.
    #[error("{reason}")]
    Directive { reason: &'static str },
    /// A strategic merge patch contradicts itself or the schema.
    #[error("{reason}")]
    Strategic { reason: String },
}

impl PatchError {
    /// The answer upstream gives. That a JSON patch did not fit is all it says of that.
    pub fn status(&self) -> Status {
        match self {
            Self::Decode { .. } | Self::Directive { .. } => Status::bad_request(self.to_string()),
            Self::TooManyOperations { .. } => Status::failure(413, Reason::RequestEntityTooLarge, self.to_string()),
            Self::Operation { .. } => {
                let message = "the server rejected our request due to an error in our request";
                Status::failure(422, Reason::Invalid, message).with_details(apimachinery::Details::default())
            }
            Self::Strategic { reason } => Status::failure(500, Reason::Unknown, reason.clone()),
        }
    }
}
