//! What secrets must hold, by their type.

use api::core::v1::Secret;
use apimachinery::field::{Error, ErrorList, Path};
use serde_json::Value;

use super::MAX_BYTES;
use crate::rules;

/// Shown instead of what is wrong: it may be nearly right, and it is a secret.
const REDACTED: &str = "<secret contents redacted>";
const TLS: &str = "kubernetes.io/tls";

pub(super) fn secret(secret: &Secret) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("data");
    let mut size = 0;
    for (key, value) in secret.data.iter().flatten() {
        rules::invalid_each(key, rules::config_key(key), &path.key(key), &mut errors);
        size += value.0.len();
    }
    if size > MAX_BYTES {
        errors.push(Error::too_long(&path, MAX_BYTES));
    }
    let value = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    let mut require = |missing: bool, key: &str| {
        if missing {
            errors.push(Error::required(&path.key(key), ""));
        }
    };
    match rules::text(&secret.type_) {
        "kubernetes.io/service-account-token" => service_account(secret, &mut errors),
        "kubernetes.io/dockercfg" => docker(value(".dockercfg"), &path.key(".dockercfg"), &mut errors),
        "kubernetes.io/dockerconfigjson" => {
            docker(value(".dockerconfigjson"), &path.key(".dockerconfigjson"), &mut errors);
        }
        "kubernetes.io/basic-auth" => {
            let neither = value("username").is_none() && value("password").is_none();
            require(neither, "username");
            require(neither, "password");
        }
        "kubernetes.io/ssh-auth" => require(value("ssh-privatekey").is_none_or(<[u8]>::is_empty), "ssh-privatekey"),
        TLS => {
            require(value("tls.crt").is_none(), "tls.crt");
            require(value("tls.key").is_none(), "tls.key");
        }
        _ => {}
    }
    errors
}

fn service_account(secret: &Secret, errors: &mut ErrorList) {
    const NAME: &str = "kubernetes.io/service-account.name";
    let name = secret.metadata.annotations.as_ref().and_then(|annotations| annotations.get(NAME));
    if name.is_none_or(String::is_empty) {
        errors.push(Error::required(&Path::new("metadata").child("annotations").key(NAME), ""));
    }
}

/// Credentials for registries are a JSON object.
fn docker(value: Option<&[u8]>, path: &Path, errors: &mut ErrorList) {
    let Some(bytes) = value else {
        errors.push(Error::required(path, ""));
        return;
    };
    if let Some(why) = not_an_object(bytes) {
        errors.push(Error::invalid(path, REDACTED, why));
    }
}

/// In the words of Go's decoder, which clients of upstream see.
fn not_an_object(bytes: &[u8]) -> Option<String> {
    let of_type = |what: &str| format!("json: cannot unmarshal {what} into Go value of type map[string]interface {{}}");
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(_) | Value::Null) => None,
        Ok(Value::Array(_)) => Some(of_type("array")),
        Ok(Value::String(_)) => Some(of_type("string")),
        Ok(Value::Number(_)) => Some(of_type("number")),
        Ok(Value::Bool(_)) => Some(of_type("bool")),
        Err(error) if error.is_eof() => Some("unexpected end of JSON input".to_owned()),
        Err(error) => {
            let text = String::from_utf8_lossy(bytes);
            let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
            let found = line.chars().nth(error.column().saturating_sub(1)).unwrap_or(' ');
            Some(format!("invalid character '{found}' looking for beginning of value"))
        }
    }
}

/// A key pair that no server could use.
pub(super) fn warnings(secret: &Secret) -> Vec<String> {
    let certificate = secret.data.as_ref().and_then(|data| data.get("tls.crt"));
    let Some(certificate) = certificate.filter(|_| rules::text(&secret.type_) == TLS) else { return Vec::new() };
    let has_block = certificate.0.windows(11).any(|part| part == b"-----BEGIN ");
    if has_block { Vec::new() } else { vec!["tls: failed to find any PEM data in certificate input".to_owned()] }
}
