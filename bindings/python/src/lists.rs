//! What is set in a decoder: biases, bans, ends, sequences.

use crate::config::{long, real};
use crate::convert::tuple;
use crate::decoder::PyDecoder;
use crate::fault::{Fault, Result};
use crate::rows::{bytes_of, floats, number, numbers, sequences};
use argpick::Error;
use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyTuple};

type Pairs<'py> = Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>;

/// The pairs of a mapping, or of a sequence of pairs.
fn pairs<'py>(object: &Bound<'py, PyAny>, what: &str) -> Result<Pairs<'py>> {
    let refuse = || Fault::argument(format!("{what} must be a mapping or a sequence of pairs"));
    let items = match object.cast::<PyMapping>() {
        Ok(mapping) => mapping.items()?.into_any(),
        Err(_) => object.clone(),
    };
    let pair = |item: PyResult<Bound<'py, PyAny>>| {
        let item = item?;
        let pair: Vec<Bound<'py, PyAny>> = item.try_iter().map_err(|_| refuse())?.collect::<PyResult<_>>()?;
        match <[_; 2]>::try_from(pair) {
            Ok([key, value]) => Ok((key, value)),
            Err(_) => Err(refuse()),
        }
    };
    items.try_iter().map_err(|_| refuse())?.map(pair).collect()
}

fn same_length(what: &'static str, expected: usize, actual: usize) -> Result<()> {
    if expected == actual { Ok(()) } else { Err(Error::WrongLength { what, expected, actual }.into()) }
}

/// Borrowed lists.
fn borrowed<T>(lists: &[Vec<T>]) -> Vec<&[T]> {
    lists.iter().map(|list| &list[..]).collect()
}

/// Token biases of the two forms.
pub fn bias_pairs(tokens: &Bound<'_, PyAny>, biases: Option<&Bound<'_, PyAny>>) -> Result<Vec<(u32, f32)>> {
    match biases {
        Some(biases) => {
            let (tokens, biases) = (numbers(tokens, "token")?, floats(biases, "bias")?);
            same_length("biases", tokens.len(), biases.len())?;
            Ok(tokens.into_iter().zip(biases).collect())
        }
        None => {
            let pair = |(token, bias): (Bound<'_, PyAny>, Bound<'_, PyAny>)| -> Result<(u32, f32)> {
                Ok((number(&token, "token")?, real(&bias, "bias")? as f32))
            };
            pairs(tokens, "biases")?.into_iter().map(pair).collect()
        }
    }
}

#[pymethods]
impl PyDecoder {
    /// Replaces the biases, which are added to logits before temperature; -inf bans.
    ///
    /// ``set_bias({5: -1.5})``, ``set_bias([(5, -1.5)])`` or, from arrays, ``set_bias(tokens, biases)``. An empty one removes
    /// all. Raises DuplicateToken, TokenOutOfRange, InvalidParameter (NaN or +inf), CapacityExceeded (`adjustment_capacity`).
    #[pyo3(signature = (tokens, biases = None))]
    fn set_bias(&self, py: Python<'_>, tokens: &Bound<'_, PyAny>, biases: Option<&Bound<'_, PyAny>>) -> Result<()> {
        let biases = bias_pairs(tokens, biases)?;
        Ok(self.gate.enter(py, false, |decoder| decoder.set_bias(&biases))??)
    }

    /// Replaces the bans: these tokens are masked. Raises TokenOutOfRange, CapacityExceeded (`adjustment_capacity`).
    fn set_bans(&self, py: Python<'_>, tokens: &Bound<'_, PyAny>) -> Result<()> {
        let tokens = numbers(tokens, "token")?;
        Ok(self.gate.enter(py, false, |decoder| decoder.set_bans(&tokens))??)
    }

    /// Replaces the end tokens: each ends the sequence when it is generated, unless `min_tokens` forbids.
    fn set_end_tokens(&self, py: Python<'_>, tokens: &Bound<'_, PyAny>) -> Result<()> {
        let tokens = numbers(tokens, "token")?;
        Ok(self.gate.enter(py, false, |decoder| decoder.set_end_tokens(&tokens))??)
    }

