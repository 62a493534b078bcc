//! Values of settings: read where they are allowed, written as they are read.

use super::{Method, OnError, may_set_words};
use std::path::{Path, PathBuf};
use toml_edit::{Array, Value};

const ON_ERROR: [(&str, OnError); 2] = [("fail", OnError::Fail), ("run-unmanaged", OnError::RunUnmanaged)];
const METHODS: [(&str, Method); 3] = [("auto", Method::Auto), ("env", Method::Env), ("file", Method::File)];

pub fn on_error(value: &Value) -> Option<OnError> {
    one_of(&ON_ERROR, value)
}

pub fn show_on_error(on_error: OnError) -> String {
    word(&ON_ERROR, on_error)
}

pub fn method(value: &Value) -> Option<Method> {
    one_of(&METHODS, value)
}

pub fn show_method(method: Method) -> String {
    word(&METHODS, method)
}

fn one_of<T: Copy>(words: &[(&str, T)], value: &Value) -> Option<T> {
    let text = value.as_str()?;
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}

fn word<T: Copy + PartialEq>(words: &[(&str, T)], value: T) -> String {
    let word = words.iter().find(|(_, known)| *known == value).map(|(word, _)| *word);
    quoted(word.unwrap_or_default())
}

/// A list of strings.
fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|value| value.as_str().map(String::from)).collect()
}

/// Names or paths of runtimes, at least one.
pub fn runtimes(value: &Value) -> Option<Vec<String>> {
    strings(value).filter(|list| !list.is_empty())
}

/// Words of [`may_set_words`].
pub fn policy_words(value: &Value) -> Option<Vec<String>> {
    strings(value).filter(|list| list.iter().all(|word| may_set_words().any(|known| known == word)))
}

pub fn show_strings(list: &[String]) -> String {
    Array::from_iter(list).to_string()
}

pub fn absolute(value: &Value) -> Option<PathBuf> {
    value.as_str().map(PathBuf::from).filter(|path| path.is_absolute())
}

pub fn show_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
