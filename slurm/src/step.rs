//! What becomes of a step: a decision on what is known of it, and the changes.
use crate::arguments::Arguments;
use crate::job_file;
use crate::options::{self, Options};
use crate::spank::Spank;
use nvshare_protocol::job_rules::JobRules;
use nvshare_protocol::{Bytes, wishes};
use std::path::Path;

/// What a step's environment says. slurmstepd writes the numbers over whatever the job has set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `SLURM_SHARDS_ON_NODE`.
    pub shards: Option<String>,
    /// `SLURM_GPUS_ON_NODE`: how many GPUs the shards are of.
    pub gpus: Option<String>,
    pub partition: Option<String>,
    pub qos: Option<String>,
    pub preload: Option<String>,
    /// `SLURM_CONTAINER`: its processes see another file system.
    pub container: Option<String>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its `LD_PRELOAD` from now on; none: as it is. An empty one goes.
    pub preload: Option<String>,
    /// None: it is left alone.
    pub rules: Option<JobRules>,
}

/// Decides. The least of what Slurm has given and what the user wishes holds.
pub fn plan(facts: &Facts, arguments: &Arguments, options: Options) -> Plan {
    let library = &arguments.library;
    let preload = facts.preload.as_deref().unwrap_or_default();
    let number = |text: &Option<String>| text.as_deref()?.parse::<u32>().ok().filter(|number| *number > 0);
    let shards = match number(&facts.shards) {
        Some(shards) if !options.unmanaged => shards,
        // It may have been submitted from a job that is managed, and have its environment.
        _ => return Plan { preload: without(preload, library), rules: None },
    };
    let on_each = shards.div_ceil(number(&facts.gpus).unwrap_or(1));
    let given = arguments.mem_per_shard.map(|Bytes(each)| Bytes(each.saturating_mul(u64::from(on_each))));
    let site = arguments.priority(facts.partition.as_deref(), facts.qos.as_deref());
    let rules = JobRules {
        limit: given.into_iter().chain(options.limit).min(),
        weight: arguments.shards_per_weight.map(|each| on_each.div_ceil(each.max(1)).min(MOST_WEIGHT)),
        priority: options::priority(options.priority, site),
    };
    let in_container = facts.container.as_ref().is_some_and(|container| !container.is_empty());
    Plan { preload: if in_container { None } else { with(preload, library) }, rules: Some(rules) }
}

/// As [`wishes::WEIGHT`] allows.
const MOST_WEIGHT: u32 = 1000;

/// The loader splits the list at both (ld.so(8)).
const BETWEEN: [char; 2] = [':', ' '];

/// With the library first; none: it is there. A batch job's own srun has its environment.
fn with(preload: &str, library: &Path) -> Option<String> {
    let library = library.to_str()?;
    if preload.split(BETWEEN).any(|entry| entry == library) {
        return None;
    }
    Some(if preload.is_empty() { library.to_owned() } else { format!("{library}:{preload}") })
}

/// Without the library; none: it is not there.
fn without(preload: &str, library: &Path) -> Option<String> {
    let library = library.to_str()?;
    let others: Vec<&str> =
        preload.split(BETWEEN).filter(|entry| *entry != library && !entry.is_empty()).collect();
    preload.split(BETWEEN).any(|entry| entry == library).then(|| others.join(":"))
}

/// Makes a step ready.
///
/// # Errors
/// Why it runs unmanaged. Nothing is left half done: the environment is changed last.
pub fn prepare(spank: Spank, arguments: &Arguments, options: Options) -> Result<(), String> {
    let facts = Facts {
        shards: spank.variable(c"SLURM_SHARDS_ON_NODE")?,
        gpus: spank.variable(c"SLURM_GPUS_ON_NODE")?,
        partition: spank.variable(c"SLURM_JOB_PARTITION")?,
        qos: spank.variable(c"SLURM_JOB_QOS")?,
        preload: spank.variable(c"LD_PRELOAD")?,
        container: spank.variable(c"SLURM_CONTAINER")?,
    };
    let Plan { preload, rules } = plan(&facts, arguments, options);
    if let Some(rules) = rules {
        let (Some(job), Some(step)) = (spank.job(), spank.step()) else {
            return Err("a step without a number runs unmanaged".into());
        };
        manage(arguments, job, &step, &rules)
            .map_err(|why| format!("step {job}.{step} runs unmanaged: {why}"))?;
        if let Some(socket) = arguments.socket.as_deref().and_then(Path::to_str) {
            spank.set(c"NVSHARE_SOCKET", socket)?;
        }
    }
    match preload.as_deref() {
        None => Ok(()),
        Some("") => {
            spank.unset(c"LD_PRELOAD");
            Ok(())
        }
        Some(list) => spank.set(c"LD_PRELOAD", list),
    }
}

