//! From a template and an object to values.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Operand, Operator, Part, Step, text_of};

type Evaluated<T> = Result<T, String>;

pub(super) fn print(parts: &[Part], root: &Value, at: &Value, out: &mut String) -> Evaluated<()> {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(steps) => {
                let found: Vec<String> = find(steps, root, at)?.into_iter().map(text_of).collect();
                out.push_str(&found.join(" "));
            }
            Part::Range { over, body } => {
                for item in find(over, root, at)? {
                    print(body, root, item, out)?;
                }
            }
        }
    }
    Ok(())
}

pub(super) fn collect(parts: &[Part], root: &Value, at: &Value, found: &mut Vec<Value>) -> Evaluated<()> {
    for part in parts {
        match part {
            Part::Text(_) => {}
            Part::Path(steps) => found.extend(find(steps, root, at)?.into_iter().cloned()),
            Part::Range { over, body } => {
                for item in find(over, root, at)? {
                    collect(body, root, item, found)?;
                }
            }
        }
    }
    Ok(())
}

fn find<'v>(steps: &[Step], root: &'v Value, at: &'v Value) -> Evaluated<Vec<&'v Value>> {
    let mut values = vec![at];
    for (place, step) in steps.iter().enumerate() {
        let after_recursive = place > 0 && steps[place - 1] == Step::Recursive;
        values = one_step(step, root, values, after_recursive)?;
    }
    Ok(values)
}

fn one_step<'v>(step: &Step, root: &'v Value, values: Vec<&'v Value>, lenient: bool) -> Evaluated<Vec<&'v Value>> {
    let mut found = Vec::new();
    match step {
        Step::Root => found.push(root),
        Step::Field(name) => found.extend(values.into_iter().filter_map(|v| v.get(name))),
        Step::Wildcard => {
            for value in values {
                match value {
                    Value::Array(items) => found.extend(items),
                    Value::Object(map) => found.extend(map.values()),
                    _ => {}
                }
            }
        }
        Step::Recursive => values.into_iter().for_each(|value| descend(value, &mut found)),
        Step::Slice { start, end, step } => {
            for value in values {
                match value {
                    Value::Array(items) => found.extend(slice(items, *start, *end, *step)?),
                    Value::Null => {}
                    _ if lenient => {}
                    other => return Err(format!("{} is not array or slice", text_of(other))),
                }
            }
        }
        Step::Union(all) => {
            for steps in all {
                for value in &values {
                    found.extend(find(steps, root, value)?);
                }
            }
        }
        Step::Filter { left, operator, right } => {
            for value in values {
                let Value::Array(items) = value else { continue };
                for item in items {
                    if holds(left, *operator, right, root, item)? {
                        found.push(item);
                    }
                }
            }
        }
    }
    Ok(found)
}

/// The value and everything below it.
fn descend<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Array(items) => {
            found.push(value);
            items.iter().for_each(|item| descend(item, found));
        }
        Value::Object(map) => {
            found.push(value);
            map.values().for_each(|item| descend(item, found));
        }
        _ => {}
    }
}

fn slice(items: &[Value], start: Option<i64>, end: Option<i64>, step: Option<i64>) -> Evaluated<Vec<&Value>> {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let from_end = |n: i64| if n < 0 { n + length } else { n };
    let (start, stop) = (from_end(start.unwrap_or(0)), from_end(end.unwrap_or(length)));
    let is_index = end == Some(start + 1) || end.is_none() && start == length - 1;
    if is_index && (start < 0 || start >= length) && length > 0 {
        return Err(format!("array index out of bounds: index {start}, length {length}"));
    }
    let step = step.unwrap_or(1);
    if step <= 0 {
        return Err("step must be > 0".to_owned());
    }
    let range = start.max(0)..stop.min(length);
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    Ok(range.step_by(step).filter_map(|at| items.get(usize::try_from(at).ok()?)).collect())
}

fn holds(left: &Operand, operator: Operator, right: &Operand, root: &Value, item: &Value) -> Evaluated<bool> {
    let values = |operand: &Operand| -> Evaluated<Vec<Value>> {
        Ok(match operand {
            Operand::Path(steps) => find(steps, root, item)?.into_iter().cloned().collect(),
            Operand::Constant(value) => vec![value.clone()],
            Operand::None => Vec::new(),
        })
    };
    let left = values(left)?;
    if operator == Operator::Exists {
        return Ok(!left.is_empty());
    }
    let right = values(right)?;
    let (Some(left), Some(right)) = (left.first(), right.first()) else { return Ok(false) };
    let order = match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (a, b) => (a == b).then_some(Ordering::Equal),
    };
    Ok(match operator {
        Operator::Exists => true,
        Operator::Equal => order == Some(Ordering::Equal),
        Operator::NotEqual => order != Some(Ordering::Equal),
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessOrEqual => order.is_some_and(Ordering::is_le),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
    })
}
