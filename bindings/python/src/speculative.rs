//! `argpick.verify`: drafted tokens against the target model's rows.

use crate::convert::tuple;
use crate::decoder::PyDecoder;
use crate::fault::{Fault, Result};
use crate::gate::{LONG, Several};
use crate::pick::{PyPick, finish_object};
use crate::rows::{MasksMemory, RowsMemory, numbers};
use argpick::{Acceptance, DraftModel, Drafts, Error, Pick};
use pyo3::prelude::*;
use pyo3::types::PyList;

fn acceptance_of(py: Python<'_>, value: Option<&Bound<'_, PyAny>>) -> Result<Acceptance> {
    let Some(value) = value else { return Ok(Acceptance::Match) };
    let class = py.import("argpick._enums")?.getattr("Acceptance")?;
    let choice = py.import("argpick._config")?.getattr("choice")?;
    let number: usize = choice.call1(("acceptance", class, value))?.extract()?;
    let known = [Acceptance::Match, Acceptance::Certain, Acceptance::Drawn, Acceptance::WithoutReplacement];
    known.get(number).copied().ok_or_else(|| Fault::argument("no such acceptance"))
}

/// Parents: an index of a draft, or None (or `argpick.ROOT`) for what follows what is recorded already.
fn parents_of(parents: Option<&Bound<'_, PyAny>>) -> Result<Vec<u32>> {
    let Some(parents) = parents.filter(|parents| !parents.is_none()) else { return Ok(Vec::new()) };
    if !parents.is_instance_of::<PyList>() && !parents.is_instance_of::<pyo3::types::PyTuple>() {
        return numbers(parents, "parent");
    }
    let parent = |item: PyResult<Bound<'_, PyAny>>| {
        let item = item?;
        if item.is_none() { Ok(argpick::ROOT) } else { crate::rows::number(&item, "parent") }
    };
    parents.try_iter()?.map(parent).collect()
}

/// Verifies drafted tokens: how many of them stand, and which token comes after them. Records all of these in `decoder`.
///
/// `tokens` are the drafts and `rows` the target's rows for them, one more: ``rows[0]`` is that of the next token, ``rows[i +
/// 1]`` that of the token after draft i. Without `parents` the drafts are a chain; with them a tree: ``parents[i]`` is the
/// index of the draft that draft i follows, or None. `acceptance` says how they were made (`argpick.Acceptance`); where they
/// were drawn, `draft_decoder` is the decoder that drew them, standing before them (it goes along and records the same), and
/// `draft_rows` are the rows they were drawn from.
///
/// Returns `argpick.Verified`: accepted, emitted, node, finish, picks. What is emitted has the distribution that `decode` would
/// have given; with `MATCH` and in greedy mode it is the very same tokens. After an error both decoders stand where they stood.
#[pyfunction]
#[pyo3(signature = (
    decoder, tokens, rows, *, parents = None, masks = None, acceptance = None, draft_decoder = None, draft_rows = None,
    draft_masks = None
))]
#[allow(clippy::too_many_arguments, reason = "the two sides of a verification")]
pub fn verify<'py>(
    py: Python<'py>,
    decoder: &Bound<'py, PyDecoder>,
    tokens: &Bound<'py, PyAny>,
    rows: &Bound<'py, PyAny>,
    parents: Option<&Bound<'py, PyAny>>,
    masks: Option<&Bound<'py, PyAny>>,
    acceptance: Option<&Bound<'py, PyAny>>,
    draft_decoder: Option<&Bound<'py, PyDecoder>>,
    draft_rows: Option<&Bound<'py, PyAny>>,
    draft_masks: Option<&Bound<'py, PyAny>>,
) -> Result<Bound<'py, PyAny>> {
    let (tokens, parents) = (numbers(tokens, "token")?, parents_of(parents)?);
    let vocab = decoder.get().vocab;
    let (rows_memory, masks_memory) = (RowsMemory::of(rows)?, MasksMemory::of(masks, vocab)?);
    let (rows, masks) = (rows_memory.rows(), masks_memory.masks());
    masks_memory.check(&masks, rows.len())?;
    let draft_rows_memory = draft_rows.filter(|rows| !rows.is_none()).map(RowsMemory::of).transpose()?;
    let draft_rows = draft_rows_memory.as_ref().map(RowsMemory::rows).unwrap_or_default();
    let draft_masks_memory = MasksMemory::of(draft_masks, draft_decoder.map_or(vocab, |draft| draft.get().vocab))?;
    let draft_masks = draft_masks_memory.masks();
    draft_masks_memory.check(&draft_masks, draft_rows.len())?;
    if draft_decoder.is_none() && draft_rows_memory.is_some() {
        return Err(Fault::argument("draft_rows without a draft_decoder"));
    }
    let drafts = Drafts {
        tokens: &tokens,
        parents: &parents,
        rows: &rows,
        masks: &masks,
        acceptance: acceptance_of(py, acceptance)?,
    };
    let gates = std::iter::once(&decoder.get().gate).chain(draft_decoder.map(|draft| &draft.get().gate));
    let mut several = Several::enter(gates)?;
    let long = rows.len() * vocab >= LONG;
    let (picks, verified) = several.run(py, long, |decoders| -> argpick::Result<_> {
        let mut picks = vec![Pick::default(); tokens.len() + 1];
        let (target, rest) = decoders.split_first_mut().ok_or(Error::Finished)?;
        let model = rest.first_mut().map(|decoder| DraftModel { decoder, rows: &draft_rows, masks: &draft_masks });
        let verified = argpick::verify(target, &drafts, model, &mut picks)?;
        picks.truncate(verified.emitted);
        Ok((picks, verified))
    })??;
    let picks = picks.into_iter().map(|pick| Bound::new(py, PyPick(pick))).collect::<PyResult<Vec<_>>>()?;
    let finish = finish_object(py, verified.finish)?;
    let fields = (verified.accepted, verified.emitted, verified.node, finish, PyList::new(py, picks)?);
    Ok(tuple(py, "Verified", fields)?)
}
