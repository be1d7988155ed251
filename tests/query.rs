//! Questions about a row, and the sparse head, each against the plain way to the same answer.

mod support;

use argpick::logits::project;
use argpick::weights::{ColumnMatrix, ElementType, SparseHead, tensor::Column};
use argpick::{
    Candidate, Config, Decoder, DiagnosisLimits, Error, Kernels, Level, Metrics, Mode, Row, RowDiagnosis, Verdict,
    score,
};
use support::generators::Source;

fn levels() -> Vec<Kernels> {
    Level::ALL.into_iter().filter_map(|level| Kernels::new(level).ok()).collect()
}

/// Token ids by the total order.
fn ordered(row: &[f32]) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..row.len() as u32).filter(|&i| row[i as usize] > f32::NEG_INFINITY).collect();
    ids.sort_by(|&a, &b| (row[b as usize] + 0.0).total_cmp(&(row[a as usize] + 0.0)).then(a.cmp(&b)));
    ids
}

fn rows(seed: u64) -> Vec<Vec<f32>> {
    let mut random = Source::new(seed);
    [1usize, 5, 64, 65, 1000, 1025, 5003]
        .into_iter()
        .flat_map(|vocab| {
            let plain: Vec<f32> = (0..vocab).map(|_| random.normal() as f32 * 3.0).collect();
            let tied: Vec<f32> = plain.iter().map(|logit| logit.round()).collect();
            let holes = plain.iter().map(|&logit| if logit < -1.0 { f32::NEG_INFINITY } else { logit });
            let mut holes: Vec<f32> = holes.collect();
            holes[vocab / 2] = 1.0;
            [plain, tied, holes]
        })
        .collect()
}

#[test]
fn top_lists_the_first_of_the_order() {
    for kernels in levels() {
        for row in rows(1) {
            let config = Config { temperature: 0.7, ..Config::default() };
            let mut decoder = Decoder::new_with_kernels(&config, row.len(), kernels).unwrap();
            let order = ordered(&row);
            let weights: Vec<f64> =
                order.iter().map(|&id| (f64::from(row[id as usize] - row[order[0] as usize]) / 0.7).exp()).collect();
            let total: f64 = weights.iter().sum();
            for wanted in [0, 1, 3, 40, row.len(), row.len() + 5] {
                let mut best = vec![Candidate::default(); wanted];
                let count = decoder.top(&row, None, &mut best).unwrap();
                assert_eq!(count, wanted.min(order.len()));
                for (i, candidate) in best[..count].iter().enumerate() {
                    assert_eq!(candidate.token, order[i], "{:?} number {i} of {}", kernels, row.len());
                    assert_eq!(candidate.logit, row[order[i] as usize]);
                    let expected = (weights[i] / total).ln();
                    let error = (f64::from(candidate.logprob) - expected).abs();
                    assert!(error < 1e-6 * expected.abs().max(1.0), "{} {expected}", candidate.logprob);
                }
            }
        }
    }
}

#[test]
fn the_raw_list_knows_of_no_adjustment() {
    for kernels in levels() {
        for row in rows(3) {
            let config = Config { temperature: 0.5, repetition_penalty: 1.5, ..Config::default() };
            let mut adjusted = Decoder::new_with_kernels(&config, row.len(), kernels).unwrap();
            let mut plain = Decoder::new_with_kernels(&Config::default(), row.len(), kernels).unwrap();
            let order = ordered(&row);
            adjusted.set_bias(&[(order[0], -3.0)]).unwrap();
            adjusted.set_bans(&order[1..order.len().min(3)]).unwrap();
            adjusted.accept(&order[order.len() - 1..]).unwrap();
            let (mut raw, mut expected) = (vec![Candidate::default(); 12], vec![Candidate::default(); 12]);
            // Where bans leave nothing to pick, the row as given is still there.
            let found = adjusted.top_raw(&row, None, &mut raw).unwrap();
            assert_eq!(found, plain.top(&row, None, &mut expected).unwrap());
            assert_eq!(raw, expected);
        }
    }
}

#[test]
fn kept_is_the_support_of_process_and_its_probabilities() {
    for kernels in levels() {
        for row in rows(2) {
            for config in [
                Config { top_k: 7, ..Config::default() },
                Config { top_p: 0.8, temperature: 1.5, ..Config::default() },
                Config { min_p: 0.1, ..Config::default() },
                Config { top_k: 50, top_p: 0.9, min_p: 0.02, temperature: 0.8, ..Config::default() },
                Config { mode: Mode::Greedy, ..Config::default() },
            ] {
                let mut decoder = Decoder::new_with_kernels(&config, row.len(), kernels).unwrap();
                let mut processed = row.clone();
                decoder.process(&mut processed, None).unwrap();
                let support: Vec<u32> =
                    (0..row.len() as u32).filter(|&i| processed[i as usize] > f32::NEG_INFINITY).collect();
                let mut kept = vec![Candidate::default(); row.len()];
                let count = decoder.kept(&row, None, &mut kept).unwrap();
                let listed: Vec<u32> = kept[..count].iter().map(|candidate| candidate.token).collect();
                assert_eq!(listed, support, "{kernels:?} {config:?}");
                let mut few = vec![Candidate::default(); count / 2];
                assert_eq!(decoder.kept(&row, None, &mut few).unwrap(), count, "more than there is room for");
                assert_eq!(few[..], kept[..count / 2]);

                let mut probabilities = row.clone();
                decoder.probabilities(&mut probabilities, None).unwrap();
                let mut sum = 0.0;
                for (token, &expected) in (0..).zip(&probabilities) {
                    let probability = decoder.probability_of(&row, None, token).unwrap();
                    sum += f64::from(probability);
                    assert!((probability - expected).abs() < 1e-5, "{kernels:?} {config:?}: token {token}");
                }
                assert!((sum - 1.0).abs() < 1e-4, "{sum}");
            }
        }
    }
}

