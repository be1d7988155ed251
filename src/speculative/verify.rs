//! The walk: from the root along the drafts that stand, recording on the way, and back to the start if anything fails.

use super::judge::{Judgement, judge};
use super::{Acceptance, DraftModel, Drafts, MAX_DRAFT, MAX_SIBLINGS, ROOT, Verified};
use crate::decoder::Decoder;
use crate::decoder::ahead::Mark;
use crate::distribution::StepState;
use crate::error::{Error, Result};
use crate::trace::{Finish, Pick};
use crate::types::{Row, TokenId};

/// Verifies drafted tokens, records those that stand and the token that comes after them, and writes their picks.
///
/// `picks` has room for the longest path of drafts and one more. The numbers of a pick are those of the target's own
/// distribution. Token for token this is [`Decoder::decode`]: histories, penalties, limits and positions go along, and what
/// it emits is distributed as that would be, or is the same ([`Acceptance::Match`], greedy mode). A row is read only when
/// the walk gets there.
///
/// ```
/// use argpick::{Acceptance, Config, Decoder, Drafts, Pick, Row, verify};
///
/// let mut decoder = Decoder::new(&Config { temperature: 0.0, ..Config::default() }, 4)?;
/// let rows = [Row::from(&[0.0, 3.0, 1.0, 0.0]), Row::from(&[0.0, 1.0, 5.0, 0.0]), Row::from(&[4.0, 0.0, 0.0, 0.0])];
/// let drafts = Drafts { tokens: &[1, 3], parents: &[], rows: &rows, masks: &[], acceptance: Acceptance::Match };
/// let mut picks = [Pick::default(); 3];
/// let verified = verify(&mut decoder, &drafts, None, &mut picks)?;
/// // The second draft is not the argmax: its place is taken by token 2, and the third row is not needed.
/// assert_eq!((verified.accepted, verified.emitted), (1, 2));
/// assert_eq!((picks[0].token, picks[1].token, decoder.position()), (1, 2, 2));
/// # Ok::<(), argpick::Error>(())
/// ```
///
/// # Errors
/// Those of [`Decoder::decode`] for the rows that are reached. [`Error::WrongLength`] (rows, masks, parents, picks),
/// [`Error::TokenOutOfRange`]; [`Error::InvalidParameter`]: `parent` (not a draft before it), `draft token` (the draft
/// model's distribution cannot give it). [`Error::CapacityExceeded`]: a path longer than [`MAX_DRAFT`] or than the histories
/// could take back, more than [`MAX_SIBLINGS`] drafts after one node. [`Error::Finished`] also if the draft model's decoder
/// has finished. After any of them both decoders stand where they stood; what `picks` holds is not defined.
pub fn verify<S: AsRef<[u64]> + AsMut<[u64]>>(
    decoder: &mut Decoder<S>,
    drafts: &Drafts<'_>,
    model: Option<DraftModel<'_, S>>,
    picks: &mut [Pick],
) -> Result<Verified> {
    let lists = |what, rows: usize, masks: usize| {
        if masks != 0 && masks != rows {
            Err(Error::WrongLength { what, expected: rows, actual: masks })
        } else {
            Ok(())
        }
    };
    lists("masks", drafts.rows.len(), drafts.masks.len())?;
    let row_at = |i: usize| drafts.rows[i];
    let mask_at = |i: usize| drafts.masks.get(i).copied().flatten();
    let rows = Rows { count: drafts.rows.len(), row_at: &row_at, mask_at: &mask_at };
    let given = Given { tokens: drafts.tokens, parents: drafts.parents, rows, acceptance: drafts.acceptance };
    let verified = match model {
        None => verify_given(decoder, &given, None, picks),
        Some(DraftModel { decoder: model, rows, masks }) => {
            lists("draft masks", rows.len(), masks.len())?;
            let row_at = |i: usize| rows[i];
            let mask_at = |i: usize| masks.get(i).copied().flatten();
            let rows = Rows { count: rows.len(), row_at: &row_at, mask_at: &mask_at };
            verify_given(decoder, &given, Some((model, rows)), picks)
        }
    };
    verified.map_err(|failure| failure.error)
}

/// Rows wherever they lie.
pub(crate) struct Rows<'a> {
    pub count: usize,
    pub row_at: &'a dyn Fn(usize) -> Row<'a>,
    pub mask_at: &'a dyn Fn(usize) -> Option<&'a [u32]>,
}

