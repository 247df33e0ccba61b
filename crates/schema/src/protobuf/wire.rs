//! Protobuf on the wire: numbers, lengths, and times as text.

use super::ProtobufError;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    pub(super) payload: Payload<'a>,
}

/// The fields of a message in their order. Ends after the first error.
pub(super) fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<Field<'_>, ProtobufError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

/// The last field of this number, as protobuf reads a field that comes twice.
pub(super) fn find(bytes: &[u8], number: u32) -> Result<Option<Payload<'_>>, ProtobufError> {
    let mut found = None;
    for field in fields(bytes) {
        let field = field?;
        if field.number == number {
            found = Some(field.payload);
        }
    }
    Ok(found)
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<Field<'a>, ProtobufError> {
    let key = varint(rest)?;
    let number = u32::try_from(key >> 3).map_err(|_| ProtobufError::Truncated)?;
    let payload = match key & 7 {
        0 => Payload::Varint(varint(rest)?),
        1 => Payload::Fixed64(u64::from_le_bytes(*array(rest)?)),
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| ProtobufError::Truncated)?;
            let (bytes, after) = rest.split_at_checked(length).ok_or(ProtobufError::Truncated)?;
            *rest = after;
            Payload::Bytes(bytes)
        }
        5 => Payload::Fixed32(u32::from_le_bytes(*array(rest)?)),
        other => return Err(ProtobufError::WireType(u8::try_from(other).unwrap_or_default())),
    };
    Ok(Field { number, payload })
}

fn array<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], ProtobufError> {
    let (array, after) = rest.split_first_chunk::<N>().ok_or(ProtobufError::Truncated)?;
    *rest = after;
    Ok(array)
}

fn varint(rest: &mut &[u8]) -> Result<u64, ProtobufError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(ProtobufError::Truncated)?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(ProtobufError::Truncated)
}

/// A moment in UTC as Kubernetes writes it.
pub(super) fn rfc3339(seconds: i64, nanos: i64, micros: bool) -> String {
    let days = seconds.div_euclid(86_400);
    let of_day = seconds.rem_euclid(86_400);
    // Days to a civil date, with years that begin in March (Howard Hinnant's algorithm).
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let fraction = if micros { format!(".{:06}", nanos / 1_000) } else { String::new() };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The moment that [`rfc3339`] wrote, or one with another fraction, in UTC.
pub(super) fn from_rfc3339(text: &str) -> Option<(i64, i64)> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i64>().ok()).flatten();
    let mut parts = date.split('-');
    let (year, month, day) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    let nanos = if fraction.is_empty() { 0 } else { number(&format!("{fraction:0<9.9}"))? };
    // A civil date to days, with years that begin in March (Howard Hinnant's algorithm).
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    let days = era * 146_097 + of_era - 719_468;
    Some((days * 86_400 + hour * 3_600 + minute * 60 + second, nanos))
}

/// Standard base64 with padding.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(4) {
        return None;
    }
    let mut decoded = Vec::with_capacity(bytes.len() / 4 * 3);
    for (index, chunk) in bytes.chunks(4).enumerate() {
        let padding = chunk.iter().rev().take_while(|b| **b == b'=').count();
        if padding > 2 || (padding > 0 && (index + 1) * 4 != bytes.len()) {
            return None;
        }
        let mut group = 0_u32;
        for byte in &chunk[..4 - padding] {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            group = group << 6 | u32::from(value);
        }
        group <<= 6 * padding;
        decoded.extend_from_slice(&group.to_be_bytes()[1..4 - padding]);
    }
    Some(decoded)
}

pub(super) fn put_varint(out: &mut Vec<u8>, number: u32, value: u64) {
    varint_to(out, u64::from(number) << 3);
    varint_to(out, value);
}

pub(super) fn put_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    varint_to(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    varint_to(out, u64::from(number) << 3 | 2);
    varint_to(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint_to(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
