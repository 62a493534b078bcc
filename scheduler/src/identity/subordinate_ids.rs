//! Which user of the host owns a subordinate uid (`/etc/subuid`): containers give such uids to the users inside of them.
use nix::unistd::User;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The most bytes of the file that are read.
const MOST: u64 = 1 << 20;

/// The table, read again when its file has changed.
#[derive(Debug)]
pub struct Subordinates {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// When the file was written, and how long it is.
    stamp: Option<(SystemTime, u64)>,
    ranges: Vec<Range>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u32,
    count: u32,
    user: u32,
}

impl Subordinates {
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), known: Mutex::default() }
    }

    /// The user who has `uid` as a subordinate one, or `uid` itself.
    #[must_use]
    pub fn user(&self, uid: u32) -> u32 {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = fs::metadata(&self.path).ok().and_then(|file| Some((file.modified().ok()?, file.len())));
        if known.stamp != stamp {
            known.ranges = self.read();
            known.stamp = stamp;
        }
        let holds = |range: &&Range| uid >= range.first && uid - range.first < range.count;
        known.ranges.iter().find(holds).map_or(uid, |range| range.user)
    }

    fn read(&self) -> Vec<Range> {
        let mut text = String::new();
        let read = fs::File::open(&self.path).and_then(|file| file.take(MOST).read_to_string(&mut text));
        if read.is_err() {
            return Vec::new();
        }
        text.lines()
            .filter_map(|line| parse(line, |name| User::from_name(name).ok()?.map(|user| user.uid.as_raw())))
            .collect()
    }
}

/// `NAME:FIRST:COUNT`, where the name may be a number. A range from 0 would make root a user's.
fn parse(line: &str, uid: impl Fn(&str) -> Option<u32>) -> Option<Range> {
    let mut fields = line.trim().split(':');
    let (name, first, count) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let user = name.parse().ok().or_else(|| uid(name))?;
    (first > 0).then_some(Range { first, count, user })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subordinate_uid_is_its_users_until_the_file_says_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("subuid");
        let table = Subordinates::new(&path);
        assert_eq!(table.user(100_000), 100_000, "no file");
        fs::write(&path, "# remark\n1000:100000:65536\nroot:300000:10\nnobody-here-at-all:1:5\n7:0:9\n")
            .unwrap();
        for (uid, user) in
            [(100_000, 1000), (165_535, 1000), (165_536, 165_536), (300_009, 0), (0, 0), (3, 3)]
        {
            assert_eq!(table.user(uid), user, "{uid}");
        }
        fs::write(&path, "1001:100000:65536\n").unwrap();
        assert_eq!(table.user(100_000), 1001);
    }
}
