//! The plugin's file. Slurm loads none that was made for another version; one build serves all, because the version is
//! four bytes of data.

use anyhow::{Context, Result, bail, ensure};
use object::{File, Object, ObjectSection, ObjectSymbol};
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where the version stands.
const SYMBOL: &str = "plugin_version";
/// What stands there as it is built (`slurm/src/entry.rs`).
const NONE: u32 = 0x00ff_ffff;
/// The longest file, in bytes.
const LONGEST: u64 = 64 << 20;

/// A version of Slurm: `22.05.8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    major: u8,
    minor: u8,
    micro: u8,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}.{:02}.{}", self.major, self.minor, self.micro)
    }
}

impl Version {
    /// Reads `22.05.8`, also behind a name (`slurm-wlm 22.05.8`) and before a word (`24.11.5-1`).
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.split_whitespace().last()?;
        let mut parts = word.split(['.', '-']).map(|part| part.parse::<u8>());
        let (major, minor) = (parts.next()?.ok()?, parts.next()?.ok()?);
        let micro = parts.next().and_then(Result::ok).unwrap_or(0);
        Some(Self { major, minor, micro })
    }

    /// Of the Slurm of this machine.
    ///
    /// # Errors
    /// There is none, or it says something else.
    pub fn installed() -> Result<Self> {
        // srun wants a configuration before it says its version; a host that only submits has no slurmd.
        let ways: [&[&str]; 3] = [&["slurmd", "-V"], &["srun", "--version"], &["scontrol", "--version"]];
        let said = ways.iter().find_map(|way| {
            let output = Command::new(way[0]).args(&way[1..]).stdin(Stdio::null()).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        });
        let said = said.context(
            "neither `slurmd -V` nor `srun --version` says which Slurm this is: install it, or say it by --slurm-version",
        )?;
        Self::parse(&said).with_context(|| format!("{:?} is no version of Slurm", said.trim()))
    }

    /// Whether Slurm of this version loads a plugin that was made for the other: the micro version may differ.
    pub fn loads(self, other: Self) -> bool {
        (self.major, self.minor) == (other.major, other.minor)
    }

    fn number(self) -> u32 {
        u32::from_be_bytes([0, self.major, self.minor, self.micro])
    }

    fn of_number(number: u32) -> Self {
        let [_, major, minor, micro] = number.to_be_bytes();
        Self { major, minor, micro }
    }
}

/// The plugin's bytes, for this version.
///
/// # Errors
/// The file cannot be read, or is not the plugin as it was built.
pub fn made_for(template: &Path, version: Version) -> Result<Vec<u8>> {
    let shown = template.display();
    let mut bytes = read(template).with_context(|| format!("{shown}: install the package nvshare-slurm"))?;
    let at = place(&bytes).with_context(|| shown.to_string())?;
    let found = u32::from_le_bytes(bytes[at..at + 4].try_into()?);
    ensure!(found == NONE, "{shown} has the number of a version already: it is not the package's file");
    bytes[at..at + 4].copy_from_slice(&version.number().to_le_bytes());
    Ok(bytes)
}

/// The version that a plugin was made for.
///
/// # Errors
/// It cannot be read, or is no plugin of ours.
pub fn version_of(plugin: &Path) -> Result<Version> {
    let shown = plugin.display();
    let bytes = read(plugin).with_context(|| shown.to_string())?;
    let at = place(&bytes).with_context(|| shown.to_string())?;
    Ok(Version::of_number(u32::from_le_bytes(bytes[at..at + 4].try_into()?)))
}

/// Whether this is a plugin of ours.
pub fn is_ours(plugin: &Path) -> bool {
    version_of(plugin).is_ok()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Where in the file the version stands.
fn place(bytes: &[u8]) -> Result<usize> {
    let file = File::parse(bytes).context("no ELF file")?;
    // The name beside it: another project's plugin has a version too.
    let data = |name: &str| {
        let symbol = file.dynamic_symbols().find(|symbol| symbol.name() == Ok(name))?;
        let section = file.section_by_index(symbol.section_index()?).ok()?;
        let (start, size) = section.file_range()?;
        let at = start + symbol.address().checked_sub(section.address())?;
        (at + symbol.size() <= start + size).then_some((usize::try_from(at).ok()?, symbol.size() as usize))
    };
    let text = |name: &str| data(name).and_then(|(at, size)| bytes.get(at..at + size));
    if text("plugin_name") != Some(b"nvshare\0") || text("plugin_type") != Some(b"spank\0") {
        bail!("it is not nvshare's plugin for Slurm");
    }
    match data(SYMBOL) {
        Some((at, 4)) if at + 4 <= bytes.len() => Ok(at),
        _ => bail!("the plugin has no {SYMBOL}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slurm_says_its_version_in_several_ways() {
        for (said, expected) in [
            ("slurm-wlm 22.05.8\n", Some("22.05.8")),
            ("slurm 24.11.5", Some("24.11.5")),
            ("slurm 25.05.0-0rc1", Some("25.05.0")),
            ("23.02", Some("23.02.0")),
            ("slurm", None),
            ("", None),
            ("slurm 300.1.1", None),
        ] {
            let version = Version::parse(said).map(|version| version.to_string());
            assert_eq!(version.as_deref(), expected, "{said}");
        }
        let version = Version::parse("22.05.8").unwrap();
        assert_eq!((version.number(), Version::of_number(0x16_05_08)), (0x16_05_08, version));
        assert!(version.loads(Version::parse("22.05.11").unwrap()));
        assert!(!version.loads(Version::parse("23.02.8").unwrap()));
        assert!(!version.loads(Version::of_number(NONE)));
    }

    #[test]
    fn what_is_no_plugin_of_ours_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.so");
        for bytes in [&b""[..], b"\x7fELF", &[0; 4096]] {
            std::fs::write(&path, bytes).unwrap();
            assert!(version_of(&path).is_err() && !is_ours(&path));
            assert!(made_for(&path, Version::of_number(0)).is_err());
        }
        let other = version_of(Path::new("/bin/sh")).unwrap_err();
        assert!(format!("{other:#}").contains("not nvshare's plugin"), "{other:#}");
    }
}
