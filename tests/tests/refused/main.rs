//! Who is refused waits or fails: it never runs unmanaged beside tenants.
mod scripted;

use anyhow::Result;
use nvshare_protocol::tenant::ToTenant;
use nvshare_tests::world::{Tenant, World};
use scripted::Scripted;
use serde_json::Value;
use std::time::{Duration, Instant};

const CARD: &[(&str, &str)] =
    &[("FAKECUDA_CARD", "report"), ("FAKECUDA_BYTE_SCALE", "512"), ("FAKECUDA_TIME_SCALE", "25")];
const BYTES: &str = "25165824";
/// At one a second, longer than calls wait for a scheduler that is gone.
const REFUSALS: u32 = 12;
/// Longer than that as well.
const LONGER: Duration = Duration::from_secs(12);

fn load(world: &World, more: &[&str]) -> Result<Tenant> {
    world.load(&[&["--bytes", BYTES], more].concat(), &[])
}

/// It ended well, and had done nothing on the GPU before `opened`.
fn ran_only_after(opened: Instant, tenant: Tenant) -> Result<()> {
    let lines = tenant.finish_with_lines()?;
    let steps: Vec<_> = lines.iter().filter(|(_, line)| line.get("step").is_some()).collect();
    assert!(!steps.is_empty() && steps.iter().all(|(at, _)| *at > opened), "{opened:?}: {lines:?}");
    assert_eq!(lines.last().map(|(_, line)| &line["wrong"]), Some(&Value::from(0)));
    Ok(())
}

fn count(world: &World, text: &str) -> usize {
    world.tenants_log().matches(text).count()
}

#[test]
fn who_finds_no_place_waits_however_long_and_says_so_once() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = Scripted::new(&world)?;
    let tenant = load(&world, &["--steps", "3"])?;
    for _ in 0..REFUSALS {
        assert!(!scheduler.turn_away(false)?.holds);
    }
    let (mut peer, hello) = scheduler.accept()?;
    assert!(!hello.holds);
    let opened = Instant::now();
    peer.serve()?;
    ran_only_after(opened, tenant)?;
    let said = "warn: the scheduler has no place for this process: [limits] tenants; its GPU calls wait until \
                there is one\n";
    assert_eq!(count(&world, said), 1, "{}", world.tenants_log());
    assert_eq!(count(&world, "warn"), 1, "{}", world.tenants_log());
    Ok(())
}

#[test]
fn who_is_turned_away_unheard_waits_too() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = Scripted::new(&world)?;
    let tenant = load(&world, &["--steps", "3"])?;
    for _ in 0..5 {
        scheduler.slam()?;
    }
    let (mut peer, _) = scheduler.accept()?;
    let opened = Instant::now();
    peer.serve()?;
    ran_only_after(opened, tenant)
}

#[test]
fn with_no_place_the_first_call_fails_where_the_operator_chose_that() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = Scripted::new(&world)?;
    let tenant = load(&world, &["--steps", "3"])?;
    assert!(!scheduler.turn_away(true)?.holds);
    assert!(tenant.finish().is_err());
    let log = world.tenants_log();
    assert!(log.contains("no place for this process: [limits] tenants; its GPU calls fail"), "{log}");
    assert!(log.contains("cuInit: CUDA error 802"), "{log}");
    Ok(())
}

/// A tenant that holds the GPU, whose scheduler ends then.
fn holder_without_scheduler(world: &World, scheduler: &Scripted, more: &[&str]) -> Result<Tenant> {
    let tenant = load(world, more)?;
    let (mut peer, _) = scheduler.accept()?;
    peer.serve()?;
    tenant.next("step")?;
    peer.lose()?;
    Ok(tenant)
}

#[test]
fn a_holder_for_which_the_next_scheduler_has_no_place_stops_and_goes_on_later() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = Scripted::new(&world)?;
    let arguments = ["--seconds", "6", "--rest-ms", "5"];
    let tenant = holder_without_scheduler(&world, &scheduler, &arguments)?;
    assert!(scheduler.turn_away(false)?.holds, "it goes on without a scheduler");
    assert!(!scheduler.turn_away(false)?.holds, "it has stopped");
    tenant.pass_over();
    let opened = Instant::now();
    let (mut peer, hello) = scheduler.accept()?;
    assert!(!hello.holds);
    peer.serve()?;
    ran_only_after(opened, tenant)
}

