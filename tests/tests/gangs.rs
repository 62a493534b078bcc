//! Jobs of several processes, each with a device of its own, that meet inside their kernels.
use anyhow::{Context, Result, ensure};
use nvshare_tests::world::{Tenant, World, built, until};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;

/// Four cards with 72 MiB each for tenants.
const CARDS: &[(&str, &str)] = &[
    ("FAKECUDA_CARD", "report"),
    ("FAKECUDA_DEVICES", "4"),
    ("FAKECUDA_MEMORY", "6GiB"),
    ("FAKECUDA_BYTE_SCALE", "64"),
    ("FAKECUDA_TIME_SCALE", "25"),
];
/// Two of these 40 MiB do not fit on a card.
const BYTES: &str = "41943040";
const CONFIG: &str = "[scheduler]\nquantum = 0.5\ngangs = true\n[swap]\nbudget = \"8GiB\"\n";

/// How a job's processes are known to belong together.
#[derive(Clone, Copy)]
enum Known<'a> {
    /// By its user.
    Named,
    /// By its launcher.
    Launched,
    Not(&'a str),
}

/// One process on each of these devices.
fn job(world: &World, name: &str, devices: &[u32], seconds: &str, known: Known) -> Result<Vec<Tenant>> {
    job_of(world, name, devices, (BYTES, seconds), known)
}

/// The same with so much memory each.
fn job_of(
    world: &World,
    name: &str,
    devices: &[u32],
    (bytes, seconds): (&str, &str),
    known: Known,
) -> Result<Vec<Tenant>> {
    let meet = world.dir().join(name);
    let ranks = devices.len().to_string();
    let start = |(rank, device): (usize, &u32)| {
        let mut command = world.command(built()?.join("rank"))?;
        command.args(["--device", &device.to_string(), "--rank", &rank.to_string(), "--ranks", &ranks]);
        command.args(["--bytes", bytes, "--seconds", seconds]).arg("--meet").arg(&meet);
        match known {
            Known::Named => command.env("NVSHARE_GANG", name),
            Known::Launched => command.envs([
                ("NVSHARE_GANG", "auto"),
                ("MASTER_ADDR", "127.0.0.1"),
                ("MASTER_PORT", name),
                ("WORLD_SIZE", &ranks),
                ("LOCAL_WORLD_SIZE", &ranks),
                ("RANK", &rank.to_string()),
            ]),
            Known::Not(word) => command.env("NVSHARE_GANG", word),
        };
        Tenant::spawn(command)
    };
    devices.iter().enumerate().map(start).collect()
}

/// Everybody's data is right; the number of steps, and the longest step.
fn right(tenants: Vec<Tenant>) -> Result<(u64, f64)> {
    let mut all = Vec::new();
    for tenant in tenants {
        let last = tenant.finish()?;
        ensure!(last["wrong"] == 0, "{last}");
        all.push((
            last["steps"].as_u64().context("steps")?,
            last["longest_seconds"].as_f64().context("longest")?,
        ));
    }
    let longest = all.iter().map(|(_, longest)| *longest).fold(0.0, f64::max);
    Ok((all[0].0, longest))
}

#[test]
fn jobs_that_do_not_fit_take_turns_whole_and_nobody_stalls() -> Result<()> {
    let world = World::new(CARDS)?;
    let scheduler = world.scheduler_with(CONFIG, &[])?;
    let jobs = [
        job(&world, "29501", &[0, 1, 2, 3], "6", Known::Launched)?,
        job(&world, "b", &[3, 2, 1, 0], "6", Known::Named)?,
        job(&world, "29502", &[1, 0], "6", Known::Launched)?,
        job(&world, "d", &[2, 3], "6", Known::Named)?,
    ];
    until("all belong together", || {
        let gangs = scheduler.status()?.tenants.into_iter().filter_map(|tenant| tenant.gang);
        Ok(gangs.count() == 12)
    })?;
    let done: Vec<_> = jobs.into_iter().map(right).collect::<Result<_>>()?;
    let spans = scheduler.trace()?;
    for (steps, longest) in done {
        ensure!(steps > 20, "{steps} steps");
        // Each waits for at most three others' turns of half a second, with their hand-overs; five are for a bad day.
        ensure!(longest < 8.0, "a step took {longest} s:\n{}\n{:#?}", scheduler.log(), spans);
    }
    let log = scheduler.log();
    ensure!(!log.contains("cannot end its work"), "{log}");
    Ok(())
}

#[test]
fn a_job_that_is_not_known_as_one_ends_all_the_same() -> Result<()> {
    let world = World::new(CARDS)?;
    let scheduler = world.scheduler_with(CONFIG, &[])?;
    let jobs = [
        job(&world, "a", &[0, 1], "3", Known::Not("off"))?,
        job(&world, "b", &[1, 0], "3", Known::Not("off"))?,
    ];
    for tenants in jobs {
        right(tenants)?;
    }
    // Their user says so: nobody finds out that they are one.
    let log = scheduler.log();
    ensure!(log.contains("cannot end its work (lease"), "{log}");
    ensure!(!log.contains("from now on they get their GPUs together"), "{log}");
    Ok(())
}

