//! Files that a volume shows, by relative path, before they are written.

use std::collections::BTreeMap;

use api::core::v1::KeyToPath;

use crate::Error;

/// Paths longer than this are refused, as upstream does.
const MAX_PATH: usize = 4096;

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) data: Vec<u8>,
    pub(crate) mode: u32,
    /// The user the file is given to; root where absent.
    pub(crate) user: Option<u32>,
}

/// Files by path below the volume's root.
pub(crate) type Payload = BTreeMap<String, File>;

/// Puts chosen keys of `data` into the payload: all of them by name, or the `items` with their own paths and modes.
pub(crate) fn select(
    payload: &mut Payload,
    data: &BTreeMap<String, Vec<u8>>,
    items: Option<&Vec<KeyToPath>>,
    default_mode: i32,
    optional: bool,
    kind: &'static str,
) -> Result<(), Error> {
    match items.filter(|i| !i.is_empty()) {
        None => {
            for (key, bytes) in data {
                insert(payload, key, bytes.clone(), default_mode, None)?;
            }
        }
        Some(items) => {
            for item in items {
                match data.get(&item.key) {
                    Some(bytes) => {
                        insert(payload, &item.path, bytes.clone(), item.mode.unwrap_or(default_mode), None)?;
                    }
                    None if optional => {}
                    None => return Err(Error::MissingKey { kind, key: item.key.clone() }),
                }
            }
        }
    }
    Ok(())
}

/// Adds one file after checking that its path stays inside.
pub(crate) fn insert(
    payload: &mut Payload,
    path: &str,
    data: Vec<u8>,
    mode: i32,
    user: Option<u32>,
) -> Result<(), Error> {
    let bad = path.is_empty()
        || path.len() > MAX_PATH
        || path.starts_with('/')
        || path.starts_with("..")
        || path.split('/').any(|part| part == ".." || part.is_empty());
    if bad {
        return Err(Error::BadPath { path: path.to_owned() });
    }
    let bits = u32::try_from(mode).ok().filter(|m| *m <= 0o777);
    let bits = bits.ok_or_else(|| Error::BadMode { path: path.to_owned(), mode })?;
    payload.insert(path.to_owned(), File { data, mode: bits, user });
    Ok(())
}
