//! Which glibc the library itself needs: an older one refuses to start any program with it.

use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, ReadCache, ReadRef};
use std::fs::File;
use std::path::Path;

/// The newest `GLIBC_x.y` that an ELF file asks for, `None` if it asks for none.
///
/// # Errors
/// The file cannot be read or is not a 64-bit ELF file; the message names it.
pub fn glibc_needed(path: &Path) -> Result<Option<(u32, u32)>, String> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let cache = ReadCache::new(file);
    versions(&cache).map_err(|error| format!("{}: {error}", path.display()))
}

fn versions<'data>(data: impl ReadRef<'data>) -> object::read::Result<Option<(u32, u32)>> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let Some((mut needs, link)) = sections.gnu_verneed(endian, data)? else {
        return Ok(None);
    };
    let strings = sections.section(link)?.strings(endian, data)?.unwrap_or_default();
    let mut names = Vec::new();
    while let Some((_, mut versions)) = needs.next()? {
        while let Some(version) = versions.next()? {
            names.push(version.name(endian, strings)?);
        }
    }
    Ok(newest_glibc(names))
}

/// The newest of names like `GLIBC_2.2.5`; others are passed over.
pub fn newest_glibc<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Option<(u32, u32)> {
    let version = |name: &[u8]| {
        let text = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?;
        let mut parts = text.split('.').map(str::parse::<u32>);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    names.into_iter().filter_map(version).max()
}
