//! What plain allocations of this process are made of.
use crate::driver::device::Device;
use crate::memory::migrate::swap_space::SwapSpace;
use crate::settings::EngineChoice;
use crate::sys::log;
use std::sync::{Arc, OnceLock};

/// What plain allocations are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Managed memory: moved by prefetches, and by page faults where those did not suffice.
    Managed,
    /// Pieces of physical memory at fixed addresses, moved by copies.
    Swap,
    /// The driver's own plain memory, which stays.
    Plain,
}

impl Engine {
    /// Its name in the settings and to the scheduler.
    pub fn name(self) -> &'static str {
        match self {
            Self::Managed => "managed",
            Self::Swap => "swap",
            Self::Plain => "plain",
        }
    }
}

/// The engine of this process: decided at its first allocation, and the same from then on.
#[derive(Debug)]
pub struct EngineSelection {
    choice: EngineChoice,
    decided: OnceLock<Engine>,
    swap: Arc<SwapSpace>,
}

impl EngineSelection {
    pub fn new(choice: EngineChoice, swap: Arc<SwapSpace>) -> Self {
        Self { choice, decided: OnceLock::new(), swap }
    }

    /// The engine, which is decided by the first device that asks.
    pub fn on(&self, device: &Device) -> Engine {
        *self.decided.get_or_init(|| {
            let engine = self.fitting(device.pieces, device.movable);
            log::info!("the engine of this process is {}", engine.name());
            engine
        })
    }

    fn fitting(&self, pieces_work: bool, managed_works: bool) -> Engine {
        match self.choice {
            EngineChoice::Plain => Engine::Plain,
            // Without swap space nothing could ever leave.
            EngineChoice::Swap if pieces_work && self.swap.offered() != Some(false) => Engine::Swap,
            EngineChoice::Auto if pieces_work && self.swap.offered() == Some(true) => Engine::Swap,
            _ if managed_works => Engine::Managed,
            _ => Engine::Plain,
        }
    }

    /// Its number to the scheduler, once it is decided.
    pub fn number(&self) -> Option<u32> {
        self.decided.get().map(|engine| match engine {
            Engine::Swap => 0,
            Engine::Managed => 1,
            Engine::Plain => 2,
        })
    }

    /// The engine's name as far as it is decided, else the setting's.
    pub fn name(&self) -> &'static str {
        self.decided.get().map_or(self.choice.name(), |engine| engine.name())
    }

    /// Whether it is decided that plain allocations have no use for swap space.
    pub fn is_without_swap(&self) -> bool {
        matches!(self.decided.get(), Some(Engine::Managed | Engine::Plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_the_best_that_works_and_is_allowed() {
        let engine =
            |choice, pieces, managed| EngineSelection::new(choice, Arc::default()).fitting(pieces, managed);
        assert_eq!(engine(EngineChoice::Plain, true, true), Engine::Plain);
        assert_eq!(engine(EngineChoice::Swap, true, true), Engine::Swap, "as long as nobody has refused");
        assert_eq!(engine(EngineChoice::Swap, false, true), Engine::Managed);
        assert_eq!(engine(EngineChoice::Auto, true, true), Engine::Managed, "nobody has offered swap space");
        assert_eq!(engine(EngineChoice::Managed, true, false), Engine::Plain);
    }
}
