//! Who a container runs as: numbers, or names looked up in the image's own files.

use std::path::Path;

/// Files of users and groups are small.
const FILE_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) additional: Vec<u32>,
    pub(crate) home: Option<String>,
}

struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn passwd(text: &str) -> impl Iterator<Item = Entry<'_>> {
    text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        Some(Entry {
            name: fields.first()?,
            uid: fields.get(2)?.parse().ok()?,
            gid: fields.get(3)?.parse().ok()?,
            home: fields.get(5)?,
        })
    })
}

fn groups(text: &str) -> impl Iterator<Item = (&str, u32, Vec<&str>)> {
    text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let members = fields.get(3).map_or(Vec::new(), |m| m.split(',').collect());
        Some((*fields.first()?, fields.get(2)?.parse().ok()?, members))
    })
}

/// What was asked for: `user[:group]` in the image's way, and a group and more groups that win over it.
pub(crate) struct Wanted<'a> {
    pub(crate) user: &'a str,
    pub(crate) group: Option<u32>,
    pub(crate) supplemental: &'a [u32],
    /// Whether groups of the image's `/etc/group` are added for the user.
    pub(crate) merge: bool,
}

pub(crate) fn resolve(wanted: &Wanted<'_>, rootfs: &Path) -> Result<User, String> {
    let read = |file: &str| images::read_inside(rootfs, Path::new(file), FILE_BYTES).unwrap_or_default();
    resolve_in(wanted, &read("etc/passwd"), &read("etc/group"))
}

fn resolve_in(wanted: &Wanted<'_>, passwd_text: &str, group_text: &str) -> Result<User, String> {
    let (name, group) = wanted.user.split_once(':').map_or((wanted.user, None), |(u, g)| (u, Some(g)));
    let name = if name.is_empty() { "0" } else { name };
    let number: Option<u32> = name.parse().ok();
    let entry = passwd(passwd_text).find(|e| number.map_or(e.name == name, |n| e.uid == n));
    let mut user = match (&entry, number) {
        (Some(entry), _) => {
            User { uid: entry.uid, gid: entry.gid, additional: Vec::new(), home: Some(entry.home.to_owned()) }
        }
        (None, Some(uid)) => User { uid, ..User::default() },
        (None, None) => return Err(format!("unable to find user {name}: no matching entries in passwd file")),
    };
    if let Some(group) = group {
        user.gid = match group.parse() {
            Ok(gid) => gid,
            Err(_) => groups(group_text)
                .find(|(other, ..)| *other == group)
                .map(|(_, gid, _)| gid)
                .ok_or_else(|| format!("unable to find group {group}: no matching entries in group file"))?,
        };
    }
    user.gid = wanted.group.unwrap_or(user.gid);
    user.additional = vec![user.gid];
    if let (Some(entry), true) = (&entry, wanted.merge) {
        let of_image = groups(group_text).filter(|(.., members)| members.contains(&entry.name));
        user.additional.extend(of_image.map(|(_, gid, _)| gid));
    }
    user.additional.extend(wanted.supplemental);
    let mut seen = std::collections::BTreeSet::new();
    user.additional.retain(|gid| seen.insert(*gid));
    Ok(user)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/var/www:/bin/false\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\nextra:x:50:web,other\n";

    fn check(user: &str, group: Option<u32>, supplemental: &[u32]) -> Result<(u32, u32, Vec<u32>), String> {
        let wanted = Wanted { user, group, supplemental, merge: true };
        resolve_in(&wanted, PASSWD, GROUP).map(|u| (u.uid, u.gid, u.additional))
    }

    #[test]
    fn names_and_numbers_are_resolved_in_the_image() {
        assert_eq!(check("", None, &[]).unwrap(), (0, 0, vec![0]));
        assert_eq!(check("web", None, &[7]).unwrap(), (33, 34, vec![34, 50, 7]));
        assert_eq!(check("33", None, &[]).unwrap(), (33, 34, vec![34, 50]));
        assert_eq!(check("1000", None, &[]).unwrap(), (1000, 0, vec![0]));
        assert_eq!(check("1000:extra", None, &[]).unwrap(), (1000, 50, vec![50]));
        assert_eq!(check("web", Some(9), &[]).unwrap(), (33, 9, vec![9, 50]));
        assert!(check("nobody-here", None, &[]).is_err());
    }
}
