//! `millrace server` as a process of its own, with its data in a folder of the test's.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct ServerProcess {
    child: Child,
    log: PathBuf,
    pub address: SocketAddr,
}

impl ServerProcess {
    /// Returns when it listens. Its data and its log are in `directory`.
    pub fn start(directory: &Path, settings: &str) -> ServerProcess {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::try_start(directory, settings, deadline) {
                Ok(server) => return server,
                // Between two lives a client of somebody else may have got the port, for as long as it takes to connect.
                Err(log) if log.contains("in use") && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(log) => panic!("the broker does not start: {log}"),
            }
        }
    }

    fn try_start(
        directory: &Path,
        settings: &str,
        deadline: Instant,
    ) -> Result<ServerProcess, String> {
        let mut server = ServerProcess::spawn(directory, settings);
        loop {
            let log = server.log();
            if log.contains("\"message\":\"serving\"") {
                server.address = listening_on(&log).expect("it says where it listens");
                return Ok(server);
            }
            if server.child.try_wait().expect("it can be asked").is_some() {
                return Err(server.log());
            }
            assert!(
                Instant::now() < deadline,
                "waited {PATIENCE:?} for the broker to serve: {log}"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Does not wait for anything.
    pub fn spawn(directory: &Path, settings: &str) -> ServerProcess {
        let text = format!(
            "{settings}log.dirs={}\nmillrace.metrics.listener=\nmillrace.control.listener=\n\
             millrace.min.free.bytes=0\n",
            directory.join("data").display()
        );
        let settings = directory.join("server.properties");
        fs::write(&settings, text).expect("the settings can be written");
        let log = directory.join("server.log");
        let lines = File::create(&log).expect("a log can be made");
        let mut program = Command::new(env!("CARGO_BIN_EXE_millrace"));
        for (name, _) in std::env::vars_os() {
            // What is said to the tests, such as MILLRACE_SEED, is no setting.
            if name.as_encoded_bytes().starts_with(b"MILLRACE_") {
                program.env_remove(name);
            }
        }
        let child = program
            .arg("server")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(lines)
            .spawn()
            .expect("the program runs");
        ServerProcess {
            child,
            log,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged, one JSON object a line.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log can be read")
    }

    /// Ends it as an administrator does, and returns how it ended.
    pub fn terminate(mut self) -> ExitStatus {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("an id"), Signal::TERM).expect("it is there");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "waited {PATIENCE:?} for the broker to end after SIGTERM: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// `kill -9`: nothing is flushed, closed or said.
impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listening_on(log: &str) -> Option<SocketAddr> {
    let line = log
        .lines()
        .find(|line| line.contains("\"message\":\"listening\""))?;
    let (_, rest) = line.split_once("\"address\":\"")?;
    rest.split('"').next()?.parse().ok()
}
