//! `knarr kubectl` beside upstream's: the same words on the same server print the same and end with the same code.

mod apply;
mod containers;
mod show;

use testkit::{Kubectl, Output};

/// Upstream's and ours, on one server.
struct Both {
    theirs: Kubectl,
    ours: Kubectl,
}

impl Both {
    fn of(theirs: Kubectl) -> Self {
        Self { ours: theirs.ours(), theirs }
    }

    /// The same output, errors and code.
    #[track_caller]
    fn same(&self, words: &[&str]) {
        let (theirs, ours) = (self.theirs.run(words), self.ours.run(words));
        equal(&theirs, &ours);
        assert_eq!(plain(&theirs.stderr), plain(&ours.stderr), "\n{theirs}\n{ours}");
    }

    /// The same output and code; errors in other words.
    #[track_caller]
    fn same_output(&self, words: &[&str]) {
        equal(&self.theirs.run(words), &self.ours.run(words));
    }

    /// The same lines, in any order.
    #[track_caller]
    fn same_lines(&self, words: &[&str]) {
        let (mut theirs, mut ours) = (self.theirs.run(words), self.ours.run(words));
        for output in [&mut theirs, &mut ours] {
            let mut lines: Vec<&str> = output.stdout.lines().collect();
            lines.sort_unstable();
            output.stdout = lines.join("\n");
        }
        equal(&theirs, &ours);
    }
}

#[track_caller]
fn equal(theirs: &Output, ours: &Output) {
    assert_eq!(theirs.stdout, ours.stdout, "\n{theirs}\n{ours}");
    assert_eq!(theirs.status.code(), ours.status.code(), "\n{theirs}\n{ours}");
}

/// Without lines of upstream's log.
fn plain(stderr: &str) -> Vec<&str> {
    let is_log = |line: &str| {
        line.len() > 5 && line.starts_with(['E', 'W', 'I']) && line[1..5].bytes().all(|b| b.is_ascii_digit())
    };
    stderr.lines().map(str::trim_end).filter(|line| !is_log(line) && !line.is_empty()).collect()
}
