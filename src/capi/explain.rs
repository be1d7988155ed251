//! What each stage leaves of a row.

use super::decoder::{argpick_decoder, enter};
use super::guard::{call, readable, slice_mut, writable};
use super::status::argpick_status;
use super::step::{argpick_dtype, mask_of, row_of};
use crate::decoder::StageReport;
use core::ffi::{CStr, c_char, c_void};

/// So many stages have room for any configuration, the row itself included.
pub const ARGPICK_MOST_STAGES: u32 = 14;

const _: () = assert!(ARGPICK_MOST_STAGES as usize == StageReport::MOST);

/// What is left of a row after a stage. The element of an array, so it never grows.
///
/// The kept tokens are a run of the order (higher logit first, then lower id), with logits after penalties and biases: none
/// stands before first, none after last. These need not be tokens of the row.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_stage {
    /// Which stage, for argpick_stage_name.
    pub stage: u32,
    /// How many tokens are kept.
    pub kept: u32,
    /// The parameter as the stage uses it; NaN where there is none.
    pub parameter: f64,
    /// Their probability in the whole row, after penalties, biases and masks, at the temperature in force.
    pub kept_mass: f32,
    /// The temperature in force after the stage.
    pub temperature: f32,
    /// Where the run begins: the token.
    pub first_token: u32,
    /// Where the run begins: the logit.
    pub first_logit: f32,
    /// Where the run ends: the token.
    pub last_token: u32,
    /// Where the run ends: the logit.
    pub last_logit: f32,
}

const _: () = assert!(size_of::<argpick_stage>() == 40);

/// Stages by their numbers, from 0. New ones come at the end.
const NAMES: [&CStr; 16] = [
    c"row",
    c"greedy",
    c"temperature",
    c"dynatemp_range",
    c"top_k",
    c"top_p",
    c"min_p",
    c"typical_p",
    c"epsilon_cutoff",
    c"eta_cutoff",
    c"top_n_sigma",
    c"top_a",
    c"tfs_z",
    c"top_h",
    c"xtc_probability",
    c"mirostat",
];

/// The name of a stage: the parameter in argpick_config that puts it there; "row" before the first, "greedy" in greedy mode;
/// an empty text for numbers that no stage has.
///
/// Never NULL; static text, nothing to free.
#[unsafe(no_mangle)]
pub extern "C" fn argpick_stage_name(stage: u32) -> *const c_char {
    NAMES.get(stage as usize).map_or(c"".as_ptr(), |name| name.as_ptr())
}

fn stage_of(report: &StageReport) -> argpick_stage {
    let number = NAMES.iter().position(|name| name.to_bytes() == report.name.as_bytes());
    let ((first_token, first_logit), (last_token, last_logit)) = (report.first(), report.last());
    argpick_stage {
        stage: number.map_or(u32::MAX, |number| number as u32),
        kept: report.kept,
        parameter: report.parameter,
        kept_mass: report.kept_mass,
        temperature: report.temperature,
        first_token,
        first_logit,
        last_token,
        last_logit,
    }
}

/// Lists what each stage in force leaves of a row, in the order in which they run, the row itself first.
///
/// found is how many reports there are, at most ARGPICK_MOST_STAGES; as many were written as there is room for. With capacity 0,
/// stages may be NULL. Row and mask are as for argpick_decode; nothing is recorded. Costs many passes: it is for questions,
/// not for steps.
///
/// Statuses: those of argpick_decode but ARGPICK_ERR_STRUCT_SIZE. Nothing is written then.
///
/// # Safety
/// - decoder is a live decoder; logits and mask have as many elements as said; stages has capacity elements that can be
///   written; found can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_explain(
    decoder: *mut argpick_decoder,
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    stages: *mut argpick_stage,
    capacity: usize,
    found: *mut usize,
) -> argpick_status {
    call("argpick_explain", || {
        readable(decoder.cast_const(), "decoder")?;
        writable(found, "found")?;
        // SAFETY: the caller's part is the same; a longer list than there can be stages is not touched past that.
        unsafe {
            let total = enter(decoder, |decoder| {
                let vocab = decoder.vocab();
                let row = row_of(logits, dtype, count, vocab)?;
                let mask = mask_of(mask, mask_words, vocab)?;
                let stages = slice_mut(stages, capacity.min(StageReport::MOST), "stages")?;
                let mut reports = [StageReport::EMPTY; StageReport::MOST];
                let total = decoder.explain(row, mask, &mut reports)?;
                for (to, report) in stages.iter_mut().zip(&reports[..total]) {
                    *to = stage_of(report);
                }
                Ok(total)
            })?;
            found.write(total);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Config, Mirostat};
    use crate::{Decoder, Mode};

    #[test]
    fn every_stage_has_a_number() {
        let everything = Config {
            temperature: 0.9,
            top_k: 40,
            top_p: 0.9,
            min_p: 0.01,
            typical_p: 0.9,
            epsilon_cutoff: 0.001,
            eta_cutoff: 0.001,
            top_n_sigma: 3.0,
            top_a: 0.01,
            tfs_z: 0.99,
            top_h: 0.99,
            xtc_probability: 0.5,
            ..Config::default()
        };
        let configs = [
            Config { dynatemp_range: 0.3, ..everything.clone() },
            Config { profile: crate::Profile::LlamaCpp, temperature: 0.5, top_k: 9, ..Config::default() },
            Config { mirostat: Mirostat::Two, ..everything.clone() },
            Config { mode: Mode::Greedy, ..everything },
        ];
        let row: std::vec::Vec<f32> = (0..100).map(|i| (i * 37 % 101) as f32 / 9.0).collect();
        let mut seen = std::collections::BTreeSet::new();
        for config in configs {
            let mut decoder = Decoder::new(&config, 100).unwrap();
            let mut reports = [StageReport::EMPTY; StageReport::MOST];
            let count = decoder.explain(&row, None, &mut reports).unwrap();
            seen.extend(reports[..count].iter().map(|report| stage_of(report).stage));
        }
        assert_eq!(seen, (0..NAMES.len() as u32).collect());
    }
}
