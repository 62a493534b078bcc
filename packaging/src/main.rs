//! Writes what a package holds beside the programs, from what the programs are made of: man pages and
//! completions from their command lines, the settings' page and file from their settings. It is written
//! when a package is made and kept nowhere, so that it cannot fall behind.
//!
//! `nvshare-packaging DIRECTORY DATE` fills DIRECTORY as the root of a file system.
mod completions;
mod contact;
mod manual;
mod overview;
mod sample;
mod settings_page;
mod supplement;
mod text;

use anyhow::{Context, Result};
use clap::{Command, CommandFactory, Parser};
use std::fs;
use std::path::{Path, PathBuf};

/// Writes man pages, completions and the settings file.
#[derive(Debug, Parser)]
struct Args {
    /// Becomes the root of a file system that holds them.
    directory: PathBuf,
    /// Of the version, as 2026-01-31: it stands at the foot of the pages.
    date: String,
}

fn main() -> Result<()> {
    let args = Args::parse();
    write_all(&args.directory, &args.date)
}

/// The programs that have a command line of their own. What nvshare-runtime is given belongs to the runtime
/// below it, and nvshare-hook is given a stage: their pages are in `packaging/man`.
fn programs() -> [Command; 3] {
    [
        nvshare_scheduler::command_line::Args::command(),
        nvshare_scheduler::cli::args::Args::command(),
        nvshare_runtime_hook::ctk::Command::command(),
    ]
}

fn write_all(root: &Path, date: &str) -> Result<()> {
    for program in programs() {
        completions::write(&program, root)?;
        manual::write(program, date, root)?;
    }
    manual::copy_written(date, root)?;
    put(root, "usr/share/man/man5/nvshare-config.toml.5", &settings_page::page(date)?)?;
    put(root, "usr/share/man/man7/nvshare.7", &overview::page(date)?)?;
    put(root, "etc/nvshare/config.toml", sample::text().as_bytes())
}

/// Writes one file below the root.
fn put(root: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let path = root.join(path);
    let directory = path.parent().unwrap_or(root);
    fs::create_dir_all(directory).with_context(|| format!("{}: cannot be made", directory.display()))?;
    fs::write(&path, bytes).with_context(|| format!("{}: cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_where_programs_look_for_it() {
        let root = tempfile::tempdir().unwrap();
        write_all(root.path(), "2026-01-31").unwrap();
        for path in [
            "etc/nvshare/config.toml",
            "usr/share/man/man5/nvshare-config.toml.5",
            "usr/share/man/man7/nvshare.7",
            "usr/share/man/man8/nvshare-scheduler.8",
            "usr/share/man/man8/nvsharectl.8",
            "usr/share/man/man8/nvsharectl-set-tq.8",
            "usr/share/man/man8/nvshare-ctk-runtime-configure.8",
            "usr/share/man/man8/nvshare-runtime.8",
            "usr/share/man/man8/nvshare-hook.8",
            "usr/share/bash-completion/completions/nvsharectl",
            "usr/share/zsh/site-functions/_nvshare-ctk",
            "usr/share/fish/vendor_completions.d/nvshare-scheduler.fish",
        ] {
            assert!(root.path().join(path).is_file(), "{path} is missing");
        }
    }
}
