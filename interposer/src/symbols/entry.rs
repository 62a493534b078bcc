//! Each entry point that we interpose as a value, which knows its name.
use core::ffi::CStr;

macro_rules! names {
    ($($sym:ident)*) => {
        &[$(match CStr::from_bytes_with_nul(concat!(stringify!($sym), "\0").as_bytes()) {
            Ok(name) => name,
            Err(_) => unreachable!(),
        }),*]
    };
}

macro_rules! interposed {
    ($( $sym:ident ( $($arg:ident : $ty:ty),* $(,)? ) => $handler:ident ( $($parg:ident),* $(,)? ); )*) => {
        /// One entry point that we interpose.
        #[allow(non_camel_case_types, clippy::enum_variant_names)] // NVIDIA's names
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub enum Entry { $($sym),* }

        impl Entry {
            pub const ALL: &'static [Entry] = &[$(Entry::$sym),*];
            const LIST: &'static [Entry; Self::COUNT] = &[$(Entry::$sym),*];
            const NAMES: &'static [&'static CStr] = names!($($sym)*);
        }
    };
}
nvshare_abi::cuda_table!(interposed);

impl Entry {
    pub const COUNT: usize = Self::ALL.len();

    pub fn c_name(self) -> &'static CStr {
        Self::NAMES[self as usize]
    }

    pub fn name(self) -> &'static str {
        self.c_name().to_str().unwrap_or_default()
    }

    /// The entry exported under `name`, if we interpose it.
    pub fn named(name: &CStr) -> Option<Entry> {
        // Nothing of this allocates: `dlsym` asks.
        static BY_NAME: std::sync::OnceLock<[Entry; Entry::COUNT]> = std::sync::OnceLock::new();
        let sorted = BY_NAME.get_or_init(|| {
            let mut all = *Self::LIST;
            all.sort_unstable_by_key(|entry| entry.c_name());
            all
        });
        sorted.binary_search_by_key(&name, |entry| entry.c_name()).ok().map(|found| sorted[found])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found_by_its_name_and_no_other_name_is() {
        for entry in Entry::ALL {
            assert_eq!(Entry::named(entry.c_name()), Some(*entry));
        }
        for name in [c"", c"cu", c"cuNoSuch", c"puts"] {
            assert_eq!(Entry::named(name), None);
        }
    }
}
