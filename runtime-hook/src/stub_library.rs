//! A shared library of 32 bits with nothing in it, for images that have programs of 32 bits beside those of 64: their
//! loader reads the same `/etc/ld.so.preload`, complains of a library that is not of its kind, and is content with this.

/// Its parts, one behind the other: headers, an empty string table, the null symbol, a hash table, the dynamic section.
const STRINGS: u32 = 52 + 3 * 32;
const SYMBOLS: u32 = STRINGS + 4;
const HASH: u32 = SYMBOLS + 16;
const DYNAMIC: u32 = HASH + 16;
const LENGTH: u32 = DYNAMIC + 6 * 8;

const READ_WRITE: u32 = 6;

/// An ELF file for i386, by the System V ABI.
pub fn bytes() -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halves =
        |file: &mut Vec<u8>, list: &[u16]| file.extend(list.iter().flat_map(|half| half.to_le_bytes()));
    let words =
        |file: &mut Vec<u8>, list: &[u32]| file.extend(list.iter().flat_map(|word| word.to_le_bytes()));
    // ET_DYN for EM_386; no entry, the program headers at 52, no sections.
    halves(&mut file, &[3, 3]);
    words(&mut file, &[1, 0, 52, 0, 0]);
    halves(&mut file, &[52, 32, 3, 40, 0, 0]);
    // PT_LOAD: all of it, writable, for the loader adds its base to addresses of the dynamic section.
    words(&mut file, &[1, 0, 0, 0, LENGTH, LENGTH, READ_WRITE, 0x1000]);
    // PT_DYNAMIC.
    words(&mut file, &[2, DYNAMIC, DYNAMIC, DYNAMIC, 48, 48, READ_WRITE, 4]);
    // PT_GNU_STACK: without it the whole program's stack would be made executable.
    words(&mut file, &[0x6474_e551, 0, 0, 0, 0, 0, READ_WRITE, 16]);
    words(&mut file, &[0, 0, 0, 0, 0]);
    // One bucket and one symbol, the null one.
    words(&mut file, &[1, 1, 0, 0]);
    // DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_NULL.
    words(&mut file, &[4, HASH, 5, STRINGS, 6, SYMBOLS, 10, 1, 11, 16, 0, 0]);
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::elf::{FileHeader32, PT_GNU_STACK, PT_LOAD};
    use object::read::elf::{FileHeader, ProgramHeader};
    use object::{Endianness, elf};

    #[test]
    fn it_is_a_library_of_32_bits_that_asks_for_nothing() {
        let bytes = bytes();
        assert_eq!(bytes.len(), LENGTH as usize);
        let header = FileHeader32::<Endianness>::parse(&*bytes).unwrap();
        let endian = header.endian().unwrap();
        assert_eq!((header.e_type(endian), header.e_machine(endian)), (elf::ET_DYN, elf::EM_386));
        let segments = header.program_headers(endian, &*bytes).unwrap();
        let dynamic = segments.iter().find_map(|segment| segment.dynamic(endian, &*bytes).unwrap()).unwrap();
        let tags: Vec<_> = dynamic.iter().map(|entry| entry.d_tag.get(endian)).collect();
        assert_eq!(
            tags,
            [elf::DT_HASH, elf::DT_STRTAB, elf::DT_SYMTAB, elf::DT_STRSZ, elf::DT_SYMENT, elf::DT_NULL]
        );
        for kind in [PT_LOAD, PT_GNU_STACK] {
            let segment = segments.iter().find(|segment| segment.p_type(endian) == kind).unwrap();
            assert_eq!(segment.p_flags(endian), READ_WRITE, "nothing of it can be run");
        }
    }
}
