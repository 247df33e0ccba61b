//! Revisions of before the cluster was moved to a store that counts less.

use store::Snapshot;

/// Where servers keep what is no object, beside the objects. No resource has this name.
pub const NOTES: &[u8] = b"/registry/knarr.io/";
/// Says how far the store counted that the cluster was in before: `{"revision": 1000000123}`.
pub const MOVED: &[u8] = b"/registry/knarr.io/moved-from";

/// How far that store counted, if there was one. A note that cannot be read is no absent one.
pub fn moved_from(snapshot: &Snapshot) -> Result<Option<u64>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Note {
        revision: u64,
    }
    let Some(note) = snapshot.get(MOVED) else { return Ok(None) };
    serde_json::from_slice(&note.value).map(|note: Note| Some(note.revision))
}

/// Whether a revision that is yet to come here was given out by the store of before. Whoever has it saw another
/// history, and must read anew instead of waiting for what would be something else.
pub(crate) fn is_of_before(snapshot: &Snapshot, revision: u64) -> bool {
    /// A kill skips numbers; those of the last server may be so much greater than the note says.
    const MARGIN: u64 = 1_000_000;
    let Ok(Some(last)) = moved_from(snapshot) else { return false };
    revision > snapshot.revision().0 && revision <= last + MARGIN
}
