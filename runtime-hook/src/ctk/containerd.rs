//! containerd's config.toml. Version 2 is that of containerd 1.x, and 2.x reads it too; version 3 is 2.x's own.

use super::change::{Change, NAME};
use super::toml_tables::{find, make, parse, remove, set};
use anyhow::{Result, bail};
use toml_edit::{DocumentMut, Item, Table, Value};

/// Stands behind our section's name if ours took the place of another default runtime, which stands behind it.
const BEFORE: &str = "# the default before it: ";
const ANNOTATIONS: &str = "io.nvshare.*";

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
            refuse_without_cri(&document, plugin)?;
            let default = default_of(&mut document, &containerd);
            inherit(&mut document, plugin, default.as_deref())?;
            let section = make(&mut document, &runtime)?;
            set(section, "runtime_type", "io.containerd.runc.v2");
            for key in ["pod_annotations", "container_annotations"] {
                let mut list = section.get(key).and_then(Item::as_array).cloned().unwrap_or_default();
                if !list.iter().any(|name| name.as_str() == Some(ANNOTATIONS)) {
                    list.push(ANNOTATIONS);
                }
                set(section, key, list);
            }
            let options: Vec<_> = runtime.iter().copied().chain(["options"]).collect();
            set(make(&mut document, &options)?, "BinaryName", path.as_str());
            if *set_as_default {
                set(make(&mut document, &containerd)?, "default_runtime_name", NAME);
                if let Some(default) = default {
                    remember(&mut document, &containerd, &default);
                }
            }
        }
        Change::Unconfigure | Change::UnsetDefault => {
            let before = forget(&mut document, &containerd);
            if *change == Change::Unconfigure {
                remove(&mut document, &runtime);
            }
            if find(&mut document, &containerd).is_some_and(|section| is_default(section)) {
                match before {
                    Some(before) => {
                        set(make(&mut document, &containerd)?, "default_runtime_name", before);
                    }
                    None => remove(&mut document, &["plugins", plugin, "containerd", "default_runtime_name"]),
                }
            }
        }
    }
    Ok(document.to_string())
}

/// With the plugin off, containerd reads no runtime of this file, and whoever asks for ours is not heard.
fn refuse_without_cri(document: &DocumentMut, plugin: &str) -> Result<()> {
    let disabled = document.get("disabled_plugins").and_then(Item::as_array);
    let off = |name: &str| name == "cri" || name == plugin || name == "io.containerd.grpc.v1.cri";
    if disabled.is_some_and(|list| list.iter().filter_map(Value::as_str).any(off)) {
        bail!(
            "`disabled_plugins` turns the CRI plugin off, and with it every runtime of this file: take `cri` out of \
             that list for Kubernetes; for docker, use --runtime=docker"
        );
    }
    Ok(())
}

fn is_default(section: &dyn toml_edit::TableLike) -> bool {
    section.get("default_runtime_name").and_then(Item::as_str) == Some(NAME)
}

/// The default runtime that the file names, if it is not ours.
fn default_of(document: &mut DocumentMut, containerd: &[&str]) -> Option<String> {
    let name = find(document, containerd)?.get("default_runtime_name")?.as_str()?.to_owned();
    (name != NAME).then_some(name)
}

/// What the default runtime's section says (`SystemdCgroup`, `privileged_without_host_devices`), ours says too, once.
fn inherit(document: &mut DocumentMut, plugin: &str, default: Option<&str>) -> Result<()> {
    let runtimes = ["plugins", plugin, "containerd", "runtimes"];
    let Some(section) = find(document, &runtimes) else { return Ok(()) };
    if section.contains_key(NAME) {
        return Ok(());
    }
    let of_runc = |name: &str| {
        let table = section.get(name)?.as_table_like()?;
        let kind = table.get("runtime_type").and_then(Item::as_str).unwrap_or_default();
        ["", "io.containerd.runc.v2"].contains(&kind).then_some(table)
    };
    let Some(from) = default.and_then(of_runc).or_else(|| of_runc("runc")) else { return Ok(()) };
    let values = |table: &dyn toml_edit::TableLike| -> Vec<(String, Value)> {
        let values = table.iter().filter_map(|(key, item)| Some((key.to_owned(), item.as_value()?.clone())));
        values.filter(|(_, value)| !value.is_inline_table()).collect()
    };
    let own = values(from);
    let options = from.get("options").and_then(Item::as_table_like).map(values).unwrap_or_default();
    let mut path = runtimes.to_vec();
    path.push(NAME);
    for (key, value) in own {
        set(make(document, &path)?, &key, value.decorated(" ", ""));
    }
    path.push("options");
    for (key, value) in options {
        set(make(document, &path)?, &key, value.decorated(" ", ""));
    }
    Ok(())
}

