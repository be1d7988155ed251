//! `argpick train` as a program: its report, its exit codes, Ctrl-C.
#![cfg(feature = "cli")]

use argpick::sandbox::Model;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn argpick() -> Command {
    Command::new(env!("CARGO_BIN_EXE_argpick"))
}

fn default_text() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sandbox/default.txt")
}

fn train(text: &Path, out: &Path, more: &[&str]) -> Output {
    argpick().arg("train").arg("--text").arg(text).arg("--out").arg(out).args(more).output().expect("argpick")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const SMALL: [&str; 8] = ["--vocab", "100", "--d2", "64", "--d3", "64", "--epochs", "2"];

#[test]
fn the_report_names_what_was_learned() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("model.npz");
    let output = train(&default_text(), &out, &SMALL);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stderr.is_empty(), "no progress bar without a terminal: {}", stderr(&output));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for needed in ["6849 tokens, 429 different", "101 classes, 230 columns", "unigram", "greedy accuracy", "model.npz"]
    {
        assert!(text.contains(needed), "{needed:?} is not in\n{text}");
    }
    Model::open(&out).expect("a model that opens");

    let mut options = SMALL.to_vec();
    options.extend(["--json", "--dtype", "f16", "--hold-out", "0"]);
    let output = train(&default_text(), &out, &options);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["epochs"].as_array().map(Vec::len), Some(2));
    assert_eq!(document["classes"], 101);
    assert!(document["unigram_perplexity"].is_null() && document["epochs"][0]["held_out"].is_null());
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let text = here.join("text.txt");
    std::fs::write(&text, "one two three. one two.").expect("a text");
    let empty = here.join("empty.txt");
    std::fs::write(&empty, "").expect("a text");
    let latin = here.join("latin.txt");
    std::fs::write(&latin, b"one caf\xe9. two.").expect("a text");
    let out = here.join("model.npz");
    for (text, out, needed) in [
        (&text, &out, "too few for a vocabulary of 1000"),
        (&empty, &out, "there are no words"),
        (&latin, &out, "not UTF-8 at byte 7"),
        (&here.join("missing.txt"), &out, "missing.txt"),
        (&text, &here.join("no/such/model.npz"), "no/such/model.npz"),
    ] {
        let output = train(text, out, &[]);
        assert_eq!(output.status.code(), Some(1), "{needed}");
        let message = stderr(&output);
        assert!(message.contains(needed) && message.trim_end().lines().count() == 1, "{message:?} lacks {needed:?}");
        assert!(output.stdout.is_empty() && !out.exists());
    }
    for bad in [
        ["--vocab", "0"],
        ["--vocab", "4194304"],
        ["--d2", "0"],
        ["--d3", "0"],
        ["--epochs", "0"],
        ["--lr", "nan"],
        ["--lr", "0"],
        ["--lr", "-0.1"],
        ["--lr", "inf"],
        ["--hold-out", "1"],
        ["--dtype", "bf16"],
        ["--seed", "-1"],
    ] {
        let output = train(&text, &out, &bad);
        assert_eq!(output.status.code(), Some(2), "{bad:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty() && !out.exists(), "{bad:?}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_last_whole_epoch() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("model.npz");
    let mut options = SMALL.to_vec();
    // More epochs than anybody waits for.
    *options.last_mut().expect("the epochs") = "4000000000";
    let child = argpick()
        .arg("train")
        .arg("--text")
        .arg(default_text())
        .arg("--out")
        .arg(&out)
        .args(&options)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("argpick");
    while !out.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let killed = Command::new("kill").arg("-INT").arg(child.id().to_string()).status().expect("kill");
    assert!(killed.success());
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("holds epoch"), "{}", stderr(&output));
    Model::open(&out).expect("a whole model");
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
