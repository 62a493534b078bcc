//! Finds a function of a loaded file in the file's own tables, without a lookup by the C library.
//!
//! Such a lookup allocates: glibc before 2.34 the first time on each thread, and any glibc when it fails. An allocator that
//! looks its own functions up by `dlsym` would be asked for memory before it has any. A sanitizer looks up all functions
//! that it replaces, and must not be called before it has done so: not even for the length of a string. So this only reads.
#![allow(unsafe_code)] // it reads the linker's list and the tables of loaded files
use core::ffi::{CStr, c_int, c_void};
use core::ptr::null_mut;
use libc::Elf64_Sym;

// Tags of the dynamic section (System V ABI; DT_VERSYM: the Linux Standard Base).
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const DT_VERSYM: u64 = 0x6fff_fff0;
/// Marks a version that is not the default one.
const HIDDEN: u16 = 0x8000;
const STT_FUNC: u8 = 2;

/// An entry of the dynamic section.
#[repr(C)]
struct Dyn {
    tag: u64,
    value: u64,
}

/// The tables of a loaded file; 0 where it has none.
#[derive(Default)]
struct Tables {
    base: usize,
    symbols: usize,
    strings: usize,
    gnu_hash: usize,
    hash: usize,
    versions: usize,
}

/// A loaded file, as debuggers see it (`link.h`).
#[repr(C)]
struct LinkMap {
    base: usize,
    name: *const c_void,
    dynamic: *const Dyn,
    next: *const LinkMap,
}

/// What the linker keeps for debuggers.
#[repr(C)]
struct Debug {
    version: c_int,
    first: *const LinkMap,
}

unsafe extern "C" {
    static _r_debug: Debug;
    /// This file's own section, by the linker that made it.
    static _DYNAMIC: [Dyn; 0];
}

/// The function of that name in the first file that was loaded after this one, and has one; else in the first of those
/// before. Null if there is none.
///
/// The list is read without its lock. It changes at its end only, where the files are that the program has loaded since it
/// began. The C library stands before those; libpthread before glibc 2.34 may be one of them (`threads`).
pub fn next(name: &CStr) -> *mut c_void {
    // SAFETY: the linker has set it before it calls anything.
    let (mut file, own) = unsafe { (_r_debug.first, (&raw const _DYNAMIC).cast::<Dyn>()) };
    let (mut passed, mut before) = (false, null_mut::<c_void>());
    // SAFETY: null, or a loaded file.
    while let Some(known) = unsafe { file.as_ref() } {
        file = known.next;
        if known.dynamic == own {
            passed = true;
            continue;
        }
        if known.dynamic.is_null() || !passed && !before.is_null() {
            continue;
        }
        // SAFETY: the dynamic section of a loaded file.
        let found = unsafe { Tables::of(known.base, known.dynamic).find(name) };
        match found {
            Some(at) if passed => return at as *mut c_void,
            Some(at) => before = at as *mut c_void,
            None => {}
        }
    }
    before
}

/// The file in which an address lies, by the linker.
pub fn file_of(address: *mut c_void) -> Option<libc::Dl_info> {
    // SAFETY: all zeros is a valid Dl_info.
    let mut info: libc::Dl_info = unsafe { core::mem::zeroed() };
    // SAFETY: any address may be asked for; the result is a local.
    (unsafe { libc::dladdr(address, &mut info) } != 0).then_some(info)
}

/// The name under which a file was loaded.
pub fn name_of(file: &libc::Dl_info) -> Option<&CStr> {
    // SAFETY: null, or the linker's own NUL-terminated name of a loaded file.
    (!file.dli_fname.is_null()).then(|| unsafe { CStr::from_ptr(file.dli_fname) })
}

impl Tables {
    /// # Safety
    /// `section` is the dynamic section of a file that is loaded at `base`.
    unsafe fn of(base: usize, mut section: *const Dyn) -> Self {
        let mut tables = Self { base, ..Self::default() };
        // SAFETY: the caller's promise; the section ends with a tag of 0.
        while let Dyn { tag: tag @ 1.., value } = unsafe { &*section } {
            // glibc has added the base to these addresses, but not in every file: not in the kernel's vDSO.
            let at = *value as usize;
            let at = if at < base { base + at } else { at };
            match *tag {
                DT_HASH => tables.hash = at,
                DT_STRTAB => tables.strings = at,
                DT_SYMTAB => tables.symbols = at,
                DT_GNU_HASH => tables.gnu_hash = at,
                DT_VERSYM => tables.versions = at,
                _ => {}
            }
            // SAFETY: not yet the last.
            section = unsafe { section.add(1) };
        }
        tables
    }

