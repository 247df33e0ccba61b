//! The one error of the interface: the codes a caller acts on, with a message for a person.

/// What a call of the interface answers when it fails. Printed as a gRPC client of upstream's kubelet would print it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CriError {
    #[error("rpc error: code = NotFound desc = {message}")]
    NotFound { message: String },
    #[error("rpc error: code = InvalidArgument desc = {message}")]
    InvalidArgument { message: String },
    #[error("rpc error: code = AlreadyExists desc = {message}")]
    AlreadyExists { message: String },
    #[error("rpc error: code = FailedPrecondition desc = {message}")]
    FailedPrecondition { message: String },
    #[error("rpc error: code = PermissionDenied desc = {message}")]
    PermissionDenied { message: String },
    #[error("rpc error: code = ResourceExhausted desc = {message}")]
    ResourceExhausted { message: String },
    #[error("rpc error: code = DeadlineExceeded desc = {message}")]
    DeadlineExceeded { message: String },
    #[error("rpc error: code = Unavailable desc = {message}")]
    Unavailable { message: String },
    #[error("rpc error: code = Unimplemented desc = {message}")]
    Unimplemented { message: String },
    #[error("rpc error: code = Canceled desc = {message}")]
    Canceled { message: String },
    #[error("rpc error: code = Unknown desc = {message}")]
    Unknown { message: String },
    #[error("rpc error: code = Internal desc = {message}")]
    Internal { message: String },
}

pub type Result<T> = std::result::Result<T, CriError>;

macro_rules! constructors {
    ($($name:ident => $variant:ident),* $(,)?) => {
        $(pub fn $name(message: impl Into<String>) -> Self {
            Self::$variant { message: message.into() }
        })*
    };
}

impl CriError {
    constructors! {
        not_found => NotFound,
        invalid_argument => InvalidArgument,
        already_exists => AlreadyExists,
        failed_precondition => FailedPrecondition,
        permission_denied => PermissionDenied,
        resource_exhausted => ResourceExhausted,
        deadline_exceeded => DeadlineExceeded,
        unavailable => Unavailable,
        unimplemented => Unimplemented,
        canceled => Canceled,
        unknown => Unknown,
        internal => Internal,
    }

    /// The message without the code.
    pub fn message(&self) -> &str {
        match self {
            Self::NotFound { message }
            | Self::InvalidArgument { message }
            | Self::AlreadyExists { message }
            | Self::FailedPrecondition { message }
            | Self::PermissionDenied { message }
            | Self::ResourceExhausted { message }
            | Self::DeadlineExceeded { message }
            | Self::Unavailable { message }
            | Self::Unimplemented { message }
            | Self::Canceled { message }
            | Self::Unknown { message }
            | Self::Internal { message } => message,
        }
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}
