//! Which processes are of one job: by what launchers tell them, and by who has started whom. What launchers tell is
//! recorded (`tests/launchers/record.sh`), the processes are real.
use anyhow::{Context, Result, ensure};
use nvshare_tests::world::{Scheduler, Tenant, World, built, until};
use std::collections::BTreeMap;
use std::path::Path;

const CARD: &[(&str, &str)] = &[
    ("FAKECUDA_CARD", "report"),
    ("FAKECUDA_DEVICES", "2"),
    ("FAKECUDA_BYTE_SCALE", "512"),
    ("FAKECUDA_TIME_SCALE", "25"),
];
const CONFIG: &str = "[scheduler]\ngangs = true\n";

/// Uses CUDA until its stdin ends.
const USES_CUDA: &str = "import ctypes, sys\n\
     assert ctypes.CDLL('libcuda.so.1').cuInit(0) == 0\n\
     print('{\"uses\": true}', flush=True)\n\
     sys.stdin.read()\n";

/// What one process was told.
type Told = BTreeMap<String, String>;

/// The processes of each recorded command.
fn recorded(file: &str) -> Result<BTreeMap<String, Vec<Told>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("launchers/recorded").join(file);
    let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let mut commands = BTreeMap::<String, Vec<Told>>::new();
    for record in text.split("=== ").skip(1) {
        let (command, variables) = record.split_once('\n').context("a record has a line of its own")?;
        let variables = variables.lines().filter_map(|line| line.split_once('='));
        let told = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        commands.entry(command.to_owned()).or_default().push(told);
    }
    Ok(commands)
}

fn python(world: &World, text: &str, told: &Told) -> Result<Tenant> {
    let mut command = world.command("python3")?;
    command.args(["-u", "-c", text]).env("NVSHARE_GANG", "auto").envs(told);
    Tenant::spawn(command)
}

/// The gangs of those who use CUDA, with the sizes that are known, once so many do.
fn gangs(scheduler: &Scheduler, tenants: usize) -> Result<Vec<(Option<String>, Option<u32>)>> {
    let mut gangs = Vec::new();
    until("all use CUDA", || {
        let rows = scheduler.status()?.tenants;
        gangs = rows.into_iter().map(|row| (row.gang, row.gang_size)).collect();
        Ok(gangs.len() >= tenants)
    })?;
    ensure!(gangs.len() == tenants, "{tenants} were to be there: {gangs:?}");
    Ok(gangs)
}

/// What is expected of a recorded command: the name of the gang, in which `{VARIABLE}` stands for its value and `{launcher}`
/// for the number of the process that has started all; and the sizes, as the processes stand in the record.
type Expected = (&'static str, &'static str, Option<&'static str>, &'static [u32]);

const RECORDED: &[Expected] = &[
    ("torchrun.txt", "one host, standalone", Some("torch:{MASTER_ADDR}:{MASTER_PORT}@{launcher}"), &[2, 2]),
    ("torchrun.txt", "one host", Some("torch:127.0.0.1:29511@{launcher}"), &[2, 2]),
    // Two launchers: on one host here, where all four meet.
    ("torchrun.txt", "two hosts", Some("torch:127.0.0.1:29512"), &[2, 2, 2, 2]),
    ("torchrun.txt", "a job of one", None, &[]),
    ("openmpi.txt", "two ranks", Some("ompi:{PMIX_NAMESPACE}"), &[2, 2]),
    ("openmpi.txt", "a job of one", None, &[]),
    ("mpich.txt", "two ranks", Some("pmi:{launcher}"), &[2, 2]),
    ("slurm.txt", "two tasks on one node", Some("slurm:{SLURM_JOB_ID}.0"), &[2, 2]),
    ("slurm.txt", "three tasks on two nodes", Some("slurm:{SLURM_JOB_ID}.0"), &[2, 1, 2]),
    ("slurm.txt", "one task", None, &[]),
    ("slurm.txt", "the batch script itself", None, &[]),
    ("slurm.txt", "a step of two in a job of four", Some("slurm:{SLURM_JOB_ID}.0"), &[2, 2]),
    ("slurm.txt", "a step of one in a job of four", None, &[]),
    ("slurm.txt", "a step of two that meets as PyTorch does", Some("slurm:{SLURM_JOB_ID}.2"), &[2, 2]),
    (
        "slurm.txt",
        "a step of two that meets as PyTorch does, and says how many there are",
        Some("torch:n1:29513"),
        &[2, 2],
    ),
    ("slurm.txt", "torchrun in a step of one", Some("torch:{MASTER_ADDR}:{MASTER_PORT}@{launcher}"), &[2, 2]),
];

fn filled(template: &str, told: &Told) -> String {
    let mut name = template.replace("{launcher}", &std::process::id().to_string());
    for (variable, value) in told {
        name = name.replace(&format!("{{{variable}}}"), value);
    }
    name
}

