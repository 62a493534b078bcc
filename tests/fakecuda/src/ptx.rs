//! As much of PTX as is needed to know which entries a module has.

/// The names of the `.entry` directives in a PTX text.
pub fn entries(text: &str) -> Vec<String> {
    let mut words = text.split(|c: char| c.is_whitespace() || c == '(').filter(|w| !w.is_empty());
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if word == ".entry" {
            found.extend(words.next().map(str::to_owned));
        }
    }
    found
}

/// Whether this is PTX at all, and not a cubin or a fat binary.
pub fn is_ptx(text: &str) -> bool {
    text.contains(".version") && text.contains(".target")
}
