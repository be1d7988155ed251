//! The units of what a sequence has beside its rows: what ends it, what its own tokens allow and forbid, what is forced, and
//! the ways back: undo, save and load, copies, a trace.

use super::operations::Other;
use super::rows::{self, Recipe, Shape};
use super::{DTYPES, Tally, Workspace, prepared, row_in};
use argpick::{
    Config, Decoder, Error, Finish, Kernels, Metrics, Mirostat, Mode, Pick, Profile, Recorder, StageReport, TokenId,
    Trace, TraceBuffer, TraceParts,
};

/// All of them.
pub static SEQUENCES: &[Other] = &[
    ("end tokens", |kernels, workspace, tally| ends(END_TOKENS, Finish::EndToken, kernels, workspace, tally)),
    ("stop sequences", |kernels, workspace, tally| ends(STOPS, Finish::Stop, kernels, workspace, tally)),
    ("stop strings", |kernels, workspace, tally| ends(STOP_STRINGS, Finish::Stop, kernels, workspace, tally)),
    ("DRY breakers", |kernels, workspace, tally| differs(BREAKERS, kernels, workspace, tally)),
    ("sequence biases", |kernels, workspace, tally| differs(BIASES, kernels, workspace, tally)),
    ("bad sequences", |kernels, workspace, tally| differs(BAD, kernels, workspace, tally)),
    ("forced tokens", |kernels, workspace, tally| differs(FORCED, kernels, workspace, tally)),
    ("undo", undone),
    ("saved, loaded, copied", moved),
    ("explain", explained),
    ("a trace", traced),
];

/// Tokens of a small vocabulary come again soon, so that sequences of them do, too.
const VOCAB: usize = 21;
const STEPS: u32 = 26;

/// What a unit changes in the configuration, and what it sets in the decoder.
type Rules = (fn(&mut Config), fn(&mut Decoder<&mut [u64]>) -> Result<(), Error>);

const END_TOKENS: &[Rules] = &[
    (|_| {}, |decoder| decoder.set_end_tokens(&[1, 7, 13])),
    // Decoders begin with 21 generated tokens.
    (|c| c.min_tokens = 30, |decoder| decoder.set_end_tokens(&[0, 3])),
    (
        |c| (c.length_decay_start, c.length_decay_factor, c.min_tokens) = (24, 1.25, 25),
        |decoder| decoder.set_end_tokens(&[20, 5]),
    ),
];

const STOPS: &[Rules] = &[
    (|_| {}, |decoder| decoder.set_stops(&[&[3], &[1, 2], &[0, 0, 1]])),
    (|c| c.min_tokens = 32, |decoder| decoder.set_stops(&[&[9], &[10], &[11, 12]])),
    (
        |_| {},
        |decoder| {
            decoder.set_forced(&[(22, 5), (23, 6), (24, 7), (25, 5)])?;
            decoder.set_stops(&[&[5, 6, 7], &[6, 7, 5]])
        },
    ),
];

const STOP_STRINGS: &[Rules] = &[
    (|_| {}, |decoder| decoder.set_stop_strings(&[b"abca", b"bb", b"cabbage", "\u{e4}".as_bytes()])),
    (|c| c.min_tokens = 28, |decoder| decoder.set_stop_strings(&[b"aa", b"a"])),
];

const BREAKERS: &[Rules] = &[(
    |c| (c.dry_multiplier, c.dry_base, c.dry_allowed_length) = (2.5, 1.75, 1),
    |decoder| decoder.set_breakers(&[&[2], &[0, 1], &[4, 5, 6], &[1]]),
)];

const BIASES: &[Rules] = &[(
    |c| c.temperature = 0.8,
    |decoder| {
        let subnormal = f32::from_bits(0x8000_0007);
        let single: &[TokenId] = &[4];
        decoder.set_sequence_bias(&[
            (single, 1.5),
            (&[1, 2], -3.0),
            (&[0, 1, 2], 4.0),
            (&[8], subnormal),
            (&[2, 6], f32::NEG_INFINITY),
            (&[1, 0], 6.5),
        ])
    },
)];

