//! The page of the settings file.
use crate::manual::{MANUAL, see_also, source};
use crate::text::inlines;
use crate::{contact, sample};
use anyhow::Result;
use clap_mangen::roff::{Roff, bold, italic, roman};

const NAME: &str = "nvshare-config.toml";

/// The page as roff.
pub fn page(date: &str) -> Result<Vec<u8>> {
    let mut roff = Roff::new();
    let source = source();
    roff.control("TH", [NAME, "5", date, source.as_str(), MANUAL]);
    roff.control("SH", ["NAME"]).text([roman(format!("{NAME} - settings of nvshare"))]);
    roff.control("SH", ["SYNOPSIS"]).text([italic("/etc/nvshare/config.toml")]);
    roff.control("SH", ["DESCRIPTION"]).text(inlines(
        "One file of TOML for the scheduler and for the programs that container engines start. A setting that \
         is left out has its default. The scheduler reads it when it starts, and again at `systemctl reload \
         nvshare-scheduler`, whose answer names what needs a restart. The others read it at the start of each \
         container. `nvshare-scheduler --check` and `nvshare-ctk doctor` say what is wrong with the file.",
    ));
    let mut section = "";
    for setting in sample::settings() {
        if setting.section != section {
            section = setting.section;
            roff.control("SH", [format!("SECTION [{section}]").as_str()]);
        }
        roff.control("TP", []).text([bold(setting.key)]);
        roff.text(inlines(setting.about.trim_end()));
        roff.control("RS", []);
        roff.control("PP", []).text(inlines(&format!("Allowed: {}.", setting.allowed)));
        roff.control("br", []).text([roman("Default: "), bold(setting.default)]);
        roff.control("RE", []);
    }
    roff.control("SH", ["SECTION [gpu.\\(dqUUID\\(dq]"]);
    roff.text(inlines("For one GPU or MIG instance, named as `nvidia-smi -L` shows it."));
    roff.control("TP", []).text([bold("quantum")]);
    roff.text(inlines("How long a turn lasts there, instead of `quantum` in section [scheduler]."));
    roff.control("RS", []);
    roff.control("PP", [])
        .text(inlines(&format!("Allowed: {}.", nvshare_scheduler::settings::table::QUANTUM)));
    roff.control("RE", []);
    roff.control("TP", []).text([bold("memory")]);
    roff.text(inlines(
        "What it has, instead of what NVML tells (`nvml` in section [memory]). Where one GPU is known by either, tenants \
         are refused those that are known by neither; where none is, tenants are believed.",
    ));
    roff.control("RS", []);
    roff.control("PP", []).text(inlines(&format!("Allowed: {}.", nvshare_scheduler::settings::GPU_MEMORY)));
    roff.control("RE", []);
    let mut page = Vec::new();
    roff.to_writer(&mut page)?;
    for more in [contact::section(), see_also(NAME)] {
        page.extend_from_slice(more.to_roff().as_bytes());
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_paragraph() {
        let page = String::from_utf8(page("2026-01-31").unwrap()).unwrap();
        for setting in sample::settings() {
            assert!(page.contains(&format!(".TP\n\\fB{}\\fR\n", setting.key)), "{}", setting.key);
        }
        assert!(page.contains("\n.SH \"SECTION [gpu.\\(dqUUID\\(dq]\"\n"), "{page}");
        assert!(page.contains("\\fBnvsharectl on\\fR and \\fBoff\\fR"), "{page}");
    }
}
