//! `zookeeper-server-start`, for tutorials of the days when Kafka needed ZooKeeper.

use crate::Output;
use crate::failure::Failure;
use tokio::signal::unix::{SignalKind, signal};

/// Says that none is needed and waits, so that the terminal that a tutorial gives it looks as it should.
pub async fn start(args: &[String], out: &mut Output) -> Result<(), Failure> {
    if args.is_empty() {
        return Err(Failure::plain(
            "USAGE: zookeeper-server-start.sh [-daemon] zookeeper.properties",
        ));
    }
    writeln!(
        out,
        "No ZooKeeper is needed: go on to bin/kafka-server-start.sh config/server.properties in another terminal."
    )?;
    if args.first().is_some_and(|arg| arg == "-daemon") {
        return Ok(());
    }
    writeln!(out, "This waits until Ctrl-C.")?;
    out.flush()?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

pub async fn stop(_args: &[String], _out: &mut Output) -> Result<(), Failure> {
    Err(Failure::plain("No zookeeper server to stop"))
}
