//! How we read the documents of the OCI runtime specification (config.json, a process, a container's state): one
//! accessor a field. Whoever starts a container writes these documents, so a field of the wrong type counts as missing.
//! Nothing is decided here.

use crate::constants;
use serde_json::{Map, Value};

/// A field that is a string; empty if it is missing.
pub fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of the list at a JSON pointer.
pub fn list<'a>(spec: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    spec.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// `root.path`; empty if it is missing.
pub fn root_path(spec: &Value) -> &str {
    spec.get("root").map_or("", |root| text(root, "path"))
}

/// `root.readonly`.
pub fn is_root_read_only(spec: &Value) -> bool {
    spec.pointer("/root/readonly").and_then(Value::as_bool).unwrap_or_default()
}

/// The host's user and group of the container's root, by `linux.uidMappings` and `linux.gidMappings`.
pub fn host_ids_of_root(spec: &Value) -> (u32, u32) {
    let host = |mappings: &str| {
        let number = |mapping: &Value, key: &str| mapping.get(key).and_then(Value::as_u64);
        let root = list(spec, mappings).find(|mapping| number(mapping, "containerID") == Some(0));
        root.and_then(|mapping| number(mapping, "hostID")?.try_into().ok()).unwrap_or_default()
    };
    (host("/linux/uidMappings"), host("/linux/gidMappings"))
}

/// Name and value of each annotation.
pub fn annotations(spec: &Value) -> impl Iterator<Item = (&String, &Value)> {
    spec.get("annotations").and_then(Value::as_object).into_iter().flatten()
}

/// The value of an annotation, if it is a string.
pub fn annotation<'a>(spec: &'a Value, name: &str) -> Option<&'a str> {
    spec.get("annotations")?.get(name)?.as_str()
}

/// A copy of all annotations.
pub fn annotation_map(spec: &Value) -> Map<String, Value> {
    spec.get("annotations").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Removes an annotation; the others keep their order.
pub fn remove_annotation(spec: &mut Value, name: &str) -> Option<Value> {
    spec.get_mut("annotations")?.as_object_mut()?.shift_remove(name)
}

/// The value of a variable of the container's process; the last one of a name wins.
pub fn variable<'a>(spec: &'a Value, name: &str) -> Option<&'a str> {
    let variables = spec.get("process")?.get("env")?.as_array()?;
    variables.iter().rev().find_map(|entry| entry.as_str()?.strip_prefix(name)?.strip_prefix('='))
}

/// Name and value of each variable of the container's process.
pub fn variables(spec: &Value) -> impl Iterator<Item = (&str, &str)> {
    list(spec, "/process/env").filter_map(|entry| entry.as_str()?.split_once('='))
}

/// Destination (without a trailing slash) and object of each mount.
pub fn mounts(spec: &Value) -> impl Iterator<Item = (&str, &Value)> {
    list(spec, "/mounts").map(|mount| {
        let destination = text(mount, "destination");
        let trimmed = destination.trim_end_matches('/');
        (if trimmed.is_empty() && !destination.is_empty() { "/" } else { trimmed }, mount)
    })
}

/// The options of a mount.
pub fn mount_options(mount: &Value) -> impl Iterator<Item = &str> {
    list(mount, "/options").filter_map(Value::as_str)
}

/// A bind by its type or by its options; the OCI specification lets either say it.
pub fn is_bind(mount: &Value) -> bool {
    text(mount, "type") == "bind" || mount_options(mount).any(|option| option == "bind" || option == "rbind")
}

/// Whether a mount is read-only by its options; the last one holds.
pub fn is_read_only(mount: &Value) -> bool {
    let word = mount_options(mount).filter(|option| matches!(*option, "ro" | "rro" | "rw" | "rrw")).last();
    word.is_some_and(|word| word.ends_with("ro"))
}

/// The word of a user who says yes or no.
pub fn yes_or_no(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Whether our mounts are there, at a place of ours.
pub fn has_mounts(spec: &Value, place: &str) -> bool {
    let library = format!("{place}/{}", constants::LIBRARY_NAME);
    mounts(spec).any(|(destination, _)| destination == library)
}

/// Whether the mounts of our CDI device are there; what CDI cannot do is for us to add.
pub fn has_cdi_mounts(spec: &Value) -> bool {
    has_mounts(spec, constants::PLACE)
}

/// The place that our mark names, if there is a mark. Anybody can write one: see [`is_injected`].
pub fn injected_place(spec: &Value) -> Option<&str> {
    Some(annotation(spec, constants::INJECTED_ANNOTATION)?.split_once(' ')?.1)
}

/// Whether an earlier edit of ours has marked the document. The mark counts only beside the mounts that it names.
pub fn is_injected(spec: &Value) -> bool {
    injected_place(spec).is_some_and(|place| constants::is_place(place) && has_mounts(spec, place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_of_the_wrong_type_counts_as_missing() {
        let spec = json!({
            "root": 3, "mounts": [{"destination": 4}, "x"], "annotations": [], "process": {"env": [1, "A", "B=1", "B=2"]},
            "linux": {"uidMappings": [{"containerID": 0, "hostID": -1}], "gidMappings": {}},
        });
        assert_eq!(
            (root_path(&spec), is_root_read_only(&spec), host_ids_of_root(&spec)),
            ("", false, (0, 0))
        );
        assert_eq!(mounts(&spec).map(|(destination, _)| destination).collect::<Vec<_>>(), ["", ""]);
        assert_eq!((annotation(&spec, "a"), annotations(&spec).count()), (None, 0));
        assert_eq!((variable(&spec, "A"), variable(&spec, "B")), (None, Some("2")));
        assert_eq!(variables(&spec).collect::<Vec<_>>(), [("B", "1"), ("B", "2")]);
    }

    #[test]
    fn a_mark_counts_only_beside_the_mounts_that_it_names() {
        let mut spec = json!({"annotations": {"io.nvshare.injected": "env /run/nvshare"}});
        assert!(!is_injected(&spec));
        spec["mounts"] = json!([{"destination": "/dev/nvshare/libnvshare.so"}]);
        assert!(!is_injected(&spec));
        spec["mounts"] = json!([{"destination": "/run/nvshare/libnvshare.so"}]);
        assert!(is_injected(&spec));
        spec["annotations"]["io.nvshare.injected"] = json!("env /elsewhere");
        spec["mounts"] = json!([{"destination": "/elsewhere/libnvshare.so"}]);
        assert!(!is_injected(&spec));
    }
}
