/* What other engines do with the same rows, through the C ABI: the golden files of tests/conformance, whose README.md has
   the format. A field that is not known here is refused. Arguments: the folder of the files; of how many lines one is tried (1: all). */
#include <stddef.h>

#include "json.h"

/* Stages that are not built yet; one that passes may not stand here. */
static const char *const NOT_YET[] = {NULL};

#define WHOLE(name) {#name, offsetof(argpick_config, name), 0}
#define REAL(name) {#name, offsetof(argpick_config, name), 1}

static const struct {
  const char *name;
  size_t offset;
  int is_float;
} FIELDS[] = {
    REAL(temperature),        WHOLE(top_k),           REAL(top_p),           REAL(min_p),
    REAL(typical_p),          REAL(epsilon_cutoff),   REAL(eta_cutoff),      REAL(top_n_sigma),
    REAL(top_h),              REAL(xtc_probability),  REAL(xtc_threshold),   WHOLE(min_keep),
    REAL(dynatemp_range),     REAL(dynatemp_exponent), WHOLE(mirostat),      REAL(mirostat_tau),
    REAL(mirostat_eta),       REAL(adaptive_target),  REAL(adaptive_decay),  REAL(repetition_penalty),
    REAL(frequency_penalty),  REAL(presence_penalty), WHOLE(penalty_window), WHOLE(penalty_scope),
    REAL(dry_multiplier),     REAL(dry_base),         WHOLE(dry_allowed_length), WHOLE(dry_window),
    WHOLE(no_repeat_ngram),   WHOLE(min_tokens),      WHOLE(length_decay_start), REAL(length_decay_factor),
};

static const char *const CASE[] = {"id",       "profile",       "stages",     "params",        "row",
                                   "logits",   "prompt",        "history",    "bias",          "bans",
                                   "allowed",  "forced",        "end_tokens", "sequence_bias", "bad_sequences",
                                   "breakers", "tolerance",     "count",      "skip",          "expect_each",
                                   "steps",    "expect",        "engine",     NULL};
static const char *const ROW[] = {"kind", "seed", "vocab", "patch", NULL};
static const char *const RECIPE[] = {"seed", "length", "below", NULL};
static const char *const FEW[] = {"token", "kept", "probabilities", NULL};
static const char *const MANY[] = {"token", "count", "digest", "first", "last", "probabilities", NULL};
static const char *const ENGINE[] = {"version", "reason", "kept", "probabilities", NULL};

typedef struct {
  json_reader json;
  const json_value *value;
  float *row;
  uint32_t *tokens;
  uint32_t *mask; /* the bitmask of the allowed tokens, or NULL */
  size_t mask_words;
  argpick_candidate *kept;
  size_t capacity;
  size_t rows, different;
  char wrong[256];
} test_case;

#define MOST_LISTS 16

typedef struct {
  size_t count, tokens;
  uint32_t lengths[MOST_LISTS];
  float biases[MOST_LISTS];
} token_lists;

static uint64_t word(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

static float bf16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits &= UINT32_C(0xFFFF0000);
  memcpy(&x, &bits, sizeof x);
  return x;
}

static size_t vocabulary(const test_case *test) {
  const json_value *logits = json_member(&test->json, test->value, "logits");
  if (logits != NULL) {
    return logits->count;
  }
  return (size_t)json_whole(json_get(&test->json, json_get(&test->json, test->value, "row"), "vocab"));
}

