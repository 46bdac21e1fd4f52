//! The program `millrace`. `MILLRACE_LOG` chooses what it logs, as in `MILLRACE_LOG=millrace_broker=debug`.

mod demo;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

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
}

fn main() -> ExitCode {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::WARN.into())
        .with_env_var("MILLRACE_LOG");
    let filter = match filter.from_env() {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("millrace: MILLRACE_LOG: {error}");
            return ExitCode::FAILURE;
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let Command::Demo(options) = Arguments::parse().command;
    match demo::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millrace: {error}");
            ExitCode::FAILURE
        }
    }
}
