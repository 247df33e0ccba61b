//! Metadata read from encoded bytes without building a tree: what selectors ask, and where the resource version is.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;

/// What the beginning of an encoded object says.
#[derive(Debug, Default)]
pub(crate) struct Header<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) namespace: Cow<'a, str>,
    pub(crate) uid: Cow<'a, str>,
    pub(crate) labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Where the digits of the resource version stand.
    pub(crate) version: Range<usize>,
}

impl<'a> Header<'a> {
    /// Reads the header of bytes this server encoded. Empty for bytes that are no object.
    pub(crate) fn read(bytes: &'a [u8]) -> Self {
        let mut header = Self::default();
        let mut scan = Scan { bytes, at: 0 };
        if scan.find("metadata").is_some() {
            header.metadata(&mut scan);
        }
        header
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_ref())
    }

    fn metadata(&mut self, scan: &mut Scan<'a>) -> Option<()> {
        scan.open(b'{')?;
        while let Some(name) = scan.next_name() {
            match name.as_ref() {
                "name" => self.name = scan.string()?,
                "namespace" => self.namespace = scan.string()?,
                "uid" => self.uid = scan.string()?,
                "resourceVersion" => {
                    let start = scan.at + 1;
                    scan.string()?;
                    self.version = start..scan.at - 1;
                }
                "labels" => self.labels(scan)?,
                // Everything wanted stands before it.
                "managedFields" => return Some(()),
                _ => scan.skip()?,
            }
        }
        Some(())
    }

    fn labels(&mut self, scan: &mut Scan<'a>) -> Option<()> {
        scan.open(b'{')?;
        while let Some(key) = scan.next_name() {
            let value = scan.string()?;
            self.labels.push((key, value));
        }
        Some(())
    }
}

/// The same object with another resource version.
pub(crate) fn restamp(bytes: &Bytes, revision: u64) -> Bytes {
    let range = Header::read(bytes).version;
    if range.is_empty() {
        return bytes.clone();
    }
    let digits = revision.to_string();
    Bytes::from([&bytes[..range.start], digits.as_bytes(), &bytes[range.end..]].concat())
}

/// The same object without a resource version. What has none stays as it is.
pub(crate) fn without_version(bytes: &[u8]) -> Bytes {
    const FIELD: &[u8] = b"\"resourceVersion\":\"";
    let digits = Header::read(bytes).version;
    let (Some(start), true) = (digits.start.checked_sub(FIELD.len()), digits.end > 0) else {
        return Bytes::copy_from_slice(bytes);
    };
    let (before, after) = (&bytes[..start], &bytes[digits.end + 1..]);
    // One comma goes with it: the one before, or where it is the first field the one after.
    let (before, after) = match (before.strip_suffix(b","), after.strip_prefix(b",")) {
        (Some(before), _) => (before, after),
        (None, Some(after)) => (before, after),
        (None, None) => (before, after),
    };
    if &bytes[start..digits.start] != FIELD {
        return Bytes::copy_from_slice(bytes);
    }
    Bytes::from([before, after].concat())
}

/// The text at a path of names, if there is a string. Used for fields that are asked for every object of a list.
pub(crate) fn text_at<'a>(bytes: &'a [u8], path: &str) -> Option<Cow<'a, str>> {
    let mut scan = Scan { bytes, at: 0 };
    for name in path.split('.') {
        scan.find(name)?;
    }
    (scan.peek()? == b'"').then(|| scan.string())?
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn open(&mut self, bracket: u8) -> Option<()> {
        (self.peek()? == bracket).then(|| self.at += 1)
    }

    /// Goes to the value of a field of the object that starts here.
    fn find(&mut self, name: &str) -> Option<()> {
        self.open(b'{')?;
        while let Some(found) = self.next_name() {
            if found == name {
                return Some(());
            }
            self.skip()?;
        }
        None
    }

    /// The next field of the object we are in; `None` after the last.
    fn next_name(&mut self) -> Option<Cow<'a, str>> {
        if self.peek()? == b',' {
            self.at += 1;
        }
        if self.peek()? == b'}' {
            self.at += 1;
            return None;
        }
        let name = self.string()?;
        (self.peek()? == b':').then(|| self.at += 1)?;
        Some(name)
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = {
            self.peek()?;
            self.at
        };
        let escaped = self.skip_string()?;
        let text = &self.bytes[start..self.at];
        if escaped {
            return serde_json::from_slice::<String>(text).ok().map(Cow::Owned);
        }
        std::str::from_utf8(&text[1..text.len() - 1]).ok().map(Cow::Borrowed)
    }

    /// Goes past a string, and says whether it has escapes.
    fn skip_string(&mut self) -> Option<bool> {
        self.open(b'"')?;
        let mut escaped = false;
        loop {
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(escaped);
                }
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
    }

    /// Goes past a value.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.skip_string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    while !matches!(self.bytes.get(self.at)?, b',' | b'}' | b']') {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const POD: &str = r#"{"kind":"Pod","metadata":{"name":"a","annotations":{"x":"{\"}"},"resourceVersion":"12",
        "labels":{"a":"b","q":"\"z"},"n":[1,{"a":[true,null]},-2.5e3],"uid":"u"},"spec":{"list":[],"nodeName":"n1"}}"#;

    #[test]
    fn reads_what_is_there() {
        let header = Header::read(POD.as_bytes());
        assert_eq!((&*header.name, &*header.namespace, &*header.uid), ("a", "", "u"));
        assert_eq!((header.label("a"), header.label("q"), header.label("z")), (Some("b"), Some("\"z"), None));
        assert_eq!(&POD[header.version], "12");
        assert_eq!(text_at(POD.as_bytes(), "spec.nodeName").unwrap(), "n1");
        assert_eq!(text_at(POD.as_bytes(), "spec.list"), None);
        assert_eq!(text_at(POD.as_bytes(), "spec.none"), None);
    }

    #[test]
    fn restamps() {
        let stamped = restamp(&Bytes::from_static(POD.as_bytes()), 345);
        assert_eq!(stamped, POD.replace("\"12\"", "\"345\""));
    }

    #[test]
    fn takes_the_version_out() {
        let out = |text: &str| String::from_utf8(without_version(text.as_bytes()).to_vec()).unwrap();
        let version = r#""resourceVersion":"12""#;
        for (before, after) in [(r#""name":"a","#, r#","x":1"#), (r#""name":"a","#, ""), ("", r#","x":1"#), ("", "")] {
            let with = format!(r#"{{"kind":"K","metadata":{{{before}{version}{after}}},"z":[]}}"#);
            let joint = format!("{before}{after}").replace(",,", ",");
            let joint = joint.trim_matches(',');
            assert_eq!(out(&with), format!(r#"{{"kind":"K","metadata":{{{joint}}},"z":[]}}"#));
            assert_eq!(out(&out(&with)), out(&with));
        }
        assert_eq!(out("raw"), "raw");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, cut in 0usize..400) {
            Header::read(&bytes);
            without_version(&bytes);
            without_version(&POD.as_bytes()[..cut.min(POD.len())]);
            Header::read(&POD.as_bytes()[..cut.min(POD.len())]);
        }
    }
}
