//! Programs of the package that ask each other.
use anyhow::Result;
use nvshare_protocol::check::{Checks, State};
use nvshare_tests::world::built;
use std::process::Command;

/// OPERATOR: each program judged its own part of the file.
#[test]
fn the_doctor_and_the_scheduler_judge_the_whole_file_alike() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("config.toml");
    for (text, faults) in [
        ("[scheduler]\nquantum = 7\n[runtime]\non_error = \"fail\"\n", 0),
        ("[scheduler]\nquantum = \"soon\"\n[runtime]\non_error = \"fial\"\n", 2),
        ("[sockets]\ncontrol_group = \"no-such-group-here\"\n", 1),
    ] {
        std::fs::write(&file, text)?;
        let mut check = Command::new(built()?.join("nvshare-scheduler"));
        let check = check.args(["--check", "--json", "--config"]).arg(&file).output()?;
        let mut doctor = Command::new(built()?.join("nvshare-ctk"));
        let doctor = doctor.args(["doctor", "--json"]).env("NVSHARE_CONFIG_FILE", &file).output()?;
        assert_eq!(check.status.code(), Some(if faults == 0 { 0 } else { 2 }));
        let told = |output: &[u8]| -> Result<Vec<String>> {
            let checks: Checks = serde_json::from_slice(output)?;
            let wrong = checks.checks.into_iter().filter(|check| check.state == State::Error);
            let of_file = wrong.filter(|check| check.text.contains("config.toml"));
            let mut texts: Vec<String> = of_file.map(|check| check.text).collect();
            texts.sort();
            Ok(texts)
        };
        let (by_scheduler, by_doctor) = (told(&check.stdout)?, told(&doctor.stdout)?);
        assert_eq!((by_scheduler.len(), &by_scheduler), (faults, &by_doctor), "{text}");
    }
    Ok(())
}
