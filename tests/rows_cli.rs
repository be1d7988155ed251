//! `argpick explain`, `verify` and `sweep` on rows of a file: what stands before the row and what is set for it are what the
//! library makes of the same, every parameter has its option, and what is refused is refused with its place.
#![cfg(feature = "cli")]

#[path = "support/tool.rs"]
mod tool;

use argpick::{Config, Decoder, DraftModel, Drafts, Metrics, Pick, Row, verify};
use serde_json::Value;
use std::fs;
use tool::{folder, json_of, matrix, npy, run, stderr, stdout};

const VOCAB: usize = 12;

fn rows(count: usize) -> Vec<Vec<f32>> {
    let mut state = 5;
    let mut next = || {
        state = argpick::rng::mix(state);
        (state >> 40) as f32 / 4_000_000.0
    };
    (0..count).map(|_| (0..VOCAB).map(|_| next()).collect()).collect()
}

/// An option, and the same by the library.
type Set = (&'static [&'static str], fn(&mut Decoder));

const SETS: &[Set] = &[
    (&["--bias", "3=2.5,4=-inf"], |decoder| decoder.set_bias(&[(3, 2.5), (4, f32::NEG_INFINITY)]).unwrap()),
    (&["--ban", "0,7"], |decoder| decoder.set_bans(&[0, 7]).unwrap()),
    (&["--end-tokens", "2,5", "--min-tokens", "9"], |decoder| decoder.set_end_tokens(&[2, 5]).unwrap()),
    (&["--breaker", "6", "--breaker", "1,8", "--dry-multiplier", "2"], |decoder| {
        decoder.set_breakers(&[&[6], &[1, 8]]).unwrap()
    }),
    (&["--bad-sequence", "6,8,3", "--bad-sequence", "1"], |decoder| {
        decoder.set_bad_sequences(&[&[6, 8, 3], &[1]]).unwrap()
    }),
    (&["--sequence-bias", "8,9=4", "--sequence-bias", "11=-inf"], |decoder| {
        decoder.set_sequence_bias(&[(&[8, 9], 4.0), (&[11], f32::NEG_INFINITY)]).unwrap()
    }),
    (&["--forced", "7=1,3=10"], |decoder| decoder.set_forced(&[(7, 1), (3, 10)]).unwrap()),
    (&["--position", "90"], |decoder| decoder.seek(90)),
    (&["--no-repeat-window", "2"], |_| {}),
    (&["--valid-vocab", "5", "--generated", "1,2,3"], |_| {}),
    (&["--penalty-scope", "generated", "--presence-penalty", "3"], |_| {}),
    (&["--penalty-scope", "all", "--presence-penalty", "3", "--history-capacity", "2"], |_| {}),
    (&["--dry-multiplier", "2", "--dry-window", "3"], |_| {}),
    (&["--length-decay-start", "1", "--length-decay-factor", "1.5", "--end-tokens", "3"], |decoder| {
        decoder.set_end_tokens(&[3]).unwrap()
    }),
];

/// The configuration of the options of a set, by the names they are to have.
fn config_of(options: &[&str]) -> Config {
    let mut config = Config { seed: 4, ..Config::default() };
    for pair in options.chunks(2) {
        let name = pair[0][2..].replace('-', "_");
        let value = match pair[1] {
            "all" => 1.0,
            "generated" => 2.0,
            text => match text.parse::<f64>() {
                Ok(value) => value,
                Err(_) => continue,
            },
        };
        // A list of one token looks like a number, but there is no parameter of that name.
        config.set_parameter(&name, value).unwrap();
    }
    config
}

