/* argpick_weights: from files, from memory, from arrays; logits, sparse steps and training. argv[1] is a folder to write in. */
#include "check.h"

enum { VOCAB = 70, FEATURES = 9, FILE_MAX = 1 << 16 };

static char path[4096];

static const char *in_folder(const char *folder, const char *name) {
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static size_t read_file(const char *name, unsigned char *bytes) {
  FILE *file = fopen(name, "rb");
  CHECK(file != NULL);
  size_t size = fread(bytes, 1, FILE_MAX, file);
  fclose(file);
  CHECK(size > 0 && size < FILE_MAX);
  return size;
}

static void write_file(const char *name, const unsigned char *bytes, size_t size) {
  FILE *file = fopen(name, "wb");
  CHECK(file != NULL && fwrite(bytes, 1, size, file) == size);
  fclose(file);
}

static void same_rows(argpick_weights *a, argpick_weights *b) {
  static const uint32_t columns[3] = {8, 0, 8};
  static const float values[3] = {0.5f, -2.0f, 1.0f};
  float left[VOCAB], right[VOCAB];
  OK(argpick_logits(a, columns, values, 3, left, VOCAB));
  OK(argpick_logits(b, columns, values, 3, right, VOCAB));
  CHECK(memcmp(left, right, sizeof left) == 0);
}

static void logits_and_steps(argpick_weights *weights, const float *matrix, const float *bias) {
  static const uint32_t columns[3] = {2, 5, 2};
  static const float values[3] = {1.5f, -1.0f, 0.25f};
  float row[VOCAB];
  OK(argpick_logits(weights, columns, values, 3, row, VOCAB));
  for (int t = 0; t < VOCAB; t++) {
    float sum = bias[t];
    for (int j = 0; j < 3; j++) {
      volatile float product = values[j] * matrix[columns[j] * VOCAB + (uint32_t)t];
      sum += product;
    }
    CHECK(row[t] == sum);
  }
  argpick_config config = default_config();
  config.seed = 4;
  config.top_k = 20;
  argpick_decoder *sparse = new_decoder(&config, VOCAB), *dense = new_decoder(&config, VOCAB);
  for (int i = 0; i < 20; i++) {
    argpick_pick one = fresh_pick(), other = fresh_pick(), looked = fresh_pick();
    OK(argpick_evaluate_sparse(sparse, weights, columns, values, 3, NULL, 0, &looked));
    OK(argpick_decode_sparse(sparse, weights, columns, values, 3, NULL, 0, &one));
    OK(argpick_decode(dense, row, ARGPICK_F32, VOCAB, NULL, 0, &other));
    CHECK(memcmp(&one, &other, sizeof one) == 0 && looked.token == one.token);
  }
  /* No columns: the bias alone. No values: 1 for each. */
  OK(argpick_logits(weights, NULL, NULL, 0, row, VOCAB));
  CHECK(memcmp(row, bias, sizeof row) == 0);
  OK(argpick_logits(weights, columns, NULL, 1, row, VOCAB));
  CHECK(row[3] == bias[3] + matrix[2 * VOCAB + 3]);

  /* What does not fit. */
  uint32_t beyond = FEATURES;
  float nan = NAN;
  argpick_pick pick = fresh_pick();
  ANSWERS(ARGPICK_ERR_COLUMN_OUT_OF_RANGE, argpick_logits(weights, &beyond, NULL, 1, row, VOCAB));
  check_detail(ARGPICK_ERR_COLUMN_OUT_OF_RANGE, FEATURES, FEATURES);
  ANSWERS(ARGPICK_ERR_COLUMN_OUT_OF_RANGE, argpick_weights_prefetch(weights, &beyond, 1));
  ANSWERS(ARGPICK_ERR_COLUMN_OUT_OF_RANGE, argpick_decode_sparse(sparse, weights, &beyond, NULL, 1, NULL, 0, &pick));
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_logits(weights, columns, &nan, 1, row, VOCAB));
  ANSWERS(ARGPICK_ERR_WRONG_LENGTH, argpick_logits(weights, columns, NULL, 1, row, VOCAB - 1));
  argpick_decoder *other = new_decoder(&config, VOCAB + 1);
  ANSWERS(ARGPICK_ERR_WRONG_LENGTH, argpick_decode_sparse(other, weights, columns, NULL, 1, NULL, 0, &pick));
  CHECK(is_fresh(&pick));
  OK(argpick_weights_prefetch(weights, columns, 3));
  argpick_decoder_free(other);
  argpick_decoder_free(sparse);
  argpick_decoder_free(dense);
}

