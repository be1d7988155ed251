//! What is emitted, in large numbers, against the distribution that plain decoding has.
//!
//! Pairs of consecutive tokens in a world whose next row depends on the last token. Seeds are fixed; the limits are those
//! of `tests/statistics.rs` (alpha 1e-4, at least ten expected per cell). Each is tried with N draws and again with 4 N
//! fresh ones: a bias grows with N, chance does not.

use super::support::exact::Prepared;
use super::support::generators::Source;
use super::support::oracle::{Case, Settings};
use super::support::report;
use argpick::{Acceptance, Decoder, DraftModel, Drafts, Metrics, Pick, ROOT, Row, verify};

const VOCAB: usize = 9;

fn draws(release: usize) -> usize {
    if cfg!(debug_assertions) { release / 20 } else { release }
}

/// One row for each last token, and one for the start.
type Table = Vec<Vec<f32>>;

struct World {
    target: (Settings, Table),
    draft: (Settings, Table),
}

fn table(seed: u64, spread: f64) -> Table {
    let mut source = Source::new(seed);
    (0..=VOCAB).map(|_| (0..VOCAB).map(|_| (spread * source.normal()) as f32).collect()).collect()
}

fn noisy(table: &Table, seed: u64, noise: f64) -> Table {
    let mut source = Source::new(seed);
    table.iter().map(|row| row.iter().map(|z| z + (noise * source.normal()) as f32).collect()).collect()
}

/// The distribution of a step, from the integer masses of the oracle.
fn distribution(settings: &Settings, row: &[f32]) -> Vec<f64> {
    let case = Case { settings: settings.clone(), ..Case::new(row.to_vec()) };
    let masses = Prepared::new(&case, argpick::numeric::weight).expect("a step").kept_masses();
    let total: u64 = masses.iter().sum();
    masses.iter().map(|&mass| mass as f64 / total as f64).collect()
}

impl World {
    fn decoder(side: &(Settings, Table), seed: u64) -> Decoder {
        let case = Case { settings: Settings { seed, ..side.0.clone() }, ..Case::new(side.1[0].clone()) };
        report::decoder(&case, argpick::Kernels::detect().expect("kernels"), Metrics::NONE)
    }

    fn pairs(&self) -> Vec<f64> {
        let (settings, table) = &self.target;
        let first = distribution(settings, &table[VOCAB]);
        (0..VOCAB)
            .flat_map(|a| distribution(settings, &table[a]).into_iter().map(move |b| (a, b)).collect::<Vec<_>>())
            .map(|(a, b)| first[a] * b)
            .collect()
    }

    /// The chance that the first draft of a chain stands.
    fn overlap(&self) -> f64 {
        let p = distribution(&self.target.0, &self.target.1[VOCAB]);
        let q = distribution(&self.draft.0, &self.draft.1[VOCAB]);
        p.iter().zip(&q).map(|(p, q)| p.min(*q)).sum()
    }
}

/// How drafts are made: tokens, parents, in the order of the nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    /// So many after each other.
    Chain(usize),
    /// Three after the root, two after each of them.
    Tree,
}

/// Draws from a distribution, without what was drawn before if asked; `None` if there is nothing else.
fn draw(source: &mut Source, probabilities: &[f64], without: &[u32]) -> Option<u32> {
    let weight = |token: usize| if without.contains(&(token as u32)) { 0.0 } else { probabilities[token] };
    let total: f64 = (0..VOCAB).map(weight).sum();
    if total <= 0.0 {
        return None;
    }
    let mut at = source.unit() * total;
    (0..VOCAB)
        .find(|&token| {
            at -= weight(token);
            at < 0.0
        })
        .or((0..VOCAB).rev().find(|&token| weight(token) > 0.0))
        .map(|token| token as u32)
}

