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
    if program.get_name() == ASKED {
        // The library writes UTF-8.
        return with_names(&String::from_utf8_lossy(&script), shell).into_bytes();
    }
    script
}

/// The program that knows the names, and the options that take them: what follows `names` tells them.
const ASKED: &str = "nvsharectl";
const NAMED: [(&str, &str); 4] =
    [("gpu", "gpus"), ("tenant", "tenants"), ("container", "containers"), ("user", "users")];

/// The script, with the values of those options asked for when they are needed.
fn with_names(script: &str, shell: Shell) -> String {
    let mut out = String::new();
    let mut takes = None;
    for line in script.lines() {
        let named = |form: fn(&str) -> String| {
            NAMED.into_iter().find(|(option, _)| line.contains(&form(option))).map(|(_, names)| names)
        };
        let changed = match shell {
            Shell::Bash => {
                let now = takes.take();
                takes = named(|option| format!(" --{option})"));
                now.map(|names| {
                    let ask = format!("-W \"$(\"$1\" names {names} 2>/dev/null)\"");
                    line.replace("compgen -f", &format!("compgen {ask} --"))
                })
            }
            Shell::Zsh => named(|option| format!("'--{option}=[")).map(|names| {
                let ask = format!("{{compadd -- $({ASKED} names {names} 2>/dev/null)}}");
                line.replace(":_default'", &format!(":{ask}'"))
            }),
            Shell::Fish => named(|option| format!(" -l {option} "))
                .map(|names| format!("{line} -f -a '({ASKED} names {names} 2>/dev/null)'")),
            _ => None,
        };
        out += changed.as_deref().unwrap_or(line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs;

    /// What a shell offers after `nvsharectl status --gpu ` and `word`, with a program in the place of nvsharectl that
    /// knows two GPUs.
    fn offered(shell: Shell, word: &str) -> Option<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(ASKED);
        let says = "#!/bin/sh\n[ \"$*\" = 'names gpus' ] && printf '0\\n1\\nGPU-a\\nGPU-b\\n'\n";
        std::fs::write(&program, says).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let file = dir.path().join("script");
        let written = programs().into_iter().find(|program| program.get_name() == ASKED).unwrap();
        std::fs::write(&file, script(&written, shell)).unwrap();
        let (name, asks) = match shell {
            Shell::Bash => (
                "bash",
                format!(
                    "source {file:?}; COMP_WORDS=(nvsharectl status --gpu '{word}'); COMP_CWORD=3; \
                     _nvsharectl nvsharectl '{word}' --gpu; printf '%s\\n' \"${{COMPREPLY[@]}}\""
                ),
            ),
            _ => ("fish", format!("source {file:?}; complete -C 'nvsharectl status --gpu {word}'")),
        };
        let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
        let output = std::process::Command::new(name).arg("-c").arg(asks).env("PATH", path).output();
        let text = String::from_utf8(output.ok()?.stdout).unwrap();
        Some(text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect())
    }

    #[test]
    fn shells_offer_the_gpus_that_there_are() {
        let Some(all) = offered(Shell::Bash, "") else { panic!("bash is there") };
        assert_eq!(all, ["0", "1", "GPU-a", "GPU-b"]);
        assert_eq!(offered(Shell::Bash, "GPU").unwrap(), ["GPU-a", "GPU-b"]);
        // Not every machine has it.
        if let Some(some) = offered(Shell::Fish, "GPU") {
            assert_eq!(some, ["GPU-a", "GPU-b"]);
        }
        let program = programs().into_iter().find(|program| program.get_name() == ASKED).unwrap();
        for (shell, ..) in SHELLS {
            let text = String::from_utf8(script(&program, shell)).unwrap();
            for (option, names) in NAMED {
                assert!(text.contains(&format!("names {names}")), "{shell}: --{option}");
            }
        }
    }

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