static void training(void) {
  argpick_weights *owned = NULL, *lent = NULL;
  static float lent_matrix[VOCAB * FEATURES], lent_bias[VOCAB];
  OK(argpick_weights_new(VOCAB, FEATURES, &owned));
  OK(argpick_weights_from_arrays(lent_matrix, lent_bias, VOCAB, FEATURES, &lent));
  float *matrix = NULL, *bias = NULL, gradient[VOCAB], loss = 0.0f, first = 0.0f;
  uint32_t argmax = 0;
  OK(argpick_weights_arrays(owned, &matrix, &bias));
  for (int i = 0; i < VOCAB * FEATURES; i++) CHECK(matrix[i] == 0.0f);
  for (uint32_t step = 0; step < 200; step++) {
    uint32_t column = step % FEATURES;
    float twin = 0.0f;
    OK(argpick_train_step(owned, &column, NULL, 1, 3 * column, 0.5f, gradient, VOCAB, &loss, &argmax));
    OK(argpick_train_step(lent, &column, NULL, 1, 3 * column, 0.5f, gradient, VOCAB, &twin, &argmax));
    CHECK(twin == loss);
    if (step == 0) first = loss;
  }
  CHECK(fabs(first - log(VOCAB)) < 1e-5 && loss < first / 4);
  CHECK(memcmp(matrix, lent_matrix, sizeof lent_matrix) == 0 && memcmp(bias, lent_bias, sizeof lent_bias) == 0);
  for (uint32_t column = 0; column < FEATURES; column++) {
    float row[VOCAB];
    uint32_t rank = 9;
    OK(argpick_logits(owned, &column, NULL, 1, row, VOCAB));
    OK(argpick_score(row, ARGPICK_F32, VOCAB, 3 * column, &loss, &rank, &argmax));
    CHECK(rank == 0 && argmax == 3 * column);
  }

  /* Refused steps leave the weights alone. */
  uint32_t zero = 0, beyond = FEATURES;
  float kept = matrix[0], bad = INFINITY;
  loss = -1.0f;
  ANSWERS(ARGPICK_ERR_TOKEN_OUT_OF_RANGE,
          argpick_train_step(owned, &zero, NULL, 1, VOCAB, 0.5f, gradient, VOCAB, &loss, &argmax));
  ANSWERS(ARGPICK_ERR_COLUMN_OUT_OF_RANGE,
          argpick_train_step(owned, &beyond, NULL, 1, 0, 0.5f, gradient, VOCAB, &loss, &argmax));
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER,
          argpick_train_step(owned, &zero, NULL, 1, 0, 0.0f, gradient, VOCAB, &loss, &argmax));
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER,
          argpick_train_step(owned, &zero, &bad, 1, 0, 0.5f, gradient, VOCAB, &loss, &argmax));
  ANSWERS(ARGPICK_ERR_WRONG_LENGTH,
          argpick_train_step(owned, &zero, NULL, 1, 0, 0.5f, gradient, VOCAB - 1, &loss, &argmax));
  float two = 2.0f;
  ANSWERS(ARGPICK_ERR_UPDATE_OVERFLOW,
          argpick_train_step(owned, &zero, &two, 1, 1, 3e38f, gradient, VOCAB, &loss, &argmax));
  matrix[1] = NAN;
  ANSWERS(ARGPICK_ERR_INVALID_LOGIT,
          argpick_train_step(owned, &zero, NULL, 1, 0, 0.5f, gradient, VOCAB, &loss, &argmax));
  CHECK(loss == -1.0f && matrix[0] == kept);

  argpick_weights *none = NULL;
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_weights_new(0, FEATURES, &none));
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_weights_new(VOCAB, 0, &none));
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_weights_new((1u << 22) + 1, 1, &none));
  CHECK(none == NULL);
  argpick_weights_free(owned);
  argpick_weights_free(lent);
}

