//! Patches of texts as they change, and of anything.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

/// What a patch takes, after it was seen to lead from one to the other; `None` if there is none.
fn size(base: &[u8], new: &[u8], revision: &str) -> Option<usize> {
    let patch = Patch::between(base, new, revision)?;
    let (mut shape, mut text) = (Vec::new(), Vec::new());
    patch.put(&mut shape, &mut text);
    let (mut shape_rest, mut text_rest) = (&shape[..], &text[..]);
    let found = apply(&mut shape_rest, &mut text_rest, base, revision, LIMIT);
    assert_eq!(found.as_deref(), Some(new));
    assert!(shape_rest.is_empty() && text_rest.is_empty());
    assert!(shape.len() + text.len() <= patch.bytes());
    let (mut shape_rest, mut text_rest) = (&shape[..], &text[..]);
    skip(&mut shape_rest, &mut text_rest).unwrap();
    assert!(shape_rest.is_empty() && text_rest.is_empty());
    Some(shape.len() + text.len())
}

fn lease(revision: u64, time: &str, micros: u32) -> String {
    format!(
        r#"{{"kind":"Lease","metadata":{{"name":"n","resourceVersion":"{revision}","managedFields":[{{"manager":"kubelet","operation":"Update","time":"{time}Z","fieldsType":"FieldsV1"}}]}},"spec":{{"holderIdentity":"n","renewTime":"{time}.{micros:06}Z"}}}}"#
    )
}

#[test]
fn a_renewal_is_its_times() {
    let before = lease(1_000_123, "2026-11-21T10:00:07", 123_456);
    let after = lease(1_100_456, "2026-11-21T10:00:17", 653_421);
    // How many edits; three numbers for each of them; two digits, and nine characters.
    assert_eq!(size(before.as_bytes(), after.as_bytes(), "1100456"), Some(1 + 3 * 3 + 2 + 9));
    // A digit more, and the revision in the middle of nowhere.
    let after = lease(10_000_000, "2026-11-21T10:01:00", 1);
    assert!(size(before.as_bytes(), after.as_bytes(), "10000000").unwrap() < 40);
}

#[test]
fn what_is_added_and_taken_away_in_the_middle_is_found() {
    let before = format!("{}\"ready\":false,\"count\":9{}", "a".repeat(100), "b".repeat(100));
    let after = format!("{}\"ready\":true,\"count\":10{}", "a".repeat(100), "b".repeat(100));
    assert!(size(before.as_bytes(), after.as_bytes(), "1").unwrap() < 30);
    assert_eq!(size(b"", b"", "1"), None);
    assert_eq!(size(b"all of it", b"is another", "1"), None);
    let same = [b'x'; 100];
    assert_eq!(size(&same, &same, "1"), Some(1));
    assert!(size(&same, &same[..20], "1").is_some_and(|size| size < 8));
}

#[test]
fn a_patch_of_another_base_is_no_patch() {
    let (base, new) = ([b'x'; 100], [&[b'x'; 90][..], b"0123456789"].concat());
    let patch = Patch::between(&base, &new, "7").unwrap();
    let (mut shape, mut text) = (Vec::new(), Vec::new());
    patch.put(&mut shape, &mut text);
    assert_eq!(apply(&mut &shape[..], &mut &text[..], &base[..50], "7", LIMIT), None);
    assert_eq!(apply(&mut &shape[..], &mut &text[..], &base, "7", 99), None);
    for end in 0..shape.len() {
        assert_eq!(apply(&mut &shape[..end], &mut &text[..], &base, "7", LIMIT), None);
    }
    assert_eq!(apply(&mut &shape[..], &mut &text[..5], &base, "7", LIMIT), None);
}

proptest! {
    #[test]
    fn every_patch_leads_to_its_value(
        pieces in prop::collection::vec("[0-9a]{0,40}", 1..8),
        others in prop::collection::vec(("[0-9a]{0,12}", any::<bool>()), 8),
        revision in 1u64..2000,
    ) {
        let base = pieces.concat();
        let changed = |(piece, (other, is_changed)): (&String, &(String, bool))| match is_changed {
            true => format!("{other}{revision}{}", &piece[piece.len() / 2..]),
            false => piece.clone(),
        };
        let new: String = pieces.iter().zip(&others).map(changed).collect();
        size(base.as_bytes(), new.as_bytes(), &revision.to_string());
        size(new.as_bytes(), base.as_bytes(), &revision.to_string());
    }
}
