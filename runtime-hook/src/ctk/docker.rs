//! daemon.json. It has no comments, but an order.

use super::change::{Change, NAME};
use crate::json;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// In our entry: the default runtime that ours took the place of. dockerd passes over keys that it does not know there.
const BEFORE: &str = "io.nvshare.default-before";

pub fn change(text: &str, change: &Change) -> Result<String> {
    let before: Value = if text.trim().is_empty() {
        json!({})
    } else {
        json::parse(text).context("dockerd could not use it either; correct it first")?
    };
    let mut after = before.clone();
    let top = after.as_object_mut().context("not a JSON object")?;
    match change {
        Change::Configure { path, set_as_default } => {
            let default = top.get("default-runtime").filter(|name| *name != NAME).cloned();
            let entry = entry(top)?;
            entry.insert("path".into(), json!(path));
            if *set_as_default {
                if let Some(default) = default {
                    entry.insert(BEFORE.into(), default);
                }
                top.insert("default-runtime".into(), NAME.into());
            }
        }
        Change::Unconfigure | Change::UnsetDefault => {
            let runtimes = top.get_mut("runtimes").and_then(Value::as_object_mut);
            let entry = runtimes.and_then(|runtimes| runtimes.get_mut(NAME)?.as_object_mut());
            let default = entry.and_then(|entry| entry.shift_remove(BEFORE));
            if top.get("default-runtime").is_some_and(|name| name == NAME) {
                match default {
                    Some(default) => top.insert("default-runtime".into(), default),
                    None => top.shift_remove("default-runtime"),
                };
            }
            if *change == Change::Unconfigure {
                remove_entry(top);
            }
        }
    }
    if after == before { Ok(text.to_owned()) } else { printed(&after) }
}

/// Our entry, made if it is missing; arguments that somebody gave it stay.
fn entry(top: &mut Map<String, Value>) -> Result<&mut Map<String, Value>> {
    let runtimes = top.entry("runtimes").or_insert_with(|| json!({}));
    let runtimes = runtimes.as_object_mut().context("`runtimes` is not an object")?;
    let entry = runtimes.entry(NAME).or_insert_with(|| json!({}));
    entry.as_object_mut().with_context(|| format!("`runtimes.{NAME}` is not an object"))
}

fn remove_entry(top: &mut Map<String, Value>) {
    if let Some(runtimes) = top.get_mut("runtimes").and_then(Value::as_object_mut) {
        let removed = runtimes.shift_remove(NAME).is_some();
        if removed && runtimes.is_empty() {
            top.shift_remove("runtimes");
        }
    }
}

/// Four spaces, as docker's own documentation has it.
fn printed(value: &Value) -> Result<String> {
    use serde::Serialize;
    let mut bytes = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, indent))?;
    bytes.push(b'\n');
    Ok(String::from_utf8(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(text: &str) -> String {
        change(text, &Change::Configure { path: "/p".into(), set_as_default: true }).unwrap()
    }

    #[test]
    fn the_default_before_ours_comes_back() {
        let text = "{\n    \"default-runtime\": \"nvidia\"\n}\n";
        let twice = configured(&configured(text));
        assert!(twice.contains("\"default-runtime\": \"nvshare\""), "{twice}");
        for change_back in [Change::Unconfigure, Change::UnsetDefault] {
            let back: Value = serde_json::from_str(&change(&twice, &change_back).unwrap()).unwrap();
            assert_eq!(back["default-runtime"], "nvidia");
        }
        assert_eq!(change(&twice, &Change::Unconfigure).unwrap(), text);
    }

    #[test]
    fn arguments_that_somebody_gave_our_entry_stay() {
        let text =
            "{\"runtimes\": {\"nvshare\": {\"path\": \"/old\", \"runtimeArgs\": [\"--systemd-cgroup\"]}}}";
        let after: Value = serde_json::from_str(&configured(text)).unwrap();
        assert_eq!(after["runtimes"]["nvshare"], json!({"path": "/p", "runtimeArgs": ["--systemd-cgroup"]}));
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused() {
        let error = change("{\"runtimes\": {}, \"runtimes\": {}}", &Change::Unconfigure).unwrap_err();
        assert!(format!("{error:#}").contains("the key `runtimes` stands twice"), "{error:#}");
    }
}
