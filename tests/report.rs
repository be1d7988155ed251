//! `argpick report`, by running it: what is in its pages, and what it refuses. `tests/report/check.sh` opens them in a browser.
#![cfg(feature = "cli")]

#[path = "support/tool.rs"]
mod tool;

use argpick::numeric::NUMERICS_VERSION;
use argpick::{Config, Decoder, Metrics, Recorder, TraceParts};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tool::{folder, matrix, npy, run, stderr};

fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn refuse(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
    stderr(&output)
}

/// The data of a page.
fn data(path: &str) -> Value {
    let page = fs::read_to_string(path).unwrap();
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").expect("the data");
    let (text, _) = rest.split_once("</script>").expect("the end of the data");
    assert!(!text.contains(['<', '>', '&']), "nothing in the data can end it");
    serde_json::from_str(text).expect("JSON")
}

/// The bytes of base64, by the definition and not by the tool.
fn bytes(text: &Value) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = text
        .as_str()
        .unwrap()
        .bytes()
        .filter(|&c| c != b'=')
        .flat_map(|c| {
            let value = ALPHABET.bytes().position(|known| known == c).unwrap();
            (0..6).rev().map(move |bit| (value >> bit & 1) as u8)
        })
        .collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect()
}

fn floats(text: &Value) -> Vec<f32> {
    bytes(text).as_chunks::<4>().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
}

const VOCAB: usize = 300;

fn rows(count: usize) -> Vec<Vec<f32>> {
    let mut state = 7;
    let mut next = || {
        state = argpick::rng::mix(state);
        (state >> 40) as f32 / 1_000_000.0 - 8.0
    };
    (0..count).map(|_| (0..VOCAB).map(|_| next()).collect()).collect()
}

fn write_rows(path: &str, rows: &[Vec<f32>]) {
    fs::write(path, matrix(rows)).unwrap();
}

/// A host's recording without columns: two sequences, lists, an evaluation, a token of the host's, an undo.
fn host_recording(path: &str, rows: &[Vec<f32>]) -> Vec<u32> {
    let config = Config { seed: 11, top_p: 0.9, metrics: Metrics::NONE, ..Config::default() };
    let mut decoder = Decoder::new(&config, VOCAB).unwrap();
    decoder.set_end_tokens(&[7]).unwrap();
    let mut recorder = Recorder::new(Vec::new(), &decoder, TraceParts::default());
    recorder.whole_state(&mut decoder).unwrap();
    recorder.note("a prompt </script>");
    recorder.prompt(&mut decoder, &[1, 2, 3]).unwrap();
    recorder.set_bans(&mut decoder, &[5, 6]).unwrap();
    recorder.set_bias(&mut decoder, &[(8, 1.5)]).unwrap();
    let mut picked = Vec::new();
    picked.push(recorder.decode(&mut decoder, &rows[0], None).unwrap().token);
    picked.push(recorder.evaluate(&mut decoder, &rows[1], None).unwrap().token);
    recorder.accept(&mut decoder, &[9]).unwrap();
    picked.push(recorder.decode(&mut decoder, &rows[2], None).unwrap().token);
    recorder.undo(&mut decoder, 1).unwrap();
    let masked = [0xffff_0000u32; VOCAB.div_ceil(32)];
    picked.push(recorder.decode(&mut decoder, &rows[3], Some(&masked)).unwrap().token);
    recorder.note("another");
    // The next configuration needs more memory.
    decoder = decoder.copy_in(vec![0; 1 << 15].into_boxed_slice()).unwrap();
    recorder.reset(&mut decoder, Some(&Config { top_k: 3, ..config })).unwrap();
    picked.push(recorder.decode(&mut decoder, &rows[4], None).unwrap().token);
    let mut spoiled = rows[5].clone();
    spoiled[17] = f32::NAN;
    assert!(recorder.decode(&mut decoder, &spoiled, None).is_err());
    fs::write(path, recorder.finish().unwrap()).unwrap();
    picked
}

