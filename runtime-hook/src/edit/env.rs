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

/// Takes `library` out of every `LD_PRELOAD`, and the variable with the last of its list.
pub fn remove_preload(entries: &mut Vec<Value>, library: &str) {
    entries.retain_mut(|entry| {
        let Some(list) = entry.as_str().and_then(|text| text.strip_prefix("LD_PRELOAD=")) else {
            return true;
        };
        if !list.split(SEPARATORS).any(|known| known == library) {
            return true;
        }
        let others: Vec<_> = list.split(SEPARATORS).filter(|known| *known != library).collect();
        let rest = others.join(":");
        let stays = !rest.is_empty();
        *entry = format!("LD_PRELOAD={rest}").into();
        stays
    });
}

/// What the loader separates by.
const SEPARATORS: [char; 4] = [':', ' ', '\t', '\n'];

/// `list` with `library` in front of all but the run-time libraries of sanitizers, which end programs that have them
/// anywhere else than first.
pub fn preload_list(list: &str, library: &str) -> String {
    if list.split(SEPARATORS).any(|known| known == library) {
        return list.to_owned();
    }
    let (first, rest) = list.split_at(sanitizers(list));
    match (first, rest) {
        ("", "") => library.to_owned(),
        ("", rest) => format!("{library}:{rest}"),
        // What separated them follows.
        (first, rest) => format!("{first}:{library}{rest}"),
    }
}

/// How many bytes of the list its leading sanitizers take.
fn sanitizers(list: &str) -> usize {
    let mut end = 0;
    let mut at = 0;
    for word in list.split_inclusive(SEPARATORS) {
        let name = word.trim_end_matches(SEPARATORS);
        if is_sanitizer(name) {
            end = at + name.len();
        } else if !name.is_empty() {
            break;
        }
        at += word.len();
    }
    end
}

fn is_sanitizer(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    ["libasan.so", "libtsan.so", "liblsan.so", "libubsan.so", "libhwasan.so"]
        .iter()
        .any(|known| name.starts_with(known))
        || (name.starts_with("libclang_rt.") && name.contains("san"))
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
