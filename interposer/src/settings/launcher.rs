//! What launchers say to the processes that they start as one job: by which name these know each other, and how many
//! there are. They say it by environment variables.
use std::fs::{File, read_to_string};
use std::io::Read;

/// A job of several processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub name: String,
    /// How many processes the launcher has started on this host, and on all hosts.
    pub local: Option<u32>,
    pub world: Option<u32>,
}

/// The job that this process is of. `launcher`: who has started the process, and has not this variable itself.
pub fn job(get: impl Fn(&str) -> Option<String>, launcher: impl Fn(&str) -> Option<u32>) -> Option<Job> {
    let said = Said(&get);
    if let Some(ranks) = said.torch_ranks(&launcher) {
        return ranks;
    }
    // Launchers start each other (srun starts mpirun): the innermost one knows the processes that wait for each other.
    let outer = said.open_mpi().or_else(|| said.slurm()).or_else(|| said.pmi(&launcher)).flatten();
    match (outer, said.rendezvous()) {
        // One task of a host may start the processes itself. Their number is not known then.
        (Some(job), Some(_)) => Some(Job { local: job.local.filter(|local| *local > 1), ..job }),
        (Some(job), None) => Some(job),
        (None, Some(at)) => Some(Job { name: at, local: None, world: None }),
        (None, None) => None,
    }
}

/// The variables. An answer of a launcher is none if it has not started the process, and `Some(None)` if it has started it
/// alone.
struct Said<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Said<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.text(name)?.trim().parse().ok().filter(|number| *number > 0)
    }

    /// Where processes that use PyTorch's variables meet.
    fn rendezvous(&self) -> Option<String> {
        Some(format!("torch:{}:{}", self.text("MASTER_ADDR")?, self.text("MASTER_PORT")?))
    }

    /// torchrun, and all that say what it says: Lightning, DeepSpeed, Accelerate.
    fn torch_ranks(&self, launcher: &impl Fn(&str) -> Option<u32>) -> Option<Option<Job>> {
        const RUN: &str = "TORCHELASTIC_RUN_ID";
        let mut name = self.rendezvous()?;
        let world = self.number("WORLD_SIZE")?;
        if world == 1 {
            return Some(None);
        }
        // The port of a job on one host is the same in every run, and a process of an earlier run may be left. Jobs on
        // several hosts have several launchers, maybe on one host too.
        if self.text(RUN).is_some()
            && self.number("GROUP_WORLD_SIZE") == Some(1)
            && let Some(pid) = launcher(RUN)
        {
            name += &format!("@{pid}");
        }
        let here = || {
            let address = self.text("MASTER_ADDR")?;
            (address == "localhost" || address == "::1" || address.starts_with("127.")).then_some(world)
        };
        let tasks = || {
            let outer = self.open_mpi().or_else(|| self.slurm())??;
            outer.local.filter(|_| outer.world == Some(world))
        };
        let local = self.number("LOCAL_WORLD_SIZE").or_else(|| self.number("LOCAL_SIZE"));
        let local = local.or_else(here).or_else(tasks).filter(|local| *local <= world);
        Some(Some(Job { name, local, world: Some(world) }))
    }

    fn open_mpi(&self) -> Option<Option<Job>> {
        let world = self.number("OMPI_COMM_WORLD_SIZE")?;
        let job = self.text("PMIX_NAMESPACE").or_else(|| self.text("OMPI_MCA_ess_base_jobid"))?;
        let local = self.number("OMPI_COMM_WORLD_LOCAL_SIZE");
        Some((world > 1).then(|| Job { name: format!("ompi:{job}"), local, world: Some(world) }))
    }

    /// A step of a job of Slurm's. Its batch script is of none.
    fn slurm(&self) -> Option<Option<Job>> {
        let (job, step) = (self.text("SLURM_JOB_ID")?, self.text("SLURM_STEP_ID")?);
        self.text("SLURM_PROCID")?;
        let world = self.number("SLURM_STEP_NUM_TASKS").or_else(|| self.number("SLURM_NTASKS"))?;
        let each = self.text("SLURM_STEP_TASKS_PER_NODE").or_else(|| self.text("SLURM_TASKS_PER_NODE"));
        let node = self.text("SLURM_NODEID").and_then(|node| node.parse().ok());
        let local = each.zip(node).and_then(|(each, node)| tasks_of_node(&each, node));
        let name = format!("slurm:{job}.{step}");
        Some((world > 1).then_some(Job { name, local, world: Some(world) }))
    }

    /// MPICH, and those that come from it.
    fn pmi(&self, launcher: &impl Fn(&str) -> Option<u32>) -> Option<Option<Job>> {
        const RANK: &str = "PMI_RANK";
        self.text(RANK)?;
        let world = self.number("PMI_SIZE")?;
        // Hydra names no job: all processes of a host have one launcher.
        let name = format!("pmi:{}", launcher(RANK)?);
        let local = self.number("MPI_LOCALNRANKS");
        Some((world > 1).then_some(Job { name, local, world: Some(world) }))
    }
}

