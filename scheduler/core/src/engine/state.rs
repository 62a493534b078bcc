//! What the engine works on: the model, and what it wants done.
use crate::event::Action;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::settings::Settings;
use crate::model::span::SpanLog;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub model: Model,
    /// The tenants that are to move everything out once the next turn has begun.
    pub deferred_evictions: BTreeSet<TenantId>,
    pub spans: SpanLog,
    /// What is to be done about the present event, in this order.
    pub actions: Vec<Action>,
}

impl Engine {
    pub fn new(settings: Settings) -> Self {
        Self {
            deferred_evictions: BTreeSet::new(),
            spans: SpanLog::new(settings.record),
            actions: Vec::new(),
            model: Model::new(settings),
        }
    }
}
