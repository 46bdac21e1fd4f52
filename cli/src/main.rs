//! Kafka's command-line tools in one program, with Kafka's options and output.
//!
//! Which tool it is follows from the name it was called by (`kafka-topics`, `kafka-topics.sh`) or from its first argument. The
//! table is [`TOOLS`]; each tool is a module. They reach a broker through the protocol only.

mod api_versions;
mod args;
mod client_metrics;
mod clock;
mod cluster_tool;
mod configs;
mod connect;
mod console;
mod consumer_groups;
mod delete_records;
mod elsewhere;
mod failure;
mod features;
mod get_offsets;
mod groups;
mod json_file;
mod leader_election;
mod log;
mod log_dirs;
mod metadata_quorum;
mod pattern;
mod perf;
mod reassign;
mod server;
mod source;
mod storage;
mod table;
mod topics;
mod verifiable;
mod zookeeper;

use failure::Failure;
use std::future::Future;
use std::io::{self, BufWriter, Stdout, Write};
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Standard output, or what a test reads.
pub type Output = dyn Write + Send;

type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

struct Tool {
    name: &'static str,
    run: for<'a> fn(&'a [String], &'a mut Output) -> Running<'a>,
}

macro_rules! tools {
    ($($name:literal => $run:path,)*) => {
        &[$(Tool { name: $name, run: |args, out| Box::pin($run(args, out)) },)*]
    };
}

const TOOLS: &[Tool] = tools! {
    "kafka-broker-api-versions" => api_versions::run,
    "kafka-client-metrics" => client_metrics::run,
    "kafka-cluster" => cluster_tool::run,
    "kafka-configs" => configs::run,
    "kafka-console-consumer" => console::consumer::run,
    "kafka-console-producer" => console::producer::run,
    "kafka-consumer-groups" => consumer_groups::run,
    "kafka-consumer-perf-test" => perf::consumer::run,
    "kafka-delete-records" => delete_records::run,
    "kafka-dump-log" => server::dump_log,
    "kafka-e2e-latency" => perf::end_to_end::run,
    "kafka-features" => features::run,
    "kafka-get-offsets" => get_offsets::run,
    "kafka-groups" => groups::run,
    "kafka-leader-election" => leader_election::run,
    "kafka-log-dirs" => log_dirs::run,
    "kafka-metadata-quorum" => metadata_quorum::run,
    "kafka-producer-perf-test" => perf::producer::run,
    "kafka-reassign-partitions" => reassign::run,
    "kafka-server-start" => server::start,
    "kafka-server-stop" => server::stop,
    "kafka-storage" => storage::run,
    "kafka-topics" => topics::run,
    "kafka-verifiable-consumer" => verifiable::consumer::run,
    "kafka-verifiable-producer" => verifiable::producer::run,
    "zookeeper-server-start" => zookeeper::start,
    "zookeeper-server-stop" => zookeeper::stop,
};

fn find(name: &str) -> Option<&'static Tool> {
    let name = bare(name);
    TOOLS.iter().find(|tool| tool.name == name)
}

/// Without its folder and `.sh`.
fn bare(name: &str) -> &str {
    let file = Path::new(name).file_name().and_then(|file| file.to_str());
    let file = file.unwrap_or_default();
    file.strip_suffix(".sh").unwrap_or(file)
}

fn main() -> ExitCode {
    log::start();
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let own = args
        .first()
        .and_then(|name| find(name))
        .map(|tool| (tool, 1));
    let given = args
        .get(1)
        .and_then(|name| find(name))
        .map(|tool| (tool, 2));
    let Some((tool, skipped)) = own.or(given) else {
        let names = args.iter().take(2).map(|name| bare(name));
        return match names.filter_map(elsewhere::advice).next() {
            Some(advice) => {
                eprintln!("{advice}");
                ExitCode::FAILURE
            }
            None => unknown(args.get(1).map(String::as_str)),
        };
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut out: BufWriter<Stdout> = BufWriter::with_capacity(64 << 10, io::stdout());
    let result = runtime.block_on((tool.run)(&args[skipped..], &mut out));
    // A read of standard input may still be waited for by a thread of the runtime.
    runtime.shutdown_background();
    let failure = match result {
        Ok(()) => Failure::silent(0),
        Err(failure) => failure,
    };
    if !failure.stdout.is_empty() {
        let _ = writeln!(out, "{}", failure.stdout);
    }
    let _ = out.flush();
    if !failure.stderr.is_empty() {
        eprintln!("{}", failure.stderr);
    }
    ExitCode::from(failure.exit_code)
}

fn unknown(name: Option<&str>) -> ExitCode {
    if let Some(name) = name.filter(|name| !matches!(*name, "--help" | "-h" | "help")) {
        eprintln!("\"{name}\" is none of the tools. They are:");
    } else {
        eprintln!("Write the name of a tool and its options. The tools are:");
    }
    for tool in TOOLS {
        eprintln!("  {}", tool.name);
    }
    eprintln!("And of these, what to use instead:");
    for name in elsewhere::names() {
        eprintln!("  {name}");
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_found_by_the_name_of_its_link() {
        for name in [
            "kafka-topics",
            "kafka-topics.sh",
            "/opt/bin/kafka-topics.sh",
        ] {
            assert_eq!(
                find(name).map(|tool| tool.name),
                Some("kafka-topics"),
                "{name}"
            );
        }
        assert!(find("millrace-tools").is_none());
        assert!(find("").is_none());
    }
}
