//! What Slurm finds in the plugin, by its own names, and calls.
#![allow(unsafe_code)] // a C interface
#![allow(non_upper_case_globals)] // Slurm's names
use crate::options;
use crate::spank::{self, Context, Spank};
use crate::{job_file, step};
use core::ffi::{CStr, c_char, c_int, c_void};
use nvshare_protocol::plugin_arguments::Arguments;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the plugin is.
#[unsafe(no_mangle)]
pub static plugin_name: [u8; 8] = *b"nvshare\0";
#[unsafe(no_mangle)]
pub static plugin_type: [u8; 6] = *b"spank\0";
/// The version of Slurm that may load it, `major << 16 | minor << 8 | micro`. `nvshare-ctk slurm configure` writes that of
/// the Slurm that it finds; as it is built, none loads it.
#[unsafe(no_mangle)]
pub static plugin_version: u32 = 0x00ff_ffff;
#[unsafe(no_mangle)]
pub static spank_plugin_version: u32 = 1;

const SUCCESS: c_int = 0;
/// Slurm stops the step, where the plugin is `required`.
const FAILURE: c_int = -1;

/// Does work of ours that must neither unwind into Slurm nor stop a step. Why it could not be done is in Slurm's log;
/// `fails`: the site wants the step to fail then.
fn guarded(fails: bool, work: impl FnOnce() -> Result<(), String>) -> c_int {
    let done =
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("a defect in the plugin itself".into()));
    match done {
        Ok(()) => SUCCESS,
        Err(why) => {
            // A second panic would be one of the line that tells of the first.
            let _ = catch_unwind(|| spank::log(&why));
            if fails { FAILURE } else { SUCCESS }
        }
    }
}

/// What the words of our line in plugstack.conf say, and what is wrong with them. One that is no text is wrong too.
///
/// # Safety
/// As Slurm calls: `av` has `ac` strings that stay until this returns.
unsafe fn arguments(ac: c_int, av: *const *const c_char) -> (Arguments, Vec<String>) {
    let count = usize::try_from(ac).unwrap_or(0);
    // SAFETY: the caller's promise: `ac` pointers.
    let strings = (0..count).filter(|_| !av.is_null()).map(|at| unsafe { *av.add(at) });
    // SAFETY: the caller's promise: each that is not null is a string.
    let words: Vec<String> = strings
        .filter(|string| !string.is_null())
        .map(|string| unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned())
        .collect();
    Arguments::parse(words.iter().map(String::as_str))
}

/// Offers the options.
///
/// # Safety
/// Slurm calls it, with a handle and `ac` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slurm_spank_init(
    handle: *mut c_void,
    _ac: c_int,
    _av: *const *const c_char,
) -> c_int {
    guarded(false, || {
        std::panic::set_hook(Box::new(|_| {}));
        if spank::context() == Context::Other {
            return Ok(());
        }
        let Some(spank) = Spank::new(handle) else { return Ok(()) };
        options::offered().iter_mut().try_for_each(|option| spank.offer(option))
    })
}

/// An option was given. What is wrong stops a submission, and no step: there it is passed over.
///
/// # Safety
/// Slurm calls it, with null or a string.
pub unsafe extern "C" fn on_option(number: c_int, value: *const c_char, remote: c_int) -> c_int {
    guarded(remote == 0, || {
        // SAFETY: the caller's promise.
        let value = unsafe { options::text(value) }.ok_or("an option's value is no text")?;
        options::take(usize::try_from(number).unwrap_or(usize::MAX), value)
    })
}

/// A step is about to start, and its environment is there: slurmstepd runs as root.
///
/// # Safety
/// Slurm calls it, with a handle and `ac` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slurm_spank_init_post_opt(
    handle: *mut c_void,
    ac: c_int,
    av: *const *const c_char,
) -> c_int {
    let mut fails = false;
    let prepared = guarded(true, || {
        if spank::context() != Context::Remote {
            return Ok(());
        }
        let Some(spank) = Spank::new(handle) else { return Ok(()) };
        // SAFETY: the caller's promise.
        let (arguments, faults) = unsafe { arguments(ac, av) };
        faults.iter().for_each(|fault| spank::log(fault));
        fails = arguments.fails;
        step::prepare(spank, &arguments, &faults, options::given())
    });
    if fails { prepared } else { SUCCESS }
}

/// A step has ended.
///
/// # Safety
/// Slurm calls it, with a handle and `ac` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slurm_spank_exit(handle: *mut c_void, ac: c_int, av: *const *const c_char) -> c_int {
    guarded(false, || {
        if spank::context() != Context::Remote {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        let (arguments, _) = unsafe { arguments(ac, av) };
        if let Some((job, step)) = Spank::new(handle).and_then(|spank| Some((spank.job()?, spank.step()?))) {
            job_file::remove(&arguments.jobs, job, &step);
        }
        Ok(())
    })
}

/// A job has left the node: what steps have left that were killed goes.
///
/// # Safety
/// Slurm calls it, with a handle and `ac` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slurm_spank_job_epilog(
    handle: *mut c_void,
    ac: c_int,
    av: *const *const c_char,
) -> c_int {
    guarded(false, || {
        // SAFETY: the caller's promise.
        let (arguments, _) = unsafe { arguments(ac, av) };
        if let Some(job) = Spank::new(handle).and_then(Spank::job) {
            job_file::remove_all(&arguments.jobs, job);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_stops_nothing_unless_the_site_says_so() {
        std::panic::set_hook(Box::new(|_| {}));
        let nothing: &[u8] = &[];
        for (fails, answer) in [(false, SUCCESS), (true, FAILURE)] {
            assert_eq!(guarded(fails, || Err(nothing[0].to_string())), answer);
            assert_eq!(guarded(fails, || Err("no room".into())), answer);
            assert_eq!(guarded(fails, || Ok(())), SUCCESS);
        }
    }

    /// No Slurm is here: every function of it is missing.
    #[test]
    fn without_slurms_functions_the_plugin_does_nothing() {
        let mut nothing = 0_u8;
        let handle = (&raw mut nothing).cast();
        // SAFETY: no words, and a handle that nobody reads.
        unsafe {
            for call in
                [slurm_spank_init, slurm_spank_init_post_opt, slurm_spank_exit, slurm_spank_job_epilog]
            {
                assert_eq!(call(handle, 0, std::ptr::null()), SUCCESS);
                assert_eq!(call(std::ptr::null_mut(), 3, std::ptr::null()), SUCCESS);
            }
        }
    }

    #[test]
    fn a_word_that_is_no_text_is_a_fault() {
        let words = [c"on_error=fail".as_ptr(), c"weight=\xff".as_ptr(), std::ptr::null()];
        // SAFETY: two strings and a null.
        let (arguments, faults) = unsafe { arguments(3, words.as_ptr()) };
        assert!(arguments.fails);
        assert_eq!(faults.len(), 1, "{faults:?}");
    }

    #[test]
    fn a_wrong_option_stops_a_submission_and_no_step() {
        // SAFETY: a string that ends with a zero.
        unsafe {
            assert_eq!(on_option(0, c"much".as_ptr(), 0), FAILURE);
            assert_eq!(on_option(0, c"much".as_ptr(), 1), SUCCESS);
            assert_eq!(on_option(0, c"\xff".as_ptr(), 0), FAILURE);
            assert_eq!(on_option(-1, std::ptr::null(), 0), SUCCESS);
        }
    }
}
