//! `kafka-server-start` and `kafka-dump-log` become the broker's program; `kafka-server-stop` asks brokers to end.

use crate::Output;
use crate::failure::Failure;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The broker's program, beside this one.
const BROKER: &str = "millrace";

const START_USAGE: &str =
    "USAGE: kafka-server-start.sh [-daemon] server.properties [--override property=value]*";

pub async fn start(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let is_daemon = args
        .first()
        .is_some_and(|arg| arg == "-daemon" || arg == "--daemon");
    let args = &args[usize::from(is_daemon)..];
    let Some((config, rest)) = args
        .split_first()
        .filter(|(config, _)| !config.starts_with('-'))
    else {
        return Err(Failure::plain(START_USAGE));
    };
    if !Path::new(config).is_file() {
        return Err(Failure::plain(format!(
            "{config} is no file: name a server.properties, as in config/server.properties"
        )));
    }
    check_overrides(rest)?;
    let broker = find_broker()?;
    let mut command = Command::new(&broker);
    command.arg("server").arg(config).args(rest);
    if !is_daemon {
        out.flush()?;
        // Only what hindered it comes back.
        let error = command.exec();
        return Err(Failure::plain(format!(
            "cannot run {}: {error}",
            broker.display()
        )));
    }
    let log = std::env::var_os("LOG_DIR").map_or_else(|| PathBuf::from("logs"), PathBuf::from);
    std::fs::create_dir_all(&log)?;
    let path = log.join("kafkaServer.out");
    let file = std::fs::File::create(&path)?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    // A group of its own: the terminal's Ctrl-C is not meant for it.
    command.process_group(0);
    let child = command
        .spawn()
        .map_err(|error| Failure::plain(format!("cannot run {}: {error}", broker.display())))?;
    writeln!(
        out,
        "started as process {}, its output goes to {}",
        child.id(),
        path.display()
    )?;
    Ok(())
}

fn check_overrides(args: &[String]) -> Result<(), Failure> {
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let pair = match arg.strip_prefix("--override") {
            Some("") => args.next().map(String::as_str),
            Some(attached) => attached.strip_prefix('='),
            None => {
                return Err(Failure::plain(format!(
                    "Found non argument parameters: {arg}\n{START_USAGE}"
                )));
            }
        };
        if !pair.is_some_and(|pair| pair.contains('=')) {
            return Err(Failure::plain(format!(
                "--override needs property=value\n{START_USAGE}"
            )));
        }
    }
    Ok(())
}

/// `kafka-dump-log` is of the broker's program, which knows its files.
pub async fn dump_log(args: &[String], out: &mut Output) -> Result<(), Failure> {
    out.flush()?;
    let broker = find_broker()?;
    let error = Command::new(&broker).arg("dump-log").args(args).exec();
    Err(Failure::plain(format!(
        "cannot run {}: {error}",
        broker.display()
    )))
}

fn find_broker() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    // Through a link, the program is where the link points.
    let own = own.canonicalize().unwrap_or(own);
    let beside = own.with_file_name(BROKER);
    let home = std::env::var_os("MILLRACE_HOME").map(PathBuf::from);
    let candidates = [
        Some(beside.clone()),
        home.as_ref().map(|home| home.join("bin").join(BROKER)),
        home.map(|home| home.join("target/release").join(BROKER)),
    ];
    let found = candidates.into_iter().flatten().find(|path| path.is_file());
    found.ok_or_else(|| {
        Failure::plain(format!(
            "there is no {}: run `make build` first",
            beside.display()
        ))
    })
}

