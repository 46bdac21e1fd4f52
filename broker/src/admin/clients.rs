//! What clients have pushed of their own metrics (KIP-714).

use super::gather::{Family, Value};
use crate::api::Broker;
use crate::metrics::table;
use crate::telemetry::series::Series;
use millrace_wire::uuid;
use std::time::Instant;

pub fn clients(families: &mut Vec<Family>, broker: &Broker) {
    let shown = broker.telemetry.shown(Instant::now());
    let (counters, gauges): (Vec<Series>, Vec<Series>) = shown
        .series
        .into_iter()
        .partition(|series| series.is_counter);
    let series = |series: Series| {
        let labels = vec![
            series.metric,
            series.client_id,
            uuid::to_text(series.instance),
            series.attributes,
        ];
        (labels, Value::Real(series.value))
    };
    let instances = Value::Whole(shown.instances as u64);
    families.extend([
        Family::new(&table::CLIENT_INSTANCES, [(Vec::new(), instances)]),
        Family::new(&table::CLIENT_GAUGES, gauges.into_iter().map(series)),
        Family::new(&table::CLIENT_COUNTERS, counters.into_iter().map(series)),
        Family::new(
            &table::CLIENT_SERIES_DROPPED,
            [(Vec::new(), Value::Whole(shown.dropped))],
        ),
    ]);
}
