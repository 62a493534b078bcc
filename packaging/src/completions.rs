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
        let script = with_names(&String::from_utf8_lossy(&script), shell);
        return with_tenants(&script, shell, program).into_bytes();
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

/// The script, with the tenants for the commands whose first argument is one.
fn with_tenants(script: &str, shell: Shell, program: &Command) -> String {
    let ask = format!("{ASKED} names tenants 2>/dev/null");
    let takers = takers(program, &[]);
    let mut out = String::new();
    let mut opened = None;
    for line in script.lines() {
        let changed = match shell {
            Shell::Bash => {
                let label = |path: &Vec<&str>| {
                    format!("{ASKED}__subcmd__{})", path.join("__subcmd__").replace('-', "__subcmd__"))
                };
                // The words that come before its first argument, if it takes a tenant.
                let opens = takers.iter().find(|path| line.trim() == label(path)).map(|path| path.len() + 1);
                let options = std::mem::replace(&mut opened, opens);
                options.zip(line.strip_suffix('"')).map(|(words, line)| {
                    let first = format!("[[ ${{COMP_CWORD}} -eq {words} ]]");
                    format!("{line} $({first} && \"$1\" names tenants 2>/dev/null)\"")
                })
            }
            Shell::Zsh if line.starts_with("'::tenant -- ") => {
                Some(line.replace(":_default'", &format!(":{{compadd -- $({ask})}}'")))
            }
            // The second word is a value.
            Shell::Zsh if line.starts_with("'*::words -- ") => {
                let first = format!(":{{(( CURRENT == 1 )) && compadd -- $({ask})}}'");
                Some(line.replace(":_default'", &first))
            }
            _ => None,
        };
        out += changed.as_deref().unwrap_or(line);
        out.push('\n');
    }
    if shell == Shell::Fish {
        for path in takers {
            let below = path[1..].iter().map(|name| format!("; and __fish_seen_subcommand_from {name}"));
            let when = format!("__fish_{ASKED}_using_subcommand {}{}", path[0], below.collect::<String>());
            out += &format!("complete -c {ASKED} -n \"{when}\" -f -a '({ask})'\n");
        }
    }
    out
}

/// The words after the program's name of the commands whose first argument is a tenant.
fn takers<'a>(command: &'a Command, before: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut all = Vec::new();
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        let path = [before, &[below.get_name()]].concat();
        let first = below.get_positionals().next().and_then(|argument| argument.get_value_names()?.first());
        let takes = first.is_some_and(|name| name.starts_with("TENANT"));
        all.extend(takers(below, &path));
        all.extend(takes.then_some(path));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs;
    use std::collections::BTreeSet;

    /// What a shell offers after these words and `word`, with a program in the place of nvsharectl that knows two GPUs and
    /// two tenants.
    fn offered(shell: Shell, words: &str, word: &str) -> Option<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(ASKED);
        let says = "#!/bin/sh\n[ \"$*\" = 'names gpus' ] && printf '0\\n1\\nGPU-a\\nGPU-b\\n'\n\
                    [ \"$*\" = 'names tenants' ] && printf '7\\n12\\n'\n";
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
                    "source {file:?}; COMP_WORDS=({words} '{word}'); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
                     _nvsharectl nvsharectl '{word}' \"${{COMP_WORDS[-2]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
                ),
            ),
            _ => ("fish", format!("source {file:?}; complete -C '{words} {word}'")),
        };
        let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
        let output = std::process::Command::new(name).arg("-c").arg(asks).env("PATH", path).output();
        let text = String::from_utf8(output.ok()?.stdout).unwrap();
        Some(text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect())
    }

    #[test]
    fn shells_offer_the_gpus_that_there_are() {
        let words = "nvsharectl status --gpu";
        let Some(all) = offered(Shell::Bash, words, "") else { panic!("bash is there") };
        assert_eq!(all, ["0", "1", "GPU-a", "GPU-b"]);
        assert_eq!(offered(Shell::Bash, words, "GPU").unwrap(), ["GPU-a", "GPU-b"]);
        // Not every machine has it.
        if let Some(some) = offered(Shell::Fish, words, "GPU") {
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
    fn shells_offer_the_tenants_where_a_command_takes_one() {
        let program = programs().into_iter().find(|program| program.get_name() == ASKED).unwrap();
        let takers = takers(&program, &[]);
        let names: Vec<String> = takers.iter().map(|path| path.join(" ")).collect();
        let expected =
            ["why", "pause", "resume", "evict", "set limit", "set weight", "set priority", "set time-share"];
        assert_eq!(names.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(expected));
        for words in names.iter().map(|name| format!("nvsharectl {name}")) {
            assert_eq!(offered(Shell::Bash, &words, "1").unwrap(), ["12"], "{words}");
            if let Some(some) = offered(Shell::Fish, &words, "1") {
                assert_eq!(some, ["12"], "{words}");
            }
        }
        assert_eq!(offered(Shell::Bash, "nvsharectl set limit 12", "1").unwrap(), [""; 1], "a value is none");
        let zsh = String::from_utf8(script(&program, Shell::Zsh)).unwrap();
        assert_eq!(
            zsh.matches("names tenants").count(),
            takers.len() + 2,
            "and --tenant of status and events"
        );
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
