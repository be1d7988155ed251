/* argpick on the device: the internal interface between the kernels of this folder and their host.
 *
 * Plain C, so that Rust declares it by hand and the host build of the same code (cuda/host) exports it too. It is not the
 * public ABI: that is include/argpick.h. Everything a launch needs is passed in; nothing is allocated, nothing waits, no
 * state is kept between calls, so a launch may be captured in a CUDA graph. Pointers in these structs are device pointers
 * unless they are said to be the host's. All structs are free of padding and have the same layout on both sides.
 */
#ifndef ARGPICK_CUDA_H
#define ARGPICK_CUDA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of this interface; argpick_device_version() tells that of the object that was linked. */
#define ARGPICK_DEVICE_VERSION 1u

/* Limits. What is beyond them is refused, by the launch or by the row's status. */
#define ARGPICK_DEVICE_MAX_VOCAB (1u << 22)
#define ARGPICK_DEVICE_MAX_ROWS (1u << 20)
/* Penalties look at so many of the newest history tokens at most. */
#define ARGPICK_DEVICE_MAX_WINDOW 8192u
/* Biases of one row, and bans of one row. */
#define ARGPICK_DEVICE_MAX_ADJUSTMENTS 65536u
/* Columns of one example of the sparse head. */
#define ARGPICK_DEVICE_MAX_COLUMNS 4096u

/* What a host function returns. */
#define ARGPICK_DEVICE_OK 0
/* No driver, or one too old for this build. */
#define ARGPICK_DEVICE_NO_DRIVER 1
#define ARGPICK_DEVICE_NO_DEVICE 2
/* A NULL pointer, a misaligned one, or a number outside its range; `detail` says which (ARGPICK_ARGUMENT_). */
#define ARGPICK_DEVICE_INVALID_ARGUMENT 3
#define ARGPICK_DEVICE_WORKSPACE_TOO_SMALL 4
/* The CUDA runtime refused the launch; `detail` is its cudaError_t. */
#define ARGPICK_DEVICE_LAUNCH_FAILED 5

/* `detail` of ARGPICK_DEVICE_INVALID_ARGUMENT. */
#define ARGPICK_ARGUMENT_NULL 1
#define ARGPICK_ARGUMENT_ALIGNMENT 2
#define ARGPICK_ARGUMENT_DTYPE 3
#define ARGPICK_ARGUMENT_ROWS 4
#define ARGPICK_ARGUMENT_VOCAB 5
#define ARGPICK_ARGUMENT_STRIDE 6
#define ARGPICK_ARGUMENT_FEATURES 7
#define ARGPICK_ARGUMENT_CAPACITY 8
#define ARGPICK_ARGUMENT_COLUMNS 9
#define ARGPICK_ARGUMENT_LEARNING_RATE 10
#define ARGPICK_ARGUMENT_TARGET 11

/* Element types: the numbers of the public ABI. */
#define ARGPICK_DEVICE_F32 0u
#define ARGPICK_DEVICE_F16 1u
#define ARGPICK_DEVICE_BF16 2u

#define ARGPICK_DEVICE_SAMPLE 0u
#define ARGPICK_DEVICE_GREEDY 1u

/* Metrics: the bits of the public ABI. LOOP (64) and FLIP (128) are not computed on the device and refused. */
#define ARGPICK_DEVICE_CONFIDENCE 1u
#define ARGPICK_DEVICE_LOGPROB 2u
#define ARGPICK_DEVICE_LOGPROB_RAW 4u
#define ARGPICK_DEVICE_RANK 8u
#define ARGPICK_DEVICE_KEPT 16u
#define ARGPICK_DEVICE_KEPT_MASS 32u

/* A history entry: the token, and this bit if it was prompt. */
#define ARGPICK_DEVICE_PROMPT 0x80000000u

/* An adjustment of one token. */
typedef struct argpick_device_bias {
  uint32_t token;
  float value; /* finite or -inf, which is a ban */
} argpick_device_bias;

/* One row of a batch: the configuration and what belongs to its sequence. An array of these lies in device memory. The
 * numbers are those of argpick_config, as given: the device compiles them as the CPU's plan does (a filter that cannot
 * remove anything is dropped; temperature 0 is greedy with metrics at temperature 1). Profile canon, min_keep 0 or 1,
 * keep_ties off; other filters do not exist here. A number out of range is the row's status. */
