//! How objects lie in etcd: as upstream's API servers put them there and read them, without a resource version, which
//! is the key's own revision; as JSON or in upstream's protobuf. Which of the two a value is, it says itself, key by
//! key, so that servers of both kinds can share a cluster.
//!
//! Memory holds every object as this server encodes it, in the stored version of its kind, defaults filled in.

use apimachinery::Object;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use schema::protobuf::{self, ProtobufError};
use serde_json::{Value, json};

use crate::{Resources, encode::Unstamped, header};

/// The encoding of what is written. What is read may be either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageMediaType {
    Json,
    /// Upstream's default. What has no protobuf, or a field that is newer than the table of numbers, is written as JSON.
    #[default]
    Protobuf,
}

impl StorageMediaType {
    /// By upstream's name of it.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "application/json" => Some(Self::Json),
            "application/vnd.kubernetes.protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }
}

/// What values in upstream's protobuf begin with. No JSON does.
const PROTOBUF: &[u8] = b"k8s\0";

/// What memory holds in place of a value that cannot be read, before the reason. No object begins so.
const UNREADABLE: &[u8] = b"!unreadable: ";

/// Why the object of these bytes cannot be served: whoever asks for it or its like is told, and all others go on.
pub fn why_unreadable(bytes: &[u8]) -> Option<String> {
    bytes.strip_prefix(UNREADABLE).map(|why| String::from_utf8_lossy(why).into_owned())
}

/// Why a stored value is no object that can be served.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableObject {
    #[error("it is no JSON: {0}")]
    Json(#[source] serde_json::Error),
    #[error("{0}")]
    Protobuf(#[from] ProtobufError),
    #[error("it is no object")]
    Shape,
    #[error("it is stored as {found}, and this server reads {expected} there: store it anew with the older server")]
    Version { found: String, expected: String },
    #[error("it is no {kind}: {reason}")]
    Kind { kind: String, reason: String },
}

/// Turns what memory holds into what etcd holds, and back.
#[derive(Clone)]
pub struct StorageForm {
    resources: Resources,
    media_type: StorageMediaType,
}

impl std::fmt::Debug for StorageForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StorageForm").field("media_type", &self.media_type).finish_non_exhaustive()
    }
}

impl StorageForm {
    pub fn new(resources: Resources, media_type: StorageMediaType) -> Self {
        Self { resources, media_type }
    }

    /// What etcd gets. What is no object stays as it is.
    pub fn encode(&self, key: &[u8], value: &[u8]) -> Bytes {
        let plain = header::without_version(value);
        if self.media_type == StorageMediaType::Protobuf
            && let Ok(tree) = serde_json::from_slice::<Value>(&plain)
            && tree.get("kind").is_some_and(Value::is_string)
            && let Ok(encoded) = protobuf::encode_object(&tree).map(Bytes::from)
            && self.says_the_same(key, &plain, &tree, &encoded)
        {
            return encoded;
        }
        plain
    }

    /// Nothing may be lost: what protobuf cannot say, such as an empty text where JSON has one, stays JSON.
    fn says_the_same(&self, key: &[u8], plain: &Bytes, tree: &Value, encoded: &Bytes) -> bool {
        if self.resources.stored_at(key).is_none() {
            return tree_of(encoded).as_ref() == Some(tree);
        }
        self.decode(key, encoded, 0).is_ok_and(|back| header::without_version(&back) == plain)
    }

    /// What memory holds of a key that etcd holds so since `revision`.
    pub fn decode(&self, key: &[u8], stored: &Bytes, revision: u64) -> Result<Bytes, UnreadableObject> {
        let Some(resource) = self.resources.stored_at(key) else { return Ok(foreign(stored)) };
        let facts = resource.facts();
        let tree = if stored.starts_with(PROTOBUF) {
            let envelope = protobuf::envelope(stored)?;
            expect_version(&envelope.api_version, &facts.stored_api_version)?;
            let mut tree = protobuf::decode(resource.node(), envelope.raw)?;
            tree["apiVersion"] = envelope.api_version.into();
            tree["kind"] = envelope.kind.into();
            tree
        } else {
            serde_json::from_slice(stored).map_err(UnreadableObject::Json)?
        };
        let mut object = Object::from_value(tree).map_err(|_| UnreadableObject::Shape)?;
        expect_version(object.api_version(), &facts.stored_api_version)?;
        object.remove(&["metadata", "selfLink"]);
        // As upstream does: what an older server did not know yet gets its default.
        resource
            .default(&mut object)
            .map_err(|status| UnreadableObject::Kind { kind: facts.gvk.kind.clone(), reason: status.message })?;
        Ok(Unstamped::new(&object).stamp(revision))
    }
}

impl store::Form for StorageForm {
    fn to_stored(&self, key: &[u8], value: Bytes) -> Result<Bytes, store::Malformed> {
        Ok(self.encode(key, &value))
    }

    fn from_stored(&self, key: &[u8], stored: Bytes, revision: store::Revision) -> Result<Bytes, store::Malformed> {
        self.decode(key, &stored, revision.0).map_err(|error| store::Malformed(Box::new(error)))
    }

    /// One broken object is told to whoever asks for it, as upstream does; it does not stop the server.
    fn in_place_of(&self, key: &[u8], why: &(dyn std::error::Error + 'static)) -> Option<Bytes> {
        let key = String::from_utf8_lossy(key);
        tracing::error!(%key, error = %why, "an object in etcd cannot be read");
        let told = match why.is::<store::Unsealable>() {
            true => format!("unable to transform key {key:?}: {why}"),
            false => format!("unable to decode {key} from storage: {why}"),
        };
        Some([UNREADABLE, told.as_bytes()].concat().into())
    }

    fn why_unreadable(&self, value: &[u8]) -> Option<String> {
        why_unreadable(value)
    }
}

fn expect_version(found: &str, expected: &str) -> Result<(), UnreadableObject> {
    if found == expected {
        return Ok(());
    }
    Err(UnreadableObject::Version { found: found.to_owned(), expected: expected.to_owned() })
}

/// What no resource of this server lies under: a tree, where its protobuf is known, for the few that look at it.
fn foreign(stored: &Bytes) -> Bytes {
    tree_of(stored).map_or_else(|| stored.clone(), |tree| tree.to_string().into())
}

fn tree_of(stored: &[u8]) -> Option<Value> {
    let envelope = protobuf::envelope(stored).ok()?;
    if (envelope.api_version.as_str(), envelope.kind.as_str()) == ("v1", RANGE_ALLOCATION) {
        return range_allocation(envelope.raw);
    }
    let (group, version) = envelope.api_version.split_once('/').unwrap_or(("", &envelope.api_version));
    let node = schema::builtin().by_gvk(group, version, &envelope.kind)?;
    let mut tree = protobuf::decode(node, envelope.raw).ok()?;
    tree["apiVersion"] = envelope.api_version.as_str().into();
    tree["kind"] = envelope.kind.as_str().into();
    Some(tree)
}

/// Which node ports are held: upstream's servers write it and no API shows it.
const RANGE_ALLOCATION: &str = "RangeAllocation";

fn range_allocation(raw: &[u8]) -> Option<Value> {
    let (range, data) = (protobuf::bytes_of(raw, 2).ok()?, protobuf::bytes_of(raw, 3).ok()?);
    Some(json!({
        "kind": RANGE_ALLOCATION,
        "apiVersion": "v1",
        "metadata": {},
        "range": std::str::from_utf8(range).ok()?,
        "data": STANDARD.encode(data),
    }))
}

#[cfg(test)]
mod tests;