#[test]
fn what_is_set_for_a_row_is_what_the_library_makes_of_it() {
    let (_folder, path) = folder();
    let (file, logits) = (path("rows.npy"), rows(2));
    fs::write(&file, matrix(&logits)).unwrap();
    let common = ["--rows", &file, "--row", "1", "--seed", "4", "--prompt", "6,8,9,6", "--json", "--top", "12"];
    let plain = json_of(&[&["explain", "--generated", "8,9,6"], &common[..]].concat(), 0);
    let mut changed = 0;
    for (options, set) in SETS {
        let mut arguments = [&["explain"], &common[..], options].concat();
        let generated: &[u32] = if options.contains(&"--generated") {
            &[1, 2, 3]
        } else {
            arguments.extend(["--generated", "8,9,6"]);
            &[8, 9, 6]
        };
        let found = json_of(&arguments, 0);
        let mut decoder = Decoder::new(&config_of(options), VOCAB).unwrap();
        if options[0] != "--position" {
            set(&mut decoder);
        }
        decoder.prompt(&[6, 8, 9, 6]).unwrap();
        decoder.accept(generated).unwrap();
        if options[0] == "--position" {
            set(&mut decoder);
        }
        let side = &found["profiles"][0];
        assert_eq!(found["position"], decoder.position(), "{options:?}");
        assert_eq!(side["pick"]["token"], decoder.evaluate(&logits[1], None).unwrap().token, "{options:?}");
        let mut probabilities = logits[1].clone();
        decoder.probabilities(&mut probabilities, None).unwrap();
        for top in side["top"].as_array().unwrap() {
            let token = top["token"].as_u64().unwrap() as usize;
            assert_eq!(top["probability"].as_f64().unwrap() as f32, probabilities[token], "{options:?}, token {token}");
        }
        changed += usize::from(side["top"] != plain["profiles"][0]["top"]);
    }
    // A position changes the draw alone; a breaker and a window may take away all that DRY would do.
    assert!(changed >= SETS.len() - 3, "only {changed} options changed anything");
}

