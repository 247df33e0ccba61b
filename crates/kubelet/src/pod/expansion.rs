//! `$(NAME)` in commands, arguments and environment values.

/// Replaces references `lookup` knows; unknown ones stay as written, and `$$` is a dollar sign.
pub(crate) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|a| a.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(&value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// Like [`expand`], but an unknown reference is an error naming it: a path must not be half made.
pub(crate) fn expand_strict(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, Vec<String>> {
    let missing = std::cell::RefCell::new(Vec::new());
    let out = expand(text, &|name| {
        let found = lookup(name);
        if found.is_none() {
            missing.borrow_mut().push(name.to_owned());
        }
        found
    });
    let missing = missing.into_inner();
    if missing.is_empty() { Ok(out) } else { Err(missing) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let lookup = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "E" => Some(String::new()),
            _ => None,
        };
        for (text, expanded) in [
            ("$(A)", "a"),
            ("x$(A)y$(A)", "xaya"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$a"),
            ("$(B)", "$(B)"),
            ("$(E)", ""),
            ("$A $", "$A $"),
            ("$(A", "$(A"),
            ("$()", "$()"),
            ("${A}", "${A}"),
        ] {
            assert_eq!(expand(text, &lookup), expanded, "{text}");
        }
        assert_eq!(expand_strict("$(A)/$(B)", &lookup), Err(vec!["B".to_owned()]));
    }
}
