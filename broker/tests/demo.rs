//! `millrace demo` as its users run it.

#[path = "support/wait.rs"]
mod wait;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use wait::wait_until;

fn demo(directory: &Path, seconds: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command
        .args(["demo", "--partitions", "5", "--seconds", seconds, "--dir"])
        .arg(directory);
    command
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_demonstration_reads_back_what_it_wrote() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = demo(&dir.path().join("new"), "1")
        .output()
        .expect("it runs");
    let (out, err) = text(&output);
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(out.matches("Read everything back").count(), 2, "{out}");
    assert!(out.contains("What this showed: 5 partitions"), "{out}");
    assert_eq!(err, "", "nothing worth a warning happened");
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file");
    std::fs::write(&file, "mine").expect("a file");
    for (path, reason) in [(dir.path(), "not empty"), (&file, "File exists")] {
        let output = demo(path, "1").output().expect("it runs");
        let (_, err) = text(&output);
        assert_eq!(output.status.code(), Some(1));
        let expected = format!("millrace: cannot use {}: ", path.display());
        assert!(err.starts_with(&expected) && err.contains(reason), "{err}");
    }
    assert_eq!(std::fs::read(&file).expect("a file"), b"mine");
}

#[test]
fn a_signal_ends_the_demonstration_cleanly() {
    for signal in ["-INT", "-TERM"] {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("new");
        let child = demo(&path, "600").stdout(Stdio::piped()).spawn();
        let child = child.expect("it starts");
        wait_until("the first log segment", || {
            path.join("log/00000000000000000001.log").exists()
        });
        let killed = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(killed.expect("kill runs").success());
        let output = child.wait_with_output().expect("it ends");
        let (out, err) = text(&output);
        assert!(output.status.success(), "{out}{err}");
        assert!(out.contains("Interrupted"), "{out}");
    }
}