fn manage(arguments: &Arguments, job: u32, step: &str, rules: &JobRules) -> Result<(), String> {
    // The loader would say so in every program of the job.
    if !arguments.library.is_file() {
        return Err(format!("the library {} is missing", arguments.library.display()));
    }
    debug_assert!(rules.weight.is_none_or(|weight| wishes::weight(&weight.to_string()).is_some()));
    job_file::write(&arguments.jobs, job, step, rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(shards: &str, preload: &str) -> Facts {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Facts { shards: text(shards), preload: text(preload), gpus: text("1"), ..Facts::default() }
    }

    fn site() -> Arguments {
        Arguments::parse(["library=/l.so", "mem_per_shard=1024", "weight=1", "priority_partition=fast:high"])
            .0
    }

    const LIBRARY: Option<&str> = Some("/l.so");

    #[test]
    fn shards_are_managed_and_all_else_is_left_alone() {
        for (shards, managed) in
            [("2", true), ("", false), ("0", false), ("-1", false), ("two", false), ("99999999999", false)]
        {
            let plan = plan(&facts(shards, ""), &site(), Options::default());
            assert_eq!(plan.rules.is_some(), managed, "{shards}");
            assert_eq!(plan.preload.as_deref(), LIBRARY.filter(|_| managed));
        }
        let not_wanted = Options { unmanaged: true, ..Options::default() };
        assert_eq!(plan(&facts("2", ""), &site(), not_wanted), Plan { preload: None, rules: None });
    }

    #[test]
    fn the_library_is_added_once_and_taken_away_where_it_does_not_belong() {
        let preload =
            |shards: &str, before: &str| plan(&facts(shards, before), &site(), Options::default()).preload;
        for (before, after) in [
            ("", Some("/l.so")),
            ("/l.so", None),
            ("/x.so /l.so", None),
            ("/l.so.1", Some("/l.so:/l.so.1")),
            ("/x.so:/y.so", Some("/l.so:/x.so:/y.so")),
        ] {
            assert_eq!(preload("2", before).as_deref(), after, "{before}");
        }
        for (before, after) in
            [("", None), ("/x.so", None), ("/l.so", Some("")), ("/l.so:/x.so /y.so", Some("/x.so:/y.so"))]
        {
            assert_eq!(preload("", before).as_deref(), after, "{before}");
        }
    }

    #[test]
    fn a_container_has_no_library_of_the_hosts_but_its_rules() {
        let inside = Facts { container: Some("/bundle".into()), ..facts("2", "") };
        let plan = plan(&inside, &site(), Options::default());
        assert!(plan.preload.is_none() && plan.rules.is_some());
    }

    #[test]
    fn the_least_of_shards_and_wish_is_the_limit() {
        let gib = |n: u64| Some(Bytes(n << 30));
        for (shards, gpus, wish, limit, weight) in [
            ("8", "1", None, gib(8), 8),
            ("8", "2", None, gib(4), 4),
            ("7", "2", None, gib(4), 4),
            ("8", "", gib(2), gib(2), 8),
            ("8", "0", gib(16), gib(8), 8),
            ("4000000000", "1", None, gib(4_000_000_000), 1000),
        ] {
            let facts = Facts { gpus: Some(gpus.into()), ..facts(shards, "") };
            let rules = plan(&facts, &site(), Options { limit: wish, ..Options::default() }).rules.unwrap();
            assert_eq!((rules.limit, rules.weight), (limit, Some(weight)), "{shards} {gpus}");
        }
        let free = Arguments { mem_per_shard: None, shards_per_weight: None, ..site() };
        let rules = plan(&facts("8", ""), &free, Options::default()).rules.unwrap();
        assert_eq!(rules, JobRules::default());
    }

    #[test]
    fn a_priority_is_the_sites_or_less() {
        let fast = Facts { partition: Some("fast".into()), ..facts("1", "") };
        let of = |facts: &Facts, priority| {
            plan(facts, &site(), Options { priority, ..Options::default() }).rules.unwrap().priority
        };
        assert_eq!((of(&fast, None), of(&fast, Some(2)), of(&fast, Some(0))), (Some(2), Some(2), Some(0)));
        assert_eq!((of(&facts("1", ""), None), of(&facts("1", ""), Some(2))), (None, Some(1)));
    }
}
