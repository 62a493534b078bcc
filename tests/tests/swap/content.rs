//! Only what has content and has changed moves.
use super::*;
use nvshare_protocol::control::Span;

const GRANULE: u64 = 2 * MIB;
/// What each of the two tenants has.
const PIECES: u64 = 4;

/// What a tenant has moved, in pieces.
struct Moved {
    turns: u64,
    out: f64,
    back: f64,
    /// What operators were told: unchanged, and zero.
    told: (f64, f64),
}

impl Moved {
    /// What moves at least where everything does. After the last turn nobody may want the room, nor after the one before
    /// it, if the other tenant ends in between.
    fn must_leave(&self) -> f64 {
        (self.turns.saturating_sub(2) * PIECES) as f64
    }
}

/// Two tenants of a kind in turns, of which only one fits: what the first has moved, and both their data is right.
fn in_turns(more: &[&str], settings: &[(&str, &str)]) -> Result<Moved> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler_with(SWAP, &["--quantum", "0.3", "--evict", "always"])?;
    let log = world.dir().join("moves");
    let start = |seed: &str, settings: &[(&str, &str)]| -> Result<Tenant> {
        let mut command = world.command(nvshare_tests::world::built()?.join("contents"))?;
        let (bytes, blocks) = ((PIECES * PIECE).to_string(), PIECES.to_string());
        command.args(["--bytes", &bytes, "--blocks", &blocks, "--seconds", "6", "--seed", seed]).args(more);
        command.args(["--spin", "1000000"]);
        command.envs(settings.iter().copied());
        Tenant::spawn(command)
    };
    let logged = [settings, &[("FAKECUDA_LOG", log.to_str().expect("a path of letters"))]].concat();
    let one = start("1", &logged)?;
    let pid = one.pid();
    let other = start("2", settings)?;
    right(&one.finish()?);
    right(&other.finish()?);
    let trace = scheduler.trace()?;
    let turns = trace.spans.iter().filter(|span| span.kind == "run" && span.pid == pid).count() as u64;
    ensure!(turns >= 3, "{turns} turns");
    let pieces = |operation: &str| copied_by(&log, operation, GRANULE) as f64 / PIECE as f64;
    let told = |bytes: fn(&Span) -> u64| {
        trace.spans.iter().filter(|span| span.pid == pid).map(bytes).sum::<u64>() as f64 / PIECE as f64
    };
    let told = (told(|span| span.unchanged_bytes), told(|span| span.zero_bytes));
    Ok(Moved { turns, out: pieces("copy_out"), back: pieces("copy_in"), told })
}

#[test]
fn what_does_not_change_leaves_once_and_what_is_zero_never_moves() -> Result<()> {
    let moved = in_turns(&["--content", &PIECE.to_string()], &[])?;
    ensure!((moved.out - 1.0).abs() < 0.01, "{} pieces copied out, must 1", moved.out);
    ensure!(moved.told.0 > 1.0 && moved.told.1 > 1.0, "told of {:?} pieces unchanged and zero", moved.told);
    let returns = (moved.turns - 1) as f64;
    // The last check brings it back once more, perhaps.
    ensure!(
        (returns - 1.0..returns + 2.0).contains(&moved.back),
        "{} pieces back in {returns} returns",
        moved.back
    );
    Ok(())
}

#[test]
fn what_changes_leaves_each_time() -> Result<()> {
    let moved = in_turns(&["--changing", &(PIECES * PIECE).to_string()], &[])?;
    let least = moved.must_leave();
    ensure!(moved.out >= least && moved.back >= least, "{} and {} of {least}", moved.out, moved.back);
    Ok(())
}

#[test]
fn a_changed_bit_or_word_leaves_with_its_granule_alone() -> Result<()> {
    let moved = in_turns(&["--content", &PIECE.to_string(), "--flips", "2"], &[])?;
    ensure!(moved.out > 1.0, "nothing of what was changed has left");
    // Everything, each time, would be this.
    let all = (moved.turns * PIECES) as f64;
    ensure!(moved.out < all * 0.75, "{} of {all} pieces copied out", moved.out);
    Ok(())
}

#[test]
fn all_of_it_moves_for_comparison() -> Result<()> {
    let moved = in_turns(&["--content", &PIECE.to_string()], &[("NVSHARE_MOVE", "all")])?;
    let least = moved.must_leave();
    ensure!(moved.out >= least, "{} pieces copied out, must {least}", moved.out);
    Ok(())
}

#[test]
fn the_kernel_finds_each_change_and_its_hash_is_the_one_that_is_documented() -> Result<()> {
    let world = World::new(CARD)?;
    let flips = world.native(nvshare_tests::world::built()?.join("flips"))?;
    let last = Tenant::spawn(flips)?.finish()?;
    assert_eq!((&last["checked"], &last["compared"]), (&32.into(), &2.into()), "{last}");
    Ok(())
}
