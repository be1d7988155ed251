//! Traces: a recorded run comes out the same again on every kernel level, what was changed is named with its step, and bytes
//! from outside are not believed.

use argpick::weights::{Column, ColumnMatrix, ElementType, SparseHead};
use argpick::{
    Config, Decoder, Error, FieldValue, Kernels, Level, Metrics, Mirostat, Mode, Record, Recorder, Replay, Row, Trace,
    TraceBuffer, TraceFile, TraceParts, TraceSink,
};
use half::{bf16, f16};

/// Numbers that are the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = argpick::rng::mix(self.0);
        self.0
    }
    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 32) as usize % limit
    }
    fn row(&mut self, vocab: usize) -> Vec<f32> {
        (0..vocab)
            .map(|_| match self.below(40) {
                0 => f32::NEG_INFINITY,
                _ => (self.next() >> 40) as f32 / 1_000_000.0 - 8.0,
            })
            .collect()
    }
    fn mask(&mut self, vocab: usize) -> Vec<u32> {
        (0..vocab.div_ceil(32)).map(|_| (self.next() | self.next()) as u32).collect()
    }
}

/// One step's inputs, as the host had them.
#[derive(Clone)]
struct Input {
    row: Vec<f32>,
    kind: usize,
    mask: Option<Vec<u32>>,
}

