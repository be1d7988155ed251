//! `argpick sweep`, `argpick verify` and the radii of `argpick explain`, by running them.
#![cfg(feature = "cli")]

#[path = "support/tool.rs"]
mod tool;

use argpick::{Acceptance, Config, Decoder, DraftModel, Drafts, Metrics, Mode, Pick, Profile, Row, verify};
use serde_json::{Value, json};
use std::fs;
use tool::{folder, json_of, matrix, refused, run, stderr, stdout};

/// Numbers from -`size` to `size`.
fn numbers(seed: u64, count: usize, size: f32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = argpick::rng::mix(state);
        ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * size
    };
    (0..count).map(|_| next()).collect()
}

fn rows(seed: u64, count: usize, vocab: usize) -> Vec<Vec<f32>> {
    numbers(seed, count * vocab, 4.0).chunks(vocab).map(<[f32]>::to_vec).collect()
}

#[test]
fn sweep_picks_as_a_decoder_of_each_configuration() {
    let (_folder, path) = folder();
    let (file, configs) = (path("rows.npy"), path("configs.json"));
    let logits = rows(7, 2, 300);
    fs::write(&file, matrix(&logits)).unwrap();
    let list = json!([
        { "top_p": 7 },
        { "repetition_penalty": 1.3, "temperature": 0.7, "seed": 5 },
        { "repetition_penalty": 1.3, "top_p": 0.9, "min_p": 0.01, "seed": u64::MAX, "stream": 3 },
        { "repetition_penalty": 1.3, "mode": "greedy" },
        { "repetition_penalty": 1.3, "profile": "vllm", "top_k": 20, "keep_ties": false },
        { "top_k": 5 },
    ]);
    fs::write(&configs, list.to_string()).unwrap();
    let arguments =
        ["sweep", "--rows", &file, "--row", "1", "--configs", &configs, "--prompt", "3,4", "--generated", "9"];
    let json_arguments: Vec<&str> = arguments.into_iter().chain(["--json"]).collect();
    let found = json_of(&json_arguments, 1);
    let told = found["configs"].as_array().unwrap();
    let penalised = Config {
        repetition_penalty: 1.3,
        metrics: Metrics::CONFIDENCE | Metrics::LOGPROB | Metrics::RANK | Metrics::KEPT,
        ..Config::default()
    };
    let wanted = [
        Config { temperature: 0.7, seed: 5, ..penalised.clone() },
        Config { top_p: 0.9, min_p: 0.01, seed: u64::MAX, stream: 3, ..penalised.clone() },
        Config { mode: Mode::Greedy, ..penalised.clone() },
        Config { profile: Profile::Vllm, top_k: 20, ..penalised.clone() },
        Config { top_k: 5, repetition_penalty: 1.0, ..penalised },
    ];
    let table = run(&arguments);
    assert!(stderr(&table).contains("1 of 6 configurations has an error"), "{}", stderr(&table));
    let table = stdout(&table);
    let lines: Vec<&str> = table.lines().skip(3).collect();
    assert_eq!((told.len(), lines.len()), (6, 6), "{table}");
    let mut kept = Vec::new();
    for (index, config) in wanted.iter().enumerate() {
        let mut decoder = Decoder::new(config, 300).unwrap();
        decoder.prompt(&[3, 4]).unwrap();
        decoder.accept(&[9]).unwrap();
        let pick = decoder.evaluate(&logits[1], None).unwrap();
        let told = &told[index + 1];
        assert_eq!(told["error"], Value::Null);
        let answer = &told["pick"];
        for (name, wanted) in [("token", pick.token), ("rank", pick.rank), ("kept", pick.kept)] {
            assert_eq!(answer[name], wanted);
        }
        let floats = [("entropy", pick.entropy), ("p_top1", pick.top1_probability), ("logprob", pick.logprob)];
        for (name, wanted) in floats {
            assert_eq!(answer[name].as_f64().unwrap() as f32, wanted, "{name}");
        }
        let cells: Vec<&str> = lines[index + 1].split_whitespace().collect();
        assert_eq!(cells[..2], [(index + 1).to_string(), pick.token.to_string()]);
        kept.push(pick.kept);
    }
    assert!(kept[0] == 300 && kept[1] < 300 && kept[2] == 1 && kept[3] == 20 && kept[4] == 5, "{kept:?}");
    assert!(lines[2].contains("top-p 0.9") && lines[2].contains("seed 18446744073709551615"), "{table}");
    assert_eq!(told[0]["pick"], Value::Null);
    assert!(told[0]["error"].as_str().unwrap().contains("top_p is 7"), "{told:?}");
    assert!(lines[0].contains("error") && lines[0].contains("top_p is 7"), "{table}");

    let wrong = [
        (r#"[{"max_p": 1}]"#, "configuration 0: there is no parameter \"max_p\""),
        (r#"[{}, {"max_p": "x"}]"#, "configuration 1: there is no parameter \"max_p\""),
        (r#"[{"top_k": 1.5}]"#, "top_k"),
        (r#"[{"top_k": "many"}]"#, "top_k is \"many\""),
        (r#"[{"seed": -1}]"#, "seed is -1"),
        (r#"[{"profile": "dance"}]"#, "the profiles are"),
        (r#"[{"metrics": 1}]"#, "metrics"),
        ("{}", "JSON array"),
        ("[]", "no configuration"),
    ];
    for (text, what) in wrong {
        fs::write(&configs, text).unwrap();
        refused(&arguments, 1, what);
    }
    fs::write(&configs, "[{}, {\"top_k\": 3}]").unwrap();
    assert_eq!(json_of(&json_arguments, 0)["configs"][1]["pick"]["kept"], 3);
    refused(&["sweep", "--rows", &file], 2, "--configs");
}

#[test]
fn verify_emits_what_plain_decoding_does() {
    let (_folder, path) = folder();
    let (file, drafted) = (path("rows.npy"), path("drafted.npy"));
    let (logits, draft_logits) = (rows(8, 4, 40), rows(9, 3, 40));
    fs::write(&file, matrix(&logits)).unwrap();
    fs::write(&drafted, matrix(&draft_logits)).unwrap();
    let config = Config { seed: 11, top_k: 30, metrics: Metrics::LOGPROB | Metrics::RANK, ..Config::default() };
    let mut decoder = Decoder::new(&config, 40).unwrap();
    decoder.prompt(&[1]).unwrap();
    let plain: Vec<u32> = logits.iter().map(|row| decoder.decode(row, None).unwrap().token).collect();
    let text = |tokens: &[u32]| tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let base = ["verify", "--rows", &file, "--seed", "11", "--top-k", "30", "--prompt", "1"];
    let with = |extra: &[&str], code: i32| {
        json_of(&base.iter().chain(extra).copied().chain(["--json"]).collect::<Vec<_>>(), code)
    };
    let found = with(&["--draft", &text(&plain[..3])], 0);
    assert_eq!((&found["accepted"], &found["emitted"]), (&3.into(), &4.into()));
    assert_eq!(found["tokens"], json!(plain));
    let missed = [plain[0], (plain[1] + 1) % 40, plain[2]];
    let found = with(&["--draft", &text(&missed)], 0);
    assert_eq!((&found["accepted"], &found["node"]), (&1.into(), &0.into()));
    assert_eq!(found["tokens"], json!(plain[..2]));
    let printed = stdout(&run(&base.into_iter().chain(["--draft", &text(&missed)]).collect::<Vec<_>>()));
    assert!(printed.contains("accepted 1 of 3") && printed.contains("emitted  2"), "{printed}");
    assert!(printed.contains(&format!("tokens   {}, {}", plain[0], plain[1])), "{printed}");
    // A tree: the second draft is another try at the first place, the third follows the first.
    let tree = [plain[0], (plain[0] + 1) % 40, plain[1]];
    let found = with(&["--draft", &text(&tree), "--parents", "root,root,0"], 0);
    assert_eq!((&found["accepted"], &found["node"], &found["emitted"]), (&2.into(), &2.into(), &3.into()));
    assert_eq!(found["tokens"].as_array().unwrap()[..2], [json!(plain[0]), json!(plain[1])]);
    let found = with(&["--draft", &text(&plain[..3]), "--end-tokens", &plain[1].to_string()], 0);
    assert_eq!((&found["finish"], &found["emitted"]), (&"end token".into(), &2.into()));

    // The other ways of judging, by the library.
    let mut draws = config.clone();
    draws.seed = 2;
    let mut drafter = Decoder::new(&draws, 40).unwrap();
    let drafts: Vec<u32> = draft_logits.iter().map(|row| drafter.decode(row, None).unwrap().token).collect();
    let (target, draft): (Vec<Row>, Vec<Row>) = (
        logits.iter().map(|row| Row::from(&row[..])).collect(),
        draft_logits.iter().map(|row| Row::from(&row[..])).collect(),
    );
    for (name, acceptance) in [("certain", Acceptance::Certain), ("drawn", Acceptance::Drawn)] {
        let made = || {
            let mut decoder = Decoder::new(&config, 40).unwrap();
            decoder.prompt(&[1]).unwrap();
            decoder
        };
        let (mut decoder, mut beside) = (made(), made());
        let given = Drafts { tokens: &drafts, parents: &[], rows: &target, masks: &[], acceptance };
        let needs = acceptance == Acceptance::Drawn;
        let model = needs.then(|| DraftModel { decoder: &mut beside, rows: &draft, masks: &[] });
        let mut picks = [Pick::default(); 4];
        let wanted = verify(&mut decoder, &given, model, &mut picks).unwrap();
        let drafts = text(&drafts);
        let mut extra = vec!["--draft", &drafts, "--acceptance", name];
        if needs {
            extra.extend(["--draft-rows", &drafted]);
        }
        let found = with(&extra, 0);
        assert_eq!((&found["accepted"], &found["emitted"]), (&wanted.accepted.into(), &wanted.emitted.into()));
        let tokens: Vec<u32> = picks[..wanted.emitted].iter().map(|pick| pick.token).collect();
        assert_eq!(found["tokens"], json!(tokens));
    }
    refused(&["verify", "--rows", &file, "--draft", "1", "--acceptance", "drawn"], 2, "--draft-rows");
    refused(&["verify", "--rows", &file, "--draft", "1", "--draft-masks", &drafted], 2, "--draft-rows");
    refused(&["verify", "--rows", &file, "--draft", "1", "--draft-config", &drafted], 2, "--draft-rows");
    refused(&["verify", "--rows", &file, "--draft", "1", "--draft-rows", &drafted], 2, "--acceptance");
    refused(&["verify", "--rows", &file], 2, "--draft");
    refused(&["verify", "--rows", &file, "--draft", "1"], 1, "rows");
    refused(&["verify", "--rows", &file, "--draft", "1,2,40"], 1, "40");
    let tree = ["verify", "--rows", &file, "--draft", "1,2,3", "--parents"];
    refused(&tree.into_iter().chain(["root,2,0"]).collect::<Vec<_>>(), 1, "draft 1 cannot follow draft 2");
    refused(&tree.into_iter().chain(["0,root,1"]).collect::<Vec<_>>(), 1, "draft 0 cannot follow draft 0");
    refused(&tree.into_iter().chain(["root,0"]).collect::<Vec<_>>(), 1, "parents has 2 elements, 3 are needed");
}

#[test]
fn explain_tells_how_far_the_logits_may_move() {
    let (_folder, path) = folder();
    let file = path("rows.npy");
    fs::write(&file, matrix(&[vec![2.0, 5.0, 4.0, 1.0, 3.5]])).unwrap();
    let arguments = ["explain", "--rows", &file, "--top-k", "3", "--mode", "sample", "--json"];
    let pick = json_of(&arguments, 0)["profiles"][0]["pick"].clone();
    // Half the gap of the two best, half the gap at the cut.
    assert_eq!((&pick["flip_argmax"], &pick["flip_kept"]), (&0.5.into(), &0.75.into()));
    let config = Config { top_k: 3, metrics: Metrics::FLIP, ..Config::default() };
    let mut decoder = Decoder::new(&config, 5).unwrap();
    let wanted = decoder.evaluate(&[2.0f32, 5.0, 4.0, 1.0, 3.5], None).unwrap();
    assert_eq!(pick["flip_token"].as_f64().unwrap() as f32, wanted.flip_token);
    assert!(wanted.flip_token > 0.0);
    let printed = stdout(&run(&arguments[..7]));
    let line = format!("flip     canon: argmax 0.5, kept 0.75, token {}", wanted.flip_token);
    assert!(printed.contains(&line), "{printed}");
}

#[test]
fn outputs_are_files_of_their_own() {
    let (_folder, path) = folder();
    let (prompts, record) = (path("prompts.txt"), path("run.trace"));
    fs::write(&prompts, "the cat\n").unwrap();
    let decode = ["decode", "--contexts", &prompts, "--steps", "2"];
    for (options, wanted) in [
        (["--record", &record, "--plot", &record], "run.trace: two outputs would be written to it"),
        (["--record", &record, "--plot", &prompts], "prompts.txt: it is an input, and would be overwritten"),
    ] {
        let output = run(&[&decode[..], &options[..]].concat());
        assert!(output.status.code() == Some(1) && output.stdout.is_empty());
        assert!(stderr(&output).contains(wanted), "{}", stderr(&output));
    }
    assert_eq!(fs::read_to_string(&prompts).unwrap(), "the cat\n");
    assert!(!std::path::Path::new(&record).exists());
    // A device takes both.
    assert!(run(&[&decode[..], &["--record", "/dev/null", "--trace-out", "/dev/null"]].concat()).status.success());
}

/// The draft model's own masks, parameters and vocabulary.
#[test]
fn verify_judges_by_the_draft_models_own_distribution() {
    let (_folder, path) = folder();
    let (file, drafted, masks, options) =
        (path("rows.npy"), path("drafted.npy"), path("masks.npy"), path("draft.json"));
    // The draft model is much like the target, and knows eight tokens more.
    let (logits, mut draft_logits) = (rows(8, 3, 40), rows(9, 2, 48));
    for (draft, row) in draft_logits.iter_mut().zip(&logits) {
        draft.iter_mut().zip(row).for_each(|(z, target)| *z = 0.2 * *z + target);
    }
    fs::write(&file, matrix(&logits)).unwrap();
    fs::write(&drafted, matrix(&draft_logits)).unwrap();
    // Each second token of the target's vocabulary; one byte a token.
    let allowed: Vec<u8> = (0..2 * 48).map(|i| u8::from(i % 48 < 40 && i % 2 == 0)).collect();
    fs::write(&masks, tool::npy("|u1", "(2, 48)", "False", &allowed)).unwrap();
    fs::write(&options, r#"{"temperature": 0.5, "top_k": 6, "seed": 9}"#).unwrap();
    let words = [0x5555_5555u32, 0x55];
    let config = |seed| Config { seed, metrics: Metrics::LOGPROB | Metrics::RANK, ..Config::default() };
    let draft_config = Config { seed: 9, temperature: 0.5, top_k: 6, ..config(9) };
    let target: Vec<Row> = logits.iter().map(|row| Row::from(&row[..])).collect();
    let draft: Vec<Row> = draft_logits.iter().map(|row| Row::from(&row[..])).collect();
    let (mut accepted, mut apart) = (0, 0);
    for seed in 0..40u64 {
        let mut drafter = Decoder::new(&Config { seed: 1000 + seed, ..draft_config.clone() }, 48).unwrap();
        let tokens: Vec<u32> =
            draft_logits.iter().map(|row| drafter.decode(row, Some(&words)).unwrap().token).collect();
        let given = Drafts { tokens: &tokens, parents: &[], rows: &target, masks: &[], acceptance: Acceptance::Drawn };
        let judged = |draft_config: &Config, masks: &[Option<&[u32]>]| {
            let mut beside = Decoder::new(draft_config, 48).unwrap();
            let model = DraftModel { decoder: &mut beside, rows: &draft, masks };
            let mut picks = [Pick::default(); 3];
            let found = verify(&mut Decoder::new(&config(seed), 40).unwrap(), &given, Some(model), &mut picks).unwrap();
            (found.accepted, picks[..found.emitted].iter().map(|pick| pick.token).collect::<Vec<_>>())
        };
        let wanted = judged(&draft_config, &[Some(&words[..]), Some(&words[..])]);
        let (number, text) = (seed.to_string(), tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
        let arguments = ["verify", "--rows", &file, "--seed", &number, "--draft", &text, "--acceptance", "drawn"];
        let extra = ["--draft-rows", &drafted, "--draft-masks", &masks, "--draft-config", &options, "--json"];
        let found = json_of(&arguments.into_iter().chain(extra).collect::<Vec<_>>(), 0);
        assert_eq!((&found["accepted"], &found["tokens"]), (&wanted.0.into(), &json!(wanted.1)), "seed {seed}");
        accepted += wanted.0;
        apart += usize::from(judged(&config(seed), &[]) != wanted);
    }
    assert!((5..75).contains(&accepted) && apart > 5, "{accepted} stood, {apart} differ without masks and parameters");
    let arguments = ["verify", "--rows", &file, "--draft", "0,2", "--acceptance", "drawn", "--draft-rows", &drafted];
    for (text, what) in [("[]", "JSON object"), (r#"{"max_p": 1}"#, "max_p"), (r#"{"top_p": 7}"#, "top_p is 7")] {
        fs::write(&options, text).unwrap();
        refused(&arguments.into_iter().chain(["--draft-config", &options]).collect::<Vec<_>>(), 1, what);
    }
    // Drafts that the masks forbid were not drawn as is said.
    let odd = ["verify", "--rows", &file, "--draft", "1,2", "--acceptance", "drawn", "--draft-rows", &drafted];
    refused(
        &odd.into_iter().chain(["--draft-masks", &masks]).collect::<Vec<_>>(),
        1,
        "draft token 1: the draft model cannot have drawn it",
    );
}
