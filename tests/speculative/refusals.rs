//! Bad input: a status, and nothing has changed.

use argpick::{
    Acceptance, Config, Decoder, DraftModel, Drafts, Error, MAX_DRAFT, MAX_SIBLINGS, Metrics, Mirostat, Pick, ROOT,
    Row, verify,
};

const VOCAB: usize = 70;

fn rows() -> Vec<Vec<f32>> {
    (0..5).map(|i| (0..VOCAB).map(|token| ((token * 7 + i) % 11) as f32 * 0.1).collect()).collect()
}

/// Decoders in the middle of a sequence, and what verification of three drafts needs.
struct Scene {
    target: Decoder,
    draft: Decoder,
    rows: Vec<Vec<f32>>,
    draft_rows: Vec<Vec<f32>>,
    tokens: Vec<u32>,
    parents: Vec<u32>,
    masks: Vec<Option<Vec<u32>>>,
    picks: usize,
    acceptance: Acceptance,
}

impl Scene {
    /// The first two drafts stand for sure: q is spread evenly, p has them only.
    fn new(acceptance: Acceptance) -> Scene {
        let config = Config {
            seed: 4,
            metrics: Metrics::ALL,
            no_repeat_window: 2,
            mirostat: if acceptance == Acceptance::Certain { Mirostat::Two } else { Mirostat::Off },
            ..Config::default()
        };
        let mut target = Decoder::new(&config, VOCAB).unwrap();
        let mut draft = Decoder::new(&Config { seed: 5, ..Config::default() }, VOCAB).unwrap();
        for decoder in [&mut target, &mut draft] {
            decoder.prompt(&[1, 2]).unwrap();
            decoder.decode(&rows()[4], None).unwrap();
        }
        let tokens = vec![20, 30, 40];
        let mut certain = rows();
        for (row, &token) in certain.iter_mut().zip(&tokens[..2]) {
            row.fill(f32::NEG_INFINITY);
            row[token as usize] = 1.0;
        }
        certain.truncate(4);
        let mut draft_rows = rows();
        draft_rows.truncate(3);
        Scene {
            target,
            draft,
            rows: certain,
            draft_rows,
            tokens,
            parents: Vec::new(),
            masks: Vec::new(),
            picks: 4,
            acceptance,
        }
    }

    fn verify(&mut self) -> argpick::Result<argpick::Verified> {
        let rows: Vec<Row<'_>> = self.rows.iter().map(Row::from).collect();
        let draft_rows: Vec<Row<'_>> = self.draft_rows.iter().map(Row::from).collect();
        let masks: Vec<Option<&[u32]>> = self.masks.iter().map(|mask| mask.as_deref()).collect();
        let drafts = Drafts {
            tokens: &self.tokens,
            parents: &self.parents,
            rows: &rows,
            masks: &masks,
            acceptance: self.acceptance,
        };
        let model = DraftModel { decoder: &mut self.draft, rows: &draft_rows, masks: &[] };
        let mut picks = vec![Pick::default(); self.picks];
        verify(&mut self.target, &drafts, Some(model), &mut picks)
    }

    /// Everything that decides what comes next: the saved bytes, and the next picks.
    fn state(&mut self) -> (Vec<Vec<u8>>, String) {
        let saved = |decoder: &mut Decoder| {
            let mut bytes = vec![0; decoder.saved_size()];
            decoder.save(&mut bytes).unwrap();
            bytes
        };
        let bytes = vec![saved(&mut self.target), saved(&mut self.draft)];
        let row = &rows()[4];
        let mut next = String::new();
        for decoder in [&mut self.target, &mut self.draft] {
            let mut twin = decoder.clone();
            for _ in 0..3 {
                next += &format!("{:?}", twin.decode(row, None));
            }
        }
        (bytes, next)
    }
}

/// Spoils a scene, and expects it to be refused without a trace.
fn refused(acceptance: Acceptance, spoil: impl FnOnce(&mut Scene)) -> Error {
    let mut scene = Scene::new(acceptance);
    spoil(&mut scene);
    let before = scene.state();
    let error = scene.verify().expect_err("a refusal");
    assert!(before == scene.state(), "something has changed after {error:?}");
    error
}

#[test]
fn the_scene_itself_is_good() {
    for acceptance in [Acceptance::Match, Acceptance::Certain, Acceptance::Drawn, Acceptance::WithoutReplacement] {
        let mut scene = Scene::new(acceptance);
        let before = scene.state();
        assert!(scene.verify().unwrap().accepted >= 2, "{acceptance:?}");
        assert!(before != scene.state(), "the state shows no change");
    }
}

