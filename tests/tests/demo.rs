//! The report that started this project, in the simulated world: what a hand-over costs, and what is left
//! for work. Seconds are the simulated card's.
use anyhow::Result;
use nvshare_tests::demo::{Card, measure};

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
