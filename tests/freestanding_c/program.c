/*
 * Decodes, trains and saves through argpick.h in static memory, without libc, a heap or a system, and prints what came of
 * it. Compiled with HOSTED it is an ordinary program: `run` compares what both print.
 */
#include "argpick.h"

#ifdef HOSTED
#include <stdio.h>
#include <string.h>
static void put(const char *text, size_t length) { fwrite(text, 1, length, stdout); }
#else
static long system_call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

static void put(const char *text, size_t length) {
  while (length > 0) {
    long written = system_call(1, 1, (long)text, (long)length);
    if (written <= 0) return;
    text += written;
    length -= (size_t)written;
  }
}

/* The functions on memory that compilers call without being asked. */
void *memcpy(void *restrict to, const void *restrict from, size_t count) {
  unsigned char *t = to;
  const unsigned char *f = from;
  while (count-- > 0) *t++ = *f++;
  return to;
}

void *memmove(void *to, const void *from, size_t count) {
  unsigned char *t = to;
  const unsigned char *f = from;
  if (t < f) return memcpy(to, from, count);
  while (count-- > 0) t[count] = f[count];
  return to;
}

void *memset(void *to, int value, size_t count) {
  unsigned char *t = to;
  while (count-- > 0) *t++ = (unsigned char)value;
  return to;
}

int memcmp(const void *a, const void *b, size_t count) {
  const unsigned char *x = a, *y = b;
  for (; count > 0; count--, x++, y++)
    if (*x != *y) return *x < *y ? -1 : 1;
  return 0;
}

int bcmp(const void *a, const void *b, size_t count) { return memcmp(a, b, count); }

size_t strlen(const char *text) {
  size_t length = 0;
  while (text[length] != 0) length++;
  return length;
}
#endif

enum { VOCAB = 1000, FEATURES = 4 };

static union {
  long double align;
  unsigned char bytes[65536];
} memory, handle;

static float row[VOCAB], matrix[VOCAB * FEATURES], bias[VOCAB], gradient[VOCAB];
static unsigned char saved[4096];

static void text(const char *word) { put(word, strlen(word)); }

static void number(const char *name, uint64_t value) {
  char digits[20];
  size_t at = sizeof digits;
  do digits[--at] = (char)('0' + value % 10);
  while ((value /= 10) != 0);
  text(" ");
  text(name);
  text(" ");
  put(digits + at, sizeof digits - at);
}

static void bits(const char *name, float value) {
  uint32_t word;
  memcpy(&word, &value, sizeof word);
  number(name, word);
}

/* A refusal is printed in full; it must read the same everywhere. */
static int refused(argpick_status status) {
  if (status == ARGPICK_OK) return 0;
  number("status", (uint64_t)status);
  text(": ");
  text(argpick_last_error());
  text("\n");
  return 1;
}

static int run(void) {
  static const struct {
    const char *name;
    uint32_t mode, top_k;
    float temperature, top_p, min_p;
  } plans[4] = {{"greedy", ARGPICK_MODE_GREEDY, 0, 1.0f, 1.0f, 0.0f},
                {"draw", ARGPICK_MODE_SAMPLE, 0, 0.8f, 1.0f, 0.0f},
                {"chain", ARGPICK_MODE_SAMPLE, 40, 0.8f, 0.95f, 0.05f},
                {"nucleus", ARGPICK_MODE_SAMPLE, 0, 1.0f, 0.9f, 0.0f}};
  uint64_t state = 77;
  for (int i = 0; i < VOCAB; i++) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    row[i] = (float)(state >> 40) / 1048576.0f - 8.0f;
  }
  number("abi", argpick_abi_version());
  number("numerics", argpick_numerics_version());
  text("\n");

  argpick_weights *weights;
  if (refused(argpick_weights_init_from_arrays(&handle, sizeof handle, matrix, bias, VOCAB, FEATURES, &weights))) return 1;
  for (uint32_t step = 0; step < 40; step++) {
    uint32_t column = step % FEATURES, argmax;
    float loss;
    if (refused(argpick_train_step(weights, &column, NULL, 1, 100 * column, 0.5f, gradient, VOCAB, &loss, &argmax))) return 1;
    if (step % 10 == 9) {
      number("argmax", argmax);
      bits("loss", loss);
      text("\n");
    }
  }
  for (int plan = 0; plan < 4; plan++) {
    argpick_config config;
    argpick_decoder *decoder;
    argpick_pick pick;
    size_t size, written;
    pick.struct_size = sizeof pick;
    if (refused(argpick_config_init(&config, sizeof config))) return 1;
    config.seed = 5;
    config.mode = plans[plan].mode;
    config.top_k = plans[plan].top_k;
    config.temperature = plans[plan].temperature;
    config.top_p = plans[plan].top_p;
    config.min_p = plans[plan].min_p;
    config.history_capacity = 64;
    config.adjustment_capacity = 16;
    config.no_repeat_window = 2;
    config.metrics = ARGPICK_METRIC_ALL;
    if (refused(argpick_decoder_size(&config, VOCAB, &size))) return 1;
    if (refused(argpick_decoder_init(&memory, size, &config, VOCAB, &decoder))) return 1;
    for (int step = 0; step < 4; step++) {
      const uint32_t columns[2] = {1, 3};
      if (step % 2 == 0) {
        if (refused(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &pick))) return 1;
      } else if (refused(argpick_decode_sparse(decoder, weights, columns, NULL, 2, NULL, 0, &pick))) {
        return 1;
      }
      text(plans[plan].name);
      number("token", pick.token);
      number("rank", pick.rank);
      number("kept", pick.kept);
      bits("margin", pick.margin);
      bits("entropy", pick.entropy);
      bits("logprob", pick.logprob);
      bits("mass", pick.kept_mass);
      text("\n");
    }
    if (refused(argpick_decoder_save(decoder, saved, sizeof saved, &written))) return 1;
    number("saved", written);
    if (refused(argpick_decoder_load(decoder, saved, written))) return 1;
    row[3] += 1.0f / 0.0f;
    refused(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    row[3] = 0.0f;
    refused(argpick_decode(decoder, row, ARGPICK_F32, 7, NULL, 0, &pick));
    refused(argpick_decode(NULL, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    argpick_decoder_free(decoder);
  }
  argpick_weights_free(weights);
  return 0;
}

#ifdef HOSTED
int main(void) { return run(); }
#else
__attribute__((used)) static void start(void) {
  int code = run();
  for (;;) system_call(60, code, 0, 0);
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tand $-16, %rsp\n\tcall start\n");
#endif