#[test]
fn a_bad_row_far_along_changes_nothing() {
    for acceptance in [Acceptance::Match, Acceptance::Certain, Acceptance::Drawn, Acceptance::WithoutReplacement] {
        for bad in [0, 1, 2] {
            let error = refused(acceptance, |scene| scene.rows[bad][33] = f32::INFINITY);
            assert_eq!(error, Error::InvalidLogit { index: 33, value: f32::INFINITY }, "{acceptance:?}, row {bad}");
        }
        let error = refused(acceptance, |scene| scene.rows[2][9] = f32::NAN);
        assert!(matches!(error, Error::InvalidLogit { index: 9, value } if value.is_nan()), "{error:?}");
        assert_eq!(refused(acceptance, |scene| scene.rows[2].fill(f32::NEG_INFINITY)), Error::EverythingMasked);
        let error = refused(acceptance, |scene| scene.masks = vec![None, None, Some(vec![0; 3]), None]);
        assert_eq!(error, Error::EverythingMasked);
        // What masks itself: the second draft again, while it is in the no-repeat window.
        let error = refused(acceptance, |scene| {
            scene.rows[2] = scene.rows[1].clone();
        });
        assert_eq!(error, Error::EverythingMasked);
    }
    for acceptance in [Acceptance::Drawn, Acceptance::WithoutReplacement] {
        let error = refused(acceptance, |scene| scene.draft_rows[1][3] = f32::INFINITY);
        assert_eq!(error, Error::InvalidLogit { index: 3, value: f32::INFINITY });
        let error = refused(acceptance, |scene| scene.draft_rows[2].fill(f32::NEG_INFINITY));
        assert_eq!(error, Error::EverythingMasked);
    }
}

#[test]
fn a_draft_that_could_not_be_drawn_is_refused() {
    for acceptance in [Acceptance::Drawn, Acceptance::WithoutReplacement] {
        let error = refused(acceptance, |scene| scene.draft_rows[1][30] = f32::NEG_INFINITY);
        assert_eq!(error, Error::InvalidParameter { name: "draft token", value: 30.0 });
    }
    let error = refused(Acceptance::WithoutReplacement, |scene| {
        // Twins: the first cannot stand, the second cannot be.
        scene.rows[0][20] = f32::NEG_INFINITY;
        scene.rows[0][21] = 1.0;
        scene.parents = vec![ROOT, ROOT, ROOT];
        scene.tokens = vec![20, 20, 40];
    });
    assert_eq!(error, Error::InvalidParameter { name: "draft token", value: 20.0 });
}

#[test]
fn lists_of_the_wrong_length_are_refused() {
    let acceptance = Acceptance::Drawn;
    let wrong = |what, expected, actual| Error::WrongLength { what, expected, actual };
    type Spoil = fn(&mut Scene);
    let cases: [(Error, Spoil); 9] = [
        (wrong("rows", 4, 3), |scene| {
            scene.rows.pop();
        }),
        (wrong("draft rows", 3, 2), |scene| {
            scene.draft_rows.pop();
        }),
        (wrong("row", VOCAB, VOCAB - 1), |scene| {
            scene.rows[3].pop();
        }),
        (wrong("draft row", VOCAB, VOCAB + 1), |scene| scene.draft_rows[2].push(0.0)),
        (wrong("masks", 4, 2), |scene| scene.masks = vec![None, None]),
        (wrong("parents", 3, 2), |scene| scene.parents = vec![ROOT, 0]),
        (wrong("picks", 4, 3), |scene| scene.picks = 3),
        (Error::TokenOutOfRange { token: 70, vocab: 70 }, |scene| scene.tokens[2] = 70),
        (Error::InvalidParameter { name: "parent", value: 1.0 }, |scene| scene.parents = vec![ROOT, 1, 0]),
    ];
    for (expected, spoil) in cases {
        assert_eq!(refused(acceptance, spoil), expected);
    }
    let error = refused(acceptance, |scene| scene.parents = vec![0, ROOT, ROOT]);
    assert_eq!(error, Error::InvalidParameter { name: "parent", value: 0.0 });
    // Drawn drafts need their model.
    let mut scene = Scene::new(acceptance);
    let rows: Vec<Row<'_>> = scene.rows.iter().map(Row::from).collect();
    let drafts = Drafts { tokens: &scene.tokens, parents: &[], rows: &rows, masks: &[], acceptance };
    let answer = verify(&mut scene.target, &drafts, None, &mut [Pick::default(); 4]);
    assert_eq!(answer, Err(wrong("draft rows", 3, 0)));
}

