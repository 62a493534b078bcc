//! What holds for the tables as lists: no symbol twice, each one exported by a real driver, no work forgotten.
use std::collections::BTreeSet;

macro_rules! names {
    ($( $sym:ident ( $($arg:ident : $ty:ty),* $(,)? ) => $handler:ident ( $($parg:ident),* ); )*) => {
        &[$(stringify!($sym)),*]
    };
}
const INTERPOSED: &[&str] = nvshare_abi::cuda_table!(names);
const MORE: &[&str] = nvshare_abi::cuda_not_interposed!(names);

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

/// The names that `cuda.h` declares, with those that its macros make of them for per-thread default streams.
fn declared(version: &str) -> BTreeSet<String> {
    let folder = std::env::var("CUDA_HEADERS")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/cuda-headers").into());
    let header = std::fs::read_to_string(format!("{folder}/{version}/cuda.h")).expect(
        "NVIDIA's header: run `make setup`, or set CUDA_HEADERS to a folder with 12/cuda.h and 13/cuda.h",
    );
    header
        .split("CUDAAPI ")
        .skip(1)
        .filter_map(|text| Some(text.split_once('(')?.0.trim().to_owned()))
        .filter(|name| name.starts_with("cu") && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .collect()
}

#[test]
fn every_name_is_in_the_table_or_in_the_passthrough_list() {
    let passthrough: Vec<&str> =
        nvshare_abi::PASSTHROUGH.iter().flat_map(|group| group.names).copied().collect();
    let mut seen = BTreeSet::new();
    let twice: Vec<_> = INTERPOSED.iter().chain(&passthrough).filter(|name| !seen.insert(**name)).collect();
    assert!(twice.is_empty(), "decided twice: {twice:?}");
    let undecided: Vec<_> = exported()
        .into_iter()
        .map(str::to_owned)
        .chain(declared("12"))
        .chain(declared("13"))
        .filter(|name| !seen.contains(name.as_str()))
        .collect();
    assert!(undecided.is_empty(), "in a driver or a header, and decided nowhere: {undecided:?}");
    let strangers: Vec<_> = seen.into_iter().filter(|name| !exported().contains(name)).collect();
    assert!(strangers.is_empty(), "decided, and in no driver: {strangers:?}");
}
