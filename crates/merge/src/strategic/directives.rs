//! The directives that a patch carries among its fields.

use serde_json::{Map, Value};

use crate::error::PatchError;

pub(super) const PATCH: &str = "$patch";
pub(super) const RETAIN_KEYS: &str = "$retainKeys";
pub(super) const SET_ELEMENT_ORDER: &str = "$setElementOrder/";
pub(super) const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList/";

/// Carries out `$retainKeys`: only the keys it names stay.
pub(super) fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), PatchError> {
    const BAD: PatchError = PatchError::Directive { reason: "invalid patch format of retainKeys" };
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let keys = keys.as_array().ok_or(BAD)?;
    let named = |key: &str| keys.iter().any(|k| k.as_str() == Some(key));
    for (key, value) in patch.iter() {
        let directive = key.starts_with(DELETE_FROM_PRIMITIVE_LIST) || key.starts_with(SET_ELEMENT_ORDER);
        if !value.is_null() && !directive && !named(key) {
            return Err(BAD);
        }
    }
    original.retain(|key, _| named(key));
    Ok(())
}

/// Makes a value of a patch one of an object that had none: no directives, no nulls in maps.
pub(super) fn drop_all(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get(PATCH).and_then(Value::as_str) == Some("delete") {
                map.clear();
            }
            map.retain(|key, value| {
                !value.is_null()
                    && key != PATCH
                    && key != RETAIN_KEYS
                    && !key.starts_with(SET_ELEMENT_ORDER)
                    && !key.starts_with(DELETE_FROM_PRIMITIVE_LIST)
            });
            map.values_mut().for_each(drop_all);
        }
        Value::Array(items) => {
            items.retain(|item| item.get(PATCH).is_none());
            items.iter_mut().for_each(drop_all);
        }
        _ => {}
    }
}