const BAD: &[Rules] = &[
    (|c| c.temperature = 1.5, |decoder| decoder.set_bad_sequences(&[&[6], &[0, 1], &[1, 0], &[2, 1, 0], &[19, 19]])),
    (
        |_| {},
        |decoder| {
            decoder.set_forced(&[(22, 5), (23, 6), (27, 5), (28, 6)])?;
            decoder.set_bad_sequences(&[&[5, 6, 0], &[5, 6, 1], &[5, 6, 2], &[4, 6, 3], &[6, 6, 4]])
        },
    ),
];

const FORCED: &[Rules] =
    &[(|_| {}, |decoder| decoder.set_forced(&[(40, 3), (22, 5), (23, 20), (30, 0), (31, 0), (33, 19)]))];

/// What a token says.
fn text_of(token: TokenId) -> &'static [u8] {
    const TEXT: &[u8] = "abcab\u{e4}bage".as_bytes();
    let begin = token as usize % 7;
    &TEXT[begin..begin + 1 + token as usize % 3]
}

/// Runs decoders of each profile, greedy and drawing, and takes in all that they say. A sequence that has ended is taken up
/// again some tokens before. Returns how often one ended for each reason.
fn walk(rules: &[Rules], kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) -> [u32; 5] {
    let mut endings = [0; 5];
    let profiles = [Profile::Canon, Profile::HuggingFace, Profile::LlamaCpp, Profile::Vllm];
    for (change, set) in rules {
        for (profile, mode) in
            profiles.into_iter().flat_map(|profile| [(profile, Mode::Sample), (profile, Mode::Greedy)])
        {
            let mut config = Config { profile, mode, loop_period: 3, loop_repeats: 3, ..super::base() };
            change(&mut config);
            let made = prepared(&config, VOCAB, kernels, workspace.storage);
            let mut decoder = match made.and_then(|mut decoder| set(&mut decoder).map(|()| decoder)) {
                Ok(decoder) => decoder,
                Err(error) => {
                    tally.result(Err::<(), _>(error), |_, ()| {});
                    continue;
                }
            };
            for step in 0..STEPS {
                let recipe = row_of(step);
                let dtype = DTYPES[step as usize % DTYPES.len()];
                let row = row_in(recipe, step.into(), dtype, workspace.row, workspace.halves);
                let mask = (step % 5 == 4).then(|| rows::mask(0, VOCAB, workspace.mask));
                let picked = decoder.decode(row, mask);
                if let Ok(pick) = &picked {
                    let found = decoder.push_bytes(text_of(pick.token));
                    tally.word(found.stop.map_or(u64::MAX, |stop| stop as u64));
                    tally.word(found.held_back as u64);
                }
                tally.result(picked, Tally::pick);
                let finish = decoder.finish();
                tally.word(finish as u64);
                endings[finish as usize] += 1;
                if finish != Finish::None || step % 9 == 8 {
                    tally.result(decoder.undo(1 + step as usize % 3), |_, ()| {});
                    tally.word(decoder.position());
                }
            }
            tally.result(decoder.accept(&[4, 3, 2, 1]), |_, ()| {});
            tally.word(decoder.finish() as u64);
        }
    }
    endings
}

fn row_of(step: u32) -> Recipe {
    Recipe { vocab: VOCAB, shape: [Shape::Normal, Shape::Ties, Shape::Uniform, Shape::Flat][step as usize % 4] }
}

/// Sequences that end for a reason.
fn ends(rules: &[Rules], reason: Finish, kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    let endings = walk(rules, kernels, workspace, tally);
    assert!(endings[reason as usize] > 10, "{reason:?} is seldom reached: {endings:?}");
}

/// Lists that change what is picked.
fn differs(rules: &[Rules], kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    walk(rules, kernels, workspace, tally);
    let mut without = Tally::default();
    for (change, _) in rules {
        walk(&[(*change, |_| Ok(()))], kernels, workspace, &mut without);
    }
    assert_ne!(*tally, without, "the list changes nothing");
}

