//! Training: the step against finite differences of a float64 loss, its refusals, its bits on every kernel level; the
//! trainer's files, their determinism, an interrupted run, bad input, and NumPy as the second opinion.
#![cfg(feature = "sandbox")]

use argpick::kernels::{Kernels, Level};
use argpick::logits::train::{Example, TrainableHead, score, train_step};
use argpick::sandbox::Model;
use argpick::sandbox::corpus::{self, Observation};
use argpick::sandbox::default;
use argpick::sandbox::features::{FeatureSpace, shift};
use argpick::sandbox::text::tokens;
use argpick::sandbox::train::{Progress, Report, Stage, TrainOptions, train_file};
use argpick::types::Dtype;
use argpick::weights::{Column, ColumnMatrix, ElementType, SparseHead};
use argpick::{Config, Decoder, Error, Mode};
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

/// Numbers in [-1, 1) from a linear congruential generator of the test's own.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn vector(&mut self, length: usize, scale: f32) -> Vec<f32> {
        (0..length).map(|_| self.next() * scale).collect()
    }
}

/// -ln softmax(b + sum a_j W[:, c_j])[target] in float64.
fn loss(weights: &[f64], bias: &[f64], columns: &[u32], values: &[f64], target: usize) -> f64 {
    let vocab = bias.len();
    let z: Vec<f64> = (0..vocab)
        .map(|i| bias[i] + columns.iter().zip(values).map(|(&c, a)| a * weights[c as usize * vocab + i]).sum::<f64>())
        .collect();
    let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    z.iter().map(|x| (x - top).exp()).sum::<f64>().ln() + top - z[target]
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

#[test]
fn a_step_follows_the_finite_differences_of_the_loss() {
    const RATE: f32 = 0.25;
    let mut numbers = Numbers(7);
    for vocab in [1, 2, 3, 15, 16, 17, 63, 64, 65, 127, 200] {
        let features = 6;
        // The last two have a column twice, which counts twice.
        let lists: [(&[u32], Option<&[f32]>); 5] = [
            (&[], None),
            (&[4], None),
            (&[0, 5, 2], Some(&[1.5, -0.75, 0.125])),
            (&[3, 3], None),
            (&[1, 4, 1], Some(&[0.5, 2.0, -1.25])),
        ];
        for (columns, values) in lists {
            let weights = numbers.vector(vocab * features, 1.0);
            let bias = numbers.vector(vocab, 2.0);
            let target = vocab * 2 / 3;
            let (mut new_weights, mut new_bias, mut scratch) = (weights.clone(), bias.clone(), vec![0.0; vocab]);
            let head = TrainableHead { weights: &mut new_weights, bias: &mut new_bias };
            let example = Example { columns, values, target: target as u32 };
            let score = train_step(kernels(), head, &example, RATE, &mut scratch).expect("a step");

            let (w, b) = (widen(&weights), widen(&bias));
            let a = values.map_or(vec![1.0; columns.len()], widen);
            let exact = loss(&w, &b, columns, &a, target);
            assert!((f64::from(score.loss) - exact).abs() < 2e-6 * (1.0 + exact), "loss {} is not {exact}", score.loss);

            let half_step = 1e-5;
            let slope = |change: &mut dyn FnMut(&mut [f64], &mut [f64], f64)| {
                let (mut up, mut up_bias) = (w.clone(), b.clone());
                change(&mut up, &mut up_bias, half_step);
                let (mut down, mut down_bias) = (w.clone(), b.clone());
                change(&mut down, &mut down_bias, -half_step);
                (loss(&up, &up_bias, columns, &a, target) - loss(&down, &down_bias, columns, &a, target))
                    / (2.0 * half_step)
            };
            for i in 0..vocab * features {
                let expected = w[i] - f64::from(RATE) * slope(&mut |w, _, h| w[i] += h);
                let actual = f64::from(new_weights[i]);
                assert!((actual - expected).abs() < 3e-6, "W[{i}] of {vocab}, {columns:?}: {actual} not {expected}");
            }
            for i in 0..vocab {
                let slope = slope(&mut |_, b, h| b[i] += h);
                let (actual, expected) = (f64::from(new_bias[i]), b[i] - f64::from(RATE) * slope);
                assert!((actual - expected).abs() < 3e-6, "b[{i}] of {vocab}, {columns:?}: {actual} not {expected}");
                assert!((f64::from(scratch[i]) - slope).abs() < 1e-6, "gradient {i}: {} not {slope}", scratch[i]);
            }
        }
    }
}

#[test]
fn the_score_names_the_argmax_and_the_lowest_id_on_ties() {
    let mut weights = [];
    let mut bias = [0.5, 2.0, -0.0, 2.0, 1.0];
    for (target, correct) in [(1, true), (3, false)] {
        let mut copy = bias;
        let head = TrainableHead { weights: &mut weights, bias: &mut copy };
        let example = Example { columns: &[], values: None, target };
        let score = train_step(kernels(), head, &example, 0.1, &mut [0.0; 5]).expect("a step");
        assert_eq!((score.argmax, score.correct), (1, correct));
    }
    // A target that is far below the best has no probability left in f32, and still a loss.
    bias = [0.0, 0.0, 0.0, 0.0, 300.0];
    let head = TrainableHead { weights: &mut weights, bias: &mut bias };
    let example = Example { columns: &[], values: None, target: 0 };
    let score = train_step(kernels(), head, &example, 0.1, &mut [0.0; 5]).expect("a step");
    assert_eq!(score.loss, 300.0);
}

#[test]
fn scoring_a_stored_head_agrees_with_the_step() {
    let mut numbers = Numbers(11);
    let (vocab, features) = (77, 5);
    let (mut weights, mut bias) = (numbers.vector(vocab * features, 1.0), numbers.vector(vocab, 1.0));
    let weight_bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
    let bias_bytes: Vec<u8> = bias.iter().flat_map(|b| b.to_le_bytes()).collect();
    let matrix = ColumnMatrix::new(&weight_bytes, ElementType::F32, vocab, features).expect("a matrix");
    let head = SparseHead::new(matrix, Column { bytes: &bias_bytes, element: ElementType::F32 }).expect("a head");
    let example = Example { columns: &[4, 0, 4], values: Some(&[0.5, -2.0, 1.0]), target: 30 };
    let mut scratch = vec![0.0; vocab];
    let measured = score(kernels(), &head, &example, &mut scratch).expect("a score");
    assert!((scratch.iter().map(|&p| f64::from(p)).sum::<f64>() - 1.0).abs() < 1e-5, "scratch holds probabilities");
    let trainable = TrainableHead { weights: &mut weights, bias: &mut bias };
    let learned = train_step(kernels(), trainable, &example, 0.1, &mut scratch).expect("a step");
    assert_eq!(measured, learned, "project and the step must add in the same order");
}

#[test]
fn every_kernel_level_learns_the_same_bits() {
    let mut expected: Option<(Vec<u32>, Vec<u32>, Vec<u32>)> = None;
    for kernels in levels() {
        let mut numbers = Numbers(3);
        let (vocab, features) = (1_283, 9);
        let (mut weights, mut bias) = (numbers.vector(vocab * features, 3.0), numbers.vector(vocab, 3.0));
        let mut scratch = vec![0.0; vocab];
        let mut losses = Vec::new();
        for step in 0..60u32 {
            let columns = [step % 9, step * 5 % 9, step * step % 9];
            let values = [numbers.next(), numbers.next(), numbers.next()];
            let example = Example { columns: &columns, values: Some(&values), target: step * 37 % vocab as u32 };
            let head = TrainableHead { weights: &mut weights, bias: &mut bias };
            losses.push(train_step(kernels, head, &example, 0.3, &mut scratch).expect("a step").loss.to_bits());
        }
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
        let found = (bits(&weights), bits(&bias), losses);
        match &expected {
            None => expected = Some(found),
            Some(expected) => assert!(*expected == found, "{:?} differs", kernels.level()),
        }
    }
}

#[test]
fn a_refused_step_changes_nothing() {
    // Token i of column c has the weight 10 c + i.
    let weights: Vec<f32> = (0..3).flat_map(|c| (0..4).map(move |i| (10 * c + i) as f32)).collect();
    let bias = vec![0.0f32; 4];
    let huge = vec![-3e38f32; 4];
    let infinite = |column: usize, at: usize| {
        let mut changed = weights.clone();
        changed[column * 4 + at] = f32::INFINITY;
        changed
    };
    let nan_bias = vec![0.0, 0.0, f32::NAN, f32::NAN];
    type Case<'a> = (&'a str, Vec<f32>, Vec<f32>, Example<'a>, f32, usize, Error);
    let example = |columns, target| Example { columns, values: None, target };
    let with = |columns, values| Example { columns, values: Some(values), target: 0 };
    let good = example(&[0, 2], 1);
    let parameter = |name, value| Error::InvalidParameter { name, value };
    let length = |what, expected, actual| Error::WrongLength { what, expected, actual };
    let cases: Vec<Case<'_>> = vec![
        ("rate 0", weights.clone(), bias.clone(), good, 0.0, 4, parameter("learning_rate", 0.0)),
        ("rate -1", weights.clone(), bias.clone(), good, -1.0, 4, parameter("learning_rate", -1.0)),
        ("rate inf", weights.clone(), bias.clone(), good, f32::INFINITY, 4, parameter("learning_rate", f64::INFINITY)),
        (
            "target",
            weights.clone(),
            bias.clone(),
            example(&[0], 4),
            0.1,
            4,
            Error::TokenOutOfRange { token: 4, vocab: 4 },
        ),
        ("no vocabulary", vec![], vec![], example(&[], 0), 0.1, 0, Error::TokenOutOfRange { token: 0, vocab: 0 }),
        (
            "column",
            weights.clone(),
            bias.clone(),
            example(&[0, 3], 1),
            0.1,
            4,
            Error::ColumnOutOfRange { column: 3, columns: 3 },
        ),
        ("scratch", weights.clone(), bias.clone(), good, 0.1, 3, length("scratch", 4, 3)),
        ("ragged", weights[..11].to_vec(), bias.clone(), good, 0.1, 4, length("weights", 8, 11)),
        ("values short", weights.clone(), bias.clone(), with(&[0, 1], &[1.0]), 0.1, 4, length("values", 2, 1)),
        (
            "value inf",
            weights.clone(),
            bias.clone(),
            with(&[0], &[f32::INFINITY]),
            0.1,
            4,
            parameter("values", f64::INFINITY),
        ),
        (
            "logit inf",
            infinite(2, 3),
            bias.clone(),
            good,
            0.1,
            4,
            Error::InvalidLogit { index: 3, value: f32::INFINITY },
        ),
        (
            "logit too large",
            huge.repeat(3),
            huge.clone(),
            good,
            0.1,
            4,
            Error::InvalidLogit { index: 0, value: f32::NEG_INFINITY },
        ),
        (
            "bias overflows",
            weights.clone(),
            huge.clone(),
            example(&[], 1),
            f32::MAX,
            4,
            Error::UpdateOverflow { column: None, token: 0 },
        ),
        (
            "scale overflows",
            vec![0.0; 12],
            bias.clone(),
            with(&[1], &[2.0]),
            f32::MAX,
            4,
            Error::UpdateOverflow { column: Some(1), token: 0 },
        ),
        // Once would fit: 0.25 of the largest number for each token but the target; five times would not.
        (
            "repeats overflow",
            vec![0.0; 12],
            bias.clone(),
            example(&[2, 2, 2, 2, 2], 1),
            f32::MAX,
            4,
            Error::UpdateOverflow { column: Some(2), token: 0 },
        ),
    ];
    for (name, mut weights, mut bias, example, rate, scratch, expected) in cases {
        let before = (weights.clone(), bias.clone());
        let head = TrainableHead { weights: &mut weights, bias: &mut bias };
        let error = train_step(kernels(), head, &example, rate, &mut vec![0.0; scratch]).expect_err(name);
        assert_eq!(error, expected, "{name}");
        assert!(before.0.iter().zip(&weights).all(|(a, b)| a.to_bits() == b.to_bits()), "{name} changed W");
        assert!(before.1.iter().zip(&bias).all(|(a, b)| a.to_bits() == b.to_bits()), "{name} changed b");
    }
    let (mut weights, mut bias) = (weights, nan_bias);
    let head = TrainableHead { weights: &mut weights, bias: &mut bias };
    match train_step(kernels(), head, &good, 0.1, &mut [0.0; 4]) {
        Err(Error::InvalidLogit { index: 2, value }) if value.is_nan() => {}
        other => panic!("a NaN bias gave {other:?}"),
    }
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
    // Sentences: "a b." "a?!" "b a" (its paragraph ends) "a." "b" -> numbers 0 to 4; the second and fourth are held out.
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
