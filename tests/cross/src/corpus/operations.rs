//! The units that are no configuration: what needs no decoder, or several, or must be refused.

use super::rows::{self, ROWS, Recipe, Shape, Source};
use super::{DTYPES, Tally, Workspace, prepared, row_in};
use argpick::logits::project;
use argpick::logits::train::{self, Example, TrainableHead};
use argpick::types::MAX_VOCAB;
use argpick::weights::{Column, ColumnMatrix, ElementType, SparseHead};
use argpick::{
    Config, Decoder, Diagnosis, DiagnosisLimits, Dtype, Error, Kernels, Mode, Pick, Row, RowDiagnosis, RowScore,
    TokenId, decode_batch, kernels, numeric, rng, score, softmax, sweep_words,
};

/// A unit by its name.
pub type Other = (&'static str, fn(Kernels, &mut Workspace<'_>, &mut Tally));

/// All of them.
pub static OTHERS: &[Other] = &[
    ("numeric", rules),
    ("random numbers", numbers),
    ("softmax", in_place),
    ("score", scores),
    ("diagnose", diagnosis),
    ("project", projections),
    ("decode_sparse", sparse),
    ("train_step", training),
    ("decode_batch", batch),
    ("sweep", sweeps),
    ("refused", refused),
];

/// The functions of `numeric.rs` over a grid of bit patterns. They are what kernels are made of, and run where those do:
/// in the default float environment.
fn rules(_: Kernels, _: &mut Workspace<'_>, tally: &mut Tally) {
    #[inline(never)]
    fn each(tally: &mut Tally) {
        let mut source = Source(1);
        for i in 0..4096u32 {
            let random = source.next_number();
            let t = -f32::from_bits(0x4248_0000 - i * 16_411); // -50 to about 0
            let weight = numeric::weight(t);
            tally.floats(&[weight, numeric::exponent(t, 1.5, 0.7)]);
            for word in [numeric::weight_to_mass(weight), numeric::weight_to_bound(weight)] {
                tally.word(word);
            }
            let any = f32::from_bits(random as u32 & 0xff7f_ffff);
            tally.word(numeric::rank_key(any, i));
            let (logit, token) = numeric::rank_key_parts(numeric::rank_key(any, i));
            tally.floats(&[logit]);
            tally.word(token.into());
            let positive = f32::from_bits(any.to_bits() & 0x7fff_ffff | 1);
            tally.floats(&[numeric::exponent_scale(positive)]);
            tally.word(numeric::natural_logarithm(f64::from_bits(random & 0x7fdf_ffff_ffff_ffff | 1)).to_bits());
            let probability = f32::from_bits(0x3f80_0000 - i * 4099);
            tally.word(numeric::fixed_probability(probability));
            tally.floats(&[numeric::min_p_threshold(3.25, 0.7, probability)]);
            tally.word(numeric::nucleus_target(random >> 32, random >> 2));
            tally.word(numeric::scale_number(random, u64::MAX >> (i % 60)));
        }
    }
    tally.result(Ok::<_, Error>(()), |tally, ()| kernels::with_default_environment(|| each(tally)));
}

fn numbers(_: Kernels, _: &mut Workspace<'_>, tally: &mut Tally) {
    for (seed, stream, position) in [(0, 0, 0), (7, 1, 2), (u64::MAX, u64::MAX, u64::MAX), (1 << 63, 3, 1 << 40)] {
        tally.result(
            Ok::<_, Error>(rng::StepNumbers::new(seed, stream, position, rng::Purpose::Draw)),
            |tally, mut numbers| {
                (0..100).for_each(|_| tally.word(numbers.next_number()));
            },
        );
    }
}

/// `softmax` takes the level in use, whatever `kernels` are.
fn in_place(_: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    for &recipe in ROWS {
        for temperature in [1e-40, 1e-3, 0.8, 1.0, 100.0, -1.0] {
            let row = &mut workspace.row[..recipe.vocab];
            rows::fill(recipe, 1, row);
            let done = softmax(row, temperature);
            tally.result(done, |tally, ()| tally.floats(row));
        }
    }
}