/* Writes the row of a case, number `offset` of a sweep. */
static void build_row(test_case *test, uint64_t offset) {
  const json_reader *json = &test->json;
  const json_value *literal = json_member(json, test->value, "logits"), *row, *kind, *pair;
  uint64_t seed;
  size_t vocab = vocabulary(test), i = 0;
  if (literal != NULL) {
    CHECK(json_member(json, test->value, "row") == NULL && offset == 0);
    for (pair = json_first(json, literal); pair != NULL; pair = json_next(json, pair), i++) {
      test->row[i] = json_float(pair);
    }
    return;
  }
  row = json_get(json, test->value, "row");
  json_only(json, row, ROW);
  kind = json_get(json, row, "kind");
  seed = json_whole(json_get(json, row, "seed")) + offset;
  for (i = 0; i < vocab; i++) {
    uint64_t x = word(seed, i);
    int64_t s = (int64_t)((x & 0xFFFF) + (x >> 16 & 0xFFFF) + (x >> 32 & 0xFFFF) + (x >> 48)) - 131070;
    if (json_is(kind->text, kind->length, "normal")) {
      test->row[i] = (float)s / 16384.0f;
    } else if (json_is(kind->text, kind->length, "flat")) {
      test->row[i] = (float)s / 131072.0f;
    } else if (json_is(kind->text, kind->length, "peaked")) {
      uint64_t y = word(seed ^ UINT64_C(0xA5A5A5A5A5A5A5A5), i);
      int zeros = 0;
      while (zeros < 64 && (y >> zeros & 1) == 0) {
        zeros++;
      }
      test->row[i] = (float)(s + INT64_C(40960) * zeros) / 32768.0f;
    } else if (json_is(kind->text, kind->length, "ties")) {
      test->row[i] = (float)((s + 131072) / 16384 - 8) / 2.0f;
    } else {
      CHECK(json_is(kind->text, kind->length, "bf16"));
      test->row[i] = bf16((float)s / 16384.0f);
    }
  }
  for (pair = json_first(json, json_member(json, row, "patch")); pair != NULL; pair = json_next(json, pair)) {
    test->row[json_whole(json_at(json, pair, 0))] = json_float(json_at(json, pair, 1));
  }
}

static uint32_t *room(test_case *test, size_t count) {
  if (count > test->capacity) {
    test->capacity = 2 * count + 256;
    test->row = realloc(test->row, test->capacity * sizeof *test->row);
    test->tokens = realloc(test->tokens, test->capacity * sizeof *test->tokens);
    test->kept = realloc(test->kept, test->capacity * sizeof *test->kept);
    CHECK(test->row != NULL && test->tokens != NULL && test->kept != NULL);
  }
  return test->tokens;
}

/* Reads a list of ids, or a recipe of one, into test->tokens; how many. */
static size_t read_tokens(test_case *test, const json_value *value, uint64_t offset) {
  const json_reader *json = &test->json;
  const json_value *item;
  size_t count = 0;
  if (value == NULL) {
    return 0;
  }
  if (value->type == JSON_OBJECT) {
    uint64_t seed = json_whole(json_get(json, value, "seed")) + offset, below = json_whole(json_get(json, value, "below"));
    size_t length = (size_t)json_whole(json_get(json, value, "length"));
    json_only(json, value, RECIPE);
    room(test, length);
    for (count = 0; count < length; count++) {
      test->tokens[count] = (uint32_t)(word(seed, count) % below);
    }
    return count;
  }
  room(test, value->count);
  for (item = json_first(json, value); item != NULL; item = json_next(json, item)) {
    test->tokens[count++] = (uint32_t)json_whole(item);
  }
  return count;
}

/* Lists of ids, or pairs of a list and a number: the ids one after the other in test->tokens. */
static token_lists read_lists(test_case *test, const json_value *value) {
  const json_reader *json = &test->json;
  const json_value *entry, *id;
  token_lists lists;
  memset(&lists, 0, sizeof lists);
  for (entry = json_first(json, value); entry != NULL; entry = json_next(json, entry)) {
    const json_value *first = json_at(json, entry, 0), *ids = first->type == JSON_LIST ? first : entry;
    CHECK(lists.count < MOST_LISTS && lists.tokens + ids->count <= test->capacity);
    if (first->type == JSON_LIST) {
      lists.biases[lists.count] = json_float(json_at(json, entry, 1));
    }
    lists.lengths[lists.count++] = (uint32_t)ids->count;
    for (id = json_first(json, ids); id != NULL; id = json_next(json, id)) {
      test->tokens[lists.tokens++] = (uint32_t)json_whole(id);
    }
  }
  return lists;
}