#[test]
fn a_holder_for_which_the_next_scheduler_has_no_place_fails_where_the_operator_chose_that() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = Scripted::new(&world)?;
    let tenant = holder_without_scheduler(&world, &scheduler, &["--seconds", "1000"])?;
    assert!(scheduler.turn_away(true)?.holds);
    assert!(tenant.finish().is_err());
    assert!(world.tenants_log().contains("CUDA error 802"), "{}", world.tenants_log());
    Ok(())
}

#[test]
fn who_waits_at_the_gate_when_its_calls_are_to_fail_is_told() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = Scripted::new(&world)?;
    let tenant = load(&world, &["--steps", "3"])?;
    let (mut peer, _) = scheduler.accept()?;
    peer.welcome()?;
    peer.until_request()?;
    peer.lose()?;
    scheduler.turn_away(true)?;
    assert!(tenant.finish().is_err());
    assert!(world.tenants_log().contains("CUDA error 802"), "{}", world.tenants_log());
    Ok(())
}

#[test]
fn when_the_scheduler_that_had_no_place_is_gone_the_usual_bound_holds() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = Scripted::new(&world)?;
    let tenant = load(&world, &["--steps", "2"])?;
    scheduler.turn_away(false)?;
    scheduler.vanish()?;
    assert_eq!(tenant.finish()?["wrong"], 0);
    assert_eq!(count(&world, "running unmanaged until there is one"), 1, "{}", world.tenants_log());
    Ok(())
}

/// The absence of a scheduler before the last one is over: that of the last one counts by itself.
#[test]
fn who_has_long_waited_under_another_scheduler_waits_for_the_next_one_too() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = Scripted::new(&world)?;
    let tenant = load(&world, &["--steps", "2"])?;
    for silence in [Duration::ZERO, LONGER] {
        let (mut peer, hello) = scheduler.accept()?;
        assert!(!hello.holds);
        peer.welcome()?;
        peer.until_request()?;
        std::thread::sleep(silence);
        peer.lose()?;
    }
    let (mut peer, hello) = scheduler.accept()?;
    assert!(!hello.holds);
    // Whoever is set loose runs by then.
    std::thread::sleep(Duration::from_secs(1));
    let opened = Instant::now();
    peer.serve()?;
    ran_only_after(opened, tenant)?;
    assert_eq!(count(&world, "unmanaged"), 0, "{}", world.tenants_log());
    Ok(())
}

#[test]
fn a_member_that_is_thrown_out_while_it_waits_is_not_set_loose_by_that() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = Scripted::new(&world)?;
    let tenant = load(&world, &["--steps", "2"])?;
    let (mut peer, _) = scheduler.accept()?;
    peer.welcome()?;
    peer.until_request()?;
    peer.say(&ToTenant::Refused("more than 1000 messages in a second".to_owned()))?;
    let (mut peer, hello) = scheduler.accept()?;
    assert!(!hello.holds, "it has waited for half a minute");
    let opened = Instant::now();
    peer.serve()?;
    ran_only_after(opened, tenant)?;
    assert_eq!(count(&world, "unmanaged"), 0, "{}", world.tenants_log());
    Ok(())
}

/// One of before version 4 has no other word for it.
#[test]
fn whom_an_old_scheduler_refuses_runs_unmanaged() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = Scripted::new(&world)?;
    let tenant = load(&world, &["--steps", "2"])?;
    let (mut peer, _) = scheduler.accept()?;
    peer.say(&ToTenant::Refused("[limits] tenants".to_owned()))?;
    assert_eq!(tenant.finish()?["wrong"], 0);
    assert_eq!(count(&world, "the scheduler refused this process: [limits] tenants; running unmanaged"), 1);
    Ok(())
}

#[test]
fn a_notice_is_said_once_for_each_text() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = Scripted::new(&world)?;
    let tenant = load(&world, &["--steps", "2"])?;
    let (mut peer, _) = scheduler.accept()?;
    peer.welcome()?;
    let devices = peer.until_request()?;
    for text in ["swap space is short", "swap space is short", "another"] {
        peer.say(&ToTenant::Notice(text.to_owned()))?;
    }
    peer.grant(devices)?;
    tenant.finish()?;
    assert_eq!(
        count(&world, "warn: the scheduler says: swap space is short\n"),
        1,
        "{}",
        world.tenants_log()
    );
    assert_eq!(count(&world, "warn: the scheduler says: another\n"), 1, "{}", world.tenants_log());
    Ok(())
}
