//! Each event goes to its handler, as the table in [`crate::event`] says.
use crate::engine::state::Engine;
use crate::engine::{
    membership, migration, operator, refusals, replies, reports, requests, rounds, schedule, throttle,
};
use crate::event::{Event, event_table};

/// What the handler works on.
macro_rules! target {
    ($engine:ident engine) => {
        $engine
    };
    ($engine:ident model) => {
        &mut $engine.model
    };
}

macro_rules! define_dispatch {
    ($(
        $(#[$doc:meta])*
        $word:literal $name:ident $({ $($field:ident: $type:ty),* $(,)? })? => $module:ident::$handler:ident($on:ident);
    )*) => {
        pub(crate) fn dispatch(engine: &mut Engine, event: Event) {
            match event {
                $(Event::$name { $($($field),*)? } => {
                    $module::$handler(target!(engine $on) $($(, $field)*)?);
                })*
            }
        }
    };
}
event_table!(define_dispatch);