#[test]
fn what_launchers_tell_their_processes_makes_gangs() -> Result<()> {
    let mut missing: Vec<String> = Vec::new();
    for file in ["torchrun.txt", "openmpi.txt", "mpich.txt", "slurm.txt"] {
        for (command, processes) in recorded(file)? {
            let expected = RECORDED.iter().find(|(of, name, ..)| (*of, *name) == (file, &command[..]));
            let Some((_, _, name, sizes)) = expected else {
                missing.push(format!("{file}: {command}"));
                continue;
            };
            let world = World::new(CARD)?;
            let scheduler = world.scheduler_with(CONFIG, &[])?;
            let mut tenants = Vec::new();
            let mut wanted = Vec::new();
            for (at, told) in processes.iter().enumerate() {
                tenants.push(python(&world, USES_CUDA, told)?);
                wanted.push((name.map(|name| filled(name, told)), sizes.get(at).copied()));
                // One after the other: their numbers are in their order.
                gangs(&scheduler, at + 1)?;
            }
            let found = gangs(&scheduler, processes.len())?;
            ensure!(found == wanted, "{file}, {command}: {found:?} instead of {wanted:?}");
        }
    }
    ensure!(missing.is_empty(), "nothing is expected of {missing:?}");
    Ok(())
}

/// A launcher that starts two processes, each in a shell, as scripts around programs do.
fn launcher(world: &World, told: &[(&str, &str)]) -> Result<Tenant> {
    let text = format!(
        "import os, subprocess, sys\n\
         start = ['sh', '-c', '\"$0\" -u -c \"$1\"; true', sys.executable, {USES_CUDA:?}]\n\
         told = dict({told:?})\n\
         ranks = [subprocess.Popen(start, env={{**os.environ, **told, 'RANK': str(rank)}}) for rank in range(2)]\n\
         sys.exit(max(rank.wait() for rank in ranks))\n"
    );
    python(world, &text, &Told::new())
}

#[test]
fn two_runs_of_one_script_are_two_gangs() -> Result<()> {
    // As torchrun says it, where the port is the same in every run; and as Hydra does, which names no job.
    let torchrun: &[_] = &[
        ("MASTER_ADDR", "127.0.0.1"),
        ("MASTER_PORT", "29500"),
        ("WORLD_SIZE", "2"),
        ("LOCAL_WORLD_SIZE", "2"),
        ("GROUP_WORLD_SIZE", "1"),
        ("TORCHELASTIC_RUN_ID", "none"),
    ];
    let hydra: &[_] = &[("PMI_RANK", "0"), ("PMI_SIZE", "2"), ("MPI_LOCALNRANKS", "2")];
    for (told, prefix) in [(torchrun, "torch:127.0.0.1:29500@"), (hydra, "pmi:")] {
        let world = World::new(CARD)?;
        let scheduler = world.scheduler_with(CONFIG, &[])?;
        let runs = [launcher(&world, told)?, launcher(&world, told)?];
        let mut found = gangs(&scheduler, 4)?;
        let mut wanted = Vec::new();
        for run in &runs {
            wanted.extend(vec![(Some(format!("{prefix}{}", run.pid())), Some(2)); 2]);
        }
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted);
    }
    Ok(())
}

/// A rank with workers, as PyTorch's DataLoader has them.
#[test]
fn workers_are_of_their_ranks_job_if_they_use_the_gpu() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler_with(CONFIG, &[])?;
    let script = world.dir().join("rank.py");
    let text = "import ctypes, multiprocessing, sys\n\
         def loads(ready, end):\n\
         \x20   ready.put('loads'); end.wait()\n\
         def computes(ready, end):\n\
         \x20   assert ctypes.CDLL('libcuda.so.1').cuInit(0) == 0\n\
         \x20   ready.put('computes'); end.wait()\n\
         if __name__ == '__main__':\n\
         \x20   assert ctypes.CDLL('libcuda.so.1').cuInit(0) == 0\n\
         \x20   for way, work in [('fork', loads), ('spawn', loads), ('spawn', computes)]:\n\
         \x20       kind = multiprocessing.get_context(way)\n\
         \x20       ready, end = kind.Queue(), kind.Event()\n\
         \x20       kind.Process(target=work, args=(ready, end), daemon=True).start()\n\
         \x20       ready.get()\n\
         \x20   print('{\"workers\": true}', flush=True)\n\
         \x20   sys.stdin.read()\n";
    std::fs::write(&script, text)?;
    let told: &[_] = &[("MASTER_ADDR", "h"), ("MASTER_PORT", "1"), ("WORLD_SIZE", "2"), ("RANK", "0")];
    let mut command = world.command("python3")?;
    command.arg(&script).env("NVSHARE_GANG", "auto").envs(told.iter().copied());
    let rank = Tenant::spawn(command)?;
    rank.next("workers")?;
    assert_eq!(gangs(&scheduler, 2)?, vec![(Some("torch:h:1".to_owned()), None); 2]);
    Ok(())
}

