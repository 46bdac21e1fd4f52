//! `millrace server`: a broker in the foreground, until SIGTERM or Ctrl-C.

use millrace_broker::admin::LogFilter;
use millrace_broker::config::{BrokerConfig, SettingsFile, Sources};
use millrace_broker::server::Server;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long the end of a broker that has failed may take: the disk may hang as well.
const FAILED_PATIENCE: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub struct Options {
    /// The settings, in Kafka's server.properties format
    settings: PathBuf,
    /// A setting that goes before the file's, as name=value; may be given more than once
    #[arg(long = "override", value_name = "NAME=VALUE")]
    overrides: Vec<String>,
}

pub fn run(options: Options, filter: LogFilter) -> Result<(), String> {
    let file = SettingsFile::read(&options.settings).map_err(|error| error.to_string())?;
    let sources = Sources {
        overrides: options.overrides,
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        file: Some(file),
    };
    let loaded = BrokerConfig::load(&sources).map_err(|errors| errors.to_string())?;
    for warning in &loaded.warnings {
        tracing::warn!(setting = warning.name, from = %warning.origin, "{}", warning.reason);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("clients")
        .build()
        .map_err(|error| format!("cannot start threads: {error}"))?;
    let served = runtime.block_on(serve(loaded.config, filter));
    // An orderly end has waited for all there is to wait for; any other must not wait for a disk that hangs.
    runtime.shutdown_background();
    served
}

async fn serve(config: BrokerConfig, filter: LogFilter) -> Result<(), String> {
    let signals = |error: std::io::Error| format!("cannot listen for signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    let server = tokio::select! {
        server = Server::start_with(config, Some(filter)) => server.map_err(|error| error.to_string())?,
        () = either(&mut terminate, &mut interrupt) => return Ok(()),
    };
    let failure = tokio::select! {
        () = either(&mut terminate, &mut interrupt) => None,
        failure = server.failed() => Some(failure),
    };
    match &failure {
        None => tracing::info!("stopping"),
        Some(failure) => tracing::error!("stopping: {failure}"),
    }
    let patience = match failure {
        None => Duration::MAX,
        Some(_) => FAILED_PATIENCE,
    };
    tokio::select! {
        () = server.stop() => tracing::info!("stopped"),
        () = either(&mut terminate, &mut interrupt) => {
            return Err("stopped at once: asked for a second time".to_owned());
        }
        () = tokio::time::sleep(patience) => {
            tracing::warn!("the directories do not close; the end of the process closes them");
        }
    }
    match failure {
        None => Ok(()),
        Some(_) => Err("stopped by a failure, which the log names".to_owned()),
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
