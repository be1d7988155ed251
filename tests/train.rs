//! The trainer: what it reads, its files and their determinism, an interrupted run, bad input, the default model, and
//! NumPy as the second opinion.
#![cfg(feature = "sandbox")]

use argpick::kernels::{Kernels, Level};
use argpick::sandbox::Model;
use argpick::sandbox::corpus::{self, Observation};
use argpick::sandbox::default;
use argpick::sandbox::features::{FeatureSpace, shift};
use argpick::sandbox::text::tokens;
use argpick::sandbox::train::{Progress, Report, Stage, TrainOptions, train_file};
use argpick::types::Dtype;
use argpick::{Config, Decoder, Mode};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

fn kernels() -> Kernels {
    Kernels::detect().expect("kernels")
}

/// The kernel levels of this machine; the missing ones are printed.
fn levels() -> Vec<Kernels> {
    let mut found = Vec::new();
    for level in Level::ALL {
        match Kernels::new(level) {
            Ok(kernels) => found.push(kernels),
            Err(error) => println!("skipped: {error}"),
        }
    }
    assert!(found.len() >= 2, "a comparison needs two levels");
    found
}

fn write_text(folder: &Path, text: &[u8]) -> PathBuf {
    let path = folder.join("text.txt");
    std::fs::write(&path, text).expect("a text");
    path
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn default_text() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sandbox/default.txt")
}

/// The observations of a text under the vocabulary of its `vocab` most frequent words.
fn observe(text: &str, vocab: usize, hold_out: u32) -> (Vec<String>, Vec<Observation>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write_text(folder.path(), text.as_bytes());
    let survey =
        corpus::survey(&path, hold_out, |_| ControlFlow::Continue(())).expect("a survey").expect("a whole one");
    let lexicon = survey.lexicon("text", vocab).expect("a lexicon");
    let space = FeatureSpace::new("text", lexicon.in_vocab(), 8, 8).expect("a space");
    let mut found = Vec::new();
    let flow = corpus::observe(&path, hold_out, &space, |observation| {
        found.push(observation);
        Ok(ControlFlow::Continue(()))
    });
    assert!(flow.expect("observations").is_continue());
    let counted: u64 = lexicon.counts().iter().map(|count| count.total).sum();
    assert_eq!(counted, found.len() as u64, "the survey counts what the passes find");
    (lexicon.out_vocab(), found)
}

