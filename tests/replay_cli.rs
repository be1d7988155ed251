//! `argpick decode --record`, `argpick replay` and `argpick explain`, by running them.
#![cfg(feature = "cli")]

#[allow(dead_code)]
#[path = "support/npz.rs"]
mod npz;
#[path = "support/tool.rs"]
mod tool;

use argpick::{Config, Decoder, Metrics, Mode, Profile, Recorder, Trace, TraceParts};
use serde_json::Value;
use std::fs;
use tool::{folder, json_of, matrix, npy, run, stderr, stdout};

fn rows(count: usize, vocab: usize) -> Vec<Vec<f32>> {
    let mut state = 7;
    let mut next = || {
        state = argpick::rng::mix(state);
        (state >> 40) as f32 / 1_000_000.0 - 8.0
    };
    (0..count).map(|_| (0..vocab).map(|_| next()).collect()).collect()
}

#[test]
fn a_recorded_session_replays_on_every_level_from_the_model() {
    let (_folder, path) = folder();
    fs::write(path("model.npz"), npz::npz(&npz::model(None))).unwrap();
    let (model, trace) = (path("model.npz"), path("run.trace"));
    let options = ["--mode", "sample", "--temp", "1.3", "--seed", "5", "--steps", "12", "--min-p", "0.05"];
    let decode = |extra: &[&str]| {
        let mut arguments = vec!["decode", "--record", &trace, "--json"];
        arguments.extend(options);
        arguments.extend(extra);
        json_of(&arguments, 0)
    };
    for weights in [Some(&model), None] {
        let extra: &[&str] = match weights {
            Some(model) => &["--weights", model, "--context", "a b", "--context", "b"],
            None => &[],
        };
        let decoded = decode(extra);
        let texts = decoded["texts"].as_array().unwrap();
        let steps: usize = texts.iter().map(|text| text["steps"].as_array().unwrap().len()).sum();
        assert!(steps > texts.len());
        for level in ["scalar", "portable", ""] {
            let mut arguments = vec!["replay", &trace, "--json"];
            if !level.is_empty() {
                arguments.extend(["--kernel", level]);
            }
            if let Some(model) = weights {
                arguments.extend(["--weights", model]);
            }
            let replayed = json_of(&arguments, 0);
            assert_eq!(replayed["checked"], steps);
            assert_eq!(replayed["agrees"], true);
            assert_eq!(replayed["complete"], true);
            assert_eq!(replayed["difference"], Value::Null);
            assert_eq!(replayed["seed"], 5);
            assert_eq!(replayed["parameters"]["temperature"], f64::from(1.3f32));
        }
    }
    // The trace is that of the model inside; the other one does not fit.
    let output = run(&["replay", &trace, "--weights", &model]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("logits, the trace has"), "{}", stderr(&output));
    let text = stdout(&run(&["replay", &trace]));
    assert!(text.contains("agrees   ") && text.contains("seed 5"), "{text}");
}

#[test]
fn a_text_that_ended_with_the_end_token_replays() {
    let (_folder, path) = folder();
    let trace = path("run.trace");
    let options = ["--mode", "sample", "--temp", "1.2", "--steps", "60", "--stop-punct", "0"];
    let decoded = json_of(&[&["decode", "--record", &trace, "--json"], &options[..]].concat(), 0);
    let stops: Vec<&str> =
        decoded["texts"].as_array().unwrap().iter().map(|text| text["stop"].as_str().unwrap()).collect();
    assert!(stops.contains(&"end token"), "{stops:?}");
    assert_eq!(json_of(&["replay", &trace, "--json"], 0)["agrees"], true);
}

/// A trace of steps on these rows.
fn record(path: &str, rows: &[Vec<f32>], masks: Option<&[Vec<u32>]>, parts: TraceParts) {
    let config = Config { seed: 11, top_p: 0.9, metrics: Metrics::ALL, ..Config::default() };
    let mut decoder = Decoder::new(&config, rows[0].len()).unwrap();
    let mut recorder = Recorder::new(Vec::new(), &decoder, parts);
    recorder.note("the first\ntext");
    recorder.prompt(&mut decoder, &[1, 2, 3]).unwrap();
    for (i, row) in rows.iter().enumerate() {
        if i == 4 {
            recorder.note("the second text");
        }
        recorder.decode(&mut decoder, row, masks.map(|masks| &masks[i][..])).unwrap();
    }
    fs::write(path, recorder.finish().unwrap()).unwrap();
}

