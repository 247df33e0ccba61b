//! Amounts of resources (`resource.Quantity`): `100m`, `1.5Gi`, `2e3`. Exact to the nano unit, above which upstream
//! rounds up too.

use std::{cmp::Ordering, fmt, str::FromStr};

const NANO: i128 = 1_000_000_000;
/// Upstream caps amounts at the largest 64-bit integer.
const MAX_NANOS: i128 = i64::MAX as i128 * NANO;

/// The family of suffixes a quantity was written with, and is printed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    BinarySi,
    #[default]
    DecimalSi,
    DecimalExponent,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantityError {
    Format,
    Number,
    Suffix,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => {
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            }
            Self::Number => "unable to parse numeric part of quantity",
            Self::Suffix => "unable to parse quantity's suffix",
        })
    }
}

impl std::error::Error for QuantityError {}

impl Quantity {
    pub fn from_units(units: i64, format: Format) -> Self {
        Self { nanos: i128::from(units) * NANO, format }
    }

    pub fn from_milli(milli: i64) -> Self {
        Self { nanos: i128::from(milli) * (NANO / 1000), format: Format::DecimalSi }
    }

    /// Whole units, rounded up.
    pub fn units(&self) -> i64 {
        saturate(div_up(self.nanos, NANO))
    }

    /// Thousandths, rounded up; saturating.
    pub fn milli(&self) -> i64 {
        saturate(div_up(self.nanos, NANO / 1000))
    }

    /// Rounded up to thousandths of a unit, the finest grain of resources.
    pub fn rounded_up_to_milli(self) -> Self {
        const MILLI: i128 = NANO / 1000;
        Self { nanos: div_up(self.nanos, MILLI) * MILLI, ..self }
    }

    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// Whether there is no fraction of a unit.
    pub fn is_integer(&self) -> bool {
        self.nanos % NANO == 0
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// The sum, in the format of the first that is not zero.
    pub fn plus(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: (self.nanos + other.nanos).clamp(-MAX_NANOS, MAX_NANOS), format }
    }

    pub fn minus(self, other: Self) -> Self {
        self.plus(Self { nanos: -other.nanos, ..other })
    }
}

fn saturate(n: i128) -> i64 {
    n.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// Rounds away from zero, as upstream does.
fn div_up(n: i128, by: i128) -> i128 {
    let (quotient, rest) = (n / by, n % by);
    if rest == 0 { quotient } else { quotient + n.signum() }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let negative = text.starts_with('-');
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        if number.is_empty() || number.matches('.').count() > 1 || !number.contains(|c: char| c.is_ascii_digit()) {
            return Err(QuantityError::Format);
        }
        let (multiplier, exponent, format) = suffix_scale(suffix)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let nanos = scaled(whole, fraction, multiplier, exponent);
        Ok(Self { nanos: if negative { -nanos } else { nanos }, format })
    }
}

/// What a suffix multiplies by: a power of two times a power of ten.
fn suffix_scale(suffix: &str) -> Result<(i128, i32, Format), QuantityError> {
    let binary = |shift: u32| Ok((1_i128 << shift, 0, Format::BinarySi));
    let decimal = |exponent: i32| Ok((1, exponent, Format::DecimalSi));
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let digits = suffix.strip_prefix(['e', 'E']).ok_or_else(|| suffix_error(suffix))?;
            let exponent: i32 = digits.parse().map_err(|_| suffix_error(suffix))?;
            Ok((1, exponent, Format::DecimalExponent))
        }
    }
}

/// Characters no suffix has make the whole text no quantity.
fn suffix_error(suffix: &str) -> QuantityError {
    let letters = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let digits = letters.strip_prefix(['+', '-']).unwrap_or(letters);
    if digits.chars().all(|c| c.is_ascii_digit()) { QuantityError::Suffix } else { QuantityError::Format }
}

