/* Memory of the caller's: no allocation in a step (every malloc of the program is counted), none at all after
   argpick_decoder_init, and no system call in a step (with ARGPICK_TEST_SECCOMP, where a system call would end the process). */
#if defined(__linux__)
#define _GNU_SOURCE
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "check.h"

enum { VOCAB = 5000, FEATURES = 3, STEPS = 50 };

/* The linker sends every call of malloc and its kin here (-Wl,--wrap). */
static size_t allocations;
static size_t fail_from = SIZE_MAX; /* From this allocation on there is no memory. */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
int __real_posix_memalign(void **out, size_t alignment, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);

static int refused(void) { return ++allocations > fail_from; }

void *__wrap_malloc(size_t size) { return refused() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return refused() ? NULL : __real_calloc(count, size); }
void *__wrap_realloc(void *block, size_t size) { return refused() ? NULL : __real_realloc(block, size); }
int __wrap_posix_memalign(void **out, size_t alignment, size_t size) {
  return refused() ? 12 /* ENOMEM */ : __real_posix_memalign(out, alignment, size);
}
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  return refused() ? NULL : __real_aligned_alloc(alignment, size);
}

static union {
  long double align;
  unsigned char bytes[1 << 17];
} memory, more, handle;

static float row[VOCAB], matrix[VOCAB * FEATURES], bias[VOCAB];

static argpick_config plan(int which) {
  argpick_config config = default_config();
  config.history_capacity = 64;
  config.adjustment_capacity = 16;
  config.sequence_capacity = 16;
  config.seed = 9;
  if (which == 1) config.mode = ARGPICK_MODE_GREEDY;
  if (which == 2) config.top_k = 40, config.top_p = 0.95f, config.min_p = 0.05f, config.temperature = 0.8f;
  if (which == 3) config.top_p = 0.9f, config.metrics = ARGPICK_METRIC_ALL;
  if (which == 4) config.no_repeat_window = 16, config.metrics = ARGPICK_METRIC_CONFIDENCE;
  return config;
}