static argpick_config read_config(const test_case *test) {
  static const char *const PROFILES[] = {"canon", "huggingface", "llama_cpp", "vllm"};
  const json_reader *json = &test->json;
  const json_value *profile = json_get(json, test->value, "profile"), *param;
  argpick_config config = default_config();
  size_t i;
  for (i = 0; i < 4 && !json_is(profile->text, profile->length, PROFILES[i]); i++) {
  }
  CHECK(i < 4);
  config.profile = (uint32_t)i;
  for (param = json_first(json, json_get(json, test->value, "params")); param != NULL; param = json_next(json, param)) {
    int known = 0;
    for (i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
      if (json_is(param->key, param->key_length, FIELDS[i].name)) {
        float real = json_float(param);
        uint32_t whole = FIELDS[i].is_float ? 0 : (uint32_t)json_whole(param);
        memcpy((char *)&config + FIELDS[i].offset, FIELDS[i].is_float ? (void *)&real : (void *)&whole, 4);
        known = 1;
      }
    }
    CHECK(known);
  }
  return config;
}

/* Writes the bitmask of the allowed tokens, if the case names some. */
static void read_mask(test_case *test) {
  const json_value *allowed = json_member(&test->json, test->value, "allowed");
  size_t count, i;
  free(test->mask);
  test->mask = NULL;
  test->mask_words = 0;
  if (allowed != NULL) {
    count = read_tokens(test, allowed, 0);
    test->mask_words = (vocabulary(test) + 31) / 32;
    test->mask = calloc(test->mask_words, sizeof *test->mask);
    CHECK(test->mask != NULL);
    for (i = 0; i < count; i++) {
      test->mask[test->tokens[i] / 32] |= UINT32_C(1) << test->tokens[i] % 32;
    }
  }
}

/* A decoder at the point of the row, at temperature 0 if it is to be greedy; NULL with the reason in test->wrong. */
static argpick_decoder *make_decoder(test_case *test, uint64_t offset, int greedy) {
  const json_reader *json = &test->json;
  const json_value *pairs = json_member(json, test->value, "bias"), *pair;
  const json_value *forced = json_member(json, test->value, "forced");
  argpick_config config = read_config(test);
  argpick_decoder *decoder = NULL;
  token_lists lists_read;
  size_t count = 0;
  if (greedy) {
    config.temperature = config.dynatemp_range = 0;
  }
  if (argpick_decoder_new(&config, (uint32_t)vocabulary(test), &decoder) != ARGPICK_OK) {
    snprintf(test->wrong, sizeof test->wrong, "%s", argpick_last_error());
    return NULL;
  }
  count = read_tokens(test, json_member(json, test->value, "end_tokens"), 0);
  OK(argpick_decoder_set_end_tokens(decoder, test->tokens, count));
  lists_read = read_lists(test, json_member(json, test->value, "bad_sequences"));
  OK(argpick_decoder_set_bad_sequences(decoder, test->tokens, lists_read.tokens, lists_read.lengths, lists_read.count));
  lists_read = read_lists(test, json_member(json, test->value, "sequence_bias"));
  OK(argpick_decoder_set_sequence_bias(decoder, test->tokens, lists_read.tokens, lists_read.lengths, lists_read.biases,
                                       lists_read.count));
  lists_read = read_lists(test, json_member(json, test->value, "breakers"));
  OK(argpick_decoder_set_breakers(decoder, test->tokens, lists_read.tokens, lists_read.lengths, lists_read.count));
  count = 0;
  if (pairs != NULL) {
    float biases[MOST_LISTS];
    CHECK(pairs->count <= MOST_LISTS);
    room(test, pairs->count);
    for (pair = json_first(json, pairs); pair != NULL; pair = json_next(json, pair), count++) {
      test->tokens[count] = (uint32_t)json_whole(json_at(json, pair, 0));
      biases[count] = json_float(json_at(json, pair, 1));
    }
    OK(argpick_decoder_set_bias(decoder, test->tokens, biases, count));
  }
  count = read_tokens(test, json_member(json, test->value, "bans"), 0);
  OK(argpick_decoder_set_bans(decoder, test->tokens, count));
  for (pair = json_first(json, forced); pair != NULL; pair = json_next(json, pair)) {
    uint64_t place = json_whole(json_at(json, pair, 0));
    uint32_t token = (uint32_t)json_whole(json_at(json, pair, 1));
    CHECK(forced->count == 1);
    OK(argpick_decoder_set_forced(decoder, &place, &token, 1));
  }
  count = read_tokens(test, json_member(json, test->value, "prompt"), offset);
  OK(argpick_decoder_prompt(decoder, test->tokens, count));
  count = read_tokens(test, json_member(json, test->value, "history"), offset);
  OK(argpick_decoder_accept(decoder, test->tokens, count));
  return decoder;
}