#[test]
fn a_text_becomes_contexts_and_targets() {
    // b and a occur twice, c once; d and e are unknown. Ties go to the word that appears first.
    let (words, found) = observe("\n \n  B a. d b e! \n\t\r\n\n A c", 3, 0);
    assert_eq!(words, ["b", "a", ".", "<EOS>"], "'.', 'd', 'e', '!' and 'c' occur once each, '.' first");
    let (begin, unknown, b, a, dot) = (0, 1, 2, 3, 4);
    let expected = [
        ([begin, begin, begin], 0),
        ([b, begin, begin], 1),
        ([a, b, begin], 2),
        ([unknown, dot, a], 0),
        ([unknown, unknown, b], 3),
        ([begin, begin, begin], 1),
        ([unknown, a, begin], 3),
    ];
    let expected: Vec<Observation> =
        expected.iter().map(|&(recent, target)| Observation { recent, target, held_out: false }).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_kth_sentence_is_held_out() {
    // Sentences: "a b." "a?!" "b a" (its paragraph ends) "a." "b" -> numbers 0 to 4; the second and fourth are held
    // out.
    let (words, found) = observe("a b. a?! b a\n\na. b", 5, 2);
    assert_eq!(words, ["a", "b", ".", "?", "!", "<EOS>"]);
    let targets: String =
        found.iter().map(|o| format!("{}{} ", words[o.target as usize], if o.held_out { "*" } else { "" })).collect();
    assert_eq!(targets, "a b . a* ?* !* b a <EOS> a* .* b <EOS> ");
}

#[test]
fn the_text_of_the_default_model_is_read_as_written() {
    // A second reading: paragraphs split in memory, tokens by the other tokenizer.
    let text = std::fs::read_to_string(default_text()).expect("the text");
    let paragraphs: Vec<Vec<String>> =
        text.split("\n\n").map(|p| tokens(p).collect::<Vec<_>>()).filter(|p| !p.is_empty()).collect();
    let (words, found) = observe(&text, 429, 0);
    let mut all = found.iter();
    for paragraph in &paragraphs {
        for (i, token) in paragraph.iter().map(String::as_str).chain(["<EOS>"]).enumerate() {
            let observation = all.next().expect("an observation");
            assert_eq!(words[observation.target as usize], token);
            let newest = if i == 0 { 0 } else { words.iter().position(|w| *w == paragraph[i - 1]).expect("it") + 2 };
            assert_eq!(observation.recent[0] as usize, newest);
        }
    }
    assert!(all.next().is_none());
}

/// Small options for the default text.
fn small() -> TrainOptions {
    TrainOptions { vocab: 120, d2: 64, d3: 64, epochs: 3, learning_rate: 0.15, ..TrainOptions::default() }
}

fn go(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn train(kernels: Kernels, out: &Path, options: &TrainOptions) -> Report {
    train_file(kernels, &default_text(), out, options, &mut go).expect("a model")
}

#[test]
fn training_lowers_the_loss_and_beats_the_unigram_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("model.npz");
    let report = train(kernels(), &out, &small());
    assert_eq!((report.epochs.len(), report.interrupted, report.classes, report.features), (3, false, 121, 250));
    let losses: Vec<f64> = report.epochs.iter().map(|epoch| epoch.loss).collect();
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    for (epoch, rate) in report.epochs.iter().zip([0.15, 0.0825, 0.015]) {
        assert!((epoch.learning_rate - rate).abs() < 1e-7, "the rate falls to a tenth in equal steps: {epoch:?}");
    }
    let held_out = report.epochs[2].held_out.expect("held-out sentences");
    let unigram = report.unigram_perplexity.expect("a baseline");
    assert!(held_out.perplexity < 0.6 * unigram, "{} beside {unigram}", held_out.perplexity);
    assert!(held_out.accuracy > 0.15, "{}", held_out.accuracy);
    assert!(held_out.tokens > 100 && held_out.tokens < report.tokens / 10);
    assert_eq!(names(folder.path()), ["model.npz"], "nothing else is left");
    Model::open(&out).expect("a model that opens");
}

#[test]
fn the_same_seed_gives_the_same_file_on_every_kernel_level() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("model.npz");
    let bytes = |kernels, options: &TrainOptions| {
        train(kernels, &out, options);
        std::fs::read(&out).expect("a model")
    };
    let options = TrainOptions { epochs: 1, ..small() };
    let expected = bytes(kernels(), &options);
    for kernels in levels() {
        assert!(bytes(kernels, &options) == expected, "{:?} differs", kernels.level());
    }
    // The seed, the buffer and the element type all matter.
    for other in [
        TrainOptions { seed: 2, ..options.clone() },
        TrainOptions { shuffle: 0, ..options.clone() },
        TrainOptions { shuffle: 100, ..options.clone() },
        TrainOptions { dtype: Dtype::F16, ..options.clone() },
    ] {
        assert!(bytes(kernels(), &other) != expected, "{other:?} changes nothing");
    }
}

