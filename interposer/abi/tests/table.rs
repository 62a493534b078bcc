//! What holds for the tables as lists: no symbol twice, each one exported by a real driver, no work forgotten.
use std::collections::BTreeSet;

macro_rules! names {
    ($( $sym:ident ( $($arg:ident : $ty:ty),* $(,)? ) => $policy:ident ( $($parg:ident),* ); )*) => {
        &[$(stringify!($sym)),*]
    };
}
const INTERPOSED: &[&str] = nvshare_abi::cuda_table!(names);
const MORE: &[&str] = nvshare_abi::cuda_more!(names);

/// Every name that was asked for when the recording was made: the exported symbols of driver 580.159.04.
fn exported() -> BTreeSet<&'static str> {
    include_str!("../../../tests/fakecuda/data/cuGetProcAddress-580.159.04.tsv")
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect()
}

#[test]
fn no_symbol_stands_twice() {
    let mut seen = BTreeSet::new();
    let twice: Vec<_> = INTERPOSED.iter().chain(MORE).filter(|name| !seen.insert(**name)).collect();
    assert!(twice.is_empty(), "rows that stand twice: {twice:?}");
}

#[test]
fn every_row_is_exported_by_the_recorded_driver() {
    let exported = exported();
    assert_eq!(exported.len(), 674, "the recording names every symbol that the driver exports");
    let strangers: Vec<_> = INTERPOSED.iter().chain(MORE).filter(|n| !exported.contains(**n)).collect();
    assert!(strangers.is_empty(), "rows that driver 580.159.04 does not export: {strangers:?}");
}

/// A submission that no row covers would pass the gate unseen.
#[test]
fn every_exported_launch_copy_fill_and_prefetch_is_interposed() {
    let work = ["cuLaunch", "cuMemcpy", "cuMemset", "cuMemPrefetch", "cuGraphLaunch", "cuGraphUpload"];
    let missing: Vec<_> = exported()
        .into_iter()
        .filter(|name| work.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !INTERPOSED.contains(name))
        .collect();
    assert!(missing.is_empty(), "work that no row of the table covers: {missing:?}");
}
