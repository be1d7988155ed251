//! What is refused, and that nothing has changed then.

use super::tables::{Host, levels, recipe, word};
use argpick::{BeamConfig, BeamSearch, Config, Continuation, Decoder, EarlyStopping, Error, Memory, Profile, Row};

fn refused(config: BeamConfig<'_>, vocab: usize) -> Error {
    BeamSearch::<Memory>::new(&config, vocab).map(|_| ()).expect_err("a refusal")
}

#[test]
fn parameters_outside_their_range_are_named() {
    let base = BeamConfig::default();
    let invalid = |config: BeamConfig<'_>, name: &str| {
        let error = refused(config, 50);
        assert!(matches!(error, Error::InvalidParameter { name: found, .. } if found == name), "{error:?}, not {name}");
    };
    invalid(BeamConfig { beams: 0, ..base }, "beams");
    invalid(BeamConfig { beams: 1025, ..base }, "beams");
    invalid(BeamConfig { groups: 3, ..base }, "groups");
    invalid(BeamConfig { groups: 5, ..base }, "groups");
    for wrong in [-0.5, f32::NAN, f32::INFINITY] {
        invalid(BeamConfig { diversity_penalty: wrong, ..base }, "diversity_penalty");
        invalid(BeamConfig { temperature: wrong, ..base }, "temperature");
    }
    invalid(BeamConfig { temperature: 0.0, ..base }, "temperature");
    for wrong in [-16.5, 17.0, f32::NAN, f32::INFINITY] {
        invalid(BeamConfig { length_penalty: wrong, ..base }, "length_penalty");
    }
    invalid(BeamConfig { max_tokens: 0, ..base }, "max_tokens");
    invalid(BeamConfig { max_tokens: (1 << 20) + 1, ..base }, "max_tokens");
    invalid(BeamConfig { n_best: 5, ..base }, "n_best");
    invalid(BeamConfig { valid_vocab: 51, ..base }, "valid_vocab");
    assert!(matches!(refused(base, 0), Error::InvalidParameter { name: "vocab", .. }));
    assert!(matches!(refused(base, (1 << 22) + 1), Error::InvalidParameter { name: "vocab", .. }));
    assert_eq!(
        refused(BeamConfig { end_tokens: &[3, 50], ..base }, 50),
        Error::TokenOutOfRange { token: 50, vocab: 50 }
    );
    assert_eq!(refused(BeamConfig { end_tokens: &[3, 4, 3], ..base }, 50), Error::DuplicateToken { token: 3 });
    let many: Vec<u32> = (0..65).collect();
    let error = Error::CapacityExceeded { what: "end tokens", capacity: 64, actual: 65 };
    assert_eq!(refused(BeamConfig { end_tokens: &many, ..base }, 100), error);
}

#[test]
fn what_an_engine_lacks_is_refused_by_name() {
    let base = BeamConfig::default();
    let error = refused(BeamConfig { profile: Profile::LlamaCpp, ..base }, 50);
    assert_eq!(error, Error::NotInProfile { name: "beams", profile: "llama_cpp" });
    assert_eq!(error.to_string(), "the profile llama_cpp has no beams");
    for profile in [Profile::HuggingFace, Profile::Vllm] {
        let base = BeamConfig { profile, ..base };
        for (name, config) in [
            ("groups", BeamConfig { groups: 2, ..base }),
            ("diversity_penalty", BeamConfig { diversity_penalty: 0.5, ..base }),
            ("temperature", BeamConfig { temperature: 0.5, ..base }),
        ] {
            assert_eq!(refused(config, 50), Error::NotInProfile { name, profile: profile.name() });
        }
    }
    let early = BeamConfig { profile: Profile::Vllm, early_stopping: EarlyStopping::Full, ..base };
    assert_eq!(refused(early, 50), Error::NotInProfile { name: "early_stopping", profile: "vllm" });
}

/// The state of a search as far as it can be seen.
fn seen(host: &Host) -> String {
    let search = &host.search;
    let scores: Vec<_> = (0..search.live()).map(|beam| search.beam_score(beam)).collect();
    format!("{scores:?} {:?} {} {}", host.told(), search.length(), search.live())
}

