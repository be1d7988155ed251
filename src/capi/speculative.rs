//! Speculative decoding: drafted tokens verified against the target's rows.

use super::abi::{Growing, assert_layout, read, size_of_given, write};
use super::decoder::{argpick_decoder, enter};
use super::fault::Fault;
use super::guard::{call_on_rows, readable, slice};
use super::memory::Words;
use super::pick::argpick_pick;
use super::status::argpick_status;
use super::step::{argpick_dtype, mask_of, row_of};
use crate::decoder::Decoder;
use crate::error::Error;
use crate::speculative::{Acceptance, Failure, Given, MAX_DRAFT, MAX_SIBLINGS, ROOT, Rows, Verified, verify_given};
use crate::trace::Pick;
use crate::types::Row;
use core::ffi::c_void;

/// The token is picked as argpick_decode picks it; a draft stands if it is that token. For drafts made in any way.
pub const ARGPICK_ACCEPTANCE_MATCH: u32 = 0;
/// The drafts were chosen without chance (an argmax, a look-up): one stands with its probability p.
pub const ARGPICK_ACCEPTANCE_CERTAIN: u32 = 1;
/// Each draft was drawn from the draft model's q, siblings independently: one stands with probability min(1, p/q).
pub const ARGPICK_ACCEPTANCE_DRAWN: u32 = 2;
/// The same with siblings drawn without replacement: none comes twice.
pub const ARGPICK_ACCEPTANCE_WITHOUT_REPLACEMENT: u32 = 3;
/// In argpick_drafts.parents: the draft follows what is recorded already. In argpick_verified.node: no draft stands.
pub const ARGPICK_ROOT: u32 = 0xffff_ffff;
/// The longest path of drafts.
pub const ARGPICK_MAX_DRAFT: u32 = 64;
/// The most drafts that may follow one node.
pub const ARGPICK_MAX_SIBLINGS: u32 = 64;

const _: () = {
    assert!(ARGPICK_ACCEPTANCE_MATCH == Acceptance::Match as u32);
    assert!(ARGPICK_ACCEPTANCE_CERTAIN == Acceptance::Certain as u32);
    assert!(ARGPICK_ACCEPTANCE_DRAWN == Acceptance::Drawn as u32);
    assert!(ARGPICK_ACCEPTANCE_WITHOUT_REPLACEMENT == Acceptance::WithoutReplacement as u32);
    assert!(ARGPICK_ROOT == ROOT);
    assert!(ARGPICK_MAX_DRAFT as usize == MAX_DRAFT && ARGPICK_MAX_SIBLINGS as usize == MAX_SIBLINGS);
};

/// Drafted tokens, the target model's rows for them, and the draft model's side. Set all of it to 0, then struct_size =
/// sizeof(argpick_drafts) and what there is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_drafts {
    /// sizeof(argpick_drafts); the caller sets it.
    pub struct_size: u32,
    /// How the drafts are judged, which must fit how they were made: an ARGPICK_ACCEPTANCE_. In greedy mode all are the same.
    pub acceptance: u32,
    /// Element type of the target's rows.
    pub dtype: argpick_dtype,
    /// Element type of the draft model's rows.
    pub draft_dtype: argpick_dtype,
    /// The drafts.
    pub tokens: *const u32,
    /// NULL: a chain, each draft follows the one before. Otherwise a tree: parents[i] is the index of the draft that draft i
    /// follows, lower than i, or ARGPICK_ROOT. Siblings are judged in ascending order.
    pub parents: *const u32,
    /// How many drafts there are. 0 is a plain step.
    pub drafts: usize,
    /// drafts + 1 rows of the target: logits[0] is that of the next token, logits[i + 1] that of the token after draft i.
    pub logits: *const *const c_void,
    /// Elements of each of these rows: the target's vocabulary.
    pub count: usize,
    /// drafts + 1 bitmasks of mask_words words, each of which may be NULL; or NULL.
    pub masks: *const *const u32,
    /// Words of each mask.
    pub mask_words: usize,
    /// The decoder that drew the drafts, or one configured as it, standing where the target stands, before the drafts; it
    /// goes along and records the same tokens. May be NULL unless drafts were drawn.
    pub draft_decoder: *mut argpick_decoder,
    /// draft_rows rows of the draft model, numbered as those of the target: draft_logits[0] is the one that the first drafts
    /// were drawn from. Only rows that drafts follow are needed, and only where drafts were drawn.
    pub draft_logits: *const *const c_void,
    /// How many they are.
    pub draft_rows: usize,
    /// Elements of each of these rows: the draft decoder's vocabulary.
    pub draft_count: usize,
    /// draft_rows bitmasks of draft_mask_words words, each of which may be NULL; or NULL.
    pub draft_masks: *const *const u32,
    /// Words of each of these masks.
    pub draft_mask_words: usize,
    /// Elements of picks: one more than drafts on the longest path, or more.
    pub picks: usize,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers and raw pointers only.
