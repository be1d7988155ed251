/* The CUDA path from C, on a machine without a GPU. tests/capi.rs links a library that was built without it, where every call
 * says so; .ci/cuda one that has it, where what the host can check is checked and a launch says that there is no device. */
#include "check.h"

enum { VOCAB = 1000, ROWS = 3 };

static void not_built(void) {
  argpick_config config = default_config();
  argpick_cuda_row row;
  argpick_cuda_batch batch;
  uint64_t bytes = 77;
  uint32_t count = 77, driver = 77;
  memset(&batch, 0, sizeof batch);
  batch.struct_size = sizeof batch;
  ANSWERS(ARGPICK_ERR_CUDA_UNAVAILABLE, argpick_cuda_devices(&count, &driver));
  SAYS("argpick_cuda_devices: the CUDA path is not available: this library was built without it");
  check_detail(ARGPICK_ERR_CUDA_UNAVAILABLE, UINT64_MAX, 0.0);
  ANSWERS(ARGPICK_ERR_CUDA_UNAVAILABLE, argpick_cuda_row_init(&config, VOCAB, &row));
  ANSWERS(ARGPICK_ERR_CUDA_UNAVAILABLE, argpick_cuda_plan(&batch, NULL, 0, &bytes));
  ANSWERS(ARGPICK_ERR_CUDA_UNAVAILABLE, argpick_cuda_decode(&batch));
  ANSWERS(ARGPICK_ERR_CUDA_UNAVAILABLE, argpick_cuda_decode_sparse(&batch, NULL, 0));
  ANSWERS(ARGPICK_ERR_CUDA_UNAVAILABLE, argpick_cuda_pick_status(NULL));
  ANSWERS(ARGPICK_ERR_CUDA_UNAVAILABLE, argpick_cuda_train_workspace(NULL, &bytes));
  ANSWERS(ARGPICK_ERR_CUDA_UNAVAILABLE, argpick_cuda_train_step(NULL));
  ANSWERS(ARGPICK_ERR_CUDA_UNAVAILABLE, argpick_cuda_score_status(NULL));
  CHECK(count == 77 && driver == 77 && bytes == 77);
  puts("the CUDA path is not in this library, and every call says so: ok");
}

static void rows_and_plans(void) {
  argpick_config config = default_config();
  argpick_cuda_row rows[ROWS];
  argpick_cuda_batch batch;
  uint64_t bytes = 77, more = 77;
  ANSWERS(ARGPICK_ERR_NULL, argpick_cuda_row_init(NULL, VOCAB, &rows[0]));
  SAYS("config is NULL");
  config.top_a = 0.5f;
  ANSWERS(ARGPICK_ERR_NOT_IN_PROFILE, argpick_cuda_row_init(&config, VOCAB, &rows[0]));
  SAYS("the profile cuda has no top_a");
  config = default_config();
  config.top_p = 0.9f;
  for (int i = 0; i < ROWS; i++) OK(argpick_cuda_row_init(&config, VOCAB, &rows[i]));
  CHECK(rows[0].top_p == 0.9f && rows[0].position == 0 && rows[0].mask == 0 && rows[0].repetition_penalty == 1.0f);

  memset(&batch, 0, sizeof batch);
  ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_cuda_plan(&batch, rows, ROWS, &bytes));
  batch.struct_size = sizeof batch;
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_cuda_plan(&batch, rows, ROWS, &bytes));
  batch.vocab = VOCAB;
  batch.row_stride = VOCAB;
  batch.row_count = ROWS;
  OK(argpick_cuda_plan(&batch, rows, ROWS, &bytes));
  CHECK(bytes > 0 && batch.features == 0 && batch.adjustment_capacity == 0);

  rows[2].bias_count = 5;
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_cuda_plan(&batch, rows, ROWS, &more));
  SAYS("row 2");
  SAYS("biases is 0");
  rows[2].biases = 4096;
  rows[2].metrics = ARGPICK_METRIC_CONFIDENCE;
  OK(argpick_cuda_plan(&batch, rows, ROWS, &more));
  CHECK(more > bytes && batch.features != 0 && batch.adjustment_capacity == 5);
  rows[1].temperature = -1.0f;
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_cuda_plan(&batch, rows, ROWS, &more));
  SAYS("row 1");
  SAYS("temperature is -1");

  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_cuda_decode(&batch));
  SAYS("is 0");
  batch.flags = 2;
  ANSWERS(ARGPICK_ERR_RESERVED, argpick_cuda_decode(&batch));
}

