//! Several cards: each is handed round by itself, and a process that uses several has them together or not at all.
use anyhow::{Result, ensure};
use nvshare_tests::world::{Tenant, World};

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

#[test]
fn processes_with_several_of_four_cards_have_them_together_and_never_wait_for_each_other() -> Result<()> {
    let world = World::new(CARDS)?;
    // While they are small, before they have allocated, they would fit.
    let config = "[scheduler]\nquantum = 0.1\nshare = false\n[swap]\nbudget = \"8GiB\"\n";
    let scheduler = world.scheduler_with(config, &[])?;
    // Each has one of its cards in common with the next, all round; one has a single card.
    let sets = [("0,1", "swap"), ("1,2", "managed"), ("2,3", "swap"), ("3,0", "managed"), ("2", "swap")];
    let start = |(devices, engine): &(&str, &str)| {
        let mut command = world.command(nvshare_tests::world::built()?.join("several"))?;
        command.args(["--devices", devices, "--bytes", BYTES, "--seconds", "4"]);
        command.env("NVSHARE_ENGINE", engine);
        Tenant::spawn(command)
    };
    let tenants = sets.iter().map(start).collect::<Result<Vec<_>>>()?;
    let pids: Vec<u32> = tenants.iter().map(Tenant::pid).collect();
    for tenant in tenants {
        let last = tenant.finish()?;
        ensure!(last["wrong"] == 0 && last["steps"].as_u64() > Some(0), "{last}");
    }
    let spans = scheduler.trace()?.spans;
    let runs: Vec<_> = spans.iter().filter(|span| span.kind == "run").collect();
    for (pid, (set, _)) in pids.iter().zip(sets) {
        let own: Vec<_> = runs.iter().filter(|span| span.pid == *pid).collect();
        ensure!(own.len() >= 3, "{set} has too few turns: {runs:#?}");
        let whole = own.iter().all(|span| span.devices.len() == set.split(',').count());
        ensure!(whole, "{set} is half granted: {own:#?}");
    }
    for (i, one) in runs.iter().enumerate() {
        for other in runs[i + 1..].iter().filter(|other| other.pid != one.pid) {
            let apart = one.devices.iter().all(|device| !other.devices.contains(device))
                || one.end.is_some_and(|end| end <= other.start)
                || other.end.is_some_and(|end| end <= one.start);
            ensure!(apart, "two ran at once on one card: {one:?} {other:?}");
        }
    }
    Ok(())
}
