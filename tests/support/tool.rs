//! The tool `argpick` as a program that is run, and the files it is given.
#![allow(dead_code)] // Each test binary uses a part.

use serde_json::Value;
use std::process::{Command, Output};

pub fn argpick() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_argpick"));
    command.env_remove("ARGPICK_KERNEL");
    command
}

pub fn run(arguments: &[&str]) -> Output {
    argpick().args(arguments).output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What a run that ends with `code` prints, which is JSON.
pub fn json_of(arguments: &[&str], code: i32) -> Value {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

/// A folder, and paths in it.
pub fn folder() -> (tempfile::TempDir, impl Fn(&str) -> String) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    (folder, move |name: &str| root.join(name).to_str().unwrap().to_owned())
}

/// A `.npy` file of this type, shape and content.
pub fn npy(descr: &str, shape: &str, fortran: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// The `.npy` file of these rows in f32.
pub fn matrix(rows: &[Vec<f32>]) -> Vec<u8> {
    let data: Vec<u8> = rows.iter().flatten().flat_map(|logit| logit.to_le_bytes()).collect();
    npy("<f4", &format!("({}, {})", rows.len(), rows[0].len()), "False", &data)
}

/// A run that ends with `code` and says `what`; bad usage prints nothing else.
pub fn refused(arguments: &[&str], code: i32, what: &str) {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
    assert!(stderr(&output).contains(what), "{arguments:?}: {}", stderr(&output));
    assert!(code == 1 || output.stdout.is_empty(), "{arguments:?}");
}
