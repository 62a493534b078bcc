//! containerd's config.toml. Version 2 is that of containerd 1.x, and 2.x reads it too; version 3 is 2.x's own.

use super::engines::{Change, NAME};
use super::toml_tables::{find, make, parse, remove, set};
use anyhow::{Result, bail};
use toml_edit::{Array, Item};

pub fn change(text: &str, change: &Change) -> Result<String> {
    let mut document = parse(text)?;
    let version = match document.get("version").and_then(Item::as_integer) {
        None if document.iter().all(|(key, _)| key == "imports") => {
            if matches!(change, Change::Configure { .. }) {
                document.insert("version", toml_edit::value(2));
            }
            2
        }
        Some(version @ (2 | 3)) => version,
        Some(version) if version > 3 => bail!("a configuration of version {version} (known: 2 and 3)"),
        _ => bail!("a configuration of version 1; run `containerd config migrate` first"),
    };
    let plugin = if version == 3 { "io.containerd.cri.v1.runtime" } else { "io.containerd.grpc.v1.cri" };
    let containerd = ["plugins", plugin, "containerd"];
    let runtime = ["plugins", plugin, "containerd", "runtimes", NAME];
    match change {
        Change::Configure { path, set_as_default } => {
            let section = make(&mut document, &runtime)?;
            set(section, "runtime_type", "io.containerd.runc.v2");
            for key in ["pod_annotations", "container_annotations"] {
                set(section, key, Array::from_iter(["io.nvshare.*"]));
            }
            let options: Vec<_> = runtime.iter().copied().chain(["options"]).collect();
            set(make(&mut document, &options)?, "BinaryName", path.as_str());
            if *set_as_default {
                set(make(&mut document, &containerd)?, "default_runtime_name", NAME);
            }
        }
        Change::Unconfigure => {
            remove(&mut document, &runtime);
            let default = |item: &Item| item.as_str() == Some(NAME);
            if find(&mut document, &containerd)
                .is_some_and(|section| section.get("default_runtime_name").is_some_and(default))
            {
                remove(&mut document, &["plugins", plugin, "containerd", "default_runtime_name"]);
            }
        }
    }
    Ok(document.to_string())
}
