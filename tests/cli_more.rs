//! `argpick decode --beams`, `argpick sweep`, `argpick verify` and the radii of `argpick explain`, by running them.
#![cfg(feature = "cli")]

#[allow(dead_code)]
#[path = "support/npz.rs"]
mod npz;
#[path = "support/tool.rs"]
mod tool;

use argpick::sandbox::Model;
use argpick::sandbox::features::shift;
use argpick::{Acceptance, Config, Decoder, DraftModel, Drafts, Kernels, Metrics, Mode, Pick, Profile, Row, verify};
use serde_json::{Value, json};
use std::fs;
use tool::{folder, json_of, matrix, run, stderr, stdout};

fn refused(arguments: &[&str], code: i32, what: &str) {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
    assert!(stderr(&output).contains(what), "{arguments:?}: {}", stderr(&output));
    assert!(code == 1 || output.stdout.is_empty(), "{arguments:?}");
}

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

const SMALL: [&str; 5] = ["the", "cat", "sat", ".", "<EOS>"];

/// A model of five words whose rows depend on all that it sees.
fn small_model() -> Vec<u8> {
    let inputs: Vec<&str> = ["<BOS>", "<UNK>"].into_iter().chain(SMALL).collect();
    let features = inputs.len() + 11 + 13;
    npz::npz(&[
        npz::floats("W", &format!("(5, {features})"), &numbers(3, 5 * features, 1.5)),
        npz::floats("b", "(5,)", &numbers(4, 5, 0.5)),
        npz::integers("classes", "(5,)", &[0, 1, 2, 3, 4]),
        npz::strings("in_vocab", &inputs),
        npz::strings("out_vocab", &SMALL),
        npz::integers("d2", "()", &[11]),
        npz::integers("d3", "()", &[13]),
    ])
}

/// Every text of at most `steps` tokens, with its sum of log-probabilities, by enumeration in f64.
fn enumerate(
    model: &Model,
    recent: [u32; 3],
    steps: usize,
    temperature: f64,
    text: &[u32],
    sum: f64,
    found: &mut Vec<(Vec<u32>, f64)>,
) {
    let mut row = vec![0.0; model.vocab()];
    model.logits(Kernels::detect().unwrap(), recent, &mut row).unwrap();
    let weights: Vec<f64> = row.iter().map(|&z| (f64::from(z) / temperature).exp()).collect();
    let total: f64 = weights.iter().sum();
    for (class, weight) in weights.iter().enumerate() {
        let text: Vec<u32> = text.iter().copied().chain([class as u32]).collect();
        let sum = sum + (weight / total).ln();
        if class >= 3 || text.len() == steps {
            found.push((text, sum));
        } else {
            let next = shift(recent, model.space().id(SMALL[class]));
            enumerate(model, next, steps, temperature, &text, sum, found);
        }
    }
}

