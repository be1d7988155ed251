//! The command line, by running it.

#[allow(dead_code)]
#[path = "support/npz.rs"]
mod npz;
#[path = "support/tool.rs"]
mod tool;

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tool::{argpick, run, stderr, stdout};

/// A folder with a small model in it, `model.npz`.
fn folder() -> (tempfile::TempDir, impl Fn(&str) -> String) {
    let (folder, path) = tool::folder();
    fs::write(path("model.npz"), npz::npz(&npz::model(None))).unwrap();
    (folder, path)
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn shared() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/sandbox");
    if path.is_dir() {
        Some(path)
    } else {
        println!("skipped: the reference data is not beside the package");
        None
    }
}

const REFERENCES: [(&str, &[&str]); 5] = [
    ("plain", &["--steps", "30"]),
    ("norep", &["--steps", "30", "--no_repeat_window", "5", "--min_steps", "3", "--temp", "1.3"]),
    ("ban", &["--steps", "30", "--ban", "the,of,and", "--stop_punct", "0", "--no_dangling", "0"]),
    ("aan", &["--steps", "30", "--det_a_an", "1", "--no_repeat", "1"]),
    ("topic", &["--steps", "30", "--topic_lock", "1", "--topic_topn", "24", "--no_repeat_window", "5"]),
];