unsafe impl Growing for argpick_drafts {
    const NAME: &'static str = "drafts";
    // Four numbers, and fourteen as wide as a pointer.
    const RELEASED: &'static [u32] = &[16 + 14 * size_of::<usize>() as u32];
    const DEFAULT: Self = argpick_drafts {
        struct_size: size_of::<Self>() as u32,
        acceptance: ARGPICK_ACCEPTANCE_MATCH,
        dtype: super::step::ARGPICK_F32,
        draft_dtype: super::step::ARGPICK_F32,
        tokens: core::ptr::null(),
        parents: core::ptr::null(),
        drafts: 0,
        logits: core::ptr::null(),
        count: 0,
        masks: core::ptr::null(),
        mask_words: 0,
        draft_decoder: core::ptr::null_mut(),
        draft_logits: core::ptr::null(),
        draft_rows: 0,
        draft_count: 0,
        draft_masks: core::ptr::null(),
        draft_mask_words: 0,
        picks: 0,
    };
}

const WIDE: usize = size_of::<usize>();

assert_layout!(argpick_drafts {
    struct_size: 4,
    acceptance: 4,
    dtype: 4,
    draft_dtype: 4,
    tokens: WIDE,
    parents: WIDE,
    drafts: WIDE,
    logits: WIDE,
    count: WIDE,
    masks: WIDE,
    mask_words: WIDE,
    draft_decoder: WIDE,
    draft_logits: WIDE,
    draft_rows: WIDE,
    draft_count: WIDE,
    draft_masks: WIDE,
    draft_mask_words: WIDE,
    picks: WIDE,
});

/// What a verification comes to. Set struct_size = sizeof(argpick_verified) before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_verified {
    /// sizeof(argpick_verified); the caller sets it.
    pub struct_size: u32,
    /// Drafts that stand.
    pub accepted: u32,
    /// Tokens emitted and recorded, so many picks were written: the accepted drafts and, unless one of them ends the
    /// sequence, one token more.
    pub emitted: u32,
    /// The index of the last draft that stands, or ARGPICK_ROOT; in a tree, its ancestors are the others.
    pub node: u32,
    /// Whether the sequence ends with the last token, and why: ARGPICK_FINISH_.
    pub finish: u32,
    /// 0.
    pub reserved0: u32,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_verified {
    const NAME: &'static str = "verified";
    const RELEASED: &'static [u32] = &[24];
    const DEFAULT: Self = argpick_verified {
        struct_size: size_of::<Self>() as u32,
        accepted: 0,
        emitted: 0,
        node: ARGPICK_ROOT,
        finish: super::pick::ARGPICK_FINISH_NONE,
        reserved0: 0,
    };
}

assert_layout!(argpick_verified { struct_size: 4, accepted: 4, emitted: 4, node: 4, finish: 4, reserved0: 4 });

impl From<Verified> for argpick_verified {
    fn from(verified: Verified) -> Self {
        // Without `..`: a new field of the core must get its place here. At most MAX_DRAFT + 1 tokens.
        let Verified { accepted, emitted, node, finish } = verified;
        argpick_verified {
            accepted: accepted as u32,
            emitted: emitted as u32,
            node: node.map_or(ARGPICK_ROOT, |node| node as u32),
            finish: finish as u32,
            ..Self::DEFAULT
        }
    }
}

