//! The prose of the built-in kinds: what `kubectl explain` shows. Kept compressed, because it is long and seldom read;
//! read into memory while a document is written.

use std::io::Read as _;

const COMPRESSED: &[u8] = include_bytes!("builtin/v1_37_descriptions.gz");

/// Sections sorted by definition: its name and description, then a line a field, indented by a tab and sorted.
#[derive(Default)]
pub(crate) struct Descriptions {
    text: String,
    /// Where each section begins.
    sections: Vec<usize>,
}

impl Descriptions {
    /// Of the built-in table.
    pub(crate) fn read() -> Self {
        let mut text = String::new();
        flate2::read::GzDecoder::new(COMPRESSED).read_to_string(&mut text).expect("the generated file is whole");
        Self::parse(text)
    }

    fn parse(text: String) -> Self {
        let mut sections = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if !line.starts_with('\t') {
                sections.push(at);
            }
            at += line.len();
        }
        Self { text, sections }
    }

    fn section(&self, definition: &str) -> Option<&str> {
        let name = |at: &usize| self.text[*at..].split('\t').next().unwrap_or_default();
        let index = self.sections.binary_search_by(|at| name(at).cmp(definition)).ok()?;
        let end = self.sections.get(index + 1).copied().unwrap_or(self.text.len());
        Some(&self.text[self.sections[index]..end])
    }

    pub(crate) fn of(&self, definition: &str) -> Option<String> {
        let (_, description) = self.section(definition)?.lines().next()?.split_once('\t')?;
        unescaped(description)
    }

    pub(crate) fn of_field(&self, definition: &str, field: &str) -> Option<String> {
        let mut fields = self.section(definition)?.lines().skip(1).filter_map(|line| line[1..].split_once('\t'));
        unescaped(fields.find(|(name, _)| *name == field)?.1)
    }
}

/// `None` for nothing.
fn unescaped(line: &str) -> Option<String> {
    if line.is_empty() {
        return None;
    }
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(if chars.next() == Some('n') { '\n' } else { '\\' }),
            c => text.push(c),
        }
    }
    Some(text)
}

/// A description in one line, as the generator writes it.
pub fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_of_objects_is_described() {
        let prose = Descriptions::read();
        assert_eq!(
            prose.of_field("io.k8s.api.core.v1.ContainerPort", "containerPort").as_deref(),
            Some("Number of port to expose on the pod's IP address. This must be a valid port number, 0 < x < 65536.")
        );
        let pod = "Pod is a collection of containers that can run on a host. This resource is created by clients and \
                   scheduled onto hosts.";
        assert_eq!(prose.of("io.k8s.api.core.v1.Pod").as_deref(), Some(pod));
        let finalizers = prose.of_field("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "name").unwrap_or_default();
        assert!(finalizers.contains("unique within a namespace"), "{finalizers}");
        assert_eq!(prose.of("io.k8s.api.core.v1.Po"), None);
        assert_eq!(prose.of_field("io.k8s.api.core.v1.Pod", "hull"), None);
    }

    #[test]
    fn lines_come_back_as_they_went() {
        let odd = "a\\b\nc\\n";
        let text = format!("a.A\t{}\n\tf\t\n", escaped(odd));
        let prose = Descriptions::parse(text);
        assert_eq!(prose.of("a.A").as_deref(), Some(odd));
        assert_eq!(prose.of_field("a.A", "f"), None);
    }
}
