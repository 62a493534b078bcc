//! Two tenants, one card: turns are taken, memory moves in bulk, and every word is right afterwards.
use anyhow::Result;
use nvshare_tests::world::{World, until};
use serde_json::Value;

/// The report's card, 512 times smaller and 25 times faster: a tenant of 12 GiB lies in 24 MiB.
const REPORT: &[(&str, &str)] = &[
    ("FAKECUDA_CARD", "report"),
    ("FAKECUDA_BYTE_SCALE", "512"),
    ("FAKECUDA_TIME_SCALE", "25"),
    ("NVSHARE_ENGINE", "managed"),
];
const TWELVE_GIB: u64 = 24 << 20;

fn bytes() -> String {
    TWELVE_GIB.to_string()
}

fn right(last: &Value) {
    assert_eq!(last["wrong"], 0, "{last}");
    assert!(last["steps"].as_u64() > Some(0), "{last}");
}

#[test]
fn two_tenants_take_turns_and_their_data_is_right() -> Result<()> {
    let world = World::new(REPORT)?;
    // One thing after the other, so that each turn brings all of the memory back.
    let config = "[scheduler]\noverlap = false\n";
    let scheduler = world.scheduler_with(config, &["--quantum", "0.3", "--evict", "always"])?;
    let tenants = [(); 2].map(|()| world.load(&["--bytes", &bytes(), "--seconds", "3"], &[]));
    for tenant in tenants {
        right(&tenant?.finish()?);
    }
    let spans = scheduler.trace()?.spans;
    let runs: Vec<_> = spans.iter().filter(|span| span.kind == "run").collect();
    assert!(runs.len() >= 6, "{} runs: {spans:#?}", runs.len());
    for (i, one) in runs.iter().enumerate() {
        for other in &runs[i + 1..] {
            let apart = one.end.is_some_and(|end| end <= other.start)
                || other.end.is_some_and(|end| end <= one.start);
            assert!(apart, "two tenants ran at once: {one:?} {other:?}");
        }
    }
    // While both work; at the end each looks at its data and frees it, part by part.
    let mut back: Vec<_> = spans.iter().filter(|span| span.kind == "fetch" && span.bytes > 0).collect();
    let first = back.first().map_or(0.0, |span| span.start);
    back.retain(|span| span.start < first + 2.5);
    assert!(back.len() >= 4, "{} times brought back: {spans:#?}", back.len());
    assert!(back.iter().all(|span| span.bytes == TWELVE_GIB), "{back:#?}");
    Ok(())
}

#[test]
fn a_tenant_alone_is_never_revoked() -> Result<()> {
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler(&["--quantum", "0.1"])?;
    right(&world.load(&["--bytes", &bytes(), "--seconds", "1"], &[])?.finish()?);
    let spans = scheduler.trace()?.spans;
    assert_eq!(spans.iter().filter(|span| span.kind == "run").count(), 1, "{spans:#?}");
    Ok(())
}

#[test]
fn an_idle_tenant_gives_way_long_before_its_quantum_ends() -> Result<()> {
    let world = World::new(REPORT)?;
    let _scheduler = world.scheduler(&["--quantum", "3600"])?;
    let idle = world.load(&["--bytes", &bytes(), "--steps", "1", "--stay"], &[])?;
    idle.next("step")?;
    right(&world.load(&["--bytes", &bytes(), "--steps", "3"], &[])?.finish()?);
    right(&idle.finish()?);
    Ok(())
}

#[test]
fn a_tenant_of_low_priority_gives_way_to_one_of_high_priority_at_once() -> Result<()> {
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler_with("[limits]\npriority = \"high\"\n", &["--quantum", "3600"])?;
    let low = world.load(&["--bytes", &bytes(), "--seconds", "6"], &[("NVSHARE_PRIORITY", "low")])?;
    low.next("step")?;
    let high = world.load(&["--bytes", &bytes(), "--steps", "3"], &[("NVSHARE_PRIORITY", "high")])?;
    right(&high.finish()?);
    assert_eq!(scheduler.status()?.tenants[0].priority, "low", "it has not ended yet");
    right(&low.finish()?);
    Ok(())
}

#[test]
fn a_tenant_with_a_share_of_time_holds_no_more_and_its_memory_stays() -> Result<()> {
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler(&[])?;
    let tenant = world.load(&["--bytes", &bytes(), "--seconds", "6"], &[("NVSHARE_TIME_SHARE", "30%")])?;
    tenant.next("step")?;
    let held =
        |status: &nvshare_protocol::control::Status| status.tenants.first().map(|row| row.held_seconds);
    let (before, begun) = (scheduler.status()?, std::time::Instant::now());
    until("it is throttled", || {
        Ok(scheduler.status()?.tenants.first().is_some_and(|row| row.state == "throttled"))
    })?;
    std::thread::sleep(std::time::Duration::from_secs(4));
    let after = scheduler.status()?;
    let held = held(&after).unwrap_or_default() - held(&before).unwrap_or_default();
    let share = held / begun.elapsed().as_secs_f64();
    // It does not begin and end with a period.
    assert!((0.15..0.45).contains(&share), "{share}");
    right(&tenant.finish()?);
    let spans = scheduler.trace()?.spans;
    let moves = spans.iter().filter(|span| span.bytes > 0).count();
    assert!(moves <= 1, "beside what the first turn brings: {spans:#?}");
    Ok(())
}

#[test]
fn only_what_the_next_tenant_lacks_moves_out_under_pressure() -> Result<()> {
    // 12 GiB of the card are for tenants: two of 8 GiB lack 4 at each turn.
    let eight_gib = TWELVE_GIB / 12 * 8;
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler(&["--quantum", "0.3", "--evict", "pressure"])?;
    let tenants = [(); 2].map(|()| world.load(&["--bytes", &eight_gib.to_string(), "--seconds", "3"], &[]));
    for tenant in tenants {
        right(&tenant?.finish()?);
    }
    let spans = scheduler.trace()?.spans;
    let evicted: Vec<_> = spans.iter().filter(|span| span.kind == "evict" && span.bytes > 0).collect();
    assert!(!evicted.is_empty(), "{spans:#?}");
    assert!(evicted.iter().all(|span| span.bytes <= eight_gib / 2 + eight_gib / 20), "{evicted:#?}");
    Ok(())
}

#[test]
fn every_way_of_lookup_meets_the_library() -> Result<()> {
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler(&[])?;
    for lookup in ["dlsym", "proc-address", "per-thread"] {
        let tenant = world.load(&["--bytes", &bytes(), "--steps", "1", "--stay", "--lookup", lookup], &[])?;
        tenant.next("step")?;
        until("the scheduler knows the tenant's memory", || {
            Ok(scheduler.status()?.tenants.iter().any(|tenant| tenant.allocated_bytes == TWELVE_GIB))
        })?;
        let status = scheduler.status()?;
        assert_eq!(status.tenants.len(), 1, "{lookup}: {status:#?}");
        assert!(status.tenants[0].grants > 0, "{lookup}: launches do not meet the gate: {status:#?}");
        right(&tenant.finish()?);
        until("the tenant's end is noticed", || Ok(scheduler.status()?.tenants.is_empty()))?;
    }
    Ok(())
}
