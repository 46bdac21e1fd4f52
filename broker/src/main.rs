//! The program `millrace`. `MILLRACE_LOG` chooses what it logs, as in `MILLRACE_LOG=millrace_broker=debug`.

mod demo;
mod dump_log;
mod serve;

use clap::{Parser, Subcommand};
use millrace_broker::admin::LogFilter;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Entries are allocated by one thread and freed by another, which glibc's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "millrace", version, about = "Apache Kafka's broker, in Rust")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the engine at work: appends, sealing, reading back, and opening the same directory again
    Demo(demo::Options),
    /// Shows what is in a broker's files, as kafka-dump-log does; changes nothing
    DumpLog(dump_log::Options),
    /// Runs a broker until SIGTERM or Ctrl-C
    Server(serve::Options),
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    // A broker tells what it does; the demonstration prints its own story.
    let level = match &command {
        Command::Demo(_) | Command::DumpLog(_) => LevelFilter::WARN,
        Command::Server(_) => LevelFilter::INFO,
    };
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .with_env_var("MILLRACE_LOG");
    let filter = match filter.from_env() {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("millrace: MILLRACE_LOG: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (layer, filter) = LogFilter::new(filter);
    let log = tracing_subscriber::registry().with(layer);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // People read a terminal, programs what is written elsewhere.
    match std::io::stderr().is_terminal() {
        true => log.with(lines).init(),
        false => log.with(lines.json().flatten_event(true)).init(),
    }
    let result = match command {
        Command::Demo(options) => demo::run(&options).map_err(|error| error.to_string()),
        Command::DumpLog(options) => dump_log::run(&options),
        Command::Server(options) => serve::run(options, filter),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millrace: {error}");
            ExitCode::FAILURE
        }
    }
}
