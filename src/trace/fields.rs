//! The numbers of a pick as a trace has them: one list, by which they are written, read and compared.

use super::pick::{Finish, Pick};
use crate::plan::Metrics;

/// What becomes of each field of a pick.
pub(crate) trait Fields {
    /// A token, a count or a choice.
    fn count(&mut self, name: &'static str, value: &mut u32);
    /// A number.
    fn float(&mut self, name: &'static str, value: &mut f32);
}

/// Hands the fields of a pick that a trace has to `fields`: the counts, and with `numbers` the rest of what `metrics` asked
/// for. `None` if the reason to finish has no meaning afterwards.
pub(crate) fn each_field(pick: &mut Pick, metrics: Metrics, numbers: bool, fields: &mut impl Fields) -> Option<()> {
    fields.count("token", &mut pick.token);
    fields.count("argmax", &mut pick.argmax);
    let mut finish = pick.finish as u32;
    fields.count("finish", &mut finish);
    pick.finish = finish_from(finish)?;
    if metrics.contains(Metrics::RANK) {
        fields.count("rank", &mut pick.rank);
    }
    if metrics.contains(Metrics::KEPT) {
        fields.count("kept", &mut pick.kept);
    }
    if metrics.contains(Metrics::LOOP) {
        fields.count("loop_period", &mut pick.loop_period);
        fields.count("loop_repeats", &mut pick.loop_repeats);
    }
    if !numbers {
        return Some(());
    }
    fields.float("margin", &mut pick.margin);
    fields.float("temperature", &mut pick.temperature);
    if metrics.contains(Metrics::CONFIDENCE) {
        fields.float("top1_probability", &mut pick.top1_probability);
        fields.float("entropy", &mut pick.entropy);
    }
    if metrics.contains(Metrics::LOGPROB_RAW) {
        fields.float("logprob_raw", &mut pick.logprob_raw);
    }
    if metrics.contains(Metrics::LOGPROB) {
        fields.float("logprob", &mut pick.logprob);
        fields.float("cumulative_logprob", &mut pick.cumulative_logprob);
    }
    if metrics.contains(Metrics::KEPT_MASS) {
        fields.float("kept_mass", &mut pick.kept_mass);
    }
    if metrics.contains(Metrics::LOOP) {
        fields.float("loop_score", &mut pick.loop_score);
    }
    if metrics.contains(Metrics::FLIP) {
        fields.float("flip_argmax", &mut pick.flip_argmax);
        fields.float("flip_kept", &mut pick.flip_kept);
        fields.float("flip_token", &mut pick.flip_token);
    }
    Some(())
}

fn finish_from(number: u32) -> Option<Finish> {
    [Finish::None, Finish::Length, Finish::EndToken, Finish::Stop, Finish::Loop]
        .into_iter()
        .find(|&finish| finish as u32 == number)
}

/// A field's value in a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValue {
    /// A token, a count, a choice by its number, a status.
    Count(u64),
    /// A number; compared by its bits, any NaN equal to any other.
    Float(f32),
}

impl FieldValue {
    fn agrees(&self, other: &FieldValue) -> bool {
        match (*self, *other) {
            (FieldValue::Count(a), FieldValue::Count(b)) => a == b,
            (FieldValue::Float(a), FieldValue::Float(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
            _ => false,
        }
    }
}

impl core::fmt::Display for FieldValue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            FieldValue::Count(count) => count.fmt(f),
            // The fewest digits that read back the same bits.
            FieldValue::Float(value) => write!(f, "{value:?}"),
        }
    }
}

/// One field that came out differently.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldDifference {
    /// The field, as in [`Pick`]; `status` where one of the two was refused, `position` where the positions differ.
    pub name: &'static str,
    /// What the trace says.
    pub recorded: FieldValue,
    /// What came out.
    pub found: FieldValue,
}

impl FieldDifference {
    /// The difference, if the two values do differ.
    pub(crate) fn of(name: &'static str, recorded: FieldValue, found: FieldValue) -> Option<FieldDifference> {
        (!recorded.agrees(&found)).then_some(FieldDifference { name, recorded, found })
    }
}

/// Most fields of a pick.
const FIELDS: usize = 19;

struct Listed {
    fields: [Option<(&'static str, FieldValue)>; FIELDS],
    count: usize,
}

impl Listed {
    fn of(mut pick: Pick, metrics: Metrics, numbers: bool) -> Listed {
        let mut listed = Listed { fields: [None; FIELDS], count: 0 };
        let _ = each_field(&mut pick, metrics, numbers, &mut listed);
        listed
    }

    fn push(&mut self, name: &'static str, value: FieldValue) {
        self.fields[self.count] = Some((name, value));
        self.count += 1;
    }
}

impl Fields for Listed {
    fn count(&mut self, name: &'static str, value: &mut u32) {
        self.push(name, FieldValue::Count((*value).into()));
    }
    fn float(&mut self, name: &'static str, value: &mut f32) {
        self.push(name, FieldValue::Float(*value));
    }
}

/// The first field in which two picks differ, of those that a trace has.
pub(crate) fn first_difference(
    recorded: Pick,
    found: Pick,
    metrics: Metrics,
    numbers: bool,
) -> Option<FieldDifference> {
    let (recorded, found) = (Listed::of(recorded, metrics, numbers), Listed::of(found, metrics, numbers));
    let pairs = recorded.fields.into_iter().flatten().zip(found.fields.into_iter().flatten());
    pairs.into_iter().find_map(|((name, a), (_, b))| FieldDifference::of(name, a, b))
}

/// The names of all fields of a pick.
#[cfg(all(test, feature = "capi"))]
pub(crate) fn field_names() -> std::vec::Vec<&'static str> {
    let listed = Listed::of(Pick::unknown(0, 0, 1.0), Metrics::ALL, true);
    listed.fields.into_iter().flatten().map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_pick_is_compared() {
        let pick = Pick::unknown(3, 4, 0.5);
        let listed = Listed::of(pick, Metrics::ALL, true);
        // Pick's debug form names every field it has.
        let text = format!("{pick:?}");
        let fields = text.matches(": ").count();
        assert_eq!((listed.count, fields), (FIELDS, FIELDS), "{text}");
        for (name, _) in listed.fields.into_iter().flatten() {
            assert!(text.contains(&format!("{name}: ")), "{name} in {text}");
        }
        assert_eq!(first_difference(pick, pick, Metrics::ALL, true), None, "a NaN is like any other");
        let other = Pick { flip_token: 1.0, ..pick };
        let found = first_difference(pick, other, Metrics::ALL, true).unwrap();
        assert_eq!((found.name, found.found), ("flip_token", FieldValue::Float(1.0)));
        assert_eq!(first_difference(pick, other, Metrics::RANK, true), None, "not asked for");
        let zero = (Pick { margin: 0.0, ..pick }, Pick { margin: -0.0, ..pick });
        assert!(first_difference(zero.0, zero.1, Metrics::NONE, true).is_some(), "bits count");
    }
}
