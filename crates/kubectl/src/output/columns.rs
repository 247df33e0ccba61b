//! Columns of text, padded as Go's tabwriter pads kubectl's.

const MIN_WIDTH: usize = 6;
const PADDING: usize = 3;

/// Widths are remembered, so that rows of a watch stand below those before.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    widths: Vec<usize>,
}

impl Columns {
    /// Lines for these rows, each ended. The last column is not padded.
    pub(crate) fn lines(&mut self, rows: &[Vec<String>]) -> String {
        for row in rows {
            for (column, cell) in row.iter().enumerate().take(row.len().saturating_sub(1)) {
                let width = MIN_WIDTH.max(cell.chars().count() + PADDING);
                match self.widths.get_mut(column) {
                    Some(known) => *known = width.max(*known),
                    None => self.widths.push(width),
                }
            }
        }
        let mut text = String::new();
        for row in rows {
            for (column, cell) in row.iter().enumerate() {
                text.push_str(cell);
                if column + 1 < row.len() {
                    let pad = self.widths[column].saturating_sub(cell.chars().count());
                    text.extend(std::iter::repeat_n(' ', pad));
                }
            }
            text.push('\n');
        }
        text
    }

    pub(crate) fn forget(&mut self) {
        self.widths.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_by_the_widest_and_remembers() {
        let rows =
            |cells: &[&[&str]]| cells.iter().map(|r| r.iter().map(|c| (*c).to_owned()).collect()).collect::<Vec<_>>();
        let mut columns = Columns::default();
        assert_eq!(
            columns.lines(&rows(&[&["NAME", "A", "AGE"], &["web-1", "", "5s"]])),
            "NAME    A     AGE\nweb-1         5s\n"
        );
        assert_eq!(columns.lines(&rows(&[&["x", "y", "z"]])), "x       y     z\n");
    }
}
