//! Turns, and tenants and schedulers that are killed in them.
use super::*;

#[test]
fn two_tenants_take_turns_and_no_more_moves_than_the_next_one_lacks() -> Result<()> {
    const EACH: u64 = 4;
    const LACKING: u64 = 2 * EACH * PIECE - USABLE;
    let world = World::new(CARD)?;
    let log = world.dir().join("card.log");
    let logged = [("FAKECUDA_LOG", log.to_str().expect("a path of letters"))];
    let scheduler = world.scheduler_with(SWAP, &["--quantum", "0.3", "--evict", "pressure"])?;
    let tenants = [(); 2].map(|()| load(&world, EACH, &["--seconds", "4"], &logged));
    let tenants = tenants.into_iter().collect::<Result<Vec<_>>>()?;
    until("turns are taken", || Ok(turns(&scheduler)? >= 6))?;
    let status = scheduler.status()?;
    assert!(status.tenants.iter().all(|tenant| tenant.immovable_bytes == 0), "{status:#?}");
    for tenant in tenants {
        right(&tenant.finish()?);
    }
    let runs = turns(&scheduler)? as u64;
    let (inward, outward) = (copied(&log, "copy_in"), copied(&log, "copy_out"));
    assert!(outward >= 5 * LACKING, "{outward} bytes moved out in {runs} turns");
    for moved in [inward, outward] {
        assert!(
            moved * 10 <= runs * LACKING * 11,
            "{moved} bytes moved in {runs} turns that lack {LACKING} each"
        );
    }
    let text = std::fs::read_to_string(&log)?;
    assert!(!text.contains("prefetch") && !text.contains("evict"), "managed memory was used");
    Ok(())
}

#[test]
fn a_small_load_is_given_little_swap_space() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler_with(SWAP, &[])?;
    let tenant = load(&world, 2, &["--steps", "1", "--stay"], &[])?;
    tenant.next("step")?;
    let status = scheduler.status()?;
    let given = find(&status, tenant.pid()).map(|tenant| tenant.swap_bytes);
    assert!(given.is_some_and(|given| (2 * PIECE..=6 * PIECE).contains(&given)), "{status:#?}");
    right(&tenant.finish()?);
    Ok(())
}

/// What is made as one piece leaves as one, and comes and goes in smaller ones from then on.
#[test]
fn a_large_piece_comes_back_as_several() -> Result<()> {
    const WHOLE: u64 = 160 * MIB;
    const FINE: u64 = 128 * MIB;
    let world = World::new(CARD)?;
    let log = world.dir().join("card.log");
    let logged = [("FAKECUDA_LOG", log.to_str().expect("a path of letters"))];
    let scheduler = world.scheduler_with(SWAP, &["--quantum", "0.3"])?;
    let bytes = WHOLE.to_string();
    let load = || world.load(&["--bytes", &bytes, "--blocks", "1", "--seconds", "5"], &logged);
    let tenants = [load()?, load()?];
    until("turns are taken", || Ok(turns(&scheduler)? >= 6))?;
    for tenant in tenants {
        right(&tenant.finish()?);
    }
    let text = std::fs::read_to_string(&log)?;
    let count = |operation: &str, bytes: u64| {
        let parts = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        parts.filter(|part| part[2] == operation && part[3] == (bytes * SCALE).to_string()).count()
    };
    assert!(count("copy_out", WHOLE) <= 2, "each tenant's once");
    assert_eq!(count("copy_in", WHOLE), 0);
    assert!(count("copy_in", FINE) >= 2 && count("copy_in", WHOLE - FINE) >= 2, "it comes back in parts");
    assert!(count("copy_out", FINE) >= 1, "and goes again in parts");
    Ok(())
}

#[test]
fn submitted_work_ends_before_its_memory_moves() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler_with(SWAP, &["--quantum", "0.2", "--evict", "always"])?;
    // 0.1 s of work is always submitted and unfinished, so that every turn ends in the middle of some.
    let arguments = ["--seconds", "4", "--spin", "2500000000"];
    let tenants = [(); 2].map(|()| load(&world, 6, &arguments, &[]));
    for tenant in tenants {
        right(&tenant?.finish()?);
    }
    assert!(turns(&scheduler)? >= 6);
    Ok(())
}

