//! The options of srun, sbatch and salloc.
use crate::spank::SpankOption;
use core::ffi::{CStr, c_char, c_int};
use nvshare_protocol::wishes::{self, MEM_LIMIT, PRIORITY};
use nvshare_protocol::{Bytes, wishes::PRIORITIES};
use std::ptr;
use std::sync::{Mutex, PoisonError};

/// What a job's user wishes by options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The most on each GPU.
    pub limit: Option<Bytes>,
    /// 0 low, 1 normal, 2 high.
    pub priority: Option<u32>,
    /// The job is to be left alone.
    pub unmanaged: bool,
}

/// Those of this process: Slurm hands options to functions that know nothing else.
static GIVEN: Mutex<Options> = Mutex::new(Options { limit: None, priority: None, unmanaged: false });

/// What was given until now.
pub fn given() -> Options {
    *GIVEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One option.
struct Row {
    name: &'static CStr,
    /// What it takes, one word for the help; none: nothing.
    takes: Option<&'static CStr>,
    help: &'static CStr,
    /// Takes a value, or says what is allowed.
    set: fn(&mut Options, &str) -> Result<(), &'static str>,
}

const TABLE: [Row; 3] = [
    Row {
        name: c"nvshare-mem",
        takes: Some(c"size"),
        // SPANK_OPTION_MAXLEN: a longer line is not shown well.
        help: c"most GPU memory on each GPU (8GiB); never above the job's shards",
        set: |options, value| {
            options.limit = Some(wishes::memory_limit(value).ok_or(MEM_LIMIT.allowed)?);
            Ok(())
        },
    },
    Row {
        name: c"nvshare-priority",
        takes: Some(c"word"),
        help: c"who has turns first: low, normal, high; never above the site's word",
        set: |options, value| {
            options.priority = Some(wishes::priority(value).ok_or(PRIORITY.allowed)?);
            Ok(())
        },
    },
    Row {
        name: c"no-nvshare",
        takes: None,
        help: c"leave the job alone: its GPU programs take no turns with others",
        set: |options, _| {
            options.unmanaged = true;
            Ok(())
        },
    },
];

/// For Slurm, which copies them.
pub fn offered() -> [SpankOption; TABLE.len()] {
    let mut number = 0;
    TABLE.map(|row| {
        number += 1;
        SpankOption {
            name: row.name.as_ptr().cast_mut(),
            arginfo: row.takes.map_or(ptr::null_mut(), |takes| takes.as_ptr().cast_mut()),
            usage: row.help.as_ptr().cast_mut(),
            has_arg: c_int::from(row.takes.is_some()),
            val: number - 1,
            cb: Some(crate::entry::on_option),
        }
    })
}

/// Takes an option that Slurm has found, by its number.
///
/// # Errors
/// What is wrong with its value, and what is allowed.
pub fn take(number: usize, value: &str) -> Result<(), String> {
    let Some(row) = TABLE.get(number) else { return Ok(()) };
    let mut options = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    (row.set)(&mut options, value).map_err(|allowed| {
        // Clipped: it may be anything.
        let value: String = value.chars().take(64).collect();
        format!("--{}={value:?} is not allowed (allowed: {allowed})", row.name.to_string_lossy())
    })
}

/// The least of what the user wishes and what the site allows.
pub fn priority(wish: Option<u32>, site: Option<u32>) -> Option<u32> {
    const NORMAL: u32 = 1;
    match (wish, site) {
        (Some(wish), site) => Some(wish.min(site.unwrap_or(NORMAL)).min(PRIORITIES.len() as u32 - 1)),
        (None, site) => site,
    }
}

/// A C string as text; none: it is no text.
///
/// # Safety
/// `text` is null or points to a string that ends with a zero and stays until this returns.
#[allow(unsafe_code)]
pub unsafe fn text<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        return Some("");
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_everywhere_and_wrong_ones_are_named() {
        assert_eq!(take(0, "1.5 GiB"), Ok(()));
        assert_eq!(take(1, "LOW"), Ok(()));
        assert_eq!(given(), Options { limit: Some(Bytes(3 << 29)), priority: Some(0), unmanaged: false });
        assert!(
            take(0, "8 parsecs")
                .unwrap_err()
                .starts_with("--nvshare-mem=\"8 parsecs\" is not allowed (allowed: a size")
        );
        assert!(take(1, "urgent").unwrap_err().contains("low, normal, high"));
        assert_eq!(take(2, ""), Ok(()));
        assert!(given().unmanaged);
        assert_eq!(take(3, ""), Ok(()), "there is none");
    }

    #[test]
    fn nobody_is_above_what_the_site_says() {
        for (wish, site, expected) in [
            (None, None, None),
            (None, Some(2), Some(2)),
            (Some(2), None, Some(1)),
            (Some(2), Some(2), Some(2)),
            (Some(2), Some(0), Some(0)),
            (Some(0), Some(2), Some(0)),
            (Some(9), Some(9), Some(2)),
        ] {
            assert_eq!(priority(wish, site), expected, "{wish:?} {site:?}");
        }
    }

    #[test]
    fn help_fits_slurms_columns() {
        for row in TABLE {
            assert!(row.help.count_bytes() <= 75, "{:?}", row.help);
        }
    }
}
