//! What the documents say of this repository is so: their commands are run by a test each, what they name is there.
//!
//! A command stands in a block fenced as `sh WORD`, a file that belongs to commands in one fenced as `yaml WORD` or the
//! like; the word says who runs it.
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
    ("compose", "tests/containers/case-compose.sh"),
    ("compose-annotations", "tests/containers/case-compose.sh"),
    ("jupyter", "tests/containers/case-jupyter.sh"),
    ("servers", "tests/containers/case-servers.sh"),
    ("users", "tests/containers/case-users.sh"),
    ("json", "scheduler/tests/why.rs"),
    ("program", "tests/containers/images.sh, for the programs of case-documents.sh"),
    ("unprivileged", "tests/containers/case-documents.sh"),
    ("gpu", "tests/gpu/scripts/recipes.sh"),
    ("machine", "tests/packages/case-debian.sh"),
    ("slurm", "tests/slurm/case-guide.sh"),
    ("slurm-suspend", "tests/slurm/case-guide.sh"),
    ("slurm-resume", "tests/slurm/case-guide.sh"),
    ("slurm-remove", "tests/slurm/case-guide.sh"),
    ("slurm-oci", "tests/slurm/case-container.sh"),
    ("by-hand", "nobody: tests/documents/by-hand.txt says why"),
];
/// What a block is written in that a test runs or uses.
const LANGUAGES: &[&str] = &["sh", "python", "yaml", "toml", "cuda", "ini"];
/// Blocks that are no commands.
const OTHERS: &[&str] = &["text", "toml", "ini", "json"];

/// How a path of this repository begins.
const OURS: [&str; 9] = [
    "tests/",
    "packaging/",
    "scheduler/",
    "interposer/",
    "runtime-hook/",
    "slurm/",
    "docs/",
    ".ci/",
    ".github/",
];

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
                (language, word)
                    if LANGUAGES.contains(&language) && (language == "sh" || !word.is_empty()) =>
                {
                    let known = RUNNERS.iter().any(|(runner, _)| *runner == word);
                    assert!(
                        known,
                        "{name}: nobody runs the block `{language} {word}`: {lines:?}; known: {RUNNERS:?}"
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
    let mut named = 0;
    for (name, text) in documents().into_iter().chain(contributors_documents()) {
        let place = root().join(&name);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let links = links.filter(|link| !link.contains("://"));
        let links = links.map(|link| place.parent().unwrap().join(link.split('#').next().unwrap()));
        let files = quoted(&text).into_iter().filter(|code| OURS.iter().any(|ours| code.starts_with(ours)));
        let files = files.filter(|code| !code.contains([' ', '*', '{']));
        let files = files.map(|code| root().join(code.split("::").next().unwrap()));
        for path in links.chain(files) {
            assert!(path.exists(), "{name}: {}", path.display());
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
}

/// What contributors read: ARCHITECTURE.md, CONTRIBUTING.md and the tests' own page.
fn contributors_documents() -> Vec<(String, String)> {
    let names = ["ARCHITECTURE.md", "CONTRIBUTING.md", "tests/README.md", "tests/gpu/README.md"];
    names.into_iter().map(|name| (name.to_owned(), fs::read_to_string(root().join(name)).unwrap())).collect()
}

/// Whether the text of a source file defines a name.
fn defines(source: &str, name: &str) -> bool {
    let before = ["fn", "struct", "enum", "trait", "type", "mod", "const", "static", "macro_rules!", "union"];
    before.iter().any(|word| {
        source.match_indices(&format!("{word} {name}")).any(|(at, found)| {
            let next = source[at + found.len()..].chars().next();
            next.is_none_or(|next| !next.is_alphanumeric() && next != '_')
        })
    })
}

/// `FILE::NAME` or `FILE::TYPE::METHOD` between backticks names something that the file defines.
#[test]
fn every_function_that_contributors_are_told_of_is_there() {
    let (mut files, mut functions) = (0, 0);
    let documents = documents().into_iter().filter(|(name, _)| name.starts_with("docs/"));
    for (name, text) in contributors_documents().into_iter().chain(documents) {
        for code in quoted(&text).into_iter().filter(|code| OURS.iter().any(|ours| code.starts_with(ours))) {
            let mut parts = code.split("::");
            let path = parts.next().unwrap();
            if path.contains([' ', '*', '{']) {
                continue;
            }
            assert!(root().join(path).exists(), "{name}: {path}");
            files += 1;
            for part in parts {
                let source = fs::read_to_string(root().join(path)).unwrap();
                assert!(defines(&source, part), "{name}: {path} defines no {part}");
                functions += 1;
            }
        }
    }
    assert!(files > 100 && functions > 20, "{files} files, {functions} functions");
}

/// All sources of Rust in the folders that we build, as one text.
fn sources() -> String {
    let mut folders: Vec<PathBuf> = ["interposer", "runtime-hook", "scheduler", "tests", "packaging"]
        .into_iter()
        .map(|name| root().join(name))
        .collect();
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

/// Tests have sentences for names, which nothing else has.
#[test]
fn every_test_that_holds_a_promise_is_there() {
    let sources = sources();
    let mut named = 0;
    for (name, text) in documents().into_iter().filter(|(name, _)| name.starts_with("docs/reference/")) {
        for code in quoted(&text) {
            let test = code.rsplit("::").next().unwrap();
            let plain = test.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if plain && test.matches('_').count() >= 4 {
                assert!(defines(&sources, test), "{name}: no test is named {test}");
                named += 1;
            }
        }
    }
    assert!(named > 30, "{named}");
}