typedef struct argpick_device_row {
  uint64_t seed;
  uint64_t stream;
  uint64_t position;             /* of the random numbers; moved on by ARGPICK_DEVICE_RECORD */
  const uint32_t *mask;          /* bit t & 31 of word t >> 5 allows token t; NULL allows all */
  uint32_t *history;             /* tokens so far, the one recorded as number i at i % history_capacity; may be NULL */
  const argpick_device_bias *biases; /* ascending tokens, none twice */
  const uint32_t *bans;          /* ascending tokens, none twice */
  uint64_t history_recorded;     /* tokens recorded since the start, prompt included */
  uint32_t history_capacity;     /* tokens that `history` holds; the penalties never look further back */
  uint32_t mask_words;           /* words past the end are 0 */
  uint32_t bias_count;
  uint32_t ban_count;
  uint32_t valid_vocab;          /* only ids below take part; 0 is all */
  uint32_t mode;                 /* ARGPICK_DEVICE_SAMPLE, _GREEDY */
  float temperature;
  uint32_t top_k;                /* 0 is off */
  float top_p;                   /* 1 is off */
  float min_p;                   /* 0 is off */
  float typical_p;               /* 1 is off */
  float repetition_penalty;      /* 1 is off */
  float frequency_penalty;       /* 0 is off */
  float presence_penalty;        /* 0 is off */
  uint32_t penalty_window;       /* 0 is history_capacity */
  uint32_t penalty_generated;    /* 1: the penalties do not count prompt tokens */
  uint32_t metrics;              /* ARGPICK_DEVICE_CONFIDENCE | ... */
  uint32_t skip;                 /* 1: the row is left out; its status says so, nothing else of it is touched */
} argpick_device_row;

/* What a row came to. */
#define ARGPICK_ROW_OK 0u
/* A NaN or +inf that takes part, as given or after adjustment: `index` and `value` are those of the lowest such token. */
#define ARGPICK_ROW_INVALID_LOGIT 1u
#define ARGPICK_ROW_EVERYTHING_MASKED 2u
/* A parameter out of range or not supported: `index` is its ARGPICK_PARAMETER_, `value` is it as a number. */
#define ARGPICK_ROW_INVALID_PARAMETER 3u
/* A bias or ban is out of order, out of range, NaN or +inf, or a history token is out of range: `index` is its place. */
#define ARGPICK_ROW_INVALID_LIST 4u
/* The row needs a feature that the launch was not told of: `index` is the missing ARGPICK_FEATURE_ bits. */
#define ARGPICK_ROW_MISSING_FEATURE 5u
#define ARGPICK_ROW_SKIPPED 6u

#define ARGPICK_PARAMETER_MODE 1u
#define ARGPICK_PARAMETER_TEMPERATURE 2u
#define ARGPICK_PARAMETER_TOP_P 3u
#define ARGPICK_PARAMETER_MIN_P 4u
#define ARGPICK_PARAMETER_TYPICAL_P 5u
#define ARGPICK_PARAMETER_REPETITION_PENALTY 6u
#define ARGPICK_PARAMETER_FREQUENCY_PENALTY 7u
#define ARGPICK_PARAMETER_PRESENCE_PENALTY 8u
#define ARGPICK_PARAMETER_PENALTY_WINDOW 9u
#define ARGPICK_PARAMETER_VALID_VOCAB 10u
#define ARGPICK_PARAMETER_METRICS 11u
#define ARGPICK_PARAMETER_HISTORY_CAPACITY 12u
#define ARGPICK_PARAMETER_BIASES 13u
#define ARGPICK_PARAMETER_BANS 14u
#define ARGPICK_PARAMETER_MASK 15u
/* Window, biases and bans of a row are more than the launch's adjustment_capacity. */
#define ARGPICK_PARAMETER_ADJUSTMENT_CAPACITY 16u

/* The result of a row. Where the status is not 0, token is UINT32_MAX and every other number NaN or UINT32_MAX (skipped rows
 * keep the pick they had). What the metrics did not ask for is NaN, or UINT32_MAX. */
typedef struct argpick_device_pick {
  uint32_t status; /* ARGPICK_ROW_ */
  uint32_t index;  /* of the status; 0 where it is 0 */
  float value;     /* of the status; 0 where it is 0 */
  uint32_t token;
  uint32_t argmax;
  uint32_t rank;
  uint32_t kept;
  float margin;
  float top1_probability;
  float entropy;
  float logprob_raw;
  float logprob;
  float kept_mass;
  float temperature;
} argpick_device_pick;

/* What some row of a launch may need; argpick_device_features tells of one row. More is allowed, less is refused per row. */
/* Penalties, biases or bans: one more kernel. */
#define ARGPICK_FEATURE_ADJUSTMENTS 1u
/* A pass of exponentials over the row (CONFIDENCE, KEPT_MASS, LOGPROB_RAW, typical): one more kernel. */
#define ARGPICK_FEATURE_SUMS 2u

/* Flags of a launch. */
/* A row that succeeds moves its position on by one and, if it has a history, records its token there: a graph can then be
 * replayed step after step without the host. */
#define ARGPICK_DEVICE_RECORD 1u