/// The processes of Python's multiprocessing, none of which has a launcher.
fn family(world: &World, way: &str, before: &str, gang: &str) -> Result<Tenant> {
    let script = world.dir().join(format!("{way}.py"));
    let text = format!(
        "import ctypes, multiprocessing, os, sys\n\
         def work(rank, ready, end):\n\
         \x20   {before}\n\
         \x20   assert ctypes.CDLL('libcuda.so.1').cuInit(0) == 0\n\
         \x20   ready.put(rank); end.wait()\n\
         if __name__ == '__main__':\n\
         \x20   kind = multiprocessing.get_context('{way}')\n\
         \x20   ready, end = kind.Queue(), kind.Event()\n\
         \x20   for rank in range(2): kind.Process(target=work, args=(rank, ready, end), daemon=True).start()\n\
         \x20   ready.get(); ready.get()\n\
         \x20   print('{{\"workers\": true}}', flush=True)\n\
         \x20   sys.stdin.read()\n"
    );
    std::fs::write(&script, text)?;
    let mut command = world.command("python3")?;
    command.arg(&script).env("NVSHARE_GANG", gang);
    let parent = Tenant::spawn(command)?;
    parent.next("workers")?;
    Ok(parent)
}

#[test]
fn pythons_multiprocessing_is_a_gang_by_name_or_by_its_port() -> Result<()> {
    let meets = "os.environ.update(MASTER_ADDR='localhost', MASTER_PORT='12355')";
    for way in ["fork", "spawn"] {
        for (before, gang, expected) in [
            ("pass", "auto", None),
            ("pass", "job-7", Some("job-7")),
            (meets, "auto", Some("torch:localhost:12355")),
        ] {
            let world = World::new(CARD)?;
            let scheduler = world.scheduler_with(CONFIG, &[])?;
            let _parent = family(&world, way, before, gang)?;
            let wanted = (expected.map(str::to_owned), None);
            assert_eq!(gangs(&scheduler, 2)?, vec![wanted; 2], "{way}, {before}, {gang}");
        }
    }
    Ok(())
}

#[test]
fn programs_that_a_shell_starts_are_of_no_gang() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler_with(CONFIG, &[])?;
    let text = format!(
        "import subprocess, sys\n\
         start = [sys.executable, '-u', '-c', {USES_CUDA:?}]\n\
         [one.wait() for one in [subprocess.Popen(start) for _ in range(2)]]\n"
    );
    let _shell = python(&world, &text, &Told::new())?;
    assert_eq!(gangs(&scheduler, 2)?, vec![(None, None); 2]);
    Ok(())
}

/// It waits inside a kernel for one that another host has put aside.
#[test]
fn a_drain_that_another_host_may_hold_up_is_told_as_such() -> Result<()> {
    let world = World::new(CARD)?;
    let config = "[scheduler]\ngangs = true\nquantum = 0.2\ndrain_seconds = 0.5\npatience_seconds = 2\nshare = false\n\
         [swap]\nbudget = \"8GiB\"\n";
    let scheduler = world.scheduler_with(config, &[])?;
    // The other one was there when they met, by the third word.
    let words = [0_u32, 0, 1].map(u32::to_ne_bytes);
    std::fs::write(world.dir().join("meet"), words.as_flattened())?;
    let mut command = world.command(built()?.join("rank"))?;
    command.args(["--device", "0", "--rank", "0", "--ranks", "2", "--bytes", "1048576", "--seconds", "100"]);
    command.arg("--meet").arg(world.dir().join("meet")).env("NVSHARE_GANG", "auto").envs([
        ("MASTER_ADDR", "10.0.0.1"),
        ("MASTER_PORT", "29500"),
        ("WORLD_SIZE", "2"),
        ("LOCAL_WORLD_SIZE", "1"),
    ]);
    let _rank = Tenant::spawn(command)?;
    until("it waits for its peer", || {
        Ok(scheduler.status()?.tenants.iter().any(|row| row.state == "running" && row.allocated_bytes > 0))
    })?;
    let other = world.load(&["--bytes", "1048576", "--seconds", "100"], &[])?;
    until("its report is there", || {
        let rows = scheduler.status()?.tenants;
        let reports: Vec<String> = rows.into_iter().flat_map(|row| row.reports).collect();
        Ok(reports.iter().any(|report| report.contains("on another host may hold it up")))
    })?;
    let log = world.tenants_log();
    ensure!(log.contains("a process of its job on another host may hold it up"), "{log}");
    drop(other);
    Ok(())
}
