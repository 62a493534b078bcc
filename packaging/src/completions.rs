//! Completions of the shells that have a place for them.
use crate::put;
use anyhow::Result;
use clap::Command;
use clap_complete::Shell;
use std::path::Path;

/// The shells, and what a program's file is called.
const SHELLS: [(Shell, &str, &str, &str); 3] = [
    (Shell::Bash, "usr/share/bash-completion/completions/", "", ""),
    (Shell::Zsh, "usr/share/zsh/site-functions/", "_", ""),
    (Shell::Fish, "usr/share/fish/vendor_completions.d/", "", ".fish"),
];

pub fn write(program: &Command, root: &Path) -> Result<()> {
    let name = program.get_name();
    for (shell, directory, before, after) in SHELLS {
        put(root, &format!("{directory}{before}{name}{after}"), &script(program, shell))?;
    }
    Ok(())
}

fn script(program: &Command, shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program.clone(), program.get_name(), &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs;

    #[test]
    fn every_option_that_is_shown_is_completed() {
        for program in programs() {
            for (shell, ..) in SHELLS {
                let script = String::from_utf8(script(&program, shell)).unwrap();
                for option in program.get_arguments().filter(|option| !option.is_hide_set()) {
                    let long = option.get_long().unwrap();
                    assert!(script.contains(long), "{shell}, {}: no --{long}", program.get_name());
                }
                for command in program.get_subcommands() {
                    let name = command.get_name();
                    assert!(script.contains(name), "{shell}, {}: no {name}", program.get_name());
                }
            }
        }
    }
}