#[test]
fn an_interrupted_run_keeps_the_last_whole_epoch() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("model.npz");
    let options = TrainOptions { epochs: 5, ..small() };
    let mut kept = None;
    let report = train_file(kernels(), &default_text(), &out, &options, &mut |progress| {
        if progress.epoch == 3 && progress.stage == Stage::Learning {
            kept.get_or_insert_with(|| std::fs::read(&out).expect("the model of epoch 2"));
            // Not at once: the weights have moved on by now.
            if progress.done > progress.total / 2 {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })
    .expect("a report");
    assert!(report.interrupted);
    assert_eq!(report.epochs.len(), 2);
    assert!(Some(std::fs::read(&out).expect("a model")) == kept, "the file has changed after epoch 2");
    assert_eq!(names(folder.path()), ["model.npz"]);
    Model::open(&out).expect("a model that opens");
}

#[test]
fn a_short_text_can_be_stopped_between_epochs() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = write_text(folder.path(), b"one two three. one two.");
    let out = folder.path().join("model.npz");
    let options = TrainOptions { vocab: 4, shuffle: 0, hold_out: 0, ..small() };
    let report = train_file(kernels(), &text, &out, &options, &mut |progress| {
        if progress.epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .expect("a report");
    assert_eq!((report.epochs.len(), report.interrupted), (1, true));
    assert!(out.exists());
}

#[test]
fn a_run_without_a_whole_epoch_writes_nothing() {
    for stage in [Stage::Counting, Stage::Learning] {
        let folder = tempfile::tempdir().expect("a folder");
        // Long enough that counting is noticed: progress comes every 65,536 tokens.
        let text = write_text(folder.path(), "one two three. ".repeat(30_000).as_bytes());
        let out = folder.path().join("model.npz");
        let options = TrainOptions { vocab: 4, ..small() };
        let mut stop = |progress: &Progress| {
            if progress.stage == stage { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let report = train_file(kernels(), &text, &out, &options, &mut stop).expect("a report");
        assert!(report.interrupted && report.epochs.is_empty(), "{stage:?}");
        assert_eq!(names(folder.path()), ["text.txt"], "{stage:?}");
        std::fs::write(&out, b"as it was").expect("a file");
        train_file(kernels(), &text, &out, &options, &mut stop).expect("a report");
        assert_eq!(std::fs::read(&out).expect("a file"), b"as it was", "{stage:?}");
    }
}

#[test]
fn bad_input_is_refused_before_any_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let text = write_text(here, b"one two three. one two.");
    let out = here.join("model.npz");
    let good = TrainOptions { vocab: 4, ..small() };
    let refuse = |text: &Path, out: &Path, options: &TrainOptions, needed: &str| {
        let before = names(here);
        let mut learned = false;
        let result = train_file(kernels(), text, out, options, &mut |progress| {
            learned |= progress.stage == Stage::Learning;
            ControlFlow::Continue(())
        });
        let message = result.expect_err(needed).to_string();
        assert!(message.contains(needed), "{message:?} lacks {needed:?}");
        assert!(!message.contains('\n') && !learned, "{message}");
        assert_eq!(names(here), before, "{needed}: something is left");
    };
    let with = |change: fn(&mut TrainOptions)| {
        let mut options = good.clone();
        change(&mut options);
        options
    };
    refuse(&text, &out, &with(|o| o.vocab = 0), "vocab: 0");
    refuse(&text, &out, &with(|o| o.vocab = 1 << 22), "vocab: 4194304");
    refuse(&text, &out, &with(|o| o.vocab = 5), "4 different words, too few for a vocabulary of 5");
    refuse(&text, &out, &with(|o| o.d2 = 0), "d2: 0");
    refuse(&text, &out, &with(|o| o.d3 = 0), "d3: 0");
    refuse(&text, &out, &with(|o| o.epochs = 0), "epochs: 0");
    refuse(&text, &out, &with(|o| o.learning_rate = f32::NAN), "lr: NaN");
    refuse(&text, &out, &with(|o| o.learning_rate = 0.0), "lr: 0");
    refuse(&text, &out, &with(|o| o.learning_rate = -0.5), "lr: -0.5");
    refuse(&text, &out, &with(|o| o.learning_rate = f32::INFINITY), "lr: inf");
    refuse(&text, &out, &with(|o| o.hold_out = 1), "hold-out: 1");
    refuse(&text, &out, &with(|o| o.dtype = Dtype::Bf16), "dtype");
    refuse(&text, &out, &with(|o| (o.d2, o.d3) = (u32::MAX, u32::MAX)), "columns");
    refuse(&here.join("missing.txt"), &out, &good, "missing.txt");
    refuse(here, &out, &good, "not a regular file");
    refuse(&text, &here.join("no/such/model.npz"), &good, "no/such/model.npz");
    refuse(&text, &here.join("model.bin"), &good, ".npz");
    refuse(&text, here, &good, ".npz");
    for (bytes, needed) in [
        (&b""[..], "there are no words"),
        (b" \n--,;\n\n", "there are no words"),
        (b"one two three. \xff four.", "not UTF-8 at byte 15"),
        (b"one two three. \xe2\x82", "not UTF-8 at byte 15"),
    ] {
        std::fs::write(&text, bytes).expect("a text");
        refuse(&text, &out, &good, needed);
    }
    // The text itself, under a name that a model may have.
    let own = here.join("text.npz");
    std::fs::write(&own, b"one two three. one two.").expect("a text");
    refuse(&own, &own, &good, "overwrite");
    // A learning rate that overflows is found in the first epoch: no file either.
    std::fs::write(&text, b"one two three. one two.").expect("a text");
    let report = train_file(kernels(), &text, &out, &with(|o| o.learning_rate = f32::MAX), &mut go);
    let message = report.expect_err("an overflow").to_string();
    assert!(message.contains("epoch 1 failed") && message.contains("lower learning rate"), "{message}");
    assert!(!out.exists());
    // Weights that f32 holds and f16 does not are found when the epoch is to be written.
    let wide = TrainOptions { learning_rate: 1e6, dtype: Dtype::F16, ..good.clone() };
    let message = train_file(kernels(), &text, &out, &wide, &mut go).expect_err("an f16 overflow").to_string();
    assert!(message.contains("beyond f16") && !out.exists(), "{message}");
    assert_eq!(names(here), ["text.npz", "text.txt"]);
}

#[test]
fn a_text_that_changes_meanwhile_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = write_text(folder.path(), "one two three. ".repeat(2_000).as_bytes());
    let out = folder.path().join("model.npz");
    let options = TrainOptions { vocab: 4, ..small() };
    let result = train_file(kernels(), &text, &out, &options, &mut |progress| {
        if progress.epoch == 2 && progress.stage == Stage::Learning {
            std::fs::write(&text, "one two three. ".repeat(1_000)).expect("a text");
        }
        ControlFlow::Continue(())
    });
    let message = result.expect_err("a changed text").to_string();
    assert!(message.contains("the text has changed"), "{message}");
    Model::open(&out).expect("the model of epoch 1");
}

#[test]
fn the_default_model_is_what_its_text_and_options_give() {
    let folder = tempfile::tempdir().expect("a folder");
    let (text, out) = (write_text(folder.path(), default::TEXT.as_bytes()), folder.path().join("model.npz"));
    train_file(kernels(), &text, &out, &default::train_options(), &mut go).expect("a model");
    let bytes = std::fs::read(&out).expect("a model");
    assert!(
        bytes == default::MODEL,
        "src/sandbox/default.npz is stale; the head of default.rs says how to make it anew"
    );
    assert!((100_000..400_000).contains(&bytes.len()), "{} bytes", bytes.len());
}

/// Words that the default model adds to a prompt, greedily, up to the end of a sentence; and the smallest margin.
fn continue_text(model: &Model, prompt: &str, no_repeat_window: u32) -> (Vec<String>, f32) {
    let config = Config { mode: Mode::Greedy, no_repeat_window, ..Config::default() };
    let mut decoder = Decoder::new(&config, model.vocab()).expect("a decoder");
    let mut row = vec![0.0; model.vocab()];
    let mut recent =
        tokens(prompt).fold(model.space().start(), |recent, token| shift(recent, model.space().id(&token)));
    let (mut words, mut margin) = (Vec::new(), f32::INFINITY);
    while words.len() < 40 {
        model.logits(kernels(), recent, &mut row).expect("logits");
        let pick = decoder.decode(&row, None).expect("a pick");
        let word = model.words()[pick.token as usize].clone();
        margin = margin.min(pick.margin);
        recent = shift(recent, model.space().id(&word));
        let ends = matches!(word.as_str(), "." | "!" | "?" | corpus::END);
        words.push(word);
        if ends {
            break;
        }
    }
    (words, margin)
}

/// The last words, repeated at least three times at the end: the shortest such loop.
fn find_loop(words: &[String]) -> Option<&[String]> {
    (1..=words.len() / 3)
        .map(|period| &words[words.len() - period..])
        .find(|&tail| words.rchunks_exact(tail.len()).take(3).all(|chunk| chunk == tail))
}

#[test]
fn the_default_session_shows_loops_attractors_and_cliffs() {
    let model = default::default_model().expect("the default model");
    let plain: Vec<(Vec<String>, f32)> =
        default::CONTEXTS.iter().map(|prompt| continue_text(&model, prompt, 0)).collect();
    let mut loops: Vec<Vec<String>> =
        plain.iter().filter_map(|(words, _)| find_loop(words)).map(<[String]>::to_vec).collect();
    assert!(loops.len() >= 5, "{plain:?}");
    assert!(plain.len() - loops.len() >= 2, "some sentences end: {plain:?}");
    // A loop may have been cut at any of its words: its sorted words are its name.
    loops.iter_mut().for_each(|words| words.sort());
    loops.sort();
    let mut different = loops.clone();
    different.dedup();
    assert!(different.len() >= 3, "{different:?}");
    assert!(loops.len() - different.len() >= 2, "attractors are reached from several prompts: {loops:?}");
    assert!(plain.iter().filter(|(_, margin)| *margin < 0.05).count() >= 2, "cliffs");
    for (prompt, (words, _)) in default::CONTEXTS.iter().zip(&plain) {
        let Some(period) = find_loop(words).map(<[String]>::len) else { continue };
        let (broken, _) = continue_text(&model, prompt, 5);
        assert!(period > 5 || find_loop(&broken).is_none(), "{prompt}: {broken:?}");
    }
}

#[test]
fn numpy_trains_the_same_model_and_its_files_decode_here() {
    let python = |arguments: &[&std::ffi::OsStr]| std::process::Command::new("python3").args(arguments).output();
    if !python(&["-c".as_ref(), "import numpy".as_ref()]).is_ok_and(|output| output.status.success()) {
        println!("skipped: python3 with numpy is not here");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs, logits) =
        (folder.path().join("ours.npz"), folder.path().join("theirs.npz"), folder.path().join("logits.json"));
    let options = TrainOptions {
        vocab: 40,
        d2: 64,
        d3: 64,
        epochs: 4,
        learning_rate: 0.2,
        hold_out: 0,
        shuffle: 0,
        ..TrainOptions::default()
    };
    train(kernels(), &ours, &options);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/train_numpy.py");
    let text = default_text();
    let arguments = [&script, &text, &ours, &theirs, &logits].map(|path| path.as_os_str());
    let output = python(&arguments).expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let model = Model::open(&theirs).expect("NumPy's model");
    let cases: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&logits).expect("logits")).expect("JSON");
    let mut row = vec![0.0; model.vocab()];
    let mut compared = 0;
    for case in cases.as_array().expect("cases") {
        let mut recent = model.space().start();
        for token in tokens(case["context"].as_str().expect("a context")) {
            recent = shift(recent, model.space().id(&token));
        }
        for step in case["steps"].as_array().expect("steps") {
            model.logits(kernels(), recent, &mut row).expect("logits");
            let theirs: Vec<f64> =
                step["logits"].as_array().expect("a row").iter().filter_map(|z| z.as_f64()).collect();
            assert_eq!(theirs.len(), row.len());
            for (ours, theirs) in row.iter().zip(&theirs) {
                assert!((f64::from(*ours) - theirs).abs() < 1e-4, "{ours} beside {theirs}");
            }
            let config = Config { mode: Mode::Greedy, ..Config::default() };
            let mut decoder = Decoder::new(&config, row.len()).expect("a decoder");
            let pick = decoder.decode(&row, None).expect("a pick");
            let picked = step["picked"].as_str().expect("a word");
            assert_eq!(model.words()[pick.token as usize], picked);
            recent = shift(recent, model.space().id(picked));
            compared += 1;
        }
    }
    assert_eq!(compared, 24);
}