/// How many tasks a step has on its node of this number, of a list such as `2(x3),1`.
fn tasks_of_node(list: &str, node: u32) -> Option<u32> {
    let mut before = 0u32;
    for part in list.split(',') {
        let (tasks, nodes) = match part.split_once("(x") {
            Some((tasks, nodes)) => (tasks, nodes.strip_suffix(')')?.parse().ok()?),
            None => (part, 1),
        };
        before = before.checked_add(nodes)?;
        if node < before {
            return tasks.parse().ok().filter(|tasks| *tasks > 0);
        }
    }
    None
}

/// The nearest ancestor of this process that did not have the variable when it began: below it, a shell or a process that
/// itself is one of the launcher's may have started this one.
pub fn ancestor_without(variable: &str) -> Option<u32> {
    /// So many are looked at.
    const MOST: usize = 32;
    let mut pid = std::os::unix::process::parent_id();
    for _ in 0..MOST {
        if !had_variable(pid, variable) {
            break;
        }
        pid = parent_of(pid)?;
    }
    (pid > 0).then_some(pid)
}

/// Who may not be asked belongs to somebody else, as a launcher that is a service does.
fn had_variable(pid: u32, variable: &str) -> bool {
    /// More than the kernel lets a program begin with in most settings.
    const LIMIT: u64 = 2 << 20;
    let mut environment = Vec::new();
    let read = File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(LIMIT).read_to_end(&mut environment));
    let is_it = |entry: &[u8]| {
        entry.strip_prefix(variable.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'='))
    };
    read.is_ok() && environment.split(|byte| *byte == 0).any(is_it)
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // A program's name may hold anything: what follows its last bracket is ours to read.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn told(pairs: &[(&str, &str)]) -> Option<Job> {
        let get =
            |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        job(get, |_| Some(77))
    }

    fn a_job(name: &str, local: impl Into<Option<u32>>, world: impl Into<Option<u32>>) -> Option<Job> {
        Some(Job { name: name.to_owned(), local: local.into(), world: world.into() })
    }

    const TORCH: [(&str, &str); 3] = [("MASTER_ADDR", "host"), ("MASTER_PORT", "29500"), ("WORLD_SIZE", "4")];
    const STEP: [(&str, &str); 6] = [
        ("SLURM_JOB_ID", "7"),
        ("SLURM_STEP_ID", "0"),
        ("SLURM_PROCID", "1"),
        ("SLURM_NODEID", "1"),
        ("SLURM_NTASKS", "5"),
        ("SLURM_STEP_TASKS_PER_NODE", "2(x2),1"),
    ];
    const MPI: [(&str, &str); 3] = [
        ("OMPI_COMM_WORLD_SIZE", "4"),
        ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ("PMIX_NAMESPACE", "prterun-host-1@1"),
    ];

    #[test]
    fn launchers_name_the_job_and_its_size() {
        assert_eq!(told(&[]), None);
        assert_eq!(told(&TORCH), a_job("torch:host:29500", None, 4));
        let with = |more: &[(&'static str, &'static str)]| told(&[more, &TORCH[..]].concat());
        assert_eq!(with(&[("LOCAL_WORLD_SIZE", "2")]), a_job("torch:host:29500", 2, 4));
        assert_eq!(with(&[("LOCAL_WORLD_SIZE", "5")]), a_job("torch:host:29500", None, 4), "more than all");
        assert_eq!(with(&[("MASTER_ADDR", "127.0.0.1")]), a_job("torch:127.0.0.1:29500", 4, 4));
        assert_eq!(with(&[("WORLD_SIZE", "1")]), None, "a job of one");
        assert_eq!(told(&TORCH[..2]), a_job("torch:host:29500", None, None));
        assert_eq!(told(&MPI), a_job("ompi:prterun-host-1@1", 2, 4));
        assert_eq!(told(&STEP), a_job("slurm:7.0", 2, 5));
        assert_eq!(told(&[&[("SLURM_NODEID", "2")], &STEP[..]].concat()), a_job("slurm:7.0", 1, 5));
        assert_eq!(told(&STEP[..2]), None, "the batch script itself");
        let mpich = [("PMI_RANK", "1"), ("PMI_SIZE", "2"), ("MPI_LOCALNRANKS", "2")];
        assert_eq!(told(&mpich), a_job("pmi:77", 2, 2));
    }

    /// A killed torchrun leaves processes behind, and the next one has the same port.
    #[test]
    fn runs_of_one_host_are_told_apart_by_their_launcher() {
        let run = [("TORCHELASTIC_RUN_ID", "none"), ("LOCAL_WORLD_SIZE", "4")];
        let one = [&run[..], &[("GROUP_WORLD_SIZE", "1")], &TORCH[..]].concat();
        assert_eq!(told(&one), a_job("torch:host:29500@77", 4, 4));
        let two = [&run[..1], &[("GROUP_WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2")], &TORCH[..]].concat();
        assert_eq!(told(&two), a_job("torch:host:29500", 2, 4), "each host has a launcher");
    }

    #[test]
    fn the_innermost_launcher_counts() {
        let torch = [&[("LOCAL_WORLD_SIZE", "2")], &TORCH[..], &STEP[..]].concat();
        assert_eq!(told(&torch), a_job("torch:host:29500", 2, 4));
        assert_eq!(told(&[&MPI[..], &STEP[..]].concat()), a_job("ompi:prterun-host-1@1", 2, 4));
        let alone = [("OMPI_COMM_WORLD_SIZE", "1")];
        assert_eq!(told(&[&alone[..], &MPI[..], &STEP[..]].concat()), None, "mpirun has started one");
        let step = [("SLURM_STEP_NUM_TASKS", "1")];
        assert_eq!(told(&[&step[..], &STEP[..]].concat()), None, "a step of one in a job of five");
        assert_eq!(told(&[&[("WORLD_SIZE", "1")], &TORCH[..], &STEP[..]].concat()), None);
    }

    /// The batch script says where they meet, and srun starts them; or one task starts them.
    #[test]
    fn tasks_that_meet_as_torchs_ranks_do_have_the_steps_size() {
        let all = [&[("WORLD_SIZE", "5")], &TORCH[..], &STEP[..]].concat();
        assert_eq!(told(&all), a_job("torch:host:29500", 2, 5));
        assert_eq!(told(&[&TORCH[..], &STEP[..]].concat()), a_job("torch:host:29500", None, 4), "others");
        assert_eq!(told(&[&TORCH[..2], &STEP[..]].concat()), a_job("slurm:7.0", 2, 5));
        let one_each = [("SLURM_STEP_TASKS_PER_NODE", "1(x5)")];
        assert_eq!(told(&[&one_each, &TORCH[..2], &STEP[..]].concat()), a_job("slurm:7.0", None, 5));
        let alone = [("SLURM_STEP_NUM_TASKS", "1")];
        let spawned = [&alone[..], &TORCH[..2], &STEP[..]].concat();
        assert_eq!(told(&spawned), a_job("torch:host:29500", None, None));
    }

    #[test]
    fn slurms_list_of_tasks_is_read_and_nothing_else() {
        let read = |list| [0, 1, 2, 3].map(|node| tasks_of_node(list, node));
        assert_eq!(read("2(x3),1"), [Some(2), Some(2), Some(2), Some(1)]);
        assert_eq!(read("4"), [Some(4), None, None, None]);
        for wrong in ["", "x", "2(x", "2(x)", "(x3)", "2(x99999999999)", "0(x4)", "-1"] {
            assert_eq!(read(wrong), [None; 4], "{wrong:?}");
        }
        assert_eq!(tasks_of_node("1(x4294967295),1(x2)", u32::MAX), None, "no such number of nodes");
    }

    /// This test again, below a shell that has the variable and one that has not.
    #[test]
    fn the_launcher_is_found_above_shells() {
        const VARIABLE: &str = "NVSHARE_TEST_RANK_OF";
        let name = "settings::launcher::tests::the_launcher_is_found_above_shells";
        if std::env::var_os(VARIABLE).is_some() {
            println!("launcher {:?}", ancestor_without(VARIABLE));
            return;
        }
        let test = std::env::current_exe().unwrap();
        let script = format!(
            "echo shell $$; export {VARIABLE}=1; sh -c '{} --exact {name} --nocapture; true'; true",
            test.display()
        );
        let said = Command::new("sh").args(["-c", &script]).stderr(Stdio::inherit()).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let shell = said.lines().find_map(|line| line.strip_prefix("shell ")).unwrap();
        assert!(said.contains(&format!("launcher Some({shell})")), "{said}");
    }
}
