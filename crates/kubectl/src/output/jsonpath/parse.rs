//! From text to a template.

use serde_json::{Number, Value};

use super::{Operand, Operator, Part, Step};

type Parsed<T> = Result<T, String>;

pub(super) fn template(text: &str) -> Parsed<Vec<Part>> {
    let mut rest = text;
    let mut open: Vec<(Vec<Step>, Vec<Part>)> = Vec::new();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let Some(at) = rest.find('{') else {
            parts.push(Part::Text(rest.to_owned()));
            break;
        };
        if at > 0 {
            parts.push(Part::Text(rest[..at].to_owned()));
        }
        let end = closing(&rest[at + 1..]).ok_or("unclosed action")?;
        let action = rest[at + 1..at + 1 + end].trim();
        rest = &rest[at + end + 2..];
        if let Some(over) = action.strip_prefix("range").filter(|o| o.starts_with([' ', '.', '[', '$', '@'])) {
            open.push((path(over.trim())?, std::mem::take(&mut parts)));
        } else if action == "end" {
            let (over, before) = open.pop().ok_or("not in range, nothing to end")?;
            let body = std::mem::replace(&mut parts, before);
            parts.push(Part::Range { over, body });
        } else {
            actions(action, &mut parts)?;
        }
    }
    if open.is_empty() { Ok(parts) } else { Err("unterminated range, need an {end}".to_owned()) }
}

/// Where the brace closes that is open.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '}') => return Some(at),
            _ => {}
        }
    }
    None
}

/// What stands in one pair of braces: texts and paths.
fn actions(text: &str, parts: &mut Vec<Part>) -> Parsed<()> {
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            let (value, after) = quoted(rest)?;
            parts.push(Part::Text(value));
            rest = after.trim_start();
        } else {
            let (steps, after) = steps(rest)?;
            parts.push(Part::Path(steps));
            if after.len() == rest.len() {
                return Err(format!("unrecognized identifier {rest}"));
            }
            rest = after.trim_start();
        }
    }
    Ok(())
}

fn path(text: &str) -> Parsed<Vec<Step>> {
    match steps(text)? {
        (steps, rest) if rest.trim().is_empty() => Ok(steps),
        (_, rest) => Err(format!("unrecognized identifier {rest}")),
    }
}

/// A text in quotes, with Go's escapes, and what stands behind it.
fn quoted(text: &str) -> Parsed<(String, &str)> {
    let quote = text.chars().next().ok_or("empty")?;
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some('r') => value.push('\r'),
                Some(other) => value.push(other),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err("unterminated quoted string".to_owned())
}

fn steps(text: &str) -> Parsed<(Vec<Step>, &str)> {
    let mut steps = Vec::new();
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix("..") {
            steps.push(Step::Recursive);
            let (name, after) = name(after);
            match name.as_str() {
                "" => {}
                "*" => steps.push(Step::Wildcard),
                _ => steps.push(Step::Field(name)),
            }
            rest = after;
        } else if let Some(after) = rest.strip_prefix('.') {
            let (name, after) = name(after);
            match name.as_str() {
                "" => {}
                "*" => steps.push(Step::Wildcard),
                _ => steps.push(Step::Field(name)),
            }
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = bracket(after).ok_or("unterminated array")?;
            steps.push(inside(after[..end].trim())?);
            rest = &after[end + 1..];
        } else if let Some(after) = rest.strip_prefix('$') {
            steps.push(Step::Root);
            rest = after;
        } else if let Some(after) = rest.strip_prefix('@') {
            rest = after;
        } else {
            return Ok((steps, rest));
        }
    }
}

/// A field's name; a backslash lets it hold what would end it.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            name.push(c);
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if matches!(
            c,
            '.' | '[' | ']' | ' ' | '|' | '&' | '=' | '!' | '<' | '>' | ')' | ',' | '$' | '@' | '{' | '}'
        ) {
            return (name, &text[at..]);
        } else {
            name.push(c);
        }
    }
    (name, "")
}

/// Where the bracket closes that is open.
fn bracket(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// What stands in brackets: an index, a slice, names, several of these, or a filter.
fn inside(text: &str) -> Parsed<Step> {
    if text == "*" {
        return Ok(Step::Wildcard);
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
        return parse_filter(filter);
    }
    let mut all = Vec::new();
    for part in split_outside_quotes(text) {
        all.push(one_inside(part.trim())?);
    }
    match all.len() {
        0 => Err("invalid array index".to_owned()),
        1 if all[0].len() == 1 => Ok(all.remove(0).remove(0)),
        _ => Ok(Step::Union(all)),
    }
}

fn one_inside(text: &str) -> Parsed<Vec<Step>> {
    if text.starts_with(['\'', '"']) {
        let bare = text
            .strip_prefix(['\'', '"'])
            .and_then(|t| t.strip_suffix(['\'', '"']))
            .ok_or("unterminated quoted string")?;
        return Ok(steps(&format!(".{bare}"))?.0);
    }
    let number = |text: &str| -> Parsed<Option<i64>> {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| format!("invalid array index {text}"))
    };
    let parts: Vec<&str> = text.split(':').collect();
    let step = match parts.as_slice() {
        [index] => {
            let index = number(index)?.ok_or("invalid array index")?;
            // An index is a slice of one; the one before the end has none behind it.
            Step::Slice { start: Some(index), end: Some(index.wrapping_add(1)).filter(|_| index != -1), step: None }
        }
        [start, end] => Step::Slice { start: number(start)?, end: number(end)?, step: None },
        [start, end, step] => Step::Slice { start: number(start)?, end: number(end)?, step: number(step)? },
        _ => return Err(format!("invalid array index {text}")),
    };
    Ok(vec![step])
}

fn split_outside_quotes(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, ',') => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_filter(text: &str) -> Parsed<Step> {
    const OPERATORS: [(&str, Operator); 6] = [
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, _) => {
                if let Some((sign, operator)) = OPERATORS.iter().find(|(sign, _)| text[at..].starts_with(sign)) {
                    let (left, right) = (operand(&text[..at])?, operand(&text[at + sign.len()..])?);
                    return Ok(Step::Filter { left, operator: *operator, right });
                }
            }
        }
    }
    Ok(Step::Filter { left: operand(text)?, operator: Operator::Exists, right: Operand::None })
}

fn operand(text: &str) -> Parsed<Operand> {
    let text = text.trim();
    if text.starts_with(['"', '\'']) {
        return Ok(Operand::Constant(Value::String(quoted(text)?.0)));
    }
    if text.starts_with(['@', '$', '.']) {
        return Ok(Operand::Path(path(text)?));
    }
    let number = |text: &str| -> Option<Number> {
        text.parse::<i64>().map(Number::from).ok().or_else(|| Number::from_f64(text.parse().ok()?))
    };
    match text {
        "true" | "false" => Ok(Operand::Constant(Value::Bool(text == "true"))),
        _ => match number(text) {
            Some(number) => Ok(Operand::Constant(Value::Number(number))),
            None => Err(format!("unrecognized identifier {text}")),
        },
    }
}
