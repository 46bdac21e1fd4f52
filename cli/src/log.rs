//! Log lines on standard error, in the layout of Kafka's tools: `[time] LEVEL message (source)`.

use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

struct KafkaLayout;

impl<S, N> FormatEvent<S, N> for KafkaLayout
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        write!(writer, "[{}] {} ", now(), metadata.level())?;
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        writeln!(writer, " ({})", metadata.target().replace("::", "."))
    }
}

/// Warnings and worse, or what `MILLRACE_LOG` asks for.
pub fn start() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MILLRACE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .event_format(KafkaLayout)
        .init();
}

fn now() -> String {
    jiff::Zoned::now()
        .strftime("%Y-%m-%d %H:%M:%S,%3f")
        .to_string()
}

/// As Kafka's tools log what they caught and ended with: its text, the line it comes from on the next.
pub fn caught(source: &str, message: &str) {
    eprintln!("[{}] ERROR {message}\n ({source})", now());
}

/// As Kafka's tools log an error beside the exception that caused it.
pub fn error(source: &str, message: &str, cause: &str) {
    eprintln!("[{}] ERROR {message} ({source})\n{cause}", now());
}