/* A batched decode. The struct itself is the host's and is read before the call returns. */
typedef struct argpick_device_decode {
  const void *logits;            /* aligned to its element; 16 bytes, rows included, are read faster */
  uint64_t row_stride;           /* elements from one row to the next, at least vocab */
  argpick_device_row *rows;      /* one per row */
  argpick_device_pick *picks;    /* one per row */
  void *workspace;               /* aligned to 256 bytes; contents do not matter before or after */
  uint64_t workspace_size;       /* bytes */
  void *stream;                  /* cudaStream_t; NULL is the default stream */
  uint32_t row_count;            /* 0 is a no-op */
  uint32_t vocab;
  uint32_t dtype;
  uint32_t features;             /* ARGPICK_FEATURE_ */
  uint32_t flags;                /* ARGPICK_DEVICE_RECORD */
  uint32_t adjustment_capacity;  /* window + biases + bans of any one row at most; 0 without ARGPICK_FEATURE_ADJUSTMENTS */
} argpick_device_decode;

uint32_t argpick_device_version(void);

/* Devices that can be used, and the driver's version (CUDA's numbering, 0 if there is none). `detail` is the cudaError_t. */
int32_t argpick_device_probe(int32_t *count, int32_t *driver_version, int32_t *detail);

/* The features that a row needs (a row in host memory; its pointers are not followed). */
uint32_t argpick_device_features(const argpick_device_row *row);

/* Bytes of workspace that a decode of this shape needs (0 if the shape is out of range). Only the counts, vocab, dtype,
 * features and adjustment_capacity are looked at. */
uint64_t argpick_device_decode_workspace(const argpick_device_decode *decode);

/* Queues a batched decode on its stream. Returns ARGPICK_DEVICE_; `detail` (may be NULL) is set on failure. */
int32_t argpick_device_decode_launch(const argpick_device_decode *decode, int32_t *detail);

/* The sparse head: z = b + sum_j a_j W[:, c_j], added for each token in the order of the columns. */
typedef struct argpick_device_head {
  const void *weights;           /* column after column, vocab elements each */
  const void *bias;              /* vocab elements */
  uint32_t vocab;
  uint32_t columns;              /* of W */
  uint32_t dtype;                /* of the weights */
  uint32_t bias_dtype;
} argpick_device_head;

/* One input of the head. In a batch each row has one; an array of these lies in device memory. */
typedef struct argpick_device_input {
  const uint32_t *columns;       /* each below the head's columns; a row with another is ARGPICK_ROW_INVALID_LIST */
  const float *values;           /* as many; NULL is 1 everywhere; not finite is ARGPICK_ROW_INVALID_LIST */
  uint64_t count;                /* at most ARGPICK_DEVICE_MAX_COLUMNS */
} argpick_device_input;

/* As argpick_device_decode_launch with the rows that `head` makes of `inputs`: sum, block maxima and check in one kernel.
 * decode->logits is where the rows are written, as f32 with decode->row_stride (dtype must be ARGPICK_DEVICE_F32), because
 * later kernels read a few of them again. */
int32_t argpick_device_decode_sparse_launch(const argpick_device_decode *decode, const argpick_device_head *head,
                                            const argpick_device_input *inputs, int32_t *detail);

/* What a train step found, in device memory. */
typedef struct argpick_device_score {
  uint32_t status;  /* ARGPICK_ROW_OK, _INVALID_LOGIT (index, value), _INVALID_LIST (index: place in the columns), or: */
#define ARGPICK_ROW_UPDATE_OVERFLOW 7u /* index is the token, `column` the column, UINT32_MAX for the bias */
  uint32_t index;
  float value;
  uint32_t column;
  float loss;
  uint32_t argmax;
  uint32_t correct;
  uint32_t reserved;
} argpick_device_score;

/* One step of stochastic gradient descent on the softmax cross-entropy; f32 weights and bias. All or nothing: where the
 * status is not 0 the head has not changed. The struct is the host's. */
typedef struct argpick_device_train {
  float *weights;                /* columns * vocab */
  float *bias;                   /* vocab */
  float *gradient;               /* vocab elements: afterwards p - onehot(target) */
  const uint32_t *columns;       /* device; each below `features` */
  const float *values;           /* device; NULL is 1 everywhere */
  argpick_device_score *score;   /* device */
  void *workspace;               /* aligned to 256 bytes */
  uint64_t workspace_size;
  void *stream;
  uint32_t vocab;
  uint32_t features;             /* columns of W */
  uint32_t column_count;         /* of this example, at most ARGPICK_DEVICE_MAX_COLUMNS */
  uint32_t target;
  float learning_rate;           /* finite, above 0 */
  uint32_t reserved;
} argpick_device_train;

uint64_t argpick_device_train_workspace(const argpick_device_train *train);
int32_t argpick_device_train_launch(const argpick_device_train *train, int32_t *detail);

#ifdef __cplusplus
}
#endif

#endif