#[test]
fn a_step_that_fails_changes_nothing() {
    for profile in [Profile::Canon, Profile::HuggingFace, Profile::Vllm] {
        let config = BeamConfig { profile, beams: 3, max_tokens: 6, end_tokens: &[2], ..BeamConfig::default() };
        let run = |disturb: bool| {
            let mut host = Host::new(&config, 90, levels()[0]);
            let row_of = |tokens: &[u32]| {
                let mut row = recipe("normal", tokens.iter().fold(5, |key, &t| word(key, u64::from(t))), 90);
                row[2] += 2.0;
                row
            };
            while !host.search.is_finished() {
                if disturb {
                    disturb_with_bad_calls(&mut host, row_of);
                }
                host.step(row_of, |_| None);
            }
            let mut next = host.next.clone();
            assert_eq!(host.search.step(&[], &[], &mut next), Err(Error::Finished));
            seen(&host)
        };
        assert_eq!(run(true), run(false));
    }
}

fn disturb_with_bad_calls(host: &mut Host, row_of: impl Fn(&[u32]) -> Vec<f32>) {
    let before = seen(host);
    let live = host.search.live();
    let good: Vec<Vec<f32>> = host.beams.iter().map(|tokens| row_of(tokens)).collect();
    let untouched = vec![Continuation { parent: 77, token: 77, score: 77.0 }; host.search.outputs()];
    let mut refuse = |rows: &[Vec<f32>], masks: &[Option<&[u32]>], outputs: usize| {
        let rows: Vec<Row<'_>> = rows.iter().map(Row::from).collect();
        let mut next = untouched.clone();
        let error = host.search.step(&rows, masks, &mut next[..outputs]).expect_err("a refusal");
        assert_eq!(next, untouched);
        (error, host.search.failed_row())
    };
    let all = untouched.len();
    let wrong = |what, expected, actual| Error::WrongLength { what, expected, actual };
    assert_eq!(refuse(&good[..live - 1], &[], all), (wrong("rows", live, live - 1), None));
    let more = [&good[..], &good[..1]].concat();
    assert_eq!(refuse(&more, &[], all), (wrong("rows", live, live + 1), None));
    assert_eq!(refuse(&good, &vec![None; live + 1], all), (wrong("masks", live, live + 1), None));
    assert_eq!(refuse(&good, &[], all - 1), (wrong("next", all, all - 1), None));
    for at in 0..live {
        let mut rows = good.clone();
        rows[at].pop();
        assert_eq!(refuse(&rows, &[], all), (wrong("row", 90, 89), Some(at)));
        for bad in [f32::NAN, f32::INFINITY] {
            let mut rows = good.clone();
            (rows[at][80], rows[at][65]) = (bad, bad);
            let (error, row) = refuse(&rows, &[], all);
            assert!(matches!(error, Error::InvalidLogit { index: 65, .. }) && row == Some(at), "{error:?} {row:?}");
        }
    }
    let empty: &[u32] = &[];
    assert_eq!(refuse(&good, &vec![Some(empty); live], all), (Error::EverythingMasked, None));
    let masked = vec![vec![f32::NEG_INFINITY; 90]; live];
    assert_eq!(refuse(&masked, &[], all), (Error::EverythingMasked, None));
    assert_eq!(seen(host), before);
}

#[test]
fn what_takes_no_part_is_not_looked_at() {
    let config = BeamConfig { beams: 2, max_tokens: 3, valid_vocab: 30, ..BeamConfig::default() };
    let mut host = Host::new(&config, 40, levels()[0]);
    let mut row = recipe("normal", 1, 40);
    (row[35], row[3]) = (f32::NAN, f32::INFINITY);
    host.step(|_| row.clone(), |_| Some(vec![!8, u32::MAX]));
    assert!(host.next[..2].iter().all(|out| out.token < 30 && out.token != 3));
    // Transformers and vLLM normalise before they mask, so there it is looked at.
    for profile in [Profile::HuggingFace, Profile::Vllm] {
        let mut host = Host::new(&BeamConfig { profile, ..config }, 40, levels()[0]);
        let error = host.search.step(&[Row::from(&row)], &[Some(&[!8, u32::MAX])], &mut host.next);
        assert_eq!(error, Err(Error::InvalidLogit { index: 3, value: f32::INFINITY }));
    }
}