/// SIGTERM to every broker of this user's, or to the one whose node id or role is asked for.
pub async fn stop(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let wanted = StopWanted::parse(args)?;
    let mut stopped = 0;
    for (pid, config) in brokers()? {
        if !wanted.includes(&config) {
            continue;
        }
        let signal = match std::env::var("SIGNAL").as_deref() {
            Ok("KILL" | "9") => Signal::KILL,
            Ok("INT" | "2") => Signal::INT,
            Ok(_) | Err(_) => Signal::TERM,
        };
        kill_process(pid, signal).map_err(|error| {
            Failure::plain(format!(
                "cannot stop process {}: {error}",
                pid.as_raw_nonzero()
            ))
        })?;
        stopped += 1;
    }
    match stopped {
        0 => Err(Failure::on_stdout("No kafka server to stop")),
        _ => Ok(out.flush()?),
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct StopWanted {
    node_id: Option<String>,
    role: Option<String>,
}

impl StopWanted {
    fn parse(args: &[String]) -> Result<StopWanted, Failure> {
        let mut wanted = StopWanted::default();
        for arg in args {
            if let Some(id) = arg.strip_prefix("--node-id=") {
                wanted.node_id = Some(id.to_owned());
            } else if let Some(role) = arg.strip_prefix("--process-role=") {
                if !matches!(role, "broker" | "controller") {
                    return Err(Failure::plain(
                        "Invalid process role, should be either 'broker' or 'controller'.",
                    ));
                }
                wanted.role = Some(role.to_owned());
            } else {
                return Err(Failure::plain(format!(
                    "{arg} is not recognized: --node-id=<id> and --process-role=<broker|controller> are"
                )));
            }
        }
        Ok(wanted)
    }

    /// With options, the broker's own file says whether it is meant; its node id first, as in Kafka's script.
    fn includes(&self, config: &Path) -> bool {
        if self.node_id.is_none() && self.role.is_none() {
            return true;
        }
        let Ok(properties) = millrace_client::properties::Properties::read(config) else {
            return false;
        };
        match (&self.node_id, &self.role) {
            (Some(id), _) => {
                let own = properties.get("node.id").or(properties.get("broker.id"));
                own.map(str::trim) == Some(id)
            }
            (None, Some(role)) => properties
                .get("process.roles")
                .unwrap_or("broker")
                .split(',')
                .any(|own| own.trim() == role),
            (None, None) => true,
        }
    }
}

/// Processes that are `millrace server FILE`, with their files.
fn brokers() -> Result<Vec<(Pid, PathBuf)>, Failure> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir("/proc")
        .map_err(|error| Failure::plain(format!("cannot list processes: {error}")))?;
    for entry in entries.flatten() {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let Ok(command) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let Some(config) = broker_config(&command) else {
            continue;
        };
        let directory = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if let Some(pid) = Pid::from_raw(id) {
            found.push((pid, directory.join(config)));
        }
    }
    Ok(found)
}

/// The file of settings, when the command line is a broker's.
fn broker_config(command: &[u8]) -> Option<PathBuf> {
    let mut words = command
        .split(|&byte| byte == 0)
        .map(String::from_utf8_lossy);
    let program = words.next()?;
    let is_broker =
        Path::new(&*program).file_name()?.to_str()? == BROKER && words.next()? == "server";
    let config = words
        .next()
        .filter(|config| is_broker && !config.is_empty())?;
    Some(PathBuf::from(&*config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_brokers_are_stopped() {
        let check = |command: &[u8], config: Option<&str>| {
            assert_eq!(broker_config(command), config.map(PathBuf::from));
        };
        check(
            b"/opt/millrace\0server\0config/server.properties\0",
            Some("config/server.properties"),
        );
        check(b"/opt/millrace\0demo\0", None);
        check(b"/opt/millrace-tools\0server\0x\0", None);
        check(b"vi\0server\0x\0", None);
        check(b"", None);
    }

    #[test]
    fn overrides_are_pairs() {
        let check = |line: &str, is_right: bool| {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(check_overrides(&args).is_ok(), is_right, "{line}");
        };
        check("", true);
        check("--override a=b --override c=d", true);
        check("--override=a=b", true);
        check("--override a", false);
        check("--override", false);
        check("more", false);
    }

    #[test]
    fn a_broker_is_chosen_by_its_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("server.properties");
        std::fs::write(&file, "node.id=3\nprocess.roles=broker,controller\n").expect("written");
        let wanted = |arg: &str| StopWanted::parse(&[arg.to_owned()]).expect("an option");
        assert!(wanted("--node-id=3").includes(&file));
        assert!(!wanted("--node-id=4").includes(&file));
        assert!(wanted("--process-role=controller").includes(&file));
        assert!(StopWanted::default().includes(Path::new("/nowhere")));
        assert!(StopWanted::parse(&["--process-role=x".to_owned()]).is_err());
    }
}
