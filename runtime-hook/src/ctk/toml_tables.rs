//! Sections of TOML files, made and taken away without touching what stands beside them.

use anyhow::{Context, Result};
use toml_edit::{DocumentMut, Item, RawString, Table, TableLike};

/// The section at a path, made if it is missing.
pub fn make<'a>(document: &'a mut DocumentMut, path: &[&str]) -> Result<&'a mut dyn TableLike> {
    let mut here: &mut dyn TableLike = document.as_table_mut();
    for (depth, name) in path.iter().enumerate() {
        let item = here.entry(name).or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(depth + 1 < path.len());
            Item::Table(table)
        });
        here = item.as_table_like_mut().with_context(|| format!("`{}` is not a section", path.join(".")))?;
    }
    Ok(here)
}

/// The section at a path, if it is there.
pub fn find<'a>(document: &'a mut DocumentMut, path: &[&str]) -> Option<&'a mut dyn TableLike> {
    let mut here: &mut dyn TableLike = document.as_table_mut();
    for name in path {
        here = here.get_mut(name)?.as_table_like_mut()?;
    }
    Some(here)
}

/// Removes a key, then the sections above it that are empty now, unless a comment stands at one.
pub fn remove(document: &mut DocumentMut, path: &[&str]) {
    let Some((key, above)) = path.split_last() else { return };
    let Some(section) = find(document, above) else { return };
    if section.remove(key).is_none() {
        return;
    }
    for depth in (1..=above.len()).rev() {
        let Some(section) = find(document, &above[..depth]) else { return };
        if !section.is_empty() {
            return;
        }
        let Some(parent) = find(document, &above[..depth - 1]) else { return };
        let blank = |text: Option<&RawString>| {
            text.and_then(RawString::as_str).is_none_or(|text| text.trim().is_empty())
        };
        let bare = |item: &Item| {
            item.as_table()
                .is_some_and(|table| blank(table.decor().prefix()) && blank(table.decor().suffix()))
        };
        if !parent.get(above[depth - 1]).is_some_and(bare) {
            return;
        }
        parent.remove(above[depth - 1]);
    }
}

/// Sets a key unless it has that value, so that its comment and spelling stay.
pub fn set(section: &mut dyn TableLike, key: &str, value: impl Into<toml_edit::Value>) {
    let value = value.into();
    let same = section.get(key).and_then(Item::as_value).is_some_and(|old| plain(old) == plain(&value));
    if !same {
        section.insert(key, Item::Value(value));
    }
}

fn plain(value: &toml_edit::Value) -> String {
    value.clone().decorated("", "").to_string()
}

pub fn parse(text: &str) -> Result<DocumentMut> {
    text.parse().context("not TOML")
}
