//! `argpick sweep FILE`, by running it: results, going on after a kill, Ctrl-C, and what it refuses.
#![cfg(feature = "cli")]

#[allow(dead_code)]
#[path = "support/npz.rs"]
mod npz;
#[path = "support/tool.rs"]
mod tool;

use argpick::lab::{RunRecord, Termination};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Output, Stdio};
use tool::{argpick, folder, run, stderr, stdout};

fn refused(arguments: &[&str], code: i32, parts: &[&str]) {
    let output = run(arguments);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", stdout(&output));
    for part in parts {
        assert!(told.contains(part), "{arguments:?}: {part:?} is not in {told}");
    }
}

/// The whole lines of a file of results by run, without the time they took.
fn results(path: &str) -> BTreeMap<usize, String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let timeless = |line: &str| {
        let (sweep, record) = RunRecord::from_line(line).unwrap();
        (record.run, RunRecord { seconds_per_token: 0.0, ..record }.to_line(&sweep))
    };
    whole.lines().map(timeless).collect()
}

const SWEEP: &str = "
prompts:
  - The sea and the sky
  - {name: bees, text: The bees went}
parameter_sets:
  - greedy
  - careful
  - {name: hot, preset: creative, temperature: 1.3}
seeds: [1, 2]
max_tokens: 12
max_batch_size: 4
stop_strings: ['.', '!', '?']
";

#[test]
fn a_sweep_tells_what_sets_its_texts_apart() {
    let (_folder, path) = folder();
    let (file, out) = (path("sea.yaml"), path("sea.jsonl"));
    fs::write(&file, SWEEP).unwrap();
    let output = run(&["sweep", &file, "--out", &out]);
    let (text, told) = (stdout(&output), stderr(&output));
    assert!(output.status.success(), "{told}");
    assert!(told.lines().count() == 1 && told.contains("prompts[1]: the model does not know"), "{told}");
    for part in [
        "2 prompts x 3 parameter sets x 2 seeds = 12 runs",
        "set      hot: temperature 1.3, top_k 100, top_p 0.95, max_tokens 12",
        "[1] The sea and the sky\n",
        "[2] bees\n",
        "same  runs 0 1: greedy\n",
        "none of them draws",
        "part  step ",
        "distinct-2",
        "12 of 12 runs",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    // Greedy is what `decode` finds without rules, step by step.
    let decoded = run(&[
        "decode",
        "--json",
        "--steps",
        "12",
        "--context",
        "The sea and the sky",
        "--no-dangling",
        "0",
        "--stop-punct",
        "0",
    ]);
    let decoded: Value = serde_json::from_slice(&decoded.stdout).unwrap();
    let record = RunRecord::from_line(&results(&out)[&0]).unwrap().1;
    let steps = decoded["texts"][0]["steps"].as_array().unwrap();
    assert_eq!(record.text, decoded["texts"][0]["continuation"]);
    assert_eq!((record.steps.tokens.len(), record.input_tokens, record.finish), (12, 5, Termination::Length));
    for (step, told) in steps.iter().enumerate() {
        assert_eq!(told["entropy"].as_f64().unwrap() as f32, record.steps.entropy[step]);
        assert_eq!(told["margin"].as_f64().unwrap() as f32, record.steps.margin[step]);
        assert_eq!(record.steps.pieces[step].trim_start(), told["picked"]);
    }
    // Everything is there already: nothing is done again, and the report is the same.
    let again = run(&["sweep", &file, "--out", &out]);
    assert_eq!(stdout(&again), text);
    assert!(stderr(&again).contains("12 of 12 runs are done already; left: 0"));
}

#[test]
fn the_batch_size_and_the_kernels_decide_no_result() {
    let (_folder, path) = folder();
    let file = path("sea.yaml");
    fs::write(&file, SWEEP).unwrap();
    let (whole, json) = (path("whole.jsonl"), path("sea.json"));
    assert!(run(&["sweep", &file, "--out", &whole]).status.success());
    let of_json: Value = serde_json::from_slice(&run(&["sweep", &file, "--json"]).stdout).unwrap();
    assert_eq!(of_json["results"].as_array().unwrap().len(), 12);
    for (number, told) in of_json["results"].as_array().unwrap().iter().enumerate() {
        let (of, record) = RunRecord::from_line(&told.to_string()).unwrap();
        assert_eq!(RunRecord { seconds_per_token: 0.0, ..record }.to_line(&of), results(&whole)[&number]);
    }
    assert_eq!(of_json["summary"]["parameter_sets"][2]["name"], "hot");
    for size in ["1", "3", "100"] {
        let out = path(size);
        assert!(run(&["sweep", &file, "--out", &out, "--max-batch-size", size, "--kernel", "scalar"]).status.success());
        assert_eq!(results(&out), results(&whole), "batch size {size}");
    }
    // The same sweep as JSON.
    fs::write(
        &json,
        r#"{"prompts": ["The sea and the sky", {"name": "bees", "text": "The bees went"}],
            "parameter_sets": ["greedy", "careful", {"name": "hot", "preset": "creative", "temperature": 1.3}],
            "seeds": [1, 2], "max_tokens": 12, "stop_strings": [".", "!", "?"]}"#,
    )
    .unwrap();
    let out = path("json.jsonl");
    assert!(run(&["sweep", &json, "--out", &out]).status.success());
    assert_eq!(results(&out), results(&whole));
}