fn drafts(source: &mut Source, q: &[Vec<f64>], shape: Shape, acceptance: Acceptance) -> (Vec<u32>, Vec<u32>) {
    let (mut tokens, mut parents): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut add = |source: &mut Source, parent: u32| {
        let row = if parent == ROOT { VOCAB } else { tokens[parent as usize] as usize };
        let siblings: Vec<u32> =
            tokens.iter().zip(&parents).filter(|&(_, &other)| other == parent).map(|(&token, _)| token).collect();
        let token = match acceptance {
            // The likeliest that is not there yet.
            Acceptance::Certain | Acceptance::Match => (0..VOCAB as u32)
                .filter(|token| !siblings.contains(token))
                .max_by(|&a, &b| q[row][a as usize].total_cmp(&q[row][b as usize])),
            Acceptance::Drawn => draw(source, &q[row], &[]),
            Acceptance::WithoutReplacement => draw(source, &q[row], &siblings),
        };
        if let Some(token) = token {
            tokens.push(token);
            parents.push(parent);
        }
    };
    match shape {
        Shape::Chain(length) => (0..length).for_each(|i| add(source, (i as u32).wrapping_sub(1))),
        Shape::Tree => {
            (0..3).for_each(|_| add(source, ROOT));
            (0..6).for_each(|i| add(source, i / 2));
        }
    }
    (tokens, parents)
}

/// Counts of pairs, and how often the first draft of the first call stood.
fn run(world: &World, shape: Shape, acceptance: Acceptance, seed: u64, trials: usize) -> (Vec<u64>, u64) {
    let (mut target, mut draft) = (World::decoder(&world.target, 2 * seed), World::decoder(&world.draft, 2 * seed + 1));
    let q: Vec<Vec<f64>> = world.draft.1.iter().map(|row| distribution(&world.draft.0, row)).collect();
    let mut source = Source::new(seed ^ 0xd1a3);
    let mut counts = vec![0; VOCAB * VOCAB];
    let mut stood = 0;
    for trial in 0..trials {
        for decoder in [&mut target, &mut draft] {
            decoder.reset(None).expect("a reset");
            decoder.seek(16 * trial as u64);
        }
        let mut emitted: Vec<u32> = Vec::new();
        while emitted.len() < 2 {
            let root = emitted.last().map_or(VOCAB, |&token| token as usize);
            let mut q = std::borrow::Cow::Borrowed(&q);
            if root != VOCAB {
                q.to_mut()[VOCAB] = q[root].clone();
            }
            let (tokens, parents) = drafts(&mut source, &q, shape, acceptance);
            let nodes: Vec<usize> = core::iter::once(root).chain(tokens.iter().map(|&token| token as usize)).collect();
            let rows: Vec<Row<'_>> = nodes.iter().map(|&node| Row::from(&world.target.1[node])).collect();
            let draft_rows: Vec<Row<'_>> = nodes.iter().map(|&node| Row::from(&world.draft.1[node])).collect();
            let given = Drafts { tokens: &tokens, parents: &parents, rows: &rows, masks: &[], acceptance };
            let model = matches!(acceptance, Acceptance::Drawn | Acceptance::WithoutReplacement)
                .then_some(DraftModel { decoder: &mut draft, rows: &draft_rows, masks: &[] });
            let goes_along = model.is_some();
            let mut picks = [Pick::default(); 12];
            let verified = verify(&mut target, &given, model, &mut picks).expect("a verification");
            assert!(!goes_along || draft.position() == target.position());
            stood += u64::from(emitted.is_empty() && verified.accepted > 0);
            emitted.extend(picks[..verified.emitted].iter().map(|pick| pick.token));
        }
        counts[emitted[0] as usize * VOCAB + emitted[1] as usize] += 1;
    }
    (counts, stood)
}