    /// The address of a function of that name.
    ///
    /// # Safety
    /// The file is loaded.
    unsafe fn find(&self, name: &CStr) -> Option<usize> {
        if self.symbols == 0 || self.strings == 0 {
            return None;
        }
        // SAFETY: the caller's promise, for whichever table there is.
        unsafe {
            match (self.gnu_hash, self.hash) {
                (0, 0) => None,
                (0, table) => {
                    // Buckets, chains; there are as many chains as symbols, of which the first means nothing.
                    let symbols = *((table + 4) as *const u32);
                    (1..symbols).find_map(|nth| self.named(nth, name))
                }
                (table, _) => self.in_gnu_hash(table as *const u32, name),
            }
        }
    }

    /// Buckets, the first symbol that is hashed, words of a filter, its shift; the filter, the buckets, and the hashes of
    /// the symbols, of which the last of a bucket has its lowest bit set.
    ///
    /// # Safety
    /// `table` is the file's, which is loaded.
    unsafe fn in_gnu_hash(&self, table: *const u32, name: &CStr) -> Option<usize> {
        // SAFETY: the caller's promise; the table is read as it is laid out.
        unsafe {
            let (buckets, first, words) = (*table, *table.add(1), *table.add(2));
            if buckets == 0 {
                return None;
            }
            let bucket = table.add(4 + 2 * words as usize);
            let hashes = bucket.add(buckets as usize);
            let wanted = gnu_hash(name.to_bytes());
            let mut nth = *bucket.add((wanted % buckets) as usize);
            while nth >= first && nth != 0 {
                let hash = *hashes.add((nth - first) as usize);
                if hash | 1 == wanted | 1
                    && let Some(found) = self.named(nth, name)
                {
                    return Some(found);
                }
                if hash & 1 == 1 {
                    break;
                }
                nth += 1;
            }
            None
        }
    }

    /// The nth symbol's address, if it is a function of that name, in its default version.
    ///
    /// # Safety
    /// The file is loaded, and has so many symbols.
    unsafe fn named(&self, nth: u32, name: &CStr) -> Option<usize> {
        // SAFETY: the caller's promise; a symbol's name is a NUL-terminated string in the table of strings.
        unsafe {
            let symbol: &Elf64_Sym = &*(self.symbols as *const Elf64_Sym).add(nth as usize);
            let is_hidden =
                self.versions != 0 && *(self.versions as *const u16).add(nth as usize) & HIDDEN != 0;
            let is_function = symbol.st_info & 0xf == STT_FUNC && symbol.st_shndx != 0;
            if !is_function || is_hidden {
                return None;
            }
            let known = (self.strings + symbol.st_name as usize) as *const u8;
            is(known, name).then(|| self.base + symbol.st_value as usize)
        }
    }
}

/// Whether two strings are equal. Compares bytes, and calls nothing.
///
/// # Safety
/// `string` is NUL-terminated.
pub unsafe fn is(string: *const u8, wanted: &CStr) -> bool {
    // SAFETY: the caller's promise: nothing is read behind the first byte that differs, and the wanted one ends with NUL.
    wanted.to_bytes_with_nul().iter().enumerate().all(|(nth, byte)| unsafe { *string.add(nth) == *byte })
}

/// The hash of a name (`DT_GNU_HASH`).
fn gnu_hash(name: &[u8]) -> u32 {
    name.iter().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(u32::from(*byte)))
}

#[cfg(test)]
#[cfg_attr(miri, allow(unused_imports))]
mod tests {
    use super::*;
    use crate::symbols::glibc::real_dlsym;

    #[test]
    #[cfg_attr(miri, ignore = "reads the tables of loaded files")]
    fn what_is_found_is_what_the_linker_finds() {
        for name in [c"malloc", c"getenv", c"pthread_create", c"dladdr", c"dl_iterate_phdr"] {
            let found = next(name);
            assert!(!found.is_null(), "{name:?}");
            assert_eq!(found, real_dlsym(libc::RTLD_NEXT, name), "{name:?}");
        }
        for name in [c"", c"malloc_of_nobody"] {
            assert!(next(name).is_null(), "{name:?}");
        }
    }

    #[test]
    fn a_string_is_itself_and_no_other() {
        let of = |string: &'static CStr| string.as_ptr().cast::<u8>();
        // SAFETY: NUL-terminated literals.
        let found =
            unsafe { [is(of(c"dl"), c"dl"), is(of(c"dlx"), c"dl"), is(of(c"d"), c"dl"), is(of(c""), c"")] };
        assert_eq!(found, [true, false, false, true]);
    }
}
