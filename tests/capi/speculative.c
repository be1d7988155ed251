/* Speculative decoding from C: chains, trees, a draft model, and everything that is refused without a trace. */
#include "check.h"

enum { VOCAB = 96, DRAFTS = 4, ROWS = DRAFTS + 1 };

static float rows[ROWS][VOCAB], draft_rows[ROWS][VOCAB];
static const void *logits[ROWS], *draft_logits[ROWS];

static argpick_drafts fresh_drafts(const uint32_t *tokens, size_t drafts, uint32_t acceptance) {
  argpick_drafts given;
  memset(&given, 0, sizeof given);
  given.struct_size = sizeof given;
  given.acceptance = acceptance;
  given.tokens = tokens;
  given.drafts = drafts;
  given.logits = logits;
  given.count = VOCAB;
  given.picks = drafts + 1;
  return given;
}

static argpick_verified fresh_verified(void) {
  argpick_verified verified;
  memset(&verified, 0x5a, sizeof verified);
  verified.struct_size = sizeof verified;
  return verified;
}

static uint64_t position_of(argpick_decoder *decoder) {
  uint64_t position = 77;
  OK(argpick_decoder_position(decoder, &position));
  return position;
}

/* The tokens of plain decoding, from rows 0 to 4. */
static void plain_tokens(const argpick_config *config, uint32_t *tokens) {
  argpick_decoder *decoder = new_decoder(config, VOCAB);
  for (int i = 0; i < ROWS; i++) tokens[i] = decoded(decoder, rows[i], VOCAB);
  argpick_decoder_free(decoder);
}

/* Drafts that are right up to a point: so many stand, and the rest is as if it had not been said. */
static void matched(uint32_t mode) {
  argpick_config config = default_config();
  config.seed = 9;
  config.mode = mode;
  config.top_k = 20;
  uint32_t plain[ROWS];
  plain_tokens(&config, plain);
  for (uint32_t right = 0; right <= DRAFTS; right++) {
    uint32_t tokens[DRAFTS];
    for (uint32_t i = 0; i < DRAFTS; i++) tokens[i] = i < right ? plain[i] : (plain[i] + 1) % VOCAB;
    argpick_decoder *decoder = new_decoder(&config, VOCAB);
    argpick_drafts given = fresh_drafts(tokens, DRAFTS, ARGPICK_ACCEPTANCE_MATCH);
    argpick_pick picks[ROWS];
    for (int i = 0; i < ROWS; i++) picks[i] = fresh_pick();
    argpick_verified verified = fresh_verified();
    OK(argpick_verify(decoder, &given, picks, &verified));
    CHECK(verified.accepted == right && verified.emitted == right + 1 && verified.finish == ARGPICK_FINISH_NONE);
    CHECK(verified.node == (right == 0 ? ARGPICK_ROOT : right - 1) && verified.reserved0 == 0);
    for (uint32_t i = 0; i <= right; i++) CHECK(picks[i].token == plain[i]);
    for (uint32_t i = right + 1; i < ROWS; i++) CHECK(is_fresh(&picks[i]));
    CHECK(position_of(decoder) == right + 1);
    argpick_decoder_free(decoder);
  }
}

/* A tree: two drafts after the root, the second one right; its child is right, too. Half-precision works as well. */
static void tree(void) {
  argpick_config config = default_config();
  config.seed = 12;
  uint32_t plain[ROWS];
  const void *tree_rows[ROWS] = {rows[0], rows[4], rows[1], rows[2], rows[4]};
  plain_tokens(&config, plain);
  uint32_t tokens[DRAFTS] = {(plain[0] + 1) % VOCAB, plain[0], plain[1], (plain[1] + 5) % VOCAB};
  const uint32_t parents[DRAFTS] = {ARGPICK_ROOT, ARGPICK_ROOT, 1, 0};
  argpick_decoder *decoder = new_decoder(&config, VOCAB);
  argpick_drafts given = fresh_drafts(tokens, DRAFTS, ARGPICK_ACCEPTANCE_MATCH);
  given.logits = tree_rows;
  given.parents = parents;
  given.picks = 3;
  argpick_pick picks[3] = {fresh_pick(), fresh_pick(), fresh_pick()};
  argpick_verified verified = fresh_verified();
  OK(argpick_verify(decoder, &given, picks, &verified));
  CHECK(verified.accepted == 2 && verified.emitted == 3 && verified.node == 2);
  for (int i = 0; i < 3; i++) CHECK(picks[i].token == plain[i]);

  /* Masks: row by row; one that excludes the draft lets it fall. */
  uint32_t all[3] = {~0u, ~0u, ~0u}, without[3] = {~0u, ~0u, ~0u};
  without[plain[0] / 32] &= ~(1u << (plain[0] % 32));
  const uint32_t *masks[ROWS] = {without, NULL, all, NULL, NULL};
  given.masks = masks;
  given.mask_words = 3;
  OK(argpick_decoder_reset(decoder, NULL));
  OK(argpick_verify(decoder, &given, picks, &verified));
  CHECK(picks[0].token != plain[0]);
  argpick_decoder_free(decoder);
}