/// `whole.fraction × multiplier × 10^exponent` in nano units, rounded up, capped.
fn scaled(whole: &str, fraction: &str, multiplier: i128, exponent: i32) -> i128 {
    let digits: String = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    let scale = i64::from(exponent) + 9 - fraction.len() as i64;
    // 38 digits fill an i128; more whole digits than that exceed the cap, more fractional ones are rounded up.
    let kept = digits.len().min(28);
    let dropped = digits.len() - kept;
    let mut value: i128 = digits[..kept].parse().expect("28 digits fit");
    if dropped > 0 && digits[kept..].bytes().any(|b| b != b'0') {
        value += 1;
    }
    let Some(mut value) = value.checked_mul(multiplier) else { return MAX_NANOS };
    let scale = scale + dropped as i64;
    if scale >= 0 {
        for _ in 0..scale.min(60) {
            match value.checked_mul(10) {
                Some(v) => value = v,
                None => return MAX_NANOS,
            }
        }
    } else {
        let mut lost = false;
        for _ in 0..(-scale).min(60) {
            lost |= value % 10 != 0;
            value /= 10;
        }
        value += i128::from(lost);
    }
    value.min(MAX_NANOS)
}

/// Canonical: no fraction, the largest suffix that allows it.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let small = self.nanos.abs() < 1024 * NANO;
        if self.format == Format::BinarySi && !small && self.is_integer() {
            return binary(self.nanos / NANO, f);
        }
        decimal(self.nanos, self.format == Format::DecimalExponent, f)
    }
}

fn binary(mut units: i128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter();
    let mut suffix = "";
    while let Some(next) = suffixes.next() {
        suffix = next;
        if units % 1024 != 0 || suffixes.len() == 0 {
            break;
        }
        units /= 1024;
    }
    write!(f, "{units}{suffix}")
}

fn decimal(mut nanos: i128, as_exponent: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut exponent = -9;
    while nanos % 1000 == 0 && exponent < 18 {
        nanos /= 1000;
        exponent += 3;
    }
    let suffix = match exponent {
        0 => "",
        e if as_exponent => return write!(f, "{nanos}e{e}"),
        -9 => "n",
        -6 => "u",
        -3 => "m",
        3 => "k",
        6 => "M",
        9 => "G",
        12 => "T",
        15 => "P",
        _ => "E",
    };
    write!(f, "{nanos}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_canonically() {
        for (text, canonical) in [
            ("0", "0"),
            ("100m", "100m"),
            ("0.1", "100m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1000Ki", "1000Ki"),
            ("512", "512"),
            ("1000", "1k"),
            ("1e3", "1e3"),
            ("12e6", "12e6"),
            ("1E", "1E"),
            ("-5", "-5"),
            ("0.5Ki", "512"),
            ("1.5", "1500m"),
            ("128974848", "128974848"),
            ("129M", "129M"),
            ("9999999999999999999999", "9223372036854775807"),
            ("0.0000000001", "1n"),
            (".5", "500m"),
            ("5.", "5"),
        ] {
            assert_eq!(text.parse::<Quantity>().expect(text).to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn refuses_in_upstreams_words() {
        for (text, error) in [
            ("", QuantityError::Format),
            ("abc", QuantityError::Format),
            ("1x", QuantityError::Format),
            ("1..2", QuantityError::Format),
            ("1 Gi", QuantityError::Format),
            ("1mm", QuantityError::Suffix),
            ("1KiB", QuantityError::Format),
            ("1K", QuantityError::Suffix),
        ] {
            assert_eq!(text.parse::<Quantity>().err(), Some(error), "{text}");
        }
    }

    #[test]
    fn counts_up() {
        let quantity: Quantity = "1500m".parse().expect("valid");
        assert_eq!((quantity.units(), quantity.milli()), (2, 1500));
        let gib: Quantity = "1Gi".parse().expect("valid");
        assert_eq!(gib.plus(gib).to_string(), "2Gi");
    }
}