static void files(const char *folder) {
  static float matrix[VOCAB * FEATURES], bias[VOCAB];
  fill_row(matrix, VOCAB * FEATURES, 31);
  fill_row(bias, VOCAB, 32);
  argpick_weights *weights = NULL, *other = NULL;
  uint32_t vocab = 0, features = 0;
  OK(argpick_weights_from_arrays(matrix, bias, VOCAB, FEATURES, &weights));
  logits_and_steps(weights, matrix, bias);

  static const char *const names[2] = {"weights.npz", "weights.safetensors"};
  static unsigned char bytes[FILE_MAX], damaged[FILE_MAX];
  for (uint32_t format = 0; format < 2; format++) {
    const char *name = in_folder(folder, names[format]);
    OK(argpick_weights_save(weights, name, format));
    static const uint32_t flags[4] = {0, ARGPICK_WEIGHTS_COPY, ARGPICK_WEIGHTS_VERIFY,
                                      ARGPICK_WEIGHTS_COPY | ARGPICK_WEIGHTS_VERIFY};
    size_t size = read_file(name, bytes);
    for (int i = 0; i < 4; i++) {
      OK(argpick_weights_open(name, flags[i], &other));
      OK(argpick_weights_shape(other, &vocab, &features));
      CHECK(vocab == VOCAB && features == FEATURES);
      same_rows(weights, other);
      logits_and_steps(other, matrix, bias);
      float *a = NULL, *b = NULL;
      ANSWERS(ARGPICK_ERR_READ_ONLY, argpick_weights_arrays(other, &a, &b));
      argpick_weights_free(other);
      OK(argpick_weights_from_memory(bytes, size, flags[i], &other));
      same_rows(weights, other);
      argpick_weights_free(other);
    }
    /* In memory of ours, at an odd address of the bytes. */
    static union {
      long double align;
      unsigned char bytes[1024];
    } room;
    CHECK(argpick_weights_size() <= sizeof room);
    memcpy(damaged + 1, bytes, size);
    OK(argpick_weights_init_from_memory(&room, sizeof room, damaged + 1, size, &other));
    same_rows(weights, other);
    argpick_weights_free(other);
    OK(argpick_weights_init_from_arrays(&room, sizeof room, matrix, bias, VOCAB, FEATURES, &other));
    same_rows(weights, other);
    argpick_weights_free(other);
    ANSWERS(ARGPICK_ERR_STORAGE_TOO_SMALL,
            argpick_weights_init_from_memory(&room, argpick_weights_size() - 1, bytes, size, &other));

    /* Cut anywhere, or with any byte changed: an error or weights that can be used, never a crash. */
    other = NULL;
    for (size_t length = 0; length < size; length += 1 + size / 211) {
      argpick_status status = argpick_weights_from_memory(bytes, length, 0, &other);
      CHECK(status != ARGPICK_OK && other == NULL && strlen(argpick_last_error()) > 20);
    }
    for (size_t at = 0; at < size; at += 1 + size / 997) {
      memcpy(damaged, bytes, size);
      damaged[at] ^= 0xff;
      if (argpick_weights_from_memory(damaged, size, ARGPICK_WEIGHTS_VERIFY, &other) == ARGPICK_OK) {
        OK(argpick_weights_shape(other, &vocab, &features));
        argpick_weights_free(other);
        other = NULL;
      }
    }
    write_file(in_folder(folder, "truncated"), bytes, size / 2);
    CHECK(argpick_weights_open(path, 0, &other) >= ARGPICK_ERR_ARRAY_MISSING);
    SAYS("truncated");
    CHECK(other == NULL);
  }

  ANSWERS(ARGPICK_ERR_FILE, argpick_weights_open(in_folder(folder, "missing.npz"), 0, &other));
  SAYS("missing.npz");
  SAYS("argpick_weights_open");
  check_detail(ARGPICK_ERR_FILE, UINT64_MAX, 2);
  ANSWERS(ARGPICK_ERR_FILE, argpick_weights_open(folder, 0, &other));
  static const unsigned char noise[64] = "no weight file, whatever its name says it is.................";
  write_file(in_folder(folder, "noise.npz"), noise, sizeof noise);
  ANSWERS(ARGPICK_ERR_FILE_FORMAT, argpick_weights_open(path, 0, &other));
  write_file(in_folder(folder, "empty.npz"), noise, 0);
  ANSWERS(ARGPICK_ERR_FILE_FORMAT, argpick_weights_open(path, 0, &other));
  ANSWERS(ARGPICK_ERR_TEXT, argpick_weights_open("caf\xe9.npz", 0, &other));
  check_detail(ARGPICK_ERR_TEXT, 3, NAN);
  ANSWERS(ARGPICK_ERR_RESERVED, argpick_weights_open(path, 4, &other));
  ANSWERS(ARGPICK_ERR_RESERVED, argpick_weights_from_memory(bytes, 8, 0x80000000u, &other));
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_weights_save(weights, in_folder(folder, "other"), 2));
  ANSWERS(ARGPICK_ERR_FILE, argpick_weights_save(weights, in_folder(folder, "no/such/folder.npz"), 0));
  CHECK(other == NULL);
  argpick_weights_free(weights);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  argpick_weights_free(NULL);
  training();
  files(argv[1]);
  puts("weights: ok");
  return 0;
}
