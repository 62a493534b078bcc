//! The card that the demonstration runs on, and its clock.

const GIB: u64 = 1 << 30;
/// Simulated bytes for each real one: 12 GiB lie in 24 MiB.
const BYTE_SCALE: u64 = 512;
/// Simulated seconds for each real one.
const TIME_SCALE: f64 = 25.0;

#[derive(Debug, Clone, Copy)]
pub struct Card {
    simulated: bool,
    /// Seconds of the card's own time.
    pub quantum: f64,
    pub length: f64,
}

impl Card {
    /// The real GPU with `NVSHARE_TEST_GPU=1`, else the report's.
    #[must_use]
    pub fn at_hand() -> Self {
        if crate::world::real_gpu() {
            Self { simulated: false, quantum: 2.0, length: 20.0 }
        } else {
            Self::simulated()
        }
    }

    /// The report's card.
    #[must_use]
    pub fn simulated() -> Self {
        Self { simulated: true, quantum: 30.0, length: 450.0 }
    }

    pub fn describe(&self) -> String {
        let Self { quantum, length, .. } = self;
        if self.simulated {
            format!(
                "SIMULATED GPU with the report's figures: 16 GiB, 16 GB/s each way, 15 us per fault of 4 KiB.\n\
                 Two tenants of 12 GiB, turns of {quantum} s, {length} s in all; one real second is {TIME_SCALE} simulated ones."
            )
        } else {
            format!(
                "The real GPU. Two tenants of 12 GiB, turns of {quantum} s, {length} s in all; each moves out whole."
            )
        }
    }

    pub fn settings(&self) -> Vec<(&'static str, &'static str)> {
        if self.simulated {
            vec![
                ("FAKECUDA_CARD", "report"),
                ("FAKECUDA_BYTE_SCALE", "512"),
                ("FAKECUDA_TIME_SCALE", "25"),
                ("FAKECUDA_COMPUTE_GBPS", "13"),
            ]
        } else {
            Vec::new()
        }
    }

    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    /// Real bytes as the card's GiB.
    pub fn gib(&self, bytes: u64) -> f64 {
        (bytes * if self.simulated { BYTE_SCALE } else { 1 }) as f64 / GIB as f64
    }

    /// What one tenant really allocates.
    pub fn tenant_bytes(&self) -> u64 {
        12 * GIB / if self.simulated { BYTE_SCALE } else { 1 }
    }

    /// The card's seconds as seconds on the wall.
    pub fn wall(&self, seconds: f64) -> f64 {
        if self.simulated { seconds / TIME_SCALE } else { seconds }
    }

    /// Seconds on the wall as the card's.
    pub fn card_seconds(&self, wall: f64) -> f64 {
        if self.simulated { wall * TIME_SCALE } else { wall }
    }
}