impl Input {
    /// The row as f32, f16 or bf16; rounding happens once, so that every replay sees the same.
    fn with<T>(&self, body: impl FnOnce(Row<'_>) -> T) -> T {
        match self.kind {
            0 => body(Row::F32(&self.row)),
            1 => body(Row::F16(&self.row.iter().map(|&x| f16::from_f32(x)).collect::<Vec<_>>())),
            _ => body(Row::Bf16(&self.row.iter().map(|&x| bf16::from_f32(x)).collect::<Vec<_>>())),
        }
    }
}

fn levels() -> Vec<Kernels> {
    let found: Vec<_> = Level::ALL.into_iter().filter_map(|level| Kernels::new(level).ok()).collect();
    println!("levels: {found:?}");
    found
}

fn configs() -> Vec<Config> {
    let base = Config { seed: 77, stream: 5, metrics: Metrics::ALL, ..Config::default() };
    vec![
        base.clone(),
        Config { temperature: 0.7, top_k: 12, no_repeat_window: 3, metrics: Metrics::RANK, ..base.clone() },
        Config { top_p: 0.8, metrics: Metrics::NONE, ..base.clone() },
        Config { mode: Mode::Greedy, metrics: Metrics::CONFIDENCE | Metrics::LOGPROB_RAW, ..base.clone() },
        Config { mirostat: Mirostat::Two, mirostat_tau: 2.0, ..base.clone() },
        Config { adaptive_target: 0.3, min_p: 0.01, valid_vocab: 150, max_tokens: 30, ..base },
    ]
}

/// A run with everything a host does: the bytes of its trace, and the inputs of its steps.
fn recorded_run(config: &Config, kernels: Kernels, parts: TraceParts, seed: u64) -> (Vec<u8>, Vec<Input>) {
    let vocab = 200;
    let mut numbers = Numbers(seed);
    let mut decoder = Decoder::new_with_kernels(config, vocab, kernels).unwrap();
    let mut recorder = Recorder::new(Vec::new(), &decoder, parts);
    let mut inputs = Vec::new();
    recorder.note("a run");
    recorder.prompt(&mut decoder, &[1, 2, 199]).unwrap();
    for step in 0..40 {
        match numbers.below(12) {
            0 => recorder.accept(&mut decoder, &[numbers.below(vocab) as u32]).unwrap_or(()),
            1 if decoder.position() > 0 => recorder.undo(&mut decoder, 1).unwrap_or(()),
            2 => recorder.seek(&mut decoder, numbers.next() >> 20),
            3 => recorder.set_bias(&mut decoder, &[(7, 2.5), (3, f32::NEG_INFINITY), (100, -1.0)]).unwrap(),
            4 => recorder.set_bans(&mut decoder, &[numbers.below(vocab) as u32, 50, 50]).unwrap(),
            5 if step % 2 == 0 => recorder.reset(&mut decoder, None).unwrap(),
            5 => {
                let next = Config { stream: decoder.config().stream + 1, ..config.clone() };
                recorder.reset(&mut decoder, Some(&next)).unwrap();
            }
            6 => {
                // What the recorder has no method for goes by the whole state.
                decoder.set_bias(&[(9, 1.25)]).unwrap();
                let mut buffer = vec![0; decoder.saved_size()];
                recorder.state(&mut decoder, &mut buffer).unwrap();
            }
            _ => {}
        }
        let mut input = Input { row: numbers.row(vocab), kind: numbers.below(3), mask: Some(numbers.mask(vocab)) };
        match numbers.below(4) {
            0 => {}
            1 if !inputs.is_empty() => input.mask = inputs.last().and_then(|last: &Input| last.mask.clone()),
            _ => input.mask = None,
        }
        if numbers.below(15) == 0 {
            input.row[numbers.below(vocab)] = f32::NAN;
        }
        if numbers.below(20) == 0 {
            input.mask = Some(vec![]);
        }
        let mask = input.mask.as_deref();
        let evaluated = numbers.below(5) == 0;
        let answer = input.with(|row| match evaluated {
            true => recorder.evaluate(&mut decoder, row, mask),
            false => recorder.decode(&mut decoder, row, mask),
        });
        if let Err(error) = answer {
            assert!(matches!(error.status(), 1 | 2 | 10), "{error}");
        }
        inputs.push(input);
    }
    assert_eq!(recorder.failure(), None);
    (recorder.finish().unwrap(), inputs)
}

/// Replays a trace on its inputs; the first difference.
fn replay(bytes: &[u8], inputs: &[Input], kernels: Kernels, give_masks: bool) -> Option<argpick::Difference> {
    let trace = Trace::open(bytes).unwrap();
    assert!(trace.is_complete());
    assert_eq!(trace.steps(), inputs.len() as u64);
    let mut replay = Replay::new_with_kernels(trace, kernels).unwrap();
    let mut steps = 0;
    while let Some(step) = replay.next_step().unwrap() {
        // As text: a NaN is not equal to itself.
        assert_eq!(format!("{:?}", replay.next_step().unwrap().unwrap()), format!("{step:?}"), "until it is checked");
        let input = &inputs[steps];
        assert_eq!(step.mask.is_some(), input.mask.is_some());
        let mask = input.mask.as_deref().filter(|_| give_masks);
        let found = input.with(|row| replay.check(row, mask)).unwrap();
        if found.is_some() {
            return found;
        }
        steps += 1;
    }
    assert_eq!((steps, replay.steps()), (inputs.len(), inputs.len() as u64));
    None
}

#[test]
fn a_run_is_the_same_again_on_every_level() {
    let levels = levels();
    for (i, config) in configs().iter().enumerate() {
        for parts in [
            TraceParts::default(),
            TraceParts { numbers: false, masks: false, columns: false },
            TraceParts { masks: false, ..TraceParts::default() },
        ] {
            let runs: Vec<_> =
                levels.iter().map(|&kernels| recorded_run(config, kernels, parts, i as u64 + 1)).collect();
            for (run, kernels) in runs.iter().zip(&levels) {
                assert!(run.0 == runs[0].0, "config {i}: {kernels:?} records other bytes");
            }
            for &kernels in &levels {
                for give_masks in [true, !parts.masks] {
                    let found = replay(&runs[0].0, &runs[0].1, kernels, give_masks);
                    assert_eq!(found, None, "config {i}, {parts:?}, {kernels:?}");
                }
            }
        }
    }
}

#[test]
fn one_ulp_in_one_logit_is_a_changed_row_at_its_step() {
    let kernels = Kernels::detect().unwrap();
    let config = Config { seed: 4, top_k: 5, metrics: Metrics::ALL, ..Config::default() };
    let (bytes, inputs) = recorded_run(&config, kernels, TraceParts::default(), 9);
    for step in 0..inputs.len() {
        if inputs[step].kind != 0 {
            continue;
        }
        let allowed = |token: usize| match &inputs[step].mask {
            Some(mask) => mask.get(token / 32).is_some_and(|word| word >> (token % 32) & 1 != 0),
            None => true,
        };
        for token in [0, 63, 64, 199] {
            let mut changed = inputs.clone();
            let logit = changed[step].row[token];
            if !logit.is_finite() {
                continue;
            }
            changed[step].row[token] = f32::from_bits(logit.to_bits() + 1);
            let found = replay(&bytes, &changed, kernels, true);
            if !allowed(token) {
                assert_eq!(found, None, "step {step}, token {token} takes no part");
                continue;
            }
            let found = found.unwrap_or_else(|| panic!("step {step}, token {token}: not seen"));
            assert_eq!((found.step, found.mask), (step as u64, None));
            let row = found.row.expect("the row is another one");
            assert_ne!(row.recorded, row.found);
        }
    }
}

#[test]
fn another_seed_is_another_token_and_not_another_row() {
    let kernels = Kernels::detect().unwrap();
    let config = Config { seed: 4, ..Config::default() };
    let (bytes, inputs) = recorded_run(&config, kernels, TraceParts::default(), 3);
    // The seed stands first in the configuration. The checksum must be that of the bytes.
    let mut changed = bytes.clone();
    changed[24] ^= 1;
    assert!(matches!(Trace::open(&changed), Err(Error::FileMalformed { .. })), "the checksum");
    let end = changed.len() - 8;
    let sum = fnv(&changed[..end]);
    changed[end..].copy_from_slice(&sum.to_le_bytes());
    let found = replay(&changed, &inputs, kernels, true).expect("another token somewhere");
    assert_eq!((found.row, found.mask), (None, None));
    let field = found.field.expect("a field");
    assert_eq!(field.name, "token");
    assert_ne!(field.recorded, field.found);
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum: u64, &byte| (sum ^ byte as u64).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn a_mask_that_is_another_one_is_named() {
    let kernels = Kernels::detect().unwrap();
    let parts = TraceParts { masks: false, ..TraceParts::default() };
    let (bytes, mut inputs) = recorded_run(&Config::default(), kernels, parts, 21);
    let masked = |input: &&mut Input| input.mask.as_ref().is_some_and(|mask| !mask.is_empty());
    let at = inputs.iter().position(|input| input.mask.as_ref().is_some_and(|mask| !mask.is_empty())).unwrap();
    inputs.iter_mut().filter(masked).for_each(|input| input.mask.as_mut().unwrap()[3] ^= 8);
    let found = replay(&bytes, &inputs, kernels, true).expect("a difference");
    assert_eq!(found.step, at as u64);
    assert!(found.mask.is_some());
    // Left out where the trace does not have it: then nothing was masked, and that is told.
    let at = inputs.iter().position(|input| input.mask.is_some()).unwrap();
    let trace = Trace::open(&bytes).unwrap();
    let mut replay = Replay::new(trace).unwrap();
    let found = loop {
        replay.next_step().unwrap().expect("a masked step");
        let input = &inputs[replay.steps() as usize];
        if let Some(found) = input.with(|row| replay.check(row, None)).unwrap() {
            break found;
        }
    };
    assert_eq!((found.step, found.mask.is_some()), (at as u64, true));
}

#[test]
fn sparse_steps_need_only_the_head() {
    let (vocab, features) = (70, 9);
    let mut numbers = Numbers(5);
    let weights: Vec<u8> = (0..vocab * features).flat_map(|_| numbers.row(1)[0].max(-9.0).to_le_bytes()).collect();
    let bias: Vec<u8> = (0..vocab).flat_map(|i| (i as f32 / 100.0).to_le_bytes()).collect();
    let matrix = ColumnMatrix::new(&weights, ElementType::F32, vocab, features).unwrap();
    let column = Column { bytes: &bias, element: ElementType::F32 };
    let head = SparseHead::new(matrix, column).unwrap();
    let config = Config { seed: 8, metrics: Metrics::ALL, ..Config::default() };
    let mut decoder = Decoder::new(&config, vocab).unwrap();
    let mut recorder = Recorder::new(Vec::new(), &decoder, TraceParts::default());
    let mask = numbers.mask(vocab);
    for step in 0..20u32 {
        let columns = [step % 9, (step * 7 + 1) % 9];
        let values = [0.5, -1.25];
        let values = (step % 3 == 0).then_some(&values[..]);
        let mask = (step % 4 == 0).then_some(&mask[..]);
        if step % 5 == 0 {
            recorder.evaluate_sparse(&mut decoder, &head, &columns, values, mask).unwrap();
        } else if step % 5 == 1 {
            // A host that writes the row itself, and says what made it.
            let mut row = vec![0.0; vocab];
            argpick::logits::project(decoder.kernels(), &head, &columns, values, &mut row).unwrap();
            recorder.columns(&columns, values);
            recorder.decode(&mut decoder, &row, mask).unwrap();
        } else {
            recorder.decode_sparse(&mut decoder, &head, &columns, values, mask).unwrap();
        }
    }
    assert!(recorder.decode_sparse(&mut decoder, &head, &[9], None, None).is_err(), "no such column, no record");
    let bytes = recorder.finish().unwrap();
    let trace = Trace::open(&bytes).unwrap();
    assert_eq!((trace.steps(), trace.steps_with_columns()), (20, 20));
    for kernels in levels() {
        let mut replay = Replay::new_with_kernels(trace.clone(), kernels).unwrap();
        while replay.next_step().unwrap().is_some() {
            assert_eq!(replay.check_sparse(&head, None).unwrap(), None, "step {}", replay.steps());
        }
        assert_eq!(replay.steps(), 20);
    }
    // One weight of a column in use.
    let mut changed = weights.clone();
    changed[4 * (vocab + 3)] ^= 1;
    let other =
        SparseHead::new(ColumnMatrix::new(&changed, ElementType::F32, vocab, features).unwrap(), column).unwrap();
    let mut replay = Replay::new(trace).unwrap();
    let found = loop {
        let step = replay.next_step().unwrap().expect("a step with column 1");
        assert!(step.has_columns);
        if let Some(found) = replay.check_sparse(&other, None).unwrap() {
            break found;
        }
    };
    assert!(found.row.is_some() && found.step <= 1, "{found:?}");
}

#[test]
fn damaged_bytes_are_never_believed() {
    let kernels = Kernels::detect().unwrap();
    let config = Config { metrics: Metrics::ALL, ..Config::default() };
    let (bytes, _) = recorded_run(&config, kernels, TraceParts::default(), 2);
    assert!(Trace::open(&bytes).unwrap().is_complete());
    for bit in 0..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // A changed length may make it look cut off; whole it never is.
        if let Ok(trace) = Trace::open(&damaged) {
            assert!(!trace.is_complete(), "bit {bit}");
        }
    }
    let steps = Trace::open(&bytes).unwrap().steps();
    let mut last = 0;
    for length in 0..bytes.len() {
        match Trace::open(&bytes[..length]) {
            Ok(trace) => {
                assert!(!trace.is_complete() && trace.steps() >= last, "length {length}");
                last = trace.steps();
                assert_eq!(trace.records().filter(|record| matches!(record, Record::Step(_))).count() as u64, last);
            }
            Err(error) => {
                assert!(last == 0 && matches!(error, Error::FileMalformed { .. }), "length {length}: {error}")
            }
        }
    }
    assert_eq!(last, steps, "all steps stand before the end");
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Trace::open(&longer).is_err());
}

