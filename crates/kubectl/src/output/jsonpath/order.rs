//! The order of values for `--sort-by`: numbers and quantities by size, texts by their characters, none first.

use std::cmp::Ordering;

use apimachinery::Quantity;
use serde_json::Value;

pub(crate) fn compare(a: &[Value], b: &[Value]) -> Ordering {
    match (a.first(), b.first()) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) => values(a, b),
    }
}

fn values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => match (a.parse::<Quantity>(), b.parse::<Quantity>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => a.cmp(b),
        },
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_count_by_size_and_texts_do_not() {
        let less = |a: Value, b: Value| assert_eq!(compare(&[a], &[b]), Ordering::Less);
        less(json!("web-10"), json!("web-2"));
        less(json!("500m"), json!("1"));
        less(json!(9), json!(10));
        assert_eq!(compare(&[], &[json!("")]), Ordering::Less);
    }
}