fn our_section<'a>(document: &'a mut DocumentMut, containerd: &[&str]) -> Option<&'a mut Table> {
    let section = find(document, containerd)?.get_mut("runtimes")?.as_table_like_mut()?;
    section.get_mut(NAME)?.as_table_mut()
}

fn remember(document: &mut DocumentMut, containerd: &[&str], default: &str) {
    if let Some(section) = our_section(document, containerd) {
        section.decor_mut().set_suffix(format!(" {BEFORE}{default}"));
    }
}

/// What was remembered, which is not remembered any more.
fn forget(document: &mut DocumentMut, containerd: &[&str]) -> Option<String> {
    let section = our_section(document, containerd)?;
    let before = section.decor().suffix()?.as_str()?.trim().strip_prefix(BEFORE)?.trim().to_owned();
    section.decor_mut().set_suffix("");
    Some(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configure(set_as_default: bool) -> Change {
        Change::Configure { path: "/p".into(), set_as_default }
    }

    const KUBEADM: &str = "version = 2
[plugins.\"io.containerd.grpc.v1.cri\".containerd]
default_runtime_name = \"nvidia\" # theirs
[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.nvidia]
runtime_type = \"io.containerd.runc.v2\"
privileged_without_host_devices = true
pod_annotations = [\"x.*\"]
[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.nvidia.options]
SystemdCgroup = true
BinaryName = \"/usr/bin/nvidia-container-runtime\"
";

    #[test]
    fn ours_inherits_what_the_default_runtime_has() {
        let after = change(KUBEADM, &configure(false)).unwrap();
        let ours = after.split("runtimes.nvshare]").nth(1).unwrap();
        for line in [
            "privileged_without_host_devices = true",
            "SystemdCgroup = true",
            "BinaryName = \"/p\"",
            "\"x.*\", \"io.nvshare.*\"",
        ] {
            assert!(ours.contains(line), "{line}:\n{after}");
        }
        let changed = after.replace(
            "SystemdCgroup = true\nBinaryName = \"/p\"",
            "SystemdCgroup = false\nBinaryName = \"/p\"",
        );
        assert_ne!(changed, after);
        assert_eq!(change(&changed, &configure(false)).unwrap(), changed, "what somebody changed stays");
    }

    #[test]
    fn the_default_before_ours_comes_back() {
        let once = change(KUBEADM, &configure(true)).unwrap();
        assert!(once.contains("default_runtime_name = \"nvshare\""), "{once}");
        let twice = change(&once, &configure(true)).unwrap();
        assert_eq!(twice, once);
        let back = change(&twice, &Change::Unconfigure).unwrap();
        assert!(back.contains("default_runtime_name = \"nvidia\"") && !back.contains("nvshare"), "{back}");
        let kept = change(&twice, &Change::UnsetDefault).unwrap();
        assert!(kept.contains("default_runtime_name = \"nvidia\"") && kept.contains("/p"), "{kept}");
    }

    #[test]
    fn without_the_cri_plugin_it_is_refused() {
        let text = "version = 2\ndisabled_plugins = [\"cri\"]\n";
        let error = change(text, &configure(false)).unwrap_err().to_string();
        assert!(error.contains("take `cri` out of that list"), "{error}");
        assert_eq!(change(text, &Change::Unconfigure).unwrap(), text);
    }
}
