//! The environment: a JSON list of `NAME=value`.

use serde_json::Value;

/// Puts `library` first in every `LD_PRELOAD`, or adds one. Which of two variables of one name holds differs
/// between the loader and the programs, so all of them are told.
pub fn preload(entries: &mut Vec<Value>, library: &str) {
    let mut found = false;
    for entry in entries.iter_mut() {
        if let Some(list) = entry.as_str().and_then(|text| text.strip_prefix("LD_PRELOAD=")) {
            *entry = format!("LD_PRELOAD={}", preload_list(list, library)).into();
            found = true;
        }
    }
    if !found {
        entries.push(format!("LD_PRELOAD={library}").into());
    }
}

/// `list` with `library` in front. The loader separates by colons and white space.
pub fn preload_list(list: &str, library: &str) -> String {
    if list.split([':', ' ', '\t', '\n']).any(|known| known == library) {
        return list.to_owned();
    }
    if list.is_empty() { library.to_owned() } else { format!("{library}:{list}") }
}

/// Sets a variable: one of that name remains.
pub fn set(entries: &mut Vec<Value>, name: &str, value: &str) {
    let wanted = Value::from(format!("{name}={value}"));
    match entries.iter().position(|entry| is(entry, name)) {
        Some(at) => {
            entries[at] = wanted;
            let mut index = 0;
            entries.retain(|entry| {
                index += 1;
                index - 1 <= at || !is(entry, name)
            });
        }
        None => entries.push(wanted),
    }
}

pub fn remove(entries: &mut Vec<Value>, name: &str) {
    entries.retain(|entry| !is(entry, name));
}

fn is(entry: &Value, name: &str) -> bool {
    entry.as_str().and_then(|text| text.strip_prefix(name)).is_some_and(|rest| rest.starts_with('='))
}