/* A draft model that is the target itself: all of its drafts stand, and both decoders have the same tokens after it. */
static void drawn(void) {
  argpick_config config = default_config(), draft_config = default_config();
  config.seed = 5;
  draft_config.seed = 6;
  config.top_p = draft_config.top_p = 0.9f;
  uint32_t tokens[DRAFTS];
  argpick_decoder *target = new_decoder(&config, VOCAB), *draft = new_decoder(&draft_config, VOCAB);
  for (int i = 0; i < DRAFTS; i++) tokens[i] = decoded(draft, rows[i], VOCAB);
  OK(argpick_decoder_undo(draft, DRAFTS));
  argpick_drafts given = fresh_drafts(tokens, DRAFTS, ARGPICK_ACCEPTANCE_DRAWN);
  given.draft_decoder = draft;
  given.draft_logits = logits;
  given.draft_rows = DRAFTS;
  given.draft_count = VOCAB;
  argpick_pick picks[ROWS];
  for (int i = 0; i < ROWS; i++) picks[i] = fresh_pick();
  argpick_verified verified = fresh_verified();
  OK(argpick_verify(target, &given, picks, &verified));
  CHECK(verified.accepted == DRAFTS && verified.emitted == ROWS && verified.node == DRAFTS - 1);
  for (int i = 0; i < DRAFTS; i++) CHECK(picks[i].token == tokens[i]);
  CHECK(position_of(target) == ROWS && position_of(draft) == ROWS);
  /* The bonus token is that of a step at its position. */
  argpick_decoder *alone = new_decoder(&config, VOCAB);
  OK(argpick_decoder_seek(alone, DRAFTS));
  CHECK(decoded(alone, rows[DRAFTS], VOCAB) == picks[DRAFTS].token);
  argpick_decoder_free(alone);

  /* Another draft model, many rounds: the decoders keep together, and a chain replayed gives the same. */
  given.draft_logits = draft_logits;
  uint32_t accepted = 0;
  for (uint64_t round = 0; round < 200; round++) {
    argpick_decoder *twin = NULL, *draft_twin = NULL;
    for (int i = 0; i < DRAFTS; i++) tokens[i] = decoded(draft, draft_rows[i], VOCAB);
    OK(argpick_decoder_undo(draft, DRAFTS));
    OK(argpick_decoder_clone(target, &twin));
    OK(argpick_decoder_clone(draft, &draft_twin));
    OK(argpick_verify(target, &given, picks, &verified));
    accepted += verified.accepted;
    CHECK(position_of(target) == position_of(draft));
    uint32_t first = picks[0].token, count = verified.accepted;
    given.draft_decoder = draft_twin;
    OK(argpick_verify(twin, &given, picks, &verified));
    given.draft_decoder = draft;
    CHECK(picks[0].token == first && verified.accepted == count);
    argpick_decoder_free(twin);
    argpick_decoder_free(draft_twin);
  }
  CHECK(accepted > 20 && accepted < 200 * DRAFTS);
  argpick_decoder_free(target);
  argpick_decoder_free(draft);
}