/// Rows of the caller's with their masks, and how to read them.
struct Listed<'a> {
    logits: &'a [*const c_void],
    masks: &'a [*const u32],
    mask_words: usize,
    dtype: argpick_dtype,
    count: usize,
    vocab: usize,
}

impl<'a> Listed<'a> {
    /// Checks each row's address, length and type; `failed` says which row is bad.
    ///
    /// # Safety
    /// As for `argpick_verify`.
    unsafe fn check(&self, failed: &mut Option<usize>) -> Result<(), Fault> {
        for row in 0..self.logits.len() {
            *failed = Some(row);
            // SAFETY: the caller's part is the same.
            unsafe {
                row_of(self.logits[row], self.dtype, self.count, self.vocab)?;
                self.mask(row)?;
            }
        }
        *failed = None;
        Ok(())
    }

    /// # Safety
    /// As for `argpick_verify`.
    unsafe fn mask(&self, row: usize) -> Result<Option<&'a [u32]>, Fault> {
        match self.masks.get(row) {
            // SAFETY: the caller's part is the same.
            Some(&mask) if !mask.is_null() => unsafe { mask_of(mask, self.mask_words, self.vocab) },
            _ => Ok(None),
        }
    }

    /// A row that `check` has seen.
    ///
    /// # Safety
    /// As for `argpick_verify`.
    unsafe fn row(&self, row: usize) -> Row<'a> {
        // SAFETY: the caller's part is the same. An empty row would be refused for its length.
        unsafe { row_of(self.logits[row], self.dtype, self.count, self.vocab) }.unwrap_or(Row::F32(&[]))
    }
}

/// An array of pointers that may be NULL as a whole.
///
/// # Safety
/// `pointer`, unless NULL, points to `count` pointers.
unsafe fn optional<'a, T>(pointer: *const T, count: usize, what: &'static str) -> Result<&'a [T], Fault> {
    if pointer.is_null() {
        return Ok(&[]);
    }
    // SAFETY: the caller's part is the same.
    unsafe { slice(pointer, count, what) }
}

fn acceptance_of(number: u32) -> Result<Acceptance, Fault> {
    Ok(match number {
        ARGPICK_ACCEPTANCE_MATCH => Acceptance::Match,
        ARGPICK_ACCEPTANCE_CERTAIN => Acceptance::Certain,
        ARGPICK_ACCEPTANCE_DRAWN => Acceptance::Drawn,
        ARGPICK_ACCEPTANCE_WITHOUT_REPLACEMENT => Acceptance::WithoutReplacement,
        other => return Err(Fault::Core(Error::InvalidParameter { name: "acceptance", value: other.into() })),
    })
}

/// Verifies with the two decoders alone in their handles.
///
/// # Safety
/// As for `argpick_verify`.
unsafe fn verify_with(
    target: &mut Decoder<Words>,
    given: &argpick_drafts,
    draft: Option<&mut Decoder<Words>>,
    picks: &mut [Pick],
    failed: &mut Option<usize>,
) -> Result<Verified, Fault> {
    // SAFETY: the caller's part is the same.
    unsafe {
        let tokens = slice(given.tokens, given.drafts, "tokens")?;
        let parents = optional(given.parents, given.drafts, "parents")?;
        let rows = tokens.len() + 1;
        let listed = Listed {
            logits: slice(given.logits, rows, "logits")?,
            masks: optional(given.masks, rows, "masks")?,
            mask_words: given.mask_words,
            dtype: given.dtype,
            count: given.count,
            vocab: target.vocab(),
        };
        listed.check(failed)?;
        let row_at = |row: usize| listed.row(row);
        let mask_at = |row: usize| listed.mask(row).unwrap_or(None);
        let rows = Rows { count: rows, row_at: &row_at, mask_at: &mask_at };
        let asked = Given { tokens, parents, rows, acceptance: acceptance_of(given.acceptance)? };
        let answer = match draft {
            None => verify_given(target, &asked, None, picks),
            Some(draft) => {
                let drafted = Listed {
                    logits: slice(given.draft_logits, given.draft_rows, "draft_logits")?,
                    masks: optional(given.draft_masks, given.draft_rows, "draft_masks")?,
                    mask_words: given.draft_mask_words,
                    dtype: given.draft_dtype,
                    count: given.draft_count,
                    vocab: draft.vocab(),
                };
                drafted.check(failed)?;
                let row_at = |row: usize| drafted.row(row);
                let mask_at = |row: usize| drafted.mask(row).unwrap_or(None);
                let rows = Rows { count: given.draft_rows, row_at: &row_at, mask_at: &mask_at };
                verify_given(target, &asked, Some((draft, rows)), picks)
            }
        };
        answer.map_err(|Failure { error, row }| {
            *failed = row;
            Fault::Core(error)
        })
    }
}

