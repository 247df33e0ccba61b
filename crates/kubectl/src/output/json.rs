//! JSON as Go writes it: keys sorted, four blanks, and HTML's characters escaped.

use serde::Serialize;
use serde_json::{Value, ser::PrettyFormatter};

pub(super) fn pretty(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    value.serialize(&mut serializer).expect("a tree can be written to memory");
    format!("{}\n", escape(&String::from_utf8_lossy(&bytes)))
}

pub(super) fn compact(value: &Value) -> String {
    escape(&value.to_string())
}

/// These stand only in strings, so the text can be replaced as a whole.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn is_written_as_go_writes_it() {
        let value = json!({"b": "<a&b>", "a": [1, {}], "c": []});
        let expect = "{\n    \"a\": [\n        1,\n        {}\n    ],\n    \"b\": \"\\u003ca\\u0026b\\u003e\",\n    \"c\": []\n}\n";
        assert_eq!(pretty(&value), expect);
    }
}