static void refused(void) {
  argpick_config config = default_config();
  config.seed = 1;
  argpick_decoder *target = new_decoder(&config, VOCAB), *draft = new_decoder(&config, VOCAB);
  uint32_t tokens[DRAFTS] = {1, 2, 3, 4};
  argpick_pick picks[ROWS];
  for (int i = 0; i < ROWS; i++) picks[i] = fresh_pick();
  argpick_verified verified = fresh_verified(), untouched = verified;
  argpick_drafts given = fresh_drafts(tokens, DRAFTS, ARGPICK_ACCEPTANCE_DRAWN);
  given.draft_decoder = draft;
  given.draft_logits = draft_logits;
  given.draft_rows = DRAFTS;
  given.draft_count = VOCAB;
#define REFUSED(status, change, text)                                    \
  do {                                                                   \
    argpick_drafts good = given;                                         \
    change;                                                              \
    ANSWERS(status, argpick_verify(target, &given, picks, &verified));   \
    SAYS(text);                                                          \
    given = good;                                                        \
    CHECK(memcmp(&verified, &untouched, sizeof verified) == 0);          \
    for (int i = 0; i < ROWS; i++) CHECK(is_fresh(&picks[i]));           \
    CHECK(position_of(target) == 0 && position_of(draft) == 0);          \
  } while (0)

  ANSWERS(ARGPICK_ERR_NULL, argpick_verify(NULL, &given, picks, &verified));
  SAYS("decoder is NULL");
  ANSWERS(ARGPICK_ERR_NULL, argpick_verify(target, NULL, picks, &verified));
  SAYS("drafts is NULL");
  ANSWERS(ARGPICK_ERR_NULL, argpick_verify(target, &given, NULL, &verified));
  SAYS("pick is NULL");
  ANSWERS(ARGPICK_ERR_NULL, argpick_verify(target, &given, picks, NULL));
  SAYS("verified is NULL");
  REFUSED(ARGPICK_ERR_NULL, given.tokens = NULL, "tokens is NULL");
  REFUSED(ARGPICK_ERR_NULL, given.logits = NULL, "logits is NULL");
  REFUSED(ARGPICK_ERR_NULL, given.draft_logits = NULL, "draft_logits is NULL");
  REFUSED(ARGPICK_ERR_NULL, given.draft_decoder = NULL, "draft_decoder is NULL");
  REFUSED(ARGPICK_ERR_ALIGNMENT, given.tokens = (const uint32_t *)((const char *)tokens + 1), "tokens");
  REFUSED(ARGPICK_ERR_STRUCT_SIZE, given.struct_size -= 8, "drafts.struct_size");
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, given.count = VOCAB - 1, "row 0");
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, given.draft_count = VOCAB + 1, "row");
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, given.draft_rows = DRAFTS - 1, "draft rows");
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, given.drafts = SIZE_MAX, "tokens");
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, given.picks = DRAFTS, "picks");
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, given.picks = 0, "picks");
  REFUSED(ARGPICK_ERR_INVALID_PARAMETER, given.acceptance = 4, "acceptance");
  REFUSED(ARGPICK_ERR_INVALID_PARAMETER, given.dtype = 7, "dtype");
  REFUSED(ARGPICK_ERR_BUSY, given.draft_decoder = target, "decoder");
  const uint32_t parents[DRAFTS] = {ARGPICK_ROOT, 0, 2, 0};
  REFUSED(ARGPICK_ERR_INVALID_PARAMETER, given.parents = parents, "parent");
  picks[2].struct_size = 8;
  ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_verify(target, &given, picks, &verified));
  picks[2].struct_size = sizeof picks[2];
  verified.struct_size = 8;
  ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_verify(target, &given, picks, &verified));
  verified.struct_size = sizeof verified;
  tokens[3] = VOCAB;
  REFUSED(ARGPICK_ERR_TOKEN_OUT_OF_RANGE, (void)0, "token");
  tokens[3] = 4;
  const void *null_row[ROWS] = {rows[0], rows[1], NULL, rows[3], rows[4]};
  REFUSED(ARGPICK_ERR_NULL, given.logits = null_row, "row 2");

  /* Bad at the third row, after two drafts that surely stand. */
  static float sure[2][VOCAB], bad[VOCAB];
  for (int t = 0; t < VOCAB; t++) {
    sure[0][t] = t == 1 ? 0.0f : -INFINITY;
    sure[1][t] = t == 2 ? 0.0f : -INFINITY;
    bad[t] = t == 50 ? NAN : 0.0f;
  }
  const void *late[ROWS] = {sure[0], sure[1], bad, rows[3], rows[4]};
  REFUSED(ARGPICK_ERR_INVALID_LOGIT, given.logits = late, "row 2");
  /* A draft that the draft model cannot have drawn. */
  const void *without[DRAFTS] = {draft_rows[0], sure[0], draft_rows[2], draft_rows[3]};
  REFUSED(ARGPICK_ERR_INVALID_PARAMETER, (given.logits = late, given.draft_logits = without), "draft token");
  check_detail(ARGPICK_ERR_INVALID_PARAMETER, UINT64_MAX, 2.0);
  SAYS("row 1");
  argpick_decoder_free(target);
  argpick_decoder_free(draft);
}

int main(void) {
  for (int i = 0; i < ROWS; i++) {
    fill_row(rows[i], VOCAB, 40 + (uint64_t)i);
    fill_row(draft_rows[i], VOCAB, 60 + (uint64_t)i);
    for (int t = 0; t < VOCAB; t++) {
      rows[i][t] *= 0.3f;
      draft_rows[i][t] = 0.5f * rows[i][t] + 0.15f * draft_rows[i][t];
    }
    logits[i] = rows[i];
    draft_logits[i] = draft_rows[i];
  }
  matched(ARGPICK_MODE_SAMPLE);
  matched(ARGPICK_MODE_GREEDY);
  tree();
  drawn();
  refused();
  puts("speculative decoding: ok");
  return 0;
}
