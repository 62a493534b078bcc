//! Names and addresses: how the application's calls reach us, and ours the C library.
//!
//! [`entry`] (what we interpose), [`exports`] (the C functions under NVIDIA's names), [`dlsym`] and [`dlopen`] (who looks
//! names up), [`glibc`] (the C library's own functions), [`elf`] (how they are found), `threads` (those that a program may be
//! without), [`namespaces`] (a driver that is out of our reach). `entry`, `glibc`, `elf` and `threads` know nothing else of
//! this library; the others stand above all of it.
pub mod dlopen;
pub mod dlsym;
pub mod elf;
pub mod entry;
pub mod exports;
pub mod glibc;
pub mod namespaces;
#[cfg(not(miri))]
pub mod threads;
