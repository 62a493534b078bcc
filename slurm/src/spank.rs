//! What Slurm offers to its plugins (`slurm/spank.h`, the same since Slurm 2.2). The functions are looked up when they are
//! needed: a Slurm that lacks one does without us instead of refusing to load us.
#![allow(unsafe_code)] // a C interface
use core::ffi::{CStr, c_char, c_int, c_void};
use std::ffi::CString;
use std::ptr::NonNull;

/// `struct spank_option`.
#[repr(C)]
pub struct SpankOption {
    pub name: *mut c_char,
    pub arginfo: *mut c_char,
    pub usage: *mut c_char,
    pub has_arg: c_int,
    pub val: c_int,
    pub cb: Option<unsafe extern "C" fn(c_int, *const c_char, c_int) -> c_int>,
}

/// Where a plugin finds itself (`enum spank_context`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// srun.
    Local,
    /// slurmstepd, as root.
    Remote,
    /// sbatch and salloc.
    Allocator,
    /// slurmd, prologs and epilogs, and what is not known.
    Other,
}

// enum spank_item.
const S_JOB_ID: c_int = 2;
const S_JOB_STEPID: c_int = 3;
// slurm.h: steps that have no number.
const INTERACTIVE: u32 = 0xffff_fffa;
const BATCH: u32 = 0xffff_fffb;

/// `ESPANK_SUCCESS`.
const SUCCESS: c_int = 0;
/// The longest value of a variable that is read: Linux starts no program with a longer one (`MAX_ARG_STRLEN`).
const LONGEST: usize = 128 * 1024;

/// The functions' own handle, for the time of one call of ours.
#[derive(Clone, Copy)]
pub struct Spank(NonNull<c_void>);

/// The address of a function of Slurm's.
fn find(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: dlsym reads the name, which ends with a zero, and has no other effect on memory of ours.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

fn lacks(name: &CStr) -> String {
    format!("Slurm offers no {}", name.to_string_lossy())
}

/// Writes a line into Slurm's log, at the level of errors; without it, to nowhere.
pub fn log(line: &str) {
    let Some(function) = find(c"slurm_error") else { return };
    let Ok(line) = CString::new(format!("nvshare: {line}").replace('\0', "?")) else { return };
    // SAFETY: slurm_error is `void (const char *format, ...)` in every slurm/spank.h; "%s" takes one string, which lives
    // until the call returns.
    unsafe {
        let function: unsafe extern "C" fn(*const c_char, ...) = core::mem::transmute(function.as_ptr());
        function(c"%s".as_ptr(), line.as_ptr());
    }
}

/// Where we are.
pub fn context() -> Context {
    let Some(function) = find(c"spank_context") else { return Context::Other };
    // SAFETY: `enum spank_context spank_context (void)`; an enum of C is an int here.
    let found = unsafe {
        let function: unsafe extern "C" fn() -> c_int = core::mem::transmute(function.as_ptr());
        function()
    };
    match found {
        1 => Context::Local,
        2 => Context::Remote,
        3 => Context::Allocator,
        _ => Context::Other,
    }
}

impl Spank {
    /// The handle that Slurm has called us with.
    pub fn new(handle: *mut c_void) -> Option<Self> {
        NonNull::new(handle).map(Self)
    }

    /// Offers an option.
    ///
    /// # Errors
    /// Slurm's number for what went wrong.
    pub fn offer(self, option: &mut SpankOption) -> Result<(), String> {
        let name = c"spank_option_register";
        let function = find(name).ok_or_else(|| lacks(name))?;
        // SAFETY: `spank_err_t spank_option_register (spank_t, struct spank_option *)`. Slurm copies the option and its
        // strings, which are constants.
        let code = unsafe {
            let function: unsafe extern "C" fn(*mut c_void, *mut SpankOption) -> c_int =
                core::mem::transmute(function.as_ptr());
            function(self.0.as_ptr(), option)
        };
        if code == SUCCESS { Ok(()) } else { Err(format!("spank_option_register: error {code}")) }
    }

    /// A variable of the step; none: it has none of this name, or one that no program can be started with. Anybody sets
    /// variables: none of them is an error.
    ///
    /// # Errors
    /// Slurm offers no such function.
    pub fn variable(self, variable: &CStr) -> Result<Option<Vec<u8>>, String> {
        let name = c"spank_getenv";
        let function = find(name).ok_or_else(|| lacks(name))?;
        let mut value = vec![0_u8; LONGEST];
        // SAFETY: `spank_err_t spank_getenv (spank_t, const char *, char *, int)` writes at most as many bytes as it is
        // told, and the buffer has them.
        let code = unsafe {
            let function: unsafe extern "C" fn(*mut c_void, *const c_char, *mut c_char, c_int) -> c_int =
                core::mem::transmute(function.as_ptr());
            function(self.0.as_ptr(), variable.as_ptr(), value.as_mut_ptr().cast(), LONGEST as c_int - 1)
        };
        let text = CStr::from_bytes_until_nul(&value).ok().filter(|_| code == SUCCESS);
        Ok(text.map(|text| text.to_bytes().to_vec()))
    }

    /// Sets a variable of the step.
    ///
    /// # Errors
    /// Slurm's number for what went wrong.
    pub fn set(self, variable: &CStr, value: &[u8]) -> Result<(), String> {
        let name = c"spank_setenv";
        let function = find(name).ok_or_else(|| lacks(name))?;
        let value = CString::new(value).map_err(|_| "a value with a zero byte".to_owned())?;
        // SAFETY: `spank_err_t spank_setenv (spank_t, const char *, const char *, int)` copies both strings.
        let code = unsafe {
            let function: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, c_int) -> c_int =
                core::mem::transmute(function.as_ptr());
            function(self.0.as_ptr(), variable.as_ptr(), value.as_ptr(), 1)
        };
        let shown = variable.to_string_lossy();
        if code == SUCCESS {
            Ok(())
        } else {
            Err(format!("the step's variable {shown} cannot be set: error {code}"))
        }
    }

    /// Takes a variable of the step away.
    pub fn unset(self, variable: &CStr) {
        let Some(function) = find(c"spank_unsetenv") else { return };
        // SAFETY: `spank_err_t spank_unsetenv (spank_t, const char *)` reads the name.
        unsafe {
            let function: unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int =
                core::mem::transmute(function.as_ptr());
            function(self.0.as_ptr(), variable.as_ptr());
        }
    }

    fn number(self, item: c_int) -> Option<u32> {
        let function = find(c"spank_get_item")?;
        let mut found = 0_u32;
        // SAFETY: `spank_err_t spank_get_item (spank_t, spank_item_t, ...)`: for these items the one argument is a
        // `uint32_t *`, which is written.
        let code = unsafe {
            let function: unsafe extern "C" fn(*mut c_void, c_int, ...) -> c_int =
                core::mem::transmute(function.as_ptr());
            function(self.0.as_ptr(), item, &raw mut found)
        };
        (code == SUCCESS).then_some(found)
    }

    /// The job's number.
    pub fn job(self) -> Option<u32> {
        self.number(S_JOB_ID).filter(|job| *job != 0)
    }

    /// The step, as `sacct` names it; none: Slurm's own, in which the job runs nothing.
    pub fn step(self) -> Option<String> {
        match self.number(S_JOB_STEPID)? {
            BATCH => Some("batch".to_owned()),
            INTERACTIVE => Some("interactive".to_owned()),
            number if number < INTERACTIVE => Some(number.to_string()),
            _ => None,
        }
    }
}