#[test]
fn tokens_are_written_where_there_is_room() {
    let config = BeamConfig { beams: 2, n_best: 1, max_tokens: 3, ..BeamConfig::default() };
    let mut host = Host::new(&config, 40, levels()[0]);
    assert_eq!((host.search.hypotheses(), host.search.hypothesis(0)), (0, None));
    assert_eq!((host.search.beam_score(0), host.search.beam_score(1)), (Some(0.0), None));
    assert_eq!(host.search.beam_tokens(0, &mut []), Ok(0));
    assert!(host.search.hypothesis_tokens(0, &mut [0; 9]).is_err());
    while !host.search.is_finished() {
        host.step(|tokens| recipe("normal", tokens.len() as u64, 40), |_| None);
    }
    let short = Error::WrongLength { what: "tokens", expected: 3, actual: 2 };
    assert_eq!(host.search.hypothesis_tokens(0, &mut [0; 2]), Err(short));
    assert_eq!((host.search.hypotheses(), host.search.hypothesis(1)), (1, None));
    let gone = Error::InvalidParameter { name: "rank", value: 1.0 };
    assert_eq!(host.search.hypothesis_tokens(1, &mut [0; 9]), Err(gone));
    let gone = Error::InvalidParameter { name: "beam", value: 0.0 };
    assert_eq!(host.search.beam_tokens(0, &mut [0; 9]), Err(gone));
}

#[test]
fn decoders_that_do_not_fit_are_refused() {
    let config = BeamConfig { beams: 2, max_tokens: 5, ..BeamConfig::default() };
    let row = recipe("normal", 3, 40);
    let attempt = |settings: &[(Config, usize)], disturb: &dyn Fn(&mut Vec<Decoder>)| {
        let mut search = BeamSearch::new(&config, 40).unwrap();
        let mut next = vec![Continuation::default(); search.outputs()];
        let mut decoders: Vec<Decoder> = settings.iter().map(|(c, vocab)| Decoder::new(c, *vocab).unwrap()).collect();
        disturb(&mut decoders);
        search.step_with_decoders(&mut decoders, &[Row::from(&row)], &[], &mut next).map(|step| step.live)
    };
    let good = || (Config::default(), 40);
    let nothing = |_: &mut Vec<Decoder>| {};
    assert_eq!(attempt(&[good(), good()], &nothing), Ok(2));
    let few = Error::WrongLength { what: "decoders", expected: 2, actual: 1 };
    assert_eq!(attempt(&[good()], &nothing), Err(few));
    let other = Error::WrongLength { what: "a decoder's vocabulary", expected: 40, actual: 41 };
    assert_eq!(attempt(&[good(), (Config::default(), 41)], &nothing), Err(other));
    let padded = (Config { valid_vocab: 20, ..Config::default() }, 40);
    let error = Error::InvalidParameter { name: "valid_vocab", value: 20.0 };
    assert_eq!(attempt(&[good(), padded], &nothing), Err(error));
    let larger = (Config { history_capacity: 7, ..Config::default() }, 40);
    let error = Error::InvalidParameter { name: "decoders", value: 1.0 };
    assert_eq!(attempt(&[good(), larger], &nothing), Err(error));
    let short = || (Config { max_tokens: 1, ..Config::default() }, 40);
    let ended = |decoders: &mut Vec<Decoder>| decoders[0].accept(&[1]).unwrap();
    assert_eq!(attempt(&[short(), short()], &ended), Err(Error::Finished));
    // One token ends them, and so the beams.
    assert_eq!(attempt(&[short(), short()], &nothing), Ok(0));
    // vLLM's beams know no penalties.
    let penalised = || (Config { repetition_penalty: 1.2, ..Config::default() }, 40);
    assert_eq!(attempt(&[penalised(), penalised()], &nothing), Ok(2));
    let mut search = BeamSearch::new(&BeamConfig { profile: Profile::Vllm, ..config }, 40).unwrap();
    let mut next = vec![Continuation::default(); search.outputs()];
    let mut decoders: Vec<Decoder> = (0..2).map(|_| Decoder::new(&penalised().0, 40).unwrap()).collect();
    let refused = search.step_with_decoders(&mut decoders, &[Row::from(&row)], &[], &mut next);
    assert_eq!(refused, Err(Error::NotInProfile { name: "repetition_penalty", profile: "vllm" }));
}
