//! What changed of a value, as edits of the value before.
//!
//! ```text
//! number of edits │ for each: bytes kept │ bytes removed │ inserted: 0 the revision in decimal digits, or length + 1
//! ```
//! All numbers are varints. Inserted bytes stand apart, one edit's after the other's. What follows the last edit is kept.
//!
//! An edit that touches digits has all of the digits: then the edits of values that differ in times and counters have the
//! same form each time, and a batch of them compresses well. Values hold their own revision
//! ([`Value::Built`](crate::Value::Built)), which the record has anyway.

use super::varint;

/// As many bytes must agree before an edit ends.
const AGREE: usize = 8;
/// An edit that only replaces is looked for up to this length; one that makes longer or shorter, up to that.
const REPLACED: usize = 64;
const SHIFTED: usize = 24;
/// With more edits the value is written whole.
const MAX_EDITS: usize = 32;

/// Replaces `removed` bytes after `kept` bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Edit {
    kept: usize,
    removed: usize,
    inserted: Inserted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Inserted {
    Revision,
    /// From here to there of the new value.
    Bytes(usize, usize),
}

/// The edits that lead from one value to another.
#[derive(Debug)]
pub(crate) struct Patch<'a> {
    edits: Vec<Edit>,
    new: &'a [u8],
}

impl<'a> Patch<'a> {
    /// `None` if writing the new value whole is as good.
    pub(crate) fn between(base: &[u8], new: &'a [u8], revision: &str) -> Option<Patch<'a>> {
        let mut patch = Patch { edits: Vec::new(), new };
        // Where we are in each, and up to where the edits so far have the base.
        let (mut at, mut to, mut done) = (0, 0, 0);
        loop {
            let same = common(&base[at..], &new[to..]);
            (at, to) = (at + same, to + same);
            if at == base.len() && to == new.len() {
                break;
            }
            if patch.edits.len() == MAX_EDITS {
                return None;
            }
            let (removed, inserted) = meet(&base[at..], &new[to..]);
            let mut edit = Span { at, to, removed, inserted };
            edit.widen(base, new, done);
            let is_revision = &new[edit.to..edit.to + edit.inserted] == revision.as_bytes();
            (at, to) = (edit.at + edit.removed, edit.to + edit.inserted);
            let bytes = if is_revision { Inserted::Revision } else { Inserted::Bytes(edit.to, to) };
            patch.edits.push(Edit { kept: edit.at - done, removed: edit.removed, inserted: bytes });
            done = at;
        }
        (patch.bytes() < new.len() / 2).then_some(patch)
    }

    /// What it takes, at most.
    fn bytes(&self) -> usize {
        let inserted = |edit: &Edit| match edit.inserted {
            Inserted::Revision => 0,
            Inserted::Bytes(from, to) => to - from,
        };
        1 + self.edits.iter().map(|edit| 7 + inserted(edit)).sum::<usize>()
    }

    pub(crate) fn put(&self, shape: &mut Vec<u8>, text: &mut Vec<u8>) {
        varint::put(shape, self.edits.len() as u64);
        for edit in &self.edits {
            varint::put(shape, edit.kept as u64);
            varint::put(shape, edit.removed as u64);
            match edit.inserted {
                Inserted::Revision => varint::put(shape, 0),
                Inserted::Bytes(from, to) => {
                    varint::put(shape, (to - from) as u64 + 1);
                    text.extend_from_slice(&self.new[from..to]);
                }
            }
        }
    }
}

/// Reads a patch past; `None` if it is none.
pub(crate) fn skip(shape: &mut &[u8], text: &mut &[u8]) -> Option<()> {
    each(shape, text, |_, _, _| Some(()))
}

/// The new value; `None` if this is no patch, or not one of this base.
pub(crate) fn apply(shape: &mut &[u8], text: &mut &[u8], base: &[u8], revision: &str, limit: usize) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::with_capacity(base.len() + 16), base);
    each(shape, text, |kept, removed, inserted| {
        out.extend_from_slice(rest.get(..kept)?);
        out.extend_from_slice(inserted.unwrap_or(revision.as_bytes()));
        rest = rest.get(kept.checked_add(removed)?..)?;
        (out.len() <= limit).then_some(())
    })?;
    out.extend_from_slice(rest);
    (out.len() <= limit).then_some(out)
}

/// Each edit: kept, removed, and what is inserted, if it is not the revision.
fn each<'a>(
    shape: &mut &[u8],
    text: &mut &'a [u8],
    mut edit: impl FnMut(usize, usize, Option<&'a [u8]>) -> Option<()>,
) -> Option<()> {
    for _ in 0..varint::take_count(shape)? {
        let (kept, removed) = (varint::take_count(shape)?, varint::take_count(shape)?);
        let inserted = match varint::take_count(shape)?.checked_sub(1) {
            None => None,
            Some(length) => {
                let (bytes, left) = text.split_at_checked(length)?;
                *text = left;
                Some(bytes)
            }
        };
        edit(kept, removed, inserted)?;
    }
    Some(())
}

/// How many bytes both begin with.
fn common(a: &[u8], b: &[u8]) -> usize {
    const WORD: usize = 16;
    let words = a.chunks_exact(WORD).zip(b.chunks_exact(WORD)).take_while(|(a, b)| a == b).count() * WORD;
    words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

/// How much of each must go until they agree again.
fn meet(base: &[u8], new: &[u8]) -> (usize, usize) {
    let agree = |removed: usize, inserted: usize| match (base.get(removed..), new.get(inserted..)) {
        (Some(a), Some(b)) if a.len() >= AGREE && b.len() >= AGREE => a[..AGREE] == b[..AGREE],
        // To the end of both.
        (Some(a), Some(b)) => a == b,
        _ => false,
    };
    if let Some(same) = (1..=REPLACED).find(|count| agree(*count, *count)) {
        return (same, same);
    }
    // The least of both together first.
    let pairs =
        (1..=2 * SHIFTED).flat_map(|sum| (sum.saturating_sub(SHIFTED)..=sum.min(SHIFTED)).map(move |a| (a, sum - a)));
    if let Some(pair) = pairs.into_iter().find(|(removed, inserted)| agree(*removed, *inserted)) {
        return pair;
    }
    // All but what both end with.
    let suffix = base.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    (base.len() - suffix, new.len() - suffix)
}

/// An edit by where it is in both.
struct Span {
    at: usize,
    to: usize,
    removed: usize,
    inserted: usize,
}

impl Span {
    /// Takes in the digits that touch it. `done`: where the edit before ended.
    fn widen(&mut self, base: &[u8], new: &[u8], done: usize) {
        let is_digit = |index: usize| new.get(index).is_some_and(u8::is_ascii_digit);
        // What is before and after it is the same in both.
        if self.inserted == 0 || is_digit(self.to) {
            while self.at > done && self.to > 0 && is_digit(self.to - 1) {
                (self.at, self.to) = (self.at - 1, self.to - 1);
                (self.removed, self.inserted) = (self.removed + 1, self.inserted + 1);
            }
        }
        if self.inserted == 0 || is_digit(self.to + self.inserted - 1) {
            loop {
                let (end, until) = (self.at + self.removed, self.to + self.inserted);
                if !is_digit(until) || base.get(end) != new.get(until) {
                    return;
                }
                (self.removed, self.inserted) = (self.removed + 1, self.inserted + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