static int by_order(const void *left, const void *right) {
  const argpick_candidate *a = left, *b = right;
  if (a->logit != b->logit) {
    return a->logit > b->logit ? -1 : 1;
  }
  return a->token < b->token ? -1 : a->token > b->token;
}

/* FNV-1a of the kept ids. */
static uint32_t digest(const argpick_candidate *kept, size_t count) {
  uint32_t value = UINT32_C(0x811C9DC5);
  size_t i;
  int shift;
  for (i = 0; i < count; i++) {
    for (shift = 0; shift < 32; shift += 8) {
      value = (value ^ (kept[i].token >> shift & 0xFF)) * UINT32_C(0x01000193);
    }
  }
  return value;
}

static int fails(test_case *test, const char *text) {
  snprintf(test->wrong, sizeof test->wrong, "%s", text);
  return 1;
}

static int lists(const json_reader *json, const json_value *ids, const argpick_candidate *kept) {
  for (ids = json_first(json, ids); ids != NULL; ids = json_next(json, ids), kept++) {
    if (kept->token != json_whole(ids)) {
      return 0;
    }
  }
  return 1;
}

/* What the decoder keeps of test->row, in order, to test->kept. */
static int keep(test_case *test, argpick_decoder *decoder, size_t *found) {
  if (argpick_kept(decoder, test->row, ARGPICK_F32, vocabulary(test), test->mask, test->mask_words, test->kept,
                   test->capacity, found) != ARGPICK_OK) {
    return fails(test, argpick_last_error());
  }
  qsort(test->kept, *found, sizeof *test->kept, by_order);
  return 0;
}

/* Compares what the decoder keeps of test->row with an entry: count, digest, first probability, sum of squares. */
static int compare_entry(test_case *test, argpick_decoder *decoder, const json_value *const entry[4]) {
  double tolerance = json_get(&test->json, test->value, "tolerance")->number, squares = 0;
  size_t found = 0, i;
  if (keep(test, decoder, &found)) {
    return 1;
  }
  for (i = 0; i < found; i++) {
    squares += exp(2.0 * (double)test->kept[i].logprob);
  }
  if (found != json_whole(entry[0])) {
    return fails(test, "keeps another number of tokens");
  }
  if (digest(test->kept, found) != json_whole(entry[1])) {
    return fails(test, "keeps other tokens, or in another order");
  }
  if (fabs(exp((double)test->kept[0].logprob) - entry[2]->number) > tolerance) {
    return fails(test, "another probability of the first");
  }
  return fabs(squares - entry[3]->number) > 2 * tolerance ? fails(test, "another sum of squared probabilities") : 0;
}

/* Compares with an object: ids and probabilities. */
static int compare_object(test_case *test, argpick_decoder *decoder, const json_value *expect) {
  const json_reader *json = &test->json;
  const json_value *count = json_member(json, expect, "count"), *p;
  const json_value *first = json_get(json, expect, count == NULL ? "kept" : "first");
  double tolerance = json_get(json, test->value, "tolerance")->number;
  size_t found = 0, i = 0;
  json_only(json, expect, count == NULL ? FEW : MANY);
  if (keep(test, decoder, &found)) {
    return 1;
  }
  if (found != (count == NULL ? first->count : json_whole(count))) {
    return fails(test, "keeps another number of tokens");
  }
  if (!lists(json, first, test->kept)) {
    return fails(test, "keeps other tokens, or in another order");
  }
  if (count != NULL) {
    const json_value *last = json_get(json, expect, "last");
    if (!lists(json, last, test->kept + found - last->count) ||
        digest(test->kept, found) != json_whole(json_get(json, expect, "digest"))) {
      return fails(test, "keeps other tokens, or in another order");
    }
  }
  for (p = json_first(json, json_get(json, expect, "probabilities")); p != NULL; p = json_next(json, p), i++) {
    if (fabs(exp((double)test->kept[i].logprob) - p->number) > tolerance) {
      return fails(test, "another probability");
    }
  }
  return 0;
}

