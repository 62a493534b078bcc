//! What the library itself needs: where that is missing, the loader refuses to start any program with it.

use super::view::View;
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
    pub fn of(path: &Path) -> Result<Requirements, String> {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let cache = ReadCache::new(file);
        read(&cache).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Why an image with this glibc does not have what is needed, if it does not. `library_dirs`: directories of libraries beside
    /// the usual ones.
    pub fn missing_in(&self, view: &View, version: (u32, u32), library_dirs: &[String]) -> Option<String> {
        if version < self.glibc {
            let ((major, minor), (least_major, least_minor)) = (version, self.glibc);
            return Some(format!(
                "the image's glibc {major}.{minor} is older than the library needs, {least_major}.{least_minor}"
            ));
        }
        let has = |name: &str| {
            let directories = library_dirs.iter().map(String::as_str).chain(super::libc_kind::DIRECTORIES);
            directories.into_iter().any(|directory| view.find(&format!("{directory}/{name}")).is_ok())
        };
        let missing = self.libraries.iter().find(|name| !name.starts_with("ld-linux") && !has(name))?;
        Some(format!("the library needs {missing}, which the image lacks"))
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
