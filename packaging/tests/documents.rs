//! The command lines and settings that README.md and docs show are such as the programs take.
use clap::Parser;
use nvshare_runtime_hook::{ctk, settings as runtime_settings};
use nvshare_scheduler::{cli, command_line, settings};
use std::fs;
use std::path::Path;

fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut files, mut folders) = (vec![root.join("README.md")], vec![root.join("docs")]);
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
    files.into_iter().map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

/// What is typed: the lines of blocks fenced as `sh`, and what stands between backticks.
fn commands(text: &str) -> Vec<&str> {
    let (mut commands, mut fence) = (Vec::new(), None);
    for line in text.lines() {
        match (line.strip_prefix("```"), fence) {
            (Some(info), None) => fence = Some(info),
            (Some(_), Some(_)) => fence = None,
            (None, Some(info)) if info.starts_with("sh") => commands.push(line),
            (None, Some(_)) => {}
            (None, None) => commands.extend(line.split('`').skip(1).step_by(2)),
        }
    }
    commands
}

/// What one of our programs says to a command; none: it is another's command, or a program's name alone.
fn read(command: &str) -> Option<Result<(), clap::Error>> {
    let command = command.split(['#', '|']).next().unwrap_or_default().trim().trim_end_matches('&');
    // What stands for a number of the reader's.
    let words = command.split_whitespace().skip_while(|word| *word == "sudo");
    let words: Vec<&str> = words.map(|word| if word == "TENANT" { "3" } else { word }).collect();
    let [program, _, ..] = words[..] else { return None };
    match program.rsplit('/').next()? {
        "nvsharectl" => Some(cli::args::Args::try_parse_from(words).map(drop)),
        "nvshare-scheduler" => Some(command_line::Args::try_parse_from(words).map(drop)),
        "nvshare-ctk" => Some(ctk::Command::try_parse_from(words).map(drop)),
        _ => None,
    }
}

#[test]
fn every_command_of_ours_is_one() {
    let mut seen = 0;
    for (name, text) in documents() {
        for command in commands(&text) {
            if let Some(said) = read(command) {
                said.unwrap_or_else(|error| panic!("{name}: {command}\n{error}"));
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn every_setting_that_is_shown_is_one() {
    let mut seen = 0;
    for (name, text) in documents() {
        for block in text.split("\n```toml").skip(1) {
            // Behind the fence may stand the word of the test that uses it.
            let block = block.split_once('\n').unwrap_or_default().1;
            let block = block.split("```").next().unwrap_or_default();
            settings::load(block, &name, &[]).unwrap();
            let loaded = runtime_settings::parse(block);
            assert_eq!(loaded.error, None, "{name}: {block}");
            if block.contains("[runtime]") {
                assert_eq!(
                    loaded.settings,
                    runtime_settings::RuntimeSettings::default(),
                    "{name} shows the defaults"
                );
            }
            seen += 1;
        }
    }
    assert!(seen >= 2, "{seen}");
}
