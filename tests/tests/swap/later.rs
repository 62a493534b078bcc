//! Memory that is older than the scheduler, and its swap space.
use super::*;

/// A tenant of five pieces that works before there is a scheduler, and has joined the one that came.
fn early(world: &World, budget: &str, more: &[&str]) -> Result<(Tenant, Scheduler)> {
    let tenant = load(world, 5, more, &[])?;
    tenant.next("step")?;
    let config = format!("[swap]\nbudget = \"{budget}\"\n[limits]\nswap_per_user = \"none\"\n");
    let scheduler = world.scheduler_with(&config, &["--quantum", "0.2", "--evict", "always"])?;
    until("it has joined", || Ok(resident(&scheduler, tenant.pid())? == Some(5 * PIECE)))?;
    Ok((tenant, scheduler))
}

fn immovable(scheduler: &Scheduler, pid: u32) -> Result<Option<u64>> {
    Ok(find(&scheduler.status()?, pid).map(|tenant| tenant.immovable_bytes))
}

#[test]
fn memory_made_without_a_scheduler_gets_swap_space_of_the_one_that_comes_and_leaves() -> Result<()> {
    let world = World::new(CARD)?;
    let (early, scheduler) = early(&world, "8GiB", &["--seconds", "6", "--rest-ms", "5"])?;
    until("all of it can leave, while it works", || Ok(immovable(&scheduler, early.pid())? == Some(0)))?;
    right(&load(&world, 5, &["--steps", "3"], &[])?.finish()?);
    let spans = scheduler.trace()?.spans;
    let moved = spans.iter().filter(|span| span.pid == early.pid() && span.kind == "evict");
    assert!(moved.map(|span| span.bytes).sum::<u64>() >= 5 * PIECE, "{spans:#?}");
    right(&early.finish()?);
    Ok(())
}

#[test]
fn what_swap_space_cannot_hold_stays_and_the_rest_leaves() -> Result<()> {
    let world = World::new(CARD)?;
    let (early, scheduler) = early(&world, "128MiB", &["--seconds", "4", "--rest-ms", "5"])?;
    until("four of five pieces can leave", || Ok(immovable(&scheduler, early.pid())? == Some(PIECE)))?;
    right(&load(&world, 4, &["--steps", "3"], &[("NVSHARE_ENGINE", "managed")])?.finish()?);
    right(&early.finish()?);
    Ok(())
}
