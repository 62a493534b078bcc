//! The command lines of runc, crun and youki, as far as we need to understand them.
//!
//! runc reads options as Go's `flag` package does (`-bundle x`, `--bundle=x`, options before the container's
//! name); crun and youki as getopt and clap do (`-bx`, `-df x`, options after the name too). One reader
//! understands both: where they differ, the other program would refuse the line anyway, and it is the
//! runtime below that judges, since it gets every word as it came.

mod options;

use options::{Opt, find_long, find_short};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What a command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// `--log`: where the engine looks for an error's text.
    pub log: Option<PathBuf>,
    /// `--log-format json` was given.
    pub log_json: bool,
    /// The engine wants to know more: `--debug`, or `--log-level debug`.
    pub debug: bool,
    /// The global options that say which containers are meant (`--root` and the like), as they came.
    pub scope: Vec<OsString>,
    pub action: Action,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// `create`, `run` or `restore`: there is a bundle to look at.
    Start { bundle: Option<PathBuf>, config: Option<PathBuf> },
    /// `exec` of a process document in a container.
    Exec { process: PathBuf, container: OsString },
    /// `delete`: the container has ended, and what we had made in it can go.
    Delete { container: OsString },
    /// Everything else, requests for help among them.
    #[default]
    Other,
}

/// Reads the words after the program's name. Never fails: what is not understood is [`Action::Other`].
pub fn parse(words: &[OsString]) -> Call {
    let mut call = Call::default();
    let mut words = Words { words, next: 0, permute: false, command: true };
    let mut global = Seen::default();
    let Some(command) = words.options(options::GLOBAL, &mut global) else {
        return call;
    };
    words.command = false;
    for (option, text, as_given) in global.values {
        match option.long {
            "log" => call.log = Some(PathBuf::from(text)),
            "log-format" => call.log_json = text == "json",
            "debug" => call.debug = text != "false",
            "log-level" => call.debug |= text == "debug",
            _ if option.scope => call.scope.extend(as_given),
            _ => {}
        }
    }
    if global.help {
        return call;
    }
    call.action = match command.as_bytes() {
        b"create" | b"run" | b"restore" => start(&mut words),
        b"exec" => exec(&mut words),
        b"delete" => delete(&mut words),
        _ => Action::Other,
    };
    call
}

fn start(words: &mut Words) -> Action {
    let mut seen = Seen::default();
    words.permute = true;
    let container = words.options(options::START, &mut seen);
    if seen.help || container.is_none() {
        return Action::Other;
    }
    Action::Start {
        bundle: seen.last("bundle").map(PathBuf::from),
        config: seen.last("config").map(PathBuf::from),
    }
}

fn exec(words: &mut Words) -> Action {
    let mut seen = Seen::default();
    let mut container = words.options(options::EXEC, &mut seen);
    if seen.any_unknown && seen.last("process").is_some() {
        // With a document there are no words of a program's behind the name.
        container = words.words.last().map(OsString::as_os_str);
    }
    match (seen.help, container, seen.last("process")) {
        (false, Some(container), Some(process)) => {
            Action::Exec { process: process.into(), container: container.to_owned() }
        }
        _ => Action::Other,
    }
}

fn delete(words: &mut Words) -> Action {
    let mut seen = Seen::default();
    words.permute = true;
    match words.options(options::DELETE, &mut seen) {
        Some(container) if !seen.help && seen.last("regex").is_none() => {
            Action::Delete { container: container.to_owned() }
        }
        _ => Action::Other,
    }
}

/// The options met so far.
#[derive(Default)]
struct Seen {
    help: bool,
    /// The last word was an option that no table has: the next one may be its value.
    unknown: bool,
    /// An option that no table has was met.
    any_unknown: bool,
    /// Option, value, the words it was given as.
    values: Vec<(&'static Opt, OsString, Vec<OsString>)>,
}

impl Seen {
    fn last(&self, long: &str) -> Option<&OsStr> {
        self.values
            .iter()
            .rev()
            .find(|(option, ..)| option.long == long)
            .map(|(_, value, _)| value.as_os_str())
    }
}

struct Words<'a> {
    words: &'a [OsString],
    next: usize,
    /// Options may follow the first plain word.
    permute: bool,
    /// The plain word that is looked for is a command.
    command: bool,
}

impl<'a> Words<'a> {
    fn take(&mut self) -> Option<&'a OsString> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    /// Reads options up to the first plain word (or, permuting, to the end) and returns that word.
    fn options(&mut self, table: &'static [Opt], seen: &mut Seen) -> Option<&'a OsStr> {
        let mut plain = None;
        while let Some(word) = self.take() {
            let bytes = word.as_bytes();
            if bytes == b"--" {
                return plain.or_else(|| self.take().map(OsString::as_os_str));
            }
            if bytes.len() < 2 || bytes[0] != b'-' {
                let of_unknown = std::mem::take(&mut seen.unknown);
                // Runtimes have options that we do not know (`--platform kvm`).
                let is_value = if self.command {
                    !options::COMMANDS.contains(&bytes)
                } else {
                    // No program begins with a dash, so that this is no container's name with a program behind it.
                    !self.permute
                        && self.words.get(self.next).is_some_and(|next| next.as_bytes().starts_with(b"-"))
                };
                if of_unknown && is_value {
                    continue;
                }
                plain = plain.or(Some(word.as_os_str()));
                if !self.permute {
                    return plain;
                }
                continue;
            }
            seen.unknown = false;
            self.option(word, table, seen);
        }
        plain
    }

    fn option(&mut self, word: &'a OsString, table: &'static [Opt], seen: &mut Seen) {
        let bytes = word.as_bytes();
        let double = bytes.starts_with(b"--");
        let name = if double { &bytes[2..] } else { &bytes[1..] };
        let (name, value) = match name.iter().position(|byte| *byte == b'=') {
            Some(at) => (&name[..at], Some(&name[at + 1..])),
            None => (name, None),
        };
        if matches!(name, b"help" | b"h" | b"?" | b"usage" | b"version" | b"v" | b"V") {
            seen.help = true;
            return;
        }
        if let Some(option) = find_long(table, name) {
            self.value(option, value, word, seen);
        } else if value.is_none() && (double || find_short(table, name[0]).is_none()) {
            (seen.unknown, seen.any_unknown) = (true, true);
        } else if !double {
            self.short_options(word, &bytes[1..], table, seen);
        }
    }

    /// `-b x`, `-bx`, `-b=x`, and flags before it: `-db x`.
    fn short_options(
        &mut self,
        word: &'a OsString,
        letters: &'a [u8],
        table: &'static [Opt],
        seen: &mut Seen,
    ) {
        for (at, letter) in letters.iter().enumerate() {
            let Some(option) = find_short(table, *letter) else {
                return;
            };
            if option.takes_value {
                let rest = &letters[at + 1..];
                let rest = rest.strip_prefix(b"=").unwrap_or(rest);
                let attached = (letters.len() > at + 1).then_some(rest);
                return self.value(option, attached, word, seen);
            }
            self.value(option, None, word, seen);
        }
    }

    fn value(&mut self, option: &'static Opt, attached: Option<&[u8]>, word: &OsString, seen: &mut Seen) {
        let mut as_given = vec![word.clone()];
        let value = match attached {
            Some(value) => OsStr::from_bytes(value).to_owned(),
            None if option.takes_value => match self.take() {
                Some(next) => {
                    as_given.push(next.clone());
                    next.clone()
                }
                None => return,
            },
            None => OsString::new(),
        };
        seen.values.push((option, value, as_given));
    }
}

#[cfg(test)]
mod tests;
