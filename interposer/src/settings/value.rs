//! What the words of the settings mean. Sizes and numbers: `nvshare_protocol::quantity`.
use nvshare_protocol::wishes::one_of;

pub fn switch(on: &str, off: &str, text: &str) -> Option<bool> {
    choice(&[(on, true), (off, false)], text)
}

/// In capitals or not.
pub fn choice<T: Copy>(words: &[(&str, T)], text: &str) -> Option<T> {
    words.iter().find(|(word, _)| one_of(&[word], text).is_some()).map(|(_, value)| *value)
}