#[test]
fn the_death_of_a_member_and_of_the_scheduler_hold_nobody_up() -> Result<()> {
    let world = World::new(CARDS)?;
    let mut scheduler = world.scheduler_with(CONFIG, &[])?;
    let other = job(&world, "b", &[1, 0], "8", Known::Named)?;
    let mut dying = job(&world, "a", &[0, 1], "100", Known::Named)?;
    other[0].next("step")?;
    dying[0].next("step")?;
    dying[0].kill()?;
    other[0].next("step")?;
    // The other member waits for it inside its kernel, for ever.
    dying[1].kill()?;
    scheduler.kill()?;
    let scheduler = world.scheduler_with(CONFIG, &[])?;
    until("both are back, as one job", || {
        let gangs: Vec<_> =
            scheduler.status()?.tenants.into_iter().filter_map(|tenant| tenant.gang).collect();
        Ok(gangs == ["b", "b"])
    })?;
    right(other)?;
    Ok(())
}

#[test]
fn two_processes_of_a_job_share_a_device_beside_another_tenant() -> Result<()> {
    let world = World::new(CARDS)?;
    let _scheduler = world.scheduler_with(CONFIG, &[])?;
    let meet = world.dir().join("meet");
    let start = |rank: &str| {
        let mut command = world.command(built()?.join("rank"))?;
        command.args([
            "--device",
            "0",
            "--rank",
            rank,
            "--ranks",
            "2",
            "--bytes",
            "20971520",
            "--seconds",
            "4",
        ]);
        command.arg("--meet").arg(&meet).env("NVSHARE_GANG", "pair");
        Tenant::spawn(command)
    };
    let pair = vec![start("0")?, start("1")?];
    let alone = world.load(&["--bytes", BYTES, "--seconds", "4"], &[])?;
    let (steps, longest) = right(pair)?;
    ensure!(steps > 20 && longest < 4.0, "{steps} steps, the longest took {longest} s");
    ensure!(alone.finish()?["wrong"] == 0, "data of the tenant beside");
    Ok(())
}

/// On an H200 they locked: all began beside each other with nothing, and then each job had a process in a kernel and one
/// without room.
#[test]
fn jobs_that_start_at_once_on_one_card_do_not_lock() -> Result<()> {
    for _ in 0..3 {
        let world = World::new(CARDS)?;
        let scheduler = world.scheduler_with(CONFIG, &[])?;
        let of = ("29360128", "3");
        let jobs = [
            job_of(&world, "29501", &[0, 0], of, Known::Launched)?,
            job_of(&world, "29502", &[0, 0], of, Known::Launched)?,
        ];
        for tenants in jobs {
            let (steps, longest) = right(tenants)?;
            ensure!(steps > 20 && longest < 4.0, "{steps} steps, the longest took {longest} s");
        }
        let log = scheduler.log();
        ensure!(!log.contains("cannot end its work"), "{log}");
    }
    Ok(())
}

#[test]
fn jobs_that_fit_run_beside_each_other_after_their_first_turns() -> Result<()> {
    let world = World::new(CARDS)?;
    let scheduler = world.scheduler_with(CONFIG, &[])?;
    let of = ("16777216", "1000");
    let jobs = [
        job_of(&world, "29501", &[0, 1], of, Known::Launched)?,
        job_of(&world, "29502", &[1, 0], of, Known::Launched)?,
    ];
    until("both run", || {
        let states: Vec<_> = scheduler.status()?.tenants.into_iter().map(|tenant| tenant.state).collect();
        Ok(states.len() == 4 && states.iter().all(|state| state == "running"))
    })?;
    let drains = || -> Result<usize> {
        Ok(scheduler.trace()?.spans.iter().filter(|span| span.kind == "drain").count())
    };
    let before = drains()?;
    for _ in 0..3 {
        // Sixteen steps each.
        jobs.iter().try_for_each(|tenants| tenants[0].next("step").map(drop))?;
    }
    assert_eq!(drains()?, before, "{}", scheduler.log());
    for mut tenant in jobs.into_iter().flatten() {
        tenant.kill()?;
    }
    Ok(())
}

/// They are taken for one job, and each has its work for itself.
#[test]
fn processes_that_do_not_fit_together_take_turns_with_each_other() -> Result<()> {
    let world = World::new(CARDS)?;
    let scheduler = world.scheduler_with(CONFIG, &[])?;
    let start = |_| world.load(&["--bytes", BYTES, "--seconds", "3"], &[("NVSHARE_GANG", "one")]);
    let tenants = (0..2).map(start).collect::<Result<Vec<_>>>()?;
    for tenant in tenants {
        let last = tenant.finish()?;
        ensure!(last["wrong"] == 0 && last["steps"].as_u64() > Some(5), "{last}");
    }
    let log = scheduler.log();
    ensure!(log.contains("they take turns with each other"), "{log}");
    Ok(())
}

