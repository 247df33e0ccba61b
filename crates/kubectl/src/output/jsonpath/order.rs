//! The order of values for `--sort-by`: numbers and quantities by size, texts in natural order, none first.

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
            _ => natural(a, b),
        },
        _ => Ordering::Equal,
    }
}

/// Runs of digits compare as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.chars().peekable(), b.chars().peekable());
    loop {
        let (Some(x), Some(y)) = (a.peek().copied(), b.peek().copied()) else {
            return a.count().cmp(&b.count());
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
                let mut digits = String::new();
                while let Some(d) = chars.next_if(char::is_ascii_digit) {
                    digits.push(d);
                }
                let bare = digits.trim_start_matches('0').to_owned();
                (bare.len(), bare, digits.len())
            };
            match number(&mut a).cmp(&number(&mut b)) {
                Ordering::Equal => {}
                other => return other,
            }
        } else if x != y {
            return x.cmp(&y);
        } else {
            a.next();
            b.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_in_texts_count_as_numbers() {
        let less = |a: Value, b: Value| assert_eq!(compare(&[a], &[b]), Ordering::Less);
        less(json!("web-2"), json!("web-10"));
        less(json!("500m"), json!("1"));
        less(json!(9), json!(10));
        assert_eq!(compare(&[], &[json!("")]), Ordering::Less);
    }
}