/// Verifies drafted tokens: how many of them stand, and which token comes after them. Records all of these.
///
/// What is emitted has the distribution that argpick_decode would have given, token for token; with
/// ARGPICK_ACCEPTANCE_MATCH and in greedy mode it is the very same tokens. p is the target's distribution after its whole
/// pipeline, q that of draft_decoder. A row is read only when the drafts before it stand. The picks are those of the
/// emitted tokens, numbers included; picks has drafts->picks structs of one size: set struct_size in each that may be
/// written. Everything is borrowed for the call. No memory is allocated.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_BUSY (also if both decoders are
/// one), ARGPICK_ERR_POISONED, ARGPICK_ERR_WRONG_LENGTH (rows, draft rows, picks), ARGPICK_ERR_TOKEN_OUT_OF_RANGE,
/// ARGPICK_ERR_INVALID_PARAMETER (acceptance; dtype; parent; draft token: the draft model cannot have drawn it),
/// ARGPICK_ERR_CAPACITY_EXCEEDED (ARGPICK_MAX_DRAFT, ARGPICK_MAX_SIBLINGS, or a history too short to come back),
/// ARGPICK_ERR_INVALID_LOGIT, ARGPICK_ERR_EVERYTHING_MASKED, ARGPICK_ERR_FINISHED (either decoder). After any of them both
/// decoders stand where they stood and nothing has been written.
///
/// # Safety
/// - decoder and drafts->draft_decoder are live decoders; what drafts points to has as many elements as it says; picks has
///   drafts->picks structs that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_verify(
    decoder: *mut argpick_decoder,
    drafts: *const argpick_drafts,
    picks: *mut argpick_pick,
    verified: *mut argpick_verified,
) -> argpick_status {
    call_on_rows("argpick_verify", |failed| {
        readable(decoder, "decoder")?;
        // SAFETY: the caller's part is the same.
        unsafe {
            let given = read(drafts)?;
            let verified_size = size_of_given(verified)?;
            // More than the longest path can have is not looked at.
            let room = given.picks.min(MAX_DRAFT + 1);
            if room == 0 {
                return Err(Fault::Core(Error::WrongLength { what: "picks", expected: 1, actual: 0 }));
            }
            let size = size_of_given(picks)?;
            for i in 1..room {
                let other = size_of_given(picks.byte_add(i * size as usize))?;
                if other != size {
                    return Err(Fault::StructSize { what: "picks[i]", given: other, known: size });
                }
            }
            if given.draft_decoder.is_null() && given.draft_rows != 0 {
                return Err(Fault::Null("draft_decoder"));
            }
            let mut written = [Pick::default(); MAX_DRAFT + 1];
            let written = &mut written[..room];
            let answer = enter(decoder, |target| {
                if given.draft_decoder.is_null() {
                    return verify_with(target, &given, None, written, failed);
                }
                enter(given.draft_decoder, |draft| verify_with(target, &given, Some(draft), written, failed))
            })?;
            for (i, &pick) in written[..answer.emitted].iter().enumerate() {
                write(picks.byte_add(i * size as usize), size, &pick.into());
            }
            write(verified, verified_size, &answer.into());
        }
        Ok(())
    })
}