/// Everything that has a state.
fn stateful(config: &mut Config) {
    (config.repetition_penalty, config.frequency_penalty, config.no_repeat_ngram) = (1.2, 0.3, 4);
    (config.dry_multiplier, config.dry_allowed_length) = (0.8, 1);
    (config.mirostat, config.mirostat_tau, config.mirostat_eta) = (Mirostat::Two, 3.0, 0.3);
    (config.loop_period, config.loop_repeats) = (4, 6);
}

fn set_everything(decoder: &mut Decoder<&mut [u64]>) -> Result<(), Error> {
    decoder.set_end_tokens(&[1])?;
    decoder.set_stops(&[&[2, 3]])?;
    decoder.set_stop_strings(&[b"cabb", b"gea"])?;
    decoder.set_breakers(&[&[5]])?;
    decoder.set_sequence_bias(&[(&[7, 8], 1.5)])?;
    decoder.set_bad_sequences(&[&[9, 9]])?;
    decoder.set_forced(&[(27, 4)])
}

/// Two configurations with a state, with everything set.
fn with_states(
    kernels: Kernels,
    workspace: &mut Workspace<'_>,
    mut work: impl FnMut(&Config, Decoder<&mut [u64]>, &mut [u64], &mut Rest<'_>),
) {
    let changes: [fn(&mut Config); 2] = [stateful, |config| {
        stateful(config);
        (config.mirostat, config.adaptive_target, config.adaptive_decay) = (Mirostat::Off, 0.3, 0.8);
        config.metrics = Metrics::LOGPROB;
    }];
    for change in changes {
        let mut config = super::base();
        change(&mut config);
        let (storage, other) = workspace.storage.split_at_mut(workspace.storage.len() / 2);
        let made = prepared(&config, VOCAB, kernels, storage)
            .and_then(|mut decoder| set_everything(&mut decoder).map(|()| decoder));
        let mut rest = Rest { row: &mut *workspace.row, halves: &mut *workspace.halves, saved: &mut *workspace.saved };
        match made {
            Ok(decoder) => work(&config, decoder, other, &mut rest),
            Err(error) => panic!("a decoder with a state: {error}"),
        }
    }
}

/// What is left of the workspace.
struct Rest<'a> {
    row: &'a mut [f32],
    halves: &'a mut [u16],
    saved: &'a mut [u8],
}

/// One step with its text. Takes in nothing.
fn step(decoder: &mut Decoder<&mut [u64]>, number: u32, rest: &mut Rest<'_>) -> Result<Pick, Error> {
    let dtype = DTYPES[number as usize % DTYPES.len()];
    let pick = decoder.decode(row_in(row_of(number), 40 + u64::from(number), dtype, rest.row, rest.halves), None)?;
    decoder.push_bytes(text_of(pick.token));
    Ok(pick)
}

/// What is undone never was: the same steps come to the same.
fn undone(kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    with_states(kernels, workspace, |_, mut decoder, _, rest| {
        for count in [1, 5, 12, 3] {
            let mut runs = [Tally::default(); 2];
            for run in &mut runs {
                let before = decoder.position();
                for number in 0..count {
                    run.result(step(&mut decoder, number, rest), Tally::pick);
                }
                let done = (decoder.position() - before) as usize;
                run.word(done as u64);
                run.result(decoder.undo(done), |_, ()| {});
            }
            assert_eq!(runs[0], runs[1], "{count} tokens undone");
            tally.result(Ok(runs[0].parts()), |tally, (cases, hash)| {
                tally.word(cases.into());
                tally.word(hash);
            });
            // Another place for the next ones.
            tally.result(step(&mut decoder, count, rest), Tally::pick);
        }
        tally.result(decoder.undo(1000), |_, ()| {});
    });
}

