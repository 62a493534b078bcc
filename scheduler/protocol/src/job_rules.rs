//! What a step of a Slurm job may: a small file that Slurm's plugin writes as root, and that the scheduler reads. A job can
//! change its environment, and not this.
//!
//! Lines `NAME=value`, by the names and in the words of [`crate::wishes`]. A line that is not known is passed over.
use crate::wishes::{self, MEM_LIMIT, PRIORITIES, PRIORITY, WEIGHT};
use crate::{Bytes, quantity};

/// The longest file, in bytes.
pub const LONGEST: usize = 4096;
/// The steps that have all that their job has: `sbatch` and `salloc` start them.
pub const WHOLE_JOB: [&str; 2] = ["batch", "interactive"];

/// What a step may. None: the plugin has no word on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobRules {
    /// The most on each GPU; of a step that has all of its job's, also the most of the job.
    pub limit: Option<Bytes>,
    pub weight: Option<u32>,
    /// As the scheduler is told: 0 low, 1 normal, 2 high.
    pub priority: Option<u32>,
}

impl JobRules {
    /// Reads the text of a file.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut rules = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            if name == MEM_LIMIT.variable {
                rules.limit = wishes::memory_limit(value);
            } else if name == WEIGHT.variable {
                rules.weight = wishes::weight(value);
            } else if name == PRIORITY.variable {
                rules.priority = wishes::priority(value);
            }
        }
        rules
    }

    /// The lesser of two in each. No word is the normal one, but of memory: there it is no limit.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        const NORMAL: u32 = 1;
        let lesser = |one: Option<u32>, other: Option<u32>| {
            if other.unwrap_or(NORMAL) < one.unwrap_or(NORMAL) { other } else { one }
        };
        Self {
            limit: self.limit.into_iter().chain(other.limit).min(),
            weight: lesser(self.weight, other.weight),
            priority: lesser(self.priority, other.priority),
        }
    }

    /// Writes the text of a file.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { limit, weight, priority } = *self;
        let word = priority.and_then(|at| PRIORITIES.get(at as usize)).map(|word| (*word).to_owned());
        let lines = [
            (MEM_LIMIT.variable, limit.map(quantity::exact_size)),
            (WEIGHT.variable, weight.map(|weight| weight.to_string())),
            (PRIORITY.variable, word),
        ];
        lines.into_iter().filter_map(|(name, value)| Some(format!("{name}={}\n", value?))).collect()
    }
}

/// What a site may say one shard is, for errors.
pub const PER_SHARD: &str = "MiB, a size such as 2GiB, or none";
/// What a site may say of priorities, for errors.
pub const PRIORITY_MAP: &str = "NAME:low, NAME:normal or NAME:high, several with commas between";

/// Reads how much of a GPU's memory one shard is; within: none. A number alone is MiB, as in Slurm's own settings.
#[must_use]
pub fn mem_per_shard(text: &str) -> Option<Option<Bytes>> {
    const MIB: u64 = 1 << 20;
    if text == "none" {
        return Some(None);
    }
    let size = match quantity::whole(text) {
        Some(mib) if !text.is_empty() => Bytes(u64::from(mib) * MIB),
        _ => quantity::size(text)?,
    };
    (size.0 >= MIB).then_some(Some(size))
}

/// What a site may say of turns, for errors.
pub const SHARDS_PER_WEIGHT: &str = "none, or for how many shards a turn is one time longer, 1 to 65536";

/// Reads for how many shards a turn is one time longer; within: all turns are alike.
#[must_use]
pub fn shards_per_weight(text: &str) -> Option<Option<u32>> {
    if text == "none" {
        return Some(None);
    }
    quantity::whole(text).filter(|shards| (1..=65_536).contains(shards)).map(Some)
}

/// Reads the priorities of partitions or QOS: `fast:high,night:low`.
#[must_use]
pub fn priority_map(text: &str) -> Option<Vec<(String, u32)>> {
    let entry = |entry: &str| {
        let (name, word) = entry.rsplit_once(':')?;
        // A name with a blank would be two words in plugstack.conf.
        let named = !name.is_empty() && !name.contains(char::is_whitespace);
        named.then(|| Some((name.to_owned(), wishes::priority(word)?)))?
    };
    text.split(',').map(entry).collect()
}

