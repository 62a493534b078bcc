//! What the documents say of this repository is so: their commands are run by a test each, what they name is there.
//!
//! A command stands in a block fenced as `sh WORD`; the word says who runs it.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The words, and who runs such a block.
const RUNNERS: &[(&str, &str)] = &[
    ("demo", "tests/tests/demo.rs, by the function that `make demo` calls"),
    ("test", ".ci/run"),
    ("clone", "tests/containers/case-documents.sh"),
    ("processes", "tests/containers/case-documents.sh"),
    ("docker", "tests/containers/case-documents.sh"),
    ("podman", "tests/containers/case-documents.sh"),
    ("containerd", "tests/containers/case-documents.sh"),
    ("machine", "tests/packages/case-debian.sh"),
    ("by-hand", "nobody: tests/documents/by-hand.txt says why"),
];
/// Blocks that are no commands.
const OTHERS: &[&str] = &["text", "toml", "ini", "json"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// README.md and all documents below docs, by name.
fn documents() -> Vec<(String, String)> {
    let mut files = vec![root().join("README.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                files.push(path);
            }
        }
    }
    files.sort();
    let read = |path: PathBuf| {
        (path.strip_prefix(root()).unwrap().display().to_string(), fs::read_to_string(path).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// The fenced blocks: what stands after the fence, and the lines.
fn blocks(text: &str) -> Vec<(&str, Vec<&str>)> {
    let (mut blocks, mut open) = (Vec::new(), None);
    for line in text.lines() {
        open = match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => {
                blocks.push(block);
                None
            }
            (Some(info), None) => Some((info, Vec::new())),
            (None, Some((info, mut lines))) => {
                lines.push(line);
                Some((info, lines))
            }
            (None, None) => None,
        };
    }
    assert!(open.is_none(), "a block does not end");
    blocks
}

/// What stands between backticks, outside of blocks.
fn quoted(text: &str) -> Vec<&str> {
    let mut in_block = false;
    let outside = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        in_block ^= fence;
        !in_block && !fence
    });
    outside.flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_block_has_a_kind_and_every_command_a_runner() {
    let mut used = BTreeSet::new();
    for (name, text) in documents() {
        for (info, lines) in blocks(&text) {
            match info.split_once(' ').unwrap_or((info, "")) {
                ("sh", word) => {
                    let known = RUNNERS.iter().any(|(runner, _)| *runner == word);
                    assert!(
                        known,
                        "{name}: nobody runs the block `sh {word}`: {lines:?}; known: {RUNNERS:?}"
                    );
                    used.insert(word.to_owned());
                }
                (other, "") => assert!(OTHERS.contains(&other), "{name}: a block of `{other}`: {lines:?}"),
                (_, rest) => panic!("{name}: what is `{rest}` in `{info}`?"),
            }
        }
        let indented = text.lines().collect::<Vec<_>>();
        let indented = indented.windows(2).find(|pair| pair[0].is_empty() && pair[1].starts_with("    "));
        let in_a_block = |line: &str| blocks(&text).iter().any(|(_, lines)| lines.contains(&line));
        assert!(
            indented.is_none_or(|pair| in_a_block(pair[1])),
            "{name}: a block without a fence: {indented:?}"
        );
    }
    let known: BTreeSet<String> = RUNNERS.iter().map(|(word, _)| (*word).to_owned()).collect();
    assert_eq!(used, known, "runners and blocks");
    for (word, runner) in RUNNERS {
        let file = runner.split([',', ':', ' ']).next().unwrap();
        assert!(*word == "by-hand" || root().join(file).is_file(), "{file}");
    }
}

#[test]
fn what_nobody_runs_has_its_reason() {
    let list = fs::read_to_string(root().join("tests/documents/by-hand.txt")).unwrap();
    let listed: BTreeSet<&str> = list
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (command, reason) = line.split_once('\t').unwrap_or_else(|| panic!("{line}: no reason"));
            assert!(reason.len() > 10, "{line}");
            command
        })
        .collect();
    let documents = documents();
    let by_hand =
        documents.iter().flat_map(|(_, text)| blocks(text)).filter(|(info, _)| *info == "sh by-hand");
    assert_eq!(by_hand.flat_map(|(_, lines)| lines).collect::<BTreeSet<_>>(), listed);
}

#[test]
fn every_target_that_is_named_is_in_the_makefile() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut named = 0;
    for (name, text) in documents() {
        let all = blocks(&text);
        let commands = all
            .iter()
            .filter(|(info, _)| info.starts_with("sh"))
            .flat_map(|(_, lines)| lines.iter().copied());
        for code in quoted(&text).into_iter().chain(commands) {
            let Some(targets) = code.strip_prefix("make ") else { continue };
            for target in targets.split_whitespace() {
                assert!(makefile.contains(&format!("\n.PHONY: {target}\n")), "{name}: make {target}");
                named += 1;
            }
        }
    }
    assert!(named > 5, "{named}");
}

#[test]
fn every_file_and_link_of_ours_is_there() {
    const OURS: [&str; 7] =
        ["tests/", "packaging/", "scheduler/", "interposer/", "runtime-hook/", "docs/", ".ci/"];
    let mut named = 0;
    for (name, text) in documents() {
        let place = root().join(&name);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let links = links.filter(|link| !link.contains("://"));
        let links = links.map(|link| place.parent().unwrap().join(link.split('#').next().unwrap()));
        let files = quoted(&text).into_iter().filter(|code| OURS.iter().any(|ours| code.starts_with(ours)));
        let files = files.filter(|code| !code.contains([' ', '*'])).map(|code| root().join(code));
        for path in links.chain(files) {
            assert!(path.exists(), "{name}: {}", path.display());
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
}