#[test]
fn invented_records_are_answers_and_no_panics() {
    let kernels = Kernels::detect().unwrap();
    let (bytes, inputs) = recorded_run(&Config::default(), kernels, TraceParts::default(), 6);
    let mut numbers = Numbers(1);
    let mut opened = 0;
    for _ in 0..4000 {
        // Damage with the right checksum, so that it gets as far as it can.
        let mut damaged = bytes.clone();
        for _ in 0..1 + numbers.below(4) {
            let at = numbers.below(damaged.len() - 8);
            damaged[at] = numbers.next() as u8;
        }
        let end = damaged.len() - 8;
        let sum = fnv(&damaged[..end]);
        damaged[end..].copy_from_slice(&sum.to_le_bytes());
        let Ok(trace) = Trace::open(&damaged) else { continue };
        opened += 1;
        let vocab = trace.vocab();
        if vocab > 1000 || trace.config().history_capacity > 100_000 || trace.config().adjustment_capacity > 100_000 {
            continue;
        }
        let Ok(mut replay) = Replay::new(trace) else { continue };
        while let Ok(Some(_)) = replay.next_step() {
            let input = &inputs[replay.steps() as usize % inputs.len()];
            let mut row = input.row.clone();
            row.resize(vocab, 0.0);
            if replay.check(&row, None).is_err() {
                break;
            }
        }
    }
    assert!(opened > 500, "only {opened} traces were opened");
}

