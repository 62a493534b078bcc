//! What a tenant has reported, for operators.
use nvshare_protocol::DeviceId;
use std::collections::VecDeque;

/// How many are shown at most: the latest.
const SHOWN: usize = 8;
/// How many go into the log, so that a tenant cannot fill it.
const LOGGED: u8 = 16;

#[derive(Debug, Default)]
pub struct Reports {
    shown: VecDeque<String>,
    logged: u8,
}

/// What a report is about: one about the same replaces it.
fn subject(report: &str) -> &str {
    report.split_once(": ").map_or(report, |(subject, _)| subject)
}

impl Reports {
    /// Takes a report; whether it is news for the log.
    pub fn add(&mut self, report: String) -> bool {
        if self.shown.contains(&report) {
            return false;
        }
        self.shown.retain(|known| subject(known) != subject(&report));
        self.shown.push_back(report);
        if self.shown.len() > SHOWN {
            self.shown.pop_front();
        }
        let news = self.logged < LOGGED;
        self.logged += u8::from(news);
        news
    }

    /// Nothing of the tenant stays on a device any more.
    pub fn nothing_stays(&mut self, device: DeviceId) {
        let over = format!("stays on {device}");
        self.shown.retain(|known| subject(known) != over);
    }

    pub fn shown(&self) -> Vec<String> {
        self.shown.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: DeviceId = DeviceId([1; 16]);

    #[test]
    fn a_report_replaces_the_one_about_the_same_and_no_other() {
        let mut reports = Reports::default();
        assert!(reports.add("the program uses CUDA around libnvshare.so: (1 times)".into()));
        assert!(reports.add(format!("stays on {GPU}: arrays: 5 bytes")));
        assert!(reports.add(format!("stays on {GPU}: arrays: 6 bytes")));
        assert!(!reports.add(format!("stays on {GPU}: arrays: 6 bytes")), "it was said");
        assert_eq!(reports.shown().len(), 2);
        assert!(reports.shown()[1].ends_with("6 bytes"));
        reports.nothing_stays(GPU);
        assert_eq!(reports.shown(), ["the program uses CUDA around libnvshare.so: (1 times)"]);
    }

    #[test]
    fn a_tenant_cannot_fill_the_log_nor_the_status() {
        let mut reports = Reports::default();
        let news = (0..100).filter(|n| reports.add(format!("report {n}"))).count();
        assert_eq!((news, reports.shown().len()), (usize::from(LOGGED), SHOWN));
        assert_eq!(reports.shown().last().map(String::as_str), Some("report 99"));
    }
}
