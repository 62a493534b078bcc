//! Two honest programs beside a campaign of hostile connections of another user: they do most of what they do without it,
//! and the daemon stays small. Where NVML shows who has what, claims without a context count for nothing; where it is
//! absent, each is believed for a while.
use anyhow::{Context as _, Result, ensure};
use nvshare_tests::world::{Scheduler, Tenant, World, until};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A card of 256 MiB.
const CARD: &[(&str, &str)] = &[("FAKECUDA_MEMORY", "268435456"), ("FAKECUDA_CONTEXT_BYTES", "1048576")];
/// So many messages at least, in a minute.
const MESSAGES: u64 = 200_000;
const TIME: Duration = Duration::from_secs(60);
const WITHOUT: Duration = Duration::from_secs(15);
/// Nobody's; any user's but our own will do.
const OTHER_USER: u32 = 65534;

fn is_root() -> Result<bool> {
    let id = Command::new("id").arg("-u").output()?;
    Ok(String::from_utf8(id.stdout)?.trim() == "0")
}

/// How many steps a second the programs do, for so long.
fn steps(tenants: &[Tenant], time: Duration) -> f64 {
    tenants.iter().for_each(Tenant::pass_over);
    let end = Instant::now() + time;
    let steps: usize = tenants.iter().map(|tenant| tenant.count("step", end)).sum();
    steps as f64 / time.as_secs_f64()
}

fn resident_kib(scheduler: &Scheduler) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", scheduler.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// A small NVML, which says what it is told to.
struct Nvml(PathBuf);

impl Nvml {
    fn beside(world: &World) -> Result<Self> {
        let library = world.dir().join("libnvidia-ml.so.1");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../scheduler/tests/fake_nvml/nvml.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status()?;
        ensure!(built.success(), "{source} does not compile");
        Ok(Self(library))
    }

    /// The card, and the two programs with all their memory on it.
    fn shows(&self, gpu: &str, tenants: &[Tenant], bytes: u64) -> Result<()> {
        let mut says = format!("device {gpu}\ntotal 268435456\n");
        for tenant in tenants {
            says += &format!("compute {} {}\n", tenant.pid(), bytes + (6 << 20));
        }
        let new = self.0.with_extension("new");
        std::fs::write(&new, says)?;
        Ok(std::fs::rename(new, self.0.with_file_name("libnvidia-ml.so.1.says"))?)
    }
}

/// One campaign at a time: each is measured.
static ALONE: Mutex<()> = Mutex::new(());

/// Two programs of so many bytes each; their work beside the campaign, in per cent of that without.
fn campaign(bytes: u64, seed: u64, shown: bool, gangs: bool) -> Result<u64> {
    let _alone = ALONE.lock();
    let world = World::new(CARD)?;
    // The other user finds the socket.
    std::fs::set_permissions(world.dir(), std::fs::Permissions::from_mode(0o755))?;
    let nvml = Nvml::beside(&world)?;
    let library = if shown { nvml.0.display().to_string() } else { String::new() };
    let config = format!(
        "[memory]\nreserve = \"16MiB\"\nnvml = {library:?}\n[swap]\nbudget = \"1GiB\"\n[scheduler]\ngangs = {gangs}\n"
    );
    let scheduler = world.scheduler_with(&config, &[])?;
    // The GPU's own time, so that processors are not what is measured.
    let load = ["--bytes", &bytes.to_string(), "--spin", "20000000", "--until-closed"];
    let tenants = [world.load(&load, &[])?, world.load(&load, &[])?];
    tenants.iter().try_for_each(|tenant| tenant.next("step").map(drop))?;
    let gpu = scheduler.status()?.devices[0].uuid.clone();
    nvml.shows(&gpu, &tenants, bytes)?;
    if shown {
        until("NVML shows the card", || Ok(scheduler.log().contains("(nvml)")))?;
    }
    let without = steps(&tenants, WITHOUT);
    let mut hostile = world.program("hostile");
    hostile.arg(world.socket()).arg(gpu).arg("--seed").arg(seed.to_string());
    hostile.stdin(Stdio::piped()).stdout(Stdio::piped());
    if is_root()? {
        hostile.uid(OTHER_USER).gid(OTHER_USER);
    } else {
        let why = "only root can be two users, so that the campaign is our own user's";
        ensure!(std::env::var_os("NVSHARE_TEST_NO_SKIP").is_none(), "skipped in part: {why}");
        println!("SKIPPED in part: {why}");
    }
    let hostile = Tenant::spawn(hostile)?;
    let beside = steps(&tenants, TIME);
    let sent = hostile.finish()?["sent"].as_u64().context("how many were sent")?;
    let kib = resident_kib(&scheduler)?;
    for tenant in tenants {
        let last = tenant.finish()?;
        ensure!(last["wrong"] == 0, "{last}");
    }
    let share = (beside * 100.0 / without) as u64;
    println!(
        "{bytes} bytes each, shown by NVML: {shown}: {sent} messages, {share} % of {without:.0} steps/s; the daemon had {kib} KiB at most"
    );
    ensure!(sent >= MESSAGES, "only {sent} messages were sent");
    ensure!(kib < 64 << 10, "the daemon has grown to {kib} KiB");
    Ok(share)
}

#[test]
fn two_programs_do_four_fifths_of_their_work_beside_a_campaign_where_nvml_shows_who_is_there() -> Result<()> {
    let share = campaign(64 << 20, 1, true, false)?;
    ensure!(share >= 80, "{share} %");
    Ok(())
}

/// Half is the other user's by right; it does not use all of that.
#[test]
fn two_programs_do_three_fifths_of_their_work_beside_a_campaign_where_nothing_is_shown() -> Result<()> {
    let share = campaign(64 << 20, 1, false, false)?;
    ensure!(share >= 60, "{share} %");
    Ok(())
}

/// The campaign's connections say that they are of gangs, and are of one family.
#[test]
fn gangs_take_no_more_from_two_programs() -> Result<()> {
    let share = campaign(64 << 20, 2, true, true)?;
    ensure!(share >= 80, "{share} %");
    Ok(())
}
