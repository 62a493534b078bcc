//! Planned failures: `FAKECUDA_FAIL=cuMemPrefetchAsync:3:2,...` makes this process's third call return error 2.
use crate::settings::settings;
use nvshare_abi::CUresult;
use std::collections::HashMap;
use std::sync::Mutex;

/// One failure that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub symbol: String,
    /// Which call, from 1; 0 is every call.
    pub nth: u64,
    pub code: u32,
}

/// Reads `symbol:nth:code,...`.
pub fn parse(text: &str) -> Option<Vec<Plan>> {
    text.split(',')
        .filter(|part| !part.trim().is_empty())
        .map(|part| {
            let mut words = part.trim().split(':');
            let plan = Plan {
                symbol: words.next()?.to_owned(),
                nth: words.next()?.parse().ok()?,
                code: words.next()?.parse().ok()?,
            };
            words.next().is_none().then_some(plan)
        })
        .collect()
}

/// Counts this call; the error that it is planned to return, if any.
pub fn planned(symbol: &'static str) -> Result<(), CUresult> {
    static CALLS: Mutex<Option<HashMap<&'static str, u64>>> = Mutex::new(None);
    let plans = &settings().fail;
    if plans.is_empty() {
        return Ok(());
    }
    // A plan for `cuMemPrefetchAsync` also means its twins, as a caller sees one function.
    let Some(plan) = plans.iter().find(|p| symbol == p.symbol || base(symbol) == p.symbol) else {
        return Ok(());
    };
    let mut calls = CALLS.lock().unwrap_or_else(|e| e.into_inner());
    let key = if symbol == plan.symbol { symbol } else { base(symbol) };
    let count = calls.get_or_insert_default().entry(key).or_default();
    *count += 1;
    let due = plans.iter().find(|p| p.symbol == plan.symbol && (p.nth == 0 || p.nth == *count));
    due.map_or(Ok(()), |p| Err(CUresult(p.code)))
}

fn base(symbol: &'static str) -> &'static str {
    let symbol = symbol.strip_suffix("_ptsz").or(symbol.strip_suffix("_ptds")).unwrap_or(symbol);
    symbol.strip_suffix("_v2").unwrap_or(symbol)
}
