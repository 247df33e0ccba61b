//! The values at the ends of a tree: which text fits which type, and how it is written canonically.

use apimachinery::Quantity;
use base64::Engine as _;
use serde_json::{Number, Value};

use super::go_time;
use crate::{node::Node, shape::Shape};

/// Types that have their own reader in upstream, which sees the text whatever JSON type it is.
pub(super) fn reads_itself(shape: Shape) -> bool {
    matches!(shape, Shape::Quantity | Shape::IntOrString | Shape::Time | Shape::MicroTime | Shape::Any)
}

/// What such a reader makes of a value that is not null, or what it says.
pub(super) fn read(shape: Shape, value: Value, raw: impl FnOnce() -> String) -> Result<Value, String> {
    match shape {
        Shape::Quantity => {
            let text = match &value {
                Value::String(text) => text.trim().to_owned(),
                _ => raw(),
            };
            let quantity: Quantity = text.parse().map_err(|e: apimachinery::QuantityError| e.to_string())?;
            Ok(quantity.to_string().into())
        }
        Shape::IntOrString => int_or_string(value, raw),
        Shape::Time | Shape::MicroTime => match &value {
            Value::String(text) if shape == Shape::Time => go_time::time(text).map(Value::String),
            Value::String(text) => go_time::micro_time(text).map(Value::String),
            other => Err(format!("json: cannot unmarshal {} into Go value of type string", json_type(other))),
        },
        _ => Ok(value),
    }
}

fn int_or_string(value: Value, raw: impl FnOnce() -> String) -> Result<Value, String> {
    let refused = |what: &str| Err(format!("json: cannot unmarshal {what} into Go value of type int32"));
    match value {
        Value::String(_) => Ok(value),
        Value::Number(_) => {
            let text = raw();
            match text.parse::<i32>() {
                Ok(number) => Ok(number.into()),
                Err(_) => refused(&format!("number {text}")),
            }
        }
        other => refused(json_type(&other)),
    }
}

/// A number as the type wants it; the error is how upstream names what it got. Untyped, whole numbers that fit 64
/// bits are integers, and so are floats without a fraction, which upstream writes that way.
pub(super) fn number(shape: Option<Shape>, text: &str) -> Result<Value, String> {
    let refused = || format!("number {text}");
    match shape {
        Some(Shape::Integer32) => text.parse::<i32>().map(Value::from).map_err(|_| refused()),
        Some(Shape::Integer64) => text.parse::<i64>().map(Value::from).map_err(|_| refused()),
        None | Some(Shape::Number | Shape::Any) => {
            if let Ok(whole) = text.parse::<i64>() {
                return Ok(whole.into());
            }
            let float: f64 = text.parse().map_err(|_| refused())?;
            if float.fract() == 0.0 && float.abs() < 9.0e15 {
                return Ok((float as i64).into());
            }
            Number::from_f64(float).map(Value::Number).ok_or_else(refused)
        }
        Some(_) => Err("number".to_owned()),
    }
}

/// Base64 as Go reads it: line breaks are skipped, padding is required. The error names the first bad byte.
pub(super) fn base64(text: &str) -> Result<String, String> {
    use base64::engine::general_purpose::STANDARD;
    let clean: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match STANDARD.decode(&clean) {
        Ok(bytes) => Ok(STANDARD.encode(bytes)),
        Err(_) => Err(format!("illegal base64 data at input byte {}", first_bad_byte(text.as_bytes()))),
    }
}

/// Where Go's decoder stops: at a byte outside the alphabet, or at the start of an incomplete last group.
fn first_bad_byte(text: &[u8]) -> usize {
    let mut in_group = 0;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\r' | b'\n' => {}
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => in_group = (in_group + 1) % 4,
            b'=' if in_group >= 2 => {
                let needed = 4 - in_group;
                let rest: Vec<usize> = (at..text.len()).filter(|&i| !matches!(text[i], b'\r' | b'\n')).collect();
                let padding = rest.iter().take_while(|&&i| text[i] == b'=').count();
                return if padding < needed {
                    rest.get(padding).copied().unwrap_or(text.len())
                } else {
                    rest.get(needed).copied().unwrap_or(at)
                };
            }
            _ => return at,
        }
        at += 1;
    }
    text.len() - in_group
}

pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

pub(super) fn zero(shape: Shape) -> Value {
    match shape {
        Shape::String | Shape::Bytes => "".into(),
        Shape::Quantity => "0".into(),
        Shape::Integer32 | Shape::Integer64 | Shape::Number | Shape::IntOrString => 0.into(),
        Shape::Boolean => false.into(),
        Shape::Object => Value::Object(serde_json::Map::new()),
        Shape::Time | Shape::MicroTime | Shape::List | Shape::Map | Shape::Any => Value::Null,
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The name upstream's error gives the type. Unlike Kubernetes: named strings (`v1.Protocol`) are called `string`,
/// because the definitions do not have their names.
pub(super) fn go_type(node: Node<'_>) -> String {
    match node.shape() {
        Shape::List => format!("[]{}", node.items().map(go_type).unwrap_or_default()),
        Shape::Map => format!("map[string]{}", node.values().map(go_type).unwrap_or_default()),
        Shape::String => "string".to_owned(),
        Shape::Integer32 => "int32".to_owned(),
        Shape::Integer64 => "int64".to_owned(),
        Shape::Number => "float64".to_owned(),
        Shape::Boolean => "bool".to_owned(),
        Shape::Bytes => "[]uint8".to_owned(),
        Shape::Quantity => "resource.Quantity".to_owned(),
        Shape::IntOrString => "intstr.IntOrString".to_owned(),
        Shape::Time => "v1.Time".to_owned(),
        Shape::MicroTime => "v1.MicroTime".to_owned(),
        Shape::Object | Shape::Any => {
            let name = node.definition().map_or("", |d| d.name());
            let mut parts = name.rsplit('.');
            match (parts.next(), parts.next()) {
                (Some(name), Some(package)) => format!("{package}.{name}"),
                _ => "map[string]interface {}".to_owned(),
            }
        }
    }
}
