//! What the page shows of a step whose row is at hand, and how much of rows it may hold.

use super::run::{Best, Logits, Numbers, Stage, Token};
use argpick::{Candidate, Config, Decoder, Metrics, Pick, Result, Row, StageReport};

/// The configuration, with the numbers that the page shows of every pick; they decide nothing.
pub fn with_metrics(config: &Config) -> Config {
    let metrics = Metrics::CONFIDENCE | Metrics::LOGPROB | Metrics::RANK | Metrics::KEPT | Metrics::KEPT_MASS;
    Config { metrics, ..config.clone() }
}

/// How much the page may hold, and what was left out for it.
#[derive(Clone)]
pub struct Budget {
    top: usize,
    most_steps: usize,
    steps: usize,
    steps_left_out: usize,
    row_limit: usize,
    row_bytes: usize,
    best: usize,
    rows_left_out: usize,
}

impl Budget {
    pub fn new(top: usize, most_steps: usize, row_limit: usize, best: usize) -> Budget {
        Budget { top, most_steps, steps: 0, steps_left_out: 0, row_limit, row_bytes: 0, best, rows_left_out: 0 }
    }

    /// Tokens to show of a step.
    pub fn top(&self) -> usize {
        self.top
    }

    /// Whether there is room for one more step; one that has none is counted as left out.
    pub fn admit_step(&mut self) -> bool {
        if self.steps >= self.most_steps {
            self.steps_left_out += 1;
            return false;
        }
        self.steps += 1;
        true
    }

    /// What was left out, for the page.
    pub fn say(&self, remarks: &mut Vec<String>) {
        if self.steps_left_out > 0 {
            remarks.push(format!(
                "{} steps are left out: the page holds at most {} (--most-steps).",
                self.steps_left_out, self.most_steps
            ));
        }
        if self.rows_left_out > 0 {
            remarks.push(format!(
                "Of {} steps the page holds only the {} best logits: whole rows of all steps would be more than {} MiB \
                 (--row-limit, --best). On these steps the sliders act on what the page holds, and every other token counts \
                 as masked.",
                self.rows_left_out,
                self.best,
                self.row_limit >> 20
            ));
        }
    }

    /// The logits of a step for the page: the whole row as long as there is room, else the best of it.
    pub fn logits<S: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        decoder: &mut Decoder<S>,
        row: Row<'_>,
        mask: Option<&[u32]>,
    ) -> Result<Logits> {
        let (dtype, bytes): (_, Vec<u8>) = match row {
            Row::F32(values) => ("f32", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Row::F16(values) => ("f16", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Row::Bf16(values) => ("bf16", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        };
        if self.row_bytes + bytes.len() <= self.row_limit || row.len() <= self.best {
            self.row_bytes += bytes.len();
            return Ok(Logits::Row { dtype, bytes });
        }
        let mut best = vec![Candidate::default(); self.best];
        let count = decoder.top_raw(row, mask, &mut best)?;
        best.truncate(count);
        best.sort_unstable_by_key(|candidate| candidate.token);
        self.rows_left_out += 1;
        Ok(Logits::Best {
            tokens: best.iter().map(|candidate| candidate.token).collect(),
            values: best.iter().map(|candidate| candidate.logit).collect(),
        })
    }
}

/// The numbers of a pick.
pub fn numbers(pick: &Pick) -> Numbers {
    let known = |count: u32| (count != u32::MAX).then_some(count);
    Numbers {
        margin: pick.margin,
        top1_probability: pick.top1_probability,
        entropy: pick.entropy,
        logprob: pick.logprob,
        rank: known(pick.rank),
        kept: known(pick.kept),
    }
}

/// Why a sequence ended with a pick.
pub fn finish(pick: &Pick) -> Option<&'static str> {
    use argpick::Finish;
    match pick.finish {
        Finish::None => None,
        Finish::Length => Some("the number of tokens asked for"),
        Finish::EndToken => Some("the end token"),
        Finish::Stop => Some("a stop sequence"),
        Finish::Loop => Some("a loop"),
    }
}

/// The best tokens of a row with their probabilities, and what each stage leaves.
pub fn look<S: AsRef<[u64]> + AsMut<[u64]>>(
    decoder: &mut Decoder<S>,
    row: Row<'_>,
    mask: Option<&[u32]>,
    top: usize,
) -> Result<(Vec<Best>, Vec<Stage>)> {
    let mut candidates = vec![Candidate::default(); top];
    let count = decoder.top(row, mask, &mut candidates)?;
    candidates.truncate(count);
    let mut best = Vec::with_capacity(count);
    for Candidate { token, logit, logprob } in candidates {
        let after = decoder.probability_of(row, mask, token)?;
        best.push(Best { token: Token::Id(token), logit, before: Some(f64::from(logprob).exp()), after: Some(after) });
    }
    let mut reports = [StageReport::EMPTY; StageReport::MOST];
    let count = decoder.explain(row, mask, &mut reports)?;
    let stages = reports[..count]
        .iter()
        .map(|report| Stage {
            name: report.name,
            parameter: report.parameter,
            kept: report.kept,
            kept_mass: report.kept_mass,
            temperature: report.temperature,
        })
        .collect();
    Ok((best, stages))
}
