//! A card with its scheduler, tenants that stay, and others that come and go.
use super::churn::{self, Dice};
use super::table::{Sample, Table};
use crate::world::{Scheduler, Tenant, World, until};
use anyhow::{Context as _, Result, ensure};
use std::fmt;
use std::time::{Duration, Instant};

/// The report's card, small and fast: 32 MiB, a second is 25.
const CARD: &[(&str, &str)] =
    &[("FAKECUDA_CARD", "report"), ("FAKECUDA_BYTE_SCALE", "512"), ("FAKECUDA_TIME_SCALE", "25")];
const CONFIG: &str = "[memory]\nreserve = \"1MiB\"\n[swap]\nbudget = \"1GiB\"\n[scheduler]\nquantum = 0.3\n";
/// Where schedulers restart, all tenants fit on the card, since who starts without one is refused what does not;
/// they take turns all the same.
const TURNS: &str = "share = false\nevict = \"always\"\n";
/// They fit together, so that where nobody else is both hold the card and neither moves.
const RESIDENTS: [(&str, &str); 2] = [("swap", "6291456"), ("managed", "4194304")];
/// Tenants that come and go at a time.
const CHURNERS: usize = 2;
/// How long a measurement looks; the least of what it sees counts.
const LOOK: Duration = Duration::from_secs(2);

/// What has happened in a place.
#[derive(Debug, Default)]
pub struct Counts {
    pub name: &'static str,
    tenants: churn::Tenants,
    stopped: u64,
    killed: u64,
    handovers: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, tenants, stopped, killed, handovers } = self;
        write!(f, "{name}: {} tenants ended, {} killed", tenants.ended, tenants.killed)?;
        if stopped + killed > 0 {
            write!(f, "; {stopped} schedulers stopped, {killed} killed")?;
        }
        write!(f, "; {handovers} hand-overs")
    }
}

pub struct Place {
    pub counts: Counts,
    restarts: bool,
    config: String,
    scheduler: Scheduler,
    residents: Vec<Tenant>,
    world: World,
}

impl Place {
    /// Starts the scheduler and the tenants that stay.
    ///
    /// # Errors
    /// If one does not start.
    pub fn new(name: &'static str, restarts: bool) -> Result<Self> {
        let world = World::new(CARD)?;
        let config = if restarts { format!("{CONFIG}{TURNS}") } else { CONFIG.to_owned() };
        let scheduler = world.scheduler_with(&config, &[])?;
        let resident = |(engine, bytes): (&str, &str)| -> Result<Tenant> {
            let words = ["--bytes", bytes, "--rest-ms", "20", "--extra", "1048576", "--until-closed"];
            let tenant = world.load(&words, &[("NVSHARE_ENGINE", engine)])?;
            tenant.next("step")?;
            Ok(tenant)
        };
        let residents = RESIDENTS.into_iter().map(resident).collect::<Result<_>>()?;
        Ok(Self {
            counts: Counts { name, ..Counts::default() },
            restarts,
            config,
            scheduler,
            residents,
            world,
        })
    }

    /// Lets tenants come and go until `end`, and schedulers, if that is what this place is for.
    ///
    /// # Errors
    /// If something does not do its part.
    pub fn churn(&mut self, end: Instant, mut dice: Dice) -> Result<()> {
        let Self { counts, restarts, config, scheduler, residents, world } = self;
        let world = &*world;
        let most = if *restarts { 8 } else { 20 };
        let before = scheduler.handovers()?;
        let come = std::thread::scope(|scope| -> Result<Vec<churn::Tenants>> {
            let churners: Vec<_> = (0..CHURNERS)
                .map(|at| {
                    let dice = Dice::new(dice.below(u64::MAX) ^ at as u64);
                    scope.spawn(move || churn::tenants(world, most, end, dice))
                })
                .collect();
            while Instant::now() < end {
                let rest = dice.milliseconds(10_000).min(end.saturating_duration_since(Instant::now()));
                std::thread::sleep(rest);
                residents.iter().for_each(Tenant::pass_over);
                if *restarts {
                    counts.handovers += scheduler.handovers()?;
                    if dice.below(2) == 0 {
                        scheduler.kill()?;
                        counts.killed += 1;
                    } else {
                        scheduler.stop()?;
                        counts.stopped += 1;
                    }
                    // Long enough at times for those who wait to give up waiting.
                    std::thread::sleep(dice.milliseconds(1000));
                    *scheduler = world.scheduler_with(config, &[])?;
                }
            }
            churners.into_iter().map(|churner| churner.join().expect("a panic of the soak's own")).collect()
        })?;
        for tenants in come {
            counts.tenants.ended += tenants.ended;
            counts.tenants.killed += tenants.killed;
        }
        if !*restarts {
            counts.handovers += scheduler.handovers()? - before;
        }
        Ok(())
    }

    /// Waits until only those are there who stay, and measures them.
    ///
    /// # Errors
    /// If they are not there.
    pub fn measure(&self, table: &mut Table) -> Result<()> {
        until("only the tenants that stay are there, and have turns", || {
            let tenants = self.scheduler.status()?.tenants;
            Ok(tenants.len() == self.residents.len() && tenants.iter().all(|tenant| tenant.grants > 0))
        })?;
        for tenant in &self.residents {
            tenant.pass_over();
            tenant.next("step")?;
        }
        let mut samples: Vec<Option<Sample>> = vec![None; 1 + self.residents.len()];
        let pids: Vec<u32> =
            std::iter::once(self.scheduler.pid()).chain(self.residents.iter().map(Tenant::pid)).collect();
        let start = Instant::now();
        while start.elapsed() < LOOK {
            for (least, pid) in samples.iter_mut().zip(&pids) {
                let now = Sample::of(*pid)?;
                *least = Some(least.map_or(now, |least| least.least(now)));
            }
            std::thread::sleep(LOOK / 40);
        }
        let mut samples = samples.into_iter().map(|sample| sample.context("it was looked at"));
        let name = self.counts.name;
        let scheduler = samples.next().context("the scheduler's")??;
        if !self.restarts {
            table.add(&format!("scheduler that {name}"), scheduler);
        }
        for ((engine, _), sample) in RESIDENTS.iter().zip(samples) {
            table.add(&format!("tenant ({engine}), scheduler {name}"), sample?);
        }
        let left = std::fs::read_dir(self.world.runtime_dir())?.count() as u64;
        table.add_row(&format!("scheduler {name}: entries of its directory"), "", left, 0);
        Ok(())
    }

    /// Lets those who stayed end.
    ///
    /// # Errors
    /// If one does not end well with right data.
    pub fn finish(self) -> Result<()> {
        for tenant in self.residents {
            let last = tenant.finish()?;
            ensure!(last["wrong"] == 0, "{last}");
        }
        Ok(())
    }
}
