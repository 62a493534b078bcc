//! Who maintains the project, and where faults go: once, for packages, pages and documents.
use crate::text::inlines;
use clap_mangen::roff::Roff;

/// `NAME <ADDRESS>`, as packages must have one. The address is the project's own and reaches nobody: no domain is the project's,
/// and RFC 2606 keeps `.invalid` from ever being somebody else's. `dist.sh` puts `NVSHARE_MAINTAINER` for it.
pub const MAINTAINER: &str = include_str!("../maintainer.txt");

/// The way that works.
pub const REPORT: &str = "Faults: an issue of the code repository, with the report that `nvshare-ctk doctor --report \
report.tar.gz` writes; it prints what is in it. Vulnerabilities: its private vulnerability reporting, not a public issue.";

/// The section of a page.
pub fn section() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["REPORTING BUGS"]).text(inlines(REPORT));
    roff.control("SH", ["AUTHORS"]).text(inlines(MAINTAINER.trim_end()));
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_named_elsewhere_is_this_one() {
        let (_, address) = MAINTAINER.trim_end().split_once(" <").unwrap();
        assert!(address.ends_with(">") && address.contains('@'), "{MAINTAINER}");
        let dist = include_str!("../dist.sh");
        assert!(dist.contains("$(cat packaging/maintainer.txt)"), "dist.sh has another maintainer");
        // Where people are told where to go, no other address is.
        for (name, text) in [
            ("SECURITY.md", include_str!("../../SECURITY.md")),
            ("deb/copyright", include_str!("../deb/copyright")),
            ("faq.md", include_str!("../../docs/guide/faq.md")),
        ] {
            let words: Vec<&str> = text.split_whitespace().collect();
            assert!(
                words.join(" ").contains("private vulnerability"),
                "{name} does not say where vulnerabilities go"
            );
            let mail = words.into_iter().find(|word| word.contains('@'));
            assert!(mail.is_none_or(|mail| MAINTAINER.contains(mail)), "{name}: {mail:?}");
        }
    }
}
