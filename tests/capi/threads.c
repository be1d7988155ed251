/* One handle, two threads: the second is told ARGPICK_ERR_BUSY and changes nothing. Weights may be read by many at once.
   Each thread has its own last error. */
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

enum { VOCAB = 1 << 18, SMALL = 64, ATTEMPTS = 100000000 };

static float *row;
static argpick_decoder *shared;
static argpick_weights *weights;
static atomic_int stop, ready;
static atomic_ullong recorded;

static void *decode_until_stopped(void *unused) {
  (void)unused;
  atomic_store(&ready, 1);
  while (!atomic_load(&stop)) {
    argpick_pick pick = fresh_pick();
    argpick_status status = argpick_decode(shared, row, ARGPICK_F32, VOCAB, NULL, 0, &pick);
    CHECK(status == ARGPICK_OK || status == ARGPICK_ERR_BUSY);
    CHECK(status == ARGPICK_OK || is_fresh(&pick));
    if (status == ARGPICK_OK) atomic_fetch_add(&recorded, 1);
  }
  return NULL;
}

static void busy(void) {
  argpick_config config = default_config();
  config.metrics = ARGPICK_METRIC_ALL;
  shared = new_decoder(&config, VOCAB);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, decode_until_stopped, NULL) == 0);
  while (!atomic_load(&ready)) {
  }
  argpick_status status = ARGPICK_OK;
  uint64_t position = 0;
  for (int i = 0; i < ATTEMPTS && status == ARGPICK_OK; i++) status = argpick_decoder_position(shared, &position);
  CHECK(status == ARGPICK_ERR_BUSY);
  SAYS("argpick_decoder_position: another thread is in a call on this decoder");
  /* Decoding from here, too: whoever is refused has changed nothing. */
  for (int i = 0; i < 20; i++) {
    argpick_pick pick = fresh_pick();
    status = argpick_decode(shared, row, ARGPICK_F32, VOCAB, NULL, 0, &pick);
    CHECK(status == ARGPICK_OK || (status == ARGPICK_ERR_BUSY && is_fresh(&pick)));
    if (status == ARGPICK_OK) atomic_fetch_add(&recorded, 1);
  }
  atomic_store(&stop, 1);
  CHECK(pthread_join(thread, NULL) == 0);
  OK(argpick_decoder_position(shared, &position));
  CHECK(position == atomic_load(&recorded) && position > 0);
  argpick_decoder_free(shared);
}

static void *read_weights(void *result) {
  const uint32_t column = 1;
  float logits[SMALL];
  argpick_pick pick = fresh_pick();
  argpick_config config = default_config();
  argpick_decoder *decoder = new_decoder(&config, SMALL);
  CHECK(strcmp(argpick_last_error(), "") == 0);
  for (int i = 0; i < 2000; i++) {
    OK(argpick_logits(weights, &column, NULL, 1, logits, SMALL));
    OK(argpick_decode_sparse(decoder, weights, &column, NULL, 1, NULL, 0, &pick));
  }
  /* An error of this thread, with its own number in it. */
  uint32_t beyond = 100 + *(const uint32_t *)result;
  ANSWERS(ARGPICK_ERR_COLUMN_OUT_OF_RANGE, argpick_logits(weights, &beyond, NULL, 1, logits, SMALL));
  check_detail(ARGPICK_ERR_COLUMN_OUT_OF_RANGE, beyond, 2);
  argpick_decoder_free(decoder);
  return NULL;
}

static void shared_weights(void) {
  pthread_t threads[4];
  static uint32_t numbers[4] = {0, 1, 2, 3};
  OK(argpick_weights_new(SMALL, 2, &weights));
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, read_weights, &numbers[i]) == 0);
  for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  argpick_weights_free(weights);
}

int main(void) {
  row = malloc(VOCAB * sizeof *row);
  CHECK(row != NULL);
  fill_row(row, VOCAB, 12);
  busy();
  shared_weights();
  free(row);
  puts("threads: ok");
  return 0;
}