/* Everything that a running host calls. */
static void run_steps(argpick_decoder *decoder, const argpick_weights *weights) {
  static float scratch[VOCAB];
  static uint32_t mask[(VOCAB + 31) / 32];
  memset(mask, 0xb7, sizeof mask);
  argpick_pick pick;
  pick.struct_size = sizeof pick;
  const uint32_t columns[2] = {0, 2};
  argpick_candidate best[5];
  size_t found;
  float loss;
  uint32_t rank, argmax;
  for (int i = 0; i < STEPS; i++) {
    OK(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, i % 2 ? mask : NULL, i % 2 ? (VOCAB + 31) / 32 : 0, &pick));
    OK(argpick_decode_sparse(decoder, weights, columns, NULL, 2, NULL, 0, &pick));
    OK(argpick_evaluate(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    OK(argpick_decoder_accept(decoder, &pick.token, 1));
    OK(argpick_decoder_undo(decoder, 1));
    OK(argpick_top(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, best, 5, &found));
    OK(argpick_score(row, ARGPICK_F32, VOCAB, best[0].token, &loss, &rank, &argmax));
    CHECK(rank == 0);
    memcpy(scratch, row, sizeof scratch);
    OK(argpick_probabilities(decoder, scratch, VOCAB, NULL, 0));
    /* A failure allocates nothing either. */
    scratch[3] = NAN;
    ANSWERS(ARGPICK_ERR_INVALID_LOGIT, argpick_decode(decoder, scratch, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    ANSWERS(ARGPICK_ERR_NULL, argpick_decode(decoder, NULL, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    ANSWERS(ARGPICK_ERR_WRONG_LENGTH, argpick_decode(decoder, row, ARGPICK_F32, 1, NULL, 0, &pick));
  }
}

static void nothing_is_allocated(int which) {
  argpick_config config = plan(which);
  argpick_decoder *decoder = NULL, *twin = NULL;
  argpick_weights *weights = NULL;
  size_t size = 0, before = allocations;
  OK(argpick_decoder_size(&config, VOCAB, &size));
  CHECK(size <= sizeof memory);
  memset(&memory, 0xa5, sizeof memory);
  ANSWERS(ARGPICK_ERR_STORAGE_TOO_SMALL, argpick_decoder_init(&memory, size - 1, &config, VOCAB, &decoder));
  check_detail(ARGPICK_ERR_STORAGE_TOO_SMALL, size, (double)(size - 1));
  ANSWERS(ARGPICK_ERR_STORAGE_TOO_SMALL, argpick_decoder_init(&memory, 0, &config, VOCAB, &decoder));
  ANSWERS(ARGPICK_ERR_ALIGNMENT, argpick_decoder_init(memory.bytes + 8, size, &config, VOCAB, &decoder));
  check_detail(ARGPICK_ERR_ALIGNMENT, ARGPICK_MEMORY_ALIGNMENT, 8);
  CHECK(decoder == NULL);
  OK(argpick_decoder_init(&memory, size, &config, VOCAB, &decoder));
  OK(argpick_weights_init_from_arrays(&handle, sizeof handle, matrix, bias, VOCAB, FEATURES, &weights));
  run_steps(decoder, weights);
  /* Nothing past the size that was given has been written. */
  for (size_t i = size; i < sizeof memory; i++) CHECK(memory.bytes[i] == 0xa5);

  /* A reset that needs more: told how much, and nothing has changed; with room to spare it works. */
  argpick_config larger = config;
  larger.history_capacity = 1000;
  size_t needed = 0;
  OK(argpick_decoder_size(&larger, VOCAB, &needed));
  ANSWERS(ARGPICK_ERR_STORAGE_TOO_SMALL, argpick_decoder_reset(decoder, &larger));
  check_detail(ARGPICK_ERR_STORAGE_TOO_SMALL, needed, (double)size);
  run_steps(decoder, weights);
  OK(argpick_decoder_init(&more, sizeof more, &config, VOCAB, &twin));
  OK(argpick_decoder_reset(twin, &larger));
  OK(argpick_decoder_reset(twin, &config));
  OK(argpick_decoder_reset(decoder, NULL));
  for (int i = 0; i < STEPS; i++) CHECK(decoded(decoder, row, VOCAB) == decoded(twin, row, VOCAB));
  argpick_decoder_free(decoder);
  argpick_decoder_free(twin);
  argpick_weights_free(weights);
  CHECK(allocations == before);

  /* The same decoder on the heap picks the same, and allocates only when it is made. */
  decoder = new_decoder(&config, VOCAB);
  CHECK(allocations > before); /* The hook works. */
  OK(argpick_weights_from_arrays(matrix, bias, VOCAB, FEATURES, &weights));
  before = allocations;
  run_steps(decoder, weights);
  CHECK(allocations == before);
  argpick_decoder_free(decoder);
  argpick_weights_free(weights);
}

/* Each allocation in turn is refused, until the call needs no more. */
#define UNTIL_IT_WORKS(call, nothing)                      \
  do {                                                     \
    argpick_status status;                                 \
    int refusals = 0;                                      \
    for (size_t n = 0;; n++) {                             \
      fail_from = allocations + n;                         \
      status = (call);                                     \
      fail_from = SIZE_MAX;                                \
      if (status == ARGPICK_OK) break;                     \
      CHECK(status == ARGPICK_ERR_OUT_OF_MEMORY);          \
      SAYS("out of memory");                               \
      nothing;                                             \
      refusals++;                                          \
    }                                                      \
    CHECK(refusals > 0);                                   \
  } while (0)

static void a_failing_allocator(void) {
  argpick_config config = plan(2), larger;
  argpick_decoder *decoder = NULL, *clone = NULL;
  argpick_weights *weights = NULL;
  UNTIL_IT_WORKS(argpick_decoder_new(&config, VOCAB, &decoder), CHECK(decoder == NULL));
  uint32_t token = decoded(decoder, row, VOCAB);
  UNTIL_IT_WORKS(argpick_decoder_clone(decoder, &clone), CHECK(clone == NULL));
  OK(argpick_decoder_reset(decoder, NULL));
  larger = config;
  larger.history_capacity = 100000;
  UNTIL_IT_WORKS(argpick_decoder_reset(decoder, &larger),
                 CHECK(decoded(decoder, row, VOCAB) == token && argpick_decoder_reset(decoder, NULL) == ARGPICK_OK));
  size_t saved = 0;
  OK(argpick_decoder_saved_size(decoder, &saved));
  void *bytes = malloc(saved);
  CHECK(bytes != NULL);
  OK(argpick_decoder_save(decoder, bytes, saved, &saved));
  UNTIL_IT_WORKS(argpick_decoder_load(clone, bytes, saved), (void)0);
  CHECK(decoded(clone, row, VOCAB) == token);
  free(bytes);
  UNTIL_IT_WORKS(argpick_weights_new(VOCAB, FEATURES, &weights), CHECK(weights == NULL));
  argpick_weights_free(weights);
  weights = NULL;
  UNTIL_IT_WORKS(argpick_weights_from_arrays(matrix, bias, VOCAB, FEATURES, &weights), CHECK(weights == NULL));
  argpick_weights_free(weights);
  argpick_decoder_free(clone);
  argpick_decoder_free(decoder);
  /* More than any machine has. */
  weights = NULL;
  ANSWERS(ARGPICK_ERR_OUT_OF_MEMORY, argpick_weights_new(1u << 22, UINT32_MAX, &weights));
  CHECK(weights == NULL);
}

#if defined(__linux__)
/* A head whose rows are contiguous: it must be transposed, and a note says so. */
static size_t row_major_file(unsigned char *bytes, size_t vocab, size_t features) {
  char header[256];
  size_t weights = vocab * features * 4, size;
  int length = snprintf(header, sizeof header,
                        "{\"W\":{\"dtype\":\"F32\",\"shape\":[%u,%u],\"data_offsets\":[0,%u]},"
                        "\"b\":{\"dtype\":\"F32\",\"shape\":[%u],\"data_offsets\":[%u,%u]}}",
                        (unsigned)vocab, (unsigned)features, (unsigned)weights, (unsigned)vocab, (unsigned)weights,
                        (unsigned)(weights + 4 * vocab));
  CHECK(length > 0);
  uint64_t count = (uint64_t)length;
  memcpy(bytes, &count, 8);
  memcpy(bytes + 8, header, (size_t)length);
  size = 8 + (size_t)length;
  memcpy(bytes + size, matrix, weights);
  memcpy(bytes + size + weights, bias, 4 * vocab);
  return size + weights + 4 * vocab;
}

/* Opening a file allocates for the handle, the path, the transposed copy and the note: each may fail. */
static void a_failing_allocator_and_files(void) {
  static unsigned char bytes[1 << 15];
  size_t size = row_major_file(bytes, 100, FEATURES);
  char path[64] = "/tmp/argpick-no-heap-XXXXXX";
  int file = mkstemp(path);
  CHECK(file >= 0 && write(file, bytes, size) == (ssize_t)size && close(file) == 0);
  for (uint32_t copy = 0; copy < 2; copy++) {
    for (int from_memory = 0; from_memory < 2; from_memory++) {
      argpick_weights *weights = NULL;
      uint32_t flags = copy ? ARGPICK_WEIGHTS_COPY : 0, vocab = 0, features = 0;
      size_t refusals = 0;
      for (size_t n = 0;; n++) {
        fail_from = allocations + n;
        argpick_status status = from_memory ? argpick_weights_from_memory(bytes, size, flags, &weights)
                                            : argpick_weights_open(path, flags, &weights);
        fail_from = SIZE_MAX;
        if (status == ARGPICK_OK) break;
        /* What the system would say of a file, or what the library says of its own memory. */
        CHECK(status == ARGPICK_ERR_OUT_OF_MEMORY || status == ARGPICK_ERR_FILE);
        SAYS(status == ARGPICK_ERR_FILE ? "emory" : "out of memory");
        CHECK(weights == NULL);
        refusals++;
      }
      CHECK(refusals >= 3);
      OK(argpick_weights_shape(weights, &vocab, &features));
      CHECK(vocab == 100 && features == FEATURES);
      argpick_weights_free(weights);
    }
  }
  CHECK(unlink(path) == 0);
}
#endif

static void no_system_call(void) {
#if defined(__linux__)
  if (getenv("ARGPICK_TEST_SECCOMP") == NULL) return;
  argpick_config config = plan(3);
  argpick_decoder *decoder = NULL;
  argpick_weights *weights = NULL;
  OK(argpick_decoder_init(&memory, sizeof memory, &config, VOCAB, &decoder));
  OK(argpick_weights_init_from_arrays(&handle, sizeof handle, matrix, bias, VOCAB, FEATURES, &weights));
  fflush(NULL);
  for (int cheat = 0; cheat < 2; cheat++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(3);
      if (cheat) syscall(SYS_getpid);
      run_steps(decoder, weights);
      syscall(SYS_exit, 0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3) {
      puts("skipped: this system does not let a process forbid itself system calls");
      return;
    }
    /* The one that cheats must be caught, else the proof proves nothing. */
    CHECK(cheat ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  puts("no system call in a step: ok");
#endif
}

int main(void) {
  fill_row(row, VOCAB, 6);
  fill_row(matrix, VOCAB * FEATURES, 7);
  fill_row(bias, VOCAB, 8);
  for (int which = 0; which < 5; which++) nothing_is_allocated(which);
  a_failing_allocator();
#if defined(__linux__)
  a_failing_allocator_and_files();
#endif
  no_system_call();
  puts("no heap: ok");
  return 0;
}