#[test]
fn trees_and_paths_have_their_limits() {
    let wide = |siblings: usize| {
        let row = vec![0.5; VOCAB];
        let rows = vec![Row::from(&row); siblings + 1];
        let (tokens, parents) = (vec![3; siblings], vec![ROOT; siblings]);
        let drafts =
            Drafts { tokens: &tokens, parents: &parents, rows: &rows, masks: &[], acceptance: Acceptance::Certain };
        let mut decoder = Decoder::new(&Config::default(), VOCAB).unwrap();
        verify(&mut decoder, &drafts, None, &mut [Pick::default(); 2]).map(|_| ())
    };
    assert_eq!(wide(MAX_SIBLINGS), Ok(()));
    let expected = Error::CapacityExceeded { what: "drafts after one node", capacity: 64, actual: 65 };
    assert_eq!(wide(MAX_SIBLINGS + 1), Err(expected));
    let long = |length: usize, config: &Config| {
        let row = vec![0.5; VOCAB];
        let rows = vec![Row::from(&row); length + 1];
        let tokens = vec![0; length];
        let drafts = Drafts { tokens: &tokens, parents: &[], rows: &rows, masks: &[], acceptance: Acceptance::Match };
        let mut decoder = Decoder::new(config, VOCAB).unwrap();
        verify(&mut decoder, &drafts, None, &mut [Pick::default(); MAX_DRAFT + 2]).map(|_| ())
    };
    assert_eq!(long(MAX_DRAFT, &Config { temperature: 0.0, ..Config::default() }), Ok(()));
    let expected = Error::CapacityExceeded { what: "drafts on a path", capacity: 64, actual: 65 };
    assert_eq!(long(MAX_DRAFT + 1, &Config::default()), Err(expected));
    // A history that could not come back.
    let short = Config { history_capacity: 8, ..Config::default() };
    let expected = Error::CapacityExceeded { what: "drafts on a path", capacity: 16, actual: 17 };
    assert_eq!((long(16, &short), long(17, &short)), (Ok(()), Err(expected)));
}

#[test]
fn a_decoder_that_has_finished_is_refused() {
    for which in [0, 1] {
        let limit = |on: bool| Config { max_tokens: u32::from(on), seed: 1, ..Config::default() };
        let mut scene = Scene::new(Acceptance::Drawn);
        scene.target = Decoder::new(&limit(which == 0), VOCAB).unwrap();
        scene.draft = Decoder::new(&limit(which == 1), VOCAB).unwrap();
        if which == 0 {
            scene.target.accept(&[1]).unwrap();
            scene.draft.accept(&[1]).unwrap();
        }
        let position = (scene.target.position(), scene.draft.position());
        // The draft model's decoder finishes on the way: that is known only after a token was recorded.
        assert_eq!(scene.verify(), Err(Error::Finished));
        assert_eq!(position, (scene.target.position(), scene.draft.position()));
    }
}

/// A draft model of fewer tokens cannot record all that the target may emit; one of `valid_vocab` tokens cannot have drawn more.
#[test]
fn tokens_past_the_draft_models_vocabulary_are_refused() {
    for acceptance in [Acceptance::Match, Acceptance::Certain, Acceptance::Drawn, Acceptance::WithoutReplacement] {
        let shorten = |scene: &mut Scene| {
            let config = Config { seed: 5, ..Config::default() };
            scene.draft = Decoder::new(&config, VOCAB - 10).unwrap();
            scene.draft_rows.iter_mut().for_each(|row| row.truncate(VOCAB - 10));
            // The third draft falls, and only a token past the draft model's can take its place.
            scene.rows[2].fill(f32::NEG_INFINITY);
            scene.rows[2][VOCAB - 3] = 1.0;
        };
        let mut scene = Scene::new(acceptance);
        shorten(&mut scene);
        let before = (scene.target.position(), scene.draft.position());
        let expected = Error::TokenOutOfRange { token: VOCAB as u32 - 3, vocab: VOCAB - 10 };
        assert_eq!(scene.verify(), Err(expected), "{acceptance:?}");
        assert_eq!(before, (scene.target.position(), scene.draft.position()));
        // The drafts themselves are looked at first.
        shorten(&mut scene);
        scene.tokens[2] = VOCAB as u32 - 3;
        assert_eq!(scene.verify(), Err(expected), "{acceptance:?}");
    }
    for acceptance in [Acceptance::Drawn, Acceptance::WithoutReplacement] {
        let mut scene = Scene::new(acceptance);
        scene.draft = Decoder::new(&Config { valid_vocab: 40, seed: 5, ..Config::default() }, VOCAB).unwrap();
        assert_eq!(scene.verify(), Err(Error::InvalidParameter { name: "draft token", value: 40.0 }), "{acceptance:?}");
        // Past the target's valid ids a draft falls.
        let mut scene = Scene::new(acceptance);
        scene.target = Decoder::new(&Config { valid_vocab: 40, seed: 4, ..Config::default() }, VOCAB).unwrap();
        scene.draft = Decoder::new(&Config { seed: 5, ..Config::default() }, VOCAB).unwrap();
        let verified = scene.verify().unwrap();
        assert_eq!((verified.accepted, verified.emitted), (2, 3), "{acceptance:?}");
    }
}