/* Compares what is picked at temperature 0, if the case tells it. */
static int compare_greedy(test_case *test, const json_value *expect) {
  const json_value *token = json_member(&test->json, expect, "token");
  argpick_decoder *decoder;
  argpick_pick picked = fresh_pick();
  int wrong = 0;
  if (token == NULL) {
    return 0;
  }
  decoder = make_decoder(test, 0, 1);
  if (decoder == NULL) {
    return 1;
  }
  if (argpick_decode(decoder, test->row, ARGPICK_F32, vocabulary(test), test->mask, test->mask_words, &picked) !=
      ARGPICK_OK) {
    wrong = fails(test, argpick_last_error());
  } else if (picked.token != json_whole(token)) {
    wrong = fails(test, "picks another token at temperature 0");
  }
  argpick_decoder_free(decoder);
  return wrong;
}

/* Makes the decoder pick and record a token: some position's random numbers draw it, since it has a probability. */
static int pick(test_case *test, argpick_decoder *decoder, uint64_t token) {
  size_t vocab = vocabulary(test);
  argpick_pick picked = fresh_pick();
  uint64_t position, trial;
  OK(argpick_decoder_position(decoder, &position));
  for (trial = 0; trial < 1000000; trial++) {
    OK(argpick_decoder_seek(decoder, position + trial));
    OK(argpick_evaluate(decoder, test->row, ARGPICK_F32, vocab, NULL, 0, &picked));
    if (picked.token == token) {
      OK(argpick_decode(decoder, test->row, ARGPICK_F32, vocab, NULL, 0, &picked));
      return 0;
    }
  }
  return fails(test, "never picks the token");
}

/* Row number `offset` of a case with one expectation. */
static void run_row(test_case *test, uint64_t offset, const json_value *expect) {
  const json_reader *json = &test->json;
  argpick_decoder *decoder = make_decoder(test, offset, 0);
  int wrong = decoder == NULL;
  test->rows++;
  if (!wrong) {
    build_row(test, offset);
    if (expect->type == JSON_LIST) {
      const json_value *entry[4];
      size_t i;
      for (i = 0; i < 4; i++) {
        entry[i] = json_at(json, expect, i);
      }
      wrong = compare_entry(test, decoder, entry);
    } else {
      wrong = compare_object(test, decoder, expect) || compare_greedy(test, expect);
    }
  }
  test->different += (size_t)wrong;
  argpick_decoder_free(decoder);
}

static void run_steps(test_case *test, const json_value *steps) {
  const json_reader *json = &test->json;
  argpick_decoder *decoder = make_decoder(test, 0, 0);
  const json_value *step;
  uint64_t index = 0;
  int wrong = decoder == NULL;
  test->rows += steps->count;
  for (step = json_first(json, steps); step != NULL && !wrong; step = json_next(json, step), index++) {
    const json_value *entry[4];
    size_t i;
    for (i = 0; i < 4; i++) {
      entry[i] = json_at(json, step, i + 1);
    }
    build_row(test, index);
    wrong = compare_entry(test, decoder, entry);
    if (!wrong && step->next != 0) {
      wrong = pick(test, decoder, json_whole(json_at(json, step, 0)));
    }
  }
  test->different += (size_t)wrong;
  argpick_decoder_free(decoder);
}

static void run_sweep(test_case *test, const json_value *count) {
  const json_reader *json = &test->json;
  const json_value *skip = json_first(json, json_member(json, test->value, "skip"));
  const json_value *each = json_first(json, json_get(json, test->value, "expect_each"));
  uint64_t offset;
  for (offset = 0; offset < json_whole(count); offset++) {
    if (skip != NULL && json_whole(skip) == offset) {
      skip = json_next(json, skip);
      continue;
    }
    CHECK(each != NULL);
    run_row(test, offset, each);
    each = json_next(json, each);
  }
  CHECK(each == NULL);
}

