//! YAML as kubectl writes it: keys sorted, lists not indented, quotes only where YAML 1.1 would read something else,
//! long texts folded.

use serde_json::Value;

/// A line is broken at the first blank beyond this column.
const FOLD_AT: usize = 80;
const STEP: usize = 2;

pub(super) fn document(value: &Value) -> String {
    let mut writer = Writer::default();
    match value {
        Value::Object(map) if !map.is_empty() => writer.map(map, 0),
        Value::Array(items) if !items.is_empty() => writer.list(items, 0),
        other => {
            writer.scalar(other, STEP, false);
            writer.text.push('\n');
        }
    }
    writer.text
}

#[derive(Default)]
struct Writer {
    text: String,
}

impl Writer {
    fn column(&self) -> usize {
        self.text.chars().rev().take_while(|c| *c != '\n').count()
    }

    fn indent(&mut self, by: usize) {
        self.text.extend(std::iter::repeat_n(' ', by));
    }

    /// The first line is indented already by whoever wrote the dash before it.
    fn map(&mut self, map: &serde_json::Map<String, Value>, indent: usize) {
        let mut keys: Vec<&String> = map.keys().collect();
        keys.sort_by(|a, b| natural(a, b));
        for (place, key) in keys.into_iter().enumerate() {
            if place > 0 {
                self.indent(indent);
            }
            self.scalar(&Value::String(key.clone()), indent, true);
            self.text.push(':');
            self.value(&map[key], indent);
        }
    }

    /// What stands behind a key.
    fn value(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                self.text.push('\n');
                self.indent(indent + STEP);
                self.map(map, indent + STEP);
            }
            Value::Array(items) if !items.is_empty() => {
                self.text.push('\n');
                self.indent(indent);
                self.list(items, indent);
            }
            other => {
                self.text.push(' ');
                self.scalar(other, indent + STEP, false);
                self.text.push('\n');
            }
        }
    }

    fn list(&mut self, items: &[Value], indent: usize) {
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.indent(indent);
            }
            self.text.push_str("- ");
            match item {
                Value::Object(map) if !map.is_empty() => self.map(map, indent + STEP),
                Value::Array(items) if !items.is_empty() => self.list(items, indent + STEP),
                other => {
                    self.scalar(other, indent + STEP, false);
                    self.text.push('\n');
                }
            }
        }
    }

    /// Without a line's end. Continuation lines are indented by `indent`.
    fn scalar(&mut self, value: &Value, indent: usize, is_key: bool) {
        match value {
            Value::String(text) => self.string(text, indent, is_key),
            Value::Object(_) => self.text.push_str("{}"),
            Value::Array(_) => self.text.push_str("[]"),
            other => self.text.push_str(&other.to_string()),
        }
    }

    fn string(&mut self, text: &str, indent: usize, is_key: bool) {
        let allowed = Allowed::of(text);
        if text.contains('\n') && !is_key && allowed.block {
            return self.literal(text, indent);
        }
        let reads_as_text = !text.contains('\n') && is_text(text);
        if reads_as_text && allowed.plain && !text.is_empty() {
            self.folded(text, indent, is_key, |c, out| out.push(c), false);
        } else if reads_as_text && allowed.single {
            self.text.push('\'');
            let quote = |c: char, out: &mut String| if c == '\'' { out.push_str("''") } else { out.push(c) };
            self.folded(text, indent, is_key, quote, true);
            self.text.push('\'');
        } else {
            self.double_quoted(text, indent, is_key);
        }
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.text.push('|');
        if text.starts_with([' ', '\n']) {
            self.text.push_str(&STEP.to_string());
        }
        match (text.ends_with('\n'), text == "\n" || text.ends_with("\n\n")) {
            (false, _) => self.text.push('-'),
            (true, true) => self.text.push('+'),
            (true, false) => {}
        }
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            self.text.push('\n');
            if !line.is_empty() {
                self.indent(indent);
                self.text.push_str(line);
            }
        }
    }

    /// Writes the text, breaking lines at single blanks beyond the fold.
    fn folded(&mut self, text: &str, indent: usize, is_key: bool, put: impl Fn(char, &mut String), quoted: bool) {
        let chars: Vec<char> = text.chars().collect();
        let mut column = self.column();
        let mut after_blank = false;
        for (place, &c) in chars.iter().enumerate() {
            let inside = !quoted || (place > 0 && place + 1 < chars.len());
            let next_is_blank = chars.get(place + 1) == Some(&' ');
            if c == ' ' && !is_key && !after_blank && column > FOLD_AT && inside && !next_is_blank {
                self.text.push('\n');
                self.indent(indent);
                column = indent;
            } else {
                let before = self.text.len();
                put(c, &mut self.text);
                column += self.text[before..].chars().count();
            }
            after_blank = c == ' ';
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, is_key: bool) {
        self.text.push('"');
        let chars: Vec<char> = text.chars().collect();
        let mut column = self.column();
        let mut after_blank = false;
        for (place, &c) in chars.iter().enumerate() {
            if c == ' ' && !is_key && !after_blank && column > FOLD_AT && place > 0 && place + 1 < chars.len() {
                self.text.push('\n');
                self.indent(indent);
                column = indent;
                if chars.get(place + 1) == Some(&' ') {
                    self.text.push('\\');
                    column += 1;
                }
                after_blank = true;
                continue;
            }
            let before = self.text.len();
            escaped(c, &mut self.text);
            column += self.text[before..].chars().count();
            after_blank = c == ' ';
        }
        self.text.push('"');
    }
}