#[test]
fn one_ulp_is_named_with_its_step_and_as_a_changed_row() {
    let (_folder, path) = folder();
    let (mut logits, trace, file) = (rows(8, 300), path("run.trace"), path("rows.npy"));
    record(&trace, &logits, None, TraceParts::default());
    fs::write(&file, matrix(&logits)).unwrap();
    let text = stdout(&run(&["replay", &trace, "--rows", &file]));
    assert!(text.contains("agrees   8 of 8 steps"), "{text}");

    logits[5][123] = f32::from_bits(logits[5][123].to_bits() ^ 1);
    fs::write(&file, matrix(&logits)).unwrap();
    let output = run(&["replay", &trace, "--rows", &file]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("differs  step 5, position 5") && text.contains("row      another one"), "{text}");
    assert!(text.contains("within   the second text"), "{text}");
    assert!(stderr(&output).contains("step 5 does not come out as recorded"), "{}", stderr(&output));
    let found = json_of(&["replay", &trace, "--rows", &file, "--json"], 1);
    let difference = &found["difference"];
    assert_eq!((&difference["step"], &found["agrees"]), (&Value::from(5), &Value::from(false)));
    assert_ne!(difference["row"]["recorded"], difference["row"]["found"]);
    assert_eq!(difference["mask"], Value::Null);

    // A row that is quite another one: the answer is, too, and the field is named.
    logits[2].iter_mut().for_each(|logit| *logit = -*logit);
    fs::write(&file, matrix(&logits)).unwrap();
    let found = json_of(&["replay", &trace, "--rows", &file, "--json"], 1);
    assert_eq!((&found["difference"]["step"], &found["difference"]["field"]["name"]), (&2.into(), &"token".into()));
    assert_eq!(found["difference"]["note"], "the first\ntext");
}

#[test]
fn rows_in_another_order_are_told_with_the_step_they_belong_to() {
    let (_folder, path) = folder();
    let (mut logits, trace, file) = (rows(8, 300), path("run.trace"), path("rows.npy"));
    record(&trace, &logits, None, TraceParts::default());
    logits.swap(2, 6);
    fs::write(&file, matrix(&logits)).unwrap();
    let text = stdout(&run(&["replay", &trace, "--rows", &file]));
    assert!(text.contains("differs  step 2,") && text.contains("the trace has it at step 6"), "{text}");
    let found = json_of(&["replay", &trace, "--rows", &file, "--json"], 1);
    assert_eq!((&found["difference"]["step"], &found["difference"]["row_of_step"]), (&2.into(), &6.into()));
    // A row that is missing moves those after it.
    logits.swap(2, 6);
    logits.remove(3);
    logits.push(logits[0].clone());
    fs::write(&file, matrix(&logits)).unwrap();
    let found = json_of(&["replay", &trace, "--rows", &file, "--json"], 1);
    assert_eq!((&found["difference"]["step"], &found["difference"]["row_of_step"]), (&3.into(), &4.into()));
    // One that the trace does not have.
    logits[1][0] = 3.25;
    fs::write(&file, matrix(&logits)).unwrap();
    let found = json_of(&["replay", &trace, "--rows", &file, "--json"], 1);
    assert_eq!((&found["difference"]["step"], &found["difference"]["row_of_step"]), (&1.into(), &Value::Null));
}