#[test]
fn a_page_holds_what_the_run_was() {
    let (_folder, path) = folder();
    let (trace, page) = (path("run.trace"), path("page.html"));
    let prompts = ["--context", "The sea and the sky", "--context", "He gave her"];
    let options = ["--mode", "sample", "--temp", "0.8", "--top-k", "40", "--seed", "18446744073709551615"];
    let decode = [&["decode", "--steps", "9", "--json", "--record", &trace], &prompts[..], &options[..]].concat();
    let decoded: Value = serde_json::from_str(&succeed(&decode)).unwrap();
    let said = succeed(&["report", &trace, "-o", &page, "--title", "A <title> & \"more\""]);
    let size = fs::metadata(&page).unwrap().len();
    assert!(said.contains("2 runs, ") && said.contains(&format!(", {size} bytes")), "{said}");

    let data = data(&page);
    assert_eq!(data["title"], "A <title> & \"more\"");
    let texts = decoded["texts"].as_array().unwrap();
    assert_eq!(data["runs"].as_array().unwrap().len(), texts.len());
    for (run, text) in data["runs"].as_array().unwrap().iter().zip(texts) {
        assert_eq!(run["context"], text["context_start"]);
        assert_eq!(run["config"]["seed"], "18446744073709551615");
        assert_eq!(run["config"]["top_k"], 40.0);
        let words = data["vocabularies"][run["words"].as_u64().unwrap() as usize].as_array().unwrap();
        let steps = run["steps"].as_array().unwrap();
        assert_eq!(steps.len(), text["steps"].as_array().unwrap().len());
        for (step, expected) in steps.iter().zip(text["steps"].as_array().unwrap()) {
            assert_eq!(words[step["token"].as_u64().unwrap() as usize], expected["picked"]);
            for (ours, theirs) in [("margin", "margin"), ("entropy", "entropy"), ("top1", "p_top1"), ("rank", "rank")] {
                assert_eq!(step[ours].as_f64(), expected[theirs].as_f64(), "{ours}");
            }
            // The row is whole: its best logits are those of the run.
            let row = floats(&step["logits"]["row"]);
            assert_eq!(row.len(), 181);
            let best = step["best"].as_array().unwrap();
            assert_eq!(best.len(), 12);
            for (ours, theirs) in best.iter().zip(expected["top"].as_array().unwrap()) {
                let token = ours[0].as_u64().unwrap() as usize;
                assert_eq!((&words[token], ours[1].as_f64()), (&theirs[0], theirs[1].as_f64()));
                assert_eq!(f64::from(row[token]), theirs[1].as_f64().unwrap());
            }
            let kept: Vec<u64> =
                step["stages"].as_array().unwrap().iter().map(|stage| stage[2].as_u64().unwrap()).collect();
            assert_eq!((kept.len(), kept[1]), (2, 40));
            assert_eq!(step["kept"], 40);
        }
    }
    // One file: nothing refers to another, and what is not ours has its licence.
    let page = fs::read_to_string(&page).unwrap();
    assert!(page.contains("<title>A &lt;title&gt; &amp; &quot;more&quot;</title>"));
    assert!(page.contains("default-src 'none'") && page.contains("Copyright (c) 2022 Leon Sorokin"));
    for reference in ["src=", "href=\"http", "@import", "url("] {
        assert!(!page.contains(reference), "{reference}");
    }
    // The same inputs make the same page.
    let again = path("again.html");
    succeed(&["report", &trace, "-o", &again, "--title", "A <title> & \"more\"", "--kernel", "scalar"]);
    assert_eq!(fs::read_to_string(&again).unwrap(), page);
}

