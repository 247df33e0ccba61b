//! A disk that keeps only what it was told to: contents since the last sync of a file, and names since the last sync of
//! their folder, may be gone after a power cut, or be there.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::trace::Step;

/// What a name stands for. Its number stays over renames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

#[derive(Clone, Debug, Default)]
struct File {
    content: Vec<u8>,
    synced: Vec<u8>,
    mode: u32,
    /// Changed since it was last synced.
    dirty: bool,
}

/// Everything below one folder, from when the process began on.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    root: PathBuf,
    files: Vec<File>,
    /// As the process sees it, and as it surely is after a power cut. Names are relative to the root.
    live: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
}

/// What a power cut may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing that was not synced.
    Synced,
    /// All names, and of the files what was synced.
    NamesBeforeContents,
}

/// What there is on a disk: names with contents and modes; folders have none.
pub(super) type World = BTreeMap<PathBuf, Option<(Vec<u8>, u32)>>;

impl Disk {
    /// All that lies in the folder is durable at first.
    pub(super) fn of(root: &Path) -> Self {
        let mut disk =
            Self { root: root.to_owned(), files: Vec::new(), live: BTreeMap::new(), durable: BTreeMap::new() };
        disk.take_in(root);
        disk.durable = disk.live.clone();
        disk
    }

    fn take_in(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&self.root).unwrap().to_owned();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                self.live.insert(name, Node::Dir);
                self.take_in(&path);
            } else if metadata.is_file() {
                let content = fs::read(&path).unwrap();
                let mode = metadata.permissions().mode() & 0o777;
                self.live.insert(name, Node::File(self.files.len()));
                self.files.push(File { synced: content.clone(), content, mode, dirty: false });
            }
        }
    }

    fn name<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.strip_prefix(&self.root).ok()
    }

    fn file(&mut self, path: &Path) -> Option<&mut File> {
        match self.live.get(self.name(path)?)? {
            Node::File(number) => Some(&mut self.files[*number]),
            Node::Dir => None,
        }
    }

    /// True if it concerns this folder and changes what a power cut leaves, or may.
    pub(super) fn take(&mut self, step: &Step) -> bool {
        match step {
            Step::Open { path, truncates, mode } => {
                let Some(name) = self.name(path).map(Path::to_owned) else { return false };
                if !self.live.contains_key(&name) {
                    self.live.insert(name, Node::File(self.files.len()));
                    self.files.push(File { mode: *mode, ..File::default() });
                } else if *truncates && let Some(file) = self.file(path) {
                    file.content.clear();
                    file.dirty = true;
                }
                true
            }
            Step::Write { path, bytes } => {
                let Some(file) = self.file(path) else { return false };
                file.content.extend_from_slice(bytes);
                file.dirty = true;
                true
            }
            Step::Change { path } => {
                let Some(file) = self.file(path) else { return false };
                file.dirty = true;
                false
            }
            Step::Mode { path, mode } => {
                let Some(file) = self.file(path) else { return false };
                file.mode = *mode;
                false
            }
            Step::Sync { path } => self.sync(path),
            Step::Rename { from, to } => {
                let (Some(from), Some(to)) = (self.name(from), self.name(to)) else { return false };
                let moved: Vec<(PathBuf, Node)> = below(&self.live, from).map(|(n, node)| (n.clone(), *node)).collect();
                for (name, node) in moved {
                    self.live.remove(&name);
                    let rest = name.strip_prefix(from).unwrap();
                    self.live.insert(if rest == Path::new("") { to.to_owned() } else { to.join(rest) }, node);
                }
                // What is on disk of a folder goes with it; its own name is its parent's.
                let inside = |(name, _): &(&PathBuf, &Node)| *name != from;
                let moved: Vec<(PathBuf, Node)> =
                    below(&self.durable, from).filter(inside).map(|(n, node)| (n.clone(), *node)).collect();
                for (name, node) in moved {
                    self.durable.remove(&name);
                    self.durable.insert(to.join(name.strip_prefix(from).unwrap()), node);
                }
                true
            }
            Step::Remove { path } => {
                let Some(name) = self.name(path).map(Path::to_owned) else { return false };
                self.live.remove(&name).is_some()
            }
            Step::MakeDir { path } => {
                let Some(name) = self.name(path).map(Path::to_owned) else { return false };
                self.live.insert(name, Node::Dir);
                true
            }
            Step::Say { .. } => false,
        }
    }

    fn sync(&mut self, path: &Path) -> bool {
        if let Some(file) = self.file(path) {
            file.synced.clone_from(&file.content);
            file.dirty = false;
            return true;
        }
        let Some(folder) = self.name(path).map(Path::to_owned) else { return false };
        let is_entry = |name: &PathBuf| name.parent() == Some(&folder);
        self.durable.retain(|name, _| !is_entry(name));
        let entries = self.live.iter().filter(|(name, _)| is_entry(name)).map(|(name, node)| (name.clone(), *node));
        self.durable.extend(entries);
        true
    }

    /// What a power cut at this moment leaves.
    pub(super) fn cut(&self, left: Left) -> World {
        let names = match left {
            Left::Synced => &self.durable,
            Left::NamesBeforeContents => &self.live,
        };
        // What lies in a folder is as lost as the folder's name.
        let is_there =
            |name: &Path| name.ancestors().skip(1).all(|above| above == Path::new("") || names.contains_key(above));
        let content = |node: &Node| match node {
            Node::Dir => None,
            Node::File(number) => Some((self.files[*number].synced.clone(), self.files[*number].mode)),
        };
        names.iter().filter(|(name, _)| is_there(name)).map(|(name, node)| (name.clone(), content(node))).collect()
    }

    /// What of this name is not durable but for the name itself: its content, or what is in it.
    pub(super) fn unwritten(&self, path: &Path) -> Vec<PathBuf> {
        let Some(top) = self.name(path) else { return Vec::new() };
        let is_dirty = |name: &PathBuf| matches!(self.live.get(name), Some(Node::File(n)) if self.files[*n].dirty);
        self.unsynced(top).into_iter().filter(|name| name != top || is_dirty(name)).collect()
    }

    /// What below this name is not durable: contents or names.
    pub(super) fn unsynced(&self, below_name: &Path) -> Vec<PathBuf> {
        let is_unsynced = |(name, node): &(&PathBuf, &Node)| {
            let dirty = matches!(node, Node::File(number) if self.files[*number].dirty);
            dirty || self.durable.get(*name) != Some(*node)
        };
        let mut names: Vec<PathBuf> =
            below(&self.live, below_name).filter(is_unsynced).map(|(name, _)| name.clone()).collect();
        names.extend(below(&self.durable, below_name).map(|(n, _)| n).filter(|n| !self.live.contains_key(*n)).cloned());
        names
    }
}

/// The name itself and all in it.
fn below<'a>(names: &'a BTreeMap<PathBuf, Node>, top: &'a Path) -> impl Iterator<Item = (&'a PathBuf, &'a Node)> {
    names.iter().filter(move |(name, _)| name.starts_with(top))
}