/// A shell has started each job's processes, and nothing else says that they belong together.
#[test]
fn processes_that_wait_for_each_other_are_taken_for_a_job() -> Result<()> {
    let world = World::new(CARDS)?;
    let scheduler = world.scheduler_with(CONFIG, &[])?;
    let rank = built()?.join("rank");
    let start = |name: &str, devices: [u32; 2]| {
        let rank = |(number, device)| {
            let meet = world.dir().join(name);
            format!(
                "{} --device {device} --rank {number} --ranks 2 --bytes {BYTES} --seconds 20 --meet {} &",
                rank.display(),
                meet.display()
            )
        };
        let ranks: String = devices.into_iter().enumerate().map(rank).collect();
        let mut shell = world.command("sh")?;
        shell.args(["-c", &(ranks + " wait")]).process_group(0);
        Tenant::spawn(shell)
    };
    let jobs = [start("a", [0, 1])?, start("b", [1, 0])?];
    until("all are of a job", || {
        let gangs = scheduler.status()?.tenants.into_iter().filter_map(|tenant| tenant.gang);
        Ok(gangs.count() == 4)
    })?;
    for job in jobs {
        let ends: Vec<_> =
            job.finish_with_lines()?.into_iter().filter(|(_, line)| line.get("wrong").is_some()).collect();
        ensure!(ends.len() == 2 && ends.iter().all(|(_, line)| line["wrong"] == 0), "{ends:?}");
    }
    let log = scheduler.log();
    ensure!(log.contains("from now on they get their GPUs together"), "{log}");
    Ok(())
}

/// A job of two processes on the first card that a shell starts: the second one when it is told to. Nothing else tells that
/// they belong together.
fn unnamed(world: &World, name: &str) -> Result<Tenant> {
    let rank = |number: u32| {
        format!(
            "{} --device 0 --rank {number} --ranks 2 --bytes 29360128 --seconds 3 --meet {} &",
            built().map(|built| built.join("rank").display().to_string()).unwrap_or_default(),
            world.dir().join(name).display()
        )
    };
    let mut shell = world.command("sh")?;
    shell.args(["-c", &format!("{} read next; {} wait", rank(0), rank(1))]).env("NVSHARE_ENGINE", "swap");
    Tenant::spawn(shell)
}

/// On an H200 the first one could not end its work, and a stranger was let in beside it before it was known who belongs to
/// it: each job had a process in a kernel, and neither one's other process had room. Two processes fit on the card, three
/// do not.
#[test]
fn jobs_that_nobody_tells_of_do_not_lock_a_card_in_whatever_order_they_come() -> Result<()> {
    for order in [["a", "a", "b", "b"], ["a", "b", "a", "b"], ["a", "b", "b", "a"]] {
        let world = World::new(CARDS)?;
        let config = CONFIG.replace("[swap]", "drain_seconds = 1\npatience_seconds = 2\n[swap]");
        let scheduler = world.scheduler_with(&config, &[])?;
        let mut jobs: BTreeMap<&str, Tenant> = BTreeMap::new();
        for (at, name) in order.into_iter().enumerate() {
            match jobs.get(name) {
                Some(job) => job.write("next\n")?,
                None => drop(jobs.insert(name, unnamed(&world, name)?)),
            }
            until("it is a tenant", || Ok(scheduler.status()?.tenants.len() > at))?;
        }
        for (name, job) in jobs {
            let lines =
                job.finish_with_lines().with_context(|| format!("{order:?}:\n{}", scheduler.log()))?;
            let ends: Vec<_> = lines.iter().filter(|(_, line)| line.get("wrong").is_some()).collect();
            ensure!(ends.len() == 2, "{order:?}: {name}: {lines:?}");
            for (_, end) in ends {
                let longest = end["longest_seconds"].as_f64().context("longest")?;
                ensure!(end["wrong"] == 0 && longest < 9.0, "{order:?}: {end}\n{}", scheduler.log());
            }
        }
    }
    Ok(())
}

#[test]
fn nobody_is_of_a_job_unless_the_operator_allows_it() -> Result<()> {
    let world = World::new(CARDS)?;
    let scheduler = world.scheduler_with("[swap]\nbudget = \"8GiB\"\n", &[])?;
    let tenants = job(&world, "a", &[0, 1], "1", Known::Named)?;
    tenants[0].next("step")?;
    let gangs = scheduler.status()?.tenants.into_iter().filter_map(|tenant| tenant.gang);
    assert_eq!(gangs.count(), 0);
    right(tenants)?;
    Ok(())
}