/// As [`Drafts`].
pub(crate) struct Given<'a> {
    pub tokens: &'a [TokenId],
    pub parents: &'a [u32],
    pub rows: Rows<'a>,
    pub acceptance: Acceptance,
}

/// What went wrong, and at which row if it was one.
pub(crate) struct Failure {
    pub error: Error,
    #[cfg_attr(not(feature = "capi"), allow(dead_code, reason = "only C is told"))]
    pub row: Option<usize>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { error, row: None }
    }
}

fn at_row<T>(row: usize, result: Result<T>) -> core::result::Result<T, Failure> {
    result.map_err(|error| Failure { error, row: Some(row) })
}

impl Given<'_> {
    /// The draft that a draft follows.
    fn parent(&self, node: usize) -> u32 {
        match self.parents.get(node) {
            Some(&parent) => parent,
            None if node == 0 => ROOT,
            None => node as u32 - 1,
        }
    }

    /// The drafts that follow a node, in ascending order. `row` is that of the node: 0 is the root's.
    fn children(&self, row: usize) -> impl Iterator<Item = (usize, TokenId)> + Clone + '_ {
        let parent = if row == 0 { ROOT } else { row as u32 - 1 };
        (row..self.tokens.len()).filter(move |&node| self.parent(node) == parent).map(|node| (node, self.tokens[node]))
    }

    /// Drafts on the longest path.
    fn depth(&self) -> usize {
        if self.parents.is_empty() {
            return self.tokens.len();
        }
        let depth_of = |leaf: usize| {
            let mut depth = 1;
            let mut node = self.parent(leaf);
            while node != ROOT {
                depth += 1;
                node = self.parent(node as usize);
            }
            depth
        };
        (0..self.tokens.len()).map(depth_of).max().unwrap_or(0)
    }

    /// Whether drafts are judged by the draft model's distribution.
    fn needs_model(&self) -> bool {
        matches!(self.acceptance, Acceptance::Drawn | Acceptance::WithoutReplacement)
    }

    /// Everything that can be refused before a row is read. Returns the length of the longest path.
    fn check(&self) -> Result<usize> {
        let drafts = self.tokens.len();
        let lengths = [
            ("rows", drafts + 1, self.rows.count),
            ("parents", drafts, if self.parents.is_empty() { drafts } else { self.parents.len() }),
        ];
        for (what, expected, actual) in lengths {
            if actual != expected {
                return Err(Error::WrongLength { what, expected, actual });
            }
        }
        if let Some((_, &parent)) =
            self.parents.iter().enumerate().find(|&(node, &parent)| parent != ROOT && parent as usize >= node)
        {
            return Err(Error::InvalidParameter { name: "parent", value: parent.into() });
        }
        let depth = self.depth();
        if depth > MAX_DRAFT {
            return Err(Error::CapacityExceeded { what: "drafts on a path", capacity: MAX_DRAFT, actual: depth });
        }
        if !self.parents.is_empty()
            && let Some(actual) =
                (0..=drafts).map(|row| self.children(row).count()).find(|&siblings| siblings > MAX_SIBLINGS)
        {
            return Err(Error::CapacityExceeded { what: "drafts after one node", capacity: MAX_SIBLINGS, actual });
        }
        Ok(depth)
    }
}

/// A decoder on its way along the drafts.
struct Walker<'d, S> {
    decoder: &'d mut Decoder<S>,
    mark: Mark,
    recorded: usize,
}

impl<'d, S: AsRef<[u64]> + AsMut<[u64]>> Walker<'d, S> {
    fn new(decoder: &'d mut Decoder<S>) -> Self {
        let mark = decoder.mark();
        Walker { decoder, mark, recorded: 0 }
    }

    fn check(&self, given: &Given<'_>, depth: usize) -> Result<()> {
        let capacity = self.decoder.way_back();
        if depth > capacity {
            return Err(Error::CapacityExceeded { what: "drafts on a path", capacity, actual: depth });
        }
        given.tokens.iter().try_for_each(|&token| self.decoder.check_token(token))
    }

    fn adopt(&mut self, pick: &Pick, state: StepState) {
        self.decoder.adopt(pick, state);
        self.recorded += 1;
    }

    fn accept(&mut self, token: TokenId) -> Result<()> {
        self.decoder.accept(&[token])?;
        self.recorded += 1;
        Ok(())
    }

    fn go_back(&mut self) {
        self.decoder.go_back(self.mark, self.recorded);
    }
}

