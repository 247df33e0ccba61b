//! One watch that keeps all guarantees, and one that breaks each.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::history::Inner;

fn event(revision: Revision, key: &str) -> Event {
    Event { revision, key: key.to_owned(), value: Some(format!("{key}@{revision}")), is_create: true }
}

/// What breaks when the past has these changes and a watch of everything after 1 says this.
fn broken(said: Vec<Said>) -> Vec<Rule> {
    let changes = vec![event(2, "a"), event(3, "b"), event(3, "c"), event(4, "d"), event(5, "e")];
    let history = Inner { changes, ..Inner::default() };
    let mut verdict = Verdict::default();
    let past = Past::of(&history, &mut verdict);
    let said = said.into_iter().map(|said| (0, said)).collect();
    check(&WatchLog { prefix: String::new(), after: 1, opened: 0, said }, &past, &mut verdict);
    let mut rules: Vec<Rule> = verdict.violations.iter().map(|violation| violation.rule).collect();
    rules.sort();
    rules.dedup();
    rules
}

fn events(events: &[(Revision, &str)]) -> Said {
    Said::Events(events.iter().map(|(revision, key)| event(*revision, key)).collect())
}

#[test]
fn a_watch_that_keeps_every_guarantee() {
    assert_eq!(broken(vec![]), []);
    assert_eq!(
        broken(vec![events(&[(2, "a")]), events(&[(3, "b"), (3, "c"), (4, "d")]), Said::Bookmark(5)]),
        [Rule::Reliable]
    );
    let all = vec![events(&[(2, "a")]), Said::Bookmark(2), events(&[(3, "b"), (3, "c")]), Said::Bookmark(3)];
    assert_eq!(broken(all), []);
}

#[test]
fn each_guarantee_that_is_broken_is_found() {
    let rules = |said| broken(said);
    assert_eq!(rules(vec![events(&[(3, "b"), (3, "c")])]), [Rule::Reliable]);
    assert_eq!(rules(vec![events(&[(2, "a")]), events(&[(2, "a")])]), [Rule::Unique, Rule::Atomic]);
    assert_eq!(rules(vec![events(&[(2, "a")]), events(&[(3, "b")]), events(&[(3, "c")])]), [Rule::Atomic]);
    assert_eq!(rules(vec![events(&[(3, "b"), (3, "c")]), events(&[(2, "a")])]), [Rule::Ordered]);
    assert_eq!(rules(vec![events(&[(1, "z"), (2, "a")])]), [Rule::Resumable]);
    assert_eq!(rules(vec![Said::Bookmark(2), events(&[(2, "a")])]), [Rule::Bookmark]);
    assert_eq!(rules(vec![Said::Bookmark(4), Said::Bookmark(3)]), [Rule::Reliable, Rule::Bookmark]);
    assert_eq!(rules(vec![events(&[(2, "b")])]), [Rule::Reliable]);
}
