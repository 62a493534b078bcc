//! Schedulers and tenants in processes of their own, killed at every step of a hand-over, fifty times: nobody hangs, no
//! byte of the survivors is lost, no grant is left over. The steps are awaited, by what the scheduler tells and what the
//! card did.
mod watch;

use anyhow::{Context as _, Result, ensure};
use nvshare_tests::world::{Scheduler, Tenant, World, until};
use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;
use watch::Watch;

/// 132 MiB are for tenants, whose pieces of 32 MiB move as a whole, slowly enough that a kill can fall between two of them.
const CARD: &[(&str, &str)] = &[
    ("FAKECUDA_CARD", "report"),
    ("FAKECUDA_MEMORY", "11GiB"),
    ("FAKECUDA_BYTE_SCALE", "64"),
    ("FAKECUDA_TIME_SCALE", "25"),
    ("FAKECUDA_COPY_GBPS", "4"),
    ("NVSHARE_ENGINE", "swap"),
];
/// Simulated bytes for a real one.
const SCALE: u64 = 64;
const PIECE: u64 = 32 << 20;
/// Of each tenant, and as many as fit on the card.
const PIECES: u64 = 3;
const FIT: u64 = 4;
/// The longest that anybody waits, restarts included. A scheduler would wait longer for one that does not answer (35 s, by
/// default): that it had to is a failure here.
const BOUND: Duration = Duration::from_secs(30);
const RUNS: usize = 50;

/// A step of a tenant's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Requested,
    Granted,
    Fetching,
    Ready,
    Revoked,
    Draining,
    MovingOut,
    Released,
}
use Step::*;
const STEPS: [Step; 8] = [Requested, Granted, Fetching, Ready, Revoked, Draining, MovingOut, Released];

/// Who is killed there. Tenants first, so that the last ones outlive several schedulers before their data is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Killed {
    Tenant,
    Both,
    Scheduler,
}

/// One card with a scheduler, a tenant that is never killed, and one that is.
struct Campaign {
    world: World,
    arguments: Vec<&'static str>,
    config: String,
    scheduler: Scheduler,
    watch: Watch,
    witness: Tenant,
    victim: Tenant,
    /// What the card did for the victim.
    log: PathBuf,
    victims: usize,
}

fn load(world: &World, log: &std::path::Path) -> Result<Tenant> {
    let (bytes, blocks) = ((PIECES * PIECE).to_string(), PIECES.to_string());
    // A little work is always submitted and unfinished, so that a drain takes its time.
    let arguments =
        ["--bytes", &bytes, "--blocks", &blocks, "--until-closed", "--spin", "500000000", "--rest-ms", "10"];
    world.load(&arguments, &[("FAKECUDA_LOG", log.to_str().context("a path of letters")?)])
}

impl Campaign {
    fn new(overlap: bool, evict: &'static str) -> Result<Self> {
        let world = World::new(CARD)?;
        let config = format!("[scheduler]\nquantum = 0.25\noverlap = {overlap}\n[swap]\nbudget = \"8GiB\"\n");
        let arguments = vec!["--evict", evict];
        let scheduler = world.scheduler_with(&config, &arguments)?;
        let watch = Watch::follow(&world)?;
        let witness = load(&world, &world.dir().join("witness.log"))?;
        let log = world.dir().join("victim-0.log");
        let victim = load(&world, &log)?;
        let mut campaign =
            Self { world, arguments, config, scheduler, watch, witness, victim, log, victims: 1 };
        campaign.turns_go_on()?;
        Ok(campaign)
    }

    /// Both have a turn from now on.
    fn turns_go_on(&mut self) -> Result<()> {
        self.watch.catch_up();
        for pid in [self.witness.pid(), self.victim.pid()] {
            self.watch.until(pid, &["ready"], BOUND)?;
        }
        Ok(())
    }

    /// How much of its log there is.
    fn logged(&self) -> u64 {
        self.log.metadata().map_or(0, |file| file.len())
    }

    /// Whether a piece of the victim's was copied after so much of its log.
    fn copied(&self, operation: &str, after: u64) -> Result<bool> {
        let mut text = String::new();
        let mut file = std::fs::File::open(&self.log)?;
        file.seek(SeekFrom::Start(after))?;
        file.read_to_string(&mut text)?;
        Ok(text.lines().any(|line| {
            let parts: Vec<&str> = line.split('\t').collect();
            let bytes = parts.get(3).and_then(|bytes| bytes.parse::<u64>().ok());
            parts.get(2) == Some(&operation) && bytes >= Some(PIECE * SCALE)
        }))
    }

    /// Waits until the victim is at the step, as well as that can be seen. How much of its log there was before.
    fn await_step(&mut self, step: Step) -> Result<u64> {
        let pid = self.victim.pid();
        let (before, begins): (_, &[&str]) = match step {
            Requested => ("ready", &["requested"]),
            Granted => ("requested", &["granted"]),
            Fetching => ("requested", &["granted", "bring-in"]),
            Ready => ("requested", &["ready"]),
            Revoked | Draining | MovingOut => ("ready", &["revoked"]),
            Released => ("ready", &["released"]),
        };
        self.watch.until(pid, &[before], BOUND)?;
        let logged = self.logged();
        self.watch.until(pid, begins, BOUND)?;
        match step {
            Fetching => until("a piece comes in", || self.copied("copy_in", logged))?,
            MovingOut => until("a piece goes out", || self.copied("copy_out", logged))?,
            Draining => until("its work ends", || {
                let status = self.scheduler.status()?;
                Ok(status.tenants.iter().all(|tenant| tenant.pid != pid || tenant.state == "draining"))
            })?,
            _ => {}
        }
        Ok(logged)
    }