/// The same with rows wherever they lie.
pub(crate) fn verify_given<S: AsRef<[u64]> + AsMut<[u64]>>(
    decoder: &mut Decoder<S>,
    given: &Given<'_>,
    model: Option<(&mut Decoder<S>, Rows<'_>)>,
    picks: &mut [Pick],
) -> core::result::Result<Verified, Failure> {
    let depth = given.check()?;
    let mut target = Walker::new(decoder);
    target.check(given, depth)?;
    for row in 0..given.rows.count {
        at_row(row, target.decoder.check_length("row", (given.rows.row_at)(row).len()))?;
    }
    let (mut model, draft_rows) = match model {
        Some((decoder, rows)) => (Some(Walker::new(decoder)), Some(rows)),
        None => (None, None),
    };
    if let Some(model) = &model {
        model.check(given, depth)?;
    }
    if given.needs_model() && !target.decoder.is_greedy() {
        let followed = (0..given.tokens.len()).map(|node| given.parent(node).wrapping_add(1) as usize + 1).max();
        let (expected, actual) = (followed.unwrap_or(0), draft_rows.as_ref().map_or(0, |rows| rows.count));
        if actual < expected {
            return Err(Error::WrongLength { what: "draft rows", expected, actual }.into());
        }
        if let (Some(model), Some(rows)) = (&model, &draft_rows) {
            for row in 0..rows.count {
                at_row(row, model.decoder.check_length("draft row", (rows.row_at)(row).len()))?;
            }
        }
    }
    if picks.len() <= depth {
        return Err(Error::WrongLength { what: "picks", expected: depth + 1, actual: picks.len() }.into());
    }
    let verified = walk(&mut target, given, model.as_mut(), draft_rows.as_ref(), picks);
    if verified.is_err() {
        target.go_back();
        if let Some(model) = &mut model {
            model.go_back();
        }
    }
    verified
}

fn walk<S: AsRef<[u64]> + AsMut<[u64]>>(
    target: &mut Walker<'_, S>,
    given: &Given<'_>,
    mut model: Option<&mut Walker<'_, S>>,
    draft_rows: Option<&Rows<'_>>,
    picks: &mut [Pick],
) -> core::result::Result<Verified, Failure> {
    let mut verified = Verified { accepted: 0, emitted: 0, node: None, finish: Finish::None };
    let picks_as_usual = target.decoder.is_greedy() || given.acceptance == Acceptance::Match;
    loop {
        let row = verified.node.map_or(0, |node| node + 1);
        let (logits, mask) = ((given.rows.row_at)(row), (given.rows.mask_at)(row));
        let mut children = given.children(row).peekable();
        let judgement = if picks_as_usual || children.peek().is_none() {
            let (pick, state) = at_row(row, target.decoder.pick_next(logits, mask))?;
            let child = children.find(|&(_, token)| token == pick.token).map(|(child, _)| child);
            Judgement { child, pick, state, drafted: None }
        } else {
            let drafted = match (&mut model, draft_rows) {
                (Some(model), Some(rows)) if given.needs_model() => Some((model, rows)),
                _ => None,
            };
            let acceptance = given.acceptance;
            let judged = match drafted {
                None => target
                    .decoder
                    .with_row(logits, mask, |target| Ok(judge(target, None, acceptance, children.clone()))),
                Some((model, rows)) => {
                    let (draft_logits, draft_mask) = ((rows.row_at)(row), (rows.mask_at)(row));
                    target.decoder.with_row(logits, mask, |target| {
                        model.decoder.with_row(draft_logits, draft_mask, |draft| {
                            judge(target, Some(draft), acceptance, children.clone())
                        })
                    })
                }
            };
            let judged = at_row(row, judged.and_then(|inner| inner))?
                .map_err(|impossible| Error::InvalidParameter { name: "draft token", value: impossible.0.into() });
            let judgement = at_row(row, judged)?;
            Judgement { pick: target.decoder.with_finish(judgement.pick), ..judgement }
        };
        let Judgement { child, pick, state, drafted } = judgement;
        if let Some(model) = &mut model {
            match drafted {
                Some((pick, state)) => {
                    let pick = model.decoder.with_finish(pick);
                    model.adopt(&pick, state);
                }
                None => at_row(row, model.accept(pick.token))?,
            }
        }
        target.adopt(&pick, state);
        picks[verified.emitted] = pick;
        verified.emitted += 1;
        verified.finish = pick.finish;
        if let Some(child) = child {
            verified.accepted += 1;
            verified.node = Some(child);
        }
        if child.is_none() || pick.finish != Finish::None {
            return Ok(verified);
        }
    }
}