    /// Replaces the stop sequences of tokens: the sequence ends when generated tokens end with one of them. For texts see
    /// `set_stop_strings`.
    fn set_stops(&self, py: Python<'_>, stops: &Bound<'_, PyAny>) -> Result<()> {
        let stops = sequences(stops, "token")?;
        Ok(self.gate.enter(py, false, |decoder| decoder.set_stops(&borrowed(&stops)))??)
    }

    /// Replaces DRY's breakers: no repetition counts across one of these sequences, and a token that is one alone is never
    /// penalised.
    fn set_breakers(&self, py: Python<'_>, breakers: &Bound<'_, PyAny>) -> Result<()> {
        let breakers = sequences(breakers, "token")?;
        Ok(self.gate.enter(py, false, |decoder| decoder.set_breakers(&borrowed(&breakers)))??)
    }

    /// Replaces the bad sequences: where the history ends with all of one but its last token, that token is masked.
    fn set_bad_sequences(&self, py: Python<'_>, bad: &Bound<'_, PyAny>) -> Result<()> {
        let bad = sequences(bad, "token")?;
        Ok(self.gate.enter(py, false, |decoder| decoder.set_bad_sequences(&borrowed(&bad)))??)
    }

    /// Replaces the biased sequences: where the history ends with all of one but its last token, the bias is added to the logit
    /// of that token; several add up. ``set_sequence_bias({(3, 4): -2.0})`` or a sequence of pairs.
    fn set_sequence_bias(&self, py: Python<'_>, biases: &Bound<'_, PyAny>) -> Result<()> {
        let pair = |(tokens, bias): (Bound<'_, PyAny>, Bound<'_, PyAny>)| -> Result<(Vec<u32>, f32)> {
            Ok((numbers(&tokens, "token")?, real(&bias, "bias")? as f32))
        };
        let biases = pairs(biases, "biases")?.into_iter().map(pair).collect::<Result<Vec<_>>>()?;
        let borrowed: Vec<(&[u32], f32)> = biases.iter().map(|(tokens, bias)| (&tokens[..], *bias)).collect();
        Ok(self.gate.enter(py, false, |decoder| decoder.set_sequence_bias(&borrowed))??)
    }

    /// Replaces the forced tokens: ``{0: 7}`` picks token 7 as the first generated one, whatever else holds.
    fn set_forced(&self, py: Python<'_>, forced: &Bound<'_, PyAny>) -> Result<()> {
        let pair = |(position, token): (Bound<'_, PyAny>, Bound<'_, PyAny>)| -> Result<(u64, u32)> {
            Ok((long(&position, "forced_position")?, number(&token, "token")?))
        };
        let forced = pairs(forced, "forced")?.into_iter().map(pair).collect::<Result<Vec<_>>>()?;
        Ok(self.gate.enter(py, false, |decoder| decoder.set_forced(&forced))??)
    }

    /// Replaces the stop strings (text, which is taken as UTF-8, or bytes), which `push_bytes` looks for; the text begins anew.
    fn set_stop_strings(&self, py: Python<'_>, strings: &Bound<'_, PyAny>) -> Result<()> {
        if strings.is_instance_of::<pyo3::types::PyString>() || strings.is_instance_of::<pyo3::types::PyBytes>() {
            return Err(Fault::argument("strings must be a sequence of texts or bytes, not one of them"));
        }
        let items = strings.try_iter().map_err(|_| Fault::argument("strings must be a sequence of texts or bytes"))?;
        let strings = items.map(|item| bytes_of(&item?, "a stop string")).collect::<Result<Vec<_>>>()?;
        Ok(self.gate.enter(py, false, |decoder| decoder.set_stop_strings(&borrowed(&strings)))??)
    }

    /// Hands over the bytes (or text) of the last generated token, for the stop strings; in pieces if need be.
    ///
    /// Returns ``(stop, held_back)``: the number of the stop string that the text contains, or None; and how many bytes at the
    /// end of the text are not to be shown. A stop string ends the sequence.
    fn push_bytes<'py>(&self, py: Python<'py>, data: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
        let bytes = bytes_of(data, "data")?;
        let found = self.gate.enter(py, false, |decoder| decoder.push_bytes(&bytes))?;
        Ok(tuple(py, "TextMatch", PyTuple::new(py, [found.stop, Some(found.held_back)])?)?)
    }
}
