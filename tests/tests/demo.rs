//! The report that started this project, in the simulated world: what a hand-over costs, and what is left
//! for work. Seconds are the simulated card's.
use anyhow::Result;
use nvshare_tests::demo::{Card, measure};
use nvshare_tests::world::built;

#[test]
fn paging_costs_what_the_report_says_and_bulk_prefetch_gives_the_time_back() -> Result<()> {
    let [paging, bulk] = measure(&Card::simulated())?;
    assert!((44.8..=49.6).contains(&paging.hand_over), "47.2 s within 5 %: {paging:#?}");
    assert!((0.75..=1.0).contains(&bulk.hand_over), "about 0.8 s: {bulk:#?}");
    assert!(paging.useful < 0.10, "{paging:#?}");
    assert!(bulk.useful > 0.90, "{bulk:#?}");
    assert_eq!(paging.words_checked, bulk.words_checked);
    assert!(bulk.turns >= 6 && paging.turns >= 4, "{paging:#?} {bulk:#?}");
    Ok(())
}

/// OPERATOR: it started the demonstration.
#[test]
fn the_demonstration_can_be_asked_what_it_is() -> Result<()> {
    let demo = || built().map(|dir| std::process::Command::new(dir.join("demo")));
    for word in ["-h", "--help"] {
        let output = demo()?.arg(word).output()?;
        let text = String::from_utf8(output.stdout)?;
        assert!(output.status.success() && text.contains("Usage: demo [PICTURE]"), "{text}");
    }
    let output = demo()?.arg("--pciture").output()?;
    assert!(!output.status.success() && String::from_utf8(output.stderr)?.contains("--pciture is no option"));
    Ok(())
}