fn worlds() -> Vec<(&'static str, World)> {
    let base = Settings::default();
    let target = table(1, 1.2);
    let disjoint = |table: &Table, parity: usize| -> Table {
        table
            .iter()
            .map(|row| {
                row.iter().enumerate().map(|(i, &z)| if i % 2 == parity { z } else { f32::NEG_INFINITY }).collect()
            })
            .collect()
    };
    let top_k = Settings { top_k: 4, ..base.clone() };
    let top_p = Settings { top_p: 0.8, temperature: 1.3, ..base.clone() };
    let world =
        |p: &Settings, a: Table, q: &Settings, b: Table| World { target: (p.clone(), a), draft: (q.clone(), b) };
    vec![
        ("close", world(&base, target.clone(), &base, noisy(&target, 2, 0.2))),
        ("far", world(&base, target.clone(), &base, table(3, 1.5))),
        ("equal", world(&base, target.clone(), &base, target.clone())),
        ("disjoint", world(&base, disjoint(&target, 0), &base, disjoint(&target, 1))),
        ("half a support", world(&base, target.clone(), &base, disjoint(&target, 1))),
        ("truncated draft", world(&base, target.clone(), &top_k, noisy(&target, 4, 0.8))),
        ("truncated target", world(&top_p, target.clone(), &base, noisy(&target, 5, 0.8))),
        ("both truncated", world(&top_k, target.clone(), &top_p, noisy(&target, 6, 0.8))),
        (
            "greedy draft",
            world(&base, target.clone(), &Settings { greedy: true, ..base.clone() }, noisy(&target, 7, 0.5)),
        ),
        ("cold draft", world(&base, target.clone(), &Settings { temperature: 0.3, ..base.clone() }, target.clone())),
    ]
}

fn test(acceptance: Acceptance, shape: Shape) {
    for (i, (name, world)) in worlds().into_iter().enumerate() {
        let pairs = world.pairs();
        for (round, trials) in [draws(15_000), draws(60_000)].into_iter().enumerate() {
            let (counts, stood) = run(&world, shape, acceptance, 1_000 + 10 * i as u64 + round as u64, trials);
            let (statistic, degrees) = report::chi_square(&counts, &pairs);
            let limit = report::chi_square_limit(degrees);
            let label = format!("{acceptance:?}, {shape:?}, {name}, {trials} pairs");
            println!("{label}: chi-square {statistic:.1} on {degrees} degrees, limit {limit:.1}, {stood} stood");
            assert!(statistic < limit, "{label}: chi-square {statistic:.1} on {degrees} degrees exceeds {limit:.1}");
            if shape == Shape::Chain(3) && matches!(acceptance, Acceptance::Drawn | Acceptance::WithoutReplacement) {
                // A draft stands with the probability 1 - TV(p, q).
                let expected = world.overlap();
                let deviation = (trials as f64 * expected * (1.0 - expected)).sqrt();
                let difference = (stood as f64 - trials as f64 * expected).abs();
                assert!(difference <= 4.0 * deviation + 1e-6 * trials as f64, "{label}: {stood} stood, not {expected}");
            }
        }
    }
}

#[test]
fn chains_of_drawn_drafts_emit_the_targets_tokens() {
    test(Acceptance::Drawn, Shape::Chain(3));
    test(Acceptance::WithoutReplacement, Shape::Chain(1));
}

#[test]
fn chains_of_certain_drafts_emit_the_targets_tokens() {
    test(Acceptance::Certain, Shape::Chain(3));
    test(Acceptance::Match, Shape::Chain(2));
}

#[test]
fn trees_of_drawn_drafts_emit_the_targets_tokens() {
    test(Acceptance::Drawn, Shape::Tree);
}

#[test]
fn trees_without_replacement_emit_the_targets_tokens() {
    test(Acceptance::WithoutReplacement, Shape::Tree);
}

#[test]
fn trees_of_certain_drafts_emit_the_targets_tokens() {
    test(Acceptance::Certain, Shape::Tree);
    test(Acceptance::Match, Shape::Tree);
}