#[test]
fn a_full_buffer_ends_the_trace_and_not_the_run() {
    let row: Vec<f32> = (0..64).map(|i| (i % 7) as f32).collect();
    let config = Config { metrics: Metrics::ALL, ..Config::default() };
    let mut memory = [0; 400];
    let mut decoder = Decoder::new(&config, 64).unwrap();
    let mut twin = Decoder::new(&config, 64).unwrap();
    let mut recorder = Recorder::new(TraceBuffer::new(&mut memory), &decoder, TraceParts::default());
    for _ in 0..20 {
        let same = format!("{:?}", twin.decode(&row, None).unwrap());
        assert_eq!(format!("{:?}", recorder.decode(&mut decoder, &row, None).unwrap()), same);
    }
    assert!(matches!(recorder.failure(), Some(Error::CapacityExceeded { what: "the trace", capacity: 400, .. })));
    assert!(recorder.finish().is_err());
    let written = 400 - memory.iter().rev().take_while(|&&byte| byte == 0).count();
    let trace = Trace::open(&memory[..written]).unwrap();
    assert!(!trace.is_complete() && trace.steps() > 0);

    // With room enough it is the trace that a Vec takes, and no heap is needed to replay it.
    let mut memory = [0; 4000];
    let mut decoder = Decoder::new(&config, 64).unwrap();
    let mut recorder = Recorder::new(TraceBuffer::new(&mut memory), &decoder, TraceParts::default());
    let mut same = Recorder::new(Vec::new(), &decoder, TraceParts::default());
    let mut twin = Decoder::new(&config, 64).unwrap();
    recorder.prompt(&mut decoder, &[1, 2]).unwrap();
    same.prompt(&mut twin, &[1, 2]).unwrap();
    for _ in 0..5 {
        recorder.decode(&mut decoder, &row, None).unwrap();
        same.decode(&mut twin, &row, None).unwrap();
    }
    let buffer = recorder.finish().unwrap();
    assert_eq!(buffer.bytes(), same.finish().unwrap());
    let trace = Trace::open(buffer.bytes()).unwrap();
    let mut storage = vec![0u64; Decoder::<&mut [u64]>::storage_words(trace.config(), 64).unwrap()];
    let mut lists = [0u32; 4];
    assert_eq!(Replay::<&mut [u64], &mut [u32]>::list_words(&trace), 4);
    let short = Replay::new_in(trace.clone(), Kernels::detect().unwrap(), vec![0; storage.len()], [0u32; 3]);
    assert!(matches!(short, Err(Error::WrongLength { expected: 4, actual: 3, .. })));
    let mut replay = Replay::new_in(trace, Kernels::detect().unwrap(), &mut storage[..], &mut lists[..]).unwrap();
    while replay.advance().unwrap().is_some() {
        assert_eq!(replay.check(&row, None).unwrap(), None);
    }
    assert_eq!(replay.steps(), 5);
    assert!(matches!(replay.check(&row, None), Err(Error::Finished)));
}