#[test]
fn enough_beams_rank_every_text_as_enumeration_does() {
    let (_folder, path) = folder();
    let file = path("model.npz");
    fs::write(&file, small_model()).unwrap();
    let model = Model::open(&file).unwrap();
    let recent = shift(model.space().start(), model.space().id("cat"));
    let mut texts = Vec::new();
    enumerate(&model, recent, 3, 0.8, &[], 0.0, &mut texts);
    // Two ends at the first token, three times two at the second, nine times five at the third.
    assert_eq!(texts.len(), 2 + 6 + 45);
    let mut ranked: Vec<(Vec<u32>, f64, f64)> =
        texts.into_iter().map(|(text, sum)| (text.clone(), sum / (text.len() as f64).powf(0.7), sum)).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut arguments = vec!["decode", "--weights", &file, "--context", "cat", "--no-dangling", "0", "--steps", "3"];
    arguments.extend(["--beams", "64", "--temp", "0.8", "--length-penalty", "0.7"]);
    let with = |extra: &[&'static str]| arguments.iter().copied().chain(extra.iter().copied()).collect::<Vec<&str>>();
    let found = json_of(&with(&["--json"]), 0);
    let text = &found["texts"][0];
    assert_eq!((&text["steps"], &text["exhausted"], &text["input_tokens"]), (&3.into(), &false.into(), &1.into()));
    let hypotheses = text["hypotheses"].as_array().unwrap();
    assert_eq!(hypotheses.len(), ranked.len());
    let mut reasons = std::collections::BTreeSet::new();
    for (told, (classes, score, sum)) in hypotheses.iter().zip(&ranked) {
        let last = *classes.last().unwrap();
        let spoken = &classes[..classes.len() - usize::from(last == 4)];
        let words: Vec<&str> = spoken.iter().map(|&class| SMALL[class as usize]).collect();
        assert_eq!(told["tokens"], json!(words));
        assert_eq!(told["length"], classes.len());
        assert!((told["score"].as_f64().unwrap() - score).abs() < 1e-5, "{told} {score}");
        assert!((told["logprob"].as_f64().unwrap() - sum).abs() < 1e-5, "{told} {sum}");
        let stop = ["steps", "steps", "steps", "punctuation", "end token"][last as usize];
        assert_eq!(told["stop"], stop);
        reasons.insert(stop);
    }
    assert_eq!(reasons.len(), 3);

    let printed = stdout(&run(&with(&["--n-best", "2"])));
    assert!(printed.contains("64 beams in 1 group") && printed.contains("length-penalty 0.7"), "{printed}");
    let lines: Vec<&str> = printed.lines().skip_while(|line| !line.contains("rank")).collect();
    assert_eq!(lines.len(), 3, "{printed}");
    for (line, told) in lines[1..].iter().zip(hypotheses) {
        let score = format!("{:.6}", told["score"].as_f64().unwrap());
        assert!(line.contains(&score) && line.contains(told["stop"].as_str().unwrap()), "{line}");
        assert!(line.ends_with(told["continuation"].as_str().unwrap()), "{line}");
    }
}

#[test]
fn one_beam_is_greedy_decoding_and_rules_hold() {
    for rules in [&[][..], &["--ban", "the,a,is", "--no-repeat-window", "6", "--min-steps", "4", "--det-a-an", "1"]] {
        let with = |extra: &[&'static str]| {
            let mut arguments = vec!["decode", "--json", "--steps", "12"];
            arguments.extend(rules);
            arguments.extend(extra);
            json_of(&arguments, 0)
        };
        let (greedy, beams) = (with(&[]), with(&["--beams", "1"]));
        let (greedy, beams) = (greedy["texts"].as_array().unwrap(), beams["texts"].as_array().unwrap());
        assert_eq!(greedy.len(), beams.len());
        assert!(greedy.len() > 2);
        for (greedy, beam) in greedy.iter().zip(beams) {
            let best = &beam["hypotheses"][0];
            for (told, of_decode) in [("continuation", "continuation"), ("stop", "stop")] {
                assert_eq!(best[told], greedy[of_decode], "{}", greedy["context_start"]);
            }
            let picks = greedy["steps"].as_array().unwrap();
            let sum: f64 = picks.iter().map(|step| (step["p_top1"].as_f64().unwrap()).ln()).sum();
            assert!((best["logprob"].as_f64().unwrap() - sum).abs() < 1e-4, "{best} {sum}");
        }
    }
}

#[test]
fn groups_part_and_rules_may_leave_nothing() {
    let (_folder, path) = folder();
    let file = path("model.npz");
    fs::write(&file, small_model()).unwrap();
    let firsts = |found: &Value| {
        let list = found["hypotheses"].as_array().unwrap();
        list.iter().map(|text| text["tokens"][0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let two = |extra: &[&'static str]| {
        let mut arguments = vec!["decode", "--weights", &file, "--context", "cat", "--json", "--steps", "2"];
        arguments.extend(["--beams", "2", "--groups", "2", "--stop-punct", "0", "--min-steps", "2"]);
        arguments.extend(extra);
        firsts(&json_of(&arguments, 0)["texts"][0])
    };
    let (alone, apart) = (two(&[]), two(&["--diversity-penalty", "50"]));
    assert_eq!(alone[0], alone[1]);
    assert_ne!(apart[0], apart[1]);

    let output = run(&[
        "decode",
        "--weights",
        &file,
        "--context",
        "cat",
        "--beams",
        "2",
        "--ban",
        "the,cat,sat",
        "--min-steps",
        "9",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("no word to any beam after step 0"), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["texts"][0]["exhausted"], true);
    assert_eq!(found["texts"][0]["hypotheses"], json!([]));
}

#[test]
fn what_does_not_go_with_beams_is_bad_usage() {
    let options = "--mode sample --seed 1 --stream 1 --top-k 4 --keep-ties 1 --top-p 0.5 --min-p 0.1 --typical-p 0.5 \
        --epsilon-cutoff 0.1 --eta-cutoff 0.1 --top-n-sigma 1 --top-a 0.1 --tfs-z 0.5 --top-h 0.5 --xtc-probability 0.5 \
        --xtc-threshold 0.2 --min-keep 2 --dynatemp-range 0.5 --dynatemp-exponent 2 --mirostat 2 --mirostat-tau 3 \
        --mirostat-eta 0.2 --adaptive-target 0.5 --adaptive-decay 0.5 --repetition-penalty 1.2 --frequency-penalty 1 \
        --presence-penalty 1 --penalty-window 4 --dry-multiplier 1 --dry-base 2 --dry-allowed-length 3 \
        --no-repeat-ngram 2 --loop-repeats 3 --min-tokens 2 --valid-vocab 5 --penalty-scope all --dry-window 9 \
        --loop-period 5 --length-decay-start 2 --length-decay-factor 1.1 --history-capacity 99 --top 3 --trace-out x --csv-out x --record x --plot x";
    let words: Vec<&str> = options.split_whitespace().collect();
    let mut pairs: Vec<Vec<&str>> = words.chunks(2).map(<[&str]>::to_vec).collect();
    pairs.extend([vec!["--quiet"], vec!["--all-steps"]]);
    assert_eq!(pairs.len(), 48);
    for pair in &pairs {
        let mut arguments = vec!["decode", "--beams", "2"];
        arguments.extend(pair);
        refused(&arguments, 2, pair[0]);
    }
    for option in ["--groups", "--diversity-penalty", "--length-penalty", "--n-best"] {
        refused(&["decode", option, "1"], 2, "--beams");
    }
    refused(&["decode", "--early-stopping", "yes"], 2, "--beams");
    refused(&["decode", "--beams", "0"], 2, "--beams");
    refused(&["decode", "--beams", "2", "--steps", "0"], 2, "--steps");
    refused(&["decode", "--beams", "2", "--temp", "0"], 2, "--temp");
    refused(&["decode", "--beams", "3", "--groups", "2"], 1, "groups");
    refused(&["decode", "--beams", "2", "--profile", "llama_cpp"], 1, "llama_cpp");
    // No option of `argpick decode` is left out of both lists: these apply.
    let applies = "weights contexts context steps temp kernel profile min-steps stop-punct ban no-repeat no-repeat-window \
        no-dangling det-a-an topic-lock topic-keep topic-topn json beams groups diversity-penalty length-penalty \
        early-stopping n-best help version";
    let help = stdout(&run(&["decode", "--help"]));
    let mut seen = 0;
    for line in help.lines().map(str::trim_start).filter(|line| line.starts_with("--") || line.starts_with("-q,")) {
        let name = line.split("--").nth(1).unwrap().split([' ', '[', ',']).next().unwrap();
        let is_refused = pairs.iter().any(|pair| pair[0] == format!("--{name}"));
        assert!(is_refused || applies.split_whitespace().any(|known| known == name), "{line}");
        seen += 1;
    }
    assert!(seen > 60, "{help}");
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
    refused(&["verify", "--rows", &file, "--draft", "1", "--draft-rows", &drafted], 2, "--acceptance");
    refused(&["verify", "--rows", &file], 2, "--draft");
    refused(&["verify", "--rows", &file, "--draft", "1"], 1, "rows");
    refused(&["verify", "--rows", &file, "--draft", "1,2,40"], 1, "40");
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
    assert!(wanted.flip_token > 0.0 && wanted.flip_token <= 0.75);
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
