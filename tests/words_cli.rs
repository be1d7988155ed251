//! The options of `argpick decode` that name words, and each reason why a text ends, by running it.
#![cfg(feature = "cli")]

#[allow(dead_code)]
#[path = "support/npz.rs"]
mod npz;
#[path = "support/tool.rs"]
mod tool;

use serde_json::Value;
use std::fs;
use tool::{folder, json_of, run, stderr, stdout};

const WORDS: [&str; 5] = ["the", "cat", "sat", ".", "<EOS>"];

/// A model that always says the same: "the" before "cat" before "sat" before the end of a sentence and of the text.
fn model(folder: &impl Fn(&str) -> String) -> String {
    let inputs: Vec<&str> = ["<BOS>", "<UNK>"].into_iter().chain(WORDS).collect();
    let features = inputs.len() + 11 + 13;
    let bytes = npz::npz(&[
        npz::floats("W", &format!("(5, {features})"), &vec![0.0; 5 * features]),
        npz::floats("b", "(5,)", &[4.0, 3.0, 2.0, 1.0, 0.5]),
        npz::integers("classes", "(5,)", &[0, 1, 2, 3, 4]),
        npz::strings("in_vocab", &inputs),
        npz::strings("out_vocab", &WORDS),
        npz::integers("d2", "()", &[11]),
        npz::integers("d3", "()", &[13]),
    ]);
    let path = folder("model.npz");
    fs::write(&path, bytes).unwrap();
    path
}

/// Each option by what it makes of the text, with the reason why that ended.
#[test]
fn each_option_about_words_does_what_it_says() {
    let (_guard, path) = folder();
    let model = model(&path);
    let cases: [(&[&str], &str, &str); 26] = [
        (&[], "the the the the", "steps"),
        (&["--bias", "cat=1.5"], "cat cat cat cat", "steps"),
        (&["--bias", "the=-inf", "--bias", "cat=-9"], "sat sat sat sat", "steps"),
        (&["--forced", "1=sat", "--forced", "2=cat"], "the sat cat the", "steps"),
        (&["--forced", "1=<EOS>"], "the", "end token"),
        (&["--bad-sequence", "the the"], "the cat the cat", "steps"),
        (&["--bad-sequence", "the", "--bad-sequence", "cat cat"], "cat sat cat sat", "steps"),
        (&["--sequence-bias", "the sat=3"], "the sat the sat", "steps"),
        (&["--end-words", "sat,the"], "", "end token"),
        (&["--end-words", "the", "--min-tokens", "2"], "cat cat", "end token"),
        (&["--stop", "the the the"], "the the the", "stop sequence"),
        (&["--stop", "cat", "--stop", "the"], "the", "stop sequence"),
        (&["--stop", "the", "--min-tokens", "3"], "the the the", "stop sequence"),
        (&["--stop-string", "e t"], "th", "stop string"),
        (&["--stop-string", "e the thé", "--stop-string", " the t"], "the", "stop string"),
        (&["--stop-string", "the", "--min-tokens", "3"], "the the ", "stop string"),
        (&["--loop-repeats", "3"], "the the the", "loop"),
        (&["--loop-repeats", "2", "--loop-period", "1", "--bad-sequence", "the the"], "the cat the cat", "steps"),
        (&["--length-decay-factor", "3", "--length-decay-start", "1"], "the the the", "end token"),
        (&["--forced", "1=."], "the.", "punctuation"),
        (&["--no-repeat-ngram", "1", "--min-tokens", "9", "--ban", "."], "the cat sat", "mask exhausted"),
        (&["--dry-multiplier", "9", "--dry-allowed-length", "1"], "the the cat the", "steps"),
        (&["--dry-multiplier", "9", "--dry-allowed-length", "1", "--breaker", "the"], "the the the the", "steps"),
        (&["--dry-multiplier", "9", "--dry-allowed-length", "1", "--dry-window", "1"], "the the the the", "steps"),
        (&["--no-repeat-ngram", "1", "--history-capacity", "1"], "the cat the cat", "steps"),
        (&["--presence-penalty", "2", "--penalty-scope", "generated"], "the cat the the", "steps"),
    ];
    for (options, text, stop) in cases {
        let mut arguments =
            vec!["decode", "--weights", &model, "--context", "x", "--steps", "4", "--json", "--no-dangling", "0"];
        arguments.extend(options);
        let found = &json_of(&arguments, 0)["texts"][0];
        assert_eq!((&found["continuation"], &found["stop"]), (&text.into(), &stop.into()), "{options:?}: {found}");
    }
    // The prompt counts, unless it is told not to.
    let first = |options: &[&str]| {
        let mut arguments = vec!["decode", "--weights", &model, "--context", "the", "--steps", "1", "--json"];
        arguments.extend(["--presence-penalty", "2"]);
        arguments.extend(options);
        json_of(&arguments, 0)["texts"][0]["continuation"].clone()
    };
    assert_eq!(first(&[]), "cat");
    assert_eq!(first(&["--penalty-scope", "generated"]), "the");
}