fn records(path: &Path) -> Vec<Value> {
    let file = BufReader::new(fs::File::open(path).unwrap());
    file.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn close(ours: &Value, reference: &Value, place: &str) {
    let (a, b) = (ours.as_f64().unwrap(), reference.as_f64().unwrap());
    assert!((a - b).abs() <= 1e-4, "{place}: {a}, the reference has {b}");
}

#[test]
fn the_reference_traces_are_reproduced() {
    let Some(shared) = shared() else { return };
    let (folder, path) = folder();
    let (weights, contexts) = (shared.join("austen_small.npz"), shared.join("austen_contexts.json"));
    for (name, options) in REFERENCES {
        for level in ["scalar", ""] {
            let (jsonl, csv) = (path("trace.jsonl"), path("curve.csv"));
            let mut command = argpick();
            command.arg("decode").arg("--weights").arg(&weights).arg("--contexts").arg(&contexts).args(options);
            command.args(["--trace_out", &jsonl, "--csv_out", &csv]);
            if !level.is_empty() {
                command.args(["--kernel", level]);
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{name}: {}", stderr(&output));

            let ours = records(Path::new(&jsonl));
            let reference = records(&shared.join(format!("reference_{name}.jsonl")));
            assert_eq!(ours.len(), reference.len(), "{name}");
            let mut compared = 0;
            for (line, (ours, reference)) in ours.iter().zip(&reference).enumerate() {
                let place = format!("{name} line {}", line + 1);
                for field in ["context_start", "step", "picked", "mode", "temp"] {
                    assert_eq!(ours[field], reference[field], "{place}: {field}");
                }
                for field in ["margin", "p_top1", "entropy"] {
                    close(&ours[field], &reference[field], &format!("{place}: {field}"));
                }
                let (ours, reference) = (ours["top"].as_array().unwrap(), reference["top"].as_array().unwrap());
                let unmasked: Vec<&Value> = reference.iter().filter(|top| top[1].as_f64().unwrap() > -1e29).collect();
                assert_eq!(ours.len(), unmasked.len(), "{place}: top");
                for (ours, reference) in ours.iter().zip(unmasked) {
                    assert_eq!(ours[0], reference[0], "{place}: top");
                    close(&ours[1], &reference[1], &format!("{place}: top"));
                    compared += 1;
                }
            }
            assert!(compared > 100);

            let ours = fs::read_to_string(&csv).unwrap();
            let reference = fs::read_to_string(shared.join(format!("reference_{name}.csv"))).unwrap();
            assert_eq!(ours.lines().count(), reference.lines().count());
            assert_eq!(ours.lines().next(), reference.lines().next().map(str::trim_end));
            for (ours, reference) in ours.lines().zip(reference.lines()).skip(1) {
                let (ours, reference): (Vec<&str>, Vec<&str>) =
                    (ours.split(',').collect(), reference.trim_end().split(',').collect());
                assert_eq!(ours.len(), reference.len());
                assert_eq!(ours[..5], reference[..5]);
                for (ours, reference) in ours[5..].iter().zip(&reference[5..]) {
                    let (a, b): (f64, f64) = (ours.parse().unwrap(), reference.parse().unwrap());
                    assert!((a - b).abs() <= 1e-4, "{name}: {ours}, the reference has {reference}");
                }
            }
        }
    }
    assert_eq!(names(folder.path()), ["curve.csv", "model.npz", "trace.jsonl"]);
}

#[test]
fn the_field_order_is_that_of_the_references() {
    let (_folder, path) = folder();
    let (model, trace) = (path("model.npz"), path("t"));
    assert!(run(&["decode", "--weights", &model, "--context", "x", "--trace-out", &trace]).status.success());
    let text = fs::read_to_string(trace).unwrap();
    let line = text.lines().next().unwrap();
    let fields = ["context_start", "step", "picked", "mode", "temp", "margin", "p_top1", "entropy", "top"];
    let places: Vec<usize> = fields.iter().map(|field| line.find(&format!("\"{field}\": ")).unwrap()).collect();
    assert!(places.is_sorted(), "{line}");
    assert!(line.starts_with(
        "{\"context_start\": \"x\", \"step\": 0, \"picked\": \"7up\", \"mode\": \"greedy\", \"temp\": 1.0, "
    ));
}

#[test]
fn the_report_names_everything() {
    let (_folder, path) = folder();
    let output = run(&["decode", "--weights", &path("model.npz"), "--context", "the cat zebra", "--steps", "6"]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    for wanted in [
        "16 words, 23 columns",
        "greedy, temperature 1, 6 steps",
        "rules    no-dangling, stop-punct",
        "[1] the cat zebra",
        "best logits",
        "7up 8.00",
        "the cat zebra | 7up 7up 7up",
        "3 in (1 unknown), 6 out; stopped by the number of steps",
        "cliffs      none",
        "loops       1 of 1 text",
        "period 1, 6.0 times: 7up ...",
        "attractors  none",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
    assert!(text.contains("steps 1 to 5 repeat the last 1") && !text.contains("\n       1  7up"), "{text}");
    let all = stdout(&run(&["decode", "--weights", &path("model.npz"), "--context", "the cat", "--all-steps"]));
    assert!(all.contains("\n       1  7up") && all.contains("\n      19  7up") && !all.contains("repeat the last"));
    let quiet = stdout(&run(&["decode", "--weights", &path("model.npz"), "--context", "the cat", "--quiet"]));
    assert!(!quiet.contains("best logits") && quiet.contains("7up"));
}

#[test]
fn repetition_is_penalised_forbidden_and_ended() {
    let (_folder, path) = folder();
    let model = path("model.npz");
    let decode = |more: &[&str]| {
        let mut arguments =
            vec!["decode", "--weights", &model, "--context", "the cat", "--stop-punct", "0", "--steps", "40"];
        arguments.extend(more);
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{more:?}");
        stdout(&output)
    };
    let looped = decode(&["--loop-repeats", "3"]);
    assert!(looped.contains("| 7up 7up 7up\n") && looped.contains("3 out; stopped by a loop"), "{looped}");
    // Every word once, and then there is none left.
    let once = decode(&["--no-repeat-ngram", "1", "--min-tokens", "30"]);
    assert!(once.contains("no-repeat-ngram 1, min-tokens 30"), "{once}");
    assert!(once.contains("stopped by the rules: nothing is left to pick"), "{once}");
    for penalty in [
        ["--repetition-penalty", "50"],
        ["--frequency_penalty", "9"],
        ["--presence-penalty", "9"],
        ["--dry-multiplier", "20"],
    ] {
        let text = decode(&[penalty[0], penalty[1], "--dry-allowed-length", "1", "--quiet"]);
        assert!(!text.contains("7up 7up 7up 7up"), "{penalty:?}: {text}");
    }
    let refused = run(&["decode", "--weights", &model, "--context", "a", "--repetition-penalty", "0"]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && message.contains("repetition_penalty is 0"), "{message}");
}

#[test]
fn json_is_one_document() {
    let (_folder, path) = folder();
    let model = path("model.npz");
    let output = run(&[
        "decode",
        "--weights",
        &model,
        "--json",
        "--context",
        "a",
        "--context",
        "b",
        "--mode",
        "sample",
        "--temp",
        "2.5",
        "--topk",
        "9",
        "--top-p",
        "0.9",
        "--min-p",
        "0.01",
        "--seed",
        "18446744073709551615",
        "--stream",
        "3",
        "--top",
        "2",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["model"]["vocab"], 16);
    assert_eq!(document["parameters"]["seed"], u64::MAX);
    assert_eq!(document["parameters"]["temp"], 2.5);
    assert_eq!(document["texts"].as_array().unwrap().len(), 2);
    assert_eq!(document["texts"][1]["stream"], 4);
    let step = &document["texts"][0]["steps"][0];
    assert_eq!(step["top"].as_array().unwrap().len(), 2);
    assert!(step["rank"].as_u64().unwrap() < 9 && step["logprob"].as_f64().unwrap() <= 0.0);
    // The same again, on other kernels too.
    let again = |level: &str| {
        let mut command = argpick();
        command.args(["decode", "--weights", &model, "--json", "--context", "a", "--mode", "sample", "--temp", "5"]);
        let mut document: Value =
            serde_json::from_slice(&command.env("ARGPICK_KERNEL", level).output().unwrap().stdout).unwrap();
        assert_eq!(document["kernel"], level);
        document["kernel"] = Value::Null;
        document
    };
    assert_eq!(again("scalar"), again("portable"));
}

#[test]
fn no_number_is_null() {
    let (_folder, path) = folder();
    let ban = npz::WORDS.iter().map(|&(word, _)| word).filter(|&word| word != "cat").collect::<Vec<_>>().join(",");
    let model = path("model.npz");
    let output = run(&["decode", "--weights", &model, "--json", "--context", "a", "--steps", "1", "--ban", &ban]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["texts"][0]["steps"][0]["margin"], Value::Null);
    assert_eq!(document["texts"][0]["steps"][0]["allowed"], 1);
}

#[test]
fn bad_input_is_one_clear_line() {
    let (folder, path) = folder();
    let model = path("model.npz");
    fs::write(path("broken.json"), "{\"contexts\": [\"a\",").unwrap();
    fs::write(path("other.json"), "{\"prompts\": [\"a\"]}").unwrap();
    fs::write(path("empty.txt"), "\n").unwrap();
    fs::write(path("binary.txt"), b"a\xff\xfe").unwrap();
    fs::write(path("noise.npz"), "this is no archive").unwrap();
    fs::write(path("cut.npz"), &npz::npz(&npz::model(None))[..700]).unwrap();
    let without = |name: &str| {
        let mut arrays = npz::model(None);
        arrays.retain(|array| !array.is(name));
        fs::write(path(&format!("no_{name}.npz")), npz::npz(&arrays)).unwrap();
    };
    ["W", "b", "classes", "in_vocab", "out_vocab", "d2", "d3"].into_iter().for_each(without);
    let mut arrays = npz::model(None);
    arrays.retain(|array| !array.is("d2"));
    arrays.push(npz::integers("d2", "()", &[7]));
    fs::write(path("misfit.npz"), npz::npz(&arrays)).unwrap();
    let mut logits = vec![1.0; npz::WORDS.len()];
    logits[5] = f32::NAN;
    fs::write(path("nan.npz"), npz::npz(&npz::model(Some(&logits)))).unwrap();
    let before = names(folder.path());

    let cases: Vec<(Vec<String>, &[&str])> = vec![
        (vec!["--weights".into(), path("none.npz"), "--context".into(), "a".into()], &["none.npz"]),
        (vec!["--weights".into(), path("noise.npz"), "--context".into(), "a".into()], &["noise.npz"]),
        (vec!["--weights".into(), path("cut.npz"), "--context".into(), "a".into()], &["cut.npz"]),
        (vec!["--weights".into(), path("misfit.npz"), "--context".into(), "a".into()], &["'W' has 23", "= 28"]),
        (vec!["--weights".into(), path("nan.npz"), "--context".into(), "a".into()], &["token 5", "NaN"]),
        (vec!["--weights".into(), path("no_W.npz"), "--context".into(), "a".into()], &["W"]),
        (vec!["--weights".into(), path("no_b.npz"), "--context".into(), "a".into()], &["b"]),
        (vec!["--weights".into(), path("no_classes.npz"), "--context".into(), "a".into()], &["classes"]),
        (vec!["--weights".into(), path("no_in_vocab.npz"), "--context".into(), "a".into()], &["in_vocab"]),
        (vec!["--weights".into(), path("no_out_vocab.npz"), "--context".into(), "a".into()], &["out_vocab"]),
        (vec!["--weights".into(), path("no_d2.npz"), "--context".into(), "a".into()], &["d2"]),
        (vec!["--weights".into(), path("no_d3.npz"), "--context".into(), "a".into()], &["d3"]),
        (
            vec!["--weights".into(), model.clone(), "--contexts".into(), path("none.json")],
            &["cannot read", "none.json"],
        ),
        (
            vec!["--weights".into(), model.clone(), "--contexts".into(), path("broken.json")],
            &["broken.json", "at byte 18"],
        ),
        (
            vec!["--weights".into(), model.clone(), "--contexts".into(), path("other.json")],
            &["other.json", "\"contexts\""],
        ),
        (vec!["--weights".into(), model.clone(), "--contexts".into(), path("empty.txt")], &["empty.txt", "no prompts"]),
        (
            vec!["--weights".into(), model.clone(), "--contexts".into(), path("binary.txt")],
            &["binary.txt", "at byte 1"],
        ),
        (vec!["--weights".into(), model.clone(), "--contexts".into(), path(".")], &["cannot read"]),
    ];
    for (arguments, wanted) in &cases {
        let output = argpick()
            .arg("decode")
            .args(arguments)
            .args(["--trace-out", &path("t.jsonl"), "--csv-out", &path("t.csv"), "--plot", &path("t.svg")])
            .output()
            .unwrap();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{arguments:?}: {message}");
        assert!(message.starts_with("argpick: "), "{message}");
        for wanted in *wanted {
            assert!(message.contains(wanted), "{wanted:?} is not in {message}");
        }
        assert_eq!(names(folder.path()), before, "{arguments:?} left a file");
    }
    for option in ["--trace-out", "--csv-out", "--plot"] {
        for target in [path("no/such/folder"), path(".")] {
            let output = run(&["decode", "--weights", &model, "--context", "a", option, &target]);
            assert_eq!(output.status.code(), Some(1));
            assert!(output.stdout.is_empty());
            assert_eq!(stderr(&output).lines().count(), 1);
            assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));
        }
    }
    assert_eq!(names(folder.path()), before);
}

#[test]
fn a_failed_run_leaves_the_old_trace() {
    let (folder, path) = folder();
    let mut logits = vec![1.0; npz::WORDS.len()];
    logits[5] = f32::INFINITY;
    fs::write(path("bad.npz"), npz::npz(&npz::model(Some(&logits)))).unwrap();
    fs::write(path("trace"), "old").unwrap();
    let output = run(&["decode", "--weights", &path("bad.npz"), "--context", "a", "--trace-out", &path("trace")]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(path("trace")).unwrap(), "old");
    assert_eq!(names(folder.path()), ["bad.npz", "model.npz", "trace"]);
}

#[test]
fn pickled_vocabularies_are_refused_by_name() {
    let Some(shared) = shared() else { return };
    let path = shared.join("pickled_vocab.npz");
    let output = run(&["decode", "--weights", path.to_str().unwrap(), "--context", "a"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}

#[test]
fn bad_usage_is_exit_code_2() {
    let bad: [&[&str]; 15] = [
        &[],
        &["dance"],
        &["decode", "--steps", "-1"],
        &["decode", "--steps", "many"],
        &["decode", "--temp", "-1"],
        &["decode", "--temp", "nan"],
        &["decode", "--temp", "inf"],
        &["decode", "--temp", "1e-60"],
        &["decode", "--top-p", "1.5"],
        &["decode", "--min-p", "-0.1"],
        &["decode", "--mode", "beam"],
        &["decode", "--kernel", "mmx"],
        &["decode", "--stop-punct", "maybe"],
        &["decode", "--top", "1001"],
        &["decode", "--no-such-option"],
    ];
    for arguments in bad {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["decode", "--help"],
        &["train", "--help"],
        &["pack", "--help"],
        &["inspect", "--help"],
        &["kernels", "--help"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty() && !output.stdout.is_empty());
    }
}

#[test]
fn options_have_two_spellings() {
    let (_folder, path) = folder();
    let model = path("model.npz");
    let with = |arguments: &[&str]| {
        let output = argpick()
            .args(["decode", "--weights", &model, "--context", "the an", "--json"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        document
    };
    let plain = with(&[]);
    for (option, value) in [
        ("min-steps", "2"),
        ("stop-punct", "0"),
        ("no-repeat", "1"),
        ("no-repeat-window", "3"),
        ("no-dangling", "0"),
        ("det-a-an", "1"),
        ("topic-lock", "1"),
        ("topic-keep", "of"),
        ("topic-topn", "2"),
        ("ban", "cat"),
        ("topk", "4"),
        ("min-p", "0.5"),
        ("top-p", "0.5"),
    ] {
        let hyphens = with(&[&format!("--{option}"), value]);
        assert_ne!(hyphens["parameters"], plain["parameters"], "{option}");
        assert_eq!(hyphens, with(&[&format!("--{}", option.replace('-', "_")), value]), "{option}");
    }
    assert_eq!(with(&["--no-repeat"]), with(&["--no-repeat", "1"]));
    assert_eq!(with(&["--ban", "cat, of"]), with(&["--ban", "cat", "--ban", "of"]));
}

#[test]
fn unheard_words_get_a_remark() {
    let (_folder, path) = folder();
    let output = run(&[
        "decode",
        "--weights",
        &path("model.npz"),
        "--context",
        "a",
        "--ban",
        "CAT,zebra",
        "--topic-keep",
        "gnu",
    ]);
    assert_eq!(output.status.code(), Some(0));
    let remarks: Vec<String> =
        stderr(&output).lines().filter(|line| line.contains("no word")).map(String::from).collect();
    assert_eq!(remarks.len(), 2);
    assert!(stderr(&output).contains("\"zebra\"") && stderr(&output).contains("\"gnu\""));
    assert!(stdout(&output).contains("ban cat,zebra"));
}

#[test]
fn the_plot_is_an_svg_with_every_curve() {
    let (_folder, path) = folder();
    let svg = path("plot.svg");
    let model = path("model.npz");
    let mut arguments = vec!["decode", "--weights", &model, "--plot", &svg];
    let contexts: Vec<String> = (0..14).map(|index| format!("<{index}> & \u{1} cat")).collect();
    contexts.iter().for_each(|context| arguments.extend(["--context", context]));
    let output = run(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let drawing = fs::read_to_string(svg).unwrap();
    assert!(drawing.trim_start().starts_with("<svg") && drawing.trim_end().ends_with("</svg>"));
    for wanted in ["Entropy", "Top-1 probability", "Margin", "step", "nats", "[12] &lt;11&gt; &amp;", "2 more texts"] {
        assert!(drawing.contains(wanted), "{wanted}");
    }
    assert_eq!(drawing.matches("stroke-width=\"2\"").count(), 3 * contexts.len());
    assert!(!drawing.contains('\u{1}'));
    // Nothing to draw is still a drawing.
    let none = path("none.svg");
    assert!(run(&["decode", "--weights", &model, "--context", "a", "--steps", "0", "--plot", &none]).status.success());
    assert!(fs::read_to_string(none).unwrap().contains("Entropy"));
}

#[test]
fn words_of_a_file_cannot_steer_the_terminal() {
    let (_folder, path) = folder();
    let mut arrays = npz::model(None);
    arrays.retain(|array| !array.is("out_vocab"));
    let words: Vec<&str> =
        npz::WORDS.iter().map(|&(word, _)| if word == "7up" { "\u{1b}[2J\u{7}" } else { word }).collect();
    arrays.push(npz::strings("out_vocab", &words));
    fs::write(path("rude.npz"), npz::npz(&arrays)).unwrap();
    let output = run(&["decode", "--weights", &path("rude.npz"), "--context", "\u{1b}[31m", "--steps", "2"]);
    assert!(output.status.success());
    assert!(!stdout(&output).contains(['\u{1b}', '\u{7}']));
    assert!(stdout(&output).contains("\u{fffd}[2J"));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let (_folder, path) = folder();
    let (model, trace) = (path("model.npz"), path("trace"));
    let mut child = argpick()
        .args(["decode", "--weights", &model, "--context", "a", "--steps", "20000", "--trace-out", &trace])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("model"));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
    assert_eq!(fs::read_to_string(trace).unwrap().lines().count(), 20_000);
}

#[test]
fn kernels_are_listed_with_the_choice() {
    let output = run(&["kernels", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let levels = document["levels"].as_array().unwrap();
    let chosen = document["chosen"].as_str().unwrap();
    assert!(levels.iter().any(|level| level["name"] == chosen && level["available"] == true));
    for level in levels {
        let name = level["name"].as_str().unwrap();
        let forced = argpick().arg("kernels").env("ARGPICK_KERNEL", name).output().unwrap();
        let expected = if level["available"] == true { 0 } else { 1 };
        assert_eq!(forced.status.code(), Some(expected), "{name}");
        assert!(expected == 1 || stdout(&forced).contains(&format!("in use     {name}: ARGPICK_KERNEL={name}")));
    }
    let wrong = argpick().arg("kernels").env("ARGPICK_KERNEL", "mmx").output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("ARGPICK_KERNEL"));
    let wrong = argpick().args(["decode", "--context", "a"]).env("ARGPICK_KERNEL", "mmx").output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
}

#[test]
fn without_arguments_the_embedded_model_speaks() {
    let greedy: Value = serde_json::from_slice(&run(&["decode", "--json"]).stdout).unwrap();
    let texts = greedy["texts"].as_array().unwrap();
    let loops =
        |document: &Value| document["texts"].as_array().unwrap().iter().filter(|text| !text["loop"].is_null()).count();
    assert!(texts.len() >= 6 && loops(&greedy) >= 3);
    assert!(!greedy["summary"]["cliffs"].as_array().unwrap().is_empty());
    let attractors = greedy["summary"]["attractors"].as_array().unwrap();
    assert!(attractors.iter().any(|attractor| attractor["texts"].as_array().unwrap().len() >= 3));
    for breaks in [&["--no-repeat-window", "5"][..], &["--mode", "sample"]] {
        let document: Value =
            serde_json::from_slice(&argpick().args(["decode", "--json"]).args(breaks).output().unwrap().stdout)
                .unwrap();
        assert!(loops(&document) < loops(&greedy), "{breaks:?} breaks no loop");
    }
    let other = run(&["decode", "--context", "In winter", "--quiet"]);
    assert!(stdout(&other).contains("[1] In winter") && !stdout(&other).contains("[2]"));
    let (_folder, path) = folder();
    let prompts_missing = run(&["decode", "--weights", &path("model.npz")]);
    assert_eq!(prompts_missing.status.code(), Some(1));
    assert!(stderr(&prompts_missing).contains("--context"));
}

#[test]
fn a_packed_model_says_the_same() {
    let (_folder, path) = folder();
    let model = path("model.npz");
    let spoken = |weights: &str| {
        let output =
            run(&["decode", "--weights", weights, "--json", "--context", "the cat", "--mode", "sample", "--temp", "4"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        (document["texts"].clone(), document["model"]["notes"].as_array().unwrap().len())
    };
    let (texts, notes) = spoken(&model);
    assert_eq!(notes, 1, "a row-major W is copied, and the report says so");
    for name in ["packed.npz", "packed.safetensors"] {
        let packed = path(name);
        let output = run(&["pack", "--in", &model, "--out", &packed, "--dtype", "f32"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(spoken(&packed), (texts.clone(), 0), "{name}");
        let listed = run(&["inspect", &packed, "--json"]);
        assert!(serde_json::from_slice::<Value>(&listed.stdout).is_ok());
    }
}
