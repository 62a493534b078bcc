//! The TOML of podman (containers.conf) and of CRI-O.

use super::change::{Change, NAME};
use super::toml_tables::{find, make, parse, remove, set};
use anyhow::Result;
use toml_edit::{Array, Item};

/// podman's own list of runtimes that take `--log`; naming ours means repeating it.
const SUPPORT_JSON: [&str; 6] = ["crun", "runc", "kata", "runsc", "youki", "krun"];

/// containers.conf: the runtime, and that it takes `--log`, without which its errors are lost.
pub fn change(text: &str, change: &Change) -> Result<String> {
    let mut document = parse(text)?;
    match change {
        Change::Configure { path, set_as_default } => {
            let engine = make(&mut document, &["engine"])?;
            let mut list = engine.get("runtime_supports_json").and_then(Item::as_array).cloned();
            let list = list.get_or_insert_with(|| Array::from_iter(SUPPORT_JSON));
            if !list.iter().any(|name| name.as_str() == Some(NAME)) {
                list.push(NAME);
            }
            set(engine, "runtime_supports_json", list.clone());
            if *set_as_default {
                set(engine, "runtime", NAME);
            }
            set(make(&mut document, &["engine", "runtimes"])?, NAME, Array::from_iter([path.as_str()]));
        }
        Change::UnsetDefault => forget_default(&mut document, &["engine"], "runtime"),
        Change::Unconfigure => {
            remove(&mut document, &["engine", "runtimes", NAME]);
            forget_default(&mut document, &["engine"], "runtime");
            let section = find(&mut document, &["engine"]);
            let list = section.and_then(|engine| engine.get_mut("runtime_supports_json")?.as_array_mut());
            if let Some(list) = list {
                list.retain(|name| name.as_str() != Some(NAME));
                let names: Vec<_> = list.iter().filter_map(|name| name.as_str()).collect();
                if names == SUPPORT_JSON {
                    remove(&mut document, &["engine", "runtime_supports_json"]);
                }
            }
        }
    }
    Ok(document.to_string())
}

/// A drop-in of crio.conf.d.
pub fn change_crio(text: &str, change: &Change) -> Result<String> {
    let mut document = parse(text)?;
    match change {
        Change::Configure { path, set_as_default } => {
            if *set_as_default {
                set(make(&mut document, &["crio", "runtime"])?, "default_runtime", NAME);
            }
            let section = make(&mut document, &["crio", "runtime", "runtimes", NAME])?;
            set(section, "runtime_path", path.as_str());
            set(section, "runtime_type", "oci");
        }
        Change::UnsetDefault => forget_default(&mut document, &["crio", "runtime"], "default_runtime"),
        Change::Unconfigure => {
            remove(&mut document, &["crio", "runtime", "runtimes", NAME]);
            forget_default(&mut document, &["crio", "runtime"], "default_runtime");
        }
    }
    Ok(document.to_string())
}

fn forget_default(document: &mut toml_edit::DocumentMut, section: &[&str], key: &str) {
    let ours =
        find(document, section).is_some_and(|found| found.get(key).and_then(Item::as_str) == Some(NAME));
    if ours {
        let path: Vec<_> = section.iter().copied().chain([key]).collect();
        remove(document, &path);
    }
}
