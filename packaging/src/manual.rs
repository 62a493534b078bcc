//! One page a program and one a command of it, from the definitions that `--help` prints; and those that are
//! written by hand.
use crate::{contact, put, supplement};
use anyhow::Result;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use std::path::Path;

/// Of `packaging/man`.
const WRITTEN: [(&str, &str); 2] = [
    ("nvshare-runtime.8", include_str!("../man/nvshare-runtime.8")),
    ("nvshare-hook.8", include_str!("../man/nvshare-hook.8")),
];

/// What a reader of any page may want next.
const PAGES: [(&str, &str); 7] = [
    ("nvshare", "7"),
    ("nvshare-scheduler", "8"),
    ("nvsharectl", "8"),
    ("nvshare-ctk", "8"),
    ("nvshare-runtime", "8"),
    ("nvshare-hook", "8"),
    ("nvshare-config.toml", "5"),
];

pub const MANUAL: &str = "nvshare";

/// Name and version, for a page's foot.
pub fn source() -> String {
    format!("nvshare {}", env!("CARGO_PKG_VERSION"))
}

pub fn write(program: Command, date: &str, root: &Path) -> Result<()> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    for (name, page) in pages(&program, date)? {
        put(root, &format!("usr/share/man/man8/{name}"), &page)?;
    }
    Ok(())
}

/// The pages of a command that has been built, and of those below it.
fn pages(command: &Command, date: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let man = Man::new(command.clone()).section("8").date(date).source(source()).manual(MANUAL);
    let mut page = Vec::new();
    man.render(&mut page)?;
    page = with_synopsis(&String::from_utf8(page)?, command).into_bytes();
    let name = command.get_display_name().unwrap_or(command.get_name());
    for more in [supplement::sections(name), contact::section(), see_also(command.get_name())] {
        page.extend_from_slice(more.to_roff().as_bytes());
    }
    let mut pages = vec![(man.get_filename(), page)];
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages.extend(self::pages(below, date)?);
    }
    Ok(pages)
}

/// The page, with a synopsis that has the values of options.
fn with_synopsis(page: &str, command: &Command) -> String {
    const HEAD: &str = ".SH SYNOPSIS\n";
    let Some((before, rest)) = page.split_once(HEAD) else { return page.to_owned() };
    let after = rest.split_once("\n.SH ").map_or(String::new(), |(_, after)| format!(".SH {after}"));
    let mut roff = Roff::new();
    roff.text(synopsis(command));
    format!("{before}{HEAD}{}{after}", roff.to_roff())
}

fn synopsis(command: &Command) -> Vec<Inline> {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let mut parts = vec![bold(name)];
    for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
        let values =
            option.get_value_names().filter(|_| option.get_action().takes_values()).unwrap_or_default();
        let values = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let (open, close) = if option.is_required_set() { (" ", "") } else { (" [", "]") };
        parts.push(roman(open));
        let names =
            [option.get_short().map(|c| format!("-{c}")), option.get_long().map(|name| format!("--{name}"))];
        let names: Vec<String> = names.into_iter().flatten().collect();
        if !names.is_empty() {
            parts.push(bold(names.join("|")));
        }
        if !values.is_empty() {
            parts.push(roman(if names.is_empty() { "" } else { " " }));
            parts.push(italic(values));
        }
        parts.push(roman(close));
    }
    if command.has_subcommands() {
        parts.extend([roman(" "), italic("COMMAND"), roman(" ...")]);
    }
    parts
}

/// The section at a page's end.
pub fn see_also(but: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    let others: Vec<_> = PAGES.iter().filter(|(name, _)| *name != but).collect();
    for (n, (name, section)) in others.iter().enumerate() {
        let end = if n + 1 < others.len() { "," } else { "" };
        roff.text([bold(*name), roman(format!("({section}){end}"))]);
    }
    roff
}

pub fn copy_written(date: &str, root: &Path) -> Result<()> {
    for (name, page) in WRITTEN {
        put(
            root,
            &format!("usr/share/man/man8/{name}"),
            page.replace("@VERSION@", env!("CARGO_PKG_VERSION")).replace("@DATE@", date).as_bytes(),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs;

    /// A page's text as far as words go: roff's escapes are gone.
    fn words(page: &[u8]) -> String {
        String::from_utf8(page.to_vec()).unwrap().replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")
    }

    #[test]
    fn every_option_and_command_that_is_shown_has_its_place() {
        for mut program in programs() {
            program = program.disable_help_subcommand(true);
            program.build();
            let pages = pages(&program, "2026-01-31").unwrap();
            let text: String = pages.iter().map(|(_, page)| words(page)).collect();
            let mut left = vec![&program];
            while let Some(command) = left.pop() {
                left.extend(command.get_subcommands().filter(|below| !below.is_hide_set()));
                let name = command.get_display_name().unwrap_or(command.get_name());
                assert!(pages.iter().any(|(page, _)| *page == format!("{name}.8")), "{name} has no page");
                for option in command.get_arguments() {
                    let Some(long) = option.get_long() else { continue };
                    let there = text.contains(&format!("--{long}"));
                    assert_eq!(there, !option.is_hide_set(), "{name}: --{long}");
                }
            }
        }
    }

    #[test]
    fn a_synopsis_has_the_values_of_options() {
        let mut program = programs().into_iter().find(|program| program.get_name() == "nvsharectl").unwrap();
        program = program.disable_help_subcommand(true);
        program.build();
        let synopsis = |words: &[&str]| {
            let command = words.iter().fold(&program, |at, word| at.find_subcommand(word).unwrap());
            let text: String = synopsis(command)
                .iter()
                .map(|part| match part {
                    Inline::Roman(text) | Inline::Bold(text) | Inline::Italic(text) => text.as_str(),
                    Inline::LineBreak => " ",
                })
                .collect();
            text
        };
        for (words, parts) in [
            (&["status"][..], &["[-o|--output FORM]", "[--json]", "[--gpu INDEX|UUID]"][..]),
            (&["set", "limit"], &["nvsharectl set limit ", " TENANT VALUE", "[--container NAME|ID]"]),
            (&["pause"], &[" [TENANT]"]),
            (&["set"], &[" COMMAND ..."]),
        ] {
            let text = synopsis(words);
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }

    #[test]
    fn what_is_named_exists() {
        let written = WRITTEN.map(|(name, _)| name.to_owned());
        let programs = programs().map(|program| format!("{}.8", program.get_name()));
        for (name, section) in PAGES {
            let page = format!("{name}.{section}");
            let exists = written.contains(&page) || programs.contains(&page);
            assert!(exists || ["nvshare-config.toml.5", "nvshare.7"].contains(&page.as_str()), "{page}");
        }
    }
}