fn tell_score(tally: &mut Tally, score: RowScore) {
    let RowScore { loss, rank, argmax, entropy, top1_probability, tokens } = score;
    tally.floats(&[loss, entropy, top1_probability]);
    [rank, argmax, tokens].into_iter().for_each(|word| tally.word(word.into()));
}

fn scores(kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    let long = [Recipe { vocab: rows::LONGEST, shape: Shape::Normal }];
    for &recipe in ROWS.iter().chain(&long) {
        for dtype in DTYPES {
            let row = row_in(recipe, 2, dtype, workspace.row, workspace.halves);
            for target in [0, recipe.vocab / 2, recipe.vocab - 1, recipe.vocab] {
                tally.result(score(kernels, row, target as TokenId), tell_score);
            }
        }
    }
}

fn diagnosis(kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    const VOCAB: usize = 1000;
    let shapes = [Shape::Normal, Shape::Flat, Shape::Peaked, Shape::Ties, Shape::Subnormal, Shape::Uniform];
    for (i, shape) in shapes.into_iter().enumerate() {
        let recipe = Recipe { vocab: VOCAB, shape };
        rows::fill(recipe, 3, &mut workspace.row[i * VOCAB..][..VOCAB]);
    }
    // A row whose losses are subnormal numbers: all the others are far below, and few are left.
    let row = &mut workspace.row[6 * VOCAB..][..VOCAB];
    row.fill(f32::NEG_INFINITY);
    (row[17], row[18]) = (90.0, 0.0);
    let logits = &workspace.row;
    let rows: [Row<'_>; 7] = core::array::from_fn(|i| Row::F32(&logits[i * VOCAB..][..VOCAB]));
    let mut results = [RowDiagnosis::default(); 7];
    for (temperature, top_p) in [(1.0, 1.0), (0.7, 0.9), (100.0, 0.5)] {
        let config = Config { temperature, top_p, ..super::base() };
        let targets = [1, 2, 333, 4, 5, 999, 17];
        let answer = prepared(&config, VOCAB, kernels, workspace.storage)
            .and_then(|mut decoder| decoder.diagnose(&rows, &targets, &DiagnosisLimits::default(), &mut results));
        tally.result(answer, |tally, answer| {
            let Diagnosis { rows, flat, saturated, healthy, loss, entropy, .. } = answer;
            tally.word(rows);
            tally.floats(&[flat, saturated, healthy, loss, entropy, answer.top1_probability]);
            tally.floats(&[answer.greedy_accuracy, answer.top_k_accuracy, answer.expected_accuracy]);
        });
        for RowDiagnosis { score, expected_accuracy, verdict } in results {
            tell_score(tally, score);
            tally.floats(&[expected_accuracy]);
            tally.word(verdict as u64);
        }
    }
}

/// Columns of the head, and its vocabulary: a bit past a tile of the kernels.
const FEATURES: usize = 5;
const ROWS_OF_HEAD: usize = 1037;

/// Weights of either sign about 1, some subnormal, some zero, as little-endian bytes.
fn fill_weights(element: ElementType, salt: u64, bytes: &mut [u8]) {
    let mut source = Source(0x6865_6164 + salt);
    for (i, to) in bytes.chunks_exact_mut(element.size()).enumerate() {
        let random = source.next_number();
        let (sign, fraction) = (random >> 63, random >> 12 & 0x000f_ffff_ffff_ffff);
        let exponent = (random & 3) + 1021;
        match element {
            ElementType::F64 => to.copy_from_slice(&(sign << 63 | exponent << 52 | fraction).to_le_bytes()),
            ElementType::F16 if i % 11 == 3 => to.copy_from_slice(&((fraction & 0x83ff) as u16).to_le_bytes()),
            ElementType::F16 => {
                to.copy_from_slice(&((sign << 15 | (exponent - 1008) << 10 | fraction >> 42) as u16).to_le_bytes());
            }
            ElementType::Bf16 => {
                to.copy_from_slice(&((sign << 15 | (exponent - 896) << 7 | fraction >> 45) as u16).to_le_bytes());
            }
            _ if i % 11 == 3 => to.copy_from_slice(&((fraction & 0x807f_ffff) as u32).to_le_bytes()),
            _ => to.copy_from_slice(&((sign << 31 | (exponent - 896) << 23 | fraction >> 29) as u32).to_le_bytes()),
        }
    }
}

const ELEMENTS: [ElementType; 4] = [ElementType::F32, ElementType::F16, ElementType::Bf16, ElementType::F64];

/// Calls `work` with a head of each element type; the bias has another one.
fn with_heads(memory: &mut [u8], mut work: impl FnMut(&SparseHead<'_>)) {
    for (i, element) in ELEMENTS.into_iter().enumerate() {
        let bias_element = ELEMENTS[(i + 1) % ELEMENTS.len()];
        let (weights, rest) = memory.split_at_mut(ROWS_OF_HEAD * FEATURES * element.size());
        let bias = &mut rest[..ROWS_OF_HEAD * bias_element.size()];
        fill_weights(element, i as u64, weights);
        fill_weights(bias_element, 10 + i as u64, bias);
        let head = ColumnMatrix::new(weights, element, ROWS_OF_HEAD, FEATURES)
            .and_then(|matrix| SparseHead::new(matrix, Column { bytes: bias, element: bias_element }));
        match head {
            Ok(head) => work(&head),
            Err(error) => panic!("the head of the corpus: {error}"),
        }
    }
}

/// Columns that are added, and their values.
type Inputs = (&'static [u32], Option<&'static [f32]>);

const INPUTS: [Inputs; 6] = [
    (&[], None),
    (&[2], None),
    (&[0, 1, 2, 3, 4, 4, 0], None),
    (&[4, 1, 3], Some(&[0.5, -1.75, 3e-39])),
    (&[1], Some(&[f32::INFINITY])),
    (&[5], None),
];

fn projections(kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    let row = &mut workspace.row[..ROWS_OF_HEAD];
    with_heads(bytemuck::cast_slice_mut(workspace.copy), |head| {
        for (columns, values) in INPUTS {
            tally.result(project(kernels, head, columns, values, row), |tally, ()| tally.floats(row));
        }
    });
}

fn sparse(kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    let changes: [fn(&mut Config); 4] = [
        |c| c.mode = Mode::Greedy,
        |c| (c.temperature, c.top_k, c.top_p, c.min_p) = (0.8, 40, 0.95, 0.05),
        |c| c.top_p = 0.9,
        |_| {},
    ];
    for change in changes {
        let mut config = super::base();
        change(&mut config);
        let mask = rows::mask(1, ROWS_OF_HEAD, workspace.mask);
        let storage = &mut *workspace.storage;
        with_heads(bytemuck::cast_slice_mut(workspace.copy), |head| {
            let mut decoder = match prepared(&config, ROWS_OF_HEAD, kernels, storage) {
                Ok(decoder) => decoder,
                Err(error) => return tally.result(Err::<(), _>(error), |_, ()| {}),
            };
            for (columns, values) in INPUTS {
                for mask in [None, Some(mask)] {
                    tally.result(decoder.decode_sparse(head, columns, values, mask), |tally, pick| tally.pick(pick));
                }
            }
        });
    }
}

fn training(kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    for (vocab, learning_rate) in [(131, 0.15), (64, 1e-39), (70, 3e38), (1, 0.5)] {
        let (weights, rest) = workspace.row.split_at_mut(vocab * FEATURES);
        let bias = &mut rest[..vocab];
        let scratch = &mut workspace.copy[..vocab];
        fill_weights(ElementType::F32, 20, bytemuck::cast_slice_mut(weights));
        fill_weights(ElementType::F32, 21, bytemuck::cast_slice_mut(bias));
        for step in 0..12usize {
            let (columns, values) = INPUTS[step % INPUTS.len()];
            let example = Example { columns, values, target: (step * 31 % vocab) as TokenId };
            let head = TrainableHead { weights: &mut *weights, bias: &mut *bias };
            tally.result(train::train_step(kernels, head, &example, learning_rate, scratch), |tally, score| {
                tally.floats(&[score.loss]);
                tally.word(score.argmax.into());
                tally.word(score.correct.into());
                tally.floats(weights);
                tally.floats(bias);
            });
            let bytes: &[u8] = bytemuck::cast_slice(weights);
            let column = Column { bytes: bytemuck::cast_slice(bias), element: ElementType::F32 };
            let scored = ColumnMatrix::new(bytes, ElementType::F32, vocab, FEATURES)
                .and_then(|matrix| SparseHead::new(matrix, column))
                .and_then(|head| train::score(kernels, &head, &example, scratch));
            tally.result(scored, |tally, score| {
                tally.floats(&[score.loss]);
                tally.floats(scratch);
            });
        }
    }
}

/// Rows of the batch.
pub const BATCH: usize = 6;
const BATCH_VOCAB: usize = 777;

/// The decoders of the batch, each with a configuration of its own.
pub fn batch_decoders(kernels: Kernels, storage: &mut [u64]) -> [Decoder<&mut [u64]>; BATCH] {
    let changes: [fn(&mut Config); BATCH] = [
        |c| c.mode = Mode::Greedy,
        |c| (c.temperature, c.top_k, c.top_p, c.min_p) = (0.8, 40, 0.95, 0.05),
        |c| c.top_p = 0.9,
        |_| {},
        |c| c.min_p = 0.1,
        |c| c.no_repeat_window = 3,
    ];
    let share = storage.len() / BATCH;
    let mut parts = storage.chunks_exact_mut(share);
    let mut stream = 0;
    changes.map(|change| {
        stream += 1;
        let mut config = Config { stream, ..super::base() };
        change(&mut config);
        match prepared(&config, BATCH_VOCAB, kernels, parts.next().unwrap_or_default()) {
            Ok(decoder) => decoder,
            Err(error) => panic!("a decoder of the batch: {error}"),
        }
    })
}

/// The rows of the batch; the fifth is refused.
pub fn batch_rows(row: &mut [f32]) -> [Row<'_>; BATCH] {
    let shapes = [Shape::Normal, Shape::Ties, Shape::Flat, Shape::Uniform, Shape::NotANumber, Shape::Peaked];
    for (i, shape) in shapes.into_iter().enumerate() {
        rows::fill(Recipe { vocab: BATCH_VOCAB, shape }, 4, &mut row[i * BATCH_VOCAB..][..BATCH_VOCAB]);
    }
    let row = &*row;
    core::array::from_fn(|i| Row::F32(&row[i * BATCH_VOCAB..][..BATCH_VOCAB]))
}

/// Takes in the results of a batch.
pub fn tell_batch(tally: &mut Tally, results: [Result<Pick, Error>; BATCH]) {
    for result in results {
        tally.result(result, |tally, pick| tally.pick(pick));
    }
}

fn batch(kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    let rows = batch_rows(workspace.row);
    let mask = rows::mask(0, BATCH_VOCAB, workspace.mask);
    let masks: [Option<&[u32]>; BATCH] = core::array::from_fn(|i| (i % 2 == 1).then_some(mask));
    let mut whole = None;
    // In one call, one by one, in pairs, and four and two.
    for split in [BATCH, 1, 2, 4] {
        let mut told = Tally::default();
        let mut decoders = batch_decoders(kernels, workspace.storage);
        for _ in 0..3 {
            let mut results = [Err(Error::Finished); BATCH];
            let parts = decoders.chunks_mut(split).zip(rows.chunks(split)).zip(masks.chunks(split));
            for (((decoders, rows), masks), results) in parts.zip(results.chunks_mut(split)) {
                if let Err(error) = decode_batch(decoders, rows, masks, results) {
                    panic!("the batch: {error}");
                }
            }
            tell_batch(&mut told, results);
        }
        assert_eq!(*whole.get_or_insert(told), told, "a batch in parts of {split} differs");
    }
    *tally = whole.unwrap_or_default();
}

/// Every configuration on one row, sixteen at a time; those that differ before the filters are refused one by one.
fn sweeps(kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    const AT_ONCE: usize = 16;
    const VOCAB: usize = 1000;
    let row = row_in(Recipe { vocab: VOCAB, shape: Shape::Normal }, 6, Dtype::F16, workspace.row, workspace.halves);
    let mask = rows::mask(0, VOCAB, workspace.mask);
    let (storage, memory) = workspace.storage.split_at_mut(workspace.storage.len() / 2);
    for part in super::configurations::CONFIGURATIONS.chunks(AT_ONCE) {
        let configs: [Config; AT_ONCE] = core::array::from_fn(|i| {
            let mut config = super::base();
            part.get(i).inspect(|(_, change)| change(&mut config));
            config
        });
        let mut kept = [0; AT_ONCE * VOCAB.div_ceil(32)];
        let mut results = [Err(Error::Finished); AT_ONCE];
        let swept = prepared(&super::base(), VOCAB, kernels, &mut *storage)
            .and_then(|mut decoder| decoder.sweep(row, Some(mask), &configs, memory, &mut results, &mut kept));
        tally.result(swept, |tally, ()| kept.iter().for_each(|word| tally.word((*word).into())));
        results.into_iter().for_each(|result| tally.result(result, Tally::pick));
        tally.result(sweep_words(&configs, VOCAB), |tally, words| tally.word(words as u64));
    }
}

/// Configurations and lists that must be refused, by the texts of their errors.
fn refused(kernels: Kernels, workspace: &mut Workspace<'_>, tally: &mut Tally) {
    let changes: &[fn(&mut Config)] = &[
        |c| c.temperature = -1.0,
        |c| c.temperature = f32::from_bits(0x8000_0001),
        |c| c.temperature = f32::NAN,
        |c| c.temperature = f32::INFINITY,
        |c| c.top_p = 1.000_000_1,
        |c| c.top_p = f32::from_bits(0x8000_0001),
        |c| c.min_p = -0.001,
        |c| c.min_p = f32::NAN,
        |c| c.valid_vocab = 101,
        |c| c.history_capacity = (1 << 24) + 1,
        |c| c.no_repeat_window = 65,
        |c| c.adjustment_capacity = MAX_VOCAB as u32 + 1,
    ];
    for change in changes {
        let mut config = super::base();
        change(&mut config);
        let refused = Decoder::new_in(&config, 100, kernels, &mut *workspace.storage);
        tally.result(refused, |_, _| panic!("{config:?} was not refused"));
    }
    for vocab in [0, MAX_VOCAB + 1] {
        let refused = Decoder::new_in(&super::base(), vocab, kernels, &mut *workspace.storage);
        tally.result(refused, |_, _| panic!("a vocabulary of {vocab} was not refused"));
    }
    let row = row_in(Recipe { vocab: 100, shape: Shape::Uniform }, 5, Dtype::F32, workspace.row, workspace.halves);
    let Ok(mut decoder) = prepared(&super::base(), 100, kernels, &mut *workspace.storage) else { return };
    tally.result(decoder.set_bias(&[(100, 1.0)]), |_, ()| {});
    tally.result(decoder.set_bias(&[(1, 1.0), (1, 2.0)]), |_, ()| {});
    tally.result(decoder.set_bias(&[(1, f32::NAN)]), |_, ()| {});
    tally.result(decoder.set_bans(&[7; 17]), |_, ()| {});
    tally.result(decoder.undo(1000), |_, ()| {});
    tally.result(decoder.accept(&[1, 100]), |_, ()| {});
    tally.result(decoder.load(&[1, 2, 3]), |_, ()| {});
    tally.result(decoder.probability_of(row, None, 100), |tally, p| tally.floats(&[p]));
    tally.result(decoder.decode(&[1.0; 99], None), Tally::pick);
    tally.result(decoder.decode(row, Some(&[])), Tally::pick);
    // Nothing has changed: the next pick is that of a decoder which was asked nothing.
    tally.result(decoder.decode(row, None), Tally::pick);
}