#[test]
fn a_hosts_recording_with_its_rows() {
    let (_folder, path) = folder();
    let (trace, page, file, words) = (path("run.trace"), path("page.html"), path("rows.npy"), path("words.json"));
    let mut logits = rows(6);
    let picked = host_recording(&trace, &logits);
    logits[5][17] = f32::NAN;
    write_rows(&file, &logits);
    let texts: Vec<String> = (0..VOCAB).map(|id| format!("<{id}>")).collect();
    fs::write(&words, json!(texts).to_string()).unwrap();
    succeed(&["report", &trace, "-o", &page, "--rows", &file, "--words", &words]);
    let data = data(&page);
    assert_eq!(data["vocabularies"][0][299], "<299>");
    let [first, second] = &data["runs"].as_array().unwrap()[..] else { panic!("two sequences") };
    assert_eq!(first["context"], "a prompt </script>");
    let kinds = |run: &Value| {
        run["events"].as_array().unwrap().iter().map(|event| event[0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(first), ["state", "prompt", "bans", "biases", "step", "step", "accept", "step", "undo", "step"]);
    assert_eq!(kinds(second), ["state", "step", "step"], "what was set stays, so the page must know it");
    let tokens =
        |run: &Value| run["steps"].as_array().unwrap().iter().map(|step| step["token"].clone()).collect::<Vec<_>>();
    assert_eq!(tokens(first), picked[..4].iter().map(|&token| json!(token)).collect::<Vec<_>>());
    assert_eq!(tokens(second), [json!(picked[4]), Value::Null]);
    let text: Vec<&Value> = first["text"].as_array().unwrap().iter().map(|part| &part[0]).collect();
    assert_eq!(
        text,
        [&json!(picked[0]), &json!(9), &json!(picked[3])],
        "an evaluation and what was undone are not of the text"
    );
    // Numbers that the run did not ask for are there all the same.
    assert!(first["steps"][0]["entropy"].as_f64().unwrap() > 0.0);
    assert_eq!(first["steps"][3]["mask"].as_str().map(|_| bytes(&first["steps"][3]["mask"]).len()), Some(40));
    assert!(
        second["steps"][1]["error"].as_str().unwrap().contains("token 17 is NaN"),
        "{}",
        second["steps"][1]["error"]
    );
    assert_eq!(floats(&first["steps"][2]["logits"]["row"]), logits[2]);

    // Without the rows: the numbers that are recorded, and a word about it.
    succeed(&["report", &trace, "-o", &page]);
    let data = self::data(&page);
    assert_eq!(tokens(&data["runs"][0]).len(), 4);
    assert_eq!((&data["runs"][0]["config"], &data["runs"][0]["words"]), (&Value::Null, &Value::Null));
    assert!(data["runs"][0]["remarks"][0].as_str().unwrap().contains("no --rows are given"));
    // Rows of another run are no rows of this one.
    logits[2][3] += 1.0;
    write_rows(&file, &logits);
    let said = refuse(&["report", &trace, "-o", &page, "--rows", &file]);
    assert!(said.contains("step 2: its row is another one than was recorded"), "{said}");
    write_rows(&file, &logits[..3]);
    let said = refuse(&["report", &trace, "-o", &page, "--rows", &file]);
    assert!(said.contains("3 rows are given for 6 steps"), "{said}");
    fs::write(&words, json!(vec!["a"; VOCAB + 1]).to_string()).unwrap();
    let said = refuse(&["report", &trace, "-o", &page, "--words", &words]);
    assert!(said.contains("301 texts of tokens are given, its rows have 300 logits"), "{said}");
}

#[test]
fn a_decoder_under_way_has_no_sliders_and_half_rows_stay_halves() {
    let (_folder, path) = folder();
    let (trace, page, file) = (path("run.trace"), path("page.html"), path("rows.npy"));
    let mut decoder = Decoder::new(&Config::default(), VOCAB).unwrap();
    decoder.prompt(&[1, 2]).unwrap();
    let mut recorder = Recorder::new(Vec::new(), &decoder, TraceParts::default());
    recorder.whole_state(&mut decoder).unwrap();
    let halves: Vec<half::f16> = rows(1)[0].iter().map(|&logit| half::f16::from_f32(logit)).collect();
    recorder.decode(&mut decoder, &halves[..], None).unwrap();
    fs::write(&trace, recorder.finish().unwrap()).unwrap();
    let data_bytes: Vec<u8> = halves.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(&file, npy("<f2", &format!("(1, {VOCAB})"), "False", &data_bytes)).unwrap();
    succeed(&["report", &trace, "-o", &page, "--rows", &file]);
    let data = data(&page);
    let run = &data["runs"][0];
    assert_eq!((&run["config"], &run["steps"][0]["logits"]["dtype"]), (&Value::Null, &json!("f16")));
    assert_eq!(bytes(&run["steps"][0]["logits"]["row"]), data_bytes);
    assert!(run["remarks"][0].as_str().unwrap().contains("a decoder that was under way"));
}

#[test]
fn what_is_too_much_is_left_out_and_said() {
    let (_folder, path) = folder();
    let (trace, page) = (path("run.trace"), path("page.html"));
    succeed(&["decode", "--steps", "20", "--context", "The sea and the sky", "--record", &trace, "-q"]);
    let output = run(&["report", &trace, "-o", &page, "--most-steps", "7", "--row-limit", "0", "--best", "5"]);
    let data = data(&page);
    assert_eq!(data["runs"][0]["steps"].as_array().unwrap().len(), 7);
    let remarks = data["remarks"].to_string();
    assert!(
        remarks.contains("13 steps are left out")
            && remarks.contains("Of 7 steps the page holds only the 5 best logits"),
        "{remarks}"
    );
    assert!(stderr(&output).contains("13 steps are left out"), "it is said here, too");
    let logits = &data["runs"][0]["steps"][0]["logits"];
    let tokens: Vec<u64> = logits["tokens"].as_array().unwrap().iter().map(|token| token.as_u64().unwrap()).collect();
    assert!(tokens.len() == 5 && tokens.is_sorted());
    assert_eq!(floats(&logits["values"]).len(), 5);
    let best = data["runs"][0]["steps"][0]["best"].as_array().unwrap();
    assert!(best[..5].iter().all(|best| tokens.contains(&best[0].as_u64().unwrap())));
    // Nothing of it where there is room.
    succeed(&["report", &trace, "-o", &page]);
    assert_eq!(self::data(&page)["remarks"], json!([]));
    // A file that no page can show.
    let huge = path("huge.jsonl");
    fs::File::create(&huge).unwrap().set_len((256 << 20) + 1).unwrap();
    assert!(refuse(&["report", &huge, "-o", &page]).contains("256 MiB are more than a page can show"));
}

#[test]
fn bad_input_is_refused_and_leaves_the_page_as_it_was() {
    let (folder, path) = folder();
    let (page, trace, bad) = (path("page.html"), path("run.trace"), path("bad"));
    fs::write(&page, "the old page").unwrap();
    succeed(&["decode", "--steps", "3", "--context", "In winter", "--record", &trace, "-q"]);
    let recorded = fs::read(&trace).unwrap();
    let mut damaged = recorded.clone();
    damaged[recorded.len() / 2] ^= 1;
    let step = r#"{"context_start": "a", "step": 0, "picked": "b", "mode": "greedy", "temp": 1.0, "margin": 1, "p_top1": 1, "entropy": 0, "top": []}"#;
    let long = step.replace("\"top\": []", "\"top\": [[1]]");
    let cases: [(&[u8], &str); 9] = [
        (&damaged, "bad: "),
        (b"\xff\xfe", "neither a recording nor text in UTF-8"),
        (b"hello", "bad: line 1: no JSON"),
        (b"{\"a\": 1}", "bad: line 1: neither a step of a trace nor a run of a sweep"),
        (b"", "there is nothing to show"),
        (b"{\"context_start\": 1, \"step\": 0, \"picked\": \"a\"}", "context_start is no text"),
        (long.as_bytes(), "top[0] is not what it should be"),
        (b"{\"parameter_set_name\": \"a\"}", "bad: line 1: "),
        (&recorded[..40], "bad: "),
    ];
    for (content, expected) in cases {
        fs::write(&bad, content).unwrap();
        let said = refuse(&["report", &bad, "-o", &page]);
        assert!(said.contains(expected), "{expected}: {said}");
        // One good input does not make up for it.
        if !content.is_empty() {
            refuse(&["report", &trace, &bad, "-o", &page]);
        }
        assert_eq!(fs::read_to_string(&page).unwrap(), "the old page");
    }
    fs::write(&bad, step).unwrap();
    assert!(refuse(&["report", &path("none"), "-o", &page]).contains("none: cannot be read"));
    assert!(refuse(&["report", &bad, "-o", &path("no/such/page.html")]).contains("page.html"));
    assert!(refuse(&["report", &bad, "-o", &path(".")]).contains("argpick: "));
    assert!(refuse(&["report", &trace, "-o", &trace]).contains("run.trace: it is an input, and would be overwritten"));
    assert_eq!(fs::read(&trace).unwrap(), recorded);
    assert_eq!(run(&["report", &bad]).status.code(), Some(2), "a page without a place");
    assert_eq!(fs::read_to_string(&page).unwrap(), "the old page");
    let mut names: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["bad", "page.html", "run.trace"], "nothing half-written is left");
    // One that was cut off is shown up to there.
    fs::write(&bad, &recorded[..recorded.len() - 3]).unwrap();
    succeed(&["report", &bad, "-o", &page]);
    assert!(data(&page)["runs"][0]["remarks"].to_string().contains("was cut off"));
}

#[test]
fn what_belongs_to_steps_left_out_is_left_out_too() {
    let (_folder, path) = folder();
    let (trace, page, file) = (path("run.trace"), path("page.html"), path("rows.npy"));
    let mut decoder = Decoder::new(&Config::default(), VOCAB).unwrap();
    let mut recorder = Recorder::new(Vec::new(), &decoder, TraceParts::default());
    let rows = rows(4);
    let picked: Vec<u32> =
        rows[..3].iter().map(|row| recorder.decode(&mut decoder, row, None).unwrap().token).collect();
    recorder.undo(&mut decoder, 3).unwrap();
    recorder.accept(&mut decoder, &[9]).unwrap();
    recorder.decode(&mut decoder, &rows[3], None).unwrap();
    fs::write(&trace, recorder.finish().unwrap()).unwrap();
    write_rows(&file, &rows);
    let text = |rows: &[&str]| {
        succeed(&[&["report", &trace, "-o", &page, "--most-steps", "1"], rows].concat());
        data(&page)["runs"][0]["text"].clone()
    };
    assert_eq!(text(&["--rows", &file]), json!([[picked[0], 0]]), "the decoder has one token, three cannot be undone");
    assert_eq!(text(&[]), json!([[picked[0], 0]]));
    assert!(data(&page)["remarks"].to_string().contains("3 steps are left out"));
}

#[test]
fn a_state_that_is_none_ends_nothing() {
    let (_folder, path) = folder();
    let (trace, page, file) = (path("run.trace"), path("page.html"), path("rows.npy"));
    let mut decoder = Decoder::new(&Config::default(), VOCAB).unwrap();
    let mut state = vec![0; decoder.saved_size()];
    let length = decoder.save(&mut state).unwrap();
    let mut recorder = Recorder::new(Vec::new(), &decoder, TraceParts::default());
    recorder.whole_state(&mut decoder).unwrap();
    let rows = rows(2);
    for row in &rows {
        recorder.decode(&mut decoder, row, None).unwrap();
    }
    let recorded = recorder.finish().unwrap();
    let place = recorded.windows(length).position(|window| window == &state[..length]).expect("the state");
    assert_eq!(usize::from(recorded[place - 2] & 127) | usize::from(recorded[place - 1]) << 7, length);
    // Five bytes in its place, and no end, so that no digest tells.
    let mut hostile = [&recorded[..place - 2], &[5, 1, 2, 3, 4, 5], &recorded[place + length..]].concat();
    hostile.truncate(hostile.len() - 20);
    fs::write(&trace, hostile).unwrap();
    succeed(&["report", &trace, "-o", &page]);
    assert_eq!(data(&page)["runs"][0]["config"], Value::Null);
    write_rows(&file, &rows);
    assert!(refuse(&["report", &trace, "-o", &page, "--rows", &file]).contains("run.trace: "));
}

#[test]
fn hostile_texts_stay_in_the_data() {
    let (_folder, path) = folder();
    let (lines, page) = (path("evil.jsonl"), path("page.html"));
    let evil = ["</script><script>alert(1)</script>", "<!--<script>", "\u{2028}'\"&", "{{module}}"];
    let steps: Vec<String> = (0..4)
        .map(|step| {
            json!({ "context_start": evil[0], "step": step, "picked": evil[step], "mode": "greedy", "temp": 1.0, "margin": null,
                "p_top1": 1.0, "entropy": 0.0, "top": [[evil[step], 1.0]] })
            .to_string()
        })
        .collect();
    fs::write(&lines, steps.join("\n")).unwrap();
    succeed(&["report", &lines, "-o", &page, "--title", evil[1]]);
    let text = fs::read_to_string(&page).unwrap();
    assert!(!text.contains("alert(1)</script>") && !text.contains("<!--<script>"));
    let data = data(&page);
    assert_eq!((&data["title"], &data["runs"][0]["context"]), (&json!(evil[1]), &json!(evil[0])));
    let picked: Vec<&str> =
        data["runs"][0]["text"].as_array().unwrap().iter().map(|part| part[0].as_str().unwrap()).collect();
    assert_eq!(picked, evil);
    assert_eq!(data["runs"][0]["steps"][0]["margin"], "inf");
}

#[test]
fn the_results_of_a_sweep_get_their_rows_if_they_come_out() {
    let (_folder, path) = folder();
    let (sweep, results, page) = (path("sweep.json"), path("results.jsonl"), path("page.html"));
    let asked = json!({ "prompts": ["The sea and the sky"], "parameter_sets": ["greedy", "creative"], "seeds": [4], "max_tokens": 8 });
    fs::write(&sweep, asked.to_string()).unwrap();
    succeed(&["sweep", &sweep, "--out", &results]);
    succeed(&["report", &results, "-o", &page]);
    let shown = data(&page);
    let mut lines: Vec<Value> =
        fs::read_to_string(&results).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The page has them in the order of the sweep.
    lines.sort_by_key(|line| line["run"].as_u64());
    for (run, line) in shown["runs"].as_array().unwrap().iter().zip(&lines) {
        let tokens: Vec<&Value> = run["steps"].as_array().unwrap().iter().map(|step| &step["token"]).collect();
        assert_eq!(tokens, line["tokens"].as_array().unwrap().iter().collect::<Vec<_>>());
        assert!(run["steps"].as_array().unwrap().iter().all(|step| step["logits"]["row"].is_string()));
        assert_eq!(run["label"], json!(format!("{}, seed 4", line["parameter_set_name"].as_str().unwrap())));
    }
    assert_eq!(shown["groups"].as_array().unwrap().len(), 1);
    // Results of another model, here a number that is not this one's, are shown without rows.
    let entropy = lines[1]["entropy"][2].to_string();
    let text = fs::read_to_string(&results).unwrap().replace(&entropy, "1.25");
    fs::write(&results, text).unwrap();
    succeed(&["report", &results, "-o", &page]);
    let shown = data(&page);
    assert!(shown["runs"][0]["config"].is_object());
    assert_eq!(shown["runs"][1]["config"], Value::Null);
    assert!(shown["runs"][1]["remarks"].to_string().contains("the model at hand answers otherwise in step 2"));
    assert_eq!(shown["runs"][1]["steps"][2]["entropy"], 1.25);
}

/// Where the next custom section of a module stands that has this name, and what is in it.
fn custom_section(module: &[u8], wanted: &str) -> Option<String> {
    let mut at = 8;
    let number = |at: &mut usize| {
        let (mut value, mut shift) = (0usize, 0);
        loop {
            let byte = module[*at];
            *at += 1;
            value |= ((byte & 0x7f) as usize) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    };
    while at < module.len() {
        let kind = module[at];
        at += 1;
        let size = number(&mut at);
        let end = at + size;
        if kind == 0 {
            let length = number(&mut at);
            if &module[at..at + length] == wanted.as_bytes() {
                return String::from_utf8(module[at + length..end].to_vec()).ok();
            }
        }
        at = end;
    }
    None
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// As `bindings/wasm/report-module.mjs` computes it.
fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("bindings/c/src/lib.rs")];
    rust_files(&root.join("src"), &mut files);
    let name = |path: &PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    let other = ["src/bin/", "src/sandbox/", "src/lab/", "src/docs/", "src/lib.rs"];
    let mut files: Vec<(String, PathBuf)> = files.into_iter().map(|path| (name(&path), path)).collect();
    files.retain(|(name, _)| !other.iter().any(|room| name.starts_with(room)));
    files.sort();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for (name, path) in files {
        for byte in name.bytes().chain([0]).chain(fs::read(path).unwrap()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[test]
fn the_module_of_the_pages_fits_the_sources() {
    let module =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/argpick/report_page/page/argpick.wasm")).unwrap();
    let stamp = custom_section(&module, "argpick").expect("what it was built from");
    let stamp: Value = serde_json::from_str(&stamp).unwrap();
    let header = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/argpick.h")).unwrap();
    let abi = header.lines().find_map(|line| line.strip_prefix("#define ARGPICK_ABI_VERSION ")).unwrap();
    let due = "build it anew: bindings/wasm/build.sh --report";
    assert_eq!(stamp["numerics"], NUMERICS_VERSION, "{due}");
    assert_eq!(stamp["abi"].to_string(), abi, "{due}");
    if stamp["sources"] != sources() {
        println!(
            "skipped: the module in the pages of argpick report was built from other sources; whether it still decodes as they \
             do only bindings/wasm/check.sh tries (to refresh it: bindings/wasm/build.sh --report)"
        );
    }
}
