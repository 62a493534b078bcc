//! The arguments of Slurm's plugin: words `NAME=value` of its line in plugstack.conf. The plugin reads them, and who writes
//! or judges that line reads them alike.
use crate::job_rules::{
    PER_SHARD, PRIORITY_MAP, SHARDS_PER_WEIGHT, mem_per_shard, priority_map, shards_per_weight,
};
use crate::{Bytes, paths};
use std::path::{Path, PathBuf};

/// The library, where the packages have it.
const LIBRARY: &str = "/usr/lib/nvshare/libnvshare.so";

/// What a site says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    pub library: PathBuf,
    /// Where the scheduler listens, if not at its usual place.
    pub socket: Option<PathBuf>,
    /// What one shard is of a GPU's memory; none: shards are no limit.
    pub mem_per_shard: Option<Bytes>,
    /// Turns last one time longer for each so many shards; none: all last alike.
    pub shards_per_weight: Option<u32>,
    /// The priorities of partitions and of QOS.
    pub partitions: Vec<(String, u32)>,
    pub qos: Vec<(String, u32)>,
    /// Whether a step that cannot be managed fails.
    pub fails: bool,
    /// Where the steps' files lie.
    pub jobs: PathBuf,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            library: LIBRARY.into(),
            socket: None,
            mem_per_shard: None,
            shards_per_weight: None,
            partitions: Vec::new(),
            qos: Vec::new(),
            fails: false,
            jobs: paths::SLURM_JOBS_DIR.into(),
        }
    }
}

impl Arguments {
    /// Reads them. What is wrong with one is told by its name; the others hold.
    #[must_use]
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> (Self, Vec<String>) {
        let (mut arguments, mut faults) = (Self::default(), Vec::new());
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            const PATH: &str = "an absolute path without blanks";
            let (taken, allowed) = match name {
                "library" => (put(&mut arguments.library, absolute(value)), PATH),
                "socket" => (put(&mut arguments.socket, absolute(value).map(Some)), PATH),
                "jobs_dir" => (put(&mut arguments.jobs, absolute(value)), PATH),
                "mem_per_shard" => (put(&mut arguments.mem_per_shard, mem_per_shard(value)), PER_SHARD),
                "weight" => {
                    (put(&mut arguments.shards_per_weight, shards_per_weight(value)), SHARDS_PER_WEIGHT)
                }
                "on_error" => (
                    put(&mut arguments.fails, one_of(value, ["fail", "run-unmanaged"])),
                    "run-unmanaged or fail",
                ),
                "priority_partition" => (put(&mut arguments.partitions, priority_map(value)), PRIORITY_MAP),
                "priority_qos" => (put(&mut arguments.qos, priority_map(value)), PRIORITY_MAP),
                _ => (None, "no argument of this name"),
            };
            if taken.is_none() {
                faults.push(format!(
                    "the argument {word:?} in plugstack.conf is not understood (allowed: {allowed})"
                ));
            }
        }
        (arguments, faults)
    }

    /// The priority that the site gives to jobs of this partition and QOS; none: it says nothing of them. A QOS is the
    /// closer word.
    #[must_use]
    pub fn priority(&self, partition: Option<&str>, qos: Option<&str>) -> Option<u32> {
        let of = |map: &[(String, u32)], name: Option<&str>| {
            map.iter().find(|(known, _)| Some(known.as_str()) == name).map(|(_, priority)| *priority)
        };
        of(&self.qos, qos).or_else(|| of(&self.partitions, partition))
    }
}

/// Hands a parsed value to its place.
fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

fn absolute(value: &str) -> Option<PathBuf> {
    // What the loader splits LD_PRELOAD at cannot be in a path for it.
    let is_whole = !value.contains([':', ' ', '\t', '\n', '$']);
    Some(PathBuf::from(value)).filter(|path| Path::is_absolute(path) && is_whole)
}

/// Whether it is the first of two words.
fn one_of(value: &str, [yes, no]: [&str; 2]) -> Option<bool> {
    (value == yes || value == no).then_some(value == yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_says_what_holds_in_words() {
        let (arguments, faults) = Arguments::parse([
            "library=/opt/libnvshare.so",
            "socket=/run/x/scheduler.sock",
            "mem_per_shard=1024",
            "weight=4",
            "priority_partition=fast:high,night:low",
            "priority_qos=urgent:high",
            "on_error=fail",
            "jobs_dir=/run/jobs",
        ]);
        assert_eq!(faults, [""; 0]);
        assert_eq!(arguments.library, Path::new("/opt/libnvshare.so"));
        assert_eq!(arguments.socket.as_deref(), Some(Path::new("/run/x/scheduler.sock")));
        assert_eq!(arguments.mem_per_shard, Some(Bytes(1 << 30)));
        assert!(arguments.fails && arguments.shards_per_weight == Some(4));
        for (partition, qos, priority) in [
            (Some("fast"), None, Some(2)),
            (Some("night"), None, Some(0)),
            (Some("night"), Some("urgent"), Some(2)),
            (Some("other"), Some("other"), None),
            (None, None, None),
        ] {
            assert_eq!(arguments.priority(partition, qos), priority, "{partition:?} {qos:?}");
        }
    }

    #[test]
    fn a_wrong_word_is_named_and_the_others_hold() {
        let (arguments, faults) = Arguments::parse([
            "library=libnvshare.so",
            "library=/a:b.so",
            "mem_per_shard=0",
            "mem_per_shard=",
            "weight=many",
            "priority_partition=fast",
            "priority_qos=a:highest",
            "on_error=",
            "colour=blue",
            "mem_per_shard=2GiB",
        ]);
        assert_eq!(arguments, Arguments { mem_per_shard: Some(Bytes(2 << 30)), ..Arguments::default() });
        assert_eq!(faults.len(), 9, "{faults:?}");
        assert!(faults[0].contains("\"library=libnvshare.so\"") && faults[0].contains("an absolute path"));
        assert_eq!(Arguments::parse(["mem_per_shard=none"]).0.mem_per_shard, None);
    }
}