#[test]
fn the_report_names_the_reason_and_the_lists() {
    let (_guard, path) = folder();
    let model = model(&path);
    let report = |options: &[&str]| {
        let mut arguments = vec!["decode", "--weights", &model, "--context", "x", "--steps", "4"];
        arguments.extend(options);
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    let reasons: [(&[&str], &str); 8] = [
        (&[], "stopped by the number of steps"),
        (&["--end-words", "the"], "stopped by the end token"),
        (&["--forced", "0=."], "stopped by punctuation"),
        (&["--stop", "the the"], "stopped by a stop sequence"),
        (&["--stop-string", "e t"], "stopped by the stop string \"e t\""),
        (&["--loop-repeats", "2"], "stopped by a loop"),
        (&["--ban", "the,cat,sat,.", "--min-tokens", "2"], "stopped by the rules: nothing is left to pick"),
        (&["--bad-sequence", "the", "--ban", "cat,sat,.,<EOS>"], "stopped by the rules: nothing is left to pick"),
    ];
    for (options, reason) in reasons {
        let text = report(options);
        assert!(text.contains(reason), "{options:?}: {text}");
    }
    let text = report(&["--stop-string", "e t", "--bias", "sat=-1", "--length-decay-factor", "1.5"]);
    assert!(text.contains("| th\n") && text.contains("stop-string: e t") && text.contains("bias: sat=-1"), "{text}");
    assert!(text.contains("length-decay 1.5^n from 0"), "{text}");
    let arguments = ["decode", "--weights", &model, "--context", "x", "--stop-string", "e t", "--json"];
    let document = json_of(&arguments, 0);
    let text = &document["texts"][0];
    assert_eq!((&text["stop_string"], &text["held_back"]), (&"e t".into(), &5.into()));
    assert_eq!(document["parameters"]["words"]["stop_string"], serde_json::json!(["e t"]));
}

#[test]
fn words_that_are_not_there_are_refused() {
    let (_guard, path) = folder();
    let model = model(&path);
    let refused = |options: &[&str], code: i32, what: &str| {
        let mut arguments = vec!["decode", "--weights", &model, "--context", "x"];
        arguments.extend(options);
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(code), "{options:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(what), "{options:?}: {}", stderr(&output));
    };
    for option in ["--stop", "--breaker", "--bad-sequence", "--end-words"] {
        refused(&[option, "zebra"], 1, "zebra");
    }
    refused(&["--stop", "the zebra"], 1, "stop: the model has no word \"zebra\"");
    refused(&["--stop", "--,"], 2, "");
    refused(&["--stop", ",,"], 1, "no word");
    refused(&["--stop-string", ""], 1, "--stop-string: it must not be empty");
    refused(&["--end-words", "the cat"], 1, "more than one word");
    refused(&["--bias", "the"], 2, "the=-1.5");
    refused(&["--bias", "the=x"], 2, "x");
    refused(&["--bias", "the=nan"], 2, "finite, or -inf");
    refused(&["--sequence-bias", "the cat=inf"], 2, "finite, or -inf");
    refused(&["--bias", "the=1", "--bias", "the=2"], 1, "--bias: \"the\" stands twice");
    refused(&["--sequence-bias", "the cat"], 2, "=");
    refused(&["--forced", "the=0"], 2, "the");
    refused(&["--forced", "0=the", "--forced", "0=cat"], 1, "--forced: place 0 stands twice");
}

/// A recording has the text, so that a replay ends where the run did; and lists may be longer than the decoder's default.
#[test]
fn a_run_with_a_stop_string_is_recorded_and_replayed() {
    let (_guard, path) = folder();
    let model = model(&path);
    let record = path("run.apkt");
    let long = "the sat ".repeat(100);
    let arguments = [
        "decode",
        "--weights",
        &model,
        "--context",
        "x",
        "--context",
        "y",
        "--stop-string",
        "the the t",
        "--record",
        &record,
        "--stop-string",
        &long,
        "--json",
    ];
    let document: Value = json_of(&arguments, 0);
    assert_eq!(document["texts"][1]["stop"], "stop string");
    assert_eq!(document["texts"][1]["continuation"], "");
    let output = run(&["replay", &record, "--weights", &model]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}
