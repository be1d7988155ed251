//! `argpick bench`: its results are well-formed, and bad input is one line on standard error. No figure is looked at.

use serde_json::Value;
use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_argpick"))
        .arg("bench")
        .args(arguments)
        .env_remove("ARGPICK_KERNEL")
        .output()
        .expect("the tool runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn every_stage_has_a_line_with_its_floor() {
    let out = tempfile::tempdir().expect("a folder");
    let file = out.path().join("figures.json");
    let file_name = file.to_str().expect("a name");
    let output = bench(&["--vocab", "1000", "--vocab", "65", "--rounds", "2", "--json", "--out", file_name]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(&file).expect("the file"), output.stdout, "the file holds what was printed");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let lines = document["lines"].as_array().expect("lines");
    for vocab in [1000, 65] {
        for stage in ["greedy", "chain-entropy", "full", "top-p", "process", "softmax", "project-3", "greedy-sparse-32"]
        {
            let found: Vec<_> = lines.iter().filter(|line| line["stage"] == stage && line["vocab"] == vocab).collect();
            let [line] = found[..] else { panic!("{} lines of {stage} at {vocab}", found.len()) };
            assert_eq!(line["rounds"], 2);
            for series in [&line["floor"], &line["time"]] {
                let at = |key: &str| series[key].as_u64().expect("nanoseconds");
                assert!(at("min_ns") <= at("median_ns") && at("median_ns") <= at("p99_ns"), "{line}");
            }
        }
    }
    assert!(document["machine"]["processor"].is_string() && document["floor"].is_string());
}

#[test]
fn every_level_of_this_machine_can_be_asked_for() {
    let output =
        bench(&["--vocab", "300", "--rounds", "1", "--stage", "chain", "--level", "scalar", "--level", "portable"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.contains("scalar") && table.contains("portable") && table.contains("x med"), "{table}");
}

#[test]
fn bad_input_is_one_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let no_file = folder.path().join("absent.npy");
    let not_npy = folder.path().join("text.npy");
    std::fs::write(&not_npy, "no array").expect("a file");
    // One f32 row with a NaN at its second place.
    let nan = folder.path().join("nan.npy");
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let padded = format!("{header:<117}\n");
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.bytes());
    bytes.extend([1.0f32, f32::NAN, 2.0].iter().flat_map(|value| value.to_le_bytes()));
    std::fs::write(&nan, bytes).expect("a file");
    let unwritable = folder.path().join("no/such/folder");
    let path = |path: &std::path::Path| path.to_str().expect("a name").to_owned();
    let cases = [
        (vec!["--vocab".to_owned(), "0".into()], "1 to 4194304"),
        (vec!["--vocab".into(), "4194305".into()], "4194305"),
        (vec!["--row".into(), path(&no_file)], "absent.npy"),
        (vec!["--row".into(), path(&not_npy)], "text.npy"),
        (vec!["--row".into(), path(&nan)], "token 1 is NaN"),
        (vec!["--row".into(), format!("{}:7", path(&nan))], "no row 7"),
        (vec!["--row".into(), path(&nan), "--vocab".into(), "5".into()], "--vocab"),
        (vec!["--vocab".into(), "5".into(), "--out".into(), path(&unwritable)], "no/such/folder"),
    ];
    for (arguments, wanted) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = bench(&[&arguments[..], &["--rounds", "1", "--stage", "full"]].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        let last = said.lines().last().unwrap_or("");
        assert!(last.starts_with("argpick: ") && last.contains(wanted), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