/// Drafts by the draft model's own decoder, under the target's own seed and stream: the numbers that draw them are not those
/// that judge them, and a draft that was not reached leaves no trace in the next.
#[test]
fn drafts_may_be_drawn_with_the_targets_seed() {
    for (i, (name, world)) in worlds().into_iter().enumerate() {
        let pairs = world.pairs();
        let (seed, trials) = (500 + i as u64, draws(40_000));
        let (mut target, mut draft) = (World::decoder(&world.target, seed), World::decoder(&world.draft, seed));
        let mut counts = vec![0; VOCAB * VOCAB];
        for trial in 0..trials {
            for decoder in [&mut target, &mut draft] {
                decoder.reset(None).expect("a reset");
                decoder.seek(16 * trial as u64);
            }
            let mut emitted: Vec<u32> = Vec::new();
            while emitted.len() < 2 {
                let mut nodes = vec![emitted.last().map_or(VOCAB, |&token| token as usize)];
                for _ in 0..2 {
                    let row = &world.draft.1[nodes[nodes.len() - 1]];
                    nodes.push(draft.decode(row, None).expect("a draft").token as usize);
                }
                draft.undo(2).expect("two drafts back");
                let tokens: Vec<u32> = nodes[1..].iter().map(|&node| node as u32).collect();
                let rows: Vec<Row<'_>> = nodes.iter().map(|&node| Row::from(&world.target.1[node])).collect();
                let draft_rows: Vec<Row<'_>> = nodes.iter().map(|&node| Row::from(&world.draft.1[node])).collect();
                let acceptance = Acceptance::Drawn;
                let given = Drafts { tokens: &tokens, parents: &[], rows: &rows, masks: &[], acceptance };
                let model = DraftModel { decoder: &mut draft, rows: &draft_rows, masks: &[] };
                let mut picks = [Pick::default(); 3];
                let verified = verify(&mut target, &given, Some(model), &mut picks).expect("a verification");
                emitted.extend(picks[..verified.emitted].iter().map(|pick| pick.token));
            }
            counts[emitted[0] as usize * VOCAB + emitted[1] as usize] += 1;
        }
        let (statistic, degrees) = report::chi_square(&counts, &pairs);
        let limit = report::chi_square_limit(degrees);
        let label = format!("one seed, {name}, {trials} pairs");
        println!("{label}: chi-square {statistic:.1} on {degrees} degrees, limit {limit:.1}");
        assert!(statistic < limit, "{label}: chi-square {statistic:.1} on {degrees} degrees exceeds {limit:.1}");
    }
}

/// The yardstick can fail: drafts judged by a rule that does not fit how they were made are seen.
#[test]
fn the_wrong_rule_is_seen() {
    let (name, world) = worlds().swap_remove(1);
    let wrong = |acceptance, made| {
        let (mut target, mut draft) = (World::decoder(&world.target, 1), World::decoder(&world.draft, 2));
        let q: Vec<Vec<f64>> = world.draft.1.iter().map(|row| distribution(&world.draft.0, row)).collect();
        let mut source = Source::new(6);
        let mut counts = vec![0; VOCAB];
        for trial in 0..draws(200_000) {
            for decoder in [&mut target, &mut draft] {
                decoder.reset(None).expect("a reset");
                decoder.seek(trial as u64);
            }
            let (tokens, parents) = drafts(&mut source, &q, Shape::Tree, made);
            let (tokens, parents) = (&tokens[..3], &parents[..3]);
            let rows = [Row::from(&world.target.1[VOCAB]); 4];
            let draft_rows = [Row::from(&world.draft.1[VOCAB]); 4];
            let given = Drafts { tokens, parents, rows: &rows, masks: &[], acceptance };
            let model = DraftModel { decoder: &mut draft, rows: &draft_rows, masks: &[] };
            let mut picks = [Pick::default(); 3];
            verify(&mut target, &given, Some(model), &mut picks).expect("a verification");
            counts[picks[0].token as usize] += 1;
        }
        let (statistic, degrees) = report::chi_square(&counts, &distribution(&world.target.0, &world.target.1[VOCAB]));
        println!("{name}: made for {made:?}, judged as {acceptance:?}: {statistic:.1} on {degrees}");
        statistic > report::chi_square_limit(degrees)
    };
    assert!(
        !wrong(Acceptance::Drawn, Acceptance::Drawn)
            && !wrong(Acceptance::WithoutReplacement, Acceptance::WithoutReplacement)
    );
    assert!(wrong(Acceptance::Drawn, Acceptance::WithoutReplacement), "without replacement, judged as independent");
    assert!(wrong(Acceptance::Drawn, Acceptance::Certain), "certain, judged as drawn");
}