#[test]
fn a_sweep_over_a_row_takes_the_same_sequence() {
    let (_folder, path) = folder();
    let (file, configs) = (path("rows.npy"), path("configs.json"));
    fs::write(&file, matrix(&rows(2))).unwrap();
    fs::write(&configs, r#"[{"seed": 1}, {"top_k": 2}, {"min_tokens": 5}]"#).unwrap();
    let sweep = |extra: &[&str]| {
        let arguments = [&["sweep", "--rows", &file, "--configs", &configs, "--json"], extra].concat();
        json_of(&arguments, 0)["configs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["pick"].clone())
            .collect::<Vec<_>>()
    };
    let told = sweep(&["--prompt", "1", "--forced", "0=7"]);
    assert!(told.iter().all(|pick| pick["token"] == 7), "{told:?}");
    let told = sweep(&["--bias", "9=50"]);
    assert!(told.iter().all(|pick| pick["token"] == 9), "{told:?}");
    // Masked only where min_tokens keeps the end token off.
    let told = sweep(&["--bias", "9=50", "--end-tokens", "9"]);
    assert!(told[0]["token"] == 9 && told[1]["token"] == 9 && told[2]["token"] != 9, "{told:?}");
    let sweep_file = run(&["sweep", "runs.yaml", "--bias", "9=50"]);
    assert_eq!(sweep_file.status.code(), Some(2));
    assert!(stderr(&sweep_file).contains("--rows only"), "{}", stderr(&sweep_file));
}

#[test]
fn a_verification_takes_the_draft_models_masks_and_the_sequence() {
    let (_folder, path) = folder();
    let (file, masks) = (path("rows.npy"), path("masks.npy"));
    let logits = rows(4);
    fs::write(&file, matrix(&logits)).unwrap();
    // The draft model cannot give token 1 here.
    let words: Vec<u32> = vec![0xffd, 0xfff, 0xfff, 0xfff];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(&masks, npy("<u4", "(4, 1)", "False", &bytes)).unwrap();
    let arguments = |drafts: &'static str| {
        ["verify", "--rows", &file, "--draft", drafts, "--acceptance", "drawn", "--draft-rows", &file].map(String::from)
    };
    let told = |drafts: &'static str, extra: &[&str]| {
        let arguments = arguments(drafts);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(extra.iter().copied()).collect();
        run(&arguments)
    };
    assert_eq!(told("1,2,3", &[]).status.code(), Some(0));
    let output = told("1,2,3", &["--draft-masks", &masks]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("draft token"), "{}", stderr(&output));
    let output = told("2,2,3", &["--draft-masks", &masks, "--json", "--seed", "6", "--position", "40", "--ban", "3"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();

    let config = Config { seed: 6, metrics: Metrics::LOGPROB | Metrics::RANK, ..Config::default() };
    let decoder = || {
        let mut decoder = Decoder::new(&config, VOCAB).unwrap();
        decoder.set_bans(&[3]).unwrap();
        decoder.seek(40);
        decoder
    };
    let rows: Vec<Row<'_>> = logits.iter().map(Row::from).collect();
    let masked: Vec<Option<&[u32]>> = words.chunks(1).map(Some).collect();
    let drafts =
        Drafts { tokens: &[2, 2, 3], parents: &[], rows: &rows, masks: &[], acceptance: argpick::Acceptance::Drawn };
    let mut picks = [Pick::default(); 4];
    let mut drafter = decoder();
    let model = DraftModel { decoder: &mut drafter, rows: &rows, masks: &masked };
    let answer = verify(&mut decoder(), &drafts, Some(model), &mut picks);
    match answer {
        Ok(verified) => {
            assert_eq!(found["accepted"], verified.accepted);
            let tokens: Vec<u32> = picks[..verified.emitted].iter().map(|pick| pick.token).collect();
            assert_eq!(found["tokens"], Value::from(tokens));
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_is_refused_is_refused_with_its_place() {
    let (_folder, path) = folder();
    let (file, bad, masked) = (path("rows.npy"), path("bad.npy"), path("masked.npy"));
    let mut logits = rows(4);
    fs::write(&file, matrix(&logits)).unwrap();
    logits[2][7] = f32::NAN;
    fs::write(&bad, matrix(&logits)).unwrap();
    fs::write(&masked, matrix(&[vec![f32::NEG_INFINITY; VOCAB], vec![0.0; VOCAB]])).unwrap();
    fs::write(path("empty.npy"), b"").unwrap();
    fs::write(path("mask.npy"), npy("<u4", "(2, 1)", "False", &[255; 8])).unwrap();
    fs::write(path("configs.json"), "[{}]").unwrap();
    let (empty, mask, configs) = (path("empty.npy"), path("mask.npy"), path("configs.json"));
    let refused = |arguments: &[&str], code: i32, parts: &[&str]| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stdout(&output).is_empty(), "{arguments:?}: {}", stdout(&output));
        for part in parts {
            assert!(stderr(&output).contains(part), "{arguments:?}: {part:?} in {}", stderr(&output));
        }
    };
    // A row: which file, which row, which token.
    refused(&["explain", "--rows", &bad, "--row", "2"], 1, &["bad.npy: row 2:", "token 7 is NaN"]);
    refused(&["sweep", "--rows", &bad, "--row", "2", "--configs", &configs], 1, &["bad.npy: row 2:", "token 7 is NaN"]);
    let verify = |rows: &str, drafts: &str, extra: &[&str], parts: &[&str]| {
        refused(&[&["verify", "--rows", rows, "--draft", drafts], extra].concat(), 1, parts);
    };
    let greedy = ["--mode", "greedy"];
    let best = |row: &[f32]| (0..VOCAB).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap().to_string();
    let standing = [best(&logits[0]), best(&logits[1]), "3".to_owned()].join(",");
    verify(&bad, &standing, &greedy, &["bad.npy: row 2:", "token 7 is NaN"]);
    verify(&masked, "1", &[], &["masked.npy: row 0:", "every token is masked"]);
    let drawn = ["--acceptance", "drawn", "--draft-rows", &masked];
    verify(&file, "1,2,3", &drawn, &["masked.npy: draft rows has 2 elements, 3 are needed"]);
    let mut first = logits.clone();
    first[0][7] = f32::INFINITY;
    fs::write(path("first.npy"), matrix(&first)).unwrap();
    let drawn = ["--acceptance", "drawn", "--draft-rows", &path("first.npy")];
    verify(&file, "1,2,3", &drawn, &["first.npy: row 0:", "token 7 is inf"]);
    verify(&file, "1,2,3", &["--parents", "0,1"], &["--parents: parents has 2 elements"]);
    verify(&file, "1,2,3", &["--parents", "root,0,7"], &["--parents: draft 2 cannot follow draft 7"]);
    // What does not fit.
    verify(&file, "1,2", &[], &["rows.npy: 4 rows for 2 drafts; 3 are needed"]);
    verify(&file, "1,12,3", &[], &["--draft: draft 1 is token 12; the rows have 12 logits"]);
    verify(&file, "1,2,3", &["--masks", &mask], &["mask.npy: 2 masks for 4 rows"]);
    fs::write(path("wide.npy"), matrix(&[vec![0.0; 13]])).unwrap();
    let wide = ["--acceptance", "drawn", "--draft-rows", &path("wide.npy")];
    verify(&file, "1,2,3", &wide, &["wide.npy: draft rows has 1 elements, 3 are needed"]);
    refused(&["explain", "--rows", &empty], 1, &["empty.npy: the file is empty"]);
    // A list: which option.
    for (option, value, part) in [
        ("--prompt", "12", "--prompt: token 12"),
        ("--generated", "4294967295", "--generated: token 4294967295"),
        ("--bias", "3=1,3=2", "--bias: token 3 stands twice"),
        ("--ban", "77", "--ban: token 77"),
        ("--end-tokens", "77", "--end-tokens: token 77"),
        ("--stop", "1,77", "--stop: token 77"),
        ("--breaker", "77", "--breaker: token 77"),
        ("--bad-sequence", "77", "--bad-sequence: token 77"),
        ("--sequence-bias", "77=1", "--sequence-bias: token 77"),
        ("--forced", "0=77", "--forced: token 77"),
    ] {
        refused(&["explain", "--rows", &file, option, value], 1, &[part]);
        verify(&file, "1,2,3", &[option, value], &[part]);
        refused(&["sweep", "--rows", &file, "--configs", &configs, option, value], 1, &[part]);
    }
    for (option, value, part) in [
        ("--bias", "3", "there is no = in it"),
        ("--bias", "3=inf", "must be finite, or -inf"),
        ("--bias", "3=nan", "must be finite, or -inf"),
        ("--bias", "-1=2", "is no token"),
        ("--stop", "", "is no token"),
        ("--forced", "x=2", "is no position"),
        ("--sequence-bias", "1,2", "there is no = in it"),
        ("--prompt", "4294967296", "4294967296"),
        ("--penalty-scope", "some", "profile, all or generated"),
    ] {
        let joined = format!("{option}={value}");
        refused(&["explain", "--rows", &file, &joined], 2, &[part]);
    }
    // A sequence that has ended has no next row.
    for (options, part) in [
        (["--stop", "1,2"], "a --stop ends the sequence"),
        (["--end-tokens", "2"], "one of --end-tokens ends the sequence"),
        (["--max-tokens", "2"], "--max-tokens ends the sequence"),
    ] {
        refused(&[&["explain", "--rows", &file, "--generated", "1,2"], &options[..]].concat(), 1, &[part]);
    }
}

#[test]
fn more_than_the_standard_room_is_taken() {
    let (_folder, path) = folder();
    let file = path("rows.npy");
    fs::write(&file, matrix(&[vec![0.0; 3000]])).unwrap();
    let many: Vec<String> = (0..2000).map(|token| token.to_string()).collect();
    let (bans, biased) = (many.join(","), many.iter().map(|token| format!("{token}=1")).collect::<Vec<_>>().join(","));
    let long = many[..400].join(",");
    for arguments in [["--ban", &bans], ["--bias", &biased], ["--stop", &long], ["--end-tokens", &long]] {
        json_of(&[&["explain", "--rows", &file, "--json"], &arguments[..]].concat(), 0);
    }
}

#[test]
fn every_parameter_of_a_configuration_has_its_option() {
    let elsewhere = |command: &str, name: &str| match (command, name) {
        // `--temp`; what is measured is what the command shows; rooms follow from what is given.
        (_, "metrics" | "adjustment_capacity" | "sequence_capacity") => true,
        // `--steps`.
        ("decode", "max_tokens") => true,
        _ => false,
    };
    for command in ["explain", "verify", "decode"] {
        let help = stdout(&run(&[command, "--help"]));
        let options: Vec<&str> = help.split_whitespace().map(|word| word.trim_end_matches([',', ':', ']'])).collect();
        for (name, _) in Config::default().parameters() {
            let option = format!("--{}", name.replace('_', "-"));
            assert!(elsewhere(command, name) || options.contains(&&option[..]), "{command} has no {option}");
        }
        for name in ["--seed", "--stream"] {
            assert!(options.contains(&name), "{command} has no {name}");
        }
    }
}