#[test]
fn a_later_configuration_may_need_more_memory() {
    let row: Vec<f32> = (0..500).map(|i| (i * 31 % 17) as f32).collect();
    let small = Config::default();
    let large = Config { top_k: 200, history_capacity: 10_000, ..Config::default() };
    let words = Decoder::<Box<[u64]>>::storage_words(&large, 500).unwrap();
    let mut decoder = Decoder::new_in(&small, 500, Kernels::detect().unwrap(), vec![0u64; words]).unwrap();
    let mut recorder = Recorder::new(Vec::new(), &decoder, TraceParts::default());
    recorder.reset(&mut decoder, Some(&large)).unwrap();
    recorder.decode(&mut decoder, &row, None).unwrap();
    let bytes = recorder.finish().unwrap();
    let mut replay = Replay::new(Trace::open(&bytes).unwrap()).unwrap();
    assert!(replay.next_step().unwrap().is_some());
    assert_eq!(replay.check(&row, None).unwrap(), None);
    assert!(matches!(replay.check(&row[1..], None), Err(Error::WrongLength { .. })));
}

#[test]
fn lists_and_text_of_a_sequence_are_replayed_by_its_state() {
    let mut numbers = Numbers(12);
    let config = Config {
        seed: 6,
        max_tokens: 60,
        min_tokens: 2,
        repetition_penalty: 1.3,
        dry_multiplier: 0.8,
        no_repeat_ngram: 3,
        metrics: Metrics::ALL,
        ..Config::default()
    };
    let rows: Vec<Vec<f32>> = (0..40).map(|_| numbers.row(200)).collect();
    for kernels in levels() {
        let mut decoder = Decoder::new_with_kernels(&config, 200, kernels).unwrap();
        let mut recorder = Recorder::new(Vec::new(), &decoder, TraceParts::default());
        recorder.prompt(&mut decoder, &[9, 8, 7, 9, 8]).unwrap();
        decoder.set_end_tokens(&[150, 151]).unwrap();
        decoder.set_stops(&[&[3, 4], &[60, 61, 62]]).unwrap();
        decoder.set_breakers(&[&[12]]).unwrap();
        decoder.set_bad_sequences(&[&[9, 8, 7], &[30]]).unwrap();
        decoder.set_stop_strings(&[b"xyz"]).unwrap();
        recorder.whole_state(&mut decoder).unwrap();
        let mut refused = 0;
        for (i, row) in rows.iter().enumerate() {
            match recorder.decode(&mut decoder, row, None) {
                Ok(_) => {
                    recorder.push_bytes(&mut decoder, if i == 25 { b"xyz" } else { b"ab" });
                }
                Err(error) => {
                    assert_eq!(error, Error::Finished);
                    refused += 1;
                    recorder.undo(&mut decoder, 1).unwrap();
                }
            }
        }
        assert!(refused >= 1, "the stop string ended it");
        let bytes = recorder.finish().unwrap();
        for other in levels() {
            let mut replay = Replay::new_with_kernels(Trace::open(&bytes).unwrap(), other).unwrap();
            while replay.next_step().unwrap().is_some() {
                let row = &rows[replay.steps() as usize];
                assert_eq!(replay.check(row, None).unwrap(), None, "step {}", replay.steps());
            }
            assert_eq!(replay.steps(), rows.len() as u64);
        }
    }
}