#[test]
fn a_turn_ends_soon_however_much_is_submitted_ahead() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler_with(SWAP, &["--quantum", "0.3", "--evict", "always"])?;
    // 64 steps of 10 ms of wall time each are submitted at a time.
    let arguments = ["--seconds", "6", "--spin", "250000000", "--ahead", "64"];
    let tenants = [(); 2].map(|()| load(&world, 6, &arguments, &[]));
    let tenants = tenants.into_iter().collect::<Result<Vec<_>>>()?;
    until("turns are taken", || Ok(turns(&scheduler)? >= 8))?;
    let spans = scheduler.trace()?.spans;
    let drains = spans.iter().filter(|span| span.kind == "drain");
    let mut drains: Vec<f64> = drains.filter_map(|span| Some(span.end? - span.start)).collect();
    drains.sort_by(f64::total_cmp);
    let median = drains[drains.len() / 2];
    assert!(median < 0.12, "of 0.64 s submitted at once: {drains:?}");
    for tenant in tenants {
        right(&tenant.finish()?);
    }
    Ok(())
}

#[test]
fn three_tenants_take_turns_and_all_get_theirs() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler_with(SWAP, &["--quantum", "0.2", "--evict", "always"])?;
    let tenants = [(); 3].map(|()| load(&world, 5, &["--seconds", "5"], &[]));
    let tenants = tenants.into_iter().collect::<Result<Vec<_>>>()?;
    let pids: Vec<u32> = tenants.iter().map(Tenant::pid).collect();
    for tenant in tenants {
        right(&tenant.finish()?);
    }
    let spans = scheduler.trace()?.spans;
    for pid in pids {
        let own = spans.iter().filter(|span| span.pid == pid);
        let runs = own.clone().filter(|span| span.kind == "run").count();
        let moved = own.filter(|span| span.kind == "evict" && span.bytes > 0).count();
        assert!(runs >= 2 && moved >= 1, "{pid}: {runs} turns, moved out {moved} times: {spans:#?}");
    }
    Ok(())
}

#[test]
fn tenants_that_would_fit_but_for_what_their_contexts_take_are_both_served() -> Result<()> {
    // 192 MiB are for tenants. These want just that, and their contexts leave 176.
    let contexts = (40 * MIB * SCALE).to_string();
    let world = World::new(&[CARD, &[("FAKECUDA_CONTEXT_BYTES", &contexts)]].concat())?;
    let scheduler = world.scheduler_with(SWAP, &["--quantum", "0.3"])?;
    let tenants = [(); 2].map(|()| load(&world, 3, &["--seconds", "4"], &[]));
    let tenants = tenants.into_iter().collect::<Result<Vec<_>>>()?;
    until("they take turns", || Ok(turns(&scheduler)? >= 6))?;
    for tenant in tenants {
        right(&tenant.finish()?);
    }
    assert!(scheduler.log().contains("finds less room"), "{}", scheduler.log());
    Ok(())
}

#[test]
fn many_small_allocations_move_in_chunks_and_are_right() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler_with(SWAP, &["--quantum", "0.2", "--evict", "always"])?;
    let bytes = (100 * MIB).to_string();
    let many = |blocks| world.load(&["--bytes", &bytes, "--blocks", blocks, "--seconds", "3"], &[]);
    let tenants = [many("300")?, many("7")?];
    for tenant in tenants {
        right(&tenant.finish()?);
    }
    let moved = scheduler.trace()?.spans.iter().filter(|span| span.kind == "evict" && span.bytes > 0).count();
    assert!(moved >= 2, "moved out {moved} times");
    Ok(())
}

