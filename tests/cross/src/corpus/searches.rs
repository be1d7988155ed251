//! The units of searches: beams, alone and beside decoders, and the verification of drafted tokens. The model is a table: a
//! row is a function of the tokens before it.

use super::operations::Other;
use super::rows::{self, Recipe, Shape};
use super::{DTYPES, Tally, Workspace};
use argpick::rng::mix;
use argpick::{
    Acceptance, BeamConfig, BeamSearch, Candidate, Config, Continuation, Decoder, DraftModel, Drafts, Dtype,
    EarlyStopping, Finish, Kernels, Mode, Pick, Profile, ROOT, Row, TokenId, verify,
};
use core::array::from_fn;

/// All of them.
pub static SEARCHES: &[Other] = &[
    ("beams", |kernels, workspace, tally| beams(ALONE, kernels, workspace, tally)),
    ("beams of profiles", |kernels, workspace, tally| beams(PROFILES, kernels, workspace, tally)),
    ("beams in groups", |kernels, workspace, tally| beams(GROUPS, kernels, workspace, tally)),
    ("beams beside decoders", |kernels, workspace, tally| beams(BESIDE, kernels, workspace, tally)),
    ("beams refused", refused),
    ("verify a chain", |kernels, workspace, tally| verified(&[], kernels, workspace, tally)),
    ("verify a tree", |kernels, workspace, tally| verified(&TREE, kernels, workspace, tally)),
];

/// Tokens of the model: three blocks, the last one short.
const VOCAB: usize = 131;
/// The most beams of a search.
const BEAMS: usize = 6;
const MAX_TOKENS: u32 = 9;
/// What a step can report: six beams, two end tokens.
const OUTPUTS: usize = 3 * BEAMS;