#[test]
fn a_file_stands_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.trace");
    let row = [1.0, 2.0, 3.0];
    let mut decoder = Decoder::new(&Config::default(), 3).unwrap();
    let mut recorder = Recorder::new(TraceFile::create(&path).unwrap(), &decoder, TraceParts::default());
    recorder.decode(&mut decoder, &row, None).unwrap();
    assert!(!path.exists());
    recorder.finish().unwrap().finish().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let trace = Trace::open(&bytes).unwrap();
    assert!(trace.is_complete() && trace.steps() == 1);
    drop(Recorder::new(TraceFile::create(folder.path().join("gone")).unwrap(), &decoder, TraceParts::default()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn fields_say_what_came_out() {
    struct Tokens(Vec<u8>);
    impl TraceSink for Tokens {
        fn put(&mut self, bytes: &[u8]) -> argpick::Result<()> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }
    let row = [1.0, 2.0, 3.0];
    let mut decoder = Decoder::new(&Config { mode: Mode::Greedy, ..Config::default() }, 3).unwrap();
    let mut recorder = Recorder::new(Tokens(vec![]), &decoder, TraceParts::default());
    recorder.decode(&mut decoder, &row, None).unwrap();
    let bytes = recorder.finish().unwrap().0;
    let mut replay = Replay::new(Trace::open(&bytes).unwrap()).unwrap();
    replay.next_step().unwrap();
    let found = replay.check(&[1.0, 4.0, 3.0], None).unwrap().unwrap();
    let field = found.field.unwrap();
    assert_eq!((field.name, field.recorded, field.found), ("token", FieldValue::Count(2), FieldValue::Count(1)));
    assert!(found.row.is_some());
    replay = Replay::new(Trace::open(&bytes).unwrap()).unwrap();
    replay.next_step().unwrap();
    let found = replay.check(&[1.0, f32::NAN, 3.0], None).unwrap().unwrap();
    let field = found.field.unwrap();
    assert_eq!((field.name, field.recorded, field.found), ("status", FieldValue::Count(0), FieldValue::Count(1)));
}
