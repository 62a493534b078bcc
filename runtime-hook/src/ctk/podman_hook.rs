//! podman's hook: a drop-in for containers.conf that names our directory of hooks beside those that podman looks into
//! without us. In podman's own directory buildah and CRI-O would find the hook too; they know no stage `precreate`, and
//! stop at it. Neither looks for directories in containers.conf.

use super::change::Change;
use super::toml_tables::{find, make, parse, remove, set};
use anyhow::Result;
use std::path::{Path, PathBuf};
use toml_edit::{Array, DocumentMut, Item, Value};

/// Our directory of hooks.
pub const DIRECTORY: &str = "/usr/share/nvshare/hooks.d";
/// What podman looks into if no file names a directory (containers-common, `DefaultHooksDirs`).
pub const USUAL: &str = "/usr/share/containers/oci/hooks.d";
pub const DROP_IN: &str = "/etc/containers/containers.conf.d/99-nvshare-hooks.conf";

/// The drop-in after a change. `others` are the directories that podman looks into without it: `hooks_dir` replaces
/// the list of a file that is read earlier. (`append = true` does not; podman before 4.8 refuses a file that has it.)
pub fn change(text: &str, change: &Change, others: &[String]) -> Result<String> {
    let mut document = parse(text)?;
    match change {
        Change::Configure { .. } => {
            let others = others.iter().map(String::as_str).filter(|directory| *directory != DIRECTORY);
            let list = Array::from_iter(others.chain([DIRECTORY]));
            set(make(&mut document, &["engine"])?, "hooks_dir", list);
        }
        Change::UnsetDefault => {}
        Change::Unconfigure => {
            let list = find(&mut document, &["engine"])
                .and_then(|engine| engine.get_mut("hooks_dir")?.as_array_mut())
                .filter(|list| list.iter().any(|directory| directory.as_str() == Some(DIRECTORY)));
            if let Some(list) = list {
                list.retain(|directory| directory.as_str() != Some(DIRECTORY));
                // What is left came from the other files, unless somebody has added to ours.
                if strings(list).all(|directory| others.iter().any(|other| other == directory)) {
                    remove(&mut document, &["engine", "hooks_dir"]);
                }
            }
        }
    }
    Ok(document.to_string())
}

/// The directories that podman of root looks into, as its files say, but for one of them.
pub fn named(but_for: Option<&Path>) -> Vec<String> {
    let mut files: Vec<PathBuf> = std::fs::read_dir("/etc/containers/containers.conf.d")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    files.sort();
    let first = ["/usr/share/containers/containers.conf", "/etc/containers/containers.conf"];
    let files = first.iter().map(PathBuf::from).chain(files).filter(|path| Some(path.as_path()) != but_for);
    // What cannot be read here podman refuses, with a better message.
    together(files.filter_map(|file| std::fs::read_to_string(file).ok()?.parse().ok()))
}

/// What `hooks_dir` comes to over files in the order in which they are read.
fn together(files: impl Iterator<Item = DocumentMut>) -> Vec<String> {
    let mut named = vec![USUAL.to_owned()];
    for file in files {
        let list = file.get("engine").and_then(|engine| engine.get("hooks_dir")).and_then(Item::as_array);
        let Some(list) = list else { continue };
        if !list.iter().any(appends) {
            named.clear();
        }
        named.extend(strings(list).map(String::from));
    }
    named
}

/// The word of podman 4.8 and newer for a list that adds to those before it.
fn appends(value: &Value) -> bool {
    let word = value.as_inline_table().and_then(|words| words.get("append"));
    word.and_then(Value::as_bool) == Some(true)
}

fn strings(list: &Array) -> impl Iterator<Item = &str> {
    list.iter().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(text: &str, others: &[&str]) -> String {
        let path = String::new();
        change(text, &Change::Configure { path, set_as_default: false }, &owned(others)).unwrap()
    }

    fn owned(list: &[&str]) -> Vec<String> {
        list.iter().map(|directory| (*directory).to_owned()).collect()
    }

    #[test]
    fn our_directory_stands_behind_those_that_podman_has() {
        let once = configured("", &[USUAL, "/opt/hooks"]);
        let line = format!("hooks_dir = [\"{USUAL}\", \"/opt/hooks\", \"{DIRECTORY}\"]");
        assert_eq!(once, format!("[engine]\n{line}\n"));
        assert_eq!(configured(&once, &[USUAL, "/opt/hooks"]), once);
        assert_eq!(configured("", &[DIRECTORY]), format!("[engine]\nhooks_dir = [\"{DIRECTORY}\"]\n"));
    }

    #[test]
    fn taking_it_out_leaves_what_somebody_added() {
        let out = |text: &str| change(text, &Change::Unconfigure, &owned(&[USUAL])).unwrap();
        assert_eq!(out(&configured("", &[USUAL])), "");
        let added = configured("", &[USUAL, "/added"]);
        assert!(out(&added).contains("\"/added\"]"), "{}", out(&added));
        let others = "[engine]\nhooks_dir = [\"/x\"]\n";
        assert_eq!(out(others), others);
    }

    #[test]
    fn the_last_file_counts_unless_it_appends() {
        let together = |files: &[&str]| together(files.iter().map(|file| file.parse().unwrap()));
        assert_eq!(together(&[]), [USUAL]);
        assert_eq!(
            together(&["[engine]\nhooks_dir = [\"/a\"]", "", "[engine]\nhooks_dir = [\"/b\"]"]),
            ["/b"]
        );
        let appending = "[engine]\nhooks_dir = [\"/b\", {append = true}]";
        assert_eq!(together(&["[engine]\nhooks_dir = [\"/a\"]", appending]), ["/a", "/b"]);
        assert_eq!(together(&["[engine]\nhooks_dir = []"]), Vec::<String>::new());
    }
}
