//! RFC 3339 as Go's `time.Parse` reads it, with its words for what is wrong.

const SECONDS_LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const MICROS_LAYOUT: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Canonical `metav1.Time`: UTC, whole seconds.
pub(super) fn time(text: &str) -> Result<String, String> {
    let parsed = Reader::new(text, SECONDS_LAYOUT).read()?;
    let (date, clock) = parsed.utc();
    Ok(format!("{date}T{clock}Z"))
}

/// Canonical `metav1.MicroTime`: UTC, six decimals.
pub(super) fn micro_time(text: &str) -> Result<String, String> {
    let parsed = Reader::new(text, MICROS_LAYOUT).read()?;
    let (date, clock) = parsed.utc();
    Ok(format!("{date}T{clock}.{:06}Z", parsed.micros))
}

struct Moment {
    year: i64,
    month: i64,
    day: i64,
    second_of_day: i64,
    micros: u32,
    /// East of UTC.
    offset_seconds: i64,
}

impl Moment {
    fn utc(&self) -> (String, String) {
        let seconds = self.second_of_day - self.offset_seconds;
        let days = days_from_civil(self.year, self.month, self.day) + seconds.div_euclid(86_400);
        let second = seconds.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        let clock = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
        (format!("{year:04}-{month:02}-{day:02}"), clock)
    }
}

struct Reader<'s> {
    whole: &'s str,
    rest: &'s str,
    layout: &'static str,
}

impl<'s> Reader<'s> {
    fn new(text: &'s str, layout: &'static str) -> Self {
        Self { whole: text, rest: text, layout }
    }

    fn read(mut self) -> Result<Moment, String> {
        let year = self.digits(4, "2006")?;
        self.exactly("-")?;
        let month = self.digits(2, "01")?;
        self.in_range((1..=12).contains(&month), "month")?;
        self.exactly("-")?;
        let day = self.digits(2, "02")?;
        self.exactly("T")?;
        let hour = self.hour()?;
        self.in_range(hour < 24, "hour")?;
        self.exactly(":")?;
        let minute = self.digits(2, "04")?;
        self.in_range(minute < 60, "minute")?;
        self.exactly(":")?;
        let second = self.digits(2, "05")?;
        self.in_range(second < 60, "second")?;
        let micros = self.fraction()?;
        let offset_seconds = self.zone()?;
        if !self.rest.is_empty() {
            return Err(format!("parsing time {}: extra text: {}", quote(self.whole), quote(self.rest)));
        }
        self.in_range(day >= 1 && day <= days_in(year, month), "day")?;
        Ok(Moment { year, month, day, second_of_day: hour * 3600 + minute * 60 + second, micros, offset_seconds })
    }

    fn cannot(&self, rest: &str, element: &str) -> String {
        format!(
            "parsing time {} as {}: cannot parse {} as {}",
            quote(self.whole),
            quote(self.layout),
            quote(rest),
            quote(element)
        )
    }

    fn in_range(&self, holds: bool, what: &str) -> Result<(), String> {
        if holds { Ok(()) } else { Err(format!("parsing time {}: {what} out of range", quote(self.whole))) }
    }

    fn digits(&mut self, count: usize, element: &str) -> Result<i64, String> {
        match self.rest.get(..count) {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                self.rest = &self.rest[count..];
                Ok(digits.bytes().fold(0, |n, b| n * 10 + i64::from(b - b'0')))
            }
            _ => Err(self.cannot(self.rest, element)),
        }
    }

    /// Go takes an hour of one digit as well.
    fn hour(&mut self) -> Result<i64, String> {
        let two = self.rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
        self.digits(two.max(1), "15")
    }

    fn exactly(&mut self, separator: &str) -> Result<(), String> {
        match self.rest.strip_prefix(separator) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(self.cannot(self.rest, separator)),
        }
    }

    /// Micro seconds: six digits where the layout has them, any number of digits where it has none.
    fn fraction(&mut self) -> Result<u32, String> {
        let rest = self.rest;
        let digits = match rest.strip_prefix(['.', ',']) {
            Some(after) => after.bytes().take_while(u8::is_ascii_digit).count(),
            None => 0,
        };
        let exact = self.layout == MICROS_LAYOUT;
        if exact && (digits < 6 || !rest.starts_with('.')) {
            return Err(self.cannot(rest, ".000000"));
        }
        if digits == 0 {
            return Ok(0);
        }
        let taken = if exact { 6 } else { digits };
        self.rest = &rest[1 + taken..];
        let micros = rest[1..].bytes().take(taken).take(6);
        let count = taken.min(6) as u32;
        Ok(micros.fold(0, |n, b| n * 10 + u32::from(b - b'0')) * 10_u32.pow(6 - count))
    }

    fn zone(&mut self) -> Result<i64, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let zone = self.rest.get(..6).map(str::as_bytes);
        let Some(&[sign @ (b'+' | b'-'), h1, h2, b':', m1, m2]) = zone else {
            return Err(self.cannot(self.rest, "Z07:00"));
        };
        if ![h1, h2, m1, m2].iter().all(u8::is_ascii_digit) {
            return Err(self.cannot(self.rest, "Z07:00"));
        }
        let two = |a: u8, b: u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
        let (hours, minutes) = (two(h1, h2), two(m1, m2));
        self.in_range(hours <= 24, "time zone offset hour")?;
        self.in_range(minutes < 60, "time zone offset minute")?;
        self.rest = &self.rest[6..];
        let offset = hours * 3600 + minutes * 60;
        Ok(if sign == b'-' { -offset } else { offset })
    }
}

/// As Go's time package quotes: no escapes but of quotes and backslashes, and of bytes beyond ASCII.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            _ => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    out.push_str(&format!("\\x{byte:02x}"));
                }
            }
        }
    }
    out.push('"');
    out
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a day in the proleptic Gregorian calendar, counted in years that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}