#[test]
fn a_tenant_killed_while_it_is_moved_out_leaves_nothing_behind() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler_with(SWAP, &["--quantum", "0.2", "--evict", "always"])?;
    let mut away = load(&world, 6, &["--steps", "1", "--stay"], &[])?;
    away.next("step")?;
    let other = load(&world, 6, &["--seconds", "3"], &[])?;
    until_moved_out(&scheduler, away.pid())?;
    away.kill()?;
    until("its end is noticed", || Ok(find(&scheduler.status()?, away.pid()).is_none()))?;
    right(&other.finish()?);
    let last = load(&world, 6, &["--steps", "2"], &[])?;
    right(&last.finish()?);
    until("the card is empty", || {
        Ok(scheduler.status()?.devices.iter().all(|device| device.resident_bytes == 0))
    })
}

#[test]
fn a_tenant_killed_while_it_holds_does_not_cost_the_other_its_data() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler_with(SWAP, &["--quantum", "3600", "--evict", "always"])?;
    let away = load(&world, 6, &["--steps", "5", "--stay"], &[])?;
    for _ in 0..5 {
        away.next("step")?;
    }
    let mut holder = load(&world, 6, &["--seconds", "1000"], &[])?;
    until_moved_out(&scheduler, away.pid())?;
    holder.next("step")?;
    holder.kill()?;
    right(&away.finish()?);
    Ok(())
}

/// Slow enough that a hand-over of a tenant lasts about a second.
const SLOW: &[(&str, &str)] = &[("FAKECUDA_COPY_GBPS", "0.5")];

#[test]
fn a_scheduler_killed_in_the_middle_of_a_hand_over_costs_no_data() -> Result<()> {
    let card = [CARD, SLOW].concat();
    let world = World::new(&card)?;
    let arguments = ["--quantum", "0.3", "--evict", "always"];
    let mut scheduler = world.scheduler_with(SWAP, &arguments)?;
    let log = world.dir().join("card.log");
    let logged = [("FAKECUDA_LOG", log.to_str().expect("a path of letters"))];
    let tenants = [(); 2].map(|()| load(&world, 6, &["--seconds", "10"], &logged));
    let tenants = tenants.into_iter().collect::<Result<Vec<_>>>()?;
    for (stage, operation) in [("draining", "copy_out"), ("fetching", "copy_in")] {
        let before = copied(&log, operation);
        until("a hand-over is under way, and a piece of memory moves", || {
            let moves = copied(&log, operation) > before;
            Ok(moves && scheduler.status()?.tenants.iter().any(|tenant| tenant.state == stage))
        })?;
        let swap = |status: Status| status.tenants.iter().map(|tenant| tenant.swap_bytes).sum::<u64>();
        let had = swap(scheduler.status()?);
        scheduler.kill()?;
        scheduler = world.scheduler_with(SWAP, &arguments)?;
        until("both are back", || Ok(scheduler.status()?.tenants.len() == 2))?;
        assert_eq!(swap(scheduler.status()?), had, "they keep their swap space, and take no more");
        until("turns go on", || Ok(turns(&scheduler)? >= 2))?;
    }
    for tenant in tenants {
        right(&tenant.finish()?);
    }
    Ok(())
}

#[test]
fn pauses_that_end_while_memory_moves_are_learned() -> Result<()> {
    // What a tenant lacks moves in 0.4 s: longer than the pauses, and than a tenant that was not idle may be away.
    let card = [CARD, &[("FAKECUDA_COPY_GBPS", "0.5")]].concat();
    let world = World::new(&card)?;
    let scheduler = world.scheduler_with(SWAP, &["--quantum", "3600"])?;
    let arguments = ["--seconds", "8", "--rest-ms", "30"];
    let tenants = [(); 2].map(|()| load(&world, 4, &arguments, &[]));
    let tenants = tenants.into_iter().collect::<Result<Vec<_>>>()?;
    for tenant in tenants {
        right(&tenant.finish()?);
    }
    let spans = scheduler.trace()?.spans;
    let runs = spans.iter().filter(|span| span.kind == "run").filter_map(|span| Some(span.end? - span.start));
    let runs: Vec<f64> = runs.collect();
    assert!(runs.iter().any(|run| *run > 3.0), "giving way at each pause: {runs:?}");
    Ok(())
}
