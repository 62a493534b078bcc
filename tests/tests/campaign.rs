//! Two honest programs beside a campaign of hostile connections of another user: they do most of what they do without it,
//! and the daemon stays small.
use anyhow::{Context as _, Result, ensure};
use nvshare_tests::world::{Scheduler, Tenant, World};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
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

/// Two programs of so many bytes each; their work beside the campaign, in per cent of that without.
fn campaign(bytes: u64, seed: u64) -> Result<u64> {
    let world = World::new(CARD)?;
    // The other user finds the socket.
    std::fs::set_permissions(world.dir(), std::fs::Permissions::from_mode(0o755))?;
    let scheduler = world
        .scheduler_with("[memory]\nreserve = \"16MiB\"\nnvml = \"\"\n[swap]\nbudget = \"1GiB\"\n", &[])?;
    // The GPU's own time, so that processors are not what is measured.
    let load = ["--bytes", &bytes.to_string(), "--spin", "20000000", "--until-closed"];
    let tenants = [world.load(&load, &[])?, world.load(&load, &[])?];
    tenants.iter().try_for_each(|tenant| tenant.next("step").map(drop))?;
    let without = steps(&tenants, WITHOUT);
    let gpu = scheduler.status()?.devices[0].uuid.clone();
    let mut liars = world.program("liars");
    liars.arg(world.socket()).arg(gpu).arg("--seed").arg(seed.to_string());
    liars.stdin(Stdio::piped()).stdout(Stdio::piped());
    if is_root()? {
        liars.uid(OTHER_USER).gid(OTHER_USER);
    } else {
        let why = "only root can be two users, so that the campaign is our own user's";
        ensure!(std::env::var_os("NVSHARE_TEST_NO_SKIP").is_none(), "skipped in part: {why}");
        println!("SKIPPED in part: {why}");
    }
    let liars = Tenant::spawn(liars)?;
    let beside = steps(&tenants, TIME);
    let sent = liars.finish()?["sent"].as_u64().context("how many were sent")?;
    let kib = resident_kib(&scheduler)?;
    for tenant in tenants {
        let last = tenant.finish()?;
        ensure!(last["wrong"] == 0, "{last}");
    }
    let share = (beside * 100.0 / without) as u64;
    println!(
        "{bytes} bytes each: {sent} messages, {share} % of {without:.0} steps/s; the daemon had {kib} KiB at most"
    );
    ensure!(sent >= MESSAGES, "only {sent} messages were sent");
    ensure!(kib < 64 << 10, "the daemon has grown to {kib} KiB");
    Ok(share)
}

#[test]
fn two_programs_that_fit_do_four_fifths_of_their_work_beside_a_campaign() -> Result<()> {
    let share = campaign(64 << 20, 1)?;
    ensure!(share >= 80, "{share} %");
    Ok(())
}