/// Every kind of stage on either side: what is emitted first is what `probabilities` says, for chains and for siblings.
#[test]
fn every_pipeline_keeps_its_distribution() {
    use argpick::{Config, Mirostat};
    const WIDE: usize = 150;
    let base = Config { history_capacity: 8, ..Config::default() };
    let configs = [
        ("plain", base.clone()),
        ("top-k", Config { top_k: 12, ..base.clone() }),
        ("typical", Config { typical_p: 0.6, temperature: 1.2, ..base.clone() }),
        ("xtc", Config { top_k: 30, xtc_probability: 0.6, xtc_threshold: 0.06, ..base.clone() }),
        ("dynamic temperature", Config { dynatemp_range: 0.6, top_p: 0.95, ..base.clone() }),
        ("mirostat 1", Config { mirostat: Mirostat::One, mirostat_tau: 3.0, ..base.clone() }),
        ("mirostat 2", Config { mirostat: Mirostat::Two, mirostat_tau: 3.0, ..base.clone() }),
        ("adaptive-p of a list", Config { adaptive_target: 0.1, top_k: 20, ..base.clone() }),
        ("adaptive-p of the row", Config { adaptive_target: 0.05, min_p: 0.02, ..base.clone() }),
        ("penalties", Config { repetition_penalty: 1.4, presence_penalty: 0.5, ..base.clone() }),
        ("no repeats", Config { no_repeat_window: 3, ..base }),
    ];
    let mut source = Source::new(31);
    let row: Vec<f32> = (0..WIDE).map(|_| 1.5 * source.normal() as f32).collect();
    let draft_row: Vec<f32> = row.iter().map(|z| z + 0.8 * source.normal() as f32).collect();
    for (i, (name, config)) in configs.iter().enumerate() {
        // Each as the target, against the next one as the draft model.
        let (draft_name, draft_config) = &configs[(i + 3) % configs.len()];
        let mut target = Decoder::new(&Config { seed: 8, ..config.clone() }, WIDE).expect("a decoder");
        let mut draft = Decoder::new(&Config { seed: 9, ..draft_config.clone() }, WIDE).expect("a decoder");
        for acceptance in [Acceptance::Certain, Acceptance::Drawn, Acceptance::WithoutReplacement] {
            let trials = draws(20_000);
            let (mut counts, mut expected) = (vec![0u64; WIDE], vec![0.0f64; WIDE]);
            for trial in 0..trials as u64 {
                for decoder in [&mut target, &mut draft] {
                    decoder.reset(None).expect("a reset");
                    decoder.accept(&[5, 6]).expect("two tokens");
                    decoder.seek(trial);
                }
                let mut probabilities = row.clone();
                target.probabilities(&mut probabilities, None).expect("a row");
                expected.iter_mut().zip(&probabilities).for_each(|(sum, &p)| *sum += f64::from(p) / trials as f64);
                let mut q = draft_row.clone();
                draft.probabilities(&mut q, None).expect("a row");
                let mut tokens: Vec<u32> = Vec::new();
                for _ in 0..3 {
                    let without = if acceptance == Acceptance::WithoutReplacement { &tokens[..] } else { &[] };
                    let left: Vec<f64> =
                        (0..WIDE).map(|i| if without.contains(&(i as u32)) { 0.0 } else { q[i].into() }).collect();
                    let mut at = source.unit() * left.iter().sum::<f64>();
                    let found = (0..WIDE).find(|&i| {
                        at -= left[i];
                        at < 0.0
                    });
                    tokens.extend(found.map(|token| token as u32));
                }
                let rows = vec![Row::from(&row); tokens.len() + 1];
                let parents = vec![ROOT; tokens.len()];
                let given = Drafts { tokens: &tokens, parents: &parents, rows: &rows, masks: &[], acceptance };
                let model = DraftModel { decoder: &mut draft, rows: &[Row::from(&draft_row)], masks: &[] };
                let mut picks = [Pick::default(); 2];
                verify(&mut target, &given, Some(model), &mut picks).expect("a verification");
                counts[picks[0].token as usize] += 1;
            }
            let (statistic, degrees) = report::chi_square(&counts, &expected);
            let limit = report::chi_square_limit(degrees);
            let label = format!("{name}, drafted by {draft_name}, {acceptance:?}");
            println!("{label}: chi-square {statistic:.1} on {degrees} degrees, limit {limit:.1}");
            assert!(statistic < limit, "{label}: chi-square {statistic:.1} on {degrees} degrees exceeds {limit:.1}");
        }
    }
}