#[test]
fn score_is_the_raw_logprob_of_the_target_and_its_place_in_the_order() {
    for row in rows(3) {
        let order = ordered(&row);
        let config = Config { metrics: Metrics::ALL, ..Config::default() };
        for kernels in levels() {
            let mut decoder = Decoder::new_with_kernels(&config, row.len(), kernels).unwrap();
            for (rank, &target) in order.iter().enumerate().step_by(1 + order.len() / 9) {
                let scored = score(kernels, &row, target).unwrap();
                assert_eq!(scored.rank as usize, rank, "{kernels:?} target {target} of {}", row.len());
                assert_eq!(scored.argmax, order[0]);
                // A bitmask that leaves the row as it is does not make the decoder pick the target: force it by a bias.
                decoder.set_bias(&[(target, 1000.0)]).unwrap();
                let pick = decoder.evaluate(&row, None).unwrap();
                assert_eq!(pick.token, target);
                assert_eq!(scored.loss.to_bits(), (-pick.logprob_raw + 0.0).to_bits(), "{kernels:?} target {target}");
            }
        }
    }
    let masked = [0.0, f32::NEG_INFINITY, 1.0];
    let kernels = Kernels::new(Level::Scalar).unwrap();
    let scored = score(kernels, &masked, 1).unwrap();
    assert_eq!((scored.loss, scored.rank, scored.argmax), (f32::INFINITY, 2, 2));
    assert_eq!(score(kernels, &masked, 3), Err(Error::TokenOutOfRange { token: 3, vocab: 3 }));
    assert_eq!(score(kernels, &[1.0, f32::INFINITY], 0), Err(Error::InvalidLogit { index: 1, value: f32::INFINITY }));
    assert_eq!(score(kernels, &[f32::NEG_INFINITY; 70], 0), Err(Error::EverythingMasked));
}

#[test]
fn the_sparse_head_decodes_as_its_written_row_does() {
    let mut random = Source::new(4);
    for (vocab, features) in [(1usize, 3usize), (63, 5), (1024, 9), (3001, 40)] {
        let floats: Vec<f32> = (0..vocab * (features + 1)).map(|_| random.normal() as f32).collect();
        for element in [ElementType::F32, ElementType::F64, ElementType::F16, ElementType::Bf16] {
            let bytes: Vec<u8> = floats
                .iter()
                .flat_map(|&x| match element {
                    ElementType::F64 => f64::from(x).to_le_bytes().to_vec(),
                    ElementType::F16 => half::f16::from_f32(x).to_le_bytes().to_vec(),
                    ElementType::Bf16 => half::bf16::from_f32(x).to_le_bytes().to_vec(),
                    _ => x.to_le_bytes().to_vec(),
                })
                .collect();
            let (bias, weights) = bytes.split_at(vocab * element.size());
            let head = SparseHead::new(
                ColumnMatrix::new(weights, element, vocab, features).unwrap(),
                Column { bytes: bias, element },
            )
            .unwrap();
            let columns: Vec<u32> = (0..7).map(|i| (i * 5 % features) as u32).collect();
            let values: Vec<f32> = (0..7).map(|i| 1.0 - 0.3 * i as f32).collect();
            let mask: Vec<u32> = (0..vocab.div_ceil(32)).map(|i| if i % 3 == 1 { 0 } else { 0x7fff_f0ff }).collect();
            for values in [None, Some(&values[..])] {
                for kernels in levels() {
                    let mut row = vec![0.0; vocab];
                    project(kernels, &head, &columns, values, &mut row).unwrap();
                    for config in [
                        Config { metrics: Metrics::ALL, ..Config::default() },
                        Config { mode: Mode::Greedy, ..Config::default() },
                        Config { top_k: 5, top_p: 0.9, metrics: Metrics::ALL, ..Config::default() },
                        Config { top_p: 0.7, ..Config::default() },
                    ] {
                        let mut dense = Decoder::new_with_kernels(&config, vocab, kernels).unwrap();
                        let mut sparse = Decoder::new_with_kernels(&config, vocab, kernels).unwrap();
                        for decoder in [&mut dense, &mut sparse] {
                            decoder.set_bias(&[(0, 0.5)]).unwrap();
                        }
                        for mask in [None, Some(&mask[..])] {
                            let expected = dense.decode(&row, mask).unwrap();
                            let actual = sparse.decode_sparse(&head, &columns, values, mask).unwrap();
                            assert_eq!(format!("{expected:?}"), format!("{actual:?}"), "{kernels:?} {element} {vocab}");
                        }
                    }
                }
            }
            let mut decoder = Decoder::new(&Config::default(), vocab).unwrap();
            let bad = features as u32;
            assert_eq!(
                decoder.decode_sparse(&head, &[bad], None, None),
                Err(Error::ColumnOutOfRange { column: bad, columns: features })
            );
            assert_eq!(decoder.position(), 0);
        }
    }
}

