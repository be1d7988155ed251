//! Biases, bans and the no-repeat window, turned into overrides of the row.

use crate::error::{Error, Result};
use crate::kernels::{Override, RowView};
use crate::types::TokenId;

/// The lists that adjust a row. A bias of -inf is a ban.
pub(crate) struct Adjustments<'a> {
    /// Sorted by token, no token twice.
    pub biases: &'a [Override],
    /// Sorted, no token twice.
    pub bans: &'a [TokenId],
}

/// Writes the adjusted logits of all adjusted tokens that take part to `overrides`, in ascending token order, and returns
/// how many there are. `window` are tokens to mask, in any order. `first_invalid` is the lowest NaN or +inf of the row as
/// given, if there is one: the error names the lowest of all.
pub(crate) fn build_overrides(
    view: &RowView<'_>,
    lists: &Adjustments<'_>,
    window: impl Iterator<Item = TokenId>,
    first_invalid: Option<TokenId>,
    overrides: &mut [Override],
) -> Result<usize> {
    let mut invalid = first_invalid.map(|token| (token, view.source.get(token as usize)));
    let mut count = 0;
    let (mut biases, mut bans) = (lists.biases.iter().peekable(), lists.bans.iter().peekable());
    loop {
        let next_bias = biases.peek().map(|bias| bias.token);
        let next_ban = bans.peek().map(|&&token| token);
        let Some(token) = next_bias.into_iter().chain(next_ban).min() else { break };
        let bias = biases.next_if(|bias| bias.token == token).map_or(0.0, |bias| bias.logit);
        let banned = bans.next_if(|&&ban| ban == token).is_some();
        if !view.is_allowed(token) {
            continue;
        }
        let biased = view.source.get(token as usize) + bias;
        if (biased.is_nan() || biased == f32::INFINITY) && invalid.is_none_or(|(lowest, _)| token < lowest) {
            invalid = Some((token, biased));
        }
        overrides[count] = Override { token, logit: if banned { f32::NEG_INFINITY } else { biased } };
        count += 1;
    }
    if let Some((index, value)) = invalid {
        return Err(Error::InvalidLogit { index, value });
    }
    let listed = count;
    for token in window {
        if !view.is_allowed(token) {
            continue;
        }
        match overrides[..listed].binary_search_by_key(&token, |entry| entry.token) {
            Ok(at) => overrides[at].logit = f32::NEG_INFINITY,
            Err(_) => {
                overrides[count] = Override { token, logit: f32::NEG_INFINITY };
                count += 1;
            }
        }
    }
    if count > listed {
        overrides[..count].sort_unstable_by_key(|entry| entry.token);
        // A token may stand in the window twice; equal entries are all -inf, so any one serves.
        let mut unique = 0;
        for i in 0..count {
            if i == 0 || overrides[i].token != overrides[unique - 1].token {
                overrides[unique] = overrides[i];
                unique += 1;
            }
        }
        count = unique;
    }
    Ok(count)
}

/// The lowest participating token whose logit is NaN or +inf: the slow way, once an error is known.
pub(crate) fn first_invalid(view: &RowView<'_>) -> Option<TokenId> {
    (0..view.valid as TokenId).find(|&token| {
        let logit = view.source.get(token as usize);
        (logit.is_nan() || logit == f32::INFINITY) && view.is_allowed(token)
    })
}
