//! What the library itself needs: where that is missing, the loader refuses to start any program with it.

use super::view::View;
use crate::unmanageable::Unmanageable;
use anyhow::{Context, Result};
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, FileHeader};
use object::{Endianness, ReadCache, ReadRef};
use std::fs::File;
use std::path::Path;

/// An ELF file's wishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// The newest `GLIBC_x.y` that it asks for.
    pub glibc: (u32, u32),
    /// The libraries that it is linked with.
    pub libraries: Vec<String>,
}

impl Requirements {
    /// Reads them from an ELF file.
    ///
    /// # Errors
    /// The file cannot be read or is not a 64-bit ELF file; the message names it.
    pub fn of(path: &Path) -> Result<Requirements> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let cache = ReadCache::new(file);
        read(&cache).with_context(|| path.display().to_string())
    }

    /// Whether an image with this glibc has all of it. `library_dirs`: directories of libraries beside the usual ones.
    ///
    /// # Errors
    /// What the image lacks.
    pub fn check(
        &self,
        view: &View,
        version: (u32, u32),
        library_dirs: &[String],
    ) -> Result<(), Unmanageable> {
        if version < self.glibc {
            return Err(Unmanageable::GlibcTooOld { found: version, required: self.glibc });
        }
        let has = |name: &str| {
            let mut directories =
                library_dirs.iter().map(String::as_str).chain(super::libc_kind::DIRECTORIES);
            directories.any(|directory| view.find(&format!("{directory}/{name}")).is_ok())
        };
        match self.libraries.iter().find(|name| !name.starts_with("ld-linux") && !has(name)) {
            Some(missing) => Err(Unmanageable::MissingLibrary(missing.clone())),
            None => Ok(()),
        }
    }
}

fn read<'data>(data: impl ReadRef<'data>) -> object::read::Result<Requirements> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let mut requirements = Requirements { glibc: crate::constants::GLIBC_FLOOR, libraries: Vec::new() };
    if let Some((mut files, link)) = sections.gnu_verneed(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        let mut names = Vec::new();
        while let Some((_, mut versions)) = files.next()? {
            while let Some(version) = versions.next()? {
                names.push(version.name(endian, strings)?);
            }
        }
        requirements.glibc = newest_glibc(names).unwrap_or_default().max(crate::constants::GLIBC_FLOOR);
    }
    if let Some((entries, link)) = sections.dynamic(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        for entry in entries.iter().filter(|entry| entry.tag32(endian) == Some(DT_NEEDED)) {
            let name = entry.val32(endian).and_then(|offset| strings.get(offset).ok());
            requirements.libraries.push(String::from_utf8_lossy(name.unwrap_or_default()).into_owned());
        }
    }
    Ok(requirements)
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
