//! Reads the tokens of a JSON text, and says what is wrong with it in the words of Go's scanner.

use super::DecodeError;

/// How deep values may nest. Upstream allows 10,000 for lack of a stack to run out of; no kind comes near this.
pub const MAX_DEPTH: usize = 512;

pub(super) struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The text between two places. Only called on stretches that were scanned, which are UTF-8 but for the insides
    /// of strings; those are mended.
    pub(super) fn raw(&self, from: usize) -> String {
        String::from_utf8_lossy(&self.text[from..self.at]).into_owned()
    }

    /// The next byte that is not white space, without taking it.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    pub(super) fn take(&mut self) {
        self.at += 1;
    }

    /// The error that the next byte is not what `context` wants.
    pub(super) fn unexpected(&self, context: &str) -> DecodeError {
        DecodeError::Syntax(match self.text.get(self.at) {
            None => "unexpected end of JSON input".to_owned(),
            Some(&byte) => format!("invalid character {} {context}", quoted(byte)),
        })
    }

    pub(super) fn end(&mut self) -> Result<(), DecodeError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("after top-level value")),
        }
    }

    /// `true`, `false` or `null`; the first letter is known to be there.
    pub(super) fn literal(&mut self, word: &str) -> Result<(), DecodeError> {
        for (index, &byte) in word.as_bytes().iter().enumerate() {
            if self.text.get(self.at) != Some(&byte) {
                debug_assert!(index > 0);
                return Err(self.unexpected(&format!("in literal {word} (expecting '{}')", char::from(byte))));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// A number as it is written.
    pub(super) fn number(&mut self) -> Result<&'t str, DecodeError> {
        let start = self.at;
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.text.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.unexpected("in numeric literal")),
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        Ok(std::str::from_utf8(&self.text[start..self.at]).expect("a number is ASCII"))
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self, context: &str) -> Result<(), DecodeError> {
        let start = self.at;
        self.digits();
        if self.at == start { Err(self.unexpected(context)) } else { Ok(()) }
    }

    /// A string; the opening quote is known to be there. Bytes that are not UTF-8 become U+FFFD.
    pub(super) fn string(&mut self) -> Result<String, DecodeError> {
        self.at += 1;
        let mut plain = self.at;
        let mut out = Vec::new();
        loop {
            match self.text.get(self.at) {
                Some(b'"') if out.is_empty() => {
                    // The usual case: nothing escaped, and one copy.
                    let text = String::from_utf8_lossy(&self.text[plain..self.at]).into_owned();
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'"') => {
                    out.extend_from_slice(&self.text[plain..self.at]);
                    self.at += 1;
                    return Ok(
                        String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
                    );
                }
                Some(b'\\') => {
                    out.extend_from_slice(&self.text[plain..self.at]);
                    self.at += 1;
                    let c = self.escape()?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    plain = self.at;
                }
                Some(0x20..) => self.at += 1,
                _ => return Err(self.unexpected("in string literal")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, DecodeError> {
        let c = match self.text.get(self.at) {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(&c @ (b'\\' | b'/' | b'"')) => char::from(c),
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        Ok(c)
    }

    /// A `\u` escape, two of them if they are halves of one character. A half alone becomes U+FFFD.
    fn unicode(&mut self) -> Result<char, DecodeError> {
        let first = self.hexadecimal()?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        let after_first = self.at;
        if first < 0xdc00 && self.text.get(self.at..self.at + 2) == Some(b"\\u") {
            self.at += 2;
            let second = self.hexadecimal()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = after_first;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hexadecimal(&mut self) -> Result<u32, DecodeError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.text.get(self.at).and_then(|&b| char::from(b).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.unexpected("in \\u hexadecimal character escape"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0x9f => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}