fn escaped(c: char, out: &mut String) {
    let short = match c {
        '\0' => "\\0",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\u{b}' => "\\v",
        '\u{c}' => "\\f",
        '\r' => "\\r",
        '\u{1b}' => "\\e",
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{85}' => "\\N",
        '\u{a0}' => "\\_",
        '\u{2028}' => "\\L",
        '\u{2029}' => "\\P",
        c if is_printable(c) && c != '\u{feff}' => return out.push(c),
        c => {
            let code = u32::from(c);
            let text = match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            };
            return out.push_str(&text);
        }
    };
    out.push_str(short);
}

fn is_printable(c: char) -> bool {
    matches!(u32::from(c), 0x0a | 0x20..=0x7e | 0xa0..=0xd7ff | 0xe000..=0xfefe | 0xff00..=0xfffd)
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Which styles can hold a text so that it reads back the same.
struct Allowed {
    plain: bool,
    single: bool,
    block: bool,
}

impl Allowed {
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut breaks, mut break_blank, mut blank_break) = (false, false, false, false);
        let ends_word = |c: Option<&char>| c.is_none_or(|c| matches!(c, ' ' | '\t') || is_break(*c));
        let edge = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
        for (place, &c) in chars.iter().enumerate() {
            let next_ends = ends_word(chars.get(place + 1));
            let previous = place.checked_sub(1).map(|p| chars[p]);
            indicators |= match (place, c) {
                (0, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`') => {
                    true
                }
                (0, '?' | ':' | '-') => next_ends,
                (_, ':') => next_ends,
                (_, '#') => ends_word(previous.as_ref()),
                _ => false,
            };
            special |= !is_printable(c);
            if is_break(c) {
                breaks = true;
                blank_break |= previous == Some(' ');
            }
            break_blank |= c == ' ' && previous.is_some_and(is_break);
        }
        let edges = edge(chars.first()) || edge(chars.last());
        let trailing_blank = chars.last() == Some(&' ');
        let unquotable = blank_break || special;
        Self {
            plain: !(indicators || edges || breaks || break_blank || unquotable),
            single: !(break_blank || unquotable),
            block: !(trailing_blank || unquotable),
        }
    }
}

/// Whether YAML 1.1 reads these characters as a text, not as a number, a truth value, a time or nothing.
fn is_text(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "", "~", "null", "Null", "NULL", "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "true", "True",
        "TRUE", "false", "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF", ".nan", ".NaN", ".NAN", ".inf",
        ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", "<<",
    ];
    !(WORDS.contains(&text) || is_number(text) || is_base_60(text) || is_time(text))
}

fn is_number(text: &str) -> bool {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return false;
    }
    let plain = text.replace('_', "");
    let bare = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let all = |digits: &str, radix: u32| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    let prefixed =
        |prefixes: [&str; 2], radix| prefixes.iter().any(|p| bare.strip_prefix(p).is_some_and(|d| all(d, radix)));
    if prefixed(["0x", "0X"], 16) || prefixed(["0o", "0O"], 8) || prefixed(["0b", "0B"], 2) {
        return true;
    }
    let (mantissa, exponent) = match bare.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (bare, None),
    };
    let exponent_fits = exponent.is_none_or(|e| all(e.strip_prefix(['+', '-']).unwrap_or(e), 10));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |d: &str| d.chars().all(|c| c.is_ascii_digit());
    exponent_fits && digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty())
}

/// `12:30:45` was a number once, and is quoted for readers to whom it still is.
fn is_base_60(text: &str) -> bool {
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = bare.split(':');
    let first = parts.next().unwrap_or_default();
    let starts = first.starts_with(|c: char| c.is_ascii_digit());
    if !starts || !first.chars().all(|c| c.is_ascii_digit() || c == '_') || !bare.contains(':') {
        return false;
    }
    let rest: Vec<&str> = parts.collect();
    rest.iter().enumerate().all(|(place, part)| {
        let (whole, fraction) = match part.split_once('.') {
            Some((whole, fraction)) if place + 1 == rest.len() => (whole, fraction),
            Some(_) => return false,
            None => (*part, ""),
        };
        let minute = match whole.as_bytes() {
            [d] => d.is_ascii_digit(),
            [t, d] => (b'0'..=b'5').contains(t) && d.is_ascii_digit(),
            _ => false,
        };
        minute && fraction.chars().all(|c| c.is_ascii_digit() || c == '_')
    })
}

/// Dates, and times behind them, as YAML 1.1 has them.
fn is_time(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>, max: u32| {
        digits.contains(&text.len()) && text.parse::<u32>().is_ok_and(|n| n >= 1 && n <= max)
    };
    let [year, month, day] = parts.as_slice() else { return false };
    if year.len() != 4
        || !year.chars().all(|c| c.is_ascii_digit())
        || !number(month, 1..=2, 12)
        || !number(day, 1..=2, 31)
    {
        return false;
    }
    let Some(time) = time else { return true };
    let zoned = !time.starts_with(' ');
    let clock = &time[1..];
    let end = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(end);
    let clock: Vec<&str> = clock.split(':').collect();
    let two = |text: &str| (1..=2).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit());
    let [hour, minute, second] = clock.as_slice() else { return false };
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let zone_fits = match (zoned, zone) {
        (true, "Z") => true,
        (true, zone) => zone.len() == 6 && zone.as_bytes()[3] == b':',
        (false, zone) => zone.is_empty(),
    };
    let digits = !fraction.is_empty() && fraction.chars().all(|c| c.is_ascii_digit());
    two(hour) && two(minute) && two(second) && digits && zone_fits
}

/// The order of keys: runs of digits by their number; a letter comes after other characters, but first behind digits.
fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut digits = false;
    for place in 0..a.len().min(b.len()) {
        let (x, y) = (a[place], b[place]);
        if x == y {
            digits = x.is_ascii_digit();
            continue;
        }
        return match (x.is_alphabetic(), y.is_alphabetic()) {
            (true, true) => x.cmp(&y),
            (false, false) => numbers(&a, &b, place),
            (x_is_letter, _) if x_is_letter == digits => Ordering::Less,
            _ => Ordering::Greater,
        };
    }
    a.len().cmp(&b.len())
}

/// Neither is a letter at `place`: by the numbers that stand there, then by their lengths.
fn numbers(a: &[char], b: &[char], place: usize) -> std::cmp::Ordering {
    let inside = a[..place].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let lead = u64::from(inside && (a[place] == '0' || b[place] == '0'));
    let run = |text: &[char]| {
        let digits = text[place..].iter().map_while(|c| c.to_digit(10));
        digits.fold((lead, 0_usize), |(n, length), d| (n.wrapping_mul(10).wrapping_add(d.into()), length + 1))
    };
    run(a).cmp(&run(b)).then(a[place].cmp(&b[place]))
}