/// A search: what it changes in the configuration, and what its decoders change in theirs, if it has any.
type Search = (fn(&mut BeamConfig<'static>), Option<fn(&mut Config)>);

const ALONE: &[Search] = &[
    (|_| {}, None),
    (|c| (c.beams, c.temperature) = (1, 0.3), None),
    (|c| (c.temperature, c.length_penalty, c.n_best) = (2.5, 0.7, 2), None),
    (|c| (c.temperature, c.length_penalty) = (1e-30, -1.5), None),
    (|c| (c.length_penalty, c.early_stopping) = (1.0, EarlyStopping::Heuristic), None),
    (|c| (c.early_stopping, c.min_tokens) = (EarlyStopping::Full, 3), None),
    (|c| (c.valid_vocab, c.end_tokens, c.beams) = (70, &[], 5), None),
];

const PROFILES: &[Search] = &[
    (|c| c.profile = Profile::HuggingFace, None),
    (|c| (c.profile, c.length_penalty, c.early_stopping) = (Profile::HuggingFace, 1.3, EarlyStopping::Full), None),
    (
        |c| (c.profile, c.early_stopping) = (Profile::HuggingFace, EarlyStopping::Heuristic),
        Some(|c| (c.profile, c.repetition_penalty, c.no_repeat_ngram) = (Profile::HuggingFace, 1.3, 2)),
    ),
    (|c| (c.profile, c.length_penalty) = (Profile::Vllm, 0.6), None),
    (|c| (c.profile, c.min_tokens, c.beams) = (Profile::Vllm, 2, 2), Some(|c| c.profile = Profile::Vllm)),
];

const GROUPS: &[Search] = &[
    (|c| (c.beams, c.groups, c.diversity_penalty) = (6, 3, 0.5), None),
    (|c| (c.beams, c.groups, c.diversity_penalty, c.length_penalty) = (6, 2, 8.0, 1.0), None),
    (
        |c| (c.beams, c.groups, c.diversity_penalty, c.early_stopping) = (4, 4, 1e-3, EarlyStopping::Full),
        Some(|c| (c.presence_penalty, c.min_tokens) = (1.0, 4)),
    ),
];

const BESIDE: &[Search] = &[
    (|_| {}, Some(|_| {})),
    (|c| c.length_penalty = 0.5, Some(|c| (c.repetition_penalty, c.frequency_penalty) = (1.2, 0.3))),
    (|c| c.temperature = 0.7, Some(|c| (c.dry_multiplier, c.dry_allowed_length, c.no_repeat_window) = (0.8, 1, 2))),
    (|c| c.beams = 3, Some(|c| (c.loop_period, c.loop_repeats) = (2, 2))),
];

/// A row of the model for what was generated so far, written into `row`.
fn row_after<'a>(shape: Shape, tokens: &[TokenId], dtype: Dtype, row: &'a mut [f32], halves: &'a mut [u16]) -> Row<'a> {
    let newest = tokens.len().saturating_sub(2);
    let salt = tokens[newest..].iter().fold(tokens.len() as u64, |salt, token| mix(salt ^ u64::from(*token)));
    rows::fill(Recipe { vocab: row.len(), shape }, salt >> 40, row);
    rows::narrow(row, dtype, halves)
}

/// A decoder with lists that bans, moves and stops; a search of rules is told what its decoders are.
fn beside(change: fn(&mut Config), kernels: Kernels, storage: &mut [u64]) -> Decoder<&mut [u64]> {
    let mut config = super::base();
    change(&mut config);
    let made = Decoder::new_in(&config, VOCAB, kernels, storage).and_then(|mut decoder| {
        decoder.prompt(&[3, 1, 4, 1, 5])?;
        decoder.set_bias(&[(9, 2.5), (40, -1.0), (99, f32::NEG_INFINITY)])?;
        decoder.set_bans(&[64, 17])?;
        decoder.set_stops(&[&[33], &[12, 13]])?;
        Ok(decoder)
    });
    made.unwrap_or_else(|error| panic!("a decoder beside a beam: {error}"))
}

fn beams(searches: &[Search], kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    let shapes = [Shape::Normal, Shape::Ties, Shape::Sparse, Shape::Uniform, Shape::Flat];
    let mut finishes = [0; 5];
    for (number, (change, processors)) in searches.iter().enumerate() {
        let mut config =
            BeamConfig { max_tokens: MAX_TOKENS, end_tokens: &[7, 100], length_penalty: 0.0, ..BeamConfig::default() };
        change(&mut config);
        for (i, shape) in shapes.into_iter().enumerate() {
            let model = (shape, DTYPES[(number + i) % DTYPES.len()]);
            search(&config, *processors, model, kernels, workspace, tally, &mut finishes);
        }
    }
    let [_, length, end_token, ..] = finishes;
    assert!(length > 0 && end_token > 0, "beams that end in each way: {finishes:?}");
}

fn search(
    config: &BeamConfig<'_>,
    processors: Option<fn(&mut Config)>,
    (shape, dtype): (Shape, Dtype),
    kernels: Kernels,
    workspace: &mut Workspace<'_>,
    tally: &mut Tally,
    finishes: &mut [u32; 5],
) {
    let (memory, storage) = workspace.storage.split_at_mut(1 << 13);
    let mut parts = storage.chunks_exact_mut(storage.len() / BEAMS);
    let mut decoders: Option<[_; BEAMS]> =
        processors.map(|change| from_fn(|_| beside(change, kernels, parts.next().unwrap_or_default())));
    let mut search = match BeamSearch::new_in(config, VOCAB, kernels, memory) {
        Ok(search) => search,
        Err(error) => panic!("the search {config:?}: {error}"),
    };
    let mut next = [Continuation::default(); OUTPUTS];
    let mut tokens = [0; MAX_TOKENS as usize];
    let (even, odd) = workspace.mask.split_at_mut(workspace.mask.len() / 2);
    let masks = [rows::mask(0, VOCAB, even), rows::mask(1, VOCAB, odd)];
    while !search.is_finished() {
        let (live, length) = (search.live(), search.length() as usize);
        let mut logits = workspace.row.chunks_exact_mut(VOCAB);
        let mut halves = workspace.halves.chunks_exact_mut(VOCAB);
        let rows: [Row<'_>; BEAMS] = from_fn(|beam| {
            let (row, halves) = (logits.next().unwrap_or_default(), halves.next().unwrap_or_default());
            if beam < live {
                tally.result(search.beam_tokens(beam, &mut tokens), |tally, count| tally.word(count as u64));
                tally.double(search.beam_score(beam).unwrap_or(f64::NAN));
            }
            row_after(shape, &tokens[..length], dtype, row, halves)
        });
        // Every other step has masks, and not for every beam.
        let masked: [Option<&[u32]>; BEAMS] = from_fn(|beam| masks.get((beam + length) % 3).copied());
        let masked = if length % 2 == 1 { &masked[..live] } else { &[] };
        let step = match &mut decoders {
            Some(decoders) => {
                search.step_with_decoders(&mut decoders[..config.beams as usize], &rows[..live], masked, &mut next)
            }
            None => search.step(&rows[..live], masked, &mut next),
        };
        let failed = step.is_err();
        tally.result(step, |tally, step| {
            [step.live, step.ended, step.finished.into()].into_iter().for_each(|number| tally.word(number as u64));
            for Continuation { parent, token, score } in &next[..step.live + step.ended] {
                tally.word(u64::from(*parent) << 32 | u64::from(*token));
                tally.double(*score);
            }
        });
        if failed {
            tally.word(search.failed_row().map_or(u64::MAX, |row| row as u64));
            break;
        }
    }
    for rank in 0..search.hypotheses() {
        let Some(told) = search.hypothesis(rank) else { panic!("hypothesis {rank} of {}", search.hypotheses()) };
        tally.double(told.score);
        tally.double(told.logprob);
        tally.word(u64::from(told.length) << 32 | told.finish as u64);
        finishes[told.finish as usize] += 1;
        let mut tokens = [0; MAX_TOKENS as usize];
        tally.result(search.hypothesis_tokens(rank, &mut tokens), |tally, count| {
            tokens[..count].iter().for_each(|token| tally.word((*token).into()));
        });
    }
}

/// Searches that must be refused, by the texts of their errors; among them are numbers that a hostile float environment takes
/// for zero.
fn refused(kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    let subnormal = f32::from_bits(0x8000_0001);
    let configs = [
        BeamConfig { beams: 0, ..BeamConfig::default() },
        BeamConfig { beams: 6, groups: 4, ..BeamConfig::default() },
        BeamConfig { temperature: subnormal, ..BeamConfig::default() },
        BeamConfig { temperature: 0.0, ..BeamConfig::default() },
        BeamConfig { diversity_penalty: subnormal, groups: 2, ..BeamConfig::default() },
        BeamConfig { length_penalty: 16.000_002, ..BeamConfig::default() },
        BeamConfig { max_tokens: 0, ..BeamConfig::default() },
        BeamConfig { n_best: 5, ..BeamConfig::default() },
        BeamConfig { valid_vocab: VOCAB as u32 + 1, ..BeamConfig::default() },
        BeamConfig { end_tokens: &[1, 1], ..BeamConfig::default() },
        BeamConfig { end_tokens: &[VOCAB as u32], ..BeamConfig::default() },
        BeamConfig { profile: Profile::LlamaCpp, ..BeamConfig::default() },
        BeamConfig { profile: Profile::HuggingFace, temperature: 0.5, ..BeamConfig::default() },
    ];
    for config in configs {
        let made = BeamSearch::new_in(&config, VOCAB, kernels, &mut *workspace.storage);
        tally.result(made, |_, _| panic!("{config:?} was not refused"));
    }
    // A penalty that the profile does not know, on the decoder beside.
    let (memory, storage) = workspace.storage.split_at_mut(1 << 13);
    let mut decoders = [beside(|c| c.presence_penalty = f32::from_bits(1), kernels, storage)];
    let config = BeamConfig { profile: Profile::Vllm, beams: 1, ..BeamConfig::default() };
    let row = row_after(Shape::Normal, &[], Dtype::F32, &mut workspace.row[..VOCAB], workspace.halves);
    let step = BeamSearch::new_in(&config, VOCAB, kernels, memory).and_then(|mut search| {
        search.step_with_decoders(&mut decoders, &[row], &[], &mut [Continuation::default(); 1])
    });
    tally.result(step, |_, _| panic!("a penalty under vLLM was not refused"));
    let config = BeamConfig { max_tokens: MAX_TOKENS, temperature: 1e-40, ..BeamConfig::default() };
    let made = BeamSearch::new_in(&config, VOCAB, kernels, &mut *workspace.storage);
    let Ok(mut search) = made else { panic!("{config:?} was refused") };
    let mut next = [Continuation::default(); OUTPUTS];
    for shape in [Shape::NotANumber, Shape::Infinite, Shape::Masked, Shape::Subnormal] {
        let row = row_after(shape, &[], Dtype::F32, &mut workspace.row[..VOCAB], workspace.halves);
        for rows in [&[row][..], &[], &[row, row]] {
            tally.result(search.step(rows, &[], &mut next), |tally, step| {
                next[..step.live].iter().for_each(|entry| tally.double(entry.score));
            });
        }
    }
}

/// Drafts of a chain or a tree.
const DRAFTS: usize = 7;
/// Two first drafts, two after each of them, and one after the first of these.
const TREE: [u32; DRAFTS] = [ROOT, ROOT, 0, 0, 1, 1, 2];

/// The draft model's row: two of three logits are those of the target's.
fn drafted(target: &[f32], salt: u64, row: &mut [f32]) {
    rows::fill(Recipe { vocab: VOCAB, shape: Shape::Uniform }, salt, row);
    row.iter_mut().zip(target).enumerate().for_each(|(i, (to, from))| *to = if i % 3 == 0 { *to } else { *from });
}

fn verified(parents: &[u32], kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    let targets: [fn(&mut Config); 5] = [
        |c| c.mode = Mode::Greedy,
        |_| {},
        |c| (c.temperature, c.top_k, c.top_p, c.min_p) = (0.8, 40, 0.95, 0.05),
        |c| (c.temperature, c.top_p, c.repetition_penalty, c.no_repeat_window) = (3.0, 0.99, 1.1, 2),
        |c| (c.max_tokens, c.typical_p, c.presence_penalty) = (50, 0.9, 0.5),
    ];
    let draft_models: [fn(&mut Config); 2] = [|c| c.top_k = 20, |c| (c.temperature, c.min_p) = (1.7, 0.01)];
    let (mut stood, mut fell, mut deep, mut second) = (0, 0, 0, 0);
    let acceptances = [Acceptance::Match, Acceptance::Certain, Acceptance::Drawn, Acceptance::WithoutReplacement];
    for (number, change) in targets.into_iter().enumerate() {
        for acceptance in acceptances {
            let (first, other) = workspace.storage.split_at_mut(workspace.storage.len() / 2);
            let mut decoder = beside(change, kernels, first);
            let mut drafter = beside(draft_models[number % 2], kernels, other);
            for round in 0..4u64 {
                let dtype = DTYPES[(number + round as usize) % DTYPES.len()];
                let shape = [Shape::Normal, Shape::Uniform, Shape::Ties][(number + round as usize) % 3];
                let mut logits = workspace.row.chunks_exact_mut(VOCAB);
                let mut halves = workspace.halves.chunks_exact_mut(VOCAB);
                let mut draft_logits = workspace.copy.chunks_exact_mut(VOCAB);
                let mut draft_rows = [Row::F32(&[]); DRAFTS + 1];
                let rows: [Row<'_>; DRAFTS + 1] = from_fn(|i| {
                    let (row, halves) = (logits.next().unwrap_or_default(), halves.next().unwrap_or_default());
                    let salt = 100 * round + 10 * number as u64 + i as u64;
                    rows::fill(Recipe { vocab: VOCAB, shape }, salt, row);
                    let draft_row = draft_logits.next().unwrap_or_default();
                    drafted(row, salt, draft_row);
                    draft_rows[i] = Row::F32(draft_row);
                    rows::narrow(row, dtype, halves)
                });
                let mask = rows::mask(0, VOCAB, workspace.mask);
                let masks: [Option<&[u32]>; DRAFTS + 1] = from_fn(|i| (i % 4 == 3).then_some(mask));
                let masks = if round % 2 == 0 { &[][..] } else { &masks };
                // Of what the draft model keeps: the likeliest tokens first, siblings different ones.
                let tokens: [TokenId; DRAFTS] = from_fn(|i| {
                    let parent = if parents.is_empty() { (i as u32).wrapping_sub(1) } else { parents[i] };
                    let before = parents[..i.min(parents.len())].iter().filter(|other| **other == parent).count();
                    let mut kept = [Candidate::default(); 8];
                    let row = draft_rows[parent.wrapping_add(1) as usize];
                    let count = drafter.kept(row, None, &mut kept).map_or(0, |count| count.min(kept.len()));
                    kept[(before + (mix(round ^ i as u64) % 2) as usize) % count.max(1)].token
                });
                let drafts = Drafts { tokens: &tokens, parents, rows: &rows, masks, acceptance };
                let model = DraftModel { decoder: &mut drafter, rows: &draft_rows, masks: &[] };
                let needs_model = matches!(acceptance, Acceptance::Drawn | Acceptance::WithoutReplacement);
                let mut picks = [Pick::default(); DRAFTS + 1];
                let verified = verify(&mut decoder, &drafts, needs_model.then_some(model), &mut picks);
                if let Ok(verified) = &verified {
                    stood += verified.accepted;
                    fell += usize::from(verified.emitted > verified.accepted && verified.accepted < DRAFTS);
                    deep += usize::from(verified.accepted > 2);
                    second += usize::from(verified.node.is_some_and(|node| [1, 3, 4, 5].contains(&node)));
                }
                let ended = decoder.finish() != Finish::None;
                tally.result(verified, |tally, verified| {
                    let node = verified.node.map_or(u64::MAX, |node| node as u64);
                    [verified.accepted as u64, verified.emitted as u64, node, verified.finish as u64]
                        .into_iter()
                        .for_each(|word| tally.word(word));
                    picks[..verified.emitted].iter().for_each(|pick| tally.pick(*pick));
                });
                [decoder.position(), drafter.position()].into_iter().for_each(|position| tally.word(position));
                if ended {
                    break;
                }
            }
        }
    }
    assert!(stood > 30 && fell > 10 && deep > 0 && second > 0, "drafts: {stood} {fell} {deep} {second}");
}
