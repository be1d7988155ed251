//! What is verified in the tests: random rows, drafts and trees, and small worlds in which the next row is that of a token.

use super::oracle::{Side, parent};
use super::support::generators::{self, Shape, Source};
use super::support::oracle::{Case, Settings};
use super::support::report;
use argpick::kernels::Kernels;
use argpick::{Acceptance, Decoder, DraftModel, Drafts, Metrics, Pick, ROOT, Row, Verified, verify};

/// Settings of a target or of a draft model.
pub fn settings(source: &mut Source, seed: u64) -> Settings {
    let base = Settings { seed, position: source.bits() >> 20, ..Settings::default() };
    let choices = [
        base.clone(),
        Settings { temperature: 0.6, ..base.clone() },
        Settings { top_k: 1 + source.below(12) as u32, ..base.clone() },
        Settings { top_p: 0.8, temperature: 1.4, ..base.clone() },
        Settings { min_p: 0.1, ..base.clone() },
        Settings { top_k: 40, top_p: 0.9, min_p: 0.01, no_repeat_window: 3, ..base.clone() },
        Settings { no_repeat_window: 2, ..base.clone() },
        Settings { greedy: true, ..base },
    ];
    choices[source.below(choices.len())].clone()
}

/// Drafts and everything they are verified with.
pub struct Problem {
    pub target: Case,
    pub draft: Case,
    pub rows: Vec<Vec<f32>>,
    pub draft_rows: Vec<Vec<f32>>,
    pub tokens: Vec<u32>,
    pub parents: Vec<u32>,
    pub acceptance: Acceptance,
}

impl Problem {
    pub fn random(source: &mut Source) -> Problem {
        let vocab = source.pick(&[3, 5, 40, 64, 65, 200, 700]);
        let shapes = [Shape::Normal, Shape::Flat, Shape::Peaked, Shape::Zipf, Shape::AllEqual];
        let nodes = source.below(8);
        let mut case = |seed| {
            let mut case = Case { settings: settings(source, seed), ..Case::new(Vec::new()) };
            case.bias = if source.chance(0.3) { vec![(1, 1.5), (2, -0.5)] } else { Vec::new() };
            case.bans = if source.chance(0.2) { vec![0] } else { Vec::new() };
            case.generated = if source.chance(0.5) { vec![2, 1] } else { Vec::new() };
            case
        };
        let (target, draft) = (case(3), case(4));
        // The draft model is the target with noise, or another altogether.
        let noise = source.pick(&[0.1, 1.0, 100.0]);
        let rows: Vec<Vec<f32>> =
            (0..=nodes).map(|_| generators::row(source, source_shape(&shapes, nodes, vocab), vocab)).collect();
        let draft_rows = rows
            .iter()
            .map(|row| row.iter().map(|&logit| logit + (noise * source.normal()) as f32).collect())
            .collect();
        let acceptance = source.pick(&[
            Acceptance::Match,
            Acceptance::Certain,
            Acceptance::Drawn,
            Acceptance::Drawn,
            Acceptance::WithoutReplacement,
            Acceptance::WithoutReplacement,
        ]);
        let mut problem =
            Problem { target, draft, rows, draft_rows, tokens: Vec::new(), parents: Vec::new(), acceptance };
        let is_chain = source.chance(0.4);
        for _ in 0..nodes {
            let there = problem.tokens.len();
            let follows = if is_chain { there } else { source.below(there + 1) };
            problem.add(source, (follows as u32).wrapping_sub(1));
        }
        let nodes = problem.tokens.len();
        if is_chain && nodes > 0 && source.chance(0.5) {
            problem.parents.clear();
        }
        problem.rows.truncate(nodes + 1);
        problem
    }

    /// Adds a draft that the draft model could have drawn, unless there is none left.
    fn add(&mut self, source: &mut Source, follows: u32) {
        let mut path = Vec::new();
        let mut node = follows;
        while node != ROOT {
            path.insert(0, self.tokens[node as usize]);
            node = self.parents[node as usize];
        }
        let side = Side { case: self.draft.clone(), rows: &self.draft_rows };
        let Ok(mut masses) = side.masses(follows.wrapping_add(1) as usize, &path) else { return };
        if self.acceptance == Acceptance::WithoutReplacement {
            for (sibling, &token) in self.tokens.iter().enumerate() {
                if self.parents[sibling] == follows {
                    masses[token as usize] = 0;
                }
            }
        }
        let total: u64 = masses.iter().sum();
        if total == 0 {
            return;
        }
        let mut at = ((u128::from(source.bits()) * u128::from(total)) >> 64) as u64;
        let token = masses.iter().position(|&mass| {
            let here = at < mass;
            at = at.saturating_sub(mass);
            here
        });
        self.tokens.push(token.expect("below the total") as u32);
        self.parents.push(follows);
    }

    pub fn sides(&self) -> (Side<'_>, Side<'_>) {
        (
            Side { case: self.target.clone(), rows: &self.rows },
            Side { case: self.draft.clone(), rows: &self.draft_rows },
        )
    }

    pub fn needs_model(&self) -> bool {
        matches!(self.acceptance, Acceptance::Drawn | Acceptance::WithoutReplacement)
    }

    pub fn decoders(&self, kernels: Kernels, metrics: Metrics) -> (Decoder, Decoder) {
        let with_row = |case: &Case| Case { row: self.rows[0].clone(), ..case.clone() };
        (
            report::decoder(&with_row(&self.target), kernels, metrics),
            report::decoder(&with_row(&self.draft), kernels, metrics),
        )
    }

    /// Verifies with these decoders; the picks that were written.
    pub fn verify(&self, target: &mut Decoder, draft: &mut Decoder) -> argpick::Result<(Verified, Vec<Pick>)> {
        let rows: Vec<Row<'_>> = self.rows.iter().map(Row::from).collect();
        let draft_rows: Vec<Row<'_>> = self.draft_rows.iter().map(Row::from).collect();
        let drafts = Drafts {
            tokens: &self.tokens,
            parents: &self.parents,
            rows: &rows,
            masks: &[],
            acceptance: self.acceptance,
        };
        let model = self.needs_model().then_some(DraftModel { decoder: draft, rows: &draft_rows, masks: &[] });
        let mut picks = vec![Pick::default(); self.tokens.len() + 1];
        let verified = verify(target, &drafts, model, &mut picks)?;
        picks.truncate(verified.emitted);
        Ok((verified, picks))
    }

    pub fn describe(&self) -> String {
        let Problem { target, draft, tokens, parents, acceptance, .. } = self;
        let vocab = self.rows[0].len();
        format!("{acceptance:?} {tokens:?} {parents:?} vocab {vocab}\n{:?}\n{:?}", target.settings, draft.settings)
    }
}

fn source_shape(shapes: &[Shape], nodes: usize, vocab: usize) -> Shape {
    shapes[(nodes + vocab) % shapes.len()]
}

/// The path from the root to a node, in order.
pub fn path_to(parents: &[u32], node: Option<usize>) -> Vec<usize> {
    let mut path = Vec::new();
    let mut at = node.map_or(ROOT, |node| node as u32);
    while at != ROOT {
        path.insert(0, at as usize);
        at = parent(parents, at as usize);
    }
    path
}
