//! Metrics as text, in the format of OpenMetrics.

use super::gather::{Family, Series, Value};
use crate::metrics::table::Kind;
use crate::metrics::{BOUNDS_US, Times};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt::Error;

const US_PER_SECOND: f64 = 1e6;

pub fn write(families: Vec<Family>) -> Result<String, Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(families)));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

#[derive(Debug)]
struct Page(Vec<Family>);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        for Family { metric, series } in &self.0 {
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for Series { labels, value } in series {
                debug_assert_eq!(labels.len(), metric.labels.len(), "{}", metric.name);
                match labels.is_empty() {
                    true => one(&mut family, metric.kind, value)?,
                    false => {
                        let names = metric.labels.iter().copied();
                        let pairs: Vec<(&str, &str)> =
                            names.zip(labels.iter().map(String::as_str)).collect();
                        one(&mut family.encode_family(&pairs)?, metric.kind, value)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn one(encoder: &mut MetricEncoder, kind: Kind, value: &Value) -> Result<(), Error> {
    match (kind, value) {
        (Kind::Counter, Value::Whole(value)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(value, None)
        }
        (Kind::Counter, Value::Real(value)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(value, None)
        }
        (Kind::Gauge, Value::Whole(value)) => encoder.encode_gauge(value),
        (Kind::Gauge, Value::Real(value)) => encoder.encode_gauge(value),
        (Kind::Histogram, Value::Times(times)) => histogram(encoder, times),
        // A value that is not of its metric's kind: a fault of ours that every test of the page finds.
        (Kind::Counter | Kind::Gauge, Value::Times(_))
        | (Kind::Histogram, Value::Whole(_) | Value::Real(_)) => Err(Error),
    }
}

fn histogram(encoder: &mut MetricEncoder, times: &Times) -> Result<(), Error> {
    let bounds = BOUNDS_US.iter().map(|bound| *bound as f64 / US_PER_SECOND);
    let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(times.counts).collect();
    let sum = times.sum_us as f64 / US_PER_SECOND;
    encoder.encode_histogram::<NoLabelSet>(sum, times.count(), &buckets, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Histogram;
    use crate::metrics::table::{LOG_SYNC_DURATION, READY, REQUESTS};
    use expect_test::expect;
    use std::time::Duration;

    #[test]
    fn the_format_is_that_of_openmetrics() {
        let times = Histogram::default();
        times.record(Duration::from_millis(2));
        times.record(Duration::from_secs(60));
        let labels = |label: &str| vec![label.to_owned()];
        let families = vec![
            Family::new(&READY, [(vec![], Value::Whole(1))]),
            Family::new(
                &REQUESTS,
                [
                    (labels("a \"b\"\n"), Value::Whole(7)),
                    (labels("c"), Value::Whole(0)),
                ],
            ),
            Family::new(
                &LOG_SYNC_DURATION,
                [(labels("d"), Value::Times(Box::new(times.read())))],
            ),
        ];
        let page = write(families).expect("a page can be written");
        expect![[r##"
            # HELP millrace_ready 1 while clients are served, 0 while the broker starts or stops (as /readyz says it).
            # TYPE millrace_ready gauge
            millrace_ready 1
            # HELP millrace_requests Requests that were served, with an answer or without.
            # TYPE millrace_requests counter
            millrace_requests_total{api="a \"b\"\n"} 7
            millrace_requests_total{api="c"} 0
            # HELP millrace_log_sync_duration_seconds Syncs of the shared log: each makes one group of appends durable.
            # TYPE millrace_log_sync_duration_seconds histogram
            millrace_log_sync_duration_seconds_sum{directory="d"} 60.002
            millrace_log_sync_duration_seconds_count{directory="d"} 2
            millrace_log_sync_duration_seconds_bucket{le="0.0001",directory="d"} 0
            millrace_log_sync_duration_seconds_bucket{le="0.00025",directory="d"} 0
            millrace_log_sync_duration_seconds_bucket{le="0.0005",directory="d"} 0
            millrace_log_sync_duration_seconds_bucket{le="0.001",directory="d"} 0
            millrace_log_sync_duration_seconds_bucket{le="0.0025",directory="d"} 1
            millrace_log_sync_duration_seconds_bucket{le="0.005",directory="d"} 1
            millrace_log_sync_duration_seconds_bucket{le="0.01",directory="d"} 1
            millrace_log_sync_duration_seconds_bucket{le="0.025",directory="d"} 1
            millrace_log_sync_duration_seconds_bucket{le="0.05",directory="d"} 1
            millrace_log_sync_duration_seconds_bucket{le="0.1",directory="d"} 1
            millrace_log_sync_duration_seconds_bucket{le="0.25",directory="d"} 1
            millrace_log_sync_duration_seconds_bucket{le="0.5",directory="d"} 1
            millrace_log_sync_duration_seconds_bucket{le="1.0",directory="d"} 1
            millrace_log_sync_duration_seconds_bucket{le="2.5",directory="d"} 1
            millrace_log_sync_duration_seconds_bucket{le="5.0",directory="d"} 1
            millrace_log_sync_duration_seconds_bucket{le="10.0",directory="d"} 1
            millrace_log_sync_duration_seconds_bucket{le="+Inf",directory="d"} 2
            # EOF
        "##]].assert_eq(&page);
    }
}
