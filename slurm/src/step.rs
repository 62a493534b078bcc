//! What becomes of a step: a decision on what is known of it, and the changes.
use crate::job_file;
use crate::options::{self, Options};
use crate::spank::Spank;
use nvshare_protocol::job_rules::JobRules;
use nvshare_protocol::plugin_arguments::Arguments;
use nvshare_protocol::{Bytes, wishes};
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;

/// What a step's environment says. slurmstepd writes the numbers over whatever the job has set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `SLURM_SHARDS_ON_NODE`.
    pub shards: Option<String>,
    /// `SLURM_GPUS_ON_NODE`: how many GPUs the shards are of.
    pub gpus: Option<String>,
    pub partition: Option<String>,
    pub qos: Option<String>,
    /// Bytes, as the next: anybody sets them to anything.
    pub preload: Option<Vec<u8>>,
    /// `SLURM_CONTAINER`: its processes see another file system.
    pub container: Option<Vec<u8>>,
}

impl Facts {
    /// Reads them. What is no text where Slurm writes text is not Slurm's.
    fn read<E>(variable: impl Fn(&CStr) -> Result<Option<Vec<u8>>, E>) -> Result<Self, E> {
        let text = |name: &CStr| -> Result<Option<String>, E> {
            Ok(variable(name)?.and_then(|value| String::from_utf8(value).ok()))
        };
        Ok(Self {
            shards: text(c"SLURM_SHARDS_ON_NODE")?,
            gpus: text(c"SLURM_GPUS_ON_NODE")?,
            partition: text(c"SLURM_JOB_PARTITION")?,
            qos: text(c"SLURM_JOB_QOS")?,
            preload: variable(c"LD_PRELOAD")?,
            container: variable(c"SLURM_CONTAINER")?,
        })
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its `LD_PRELOAD` from now on; none: as it is. An empty one goes.
    pub preload: Option<Vec<u8>>,
    /// What it may, even if it loads no library yet: a program can load it by itself. None: Slurm has given it no shards.
    pub rules: Option<JobRules>,
}

/// Decides. The least of what Slurm has given and what the user wishes holds.
pub fn plan(facts: &Facts, arguments: &Arguments, options: Options) -> Plan {
    let library = &arguments.library;
    let preload = facts.preload.as_deref().unwrap_or_default();
    let library = library.as_os_str().as_bytes();
    let number = |text: &Option<String>| text.as_deref()?.parse::<u32>().ok().filter(|number| *number > 0);
    // It may have been submitted from a job that is managed, and have its environment.
    let Some(shards) = number(&facts.shards) else {
        return Plan { preload: without(preload, library), rules: None };
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
    let preload = if options.unmanaged {
        without(preload, library)
    } else if in_container {
        None
    } else {
        with(preload, library)
    };
    Plan { preload, rules: Some(rules) }
}

/// As [`wishes::WEIGHT`] allows.
const MOST_WEIGHT: u32 = 1000;

/// The entries of a list as the loader splits it (ld.so(8)).
fn entries(preload: &[u8]) -> impl Iterator<Item = &[u8]> {
    preload.split(|byte| matches!(byte, b':' | b' '))
}

/// With the library first; none: it is there. A batch job's own srun has its environment.
fn with(preload: &[u8], library: &[u8]) -> Option<Vec<u8>> {
    if entries(preload).any(|entry| entry == library) {
        return None;
    }
    Some(if preload.is_empty() { library.to_vec() } else { [library, preload].join(&b':') })
}

/// Without the library; none: it is not there.
fn without(preload: &[u8], library: &[u8]) -> Option<Vec<u8>> {
    let others: Vec<&[u8]> =
        entries(preload).filter(|entry| *entry != library && !entry.is_empty()).collect();
    entries(preload).any(|entry| entry == library).then(|| others.join(&b':'))
}

/// Makes a step ready. `faults`: what is wrong with the arguments.
///
/// # Errors
/// Why it runs unmanaged. Nothing is left half done: the environment is changed last.
pub fn prepare(
    spank: Spank,
    arguments: &Arguments,
    faults: &[String],
    options: Options,
) -> Result<(), String> {
    let Plan { preload, rules } = plan(&Facts::read(|name| spank.variable(name))?, arguments, options);
    let Some(rules) = rules else {
        // Whatever goes wrong with it, it is no step of ours.
        let _ = preload.map_or(Ok(()), |list| put(spank, &list));
        return Ok(());
    };
    may_start(arguments, faults)?;
    let (Some(job), Some(step)) = (spank.job(), spank.step()) else {
        return Err("a step without a number runs unmanaged".into());
    };
    manage(arguments, job, &step, &rules, !options.unmanaged)
        .map_err(|why| format!("step {job}.{step} runs unmanaged: {why}"))?;
    if let Some(socket) = &arguments.socket {
        spank.set(c"NVSHARE_SOCKET", socket.as_os_str().as_bytes())?;
    }
    preload.map_or(Ok(()), |list| put(spank, &list))
}

fn put(spank: Spank, preload: &[u8]) -> Result<(), String> {
    if preload.is_empty() {
        spank.unset(c"LD_PRELOAD");
        return Ok(());
    }
    spank.set(c"LD_PRELOAD", preload)
}

/// Where a site wants steps to fail that are not managed as it says, one by arguments that it has not meant fails too.
fn may_start(arguments: &Arguments, faults: &[String]) -> Result<(), String> {
    match faults.len() {
        count @ 1.. if arguments.fails => Err(format!(
            "a step with shards does not start: {count} of the plugin's arguments are wrong, and on_error=fail"
        )),
        _ => Ok(()),
    }
}

/// Says what the step may, then looks whether it can be managed: a program that loads a library by itself is held by that.
fn manage(arguments: &Arguments, job: u32, step: &str, rules: &JobRules, loads: bool) -> Result<(), String> {
    debug_assert!(rules.weight.is_none_or(|weight| wishes::weight(&weight.to_string()).is_some()));
    job_file::write(&arguments.jobs, job, step, rules)?;
    // The loader would say so in every program of the job.
    if loads && !arguments.library.is_file() {
        return Err(format!("the library {} is missing", arguments.library.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(shards: &str, preload: &str) -> Facts {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let preload = text(preload).map(String::into_bytes);
        Facts { shards: text(shards), preload, gpus: text("1"), ..Facts::default() }
    }

    fn site() -> Arguments {
        Arguments::parse(["library=/l.so", "mem_per_shard=1024", "weight=1", "priority_partition=fast:high"])
            .0
    }

    const LIBRARY: Option<&[u8]> = Some(b"/l.so");

    #[test]
    fn shards_are_managed_and_all_else_is_left_alone() {
        for (shards, managed) in
            [("2", true), ("", false), ("0", false), ("-1", false), ("two", false), ("99999999999", false)]
        {
            let plan = plan(&facts(shards, ""), &site(), Options::default());
            assert_eq!(plan.rules.is_some(), managed, "{shards}");
            assert_eq!(plan.preload.as_deref(), LIBRARY.filter(|_| managed));
        }
    }

    /// Its program can load the library by itself, and is held by what Slurm gave.
    #[test]
    fn a_job_that_is_left_alone_has_its_rules_and_no_library() {
        let not_wanted = Options { unmanaged: true, ..Options::default() };
        let rules = plan(&facts("2", ""), &site(), Options::default()).rules;
        assert!(rules.is_some());
        assert_eq!(plan(&facts("2", ""), &site(), not_wanted), Plan { preload: None, rules });
        assert_eq!(plan(&facts("2", "/l.so"), &site(), not_wanted).preload, Some(Vec::new()));
    }

    #[test]
    fn rules_are_written_though_the_library_is_missing() {
        let jobs = tempfile::tempdir().unwrap();
        let arguments = Arguments { jobs: jobs.path().join("jobs"), ..site() };
        let managed = |loads| manage(&arguments, 4, "0", &JobRules::default(), loads);
        assert!(managed(true).unwrap_err().contains("/l.so is missing"));
        assert!(arguments.jobs.join("4.0").is_file());
        assert_eq!(managed(false), Ok(()));
    }

    /// A step that fails drains its node, and anybody could fail it.
    #[test]
    fn no_variable_of_a_jobs_is_an_error() {
        let junk = |shards: &'static [u8]| {
            Facts::read(|name| {
                let value = if name == c"SLURM_SHARDS_ON_NODE" { shards } else { b"/\xff.so" };
                Ok::<_, String>(Some(value.to_vec()))
            })
            .unwrap()
        };
        let unshared = plan(&junk(b"\xff"), &site(), Options::default());
        assert_eq!(unshared, Plan { preload: None, rules: None });
        let inside = junk(b"2");
        assert_eq!((&inside.partition, &inside.gpus), (&None, &None));
        let shared = Facts { container: None, ..inside };
        let plan = plan(&shared, &site(), Options::default());
        assert_eq!(plan.preload.as_deref(), Some(&b"/l.so:/\xff.so"[..]));
        assert_eq!(plan.rules.unwrap().limit, Some(Bytes(2 << 30)));
    }

    #[test]
    fn wrong_arguments_stop_steps_with_shards_where_the_site_wants_them_to_fail() {
        let (strict, faults) = Arguments::parse(["on_error=fail", "mem_per_shard=much"]);
        assert!(may_start(&strict, &faults).unwrap_err().contains("does not start"));
        assert_eq!(may_start(&strict, &[]), Ok(()));
        let (lenient, faults) = Arguments::parse(["mem_per_shard=much"]);
        assert_eq!((may_start(&lenient, &faults), faults.len()), (Ok(()), 1));
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
            assert_eq!(preload("2", before).as_deref(), after.map(str::as_bytes), "{before}");
        }
        for (before, after) in
            [("", None), ("/x.so", None), ("/l.so", Some("")), ("/l.so:/x.so /y.so", Some("/x.so:/y.so"))]
        {
            assert_eq!(preload("", before).as_deref(), after.map(str::as_bytes), "{before}");
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
