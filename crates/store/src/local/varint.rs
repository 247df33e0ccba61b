//! Numbers that take as many bytes as they need: seven bits each, the lowest first.

/// Seven bits each.
const LONGEST: u32 = 10;

pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for index in 0..LONGEST {
        let (byte, left) = rest.split_first()?;
        *rest = left;
        let bits = u64::from(byte & 0x7f);
        // What does not fit into 64 bits was never written.
        if index == LONGEST - 1 && bits > 1 {
            return None;
        }
        number |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// A number of bytes or of things that are in memory.
pub(crate) fn take_count(rest: &mut &[u8]) -> Option<usize> {
    take(rest)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn what_was_put_is_taken() {
        for number in [0, 1, 127, 128, 300, 1 << 35, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put(&mut out, number);
            let mut rest = &out[..];
            assert_eq!((take(&mut rest), rest.len()), (Some(number), 0));
            assert_eq!(take(&mut &out[..out.len() - 1]), None, "{number} cut short");
        }
        assert_eq!(take(&mut &[0xff; 10][..]), None);
    }
}