#[test]
fn another_token_is_told_with_the_least_change_that_could_give_it() {
    let (_folder, path) = folder();
    let (trace, file) = (path("run.trace"), path("rows.npy"));
    // Greedy: the certificate of the token is half the margin, 0.5 and 0.25 here.
    let mut logits = vec![vec![1.0, 3.0, 2.0, 0.0], vec![0.5, 0.25, 1.0, 0.0]];
    let config = Config { mode: Mode::Greedy, metrics: Metrics::FLIP, ..Config::default() };
    for (metrics, parts, known) in [
        (Metrics::FLIP, TraceParts::default(), true),
        (Metrics::RANK, TraceParts::default(), false),
        (Metrics::FLIP, TraceParts { numbers: false, ..TraceParts::default() }, false),
    ] {
        let mut decoder = Decoder::new(&Config { metrics, ..config.clone() }, 4).unwrap();
        let mut recorder = Recorder::new(Vec::new(), &decoder, parts);
        for row in &logits {
            recorder.decode(&mut decoder, row, None).unwrap();
        }
        fs::write(&trace, recorder.finish().unwrap()).unwrap();
        let kept = logits[1].clone();
        logits[1][0] = 1.5;
        fs::write(&file, matrix(&logits)).unwrap();
        let found = json_of(&["replay", &trace, "--rows", &file, "--json"], 1);
        let difference = &found["difference"];
        assert_eq!((&difference["step"], &difference["field"]["name"]), (&1.into(), &"token".into()));
        assert_eq!(difference["least_change"], if known { Value::from(0.25) } else { Value::Null });
        let text = stdout(&run(&["replay", &trace, "--rows", &file]));
        assert_eq!(text.contains("some logit is off by 0.25 or more"), known, "{text}");
        // The same token: nothing is claimed.
        logits[1] = kept;
        logits[1][0] = 0.75;
        fs::write(&file, matrix(&logits)).unwrap();
        let found = json_of(&["replay", &trace, "--rows", &file, "--json"], 1);
        assert_eq!(found["difference"]["least_change"], Value::Null);
        logits[1][0] = 0.5;
    }
    // What the tool records has the certificate.
    let (_folder, path) = folder();
    let recorded = path("run.trace");
    assert_eq!(run(&["decode", "--record", &recorded, "--context", "It is", "-q"]).status.code(), Some(0));
    let bytes = fs::read(&recorded).unwrap();
    assert!(Trace::open(&bytes).unwrap().config().metrics.contains(Metrics::FLIP));
    // A search is no run of one decoder.
    let output = run(&["decode", "--beams", "2", "--record", &recorded, "--context", "It is"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot be used with '--record"), "{}", stderr(&output));
}

#[test]
fn choices_and_statuses_are_told_by_name() {
    let (_folder, path) = folder();
    let (trace, file) = (path("run.trace"), path("rows.npy"));
    let config = Config { mode: Mode::Greedy, ..Config::default() };
    let mut decoder = Decoder::new(&config, 4).unwrap();
    let mut recorder = Recorder::new(Vec::new(), &decoder, TraceParts::default());
    let row = vec![1.0, 3.0, 2.0, 0.0];
    recorder.decode(&mut decoder, &row, None).unwrap();
    decoder.set_end_tokens(&[1]).unwrap();
    // The state with the end token is not in the trace, so a replay goes on where the run ended.
    recorder.decode(&mut decoder, &row, None).unwrap();
    fs::write(&trace, recorder.finish().unwrap()).unwrap();
    fs::write(&file, matrix(&[row.clone(), row.clone()])).unwrap();
    let text = stdout(&run(&["replay", &trace, "--rows", &file]));
    assert!(text.contains("answer   finish is 0 (none), 2 (end token) was recorded"), "{text}");
    assert!(text.contains("row      the same"), "{text}");
    fs::write(&file, matrix(&[vec![1.0, f32::NAN, 2.0, 0.0], row])).unwrap();
    let text = stdout(&run(&["replay", &trace, "--rows", &file]));
    assert!(text.contains("status is 1 (a logit that is NaN or +inf), 0 (a pick) was recorded"), "{text}");
}

#[test]
fn masks_come_from_the_trace_or_from_a_file() {
    let (_folder, path) = folder();
    let logits = rows(6, 70);
    let masks: Vec<Vec<u32>> = (0..6u32).map(|i| vec![0x0f0f_0f0f << (i % 3), !(1 << i), 0x15]).collect();
    let (trace, bare, file) = (path("run.trace"), path("bare.trace"), path("rows.npy"));
    record(&trace, &logits, Some(&masks), TraceParts::default());
    record(&bare, &logits, Some(&masks), TraceParts { masks: false, ..TraceParts::default() });
    fs::write(&file, matrix(&logits)).unwrap();
    let words: Vec<u8> = masks.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(path("words.npy"), npy("<u4", "(6, 3)", "False", &words)).unwrap();
    let allowed = |mask: &Vec<u32>| (0..70).map(|i| (mask[i / 32] >> (i % 32) & 1) as u8).collect::<Vec<_>>();
    let bytes: Vec<u8> = masks.iter().flat_map(allowed).collect();
    fs::write(path("bools.npy"), npy("|b1", "(6, 70)", "False", &bytes)).unwrap();
    for (trace, masks) in [(&trace, None), (&bare, Some("words.npy")), (&bare, Some("bools.npy"))] {
        let masks = masks.map(&path);
        let mut arguments = vec!["replay", trace, "--rows", &file, "--json"];
        arguments.extend(masks.iter().flat_map(|masks| ["--masks", masks]));
        assert_eq!(json_of(&arguments, 0)["checked"], 6);
    }
    let found = json_of(&["replay", &bare, "--rows", &file, "--json"], 1);
    assert_ne!(found["difference"]["mask"], Value::Null);
}

#[test]
fn traces_and_rows_that_do_not_serve_are_refused() {
    let (_folder, path) = folder();
    let logits = rows(4, 50);
    let (trace, file) = (path("run.trace"), path("rows.npy"));
    record(&trace, &logits, None, TraceParts::default());
    fs::write(&file, matrix(&logits)).unwrap();
    let bytes = fs::read(&trace).unwrap();
    let refused = |arguments: &[&str], code, what: &str| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(stderr(&output).contains(what), "{arguments:?}: {}", stderr(&output));
    };
    refused(&["replay", &trace], 1, "4 steps of the trace have no columns");
    refused(&["replay"], 2, "TRACE");
    refused(&["replay", &trace, "--rows", &file, "--weights", &file], 2, "cannot be used with");
    fs::write(path("few.npy"), matrix(&logits[..3])).unwrap();
    refused(&["replay", &trace, "--rows", &path("few.npy")], 1, "3 rows for 4 steps");
    fs::write(path("short.npy"), matrix(&rows(4, 49))).unwrap();
    refused(&["replay", &trace, "--rows", &path("short.npy")], 1, "rows of 49 logits, the trace has 50");
    refused(&["replay", &file, "--rows", &file], 1, "it does not begin as a trace");
    refused(&["replay", &path("none"), "--rows", &file], 1, "cannot");

    fs::write(path("cut.trace"), &bytes[..bytes.len() - 3]).unwrap();
    let output = run(&["replay", &path("cut.trace"), "--rows", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("agrees   4 of 4 steps"), "{}", stdout(&output));
    let (cut, whole) = (bytes.len() - 3, bytes.len() - 10);
    let told = format!("cut off or damaged after byte {whole} of {cut}; the 4 steps before that agree");
    assert!(stderr(&output).contains(&told), "{}", stderr(&output));
    let mut damaged = bytes.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(path("damaged.trace"), &damaged).unwrap();
    refused(&["replay", &path("damaged.trace"), "--rows", &file], 1, "the checksum is wrong");
    damaged = bytes;
    damaged[8] ^= 1;
    fs::write(path("other.trace"), &damaged).unwrap();
    refused(&["replay", &path("other.trace"), "--rows", &file], 1, "another version of the numerics");
}

#[test]
fn explain_tells_where_two_profiles_part() {
    let (_folder, path) = folder();
    let file = path("rows.npy");
    // Top-p before min-p or after it: at this row they keep different tokens.
    let row: Vec<f32> = vec![0.0, 2.0, 1.8, 1.0, 0.5, -1.0, 2.0, -3.0, f32::NEG_INFINITY];
    fs::write(&file, matrix(&[vec![1.0; 9], row.clone()])).unwrap();
    let arguments = [
        "explain",
        "--rows",
        &file,
        "--row",
        "1",
        "--profile",
        "canon",
        "--versus",
        "vllm",
        "--top-p",
        "0.9",
        "--min-p",
        "0.2",
        "--temp",
        "0.9",
        "--seed",
        "3",
        "--xtc-probability",
        "1",
        "--json",
    ];
    let output = run(&arguments);
    assert!(stderr(&output).contains("vllm has no xtc-probability: left out there"), "{}", stderr(&output));
    let found = json_of(&arguments, 0);
    let sides = found["profiles"].as_array().unwrap();
    assert_eq!(sides[0]["left_out"], Value::from(Vec::<String>::new()));
    assert_eq!(sides[1]["left_out"], Value::from(vec!["xtc_probability"]));
    let names = |side: &Value| -> Vec<String> {
        side["stages"].as_array().unwrap().iter().map(|stage| stage["stage"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&sides[0]), ["row", "top_p", "min_p", "xtc_probability"]);
    assert_eq!(names(&sides[1]), ["row", "min_p", "top_p"]);

    // Everything in it, from the library.
    let mut distributions = Vec::new();
    for (side, profile) in sides.iter().zip([Profile::Canon, Profile::Vllm]) {
        let xtc = if profile == Profile::Canon { 1.0 } else { 0.0 };
        let config = Config {
            profile,
            temperature: 0.9,
            top_p: 0.9,
            min_p: 0.2,
            xtc_probability: xtc,
            seed: 3,
            ..Config::default()
        };
        let mut decoder = Decoder::new(&config, 9).unwrap();
        assert_eq!(side["pick"]["token"], decoder.evaluate(&row, None).unwrap().token);
        let mut probabilities = row.clone();
        decoder.probabilities(&mut probabilities, None).unwrap();
        let kept = probabilities.iter().filter(|p| **p > 0.0).count();
        assert_eq!(side["kept"], kept);
        let last = side["stages"].as_array().unwrap().last().unwrap();
        assert_eq!(last["kept"], kept);
        for top in side["top"].as_array().unwrap() {
            let token = top["token"].as_u64().unwrap() as usize;
            assert_eq!(top["probability"].as_f64().unwrap() as f32, probabilities[token]);
        }
        distributions.push(probabilities);
    }
    let apart = distributions[0].iter().zip(&distributions[1]);
    let apart: f64 = apart.map(|(&p, &q)| (p as f64 - q as f64).abs()).sum::<f64>() / 2.0;
    assert!((found["total_variation"].as_f64().unwrap() - apart).abs() < 1e-12 && apart > 0.0);
    // XTC takes the first two away: token 1 is the first of the order.
    let parts = &found["parts_at"];
    assert_eq!((&parts["token"], &parts["removed_by"]), (&1.into(), &"canon".into()));
    assert_eq!((&parts["removed_at"], &parts["kept_by"]), (&"xtc_probability".into(), &"vllm".into()));
    let text = stdout(&run(&arguments[..arguments.len() - 1]));
    assert!(text.contains("canon removes it at xtc-probability") && text.contains("total variation"), "{text}");

    let same = json_of(&["explain", "--rows", &file, "--row", "1", "--versus", "huggingface", "--json"], 0);
    assert_eq!((&same["parts_at"], &same["total_variation"]), (&Value::Null, &0.0.into()));
    let one = json_of(&["explain", "--rows", &file, "--top_k", "3", "--json"], 0);
    assert_eq!(one["profiles"].as_array().unwrap().len(), 1);
    assert_eq!(one["total_variation"], Value::Null);
    assert_eq!(one["profiles"][0]["kept"], 3);
    for (arguments, code) in [
        (&["explain", "--rows", &file, "--row", "2"][..], 1),
        (&["explain", "--rows", &file, "--versus", "gpt"], 2),
        (&["explain", "--rows", &file, "--top-p", "2"], 2),
        (&["explain", "--rows", &file, "--prompt", "9"], 1),
        (&["explain"], 2),
    ] {
        assert_eq!(run(arguments).status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn decode_takes_the_profile_and_every_filter_by_either_spelling() {
    let decode = |extra: &[&str], code| {
        let mut arguments = vec!["decode", "--context", "In winter", "--mode", "sample", "--seed", "2"];
        arguments.extend(extra);
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(code), "{extra:?}: {}", stderr(&output));
        (stdout(&output), stderr(&output))
    };
    let filters = [
        ("typical-p", "0.3"),
        ("epsilon-cutoff", "0.2"),
        ("eta-cutoff", "0.3"),
        ("top-n-sigma", "0.2"),
        ("top-a", "0.9"),
        ("tfs-z", "0.3"),
        ("top-h", "0.2"),
        ("xtc-probability", "1"),
        ("mirostat", "2"),
        ("dynatemp-range", "0.9"),
        ("adaptive-target", "0.2"),
        ("top-k", "1"),
    ];
    let (plain, _) = decode(&["--json"], 0);
    let texts = |text: &str| serde_json::from_str::<Value>(text).unwrap()["texts"].clone();
    let mut different = 0;
    for (name, value) in filters {
        let (one, other) = (format!("--{name}"), format!("--{}", name.replace('-', "_")));
        let (hyphens, _) = decode(&[&one, value, "--json"], 0);
        assert_eq!(hyphens, decode(&[&other, value, "--json"], 0).0, "{name}");
        different += usize::from(texts(&hyphens) != texts(&plain));
        let shown = decode(&[&one, value, "-q"], 0).0;
        assert!(shown.contains(&format!("{name} {value}")), "{name}: {shown}");
    }
    assert!(different >= 8, "only {different} filters made a difference");
    let (text, _) = decode(&["--profile", "llama-cpp", "--min-keep", "3", "-q"], 0);
    assert!(text.contains("profile llama_cpp") && text.contains("min-keep 3"), "{text}");
    let (_, refusal) = decode(&["--profile", "vllm", "--top-a", "0.2"], 1);
    assert!(refusal.contains("the profile vllm has no top_a"), "{refusal}");
    let (_, refusal) = decode(&["--profile", "gpt"], 2);
    assert!(refusal.contains("canon, huggingface, llama_cpp, vllm"), "{refusal}");
}

#[test]
fn a_trace_that_cannot_be_written_is_refused_before_the_run() {
    let (folder, path) = folder();
    let output = run(&["decode", "--record", &path("no/such/folder"), "--context", "It is"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).is_empty());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let output = run(&["decode", "--record", &path("run.trace"), "--context", "It is", "-q"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let bytes = fs::read(path("run.trace")).unwrap();
    let trace = Trace::open(&bytes).unwrap();
    assert!(trace.is_complete() && trace.steps() > 0 && trace.steps() == trace.steps_with_columns());
}
