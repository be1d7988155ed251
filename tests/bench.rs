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
        let stages = [
            "greedy",
            "chain-entropy",
            "chain-penalties",
            "full",
            "full-logprobs-raw",
            "top-p",
            "top-n-sigma",
            "typical",
            "mirostat-2",
            "process",
            "softmax",
            "project-3",
            "greedy-sparse-32",
            "train-3",
            "batch-8-threads-2",
            "beams-4",
            "sweep-16",
        ];
        for stage in stages {
            let found: Vec<_> = lines.iter().filter(|line| line["stage"] == stage && line["vocab"] == vocab).collect();
            let [line] = found[..] else { panic!("{} lines of {stage} at {vocab}", found.len()) };
            assert_eq!(line["rounds"], 2);
            for series in [&line["floor"], &line["time"]] {
                let at = |key: &str| series[key].as_u64().expect("nanoseconds");
                let order = [at("min_ns"), at("median_ns"), at("p99_ns"), at("p999_ns")];
                assert!(order.is_sorted(), "{line}");
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

/// The parts of a JSON document that tell of comparisons or draws.
fn document(arguments: &[&str]) -> Value {
    let output = bench(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn lines_that_belong_together_are_compared() {
    let stages = ["full", "full-f16", "full-bf16", "sweep-16", "singles-16", "batch-8-threads-1", "batch-8-threads-2"];
    let stages: Vec<&str> = stages.iter().flat_map(|stage| ["--stage", stage]).collect();
    let document = document(&[&["--vocab", "500", "--rounds", "3", "--rearranged"], &stages[..]].concat());
    let lines = document["lines"].as_array().expect("lines");
    let comparisons = document["comparisons"].as_array().expect("comparisons");
    let minimum = |stage: &str, row: &str, series: &str| {
        let of = |line: &&Value| line["stage"] == stage && line["row"] == row;
        lines.iter().find(of).unwrap_or_else(|| panic!("{stage} on {row}"))[series]["min_ns"].as_f64().expect("a time")
    };
    let ratio = |what: &str, row: &str| {
        let of = |one: &&Value| one["ratio"] == what && one["row"] == row;
        comparisons.iter().find(of).unwrap_or_else(|| panic!("{what} on {row}"))["of_min"].as_f64().expect("a ratio")
    };
    let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
    let time = |stage: &str, row: &str| minimum(stage, row, "time");
    near(ratio("full-f16 / full", "gaussian f16"), time("full-f16", "gaussian f16") / time("full", "gaussian"));
    near(ratio("full-bf16 / full", "gaussian bf16"), time("full-bf16", "gaussian bf16") / time("full", "gaussian"));
    near(ratio("sweep-16 / singles-16", "gaussian"), time("sweep-16", "gaussian") / time("singles-16", "gaussian"));
    for how in ["+1000", "shuffled", "ascending"] {
        let row = format!("gaussian {how}");
        near(ratio(&format!("full, {row} / gaussian"), &row), time("full", &row) / time("full", "gaussian"));
    }
    let speed_up = |series: &str| {
        minimum("batch-8-threads-1", "gaussian", series) / minimum("batch-8-threads-2", "gaussian", series)
    };
    near(ratio("scaling of 2 threads / that of the floor", "gaussian"), speed_up("time") / speed_up("floor"));
}

#[test]
fn draws_are_replayed_and_counted() {
    let document = document(&["--vocab", "5000", "--rounds", "1", "--stage", "greedy", "--draws", "300"]);
    let draws = document["draws"].as_array().expect("draws");
    assert_eq!(draws.iter().map(|line| line["stage"].as_str().expect("a name")).collect::<Vec<_>>(), ["full", "top-p"]);
    for line in draws {
        let at = |key: &str| line[key].as_f64().expect("a number");
        assert_eq!((at("draws"), at("blocks")), (300.0, 79.0));
        // A draw looks at one block at least.
        assert!(at("mean_evaluated") >= 1.0 && at("most_evaluated") >= at("mean_evaluated"), "{line}");
        assert!(at("worst_ns") >= line["time"]["p999_ns"].as_f64().expect("a number"), "{line}");
    }
}

#[test]
fn pictures_show_what_was_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a name").to_owned();
    let read = |name: &str| {
        let svg = std::fs::read_to_string(path(name)).expect("the picture");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{name}");
        svg
    };
    let histogram = path("histogram.svg");
    let stages = ["--stage", "greedy", "--stage", "top-p"];
    let output = bench(&[&["--vocab", "700", "--rounds", "20", "--histogram", &histogram], &stages[..]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let svg = read("histogram.svg");
    assert!(["greedy, gaussian, 700 tokens", "top-p, gaussian, 700 tokens"].iter().all(|panel| svg.contains(panel)));

    let plots = path("plots");
    let output = bench(&["--plot", &plots, "--vocab", "3000", "--rounds", "1", "--level", "portable"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let points = text(&output.stdout);
    for (name, curve) in [
        ("vocabulary", "full-entropy"),
        ("k", "top-k, N(0,3)"),
        ("p", "min-p, N(0,3)"),
        ("history", "chain with penalties, N(0,3)"),
        ("batch", "chain on 2 threads"),
    ] {
        let svg = read(&format!("plots/{name}-portable.svg"));
        assert!(svg.contains(curve) && svg.contains("dashed: the bare reading"), "{name}");
        assert!(points.contains(&format!("| {curve} |")), "{name}: {points}");
    }
    assert!(points.contains("| 2000 | greedy |") && !points.contains("| 4000 | greedy |"), "{points}");
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
        (vec!["--vocab".into(), "5".into(), "--histogram".into(), path(&unwritable)], "no/such/folder"),
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
