//! Reading of request bodies, within bounds.

use std::time::Duration;

use apimachinery::Status;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::respond::Body;

/// The largest body, as upstream's.
pub(crate) const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;
/// A client that sends slower than this is cut off.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Reads a body whole.
pub(crate) async fn read(body: &mut Body) -> Result<Bytes, Status> {
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_large());
    }
    let whole = async {
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Status::bad_request(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > MAX_BODY_BYTES {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    };
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(read) => read,
        Err(_) => Err(Status::timeout("the request body did not arrive in time", 0)),
    }
}

fn too_large() -> Status {
    Status::too_large(format!("limit is {MAX_BODY_BYTES}"))
}
