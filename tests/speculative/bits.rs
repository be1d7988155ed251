//! Every decision against the oracle of integers, on every kernel level.

use super::oracle;
use super::support::generators::Source;
use super::support::{exact, report};
use super::worlds::{Problem, path_to};
use argpick::{Acceptance, Metrics};

#[test]
fn every_decision_is_the_oracles_on_every_level() {
    let levels = report::levels("every_decision_is_the_oracles_on_every_level");
    let cases = if cfg!(debug_assertions) { 400 } else { 4_000 };
    let mut source = Source::new(71);
    let (mut compared, mut accepted, mut replaced, mut deep, mut siblings) = (0, 0, 0, 0, 0);
    for number in 0..cases {
        let problem = Problem::random(&mut source);
        let (target, draft) = problem.sides();
        let model = problem.needs_model().then_some(&draft);
        let expected = oracle::verify(&target, model, &problem.tokens, &problem.parents, problem.acceptance);
        let mut first = None;
        for &kernels in &levels {
            let label = || format!("case {number} on {}: {}", kernels.level(), problem.describe());
            let (mut decoder, mut drafter) = problem.decoders(kernels, Metrics::ALL);
            let before = decoder.position();
            let result = problem.verify(&mut decoder, &mut drafter);
            let Ok((ref nodes, ref tokens)) = expected else {
                assert!(result.is_err(), "{}", label());
                assert_eq!(decoder.position(), before);
                continue;
            };
            let (verified, picks) = result.unwrap_or_else(|error| panic!("{error}: {}", label()));
            assert_eq!(path_to(&problem.parents, verified.node), *nodes, "{}", label());
            assert_eq!(picks.iter().map(|pick| pick.token).collect::<Vec<_>>(), *tokens, "{}", label());
            assert_eq!((verified.accepted, verified.emitted), (nodes.len(), tokens.len()), "{}", label());
            assert_eq!(decoder.position(), before + tokens.len() as u64);
            if problem.needs_model() {
                assert_eq!(drafter.position(), problem.draft.settings.position + tokens.len() as u64);
            }
            // What a pick says is what a step of that row would say about that token.
            for (i, pick) in picks.iter().enumerate() {
                let row = if i == 0 { 0 } else { nodes[i - 1] + 1 };
                let step = exact::step(&target.at(row, &tokens[..i]), argpick::numeric::weight).expect("a step");
                assert_eq!((pick.argmax, pick.kept), (step.argmax, step.kept), "{}", label());
            }
            match &first {
                None => first = Some(picks),
                Some(first) => {
                    for (a, b) in first.iter().zip(&picks) {
                        assert_eq!(report::first_difference(a, b), None, "{}", label());
                    }
                }
            }
        }
        if let Ok((nodes, tokens)) = expected {
            compared += 1;
            accepted += nodes.len();
            let is_judged = problem.acceptance != Acceptance::Match && !problem.target.settings.greedy;
            let last = nodes.last().map_or(0, |node| node + 1);
            let open = (0..problem.tokens.len())
                .filter(|&node| oracle::parent(&problem.parents, node).wrapping_add(1) as usize == last)
                .count();
            replaced += usize::from(is_judged && open > 0);
            siblings += usize::from(is_judged && open > 2 && problem.needs_model());
            deep += usize::from(tokens.len() > 3);
        }
    }
    println!(
        "{compared} compared, {accepted} accepted, {replaced} replaced, {siblings} after three siblings, {deep} deep"
    );
    assert!(accepted > cases / 4 && replaced > cases / 10 && siblings > cases / 200 && deep > cases / 200);
    assert!(compared > cases * 9 / 10);
}

/// Half-precision rows and rows with a mask go the same ways.
#[test]
fn bitmasks_and_bf16_rows_are_those_of_a_step() {
    use argpick::{Config, Decoder, DraftModel, Drafts, Pick, Row, verify};
    let mut source = Source::new(9);
    for seed in 0..200 {
        let vocab = 130;
        let make = |source: &mut Source| -> Vec<half::bf16> {
            (0..vocab).map(|_| half::bf16::from_f32(source.normal() as f32 * 2.0)).collect()
        };
        let (rows, draft_rows) = ([(); 3].map(|()| make(&mut source)), [(); 2].map(|()| make(&mut source)));
        let masks = [(); 3].map(|()| [(); 4].map(|()| source.bits() as u32 | 1));
        let widened = |row: &[half::bf16], mask: &[u32]| -> Vec<f32> {
            let allowed = |i: usize| mask.get(i / 32).is_some_and(|word| word >> (i % 32) & 1 == 1);
            row.iter().enumerate().map(|(i, z)| if allowed(i) { z.to_f32() } else { f32::NEG_INFINITY }).collect()
        };
        let plain: Vec<Vec<f32>> = rows.iter().zip(&masks).map(|(row, mask)| widened(row, mask)).collect();
        let plain_draft: Vec<Vec<f32>> = draft_rows.iter().zip(&masks).map(|(row, mask)| widened(row, mask)).collect();
        let config = Config { seed, top_k: 20, top_p: 0.95, ..Config::default() };
        let draft_config = Config { seed: seed + 1_000, ..Config::default() };
        let mut drafter = Decoder::new(&draft_config, vocab).unwrap();
        let tokens: Vec<u32> = plain_draft.iter().map(|row| drafter.decode(row, None).unwrap().token).collect();
        let mut answers = Vec::new();
        for with_masks in [true, false] {
            let (mut decoder, mut drafter) =
                (Decoder::new(&config, vocab).unwrap(), Decoder::new(&draft_config, vocab).unwrap());
            let given: Vec<Row<'_>> = if with_masks {
                rows.iter().map(|row| Row::Bf16(row)).collect()
            } else {
                plain.iter().map(Row::from).collect()
            };
            let drafted: Vec<Row<'_>> = if with_masks {
                draft_rows.iter().map(|row| Row::Bf16(row)).collect()
            } else {
                plain_draft.iter().map(Row::from).collect()
            };
            let words: Vec<Option<&[u32]>> =
                if with_masks { masks.iter().map(|mask| Some(&mask[..])).collect() } else { Vec::new() };
            let drafts =
                Drafts { tokens: &tokens, parents: &[], rows: &given, masks: &words, acceptance: Acceptance::Drawn };
            let model =
                DraftModel { decoder: &mut drafter, rows: &drafted, masks: if with_masks { &words[..2] } else { &[] } };
            let mut picks = [Pick::default(); 3];
            let verified = verify(&mut decoder, &drafts, Some(model), &mut picks).unwrap();
            answers.push((verified, picks.map(|pick| pick.token)));
        }
        assert_eq!(answers[0], answers[1], "seed {seed}");
    }
}
