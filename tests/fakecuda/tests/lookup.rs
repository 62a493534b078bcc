//! The lookup answers exactly as the recorded driver did, and every symbol is exported.
mod support;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use support::Cuda;

const RECORDING: &str = include_str!("../data/cuGetProcAddress-580.159.04.tsv");

#[test]
fn every_recorded_answer_is_given_again_and_holds_up_to_the_next_version() {
    let cuda = Cuda::open();
    let mut rows: BTreeMap<(&str, u64), Vec<(i32, &str)>> = BTreeMap::new();
    for line in RECORDING.lines() {
        let part: Vec<_> = line.split('\t').collect();
        rows.entry((part[0], part[1].parse().unwrap()))
            .or_default()
            .push((part[2].parse().unwrap(), part[3]));
    }
    let mut checked = 0;
    for ((name, flags), mut answers) in rows {
        answers.sort_unstable();
        for (at, (version, expected)) in answers.iter().enumerate() {
            let last = answers.get(at + 1).map_or(13000, |next| next.0 - 1);
            for version in [*version, last.max(*version)] {
                let (code, status, address) = ask(&cuda, name, flags, version);
                let got = if address == 0 {
                    format!("r{code}/s{status}")
                } else {
                    assert_eq!((code, status), (0, 0), "{name} {flags} {version}");
                    let same = cuda.address(expected) as u64 == address;
                    if same { (*expected).to_owned() } else { format!("{address:#x}, not {expected}") }
                };
                assert_eq!(got, *expected, "{name}, flags {flags}, version {version}");
                checked += 1;
            }
        }
    }
    assert!(checked > 5000, "only {checked} answers were checked");
}

fn ask(cuda: &Cuda, name: &str, flags: u64, version: i32) -> (u32, u32, u64) {
    let name = CString::new(name).unwrap();
    let (mut address, mut status) = (0_u64, 9_u32);
    let status_at = &mut status as *mut u32;
    let code = call!(
        cuda,
        "cuGetProcAddress_v2",
        name.as_ptr(),
        &mut address as *mut u64,
        version,
        flags,
        status_at
    );
    (code, status, address)
}

#[test]
fn an_unknown_name_is_not_found() {
    let (code, status, address) = ask(&Cuda::open(), "cuNoSuchThing", 0, 12080);
    assert_eq!((code, status, address), (0, 1, 0));
}

#[test]
fn all_674_symbols_are_exported_each_at_an_address_of_its_own() {
    let cuda = Cuda::open();
    let names: BTreeSet<_> = RECORDING.lines().filter_map(|line| line.split('\t').next()).collect();
    let addresses: BTreeSet<_> = names.iter().map(|name| cuda.address(name) as u64).collect();
    assert_eq!((names.len(), addresses.len()), (674, 674));
}

#[test]
fn what_is_not_simulated_says_so() {
    let cuda = Cuda::open();
    assert_eq!(call!(cuda, "cuGreenCtxDestroy", 0), 801);
}

#[test]
fn a_preloaded_library_does_not_stand_in_for_the_driver_s_own_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let (source, library) = (dir.path().join("preload.c"), dir.path().join("preload.so"));
    std::fs::write(&source, "int cuInit(unsigned flags) { return 77 + flags; }\n").unwrap();
    let cc =
        std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    assert!(cc.expect("run cc").success());
    support::run("looks_up_under_a_preload", &[("LD_PRELOAD", library.to_str().unwrap())]);
}

#[test]
fn looks_up_under_a_preload() {
    if support::is_role("looks_up_under_a_preload") {
        let cuda = Cuda::open();
        let (code, _, address) = ask(&cuda, "cuInit", 0, 12080);
        assert_eq!((code, address), (0, cuda.address("cuInit") as u64));
        ok!(cuda, "cuInit", 0);
    }
}
