//! Makes from the recording of a real driver, and from the functions written in `src/calls`:
//! * `stubs.rs`: the exported symbols that nobody wrote, each returning `CUDA_ERROR_NOT_SUPPORTED`;
//! * `recording.rs`: the answers of the lookup, and the addresses of all exported symbols;
//! * `signatures.rs`: a check that what is written has the type of its row in the table.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const RECORDING: &str = "data/cuGetProcAddress-580.159.04.tsv";

type Row = (&'static str, &'static [&'static str]);
macro_rules! rows {
    ($( $sym:ident ( $($arg:ident : $ty:ty),* $(,)? ) => $handler:ident ( $($parg:ident),* ); )*) => {
        &[$((stringify!($sym), &[$(stringify!($ty)),*])),*]
    };
}
const INTERPOSED: &[Row] = nvshare_abi::cuda_table!(rows);
const MORE: &[Row] = nvshare_abi::cuda_not_interposed!(rows);

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libcuda.so.1");
    // As a real driver does: its lookup gives its own addresses, also where a preloaded library exports the
    // same names.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    // Its thread goes on after a dlclose.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rerun-if-changed={RECORDING}");
    println!("cargo::rerun-if-changed=src/calls");
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let recording = fs::read_to_string(RECORDING).expect("read the recording");
    let exported: BTreeSet<&str> = recording.lines().filter_map(|l| l.split('\t').next()).collect();
    let written = written();

    let mut stubs = String::new();
    for name in exported.iter().filter(|name| !written.contains(**name)) {
        writeln!(
            stubs,
            "#[unsafe(no_mangle)] pub extern \"C\" fn {name}() -> CUresult {{ stub(\"{name}\") }}"
        )
        .unwrap();
    }
    fs::write(Path::new(&out).join("stubs.rs"), stubs).expect("write stubs.rs");

    let mut answers = String::from("pub static SYMBOLS: &[(&str, Address)] = &[\n");
    for name in &exported {
        let path = if written.contains(*name) { "calls" } else { "stubs" };
        writeln!(answers, "(\"{name}\", Address({path}::{name} as *const ())),").unwrap();
    }
    answers += "];\npub static ANSWERS: &[(&str, u64, i32, &str)] = &[\n";
    let mut sorted: BTreeMap<(&str, u64, i32), &str> = BTreeMap::new();
    for line in recording.lines() {
        let mut part = line.split('\t');
        let mut next = || part.next().expect("four columns");
        let (name, flags, version, answer) = (next(), next(), next(), next());
        sorted.insert((name, flags.parse().unwrap(), version.parse().unwrap()), answer);
    }
    for ((name, flags, version), answer) in sorted {
        writeln!(answers, "(\"{name}\", {flags}, {version}, \"{answer}\"),").unwrap();
    }
    answers += "];\n";
    fs::write(Path::new(&out).join("recording.rs"), answers).expect("write recording.rs");

    let mut checks = String::new();
    for (name, types) in INTERPOSED.iter().chain(MORE).filter(|(name, _)| written.contains(*name)) {
        let types = types.join(", ");
        writeln!(checks, "const _: unsafe extern \"C\" fn({types}) -> CUresult = calls::{name};").unwrap();
    }
    fs::write(Path::new(&out).join("signatures.rs"), checks).expect("write signatures.rs");
}

/// The functions in `src/calls`: within `driver!`, a line that starts with one or two symbols.
fn written() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in fs::read_dir("src/calls").expect("read src/calls") {
        let text = fs::read_to_string(file.expect("an entry").path()).expect("read a source file");
        for line in text.lines() {
            let line = line.trim_start();
            let Some(end) = line.find('(') else { continue };
            let symbols: Vec<_> = line[..end].split(" | ").map(str::trim).collect();
            let is_symbol = |s: &&str| {
                s.starts_with("cu")
                    && s[2..].starts_with(|c: char| c.is_ascii_uppercase())
                    && s.chars().all(|c: char| c.is_ascii_alphanumeric() || c == '_')
            };
            if symbols.iter().all(is_symbol) {
                names.extend(symbols.into_iter().map(str::to_owned));
            }
        }
    }
    names
}