static void statuses(void) {
  argpick_cuda_pick pick;
  argpick_cuda_score score;
  memset(&pick, 0, sizeof pick);
  OK(argpick_cuda_pick_status(&pick));
  pick.status = ARGPICK_CUDA_ROW_INVALID_LOGIT;
  pick.index = 17;
  pick.value = INFINITY;
  ANSWERS(ARGPICK_ERR_INVALID_LOGIT, argpick_cuda_pick_status(&pick));
  check_detail(ARGPICK_ERR_INVALID_LOGIT, 17, INFINITY);
  pick.status = ARGPICK_CUDA_ROW_EVERYTHING_MASKED;
  ANSWERS(ARGPICK_ERR_EVERYTHING_MASKED, argpick_cuda_pick_status(&pick));
  memset(&score, 0, sizeof score);
  score.status = ARGPICK_CUDA_ROW_UPDATE_OVERFLOW;
  score.index = 3;
  score.column = 9;
  ANSWERS(ARGPICK_ERR_UPDATE_OVERFLOW, argpick_cuda_score_status(&score));
  check_detail(ARGPICK_ERR_UPDATE_OVERFLOW, 3, 9.0);
}

static void without_a_device(void) {
  argpick_cuda_batch batch;
  uint32_t count = 77, driver = 77;
  argpick_status status = argpick_cuda_devices(&count, &driver);
  if (status == ARGPICK_OK) {
    puts("skipped: what a launch answers without a GPU: there is one here");
    return;
  }
  CHECK(status == ARGPICK_ERR_CUDA_UNAVAILABLE && count == 77 && driver == 77);
  memset(&batch, 0, sizeof batch);
  batch.struct_size = sizeof batch;
  batch.vocab = VOCAB;
  batch.row_stride = VOCAB;
  batch.row_count = 1;
  batch.logits = batch.rows = batch.picks = batch.workspace = 4096;
  OK(argpick_cuda_plan(&batch, NULL, 0, &batch.workspace_size));
  ANSWERS(ARGPICK_ERR_CUDA_UNAVAILABLE, argpick_cuda_decode(&batch));
  printf("a launch: %s\n", argpick_last_error());
}

int main(void) {
  uint32_t number;
  CHECK(sizeof(argpick_cuda_row) == 136 && sizeof(argpick_cuda_pick) == 56 && sizeof(argpick_cuda_batch) == 88);
  CHECK(sizeof(argpick_cuda_bias) == 8 && sizeof(argpick_cuda_input) == 24 && sizeof(argpick_cuda_score) == 32);
  CHECK(sizeof(argpick_cuda_head) == 40 && sizeof(argpick_cuda_train) == 96);
  if (argpick_cuda_devices(NULL, &number) == ARGPICK_ERR_CUDA_UNAVAILABLE) {
    not_built();
  } else {
    rows_and_plans();
    statuses();
    without_a_device();
    puts("the CUDA path, on the host: ok");
  }
  /* The CPU goes on. */
  argpick_config config = default_config();
  argpick_decoder *decoder = new_decoder(&config, 3);
  argpick_pick pick = fresh_pick();
  const float row[3] = {1.0f, 2.0f, 3.0f};
  OK(argpick_decode(decoder, row, ARGPICK_F32, 3, NULL, 0, &pick));
  argpick_decoder_free(decoder);
  return 0;
}
