//! /etc/nvshare/config.toml, by both kinds of programs.
use nvshare_runtime_hook::settings as runtime_settings;
use nvshare_scheduler::settings;

/// Promises: what is wrong is told, and settings in force read back as they were printed.
pub fn scheduler(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match settings::load(text, "config.toml", &[]) {
        Ok(settings) => {
            let again = settings::load(&settings.print(), "printed", &[]);
            assert_eq!(again.expect("what we print is allowed"), settings);
        }
        Err(wrong) => assert!(!wrong.0.is_empty() && wrong.0.iter().all(|line| !line.is_empty())),
    }
}

/// Promises: there is a runtime to start, whatever the file says; and who checks the file judges our section as we do.
pub fn runtime(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let loaded = runtime_settings::parse(text);
    assert!(!loaded.settings.low_level_runtimes.is_empty());
    let judged = settings::runtime_faults(text, "config.toml");
    match &loaded.error {
        Some(error) => assert!(!error.is_empty()),
        None => assert_eq!(judged, [""; 0], "what the container programs read is right"),
    }
    // Text that is no TOML is told as that by `settings::load`.
    if settings::load(text, "config.toml", &[]).is_ok() {
        assert_eq!(judged.is_empty(), loaded.error.is_none(), "{judged:?} {loaded:?}");
    }
}
