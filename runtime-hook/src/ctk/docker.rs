//! daemon.json. It has no comments, but an order.

use super::engines::{Change, NAME};
use anyhow::{Context, Result};
use serde_json::{Value, json};

pub fn change(text: &str, change: &Change) -> Result<String> {
    let before: Value =
        if text.trim().is_empty() { json!({}) } else { serde_json::from_str(text).context("not JSON")? };
    let mut after = before.clone();
    let top = after.as_object_mut().context("not a JSON object")?;
    match change {
        Change::Configure { path, set_as_default } => {
            let runtimes = top.entry("runtimes").or_insert_with(|| json!({}));
            let runtimes = runtimes.as_object_mut().context("`runtimes` is not an object")?;
            runtimes.insert(NAME.into(), json!({ "path": path }));
            if *set_as_default {
                top.insert("default-runtime".into(), NAME.into());
            }
        }
        Change::Unconfigure => {
            if let Some(runtimes) = top.get_mut("runtimes").and_then(Value::as_object_mut) {
                let removed = runtimes.shift_remove(NAME).is_some();
                if removed && runtimes.is_empty() {
                    top.shift_remove("runtimes");
                }
            }
            if top.get("default-runtime").is_some_and(|name| name == NAME) {
                top.shift_remove("default-runtime");
            }
        }
    }
    if after == before { Ok(text.to_owned()) } else { printed(&after) }
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