/* Runs one line; adds to test->rows and test->different. */
static void run_line(test_case *test, const char *line) {
  const json_value *count, *steps, *engine;
  test->json.count = 1; /* index 0 is "none" */
  test->json.at = line;
  if (test->json.capacity == 0) {
    test->json.count = 0;
    json_new(&test->json);
  }
  test->value = &test->json.values[json_read(&test->json)];
  json_only(&test->json, test->value, CASE);
  engine = json_member(&test->json, test->value, "engine");
  if (engine != NULL) {
    /* What the engine does instead stands there for whoever asks. */
    CHECK(strstr(line, "\"id\":\"llama_cpp-exception-") != NULL);
    json_only(&test->json, engine, ENGINE);
  }
  room(test, vocabulary(test));
  read_mask(test);
  count = json_member(&test->json, test->value, "count");
  steps = json_member(&test->json, test->value, "steps");
  CHECK((steps != NULL) + (count != NULL) + (json_member(&test->json, test->value, "expect") != NULL) == 1);
  if (steps != NULL) {
    run_steps(test, steps);
  } else if (count != NULL) {
    run_sweep(test, count);
  } else {
    run_row(test, 0, json_get(&test->json, test->value, "expect"));
  }
}

/* Prints a stage; whether it fails. `all`: all its lines were tried. */
static int finish_stage(const char *profile, const char *stage, const test_case *test, const char *wrong, int all) {
  size_t rows = test->rows, different = test->different;
  char name[128];
  int excused = 0;
  size_t i;
  if (stage[0] == '\0') {
    return 0;
  }
  snprintf(name, sizeof name, "%s %s", profile, stage);
  for (i = 0; NOT_YET[i] != NULL; i++) {
    excused |= strcmp(NOT_YET[i], name) == 0;
  }
  printf("conformance: %s: %u rows, %u different%s%s%s\n", name, (unsigned)rows, (unsigned)different,
         excused ? " (not built yet)" : "", different > 0 && !excused ? ": " : "", different > 0 && !excused ? wrong : "");
  /* Some rows of a stage can pass by chance. */
  return all ? (different > 0) != excused : different > 0 && !excused;
}

static int run_file(const char *folder, const char *profile, long stride, size_t *rows) {
  char path[1024], stage[64] = "", wrong[256] = "";
  test_case test;
  char *text, *line;
  long size, number = 0;
  FILE *file;
  int failed = 0;
  memset(&test, 0, sizeof test);
  snprintf(path, sizeof path, "%s/%s.jsonl", folder, profile);
  file = fopen(path, "rb");
  CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
  size = ftell(file);
  CHECK(size > 0 && fseek(file, 0, SEEK_SET) == 0);
  text = malloc((size_t)size + 1);
  CHECK(text != NULL && fread(text, 1, (size_t)size, file) == (size_t)size);
  text[size] = '\0';
  fclose(file);
  for (line = text; line != NULL && *line != '\0'; number++) {
    char *end = strchr(line, '\n');
    const char *name = strstr(line, "\"stages\":[\"");
    size_t length;
    if (end != NULL) {
      *end = '\0';
    }
    CHECK(name != NULL);
    name += strlen("\"stages\":[\"");
    length = strcspn(name, "\"");
    CHECK(length < sizeof stage);
    if (!json_is(name, length, stage)) {
      failed |= finish_stage(profile, stage, &test, wrong, stride == 1);
      *rows += test.rows;
      memcpy(stage, name, length);
      stage[length] = '\0';
      test.rows = test.different = 0;
    }
    if (number % stride == 0) {
      size_t before = test.different;
      run_line(&test, line);
      if (test.different > before) {
        snprintf(wrong, sizeof wrong, "%.40s...: %.160s", line, test.wrong);
      }
    }
    line = end == NULL ? NULL : end + 1;
  }
  failed |= finish_stage(profile, stage, &test, wrong, stride == 1);
  *rows += test.rows;
  free(text);
  free(test.json.values);
  free(test.row);
  free(test.tokens);
  free(test.mask);
  free(test.kept);
  return failed;
}

int main(int count, char **arguments) {
  static const char *const PROFILES[] = {"huggingface", "llama_cpp", "vllm"};
  long stride = count > 2 ? strtol(arguments[2], NULL, 10) : 1;
  size_t rows = 0, i;
  int failed = 0;
  CHECK(count > 1 && stride > 0);
  for (i = 0; i < 3; i++) {
    failed |= run_file(arguments[1], PROFILES[i], stride, &rows);
  }
  CHECK(rows > 80000 / (size_t)stride / 4);
  printf("conformance: %u rows of three engines\n", (unsigned)rows);
  return failed;
}
