//! Swap space that is full or missing, and calls of the driver that fail.
use super::*;

#[test]
fn what_swap_space_cannot_hold_is_refused_as_out_of_memory_and_nobody_dies() -> Result<()> {
    let world = World::new(CARD)?;
    // 64 MiB go to the first who joins, also if it needs none; 96 are left.
    let _scheduler = world.scheduler_with(
        "[swap]\nbudget = \"160MiB\"\n[limits]\nswap_per_user = \"none\"\n",
        &["--quantum", "0.2"],
    )?;
    let beside = load(&world, 5, &["--seconds", "3"], &[("NVSHARE_ENGINE", "managed")])?;
    beside.next("step")?;
    let refused = load(&world, 4, &["--steps", "1"], &[])?.finish();
    assert!(format!("{:?}", refused.unwrap_err()).contains("exit status: 1"), "it ends by itself");
    let log = world.tenants_log();
    assert!(log.contains("cuMemAlloc: CUDA error 2"), "{log}");
    assert!(log.contains("the scheduler's swap space is used up"), "{log}");
    right(&load(&world, 3, &["--steps", "3"], &[])?.finish()?);
    right(&beside.finish()?);
    Ok(())
}

#[test]
fn a_tenant_for_which_there_is_no_swap_space_at_all_uses_managed_memory() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler_with("[swap]\nbudget = \"256MiB\"\n", &["--quantum", "0.2"])?;
    let first = load(&world, 5, &["--seconds", "3"], &[])?;
    first.next("step")?;
    let log = world.dir().join("card.log");
    let logged = [("FAKECUDA_LOG", log.to_str().expect("a path of letters"))];
    let second = load(&world, 5, &["--seconds", "3"], &logged)?;
    second.next("step")?;
    let status = scheduler.status()?;
    assert!(status.tenants.iter().all(|tenant| tenant.immovable_bytes == 0), "{status:#?}");
    right(&first.finish()?);
    right(&second.finish()?);
    assert!(std::fs::read_to_string(&log)?.contains("prefetch_out"), "it was moved out as managed memory is");
    Ok(())
}

/// Two tenants take turns, one of them with failures planned; both must end well. The failing one's stderr.
fn with_failures(planned: &str) -> Result<String> {
    with_failures_of("swap", planned)
}

fn with_failures_of(engine: &str, planned: &str) -> Result<String> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler_with(SWAP, &["--quantum", "0.2", "--evict", "always"])?;
    let settings = [("NVSHARE_ENGINE", engine), ("FAKECUDA_FAIL", planned), ("NVSHARE_LOG", "debug")];
    let failing = load(&world, 6, &["--seconds", "4"], &settings)?;
    failing.next("step")?;
    let other = load(&world, 6, &["--seconds", "4"], &[])?;
    right(&failing.finish()?);
    right(&other.finish()?);
    let turns = turns(&scheduler)?;
    ensure!(turns >= 6, "{planned}: turns go on after the failure: {turns}");
    Ok(world.tenants_log())
}

#[test]
fn a_card_that_is_full_for_a_moment_costs_time_and_no_data() -> Result<()> {
    // The first six make the memory at the first grant, the seventh and the tenth come when it is brought back.
    let log = with_failures("cuMemCreate:7:2,cuMemCreate:10:2")?;
    assert!(log.contains("memory does not come back yet (CUDA error 2)"), "{log}");
    Ok(())
}

#[test]
fn what_came_before_a_refusal_is_counted_with_what_comes_after_it() -> Result<()> {
    let world = World::new(CARD)?;
    let _scheduler = world.scheduler_with(SWAP, &[])?;
    let settings = [("FAKECUDA_FAIL", "cuMemCreate:4:2"), ("NVSHARE_LOG", "debug")];
    right(&load(&world, 6, &["--steps", "1"], &settings)?.finish()?);
    let log = world.tenants_log();
    assert!(log.contains("memory does not come back yet (CUDA error 2)"), "{log}");
    assert!(log.contains("granted: 0.19 GiB in"), "all six pieces: {log}");
    Ok(())
}

#[test]
fn a_mapping_that_fails_costs_time_and_no_data() -> Result<()> {
    let log = with_failures("cuMemMap:9:999,cuMemSetAccess:14:1")?;
    assert!(log.contains("memory does not come back yet (CUDA error 999)"), "{log}");
    assert!(log.contains("memory does not come back yet (CUDA error 1)"), "{log}");
    Ok(())
}

#[test]
fn a_copy_that_fails_costs_time_and_no_data() -> Result<()> {
    let log = with_failures("cuMemcpyHtoDAsync:3:999,cuMemcpyHtoDAsync:9:2,cuMemcpyDtoHAsync:8:999")?;
    assert!(log.contains("memory does not come back yet (CUDA error 999)"), "{log}");
    Ok(())
}

#[test]
fn swap_space_that_cannot_be_registered_is_slower_and_right() -> Result<()> {
    let log = with_failures("cuMemHostRegister:0:801")?;
    assert!(log.contains("swap space cannot be registered (CUDA error 801): it is slower"), "{log}");
    Ok(())
}

#[test]
fn swap_space_that_an_ended_context_refuses_is_registered_in_the_next_one() -> Result<()> {
    let log = with_failures("cuMemHostRegister:1:709,cuMemHostRegister:2:801")?;
    assert!(log.contains("swap space cannot be registered (CUDA error 801): it is slower"), "{log}");
    assert!(!log.contains("registered (CUDA error 709)"), "{log}");
    Ok(())
}

#[test]
fn swap_space_is_not_registered_for_managed_memory() -> Result<()> {
    let log = with_failures_of("managed", "cuMemHostRegister:0:801")?;
    assert!(log.contains("the engine of this process is managed"), "{log}");
    assert!(!log.contains("swap space cannot be registered"), "{log}");
    Ok(())
}

#[test]
fn a_context_that_breaks_while_memory_comes_back_is_told_of_and_costs_nobody_else() -> Result<()> {
    let world = World::new(CARD)?;
    let _scheduler = world.scheduler_with(SWAP, &["--quantum", "0.2", "--evict", "always"])?;
    let planned = [("FAKECUDA_FAIL", "cuMemcpyHtoDAsync:3:700")];
    let breaking = load(&world, 6, &["--seconds", "1000"], &planned)?;
    breaking.next("step")?;
    let other = load(&world, 6, &["--seconds", "3"], &[])?;
    let broken = breaking.finish();
    assert!(format!("{:?}", broken.unwrap_err()).contains("exit status: 1"), "it ends by itself");
    assert!(world.tenants_log().contains("CUDA error 700"), "{}", world.tenants_log());
    right(&other.finish()?);
    Ok(())
}

#[test]
fn an_allocation_that_fails_on_a_card_of_its_own_is_the_drivers_error() -> Result<()> {
    let world = World::new(CARD)?;
    let _scheduler = world.scheduler_with(SWAP, &[])?;
    for planned in ["cuMemAddressReserve:1:2", "cuMemAddressReserve:3:2"] {
        let refused = load(&world, 3, &["--steps", "1"], &[("FAKECUDA_FAIL", planned)])?.finish();
        assert!(
            format!("{:?}", refused.unwrap_err()).contains("exit status: 1"),
            "{planned}: it ends by itself"
        );
    }
    let log = world.tenants_log();
    assert_eq!(log.matches("cuMemAlloc: CUDA error 2").count(), 2, "{log}");
    Ok(())
}
