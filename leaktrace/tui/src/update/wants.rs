//! What the screen lacks: symbols of call sites, names of peers. Each is requested once.

use crate::app::App;
use crate::app::mode::Panel;
use crate::app::msg::Effect;
use crate::layout::areas;
use crate::rows::names::Naming;
use crate::rows::row_key::RowKey;
use crate::rows::table::AnyTable;
use leaktrace_model::Callsite;
use std::net::IpAddr;

/// Most call sites that are remembered as requested.
const MOST_ASKED: usize = 65_536;

/// The next request; call again until there is none.
pub fn wants(app: &mut App) -> Option<Effect> {
    symbols(app).or_else(|| names(app))
}

/// Rows on the screen, as indices into the table.
fn visible(app: &App) -> impl Iterator<Item = usize> {
    let rows = usize::from(areas(app).body.height);
    app.rows.iter().skip(app.list().offset).take(rows).map(|at| *at as usize)
}

fn symbols(app: &mut App) -> Option<Effect> {
    let data = app.data.clone()?;
    let mut sites: Vec<u64> = match app.table()? {
        AnyTable::Callsites(table) if table.extras.is_none() => {
            visible(app).filter_map(|at| table.items.get(at)).map(|site| site.id).collect()
        }
        AnyTable::Sockets(table) => {
            visible(app).filter_map(|at| table.items.get(at)).filter_map(|socket| socket.callsite).collect()
        }
        _ => Vec::new(),
    };
    if let (Some(RowKey::Callsite(id)), true) = (&app.list().selected, app.panel != Panel::Closed) {
        sites.push(*id);
    }
    sites.sort_unstable();
    sites.dedup();
    sites.retain(|id| !app.asked.contains(id) && is_unresolved(data.lens().callsite(*id)));
    if sites.is_empty() {
        return None;
    }
    if app.asked.len() > MOST_ASKED {
        app.asked.clear();
    }
    app.asked.extend(&sites);
    Some(Effect::ResolveSymbols { callsites: sites })
}

fn is_unresolved(site: Option<&Callsite>) -> bool {
    site.is_some_and(|site| site.stack.iter().any(|frame| frame.symbol.is_none()))
}

fn names(app: &mut App) -> Option<Effect> {
    if app.names.naming == Naming::Off {
        return None;
    }
    let mut addresses: Vec<IpAddr> = match app.table()? {
        AnyTable::Peers(table) => visible(app).filter_map(|at| table.items.get(at)).map(|g| g.key.ip()).collect(),
        AnyTable::Sockets(table) => {
            visible(app).filter_map(|at| table.items.get(at)).map(|s| s.observed.remote.ip()).collect()
        }
        AnyTable::Callsites(table) => {
            let sites = visible(app).filter_map(|at| table.items.get(at));
            sites.flat_map(|site| site.peers.iter().take(3)).map(|peer| peer.peer.ip()).collect()
        }
        AnyTable::Processes(_) => Vec::new(),
    };
    addresses.retain(|address| app.names.ask(*address));
    (!addresses.is_empty()).then_some(Effect::ReverseLookup { addresses })
}