/// A sweep that takes a while: texts that do not end.
fn long_sweep(prompts: usize) -> String {
    let list: Vec<String> = (0..prompts).map(|number| format!("\"the sea {number}\"")).collect();
    format!(
        "prompts: [{}]\nparameter_sets: [careful, {{name: hot, temperature: 1.2}}]\nseeds: [1, 2]\nmax_tokens: 300\n\
         end_tokens: []\nmax_batch_size: 3\n",
        list.join(", ")
    )
}

/// Starts a long sweep, does something to it when its first results are there, and waits for it. Of sweeps ever longer, the
/// first that was hit in the middle: its file of results, the number of runs, and what it said.
fn hit(path: &dyn Fn(&str) -> String, strike: &dyn Fn(&mut Child)) -> (String, String, usize, Output) {
    for prompts in [40, 160, 640, 2560] {
        let (file, out) = (path(&format!("{prompts}.yaml")), path(&format!("{prompts}.jsonl")));
        fs::write(&file, long_sweep(prompts)).unwrap();
        let mut command = argpick();
        command.args(["sweep", &file, "--out", &out]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        while fs::metadata(&out).map_or(0, |found| found.len()) == 0 && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        strike(&mut child);
        let output = child.wait_with_output().unwrap();
        let done = results(&out).len();
        if done < 4 * prompts {
            return (file, out, 4 * prompts, output);
        }
    }
    panic!("no sweep was long enough to be hit in the middle");
}

/// Finishes a sweep, and compares it with one that was not disturbed.
fn finish(file: &str, out: &str, undisturbed: &str, runs: usize) {
    let before = results(out);
    let output = run(&["sweep", file, "--out", out, "--max-batch-size", "7"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let left = format!("{} of {runs} runs are done already; left: {}", before.len(), runs - before.len());
    assert!(before.is_empty() || stderr(&output).contains(&left), "{}", stderr(&output));
    assert!(run(&["sweep", file, "--out", undisturbed]).status.success());
    let (after, whole) = (results(out), results(undisturbed));
    assert_eq!(after.len(), runs);
    assert!(before.iter().all(|(run, line)| after[run] == *line));
    assert_eq!(after, whole);
    assert_eq!(fs::read_to_string(out).unwrap().lines().count(), runs, "no run was done twice");
}

#[test]
fn a_sweep_that_was_killed_goes_on_and_loses_nothing() {
    let (_folder, path) = folder();
    let (file, out, runs, output) = hit(&path, &|child| child.kill().unwrap());
    assert!(output.stdout.is_empty() && !output.status.success());
    // As if it had been hit inside a line.
    let mut bytes = fs::read(&out).unwrap();
    bytes.extend(b"{\"sweep\": \"12");
    fs::write(&out, &bytes).unwrap();
    assert!(!results(&out).is_empty());
    finish(&file, &out, &path("undisturbed.jsonl"), runs);
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_is_done() {
    let (_folder, path) = folder();
    let interrupt = |child: &mut Child| {
        let sent = Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
        assert!(sent.success());
    };
    let (file, out, runs, output) = hit(&path, &interrupt);
    let done = results(&out).len();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = format!("stopped: {done} of {runs} runs are done; the same command goes on from there");
    assert!(stderr(&output).contains(&told), "{}", stderr(&output));
    // What is done is summed up.
    assert!(stdout(&output).contains(&format!("{done} of {runs} runs")) && stdout(&output).contains("distinct-1"));
    finish(&file, &out, &path("undisturbed.jsonl"), runs);
}

#[test]
fn a_changed_sweep_and_a_strange_file_are_refused() {
    let (_folder, path) = folder();
    let (file, out) = (path("sea.yaml"), path("sea.jsonl"));
    fs::write(&file, SWEEP).unwrap();
    assert!(run(&["sweep", &file, "--out", &out]).status.success());
    let kept = fs::read(&out).unwrap();
    fs::write(&file, SWEEP.replace("1.3", "1.4")).unwrap();
    refused(
        &["sweep", &file, "--out", &out],
        1,
        &["sea.jsonl: it holds the results of another sweep", "temperature 1.3 there, 1.4 here", "give another file"],
    );
    fs::write(&file, SWEEP).unwrap();
    let model = path("model.npz");
    fs::write(&model, npz::npz(&npz::model(None))).unwrap();
    refused(&["sweep", &file, "--out", &out, "--weights", &model], 1, &["another sweep", "the model differ"]);
    assert_eq!(fs::read(&out).unwrap(), kept);
    let notes = path("notes.txt");
    fs::write(&notes, "my notes\n").unwrap();
    refused(&["sweep", &file, "--out", &notes], 1, &["notes.txt: line 1: it is no result of a run"]);
    assert_eq!(fs::read_to_string(&notes).unwrap(), "my notes\n");
    refused(&["sweep", &file, "--out", &path("no/such/folder.jsonl")], 1, &["cannot open"]);
}

#[test]
fn unknown_words_are_told_and_columns_hold_their_width() {
    let (_folder, path) = folder();
    let file = path("sweep.yaml");
    let sets = "[{temperature: 0.25, top_k: 50, top_p: 0.9, typical_p: 0.5}, {temperature: 0.25, top_k: 50, top_p: 0.9, typical_p: 0.25}]";
    fs::write(&file, format!("prompts: [the zyxw sea]\nparameter_sets: {sets}\nmax_tokens: 2\n")).unwrap();
    let output = run(&["sweep", &file]);
    let (text, told) = (stdout(&output), stderr(&output));
    assert!(
        told.contains("prompts[0]: the model does not know these words, and takes each for the same: zyxw\n"),
        "{told}"
    );
    // Two tokens have no triple, and what is no number is not shown as one.
    assert!(!text.contains("NaN"), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let of = |title: &str| lines.iter().rposition(|line| line.trim_start().starts_with(title)).unwrap();
    for (head, column) in [(of("run "), "seed"), (of("set  "), "runs")] {
        let end = lines[head].find(column).unwrap() + column.len();
        for (line, tail) in lines[head + 1..head + 3].iter().zip(["typical_p 0.5 ", "typical_p 0.25 "]) {
            assert!(line.contains("...") && line.contains(tail), "the part that differs is there: {line}");
            assert!(line.is_char_boundary(end) && line[..end].ends_with(|c: char| c.is_ascii_digit()), "{text}");
        }
    }
}

#[test]
fn bad_files_and_bad_usage_have_their_codes() {
    let (_folder, path) = folder();
    let file = path("sweep.yaml");
    for (text, parts) in [
        (
            "prompts: [a]\nparameter_sets: [{temprature: 1}]\n",
            &["line 2", "parameter_sets[0].temprature", "temperature?"][..],
        ),
        (
            "prompts: [a]\nparameter_sets: [{top_p: 2}]\n",
            &["parameter_sets[0].top_p is 2; allowed: a number from 0 to 1"],
        ),
        ("prompts: [{tokens: [500]}]\nparameter_sets: [greedy]\n", &["sweep.yaml: prompts[0].tokens[0] is 500", "181"]),
        ("prompts: [a]\nparameter_sets: [greedy]\nend_tokens: [zebra]\n", &["end_tokens[0] is \"zebra\""]),
        ("prompts: [a]\nparameter_sets: [{valid_vocab: 500}]\n", &["parameter_sets[0]", "valid_vocab is 500"]),
        ("", &["the file is empty"]),
    ] {
        fs::write(&file, text).unwrap();
        refused(&["sweep", &file], 1, parts);
    }
    fs::write(&file, b"prompts: [\xff]\n").unwrap();
    refused(&["sweep", &file], 1, &["not UTF-8 at byte 10"]);
    refused(&["sweep", &path("none.yaml")], 1, &["cannot read", "none.yaml"]);
    refused(&["sweep"], 2, &["FILE"]);
    refused(&["sweep", &file, "--rows", "x.npy", "--configs", "y.json"], 2, &["cannot be used with"]);
    refused(&["sweep", "--rows", "x.npy"], 2, &["--configs"]);
    refused(&["sweep", "--rows", "x.npy", "--configs", "y.json", "--out", "z"], 2, &["cannot be used with"]);
    refused(&["sweep", &file, "--row", "1"], 2, &["--rows"]);
    refused(&["sweep", &file, "--retry-errors"], 2, &["--out"]);
    refused(&["sweep", &file, "--max-batch-size", "0"], 2, &["--max-batch-size"]);
}

#[test]
fn a_run_with_a_bad_row_tells_it_and_the_others_go_on() {
    const WORDS: [&str; 4] = ["the", "cat", "sat", "<EOS>"];
    let (_folder, path) = folder();
    let inputs: Vec<&str> = ["<BOS>", "<UNK>"].into_iter().chain(WORDS).collect();
    let columns = inputs.len() + 2;
    let mut weights = vec![0.25f32; 4 * columns];
    // After "cat", whatever came before.
    weights[4 * 3 + 2] = f32::NAN;
    let model = path("model.npz");
    let arrays = [
        npz::floats("W", &format!("(4, {columns})"), &weights).fortran(),
        npz::floats("b", "(4,)", &[0.0, 0.0, 2.0, -9.0]),
        npz::integers("classes", "(4,)", &[0, 1, 2, 3]),
        npz::strings("in_vocab", &inputs),
        npz::strings("out_vocab", &WORDS),
        npz::integers("d2", "()", &[1]),
        npz::integers("d3", "()", &[1]),
    ];
    fs::write(&model, npz::npz(&arrays)).unwrap();
    let (file, out) = (path("sweep.yaml"), path("out.jsonl"));
    fs::write(&file, "prompts: [the cat, the dog]\nparameter_sets: [greedy]\nmax_tokens: 4\n").unwrap();
    let output = run(&["sweep", &file, "--out", &out, "--weights", &model]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("1 of 2 runs ended with an error"), "{}", stderr(&output));
    assert!(stdout(&output).contains("error: the logit of token 2 is NaN"), "{}", stdout(&output));
    let results = results(&out);
    let of = |run: usize| RunRecord::from_line(&results[&run]).unwrap().1;
    assert_eq!((of(0).finish, of(0).steps.tokens.len()), (Termination::Error, 0));
    assert_eq!((of(1).finish, of(1).text.as_str()), (Termination::Length, "sat sat sat sat"));
    // An error is a result, too; it is done again only when asked for.
    let again = run(&["sweep", &file, "--out", &out, "--weights", &model]);
    assert!(again.status.code() == Some(1) && stderr(&again).contains("2 of 2 runs are done already"));
    let again = run(&["sweep", &file, "--out", &out, "--weights", &model, "--retry-errors"]);
    assert!(stderr(&again).contains("1 of 2 runs are done already; left: 1"), "{}", stderr(&again));
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 3);
}