/// A decoder that is loaded from bytes and one in other memory go on as the first one does.
fn moved(kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    with_states(kernels, workspace, |config, mut decoder, other, rest| {
        for number in 0..7 {
            tally.result(step(&mut decoder, number, rest), Tally::pick);
        }
        let (second, third) = other.split_at_mut(other.len() / 2);
        let loaded = Decoder::new_in(config, VOCAB, kernels, second).and_then(|mut loaded| {
            let size = decoder.save(rest.saved)?;
            tally.word(size as u64);
            rest.saved[..size].iter().for_each(|byte| tally.word((*byte).into()));
            loaded.load(&rest.saved[..size])?;
            let copy = decoder.copy_in(third)?;
            Ok([loaded, copy])
        });
        let mut others = loaded.unwrap_or_else(|error| panic!("a decoder cannot be moved: {error}"));
        for number in 7..20 {
            let picked = step(&mut decoder, number, rest);
            for other in &mut others {
                let (mut one, mut two) = (Tally::default(), Tally::default());
                one.result(picked, Tally::pick);
                two.result(step(other, number, rest), Tally::pick);
                assert_eq!(one, two, "step {number}");
            }
            tally.result(picked, Tally::pick);
            if decoder.finish() != Finish::None {
                tally.result(decoder.undo(2), |_, ()| {});
                others.iter_mut().for_each(|other| tally.result(other.undo(2), |_, ()| {}));
            }
        }
    });
}

/// What each stage of a few configurations leaves.
fn explained(kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    for (_, change) in super::configurations::CONFIGURATIONS.iter().step_by(5) {
        let mut config = super::base();
        change(&mut config);
        let recipe = Recipe { vocab: 1000, shape: Shape::Normal };
        let row = row_in(recipe, 8, DTYPES[1], workspace.row, workspace.halves);
        let mut reports = [StageReport::EMPTY; StageReport::MOST];
        let answer = prepared(&config, recipe.vocab, kernels, workspace.storage)
            .and_then(|mut decoder| decoder.explain(row, None, &mut reports));
        tally.result(answer, |tally, count| {
            for report in &reports[..count] {
                report.name.bytes().for_each(|byte| tally.word(byte.into()));
                tally.double(report.parameter);
                tally.word(report.kept.into());
                let ((first, highest), (last, lowest)) = (report.first(), report.last());
                tally.floats(&[report.kept_mass, report.temperature, highest, lowest]);
                tally.word(u64::from(first) << 32 | u64::from(last));
            }
        });
    }
}

/// A run, written down: the bytes of its trace.
fn traced(kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    let memory = bytemuck::cast_slice_mut(&mut *workspace.copy);
    let mut config = super::base();
    stateful(&mut config);
    let mut decoder = match prepared(&config, VOCAB, kernels, workspace.storage) {
        Ok(decoder) => decoder,
        Err(error) => panic!("a decoder to be traced: {error}"),
    };
    let mut recorder = Recorder::new(TraceBuffer::new(memory), &decoder, TraceParts::default());
    tally.result(recorder.state(&mut decoder, workspace.saved), |_, ()| {});
    for number in 0..12u32 {
        let dtype = DTYPES[number as usize % DTYPES.len()];
        let row = row_in(row_of(number), 60 + u64::from(number), dtype, workspace.row, workspace.halves);
        let mask = (number % 4 == 3).then(|| rows::mask(0, VOCAB, workspace.mask));
        let picked = recorder.decode(&mut decoder, row, mask);
        if let Ok(pick) = &picked {
            recorder.push_bytes(&mut decoder, text_of(pick.token));
        }
        tally.result(picked, Tally::pick);
        if number == 6 {
            tally.result(recorder.undo(&mut decoder, 3), |_, ()| {});
        }
    }
    tally.result(recorder.finish(), |tally, trace| {
        trace.bytes().iter().for_each(|byte| tally.word((*byte).into()));
        tally.result(Trace::open(trace.bytes()), |tally, trace| tally.word(trace.records().count() as u64));
    });
    // Zero in a hostile float environment, and refused where it is read there.
    let config = Config { repetition_penalty: 1e-39, ..super::base() };
    let memory = bytemuck::cast_slice_mut(&mut *workspace.copy);
    let empty = Decoder::new_in(&config, VOCAB, kernels, &mut *workspace.storage)
        .and_then(|decoder| Recorder::new(TraceBuffer::new(memory), &decoder, TraceParts::default()).finish());
    tally.result(empty, |tally, trace| {
        tally.result(Trace::open(trace.bytes()), |tally, trace| tally.word(trace.records().count() as u64));
    });
}