/// What the name of a job begins with where containers have an id: `job_42`.
pub const JOB: &str = "job_";

/// Whether what stands where containers have an id names a job.
#[must_use]
pub fn is_job(container: &str) -> bool {
    container.starts_with(JOB)
}

/// For words: `container 4f1d3c0b5a69`, `job 42`.
#[must_use]
pub fn container_or_job(container: &str) -> String {
    container.strip_prefix(JOB).map_or_else(|| format!("container {container}"), |job| format!("job {job}"))
}

/// The name of a step's file: `42.0`, `42.batch`, as `sacct` names the step. None: that is no step.
#[must_use]
pub fn file_name(job: u32, step: &str) -> Option<String> {
    is_step(step).then(|| format!("{job}.{step}"))
}

/// Whether this is the name of a step: a number, or a word such as `batch`.
#[must_use]
pub fn is_step(step: &str) -> bool {
    (1..=16).contains(&step.len())
        && step.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let rules = JobRules { limit: Some(Bytes(3 << 29)), weight: Some(2), priority: Some(2) };
        assert_eq!(rules.text(), "NVSHARE_MEM_LIMIT=1536MiB\nNVSHARE_WEIGHT=2\nNVSHARE_PRIORITY=high\n");
        assert_eq!(JobRules::parse(&rules.text()), rules);
        assert_eq!(JobRules::parse(&JobRules::default().text()), JobRules::default());
        let odd = "nonsense\nNVSHARE_WEIGHT=0\nNVSHARE_MEM_LIMIT=-1\nNVSHARE_PRIORITY=high\nLATER=1\n";
        assert_eq!(JobRules::parse(odd), JobRules { priority: Some(2), ..JobRules::default() });
    }

    #[test]
    fn the_least_of_two_is_of_each_the_lesser() {
        let rules =
            |limit: Option<u64>, weight, priority| JobRules { limit: limit.map(Bytes), weight, priority };
        for (one, other, least) in [
            (
                rules(Some(8), Some(3), Some(2)),
                rules(Some(2), Some(4), Some(0)),
                rules(Some(2), Some(3), Some(0)),
            ),
            (rules(None, Some(3), Some(2)), JobRules::default(), JobRules::default()),
            (rules(Some(1), None, Some(0)), JobRules::default(), rules(Some(1), None, Some(0))),
        ] {
            assert_eq!((one.least(other), other.least(one)), (least, least));
        }
    }

    #[test]
    fn what_a_site_says_is_read_by_both_who_need_it() {
        for (text, mib) in [("1024", Some(1024)), ("2GiB", Some(2048)), ("none", None)] {
            assert_eq!(mem_per_shard(text), Some(mib.map(|mib: u64| Bytes(mib << 20))), "{text}");
        }
        assert_eq!(["", "0", "512k", "much"].map(mem_per_shard), [None; 4]);
        assert_eq!(
            ["none", "4", "0", "", "x"].map(shards_per_weight),
            [Some(None), Some(Some(4)), None, None, None]
        );
        assert_eq!(priority_map("fast:high,a:b:low"), Some(vec![("fast".into(), 2), ("a:b".into(), 0)]));
        assert_eq!(
            ["", "fast", ":low", "fast:2", "fast:low,", "a b:low"].map(priority_map),
            [const { None }; 6]
        );
    }

    #[test]
    fn a_steps_file_is_named_as_sacct_names_the_step() {
        assert_eq!(file_name(42, "0").as_deref(), Some("42.0"));
        assert_eq!(file_name(42, "batch").as_deref(), Some("42.batch"));
        for step in ["", "../7", "a/b", "0.1", "seventeen-letters", "Batch", "12345678901234567"] {
            assert_eq!(file_name(42, step), None, "{step}");
        }
    }
}