    /// Kills whom it is to kill when the victim is at the step, and starts them again. The step that was hit.
    fn run(&mut self, aim: Step, killed: Killed) -> Result<Step> {
        self.watch.catch_up();
        let logged = self.await_step(aim)?;
        let pid = self.victim.pid();
        if killed != Killed::Scheduler {
            self.victim.kill()?;
        }
        if killed != Killed::Tenant {
            self.scheduler.kill()?;
        }
        let last = self.watch.last_word(pid, BOUND)?;
        let (came, went) = (self.copied("copy_in", logged)?, self.copied("copy_out", logged)?);
        let hit = match last.as_str() {
            "granted" | "bring-in" if came => Fetching,
            // It asks again with the same breath.
            "requested" if aim == Released => Released,
            "bring-in" | "requested" => Requested,
            "granted" => Granted,
            "ready" | "idle" => Ready,
            "revoked" if went => MovingOut,
            "revoked" if aim == Draining => Draining,
            "revoked" => Revoked,
            _ => Released,
        };
        if killed != Killed::Tenant {
            self.scheduler = self.world.scheduler_with(&self.config, &self.arguments)?;
            self.watch = Watch::follow(&self.world)?;
        }
        if killed != Killed::Scheduler {
            self.log = self.world.dir().join(format!("victim-{}.log", self.victims));
            self.victims += 1;
            self.victim = load(&self.world, &self.log)?;
        }
        self.turns_go_on().with_context(|| {
            format!("{killed:?} killed at {hit:?}; the scheduler said:\n{}", self.scheduler.log())
        })?;
        Ok(hit)
    }

    /// Every byte is right, somebody who needs all of the card gets it, and then nothing is left.
    fn end(self) -> Result<()> {
        for tenant in [self.witness, self.victim] {
            let last = tenant.finish()?;
            ensure!(last["wrong"] == 0 && last["steps"].as_u64() > Some(0), "{last}");
        }
        let (bytes, blocks) = ((FIT * PIECE).to_string(), FIT.to_string());
        let newcomer = self.world.load(&["--bytes", &bytes, "--blocks", &blocks, "--steps", "2"], &[])?;
        ensure!(newcomer.finish()?["wrong"] == 0);
        let scheduler = &self.scheduler;
        until("nothing is left", || {
            let status = scheduler.status()?;
            let clean = status.devices.iter().all(|device| {
                device.holders.is_empty() && device.waiting.is_empty() && device.resident_bytes == 0
            });
            Ok(status.tenants.is_empty() && clean)
        })?;
        let log = scheduler.log();
        let aside: Vec<&str> = log.lines().filter(|line| line.contains("others run beside it")).collect();
        ensure!(aside.is_empty(), "{aside:#?}");
        Ok(())
    }
}

/// The runs of one card.
fn runs(overlap: bool, evict: &'static str, aims: &[(Step, Killed)]) -> Result<Vec<(Step, Killed)>> {
    let mut campaign = Campaign::new(overlap, evict)?;
    let mut hits = Vec::new();
    for &(aim, killed) in aims {
        let hit = campaign.run(aim, killed)?;
        println!("aimed at {aim:?}, hit {hit:?}, killed: {killed:?} (overlap {overlap}, evict {evict})");
        hits.push((hit, killed));
    }
    campaign.end()?;
    Ok(hits)
}

#[test]
fn schedulers_and_tenants_may_be_killed_at_every_step_of_a_hand_over() -> Result<()> {
    let kinds = [Killed::Tenant, Killed::Both, Killed::Scheduler];
    let each: Vec<_> = kinds.iter().flat_map(|killed| STEPS.map(|step| (step, *killed))).collect();
    // Each of them twice, the second time on another card.
    let all: Vec<_> = (0..RUNS).map(|n| each[(n + n / each.len()) % each.len()]).collect();
    // Three cards at a time, each with every third of the runs.
    let hits = std::thread::scope(|scope| {
        let threads: Vec<_> = [(false, "pressure"), (true, "pressure"), (true, "always")]
            .into_iter()
            .enumerate()
            .map(|(n, (overlap, evict))| {
                let mut aims: Vec<_> = all.iter().copied().skip(n).step_by(3).collect();
                aims.sort_by_key(|(_, killed)| *killed);
                scope.spawn(move || {
                    runs(overlap, evict, &aims).with_context(|| format!("overlap {overlap}, evict {evict}"))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Result<Vec<_>>>()
    })?;
    let mut table: BTreeMap<(Step, Killed), usize> = BTreeMap::new();
    for hit in hits.into_iter().flatten() {
        *table.entry(hit).or_default() += 1;
    }
    ensure!(table.values().sum::<usize>() == RUNS, "{table:?}");
    for step in STEPS {
        let hit: usize = kinds.iter().filter_map(|killed| table.get(&(step, *killed))).sum();
        ensure!(hit > 0, "{step:?} was never hit: {table:?}");
    }
    Ok(())
}
