//! Slurm's files: where they lie, and what stands in ours.

use std::path::{Path, PathBuf};

/// What stands above the line that we add.
const REMARK: &str = "# nvshare: added by nvshare-ctk slurm configure";

/// Where what lies.
#[derive(Debug)]
pub struct Paths {
    pub slurm: PathBuf,
    pub gres: PathBuf,
    pub cgroup: PathBuf,
    /// plugstack.conf.
    pub stack: PathBuf,
    pub drop_in: PathBuf,
}

impl Paths {
    /// Those of this directory; slurm.conf may say where plugstack.conf is.
    pub fn of(directory: &Path) -> Self {
        let slurm = directory.join("slurm.conf");
        let text = std::fs::read_to_string(&slurm).unwrap_or_default();
        let stack =
            value(&text, "PlugStackConfig").map_or_else(|| directory.join("plugstack.conf"), PathBuf::from);
        let drop_in = stack.with_file_name("plugstack.conf.d").join("nvshare.conf");
        Self {
            slurm,
            gres: directory.join("gres.conf"),
            cgroup: directory.join("cgroup.conf"),
            stack,
            drop_in,
        }
    }
}

/// The last value of a key in one of Slurm's files. Keys are written in capitals or not.
pub fn value(text: &str, key: &str) -> Option<String> {
    words(text).filter(|(name, _)| name.eq_ignore_ascii_case(key)).last().map(|(_, value)| value.to_owned())
}

/// All `NAME=value` of a file, without remarks.
pub fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(str::split_whitespace).filter_map(|word| word.split_once('='))
}

/// Our file.
pub fn drop_in(plugin: &Path, arguments: &[String], required: bool) -> String {
    let word = if required { "required" } else { "optional" };
    format!(
        "# Jobs with shards of a GPU are managed by nvshare. Written by nvshare-ctk slurm configure.\n{word} {} {}\n",
        plugin.display(),
        arguments.join(" ")
    )
}

/// The plugin of our file and its arguments, as Slurm splits the line: at blanks, up to a `#`.
pub fn plugin_line(text: &str) -> Option<(&str, Vec<&str>)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let line = lines.map(str::trim).find(|line| !line.is_empty())?;
    let mut words = line.split_whitespace().skip(1);
    Some((words.next()?, words.collect()))
}

/// plugstack.conf.
#[derive(Debug)]
pub struct Stack;

impl Stack {
    /// The file with a line that includes ours; none: it has one.
    pub fn with_include(text: Option<&str>, paths: &Paths) -> Option<String> {
        let text = text.unwrap_or_default();
        if includes(text, &paths.drop_in) {
            return None;
        }
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        Some(format!("{text}{newline}{REMARK}\n{}\n", include(paths)))
    }

    /// The file without the line that we have added; none: it has none. Another line in its place is somebody's own.
    pub fn without_include(text: &str, paths: &Paths) -> Option<String> {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let at = lines.iter().position(|line| line.trim_end() == REMARK)?;
        let ours = include(paths);
        let is_ours = |line: &str| line.trim_end() == ours;
        let kept = lines.iter().enumerate().filter(|(n, line)| *n != at && !(*n == at + 1 && is_ours(line)));
        Some(kept.map(|(_, line)| *line).collect())
    }
}

/// The line that we add.
fn include(paths: &Paths) -> String {
    format!("include {}", paths.drop_in.display())
}

/// Whether plugstack.conf names this file: itself, or by a pattern of its directory.
pub fn includes(stack: &str, file: &Path) -> bool {
    let (directory, name) =
        (file.parent(), file.file_name().and_then(|name| name.to_str()).unwrap_or_default());
    let mut named = stack.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        words.next().filter(|word| *word == "include")?;
        words.next().map(Path::new)
    });
    named.any(|named| {
        let pattern = named.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        named.parent() == directory && (pattern == name || pattern == "*" || pattern == "*.conf")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> Paths {
        Paths::of(Path::new("/etc/slurm-of-nobody"))
    }

    #[test]
    fn a_line_is_added_once_and_taken_out_again() {
        for before in ["", "optional /usr/lib/other.so\n", "# without a newline at its end"] {
            let once = Stack::with_include(Some(before), &paths()).unwrap();
            assert!(once.ends_with("include /etc/slurm-of-nobody/plugstack.conf.d/nvshare.conf\n"), "{once}");
            assert_eq!(Stack::with_include(Some(&once), &paths()), None, "{once}");
            assert_eq!(Stack::without_include(&once, &paths()).unwrap().trim_end(), before.trim_end());
        }
        for pattern in ["*.conf", "*", "nvshare.conf"] {
            let text = format!("include /etc/slurm-of-nobody/plugstack.conf.d/{pattern} # Debian's\n");
            assert_eq!(Stack::with_include(Some(&text), &paths()), None, "{text}");
            assert_eq!(Stack::without_include(&text, &paths()), None);
        }
        for (after, left) in [("required /opt/site.so\n", "required /opt/site.so\n"), ("", "")] {
            let text = format!("# theirs\n{REMARK}\n{after}");
            let rest = Stack::without_include(&text, &paths()).unwrap();
            assert_eq!(rest, format!("# theirs\n{left}"), "a line that is not ours stays");
        }
        let other =
            "include /etc/slurm/plugstack.conf.d/*.conf\n#include /etc/slurm-of-nobody/plugstack.conf.d/*\n";
        assert!(Stack::with_include(Some(other), &paths()).is_some());
    }

    #[test]
    fn the_plugins_line_is_split_as_slurm_does() {
        let line = "# x\n\n\toptional /x.so a=b\tc=2 GiB # d=e\nrequired /y.so\n";
        assert_eq!(plugin_line(line), Some(("/x.so", vec!["a=b", "c=2", "GiB"])));
        assert_eq!(plugin_line("optional # /x.so\n"), None);
        assert_eq!(plugin_line(""), None);
    }

    #[test]
    fn slurms_files_are_read_as_slurm_does() {
        let text = "GresTypes=gpu # shard\nselecttype=select/cons_tres\nNodeName=n Gres=gpu:2,shard:8\nGRESTYPES=gpu,shard\n";
        assert_eq!(value(text, "GresTypes").as_deref(), Some("gpu,shard"));
        assert_eq!(value(text, "SelectType").as_deref(), Some("select/cons_tres"));
        assert_eq!(value(text, "Gres").as_deref(), Some("gpu:2,shard:8"));
        assert_eq!(value(text, "ProctrackType"), None);
    }
}