#[test]
fn a_saved_decoder_goes_on_where_it_was() {
    let row: Vec<f32> = (0..500).map(|i| ((i * 37 % 101) as f32) * 0.05).collect();
    let config = Config { seed: 5, no_repeat_window: 3, history_capacity: 7, max_tokens: 40, ..Config::default() };
    let mut one = Decoder::new(&config, 500).unwrap();
    one.prompt(&[1, 2, 3]).unwrap();
    one.set_bias(&[(7, 1.5), (3, f32::NEG_INFINITY)]).unwrap();
    one.set_bans(&[9, 4, 9]).unwrap();
    let mut other = Decoder::new(&config, 500).unwrap();
    for round in 0..3 {
        for _ in 0..5 {
            one.decode(&row, None).unwrap();
        }
        one.undo(round).unwrap();
        let mut bytes = vec![0; one.saved_size()];
        let short = bytes.len() - 1;
        assert!(matches!(one.save(&mut bytes[..short]), Err(Error::WrongLength { .. })));
        assert_eq!(one.save(&mut bytes).unwrap(), bytes.len());
        other.load(&bytes).unwrap();
        assert_eq!(other.position(), one.position());
        let mut twin = one.clone();
        for _ in 0..4 {
            assert_eq!(format!("{:?}", twin.decode(&row, None)), format!("{:?}", other.decode(&row, None)));
        }
        // Bytes from outside: no prefix and no changed byte may panic, and a refusal changes nothing.
        for length in 0..bytes.len() {
            assert!(other.load(&bytes[..length]).is_err(), "{length} bytes");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x81;
            let before = format!("{:?}", other.evaluate(&row, None));
            if other.load(&changed).is_err() {
                assert_eq!(format!("{:?}", other.evaluate(&row, None)), before, "byte {at}");
            } else {
                other.load(&bytes).unwrap();
            }
        }
    }
    let mut smaller = Decoder::new(&Config { history_capacity: 3, adjustment_capacity: 1, ..config }, 400).unwrap();
    let mut bytes = vec![0; one.saved_size()];
    one.save(&mut bytes).unwrap();
    assert!(matches!(smaller.load(&bytes), Err(Error::BadState { .. })), "another vocabulary");
}

#[test]
fn a_diagnosis_tells_flat_from_saturated_and_greedy_from_sampled() {
    let flat = vec![0.25f32; 1000];
    let mut saturated = vec![0.0f32; 1000];
    saturated[3] = 30.0;
    let healthy: Vec<f32> = (0..1000).map(|i| -(i as f32) * 0.7).collect();
    let rows = [&flat, &saturated, &healthy, &healthy].map(Row::from);
    let targets = [5, 3, 0, 2];
    let config = Config { temperature: 1.0, top_k: 2, ..Config::default() };
    for kernels in levels() {
        let mut decoder = Decoder::new_with_kernels(&config, 1000, kernels).unwrap();
        let mut each = [RowDiagnosis::default(); 4];
        let limits = DiagnosisLimits::default();
        let total = decoder.diagnose(&rows, &targets, &limits, &mut each).unwrap();
        assert_eq!(
            each.map(|row| row.verdict),
            [Verdict::Flat, Verdict::Saturated, Verdict::Healthy, Verdict::Healthy]
        );
        assert_eq!((total.rows, total.flat, total.saturated, total.healthy), (4, 0.25, 0.25, 0.5));
        assert_eq!(total.greedy_accuracy, 0.5);
        // Ranks 5, 0, 0 and 2: the first five ids of the flat row stand before its target.
        assert_eq!(total.top_k_accuracy, 0.75);
        // The flat row keeps ids 0 and 1, the third keeps ranks 0 and 1 with odds e^0.7.
        let third = 1.0 / (1.0 + (-0.7f64).exp());
        assert!((f64::from(total.expected_accuracy) - (1.0 + third) / 4.0).abs() < 1e-6);
        assert!((each[0].score.entropy - 1000f32.ln()).abs() < 1e-5 && each[1].score.entropy < 1e-6);
        let mean = each.iter().map(|row| f64::from(row.score.loss)).sum::<f64>() / 4.0;
        assert!((f64::from(total.loss) - mean).abs() < 1e-6);
        let mut short = [RowDiagnosis::default(); 3];
        let refused = decoder.diagnose(&rows, &targets, &limits, &mut short);
        assert_eq!(refused, Err(Error::WrongLength { what: "results", expected: 4, actual: 3 }));
        assert_eq!(decoder.diagnose(&[], &[], &limits, &mut []).unwrap().rows, 0);
    }
}
