//! Every target reads every file of its corpus: what a fuzzer once found stays found, also where there is no fuzzer.
//! Then it reads changed ones for a while.
use nvshare_fuzz::mutate::Chance;
use nvshare_fuzz::{TARGETS, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long all targets together read changed files.
const LENGTH: Duration = Duration::from_secs(8);

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The files of a target, by name.
fn files(target: &Target) -> BTreeMap<String, Vec<u8>> {
    let directory = corpus().join(target.name);
    names(&directory)
        .into_iter()
        .map(|name| (name.clone(), fs::read(directory.join(name)).unwrap()))
        .collect()
}

fn survives(target: &Target, bytes: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))).is_ok()
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(&corpus()), targets);
    for target in TARGETS {
        assert!(files(target).len() >= 2, "{} has next to nothing to read", target.name);
    }
}

#[test]
fn nothing_in_the_corpus_breaks_its_reader() {
    let mut broken = Vec::new();
    for target in TARGETS {
        let files = files(target);
        let bad = files.iter().filter(|(_, bytes)| !survives(target, bytes));
        broken.extend(bad.map(|(name, _)| format!("{}/{name}", target.name)));
    }
    assert!(broken.is_empty(), "see above for {broken:?}");
}

#[test]
fn nothing_like_the_corpus_breaks_its_reader() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut chance = Chance::new(seed);
    for target in TARGETS {
        let files: Vec<Vec<u8>> = files(target).into_values().collect();
        let start = Instant::now();
        while start.elapsed() < LENGTH / TARGETS.len() as u32 {
            let other = &files[chance.below(files.len())];
            let mut bytes = files[chance.below(files.len())].clone();
            chance.change(&mut bytes, other);
            if !survives(target, &bytes) {
                let find = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-find", target.name));
                fs::write(&find, bytes).unwrap();
                panic!(
                    "{} breaks its reader, see above; mend that, then keep it in the corpus",
                    find.display()
                );
            }
        }
    }
}
