/*
 * argpick: an embeddable token decoder. Logits in, token out.
 *
 *   argpick_config config;
 *   argpick_decoder *decoder;
 *   argpick_pick pick = {0};
 *   pick.struct_size = sizeof pick;
 *   argpick_config_init(&config, sizeof config);
 *   config.temperature = 0.8f;
 *   config.top_p = 0.95f;
 *   if (argpick_decoder_new(&config, vocab, &decoder) != ARGPICK_OK) puts(argpick_last_error());
 *   while (pick.finish == ARGPICK_FINISH_NONE && next_row(row, pick.token) &&
 *          argpick_decode(decoder, row, ARGPICK_F32, vocab, NULL, 0, &pick) == ARGPICK_OK) emit(pick.token);
 *   argpick_decoder_free(decoder);
 *
 * Rules that hold for every function:
 *
 * - It returns ARGPICK_OK or the number of an error, unless it cannot fail. argpick_last_error tells the rest.
 *   After an error the handle is as if the call had not been made, and outputs have not been written.
 * - NULL, a misaligned pointer or an impossible count is an error, not a crash. Only where it says so may a
 *   pointer be NULL. "Safety" lists what the library cannot check.
 * - What a call writes overlaps nothing else that it is given; the rows of argpick_process, argpick_probabilities and
 *   argpick_softmax are one array, read and written. Nobody else writes what it reads meanwhile.
 * - Pointers are borrowed for the call. Only what a function says it makes has to be freed, by its _free.
 * - A handle is for one thread at a time: a second one gets ARGPICK_ERR_BUSY. Weights may be read by many.
 * - Structs begin with struct_size, so that they can grow: set it to sizeof the struct. That of an older release
 *   works: what it lacks is at its default, and nothing is written past it. That of a newer one, and any other size,
 *   is refused, whatever is in it. Fields named reserved are 0, else refused.
 * - Text is UTF-8. Numbers of statuses, flags and choices are permanent.
 * - A step allocates nothing and makes no system call. The same row, configuration, seed, stream and position give
 *   the same token and the same bits on every processor.
 *
 * Generated from src/capi by cbindgen; `UPDATE=1 cargo test --test header` writes it anew.
 */


#ifndef ARGPICK_H
#define ARGPICK_H

#include <stddef.h>
#include <stdint.h>

/* The version of this header, and the same as one number: major * 65536 + minor * 256 + patch. */
#define ARGPICK_VERSION_STRING "0.1.0"
#define ARGPICK_VERSION \
  (ARGPICK_VERSION_MAJOR * 65536 + ARGPICK_VERSION_MINOR * 256 + ARGPICK_VERSION_PATCH)


// The first number of the version of this header, to be compared with argpick_version.
#define ARGPICK_VERSION_MAJOR 0

// The second number of the version of this header.
#define ARGPICK_VERSION_MINOR 1

// The third number of the version of this header.
#define ARGPICK_VERSION_PATCH 0

// The ABI this header describes. A library with another one must not be used with it; it has another SONAME, too.
#define ARGPICK_ABI_VERSION 0

// The numerics this header was released with: the tokens of a seed are the same as long as this number is.
#define ARGPICK_NUMERICS_VERSION 0

// Memory for argpick_decoder_init and argpick_weights_init is aligned to this many bytes.
#define ARGPICK_MEMORY_ALIGNMENT 16

// argpick's own order and rules: every stage, one total order, exact boundaries.
#define ARGPICK_PROFILE_CANON 0

// The order and the rules of Hugging Face transformers.
#define ARGPICK_PROFILE_HUGGINGFACE 1

// The order and the rules of llama.cpp.
#define ARGPICK_PROFILE_LLAMA_CPP 2

// The order and the rules of vLLM.
#define ARGPICK_PROFILE_VLLM 3

// Pick by a random draw from what the filters keep.
#define ARGPICK_MODE_SAMPLE 0

// Pick the highest logit, the lowest id among equals; filters do not run.
#define ARGPICK_MODE_GREEDY 1

// No Mirostat.
#define ARGPICK_MIROSTAT_OFF 0

// Mirostat, version 1.
#define ARGPICK_MIROSTAT_1 1

// Mirostat, version 2.
#define ARGPICK_MIROSTAT_2 2

// The penalties count what the profile's engine counts; canon: prompt and generated tokens.
#define ARGPICK_PENALTY_SCOPE_PROFILE 0

// The penalties count prompt and generated tokens.
#define ARGPICK_PENALTY_SCOPE_ALL 1

// The penalties count generated tokens only.
#define ARGPICK_PENALTY_SCOPE_GENERATED 2

// Report top1_probability and entropy.
#define ARGPICK_METRIC_CONFIDENCE 1

// Report logprob.
#define ARGPICK_METRIC_LOGPROB 2

// Report logprob_raw.
#define ARGPICK_METRIC_LOGPROB_RAW 4

// Report rank.
#define ARGPICK_METRIC_RANK 8

// Report kept.
#define ARGPICK_METRIC_KEPT 16

// Report kept_mass.
#define ARGPICK_METRIC_KEPT_MASS 32

// Report loop_period, loop_repeats and loop_score.
#define ARGPICK_METRIC_LOOP 64

// Report flip_argmax, flip_kept and flip_token.
#define ARGPICK_METRIC_FLIP 128

// Report everything.
#define ARGPICK_METRIC_ALL 255

// The sequence goes on.
#define ARGPICK_FINISH_NONE 0

// The sequence ends with this token: max_tokens was reached.
#define ARGPICK_FINISH_LENGTH 1

// The sequence ends with this token: it is one of the end tokens.
#define ARGPICK_FINISH_END_TOKEN 2

// The sequence ends with this token: it completes a stop sequence.
#define ARGPICK_FINISH_STOP 3

// The sequence ends with this token: it runs in a circle, loop_repeats times.
#define ARGPICK_FINISH_LOOP 4

// No stop string was found.
#define ARGPICK_NO_STOP UINT32_MAX

// The token is picked as argpick_decode picks it; a draft stands if it is that token. For drafts made in any way.
#define ARGPICK_ACCEPTANCE_MATCH 0

// The drafts were chosen without chance (an argmax, a look-up): one stands with its probability p.
#define ARGPICK_ACCEPTANCE_CERTAIN 1

// Each draft was drawn from the draft model's q, siblings independently: one stands with probability min(1, p/q).
#define ARGPICK_ACCEPTANCE_DRAWN 2

// The same with siblings drawn without replacement: none comes twice.
#define ARGPICK_ACCEPTANCE_WITHOUT_REPLACEMENT 3

// In argpick_drafts.parents: the draft follows what is recorded already. In argpick_verified.node: no draft stands.
#define ARGPICK_ROOT 4294967295

// The longest path of drafts.
#define ARGPICK_MAX_DRAFT 64

// The most drafts that may follow one node.
#define ARGPICK_MAX_SIBLINGS 64

// So many stages have room for any configuration, the row itself included.
#define ARGPICK_MOST_STAGES 14

// The search ends when no beam can get among the best hypotheses any more. Nothing is lost by it.
#define ARGPICK_EARLY_STOPPING_NEVER 0

// It ends when no beam would be among them if it ended at its present length.
#define ARGPICK_EARLY_STOPPING_HEURISTIC 1

// It ends when as many hypotheses have ended as there are beams.
#define ARGPICK_EARLY_STOPPING_FULL 2

// Read the whole file into memory instead of mapping it: for hosts that cannot promise that nobody shortens or overwrites
// the file while the weights are open (a mapped file that shrinks ends the process by a signal).
#define ARGPICK_WEIGHTS_COPY 1

// Read everything once and compare the checksums of the arrays (only .npz has them).
#define ARGPICK_WEIGHTS_VERIFY 2

// A NumPy archive, W column-major.
#define ARGPICK_FORMAT_NPZ 0

// safetensors, the transposed weights as W.T.
#define ARGPICK_FORMAT_SAFETENSORS 1

// A row is neither flat nor saturated.
#define ARGPICK_VERDICT_HEALTHY 0

// Nearly all tokens are equally likely.
#define ARGPICK_VERDICT_FLAT 1

// One token has nearly all the probability.
#define ARGPICK_VERDICT_SATURATED 2

// Record the numbers of each pick that the metrics asked for.
#define ARGPICK_TRACE_NUMBERS 1

// Record the masks themselves, each when it changes, so that a replay need not be given them.
#define ARGPICK_TRACE_MASKS 2

// Record the columns of sparse steps, so that a replay needs only the weights.
#define ARGPICK_TRACE_COLUMNS 4

// Record everything.
#define ARGPICK_TRACE_ALL 7

// The step was recorded in the decoder, not only evaluated.
#define ARGPICK_STEP_RECORDED 1

// The columns that make the step's row are in the trace: argpick_replay_check_sparse needs only the weights.
#define ARGPICK_STEP_COLUMNS 2

// The step had a mask.
#define ARGPICK_STEP_MASK 4

// The step's mask is in the trace, so that none need be given.
#define ARGPICK_STEP_MASK_RECORDED 8

// The row is not the one that was recorded.
#define ARGPICK_DIFFERS_ROW 1

// The mask is not the one that was recorded.
#define ARGPICK_DIFFERS_MASK 2

// The answer is not the one that was recorded: see field.
#define ARGPICK_DIFFERS_ANSWER 4

// The row was decoded.
#define ARGPICK_CUDA_ROW_OK 0

// A logit is NaN or +inf: index is the lowest such token, value its logit.
#define ARGPICK_CUDA_ROW_INVALID_LOGIT 1

// No token is left.
#define ARGPICK_CUDA_ROW_EVERYTHING_MASKED 2

// A parameter of the row is out of range: value is it; argpick_cuda_pick_status names it.
#define ARGPICK_CUDA_ROW_INVALID_PARAMETER 3

// A bias, ban, history token or column is out of range, or out of order: index is its place in its list.
#define ARGPICK_CUDA_ROW_INVALID_LIST 4

// The row needs a feature that the batch was not planned with: index is its bits.
#define ARGPICK_CUDA_ROW_MISSING_FEATURE 5

// The row was skipped, as it asked for.
#define ARGPICK_CUDA_ROW_SKIPPED 6

// A training step would make a weight infinite or NaN: index is the token, column the column, UINT32_MAX for the bias.
#define ARGPICK_CUDA_ROW_UPDATE_OVERFLOW 7

// A flag of a batch: a row that succeeds moves its position on by one and records its token in its history, on the device,
// so that a CUDA graph can be replayed step after step.
#define ARGPICK_CUDA_RECORD 1

// A bit of a history word: the token was prompt.
#define ARGPICK_CUDA_PROMPT 2147483648

// A beam search under way. One thread at a time: a second one gets ARGPICK_ERR_BUSY.
typedef struct argpick_beam argpick_beam;

// A sequence being decoded: a configuration, a position, a history, biases, bans and other lists. One thread at a time: a
// second one gets ARGPICK_ERR_BUSY.
typedef struct argpick_decoder argpick_decoder;

// A trace being executed again. One thread at a time: a second one gets ARGPICK_ERR_BUSY.
typedef struct argpick_replay argpick_replay;

// A run of one decoder, being recorded. One thread at a time: a second one gets ARGPICK_ERR_BUSY.
typedef struct argpick_trace argpick_trace;

// A sparse linear head: z = b + sum_j a_j * W[:, c_j], W of shape (vocab, features), columns contiguous.
//
// Any number of threads may read the same weights at once. Training changes them and needs them alone: whoever comes
// meanwhile gets ARGPICK_ERR_BUSY.
typedef struct argpick_weights argpick_weights;

// What a call answers: ARGPICK_OK, or the positive number of an error. Numbers are permanent.
typedef int32_t argpick_status;

// Everything that decides what a decoder does with a row. Fill it by argpick_config_init, then set what you want.
typedef struct argpick_config {
  // sizeof(argpick_config), set by argpick_config_init.
  uint32_t struct_size;
  // Whose order and rules hold: ARGPICK_PROFILE_.
  uint32_t profile;
  // Seed of the random numbers.
  uint64_t seed;
  // Stream of the random numbers: one for each sequence that shares a seed.
  uint64_t stream;
  // ARGPICK_MODE_SAMPLE or ARGPICK_MODE_GREEDY.
  uint32_t mode;
  // Divides the logits: finite, at least 0. 1 leaves them; 0 means mode greedy with metrics at temperature 1, but under
  // ARGPICK_PROFILE_LLAMA_CPP the first token of what typical and XTC leave, or a temperature that follows the entropy.
  float temperature;
  // Keeps the so many highest logits, the lower id first among equals. 0, or at least the vocabulary: off.
  uint32_t top_k;
  // Keeps the smallest prefix of the order with this much probability, 0 to 1; the token that crosses stays. 1: off.
  float top_p;
  // Keeps what is at least this likely relative to the likeliest, 0 to 1. 0: off.
  float min_p;
  // Tokens that the history holds, up to 2^24; past it the oldest leave. 0: 4096.
  uint32_t history_capacity;
  // Masks the generated ones among the last so many tokens, up to history_capacity. 0: off.
  uint32_t no_repeat_window;
  // Ends the sequence after so many generated tokens. 0: no limit.
  uint32_t max_tokens;
  // Each filter keeps at least so many, the first of its order. 0: 1.
  uint32_t min_keep;
  // Only ids below this take part, up to the vocabulary; the row may be longer. 0: all.
  uint32_t valid_vocab;
  // What to report beside token, argmax, margin and finish: ARGPICK_METRIC_ flags. Each costs up to a pass of the row.
  uint32_t metrics;
  // Room for so many biases, and as many bans, up to 2^22. 0: 1024.
  uint32_t adjustment_capacity;
  // Keeps the tokens whose surprise is nearest the entropy, up to this probability, 0 to 1. 1: off.
  float typical_p;
  // Removes tokens less likely than this, 0 to 1. 0: off.
  float epsilon_cutoff;
  // Removes tokens less likely than the lesser of this and its root times exp(-entropy), 0 to 1. 0: off.
  float eta_cutoff;
  // Keeps logits within so many standard deviations of the highest, finite, at least 0. 0: off.
  float top_n_sigma;
  // Removes tokens less likely than this times the square of the largest probability, 0 to 1. 0: off.
  float top_a;
  // Tail-free: keeps this share of the curvature of the sorted probabilities, 0 to 1. 1: off.
  float tfs_z;
  // Keeps the prefix with this share of the entropy of the first 100 tokens, 0 to 1. 0: off.
  float top_h;
  // How often the likeliest tokens are removed ("exclude top choices"), 0 to 1. 0: off.
  float xtc_probability;
  // What counts as a top choice: this likely; all but the least likely of them go. Above 0.5: off.
  float xtc_threshold;
  // 1: top-k keeps all tokens that equal the k-th. 0: exactly k.
  uint32_t keep_ties;
  // Half the range of a temperature that follows the entropy, finite, at least 0. 0: off.
  float dynatemp_range;
  // The exponent of that curve, finite, at least 0.
  float dynatemp_exponent;
  // ARGPICK_MIROSTAT_: in place of all filters.
  uint32_t mirostat;
  // Mirostat's target surprise in bits, finite, at least 0.
  float mirostat_tau;
  // Mirostat's learning rate, finite, at least 0.
  float mirostat_eta;
  // Adaptive-p: prefers tokens whose probability is near this, up to 1. Negative: off.
  float adaptive_target;
  // Adaptive-p: how slowly the mean of what was picked forgets, 0 to 0.99.
  float adaptive_decay;
  // Divides positive and multiplies negative logits of tokens in the history; finite, above 0. 1: off.
  float repetition_penalty;
  // Subtracted once for each time a token stands in the history; finite. 0: off.
  float frequency_penalty;
  // Subtracted if a token stands in the history; finite. 0: off.
  float presence_penalty;
  // The penalties see so many of the last tokens, up to history_capacity. 0: all that the history holds.
  uint32_t penalty_window;
  // ARGPICK_PENALTY_SCOPE_: whether the penalties count the prompt.
  uint32_t penalty_scope;
  // DRY: the penalty of a token that would prolong a repetition; finite, at least 0. 0: off.
  float dry_multiplier;
  // DRY: by how much each further token of the repetition multiplies the penalty; finite, at least 1.
  float dry_base;
  // DRY: repetitions up to this length are free.
  uint32_t dry_allowed_length;
  // DRY sees so many of the last tokens, up to history_capacity. 0: all that the history holds.
  uint32_t dry_window;
  // Masks what would complete an n-gram of this length that stands in the history. 0: off.
  uint32_t no_repeat_ngram;
  // Masks the end tokens until so many tokens are generated. 0: off.
  uint32_t min_tokens;
  // From so many generated tokens on, the logits of the end tokens rise.
  uint32_t length_decay_start;
  // By how much: |logit| * (factor^(tokens past the start) - 1) is added; finite, above 0. 1: off.
  float length_decay_factor;
  // The longest period of a loop that is looked for, up to history_capacity. 0: 64 where loops are asked for.
  uint32_t loop_period;
  // Ends the sequence when its end repeats so many times. 0: never.
  uint32_t loop_repeats;
  // Room for so many tokens of end tokens, stop sequences, breakers, bad and biased sequences, of each kind,
  // up to 2^16. 0: 256.
  uint32_t sequence_capacity;
  // 0.
  uint32_t reserved0;
} argpick_config;

// The element type of a row: ARGPICK_F32, ARGPICK_F16 or ARGPICK_BF16.
typedef uint32_t argpick_dtype;

// The token picked, and how sure the row was. Set struct_size = sizeof(argpick_pick) before the call.
//
// What metrics did not ask for is NaN, or UINT32_MAX. margin, top1_probability and entropy describe the row after biases
// and masks and before truncation; probabilities are at the configured temperature.
typedef struct argpick_pick {
  // sizeof(argpick_pick); the caller sets it.
  uint32_t struct_size;
  // The token picked.
  uint32_t token;
  // The token with the highest logit, the lowest id among equals.
  uint32_t argmax;
  // How many tokens stand before the picked one in the order of logits; 0 is the argmax. ARGPICK_METRIC_RANK.
  uint32_t rank;
  // How many tokens the filters kept; 1 in greedy mode. ARGPICK_METRIC_KEPT.
  uint32_t kept;
  // Whether the sequence ends here, and why: ARGPICK_FINISH_.
  uint32_t finish;
  // Highest logit minus second highest, before temperature; +inf if only one token takes part.
  float margin;
  // Probability of the argmax. ARGPICK_METRIC_CONFIDENCE.
  float top1_probability;
  // Entropy in nats. ARGPICK_METRIC_CONFIDENCE.
  float entropy;
  // ln of the picked token's probability in the row as given, at temperature 1. ARGPICK_METRIC_LOGPROB_RAW.
  float logprob_raw;
  // ln of the picked token's probability among the tokens kept. ARGPICK_METRIC_LOGPROB.
  float logprob;
  // Probability of the tokens kept, together. ARGPICK_METRIC_KEPT_MASS.
  float kept_mass;
  // Sum of logprob over the generated tokens, this one included. ARGPICK_METRIC_LOGPROB.
  float cumulative_logprob;
  // The temperature in force.
  float temperature;
  // No change of the logits smaller than this changes argmax. ARGPICK_METRIC_FLIP.
  float flip_argmax;
  // No change of the logits smaller than this changes which tokens are kept. ARGPICK_METRIC_FLIP.
  float flip_kept;
  // No change of the logits smaller than this changes the token. ARGPICK_METRIC_FLIP.
  float flip_token;
  // Period of the loop that the sequence ends with; 0: none. ARGPICK_METRIC_LOOP.
  uint32_t loop_period;
  // How many times that period stands at the end. ARGPICK_METRIC_LOOP.
  uint32_t loop_repeats;
  // How recurrent the recent tokens are, 0 to 1. ARGPICK_METRIC_LOOP.
  float loop_score;
} argpick_pick;

// A token of a row. The element of an array, so it never grows.
typedef struct argpick_candidate {
  // The token.
  uint32_t token;
  // Its logit after biases and masks, before temperature.
  float logit;
  // ln of its probability at the configured temperature.
  float logprob;
} argpick_candidate;

// Drafted tokens, the target model's rows for them, and the draft model's side. Set all of it to 0, then struct_size =
// sizeof(argpick_drafts) and what there is.
typedef struct argpick_drafts {
  // sizeof(argpick_drafts); the caller sets it.
  uint32_t struct_size;
  // How the drafts are judged, which must fit how they were made: an ARGPICK_ACCEPTANCE_. In greedy mode all are the same.
  uint32_t acceptance;
  // Element type of the target's rows.
  argpick_dtype dtype;
  // Element type of the draft model's rows.
  argpick_dtype draft_dtype;
  // The drafts.
  const uint32_t *tokens;
  // NULL: a chain, each draft follows the one before. Otherwise a tree: parents[i] is the index of the draft that draft i
  // follows, lower than i, or ARGPICK_ROOT. Siblings are judged in ascending order.
  const uint32_t *parents;
  // How many drafts there are. 0 is a plain step.
  size_t drafts;
  // drafts + 1 rows of the target: logits[0] is that of the next token, logits[i + 1] that of the token after draft i.
  const void *const *logits;
  // Elements of each of these rows: the target's vocabulary.
  size_t count;
  // drafts + 1 bitmasks of mask_words words, each of which may be NULL; or NULL.
  const uint32_t *const *masks;
  // Words of each mask.
  size_t mask_words;
  // The decoder that drew the drafts, or one configured as it, standing where the target stands, before the drafts; it
  // goes along and records the same tokens. May be NULL unless drafts were drawn.
  struct argpick_decoder *draft_decoder;
  // draft_rows rows of the draft model, numbered as those of the target: draft_logits[0] is the one that the first drafts
  // were drawn from. Only rows that drafts follow are needed, and only where drafts were drawn.
  const void *const *draft_logits;
  // How many they are.
  size_t draft_rows;
  // Elements of each of these rows: the draft decoder's vocabulary.
  size_t draft_count;
  // draft_rows bitmasks of draft_mask_words words, each of which may be NULL; or NULL.
  const uint32_t *const *draft_masks;
  // Words of each of these masks.
  size_t draft_mask_words;
  // Elements of picks: one more than drafts on the longest path, or more.
  size_t picks;
} argpick_drafts;

// What a verification comes to. Set struct_size = sizeof(argpick_verified) before the call.
typedef struct argpick_verified {
  // sizeof(argpick_verified); the caller sets it.
  uint32_t struct_size;
  // Drafts that stand.
  uint32_t accepted;
  // Tokens emitted and recorded, so many picks were written: the accepted drafts and, unless one of them ends the
  // sequence, one token more.
  uint32_t emitted;
  // The index of the last draft that stands, or ARGPICK_ROOT; in a tree, its ancestors are the others.
  uint32_t node;
  // Whether the sequence ends with the last token, and why: ARGPICK_FINISH_.
  uint32_t finish;
  // 0.
  uint32_t reserved0;
} argpick_verified;

// What is left of a row after a stage. The element of an array, so it never grows.
//
// The kept tokens are a run of the order (higher logit first, then lower id), with logits after penalties and biases: none
// stands before first, none after last. These need not be tokens of the row.
typedef struct argpick_stage {
  // Which stage, for argpick_stage_name.
  uint32_t stage;
  // How many tokens are kept.
  uint32_t kept;
  // The parameter as the stage uses it; NaN where there is none.
  double parameter;
  // Their probability in the whole row, after penalties, biases and masks, at the temperature in force.
  float kept_mass;
  // The temperature in force after the stage.
  float temperature;
  // Where the run begins: the token.
  uint32_t first_token;
  // Where the run begins: the logit.
  float first_logit;
  // Where the run ends: the token.
  uint32_t last_token;
  // Where the run ends: the logit.
  float last_logit;
} argpick_stage;

// Everything that decides what a beam search does. Fill it by argpick_beam_config_init, then set what you want.
typedef struct argpick_beam_config {
  // sizeof(argpick_beam_config), set by argpick_beam_config_init.
  uint32_t struct_size;
  // Whose rules of scoring and ending hold: ARGPICK_PROFILE_CANON, _HUGGINGFACE or _VLLM.
  uint32_t profile;
  // Sequences that are followed side by side, 1 to 1024.
  uint32_t beams;
  // Groups of equal size that the beams are divided into; later ones avoid the tokens of earlier ones. 0: 1.
  uint32_t groups;
  // What a candidate loses, when it is chosen, for each beam of an earlier group with the same token; 0 or more.
  float diversity_penalty;
  // A hypothesis is ranked by its sum of log-probabilities divided by its length to this power, -16 to 16.
  float length_penalty;
  // Divides the logits: finite, above 0; 1 where the profile is not canon.
  float temperature;
  // When the search ends before max_tokens: an ARGPICK_EARLY_STOPPING_.
  uint32_t early_stopping;
  // End tokens are masked until so many tokens are generated.
  uint32_t min_tokens;
  // Beams that are so long are hypotheses, 1 to 2^20.
  uint32_t max_tokens;
  // Hypotheses that are told about, up to beams. 0: beams.
  uint32_t n_best;
  // Only ids below this take part, up to the vocabulary. 0: all.
  uint32_t valid_vocab;
} argpick_beam_config;

// Where a search stands. Set struct_size = sizeof(argpick_beam_state) before the call.
typedef struct argpick_beam_state {
  // sizeof(argpick_beam_state); the caller sets it.
  uint32_t struct_size;
  // Beams that go on: so many rows the next step takes. 1 before the first step, 0 when the search is finished.
  uint32_t live;
  // Beams that ended with the last step, after the live ones in its continuations.
  uint32_t ended;
  // Tokens of each live beam.
  uint32_t length;
  // Hypotheses that argpick_beam_best can tell.
  uint32_t hypotheses;
  // Continuations that argpick_beam_step wants room for.
  uint32_t outputs;
} argpick_beam_state;

// A beam and the token it goes on with, or ends with. The element of an array, so it never grows.
typedef struct argpick_beam_continuation {
  // The index of the beam among the rows of the step.
  uint32_t parent;
  // Its token.
  uint32_t token;
  // The sum of the log-probabilities of its tokens, this one included, in nats.
  double score;
} argpick_beam_continuation;

// A sequence that has ended. Set struct_size = sizeof(argpick_hypothesis) before the call.
typedef struct argpick_hypothesis {
  // sizeof(argpick_hypothesis); the caller sets it.
  uint32_t struct_size;
  // Generated tokens, the end token included.
  uint32_t length;
  // Why it ended: ARGPICK_FINISH_END_TOKEN or ARGPICK_FINISH_LENGTH.
  uint32_t finish;
  // 0.
  uint32_t reserved1;
  // What it is ranked by: logprob divided by the length to the power length_penalty.
  double score;
  // The sum of the log-probabilities of its tokens, in nats.
  double logprob;
} argpick_hypothesis;

// Where flat and saturated begin, and the k of top-k accuracy. Set struct_size = sizeof(argpick_diagnosis_limits).
typedef struct argpick_diagnosis_limits {
  // sizeof(argpick_diagnosis_limits); the caller sets it.
  uint32_t struct_size;
  // A row is flat from this fraction of the largest possible entropy, ln(tokens), on; 0 to 1. By default 0.9.
  float flat_entropy;
  // A row is saturated from this probability of its argmax on; 0 to 1. By default 0.999.
  float saturated_top1;
  // A target within so many tokens of the order counts as a top-k hit; at least 1. By default 5.
  uint32_t top_k;
} argpick_diagnosis_limits;

// What a batch of rows looks like to a trainer; each figure is the mean over its rows, 0 for an empty batch.
typedef struct argpick_diagnosis {
  // sizeof(argpick_diagnosis); the caller sets it.
  uint32_t struct_size;
  // 0.
  uint32_t reserved0;
  // Rows looked at.
  uint64_t rows;
  // Fraction of flat rows.
  float flat;
  // Fraction of saturated rows.
  float saturated;
  // Fraction of the rest.
  float healthy;
  // Mean loss, in nats.
  float loss;
  // Mean entropy at temperature 1, in nats.
  float entropy;
  // Mean probability of the argmax at temperature 1.
  float top1_probability;
  // Fraction of rows whose argmax is the target.
  float greedy_accuracy;
  // Fraction of rows whose target is among the first k.
  float top_k_accuracy;
  // The accuracy that draws as configured would have on average.
  float expected_accuracy;
  // 0.
  uint32_t reserved1;
} argpick_diagnosis;

// Takes bytes of a trace, in order; answers 0, or another number if it cannot, and then the trace ends there.
typedef int32_t (*argpick_trace_sink)(void *context, const void *bytes, size_t size);

// One step of a trace. Set struct_size = sizeof(argpick_step_record) before the call.
typedef struct argpick_step_record {
  // sizeof(argpick_step_record); the caller sets it.
  uint32_t struct_size;
  // 1, or 0 at the end of the trace: then the rest means nothing.
  uint32_t is_there;
  // Which step it is, from 0.
  uint64_t step;
  // The position that its random numbers came from.
  uint64_t position;
  // The digest of its row.
  uint64_t row_digest;
  // The digest of its mask; 0 without one.
  uint64_t mask_digest;
  // ARGPICK_STEP_ flags.
  uint32_t flags;
  // ARGPICK_OK, or the status with which the step was refused.
  int32_t status;
  // The token picked; UINT32_MAX if it was refused.
  uint32_t token;
  // Whether the sequence ended with it, and why: ARGPICK_FINISH_.
  uint32_t finish;
} argpick_step_record;

// What differs in a step. Set struct_size = sizeof(argpick_difference) before the call.
typedef struct argpick_difference {
  // sizeof(argpick_difference); the caller sets it.
  uint32_t struct_size;
  // ARGPICK_DIFFERS_ flags; 0: row, mask and answer are those recorded, bit for bit.
  uint32_t differs;
  // The step, from 0.
  uint64_t step;
  // Its position, as recorded.
  uint64_t position;
  // The digest of the row recorded; 0 unless it differs.
  uint64_t recorded_row;
  // That of the row given.
  uint64_t found_row;
  // The digest of the mask recorded; 0 unless it differs.
  uint64_t recorded_mask;
  // That of the mask given.
  uint64_t found_mask;
  // The first field of the answer that differs, for argpick_field_name; 0 for none.
  uint32_t field;
  // 0.
  uint32_t reserved0;
  // The field as recorded.
  double recorded;
  // The field as it came out.
  double found;
} argpick_difference;

// One row of a batch: a configuration and the sequence it belongs to. An array of these lies in device memory; it is filled
// by argpick_cuda_row_init on the host and copied there. The struct is as it is for good: it has no struct_size.
//
// Addresses are those of device memory, as integers (CUdeviceptr, or a pointer's value); 0: none. The numbers after them are
// those of argpick_config.
typedef struct argpick_cuda_row {
  // Seed of the random numbers.
  uint64_t seed;
  // Stream of the random numbers.
  uint64_t stream;
  // Position of the random numbers: tokens generated so far.
  uint64_t position;
  // A bitmask of mask_words words: bit t & 31 of word t >> 5 allows token t. 0: all are allowed.
  uint64_t mask;
  // A ring of history_capacity words: the token recorded as number i at i % history_capacity, with ARGPICK_CUDA_PROMPT if
  // it was prompt. 0: the penalties see nothing.
  uint64_t history;
  // bias_count elements of argpick_cuda_bias, tokens ascending, none twice.
  uint64_t biases;
  // ban_count tokens, ascending, none twice.
  uint64_t bans;
  // Tokens recorded since the start, the prompt included.
  uint64_t history_recorded;
  // Words of history; the penalties look at 8,192 tokens at most.
  uint32_t history_capacity;
  // Words of mask; past their end no token is allowed.
  uint32_t mask_words;
  // Biases, up to 65,536.
  uint32_t bias_count;
  // Bans, up to 65,536.
  uint32_t ban_count;
  // Only ids below take part. 0: all.
  uint32_t valid_vocab;
  // ARGPICK_MODE_.
  uint32_t mode;
  // As in argpick_config.
  float temperature;
  // As in argpick_config.
  uint32_t top_k;
  // As in argpick_config.
  float top_p;
  // As in argpick_config.
  float min_p;
  // As in argpick_config.
  float typical_p;
  // As in argpick_config.
  float repetition_penalty;
  // As in argpick_config.
  float frequency_penalty;
  // As in argpick_config.
  float presence_penalty;
  // The penalties see so many of the last tokens. 0: history_capacity.
  uint32_t penalty_window;
  // 1: the penalties do not count the prompt.
  uint32_t penalty_generated;
  // ARGPICK_METRIC_ flags but for LOOP and FLIP.
  uint32_t metrics;
  // 1: the row is left out of the launch.
  uint32_t skip;
} argpick_cuda_row;

// A batched decode: shapes, device addresses, and the stream. Set struct_size = sizeof(argpick_cuda_batch) and the rest to 0
// before filling it.
typedef struct argpick_cuda_batch {
  // sizeof(argpick_cuda_batch); the caller sets it.
  uint32_t struct_size;
  // ARGPICK_F32, ARGPICK_F16, ARGPICK_BF16.
  argpick_dtype dtype;
  // Address of the logits. Rows at multiples of 16 bytes are read faster.
  uint64_t logits;
  // Elements from one row to the next, at least vocab.
  uint64_t row_stride;
  // Address of row_count elements of argpick_cuda_row.
  uint64_t rows;
  // Address of row_count elements of argpick_cuda_pick.
  uint64_t picks;
  // Address of memory to work in, aligned to 256 bytes. What it holds does not matter.
  uint64_t workspace;
  // Bytes of it: argpick_cuda_plan says how many are needed.
  uint64_t workspace_size;
  // The cudaStream_t to queue the kernels on. 0: the default stream.
  uint64_t stream;
  // Rows, up to 2^20. 0: nothing is done.
  uint32_t row_count;
  // Logits of a row.
  uint32_t vocab;
  // ARGPICK_CUDA_RECORD, or 0.
  uint32_t flags;
  // What the rows need: argpick_cuda_plan sets it.
  uint32_t features;
  // What the rows need: argpick_cuda_plan sets it.
  uint32_t adjustment_capacity;
  // 0.
  uint32_t reserved0;
} argpick_cuda_batch;

// A sparse head in device memory: logits = b + sum_j values[j] * W[:, columns[j]]. Set struct_size first, as above.
typedef struct argpick_cuda_head {
  // sizeof(argpick_cuda_head); the caller sets it.
  uint32_t struct_size;
  // Tokens.
  uint32_t vocab;
  // Columns of W.
  uint32_t columns;
  // The element type of W.
  argpick_dtype dtype;
  // Address of W: column after column, vocab elements each.
  uint64_t weights;
  // Address of b: vocab elements.
  uint64_t bias;
  // The element type of b.
  argpick_dtype bias_dtype;
  // 0.
  uint32_t reserved0;
} argpick_cuda_head;

// What a row came to. The device writes an array of these in device memory. The struct is as it is for good.
//
// Numbers that the metrics did not ask for are NaN or UINT32_MAX, and so is everything where status is not 0.
typedef struct argpick_cuda_pick {
  // ARGPICK_CUDA_ROW_; argpick_cuda_pick_status tells it in full.
  uint32_t status;
  // Of the status.
  uint32_t index;
  // Of the status.
  float value;
  // As in argpick_pick, and so are the following.
  uint32_t token;
  // As in argpick_pick.
  uint32_t argmax;
  // As in argpick_pick.
  uint32_t rank;
  // As in argpick_pick.
  uint32_t kept;
  // As in argpick_pick.
  float margin;
  // As in argpick_pick.
  float top1_probability;
  // As in argpick_pick.
  float entropy;
  // As in argpick_pick.
  float logprob_raw;
  // As in argpick_pick.
  float logprob;
  // As in argpick_pick.
  float kept_mass;
  // As in argpick_pick.
  float temperature;
} argpick_cuda_pick;

// One training step of a head of f32 in device memory. Set struct_size first, as above. No two of the arrays overlap.
typedef struct argpick_cuda_train {
  // sizeof(argpick_cuda_train); the caller sets it.
  uint32_t struct_size;
  // Tokens.
  uint32_t vocab;
  // Address of W: column after column, vocab f32 each.
  uint64_t weights;
  // Address of b: vocab f32.
  uint64_t bias;
  // Address of vocab f32: afterwards the gradient with respect to the logits.
  uint64_t gradient;
  // Address of the example's columns, u32 each.
  uint64_t columns;
  // Address of as many values, f32 each. 0: 1 for each.
  uint64_t values;
  // Address of an argpick_cuda_score.
  uint64_t score;
  // Address of memory to work in, aligned to 256 bytes.
  uint64_t workspace;
  // Bytes of it: argpick_cuda_train_workspace says how many are needed.
  uint64_t workspace_size;
  // The cudaStream_t to queue the kernels on. 0: the default stream.
  uint64_t stream;
  // Columns of W.
  uint32_t features;
  // Columns of the example, up to 4,096.
  uint32_t column_count;
  // The token to learn.
  uint32_t target;
  // Finite, above 0.
  float learning_rate;
} argpick_cuda_train;

// What a training step found, in device memory. The struct is as it is for good.
typedef struct argpick_cuda_score {
  // ARGPICK_CUDA_ROW_; argpick_cuda_score_status tells it in full.
  uint32_t status;
  // Of the status.
  uint32_t index;
  // Of the status.
  float value;
  // Of the status.
  uint32_t column;
  // -ln p(target) in nats, before the update.
  float loss;
  // The highest logit, the lowest id on ties.
  uint32_t argmax;
  // 1 if that is the target.
  uint32_t correct;
  // 0.
  uint32_t reserved0;
} argpick_cuda_score;

// A bias of one token, in device memory.
typedef struct argpick_cuda_bias {
  // The token.
  uint32_t token;
  // What is added to its logit: finite, or -inf.
  float value;
} argpick_cuda_bias;

// The columns of one row of a sparse batch. An array of these lies in device memory. The struct is as it is for good.
typedef struct argpick_cuda_input {
  // Address of count columns, u32 each.
  uint64_t columns;
  // Address of as many values, f32 each. 0: 1 for each.
  uint64_t values;
  // How many, up to 4,096.
  uint64_t count;
} argpick_cuda_input;

// Done.
#define ARGPICK_OK 0

// A logit that takes part is NaN or +inf, as given or after an adjustment. Detail: index = the token, value = its logit.
#define ARGPICK_ERR_INVALID_LOGIT 1

// No token is left: all are excluded by the mask, banned or at -inf.
#define ARGPICK_ERR_EVERYTHING_MASKED 2

// A row, list or output has the wrong number of elements. Detail: index = elements needed, value = elements given.
#define ARGPICK_ERR_WRONG_LENGTH 3

// A parameter is outside its range. Detail: value = the parameter; its name is in argpick_last_error.
#define ARGPICK_ERR_INVALID_PARAMETER 4

// A token id is not below the vocabulary. Detail: index = the token, value = the vocabulary.
#define ARGPICK_ERR_TOKEN_OUT_OF_RANGE 5

// A list is longer than its capacity. Detail: index = entries there is room for, value = entries given.
#define ARGPICK_ERR_CAPACITY_EXCEEDED 6

// The memory given is too small. Detail: index = bytes needed, value = bytes given.
#define ARGPICK_ERR_STORAGE_TOO_SMALL 7

// The kernel level asked for (ARGPICK_KERNEL) is not to be had on this processor or in this build.
#define ARGPICK_ERR_KERNEL_UNAVAILABLE 8

// ARGPICK_KERNEL names no kernel level.
#define ARGPICK_ERR_UNKNOWN_KERNEL 9

// The sequence has ended (max_tokens); argpick_decoder_reset starts anew.
#define ARGPICK_ERR_FINISHED 10

// More tokens are to be undone than the history holds. Detail: index = tokens that can be undone, value = asked for.
#define ARGPICK_ERR_UNDO_TOO_FAR 11

// A column is not in the weights. Detail: index = the column, value = the number of columns.
#define ARGPICK_ERR_COLUMN_OUT_OF_RANGE 12

// A token stands twice in a list that takes each once. Detail: index = the token.
#define ARGPICK_ERR_DUPLICATE_TOKEN 13

// A training step would make a weight infinite or NaN. Detail: index = the token, value = the column, NaN for the bias.
#define ARGPICK_ERR_UPDATE_OVERFLOW 14

// The bytes are no saved decoder, or not one that fits here; argpick_last_error says what is wrong with them.
#define ARGPICK_ERR_BAD_STATE 15

// A parameter is used that the profile, or the CUDA path, has no stage for; its name is in argpick_last_error.
#define ARGPICK_ERR_NOT_IN_PROFILE 16

// The CUDA path is not to be had here: not in this build, or no driver, no GPU, or none it has code for; argpick_last_error
// says which. The functions without cuda in their names work as ever. Detail: value = CUDA's error number, 0 if none.
#define ARGPICK_ERR_CUDA_UNAVAILABLE 17

// CUDA refused an operation; an earlier one on the same stream may be to blame. Detail: value = CUDA's error number.
#define ARGPICK_ERR_CUDA_FAILED 18

// The file has no array of this name.
#define ARGPICK_ERR_ARRAY_MISSING 100

// The array is pickled; nothing is ever unpickled.
#define ARGPICK_ERR_ARRAY_PICKLED 101

// The array is compressed, so it cannot be used where it lies.
#define ARGPICK_ERR_ARRAY_COMPRESSED 102

// The array is stored in a way that is not read here.
#define ARGPICK_ERR_ARRAY_UNSUPPORTED 103

// The array has the wrong element type.
#define ARGPICK_ERR_ARRAY_DTYPE 104

// The array has the wrong number of dimensions. Detail: index = dimensions needed, value = dimensions found.
#define ARGPICK_ERR_ARRAY_RANK 105

// The array does not fit the arrays it belongs to. Detail: index = length needed, value = length found.
#define ARGPICK_ERR_ARRAY_LENGTH 106

// The array is empty or too long. Detail: index = the greatest length allowed, value = length found.
#define ARGPICK_ERR_ARRAY_SIZE 107

// An element of the array cannot be used. Detail: index = the element, in row-major order.
#define ARGPICK_ERR_ARRAY_VALUE 108

// The data of the array does not have the checksum that the file gives.
#define ARGPICK_ERR_ARRAY_CHECKSUM 109

// The file contradicts itself or its format. Detail: index = the place in bytes, value = the bad value.
#define ARGPICK_ERR_FILE_MALFORMED 110

// The file is neither a NumPy archive or array nor safetensors.
#define ARGPICK_ERR_FILE_FORMAT 111

// The system refused a file operation. Detail: value = the system's error number, 0 if it gave none.
#define ARGPICK_ERR_FILE 112

// The caller asked for a stop.
#define ARGPICK_ERR_INTERRUPTED 113

// A pointer is NULL that must not be.
#define ARGPICK_ERR_NULL 200

// Something inside the library broke; the call had no effect that can be relied on, and its handle is poisoned.
#define ARGPICK_ERR_PANIC 201

// An earlier call on this handle broke (ARGPICK_ERR_PANIC); it can only be freed.
#define ARGPICK_ERR_POISONED 202

// Another thread is in a call on this handle. Nothing has happened; call again later.
#define ARGPICK_ERR_BUSY 203

// A pointer is not aligned to its element. Detail: index = the alignment needed, value = the address modulo it.
#define ARGPICK_ERR_ALIGNMENT 204

// struct_size is no size of a release up to this one. Detail: index = this release's size, value = the size given.
#define ARGPICK_ERR_STRUCT_SIZE 205

// A reserved field or flag is not 0. Detail: value = what it is.
#define ARGPICK_ERR_RESERVED 206

// There is no memory for it. Detail: index = bytes asked for.
#define ARGPICK_ERR_OUT_OF_MEMORY 207

// These weights are read-only.
#define ARGPICK_ERR_READ_ONLY 208

// A text is not UTF-8. Detail: index = the first byte that is not.
#define ARGPICK_ERR_TEXT 209

// IEEE 754 binary32.
#define ARGPICK_F32 0

// IEEE 754 binary16, widened exactly.
#define ARGPICK_F16 1

// bfloat16, the upper half of a binary32, widened exactly.
#define ARGPICK_BF16 2

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The ABI of the library in use; compare it with ARGPICK_ABI_VERSION after loading one at run time.
uint32_t argpick_abi_version(void);

// The numerics of the library in use. Two libraries with the same number pick the same tokens for the same seed.
uint32_t argpick_numerics_version(void);

// The version of the library in use: major * 65536 + minor * 256 + patch, as ARGPICK_VERSION is of the header.
uint32_t argpick_version(void);

// What a status means, in one sentence without particulars (those are in argpick_last_error).
//
// Never NULL; static UTF-8 text, nothing to free. A number that is no status gets a text that says so.
const char *argpick_status_message(argpick_status status);

// This thread's last error in full: which function, what, where and the bad value.
//
// Never NULL; UTF-8 text, "" before the first error. It stands until the next call that fails on this thread; a call that
// succeeds does not clear it. In a library built without the standard library the program has one such text, so a program
// with several threads or interrupt handlers should go by the status and copy the text at once.
const char *argpick_last_error(void);

// The particulars of this thread's last error, as numbers.
//
// Each status says what its index and value are. Without an index it is UINT64_MAX, without a value NaN. Before the first
// error the status is ARGPICK_OK.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT (neither becomes the last error); in a library without the standard
// library ARGPICK_ERR_BUSY.
//
// Safety:
// - status, index and value point to memory that can be written.
argpick_status argpick_error_detail(argpick_status *status,
                                    uint64_t *index,
                                    double *value);

// The kernel level in use: "scalar", "portable", "avx2", "avx512", ...
//
// It is the fastest that this processor has, or the one that the environment variable ARGPICK_KERNEL names. All levels
// give the same bits. Where that variable asks for what is not there the answer is "" and argpick_last_error says why;
// argpick_decoder_new fails then, too. Never NULL; static text.
const char *argpick_kernel(void);

// Fills a configuration with "off" everywhere: draw from the softmax of the row as it is.
//
// struct_size is sizeof(argpick_config) as the caller's header has it; a smaller size of an earlier release works.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE.
//
// Safety:
// - config points to struct_size bytes that can be written.
argpick_status argpick_config_init(struct argpick_config *config,
                                   uint32_t struct_size);

// Makes a decoder on the heap for rows of vocab logits, 1 to 2^22. It is freed by argpick_decoder_free.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_INVALID_PARAMETER (name and
// value in argpick_last_error), ARGPICK_ERR_OUT_OF_MEMORY, ARGPICK_ERR_KERNEL_UNAVAILABLE and ARGPICK_ERR_UNKNOWN_KERNEL
// (see argpick_kernel). Not in a library without a heap.
//
// Safety:
// - config points to a struct that is as long as its struct_size says; out can be written.
argpick_status argpick_decoder_new(const struct argpick_config *config,
                                   uint32_t vocab,
                                   struct argpick_decoder **out);

// Ends a decoder; NULL is allowed and does nothing. The memory of one made by argpick_decoder_init is the caller's again.
//
// A decoder that another thread is using is not freed: it leaks, and argpick_last_error says so (ARGPICK_ERR_BUSY).
//
// Safety:
// - decoder is NULL or a live decoder; it is not used after this call.
void argpick_decoder_free(struct argpick_decoder *decoder);

// The memory in bytes that argpick_decoder_init needs for this configuration and vocabulary.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_INVALID_PARAMETER.
//
// Safety:
// - config points to a struct that is as long as its struct_size says; size can be written.
argpick_status argpick_decoder_size(const struct argpick_config *config, uint32_t vocab, size_t *size);

// Makes a decoder in memory of the caller's: no heap is used, then or later.
//
// memory is aligned to ARGPICK_MEMORY_ALIGNMENT and has size bytes, at least what argpick_decoder_size says; what they
// contain does not matter. It stays where it is and is the decoder's alone until argpick_decoder_free; then, or when it is
// simply not used any more, it is the caller's again. More memory than needed leaves room for a reset.
//
// Statuses: those of argpick_decoder_new without ARGPICK_ERR_OUT_OF_MEMORY; ARGPICK_ERR_STORAGE_TOO_SMALL (index = bytes
// needed).
//
// Safety:
// - memory points to size bytes that nobody else uses; config and out as for argpick_decoder_new.
argpick_status argpick_decoder_init(void *memory,
                                    size_t size,
                                    const struct argpick_config *config,
                                    uint32_t vocab,
                                    struct argpick_decoder **out);

// Makes a second decoder on the heap in the same state: configuration, position, history, biases, bans and all other lists.
//
// From then on the two have nothing in common. With the same seed, stream and position both pick the same tokens from the
// same rows; argpick_decoder_reset or argpick_decoder_seek parts them.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_OUT_OF_MEMORY.
// Not in a library without a heap.
//
// Safety:
// - decoder is a live decoder; out can be written.
argpick_status argpick_decoder_clone(const struct argpick_decoder *decoder,
                                     struct argpick_decoder **out);

// Starts a new sequence: history, text and position are cleared; biases, bans and all other lists stay.
//
// config NULL: the configuration stays. Otherwise config is in force from now on; the vocabulary stays. A decoder on the
// heap gets more memory if it needs it; one in memory of the caller's must have been given enough.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_STRUCT_SIZE,
// ARGPICK_ERR_INVALID_PARAMETER, ARGPICK_ERR_CAPACITY_EXCEEDED (no room for what is set),
// ARGPICK_ERR_OUT_OF_MEMORY, ARGPICK_ERR_STORAGE_TOO_SMALL (index = bytes needed). After any of them nothing has changed.
//
// Safety:
// - decoder is a live decoder; config is NULL or points to a struct that is as long as its struct_size says.
argpick_status argpick_decoder_reset(struct argpick_decoder *decoder,
                                     const struct argpick_config *config);

// Records tokens of the prompt: they enter the history but are not counted as generated. A sequence that had ended by an
// end token, a stop or a loop goes on after them.
//
// All of them or none; a count of 0 does nothing, tokens may be NULL then.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
// ARGPICK_ERR_POISONED, ARGPICK_ERR_TOKEN_OUT_OF_RANGE.
//
// Safety:
// - decoder is a live decoder; tokens points to count ids.
argpick_status argpick_decoder_prompt(struct argpick_decoder *decoder,
                                      const uint32_t *tokens,
                                      size_t count);

// Records tokens as generated, as if they had been picked here. For hosts that pick for themselves.
//
// All of them or none; a count of 0 does nothing, tokens may be NULL then.
//
// What mirostat and adaptive-p have learnt stays as it was, and the running sum of log-probabilities is NaN from then on.
//
// Statuses: those of argpick_decoder_prompt, and ARGPICK_ERR_FINISHED if the sequence has ended, if they are more than
// max_tokens leaves, or if an end token or a stop sequence ends it before the last of them.
//
// Safety:
// - decoder is a live decoder; tokens points to count ids.
argpick_status argpick_decoder_accept(struct argpick_decoder *decoder,
                                      const uint32_t *tokens,
                                      size_t count);

// Takes back the last count generated tokens, as if they had not been recorded; a sequence that had ended goes on.
//
// Tokens generated before the last token of a prompt stay. At least the last 1,024 others can be taken back (or
// history_capacity, if that is less), and more as long as the history has not been filled that far.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_UNDO_TOO_FAR
// (index = tokens that can be undone).
//
// Safety:
// - decoder is a live decoder.
argpick_status argpick_decoder_undo(struct argpick_decoder *decoder,
                                    size_t count);

// Sets the position that the next draw takes its random numbers from; the history stays. So any step can be replayed alone.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
//
// Safety:
// - decoder is a live decoder.
argpick_status argpick_decoder_seek(struct argpick_decoder *decoder,
                                    uint64_t position);

// Tells the position: generated tokens recorded, the prompt excluded, unless it was set by argpick_decoder_seek.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
//
// Safety:
// - decoder is a live decoder; position can be written.
argpick_status argpick_decoder_position(const struct argpick_decoder *decoder,
                                        uint64_t *position);

// Tells mirostat's mu for the next step, in bits: version 2 keeps the tokens whose surprise is at most that much.
//
// It starts at 2 mirostat_tau, each decoded token moves it, and argpick_decoder_undo brings it back. NaN if mirostat is off
// or the mode greedy.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
//
// Safety:
// - decoder is a live decoder; mu can be written.
argpick_status argpick_decoder_mirostat_mu(const struct argpick_decoder *decoder,
                                           float *mu);

// Tells the probability that adaptive-p prefers in the next step, 0 to 1: adaptive_target, moved away from the mean of what
// was picked.
//
// Each decoded token moves it, and argpick_decoder_undo brings it back. NaN if adaptive-p is off: a negative
// adaptive_target, mirostat, greedy mode.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
//
// Safety:
// - decoder is a live decoder; target can be written.
argpick_status argpick_decoder_adaptive_target(const struct argpick_decoder *decoder,
                                               float *target);

// Tells the length of the rows that the decoder takes.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
//
// Safety:
// - decoder is a live decoder; vocab can be written.
argpick_status argpick_decoder_vocab(const struct argpick_decoder *decoder, uint32_t *vocab);

// Tells the configuration in force, after argpick_decoder_reset and argpick_decoder_load that one. A config of an older release
// gets the fields it has.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
//
// Safety:
// - decoder is a live decoder; config->struct_size bytes can be written.
argpick_status argpick_decoder_config(const struct argpick_decoder *decoder,
                                      struct argpick_config *config);

// Tells the tokens that the history holds, oldest first, those of the prompt among them, as far as there is room.
//
// held is how many it holds, which may be more than capacity; at most history_capacity: past that the oldest leave it. With a
// capacity of 0 tokens may be NULL.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible capacity), ARGPICK_ERR_BUSY,
// ARGPICK_ERR_POISONED.
//
// Safety:
// - decoder is a live decoder; capacity ids can be written at tokens; held can be written.
argpick_status argpick_decoder_history(struct argpick_decoder *decoder,
                                       uint32_t *tokens,
                                       size_t capacity,
                                       size_t *held);

// Replaces the biases: biases[i] is added to the logit of tokens[i], before temperature. A bias of -inf bans.
//
// Each token stands once; the order does not matter. A count of 0 removes all biases, the arrays may be NULL then.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
// ARGPICK_ERR_POISONED, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_DUPLICATE_TOKEN, ARGPICK_ERR_INVALID_PARAMETER (a bias
// that is NaN or +inf), ARGPICK_ERR_CAPACITY_EXCEEDED (adjustment_capacity). After any of them the old biases stay.
//
// Safety:
// - decoder is a live decoder; tokens and biases point to count elements each.
argpick_status argpick_decoder_set_bias(struct argpick_decoder *decoder,
                                        const uint32_t *tokens,
                                        const float *biases,
                                        size_t count);

// Replaces the bans: these tokens are masked. A token may stand in the list more than once.
//
// A count of 0 removes all bans, tokens may be NULL then.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
// ARGPICK_ERR_POISONED, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_CAPACITY_EXCEEDED (adjustment_capacity). After any of
// them the old bans stay.
//
// Safety:
// - decoder is a live decoder; tokens points to count ids.
argpick_status argpick_decoder_set_bans(struct argpick_decoder *decoder,
                                        const uint32_t *tokens,
                                        size_t count);

// Replaces the end tokens: each ends the sequence when it is generated, unless min_tokens forbids.
//
// A token may stand in the list more than once. A count of 0 removes all, tokens may be NULL then.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
// ARGPICK_ERR_POISONED, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_CAPACITY_EXCEEDED (sequence_capacity). After any of
// them the old ones stay.
//
// Safety:
// - decoder is a live decoder; tokens points to count ids.
argpick_status argpick_decoder_set_end_tokens(struct argpick_decoder *decoder,
                                              const uint32_t *tokens,
                                              size_t count);

// Replaces the stop sequences: the sequence ends when generated tokens end with one of them.
//
// tokens holds the tokens of all sequences one after the other, token_count of them; lengths says how many belong to each
// of the count sequences. A count of 0 removes all, the arrays may be NULL then.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count, or lengths that do not
// add up to token_count), ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_TOKEN_OUT_OF_RANGE,
// ARGPICK_ERR_INVALID_PARAMETER (a sequence of length 0), ARGPICK_ERR_CAPACITY_EXCEEDED (sequence_capacity). After any of
// them the old ones stay.
//
// Safety:
// - decoder is a live decoder; tokens points to token_count ids, lengths to count numbers.
argpick_status argpick_decoder_set_stops(struct argpick_decoder *decoder,
                                         const uint32_t *tokens,
                                         size_t token_count,
                                         const uint32_t *lengths,
                                         size_t count);

// Replaces DRY's breakers: no repetition counts across one of them, and a token that is one alone is never penalised.
//
// The arrays are those of argpick_decoder_set_stops.
//
// Statuses: those of argpick_decoder_set_stops.
//
// Safety:
// - decoder is a live decoder; tokens points to token_count ids, lengths to count numbers.
argpick_status argpick_decoder_set_breakers(struct argpick_decoder *decoder,
                                            const uint32_t *tokens,
                                            size_t token_count,
                                            const uint32_t *lengths,
                                            size_t count);

// Replaces the bad sequences: where the history ends with all of one but its last token, that token is masked.
//
// The arrays are those of argpick_decoder_set_stops.
//
// Statuses: those of argpick_decoder_set_stops.
//
// Safety:
// - decoder is a live decoder; tokens points to token_count ids, lengths to count numbers.
argpick_status argpick_decoder_set_bad_sequences(struct argpick_decoder *decoder,
                                                 const uint32_t *tokens,
                                                 size_t token_count,
                                                 const uint32_t *lengths,
                                                 size_t count);

// Replaces the biased sequences: where the history ends with all of one but its last token, the bias is added to the logit
// of that token; several add up.
//
// The arrays are those of argpick_decoder_set_stops, and biases has count elements.
//
// Statuses: those of argpick_decoder_set_stops; ARGPICK_ERR_INVALID_PARAMETER also for a bias that is NaN or +inf.
//
// Safety:
// - decoder is a live decoder; tokens points to token_count ids, lengths and biases to count elements each.
argpick_status argpick_decoder_set_sequence_bias(struct argpick_decoder *decoder,
                                                 const uint32_t *tokens,
                                                 size_t token_count,
                                                 const uint32_t *lengths,
                                                 const float *biases,
                                                 size_t count);

// Replaces the forced tokens: tokens[i] is picked as generated token number positions[i], counted from 0.
//
// The step is then one under a bitmask that allows this token alone: no other rule of the decoder applies, the margin is
// +inf, the probability 1. Where the row has the token at -inf, or the caller's mask excludes it, everything is masked. A
// count of 0 removes all, the arrays may be NULL then.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
// ARGPICK_ERR_POISONED, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_INVALID_PARAMETER (a position that is named twice),
// ARGPICK_ERR_CAPACITY_EXCEEDED (sequence_capacity). After any of them the old ones stay.
//
// Safety:
// - decoder is a live decoder; positions and tokens point to count elements each.
argpick_status argpick_decoder_set_forced(struct argpick_decoder *decoder,
                                          const uint64_t *positions,
                                          const uint32_t *tokens,
                                          size_t count);

// Replaces the stop strings, which argpick_decoder_push_bytes looks for; the text begins anew.
//
// bytes holds the bytes of all strings one after the other, byte_count of them; lengths says how many belong to each of
// the count strings. A count of 0 removes all, the arrays may be NULL then.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count, or lengths that do not
// add up to byte_count), ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_INVALID_PARAMETER (a string of length 0),
// ARGPICK_ERR_CAPACITY_EXCEEDED (sequence_capacity). After any of them the old ones stay.
//
// Safety:
// - decoder is a live decoder; bytes points to byte_count bytes, lengths to count numbers.
argpick_status argpick_decoder_set_stop_strings(struct argpick_decoder *decoder,
                                                const void *bytes,
                                                size_t byte_count,
                                                const uint32_t *lengths,
                                                size_t count);

// Hands over the bytes of the last generated token, for the stop strings; in pieces if need be.
//
// stop: the number of the stop string that the text contains, or ARGPICK_NO_STOP. held_back: how many bytes at the end of
// the text are not to be shown; with a stop all from its beginning on, else those that may yet become one. A stop string
// ends the sequence, but none does that is complete before min_tokens tokens are generated. The text begins with the first
// token generated after a prompt. A size of 0 only asks, bytes may be NULL then.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible size), ARGPICK_ERR_BUSY,
// ARGPICK_ERR_POISONED.
//
// Safety:
// - decoder is a live decoder; bytes points to size bytes; stop and held_back can be written.
argpick_status argpick_decoder_push_bytes(struct argpick_decoder *decoder,
                                          const void *bytes,
                                          size_t size,
                                          uint32_t *stop,
                                          size_t *held_back);

// Tells why the sequence has ended, as far as tokens and bytes were recorded: ARGPICK_FINISH_NONE if it goes on.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
//
// Safety:
// - decoder is a live decoder; finish can be written.
argpick_status argpick_decoder_finish(const struct argpick_decoder *decoder,
                                      uint32_t *finish);

// Tells how many bytes argpick_decoder_save would write now.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
//
// Safety:
// - decoder is a live decoder; size can be written.
argpick_status argpick_decoder_saved_size(struct argpick_decoder *decoder, size_t *size);

// Writes the decoder's state to bytes: configuration, position, history, biases, bans and all other lists.
//
// size is the room there is, at least what argpick_decoder_saved_size says; written is how many bytes it took. The bytes
// are the same on every processor and may be kept for as long as ARGPICK_NUMERICS_VERSION stays.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_WRONG_LENGTH
// (index = bytes needed). Nothing is written then.
//
// Safety:
// - decoder is a live decoder; bytes points to size bytes that can be written; written can be written.
argpick_status argpick_decoder_save(struct argpick_decoder *decoder,
                                    void *bytes,
                                    size_t size,
                                    size_t *written);

// Takes over a state that argpick_decoder_save wrote, its configuration included; the vocabulary must be the same.
//
// The next tokens are those that the saved decoder would have picked. The bytes are not trusted: every number in them is
// checked. A decoder on the heap gets more memory if it needs it; one in memory of the caller's must have been given enough.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible size), ARGPICK_ERR_BUSY,
// ARGPICK_ERR_POISONED, ARGPICK_ERR_BAD_STATE, ARGPICK_ERR_INVALID_PARAMETER, ARGPICK_ERR_OUT_OF_MEMORY,
// ARGPICK_ERR_STORAGE_TOO_SMALL (index = bytes needed). After any of them nothing has changed.
//
// Safety:
// - decoder is a live decoder; bytes points to size bytes.
argpick_status argpick_decoder_load(struct argpick_decoder *decoder,
                                    const void *bytes,
                                    size_t size);

// Picks a token from a row of logits and records it. The row is not modified.
//
// logits has count elements of type dtype, aligned to it; count is the decoder's vocabulary. -inf masks a token; NaN and
// +inf are errors, unless they stand where valid_vocab or the mask excludes them. mask has mask_words 32-bit words: bit
// t & 31 of word t >> 5 says whether token t is allowed; tokens past its end are not. NULL and 0: no mask. Row and mask are
// borrowed for the call. No memory is allocated and no system call is made.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE (pick->struct_size), ARGPICK_ERR_BUSY,
// ARGPICK_ERR_POISONED, ARGPICK_ERR_WRONG_LENGTH, ARGPICK_ERR_INVALID_PARAMETER (dtype), ARGPICK_ERR_INVALID_LOGIT (the
// lowest such token and its logit), ARGPICK_ERR_EVERYTHING_MASKED, ARGPICK_ERR_FINISHED. After any of them the decoder and
// pick are as they were: the next token is that of a decoder which never saw the call.
//
// Safety:
// - decoder is a live decoder; logits and mask have as many elements as said; pick->struct_size bytes can be written.
argpick_status argpick_decode(struct argpick_decoder *decoder,
                              const void *logits,
                              argpick_dtype dtype,
                              size_t count,
                              const uint32_t *mask,
                              size_t mask_words,
                              struct argpick_pick *pick);

// Picks a token as argpick_decode would and does not record it: the next call sees the same state.
//
// finish is ARGPICK_FINISH_NONE: it says what was recorded.
//
// Statuses: those of argpick_decode.
//
// Safety:
// - As for argpick_decode.
argpick_status argpick_evaluate(struct argpick_decoder *decoder,
                                const void *logits,
                                argpick_dtype dtype,
                                size_t count,
                                const uint32_t *mask,
                                size_t mask_words,
                                struct argpick_pick *pick);

// Rewrites a row in place for hosts that pick for themselves: the logits that are drawn from.
//
// Removed tokens become -inf, kept ones their adjusted logit divided by the temperature, so that the softmax of the result
// is the distribution drawn from. In greedy mode only the argmax stays. Nothing is recorded: see argpick_decoder_accept.
//
// Statuses: those of argpick_decode but ARGPICK_ERR_STRUCT_SIZE; ARGPICK_ERR_INVALID_LOGIT also if the division overflows.
// After any of them the row is as it was.
//
// Safety:
// - decoder is a live decoder; logits has count elements that can be written; mask has mask_words words, outside of logits.
argpick_status argpick_process(struct argpick_decoder *decoder,
                               float *logits,
                               size_t count,
                               const uint32_t *mask,
                               size_t mask_words);

// Rewrites a row in place as the probabilities that are drawn from; removed tokens become 0. Nothing is recorded.
//
// The same as argpick_process and then argpick_softmax at temperature 1, in one fused call.
//
// Statuses: those of argpick_process. After any of them the row is as it was.
//
// Safety:
// - As for argpick_process.
argpick_status argpick_probabilities(struct argpick_decoder *decoder,
                                     float *logits,
                                     size_t count,
                                     const uint32_t *mask,
                                     size_t mask_words);

// Turns a row of count logits, 1 to 2^22, into probabilities in place, at a temperature above 0. -inf becomes 0.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_INVALID_PARAMETER (temperature, or count as "vocab"),
// ARGPICK_ERR_INVALID_LOGIT, ARGPICK_ERR_EVERYTHING_MASKED, and those of the kernels (see argpick_kernel). After any of
// them the row is as it was.
//
// Safety:
// - row has count elements that can be written.
argpick_status argpick_softmax(float *row,
                               size_t count,
                               float temperature);

// Decodes rows rows, one decoder each; a row that fails leaves the others alone.
//
// Row i is logits[i] (count elements of type dtype), decoded by decoders[i] under masks[i] (mask_words words; NULL: no
// mask) into picks[i] and statuses[i]. masks may be NULL: no row has one. picks is an array of structs of one size: set
// struct_size in each. The rows are decoded in order; a result does not depend on its place, nor on how a batch is split.
// rows 0 does nothing, the arrays may be NULL then.
//
// Returns ARGPICK_OK if all rows succeeded, else the status of the first that did not, which is also the one that
// argpick_last_error tells about. statuses is written whenever the arrays themselves are usable; the pick of a row that
// failed is not.
//
// Statuses: those of argpick_decode, also per row; ARGPICK_ERR_WRONG_LENGTH (an impossible number of rows).
//
// Safety:
// - decoders, logits, picks and statuses have rows elements, and so has masks unless it is NULL; what they point to is as for
//   argpick_decode.
argpick_status argpick_decode_batch(struct argpick_decoder *const *decoders,
                                    size_t rows,
                                    const void *const *logits,
                                    argpick_dtype dtype,
                                    size_t count,
                                    const uint32_t *const *masks,
                                    size_t mask_words,
                                    struct argpick_pick *picks,
                                    argpick_status *statuses);

// How many 64-bit words of memory argpick_sweep needs for these configurations and rows of vocab logits.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_RESERVED,
// ARGPICK_ERR_INVALID_PARAMETER, ARGPICK_ERR_NOT_IN_PROFILE: those of the first configuration that has one.
//
// Safety:
// - configs has count elements, each a configuration as long as its struct_size says; words points to a size_t.
argpick_status argpick_sweep_words(const struct argpick_config *const *configs,
                                   size_t count,
                                   uint32_t vocab,
                                   size_t *words);

// Picks a token for each of count configurations from one row, without recording any. The row is read, checked and adjusted
// once; each pick is that of a decoder with that configuration in the same state.
//
// The configurations may differ from the decoder's own in everything that comes after penalties, biases and masks: seed,
// stream, mode, temperature, filters, mirostat and adaptive-p (both in their first state), metrics. memory has memory_words
// words, at least what argpick_sweep_words says; NULL for none. picks is an array of structs of one size: set struct_size in
// each. kept, unless NULL, takes a bitmask of the tokens each configuration keeps: (vocab + 31) / 32 words each, bit t & 31
// of word t >> 5. count 0 only checks the row.
//
// Returns ARGPICK_OK if all configurations succeeded, else the status of the first that did not; statuses has them all. The
// pick of one that failed is not written. A row that fails leaves statuses as they were.
//
// Statuses: those of argpick_evaluate for the row; per configuration ARGPICK_ERR_INVALID_PARAMETER (invalid, or it differs in
// what comes before; the name is in argpick_last_error), ARGPICK_ERR_NOT_IN_PROFILE, ARGPICK_ERR_STORAGE_TOO_SMALL (words).
//
// Safety:
// - configs, picks and statuses have count elements, memory has memory_words, kept is NULL or has count times the words above;
//   the row and the mask are as for argpick_evaluate. None of the outputs overlaps another.
argpick_status argpick_sweep(struct argpick_decoder *decoder,
                             const struct argpick_config *const *configs,
                             size_t count,
                             const void *logits,
                             argpick_dtype dtype,
                             size_t row_count,
                             const uint32_t *mask,
                             size_t mask_words,
                             uint64_t *memory,
                             size_t memory_words,
                             struct argpick_pick *picks,
                             argpick_status *statuses,
                             uint32_t *kept);

// Lists the best tokens of a row: the first capacity of the order, after biases and masks and before truncation.
//
// Highest logit first, lower id first among equals; logprob is among all tokens that take part. found is how many were
// written: less than capacity where fewer take part. Row and mask are as for argpick_decode; nothing is recorded. Costs a
// pass of exponentials.
//
// Statuses: those of argpick_decode but ARGPICK_ERR_STRUCT_SIZE. Nothing is written then.
//
// Safety:
// - decoder is a live decoder; logits and mask have as many elements as said; candidates has capacity elements that can be
//   written; found can be written.
argpick_status argpick_top(struct argpick_decoder *decoder,
                           const void *logits,
                           argpick_dtype dtype,
                           size_t count,
                           const uint32_t *mask,
                           size_t mask_words,
                           struct argpick_candidate *candidates,
                           size_t capacity,
                           size_t *found);

// The same of the row as given, at temperature 1: without penalties, biases and bans.
//
// Statuses: those of argpick_top. Nothing is written then.
//
// Safety:
// - As for argpick_top.
argpick_status argpick_top_raw(struct argpick_decoder *decoder,
                               const void *logits,
                               argpick_dtype dtype,
                               size_t count,
                               const uint32_t *mask,
                               size_t mask_words,
                               struct argpick_candidate *candidates,
                               size_t capacity,
                               size_t *found);

// Lists the tokens that the filters keep, in ascending order of id, as far as there is room.
//
// logprob is among the kept tokens. found is how many are kept, which may be more than capacity: then capacity were
// written. With capacity 0, candidates may be NULL: the kept tokens are counted. Otherwise as argpick_top.
//
// Statuses: those of argpick_top. Nothing is written then.
//
// Safety:
// - As for argpick_top.
argpick_status argpick_kept(struct argpick_decoder *decoder,
                            const void *logits,
                            argpick_dtype dtype,
                            size_t count,
                            const uint32_t *mask,
                            size_t mask_words,
                            struct argpick_candidate *candidates,
                            size_t capacity,
                            size_t *found);

// Tells the probability with which token is picked from this row as configured: 0 if a filter removes it.
//
// In greedy mode 1 or 0. Row and mask are as for argpick_decode; nothing is recorded.
//
// Statuses: those of argpick_top, and ARGPICK_ERR_TOKEN_OUT_OF_RANGE. Nothing is written then.
//
// Safety:
// - As for argpick_decode; probability can be written.
argpick_status argpick_probability_of(struct argpick_decoder *decoder,
                                      const void *logits,
                                      argpick_dtype dtype,
                                      size_t count,
                                      const uint32_t *mask,
                                      size_t mask_words,
                                      uint32_t token,
                                      float *probability);

// Verifies drafted tokens: how many of them stand, and which token comes after them. Records all of these.
//
// What is emitted has the distribution that argpick_decode would have given, token for token; with
// ARGPICK_ACCEPTANCE_MATCH and in greedy mode it is the very same tokens. p is the target's distribution after its whole
// pipeline, q that of draft_decoder. A row is read only when the drafts before it stand. The picks are those of the
// emitted tokens, numbers included; picks has drafts->picks structs of one size: set struct_size in each that may be
// written. Everything is borrowed for the call. No memory is allocated.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_BUSY (also if both decoders are
// one), ARGPICK_ERR_POISONED, ARGPICK_ERR_WRONG_LENGTH (rows, draft rows, picks), ARGPICK_ERR_TOKEN_OUT_OF_RANGE,
// ARGPICK_ERR_INVALID_PARAMETER (acceptance; dtype; parent; draft token: the draft model cannot have drawn it),
// ARGPICK_ERR_CAPACITY_EXCEEDED (ARGPICK_MAX_DRAFT, ARGPICK_MAX_SIBLINGS, or a history too short to come back),
// ARGPICK_ERR_INVALID_LOGIT, ARGPICK_ERR_EVERYTHING_MASKED, ARGPICK_ERR_FINISHED (either decoder). After any of them both
// decoders stand where they stood and nothing has been written.
//
// Safety:
// - decoder and drafts->draft_decoder are live decoders; what drafts points to has as many elements as it says; picks has
//   drafts->picks structs that can be written.
argpick_status argpick_verify(struct argpick_decoder *decoder,
                              const struct argpick_drafts *drafts,
                              struct argpick_pick *picks,
                              struct argpick_verified *verified);

// The name of a stage: the parameter in argpick_config that puts it there; "row" before the first, "greedy" in greedy mode;
// an empty text for numbers that no stage has.
//
// Never NULL; static text, nothing to free.
const char *argpick_stage_name(uint32_t stage);

// Lists what each stage in force leaves of a row, in the order in which they run, the row itself first.
//
// found is how many reports there are, at most ARGPICK_MOST_STAGES; as many were written as there is room for. With capacity 0,
// stages may be NULL. Row and mask are as for argpick_decode; nothing is recorded. Costs many passes: it is for questions,
// not for steps.
//
// Statuses: those of argpick_decode but ARGPICK_ERR_STRUCT_SIZE. Nothing is written then.
//
// Safety:
// - decoder is a live decoder; logits and mask have as many elements as said; stages has capacity elements that can be
//   written; found can be written.
argpick_status argpick_explain(struct argpick_decoder *decoder,
                               const void *logits,
                               argpick_dtype dtype,
                               size_t count,
                               const uint32_t *mask,
                               size_t mask_words,
                               struct argpick_stage *stages,
                               size_t capacity,
                               size_t *found);

// Fills a configuration: four beams, up to 256 tokens, nothing else.
//
// struct_size is sizeof(argpick_beam_config) as the caller's header has it; a smaller size of an earlier release works.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE.
//
// Safety:
// - config points to struct_size bytes that can be written.
argpick_status argpick_beam_config_init(struct argpick_beam_config *config,
                                        uint32_t struct_size);

// Makes a beam search on the heap for rows of vocab logits, 1 to 2^22. It is freed by argpick_beam_free.
//
// end_tokens are the tokens that end a beam: up to 64, each once; none: NULL and 0. They are copied.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_RESERVED,
// ARGPICK_ERR_INVALID_PARAMETER (name and value in argpick_last_error), ARGPICK_ERR_NOT_IN_PROFILE,
// ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_DUPLICATE_TOKEN and ARGPICK_ERR_CAPACITY_EXCEEDED (end tokens),
// ARGPICK_ERR_OUT_OF_MEMORY, ARGPICK_ERR_KERNEL_UNAVAILABLE and ARGPICK_ERR_UNKNOWN_KERNEL (see argpick_kernel). Not in a
// library without a heap.
//
// Safety:
// - config points to a struct that is as long as its struct_size says; end_tokens points to end_count ids; out can be
//   written.
argpick_status argpick_beam_new(const struct argpick_beam_config *config,
                                uint32_t vocab,
                                const uint32_t *end_tokens,
                                size_t end_count,
                                struct argpick_beam **out);

// Ends a beam search; NULL is allowed and does nothing. The memory of one made by argpick_beam_init is the caller's again.
//
// A search that another thread is using is not freed: it leaks, and argpick_last_error says so (ARGPICK_ERR_BUSY).
//
// Safety:
// - beam is NULL or a live search; it is not used after this call.
void argpick_beam_free(struct argpick_beam *beam);

// The memory in bytes that argpick_beam_init needs for this configuration, vocabulary and number of end tokens.
//
// Statuses: those of argpick_beam_new about its arguments.
//
// Safety:
// - config points to a struct that is as long as its struct_size says; end_tokens points to end_count ids; size can be
//   written.
argpick_status argpick_beam_size(const struct argpick_beam_config *config,
                                 uint32_t vocab,
                                 const uint32_t *end_tokens,
                                 size_t end_count,
                                 size_t *size);

// Makes a beam search in memory of the caller's: no heap is used, then or later.
//
// memory is aligned to ARGPICK_MEMORY_ALIGNMENT and has size bytes, at least what argpick_beam_size says; what they contain
// does not matter. It stays where it is and is the search's alone until argpick_beam_free; then, or when it is simply not
// used any more, it is the caller's again. More memory than needed leaves room for a reset.
//
// Statuses: those of argpick_beam_new without ARGPICK_ERR_OUT_OF_MEMORY; ARGPICK_ERR_STORAGE_TOO_SMALL (index = bytes
// needed).
//
// Safety:
// - memory points to size bytes that nobody else uses; config, end_tokens and out as for argpick_beam_new.
argpick_status argpick_beam_init(void *memory,
                                 size_t size,
                                 const struct argpick_beam_config *config,
                                 uint32_t vocab,
                                 const uint32_t *end_tokens,
                                 size_t end_count,
                                 struct argpick_beam **out);

// Starts a search anew.
//
// config NULL: the configuration and the end tokens stay, end_tokens is not looked at. Otherwise both are in force from now
// on; the vocabulary stays. A search on the heap gets more memory if it needs it; one in memory of the caller's must have
// been given enough.
//
// Statuses: those of argpick_beam_new about its arguments; ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED,
// ARGPICK_ERR_OUT_OF_MEMORY, ARGPICK_ERR_STORAGE_TOO_SMALL (index = bytes needed). After any of them nothing has changed.
//
// Safety:
// - beam is a live search; config is NULL or points to a struct that is as long as its struct_size says; end_tokens points
//   to end_count ids.
argpick_status argpick_beam_reset(struct argpick_beam *beam,
                                  const struct argpick_beam_config *config,
                                  const uint32_t *end_tokens,
                                  size_t end_count);

// Tells where a search stands.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE (state->struct_size), ARGPICK_ERR_BUSY,
// ARGPICK_ERR_POISONED.
//
// Safety:
// - beam is a live search; state->struct_size bytes can be written.
argpick_status argpick_beam_inspect(const struct argpick_beam *beam,
                                    struct argpick_beam_state *state);

// Takes a row of logits for each live beam and chooses how the search goes on.
//
// Row i is logits[i] (count elements of type dtype, count the search's vocabulary), under masks[i] (mask_words words; NULL:
// no mask); rows is the number of live beams, 1 at the first step. masks may be NULL: no row has one. Rows and masks are as
// for argpick_decode, but a row with nothing left only gives up its beam, unless that is so for all.
//
// decoder_count is 0 (decoders may be NULL then), or the number of the configuration's beams: one decoder for each, of equal
// capacities. Row i is then adjusted as decoders[i] would adjust it (biases, bans, windows, penalties; neither truncated nor
// divided by its temperature), and what ends its sequence ends the beam. Afterwards decoders[i] has the state of the decoder
// of beam i's parent and has accepted its token.
//
// next has capacity elements, at least state.outputs. First come the beams that go on, state->live of them: beam i of the
// next step continues beam next[i].parent of this one with next[i].token. Then come those that ended, state->ended of them.
// No memory is allocated and no system call is made.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE (state->struct_size), ARGPICK_ERR_BUSY (also a
// decoder that stands in the list twice), ARGPICK_ERR_POISONED, ARGPICK_ERR_WRONG_LENGTH, ARGPICK_ERR_INVALID_PARAMETER
// (dtype; decoders that differ), ARGPICK_ERR_NOT_IN_PROFILE (penalties), ARGPICK_ERR_INVALID_LOGIT (the row is in
// argpick_last_error), ARGPICK_ERR_EVERYTHING_MASKED (no beam has a token left), ARGPICK_ERR_FINISHED. After any of them the
// search, the decoders and the outputs are as they were.
//
// Safety:
// - beam is a live search; logits has rows elements, and so has masks unless it is NULL; decoders points to decoder_count
//   live decoders; next has capacity elements and state->struct_size bytes that can be written.
argpick_status argpick_beam_step(struct argpick_beam *beam,
                                 const void *const *logits,
                                 argpick_dtype dtype,
                                 size_t count,
                                 size_t rows,
                                 const uint32_t *const *masks,
                                 size_t mask_words,
                                 struct argpick_decoder *const *decoders,
                                 size_t decoder_count,
                                 struct argpick_beam_continuation *next,
                                 size_t capacity,
                                 struct argpick_beam_state *state);

// Writes the tokens of a live beam: as many as state.length says.
//
// tokens may be NULL if capacity and length are 0. score is the sum of the log-probabilities.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_INVALID_PARAMETER
// (there is no such beam), ARGPICK_ERR_WRONG_LENGTH (index = the capacity needed).
//
// Safety:
// - beam is a live search; tokens has capacity elements that can be written, and so can score.
argpick_status argpick_beam_tokens(const struct argpick_beam *beam,
                                   uint32_t index,
                                   uint32_t *tokens,
                                   size_t capacity,
                                   double *score);

// Tells the hypothesis of a rank, 0 the best, and writes its tokens, hypothesis->length of them.
//
// At any time: before the search is finished it is the best so far. With capacity 0 only hypothesis is written, and tokens
// may be NULL.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE (hypothesis->struct_size), ARGPICK_ERR_BUSY,
// ARGPICK_ERR_POISONED, ARGPICK_ERR_INVALID_PARAMETER (there are not so many), ARGPICK_ERR_WRONG_LENGTH (index = the
// capacity needed).
//
// Safety:
// - beam is a live search; tokens has capacity elements and hypothesis->struct_size bytes that can be written.
argpick_status argpick_beam_best(const struct argpick_beam *beam,
                                 uint32_t rank,
                                 uint32_t *tokens,
                                 size_t capacity,
                                 struct argpick_hypothesis *hypothesis);

// Opens a weight file, .npz or .safetensors with arrays W and b; the bytes decide which, not the name.
//
// path is UTF-8. The file is mapped: a large one opens in milliseconds, and only the columns used are read. Weights whose
// columns are not contiguous (NumPy's default order) are transposed once into memory; `argpick pack` writes a file that
// needs none. Every file is taken for hostile until checked; nothing is unpickled. flags: ARGPICK_WEIGHTS_COPY,
// ARGPICK_WEIGHTS_VERIFY. Freed by argpick_weights_free. Not in a library without the standard library.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_TEXT, ARGPICK_ERR_RESERVED (flags), ARGPICK_ERR_FILE,
// ARGPICK_ERR_FILE_FORMAT, ARGPICK_ERR_FILE_MALFORMED, ARGPICK_ERR_ARRAY_..., ARGPICK_ERR_OUT_OF_MEMORY, and those of the
// kernels (see argpick_kernel). argpick_last_error names the file, the array and the reason.
//
// Safety:
// - path ends with a zero; out can be written; without ARGPICK_WEIGHTS_COPY nobody shortens or overwrites the file.
argpick_status argpick_weights_open(const char *path,
                                    uint32_t flags,
                                    struct argpick_weights **out);

// Weights from the bytes of a file that is in memory already: flash, an archive, the network.
//
// The bytes may have any alignment. They are used where they lie and must stay there, unchanged, until
// argpick_weights_free; with ARGPICK_WEIGHTS_COPY they are copied. Weights whose columns are not contiguous are transposed
// into memory (without the standard library: ARGPICK_ERR_ARRAY_UNSUPPORTED). flags as for argpick_weights_open. Not in a
// library without a heap: see argpick_weights_init_from_memory.
//
// Statuses: those of argpick_weights_open but for files; ARGPICK_ERR_WRONG_LENGTH (an impossible size).
//
// Safety:
// - bytes points to size bytes that nobody writes as long as the weights are in use; out can be written.
argpick_status argpick_weights_from_memory(const void *bytes,
                                           size_t size,
                                           uint32_t flags,
                                           struct argpick_weights **out);

// The memory in bytes that a handle needs in argpick_weights_init_from_memory and argpick_weights_init_from_arrays.
size_t argpick_weights_size(void);

// As argpick_weights_from_memory, with the handle in memory of the caller's: no heap is used.
//
// memory is aligned to ARGPICK_MEMORY_ALIGNMENT and has memory_size bytes, at least argpick_weights_size(); it is the
// handle's until argpick_weights_free. The columns must be contiguous.
//
// Statuses: those of argpick_weights_from_memory; ARGPICK_ERR_STORAGE_TOO_SMALL, ARGPICK_ERR_ARRAY_UNSUPPORTED.
//
// Safety:
// - memory points to memory_size bytes that nobody else uses; bytes and out as for argpick_weights_from_memory.
argpick_status argpick_weights_init_from_memory(void *memory,
                                                size_t memory_size,
                                                const void *bytes,
                                                size_t size,
                                                struct argpick_weights **out);

// New weights to be trained: zeros, in memory of the library's. Freed by argpick_weights_free.
//
// vocab is 1 to 2^22, features at least 1. argpick_weights_arrays tells where the numbers are, to initialise or read them.
// Not in a library without a heap: see argpick_weights_init_from_arrays.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_INVALID_PARAMETER, ARGPICK_ERR_OUT_OF_MEMORY, and those of
// the kernels (see argpick_kernel).
//
// Safety:
// - out can be written.
argpick_status argpick_weights_new(uint32_t vocab,
                                   uint32_t features,
                                   struct argpick_weights **out);

// Arrays of the caller's as weights to be trained: column c of W is weights[c * vocab] to weights[c * vocab + vocab - 1].
//
// They stay the caller's: they must stay where they are until argpick_weights_free, which leaves them alone. Between calls
// the caller may read and write them; while a call on the handle runs nobody else may. Not in a library without a heap.
//
// Statuses: those of argpick_weights_new.
//
// Safety:
// - weights points to vocab * features floats, bias to vocab; out can be written.
argpick_status argpick_weights_from_arrays(float *weights,
                                           float *bias,
                                           uint32_t vocab,
                                           uint32_t features,
                                           struct argpick_weights **out);

// As argpick_weights_from_arrays, with the handle in memory of the caller's: no heap is used.
//
// memory as for argpick_weights_init_from_memory.
//
// Statuses: those of argpick_weights_from_arrays; ARGPICK_ERR_STORAGE_TOO_SMALL.
//
// Safety:
// - memory points to memory_size bytes that nobody else uses; the others as for argpick_weights_from_arrays.
argpick_status argpick_weights_init_from_arrays(void *memory,
                                                size_t memory_size,
                                                float *weights,
                                                float *bias,
                                                uint32_t vocab,
                                                uint32_t features,
                                                struct argpick_weights **out);

// Tells where the numbers of trainable weights are: W (vocab * features floats, column after column) and b (vocab).
//
// The pointers are valid until argpick_weights_free. Between calls the caller may read and write through them.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_READ_ONLY (the
// weights are those of a file).
//
// Safety:
// - weights is a live handle; matrix and bias can be written.
argpick_status argpick_weights_arrays(struct argpick_weights *weights,
                                      float **matrix,
                                      float **bias);

// Tells the shape of W: vocab logits, features columns.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
//
// Safety:
// - weights is a live handle; vocab and features can be written.
argpick_status argpick_weights_shape(const struct argpick_weights *weights,
                                     uint32_t *vocab,
                                     uint32_t *features);

// Asks the system to start reading these columns, so that they are there when the next step wants them.
//
// Does nothing for weights that are not a mapped file.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
// ARGPICK_ERR_POISONED, ARGPICK_ERR_COLUMN_OUT_OF_RANGE.
//
// Safety:
// - weights is a live handle; columns points to count columns.
argpick_status argpick_weights_prefetch(const struct argpick_weights *weights,
                                        const uint32_t *columns,
                                        size_t count);

// Writes W and b to a file that can be opened without a copy: format is ARGPICK_FORMAT_NPZ or ARGPICK_FORMAT_SAFETENSORS.
//
// The file appears whole or not at all: it is written beside path and renamed. Not in a library without the standard
// library.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_TEXT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED,
// ARGPICK_ERR_INVALID_PARAMETER (format), ARGPICK_ERR_FILE.
//
// Safety:
// - weights is a live handle; path ends with a zero.
argpick_status argpick_weights_save(const struct argpick_weights *weights,
                                    const char *path,
                                    uint32_t format);

// Ends weights; NULL is allowed and does nothing. Memory that is the caller's is left alone and may be used again.
//
// Weights that another thread is using are not freed: they leak, and argpick_last_error says so (ARGPICK_ERR_BUSY).
//
// Safety:
// - weights is NULL or a live handle; it is not used after this call.
void argpick_weights_free(struct argpick_weights *weights);

// Computes a row of logits: logits = b + sum_j values[j] * W[:, columns[j]], one column after the other.
//
// values NULL: 1 for each. A column may stand more than once and is added each time; a count of 0 gives b. vocab is the
// number of logits and must be that of the weights. The result has the same bits on every processor.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_WRONG_LENGTH,
// ARGPICK_ERR_COLUMN_OUT_OF_RANGE, ARGPICK_ERR_INVALID_PARAMETER (a value that is NaN or infinite). Nothing is written then.
//
// Safety:
// - weights is a live handle; columns and values point to count elements; logits has vocab elements, none of them in the
//   weights' own arrays.
argpick_status argpick_logits(const struct argpick_weights *weights,
                              const uint32_t *columns,
                              const float *values,
                              size_t count,
                              float *logits,
                              size_t vocab);

// Head and pick in one: a step on the row that argpick_logits would compute, which is not written. values NULL: 1 for each.
//
// The pick is that of argpick_decode on the written row, bit for bit.
//
// Statuses: those of argpick_decode and of argpick_logits; ARGPICK_ERR_WRONG_LENGTH if the decoder and the weights have not
// the same vocabulary. After any of them the decoder and pick are as they were.
//
// Safety:
// - decoder and weights are live handles; columns and values point to count elements, mask to mask_words;
//   pick->struct_size bytes can be written.
argpick_status argpick_decode_sparse(struct argpick_decoder *decoder,
                                     const struct argpick_weights *weights,
                                     const uint32_t *columns,
                                     const float *values,
                                     size_t count,
                                     const uint32_t *mask,
                                     size_t mask_words,
                                     struct argpick_pick *pick);

// Picks a token as argpick_decode_sparse would and does not record it: the next call sees the same state. values NULL: 1 for
// each.
//
// Statuses: those of argpick_decode_sparse.
//
// Safety:
// - As for argpick_decode_sparse.
argpick_status argpick_evaluate_sparse(struct argpick_decoder *decoder,
                                       const struct argpick_weights *weights,
                                       const uint32_t *columns,
                                       const float *values,
                                       size_t count,
                                       const uint32_t *mask,
                                       size_t mask_words,
                                       struct argpick_pick *pick);

// One step of online training: softmax cross-entropy against a target by stochastic gradient descent.
//
// With z the row that argpick_logits computes, p its softmax at temperature 1 and g = p - onehot(target):
// b -= learning_rate * g and W[:, columns[j]] -= learning_rate * values[j] * g. values NULL: 1 for each. learning_rate is
// finite and above 0. gradient is memory to work in, vocab floats outside of the weights; afterwards it holds g, the
// gradient with respect to the logits, for whoever wants to go on from there to the columns' values. loss is -ln p(target)
// in nats and argmax the highest logit, both before the update.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_READ_ONLY,
// ARGPICK_ERR_WRONG_LENGTH (vocab), ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_COLUMN_OUT_OF_RANGE,
// ARGPICK_ERR_INVALID_PARAMETER (learning_rate, values), ARGPICK_ERR_INVALID_LOGIT, ARGPICK_ERR_UPDATE_OVERFLOW. After any
// of them the weights, loss and argmax are as they were; gradient may hold anything.
//
// Safety:
// - weights is a live handle; columns and values point to count elements; gradient has vocab elements; loss and argmax can
//   be written.
argpick_status argpick_train_step(struct argpick_weights *weights,
                                  const uint32_t *columns,
                                  const float *values,
                                  size_t count,
                                  uint32_t target,
                                  float learning_rate,
                                  float *gradient,
                                  size_t vocab,
                                  float *loss,
                                  uint32_t *argmax);

// Scores a row of count logits, 1 to 2^22, against its target, without a decoder and without a draw.
//
// loss is -ln of the target's probability at temperature 1, in nats (+inf for a target at -inf); rank is how many tokens
// stand before the target in the order of logits; argmax is the greedy pick.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_INVALID_PARAMETER (dtype, or count as "vocab"),
// ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_INVALID_LOGIT, ARGPICK_ERR_EVERYTHING_MASKED, and those of the kernels (see
// argpick_kernel). Nothing is written then.
//
// Safety:
// - logits has count elements; loss, rank and argmax can be written.
argpick_status argpick_score(const void *logits,
                             argpick_dtype dtype,
                             size_t count,
                             uint32_t target,
                             float *loss,
                             uint32_t *rank,
                             uint32_t *argmax);

// Scores rows rows, each against its target; a row that fails leaves the others alone.
//
// Row i is logits[i] (count elements of type dtype), scored against targets[i] into losses[i], ranks[i], argmaxes[i] and
// statuses[i]. rows 0 does nothing, the arrays may be NULL then.
//
// Returns ARGPICK_OK if all rows succeeded, else the status of the first that did not, which is also the one that
// argpick_last_error tells about. statuses is written whenever the arrays themselves are usable; the results of a row that
// failed are not.
//
// Statuses: those of argpick_score, also per row; ARGPICK_ERR_WRONG_LENGTH (an impossible number of rows).
//
// Safety:
// - logits, targets, losses, ranks, argmaxes and statuses have rows elements; each row has count elements.
argpick_status argpick_score_batch(size_t rows,
                                   const void *const *logits,
                                   argpick_dtype dtype,
                                   size_t count,
                                   const uint32_t *targets,
                                   float *losses,
                                   uint32_t *ranks,
                                   uint32_t *argmaxes,
                                   argpick_status *statuses);

// Tells a trainer what a batch of rows looks like: flat, saturated or healthy, and four ways of being right.
//
// Row i is logits[i] (count elements of type dtype, the decoder's vocabulary) with target targets[i]. loss, entropy, top-1
// probability and rank are of the row as given, at temperature 1; expected_accuracy is the probability with which the
// decoder, as configured, picks the target, so a trainer sees what sampling hides. Nothing is drawn and nothing recorded.
// limits NULL: the defaults. verdicts gets an ARGPICK_VERDICT_ for each row; NULL if it is not wanted.
//
// Statuses: those of argpick_decode and argpick_score, for the first row that has one (argpick_last_error names it);
// ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_INVALID_PARAMETER (limits). diagnosis is not written then; verdicts of earlier rows are.
//
// Safety:
// - decoder is a live decoder; logits and targets have rows elements, and so has verdicts unless it is NULL; each row has
//   count elements; limits and diagnosis are as long as their struct_size says.
argpick_status argpick_diagnose(struct argpick_decoder *decoder,
                                size_t rows,
                                const void *const *logits,
                                argpick_dtype dtype,
                                size_t count,
                                const uint32_t *targets,
                                const struct argpick_diagnosis_limits *limits,
                                uint32_t *verdicts,
                                struct argpick_diagnosis *diagnosis);

// Begins a trace of a decoder as it is now: its whole state stands at the beginning.
//
// From here on the host does what it does to the decoder through the functions below, each of which does the same as the
// decoder's own and then writes it down. A sink that fails does not disturb the run: the trace ends there, and
// argpick_trace_finish says so.
//
// parts are ARGPICK_TRACE_ flags. sink gets the bytes as they come, with context; NULL keeps them in memory, until
// argpick_trace_finish hands them out. It is called inside of the functions below and must not use the trace or the decoder.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_RESERVED (parts),
// ARGPICK_ERR_OUT_OF_MEMORY. Not in a library without a heap.
//
// Safety:
// - decoder is a live decoder; sink, unless NULL, can be called with context until the trace is freed; out can be written.
argpick_status argpick_trace_new(struct argpick_decoder *decoder,
                                 uint32_t parts,
                                 argpick_trace_sink sink,
                                 void *context,
                                 struct argpick_trace **out);

// Ends a handle; NULL is allowed and does nothing. The bytes that argpick_trace_finish handed out go with it.
//
// Safety:
// - trace is NULL or a live trace; neither it nor its bytes are used after this call.
void argpick_trace_free(struct argpick_trace *trace);

// Ends the trace: its last record, with the checksum. Nothing can be recorded after it.
//
// bytes and size are the whole trace, which stays where it is until argpick_trace_free; NULL and 0 where a sink took it.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_FINISHED (it has
// ended before), ARGPICK_ERR_FILE (value = what the sink answered), ARGPICK_ERR_CAPACITY_EXCEEDED (no memory for more).
//
// Safety:
// - trace is a live trace; bytes and size can be written.
argpick_status argpick_trace_finish(struct argpick_trace *trace,
                                    const void **bytes,
                                    size_t *size);

// Writes the decoder's whole state into the trace: after anything that was done to it without the trace.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_FINISHED (the trace
// has ended), ARGPICK_ERR_OUT_OF_MEMORY.
//
// Safety:
// - trace and decoder are live handles.
argpick_status argpick_trace_state(struct argpick_trace *trace,
                                   struct argpick_decoder *decoder);

// Writes a remark of size bytes in UTF-8 for whoever reads the trace; it means nothing to a replay.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_WRONG_LENGTH (an impossible size), ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED,
// ARGPICK_ERR_FINISHED (the trace has ended), ARGPICK_ERR_TEXT.
//
// Safety:
// - trace is a live trace; text points to size bytes.
argpick_status argpick_trace_note(struct argpick_trace *trace,
                                  const char *text,
                                  size_t size);

// argpick_decoder_push_bytes, recorded, so that a replay finds the same stop strings.
//
// Statuses: those of argpick_decoder_push_bytes; ARGPICK_ERR_FINISHED if the trace has ended.
//
// Safety:
// - trace and decoder are live handles; bytes points to size bytes; stop and held_back can be written.
argpick_status argpick_trace_push_bytes(struct argpick_trace *trace,
                                        struct argpick_decoder *decoder,
                                        const void *bytes,
                                        size_t size,
                                        uint32_t *stop,
                                        size_t *held_back);

// argpick_decoder_prompt, recorded.
//
// Statuses: those of argpick_decoder_prompt; ARGPICK_ERR_FINISHED if the trace has ended.
//
// Safety:
// - trace and decoder are live handles; tokens points to count ids.
argpick_status argpick_trace_prompt(struct argpick_trace *trace,
                                    struct argpick_decoder *decoder,
                                    const uint32_t *tokens,
                                    size_t count);

// argpick_decoder_accept, recorded.
//
// Statuses: those of argpick_decoder_accept; ARGPICK_ERR_FINISHED also if the trace has ended.
//
// Safety:
// - trace and decoder are live handles; tokens points to count ids.
argpick_status argpick_trace_accept(struct argpick_trace *trace,
                                    struct argpick_decoder *decoder,
                                    const uint32_t *tokens,
                                    size_t count);

// argpick_decoder_undo, recorded.
//
// Statuses: those of argpick_decoder_undo; ARGPICK_ERR_FINISHED if the trace has ended.
//
// Safety:
// - trace and decoder are live handles.
argpick_status argpick_trace_undo(struct argpick_trace *trace, struct argpick_decoder *decoder, size_t count);

// argpick_decoder_seek, recorded.
//
// Statuses: those of argpick_decoder_seek; ARGPICK_ERR_FINISHED if the trace has ended.
//
// Safety:
// - trace and decoder are live handles.
argpick_status argpick_trace_seek(struct argpick_trace *trace,
                                  struct argpick_decoder *decoder,
                                  uint64_t position);

// argpick_decoder_reset, recorded.
//
// Statuses: those of argpick_decoder_reset; ARGPICK_ERR_FINISHED if the trace has ended.
//
// Safety:
// - trace and decoder are live handles; config is NULL or points to a struct that is as long as its struct_size says.
argpick_status argpick_trace_reset(struct argpick_trace *trace,
                                   struct argpick_decoder *decoder,
                                   const struct argpick_config *config);

// argpick_decoder_set_bias, recorded.
//
// Statuses: those of argpick_decoder_set_bias; ARGPICK_ERR_FINISHED if the trace has ended.
//
// Safety:
// - trace and decoder are live handles; tokens and biases point to count elements each.
argpick_status argpick_trace_set_bias(struct argpick_trace *trace,
                                      struct argpick_decoder *decoder,
                                      const uint32_t *tokens,
                                      const float *biases,
                                      size_t count);

// argpick_decoder_set_bans, recorded.
//
// Statuses: those of argpick_decoder_set_bans; ARGPICK_ERR_FINISHED if the trace has ended.
//
// Safety:
// - trace and decoder are live handles; tokens points to count ids.
argpick_status argpick_trace_set_bans(struct argpick_trace *trace,
                                      struct argpick_decoder *decoder,
                                      const uint32_t *tokens,
                                      size_t count);

// argpick_decode, recorded: the pick, and digests of the row and the mask.
//
// Statuses: those of argpick_decode; ARGPICK_ERR_FINISHED also if the trace has ended. A row that is refused is recorded,
// too.
//
// Safety:
// - trace is a live trace; the rest as for argpick_decode.
argpick_status argpick_trace_decode(struct argpick_trace *trace,
                                    struct argpick_decoder *decoder,
                                    const void *logits,
                                    argpick_dtype dtype,
                                    size_t count,
                                    const uint32_t *mask,
                                    size_t mask_words,
                                    struct argpick_pick *pick);

// argpick_evaluate, recorded.
//
// Statuses: those of argpick_evaluate; ARGPICK_ERR_FINISHED also if the trace has ended.
//
// Safety:
// - trace is a live trace; the rest as for argpick_evaluate.
argpick_status argpick_trace_evaluate(struct argpick_trace *trace,
                                      struct argpick_decoder *decoder,
                                      const void *logits,
                                      argpick_dtype dtype,
                                      size_t count,
                                      const uint32_t *mask,
                                      size_t mask_words,
                                      struct argpick_pick *pick);

// argpick_decode_sparse, recorded. For its digest the row is computed once more.
//
// Statuses: those of argpick_decode_sparse; ARGPICK_ERR_FINISHED also if the trace has ended.
//
// Safety:
// - trace is a live trace; the rest as for argpick_decode_sparse.
argpick_status argpick_trace_decode_sparse(struct argpick_trace *trace,
                                           struct argpick_decoder *decoder,
                                           const struct argpick_weights *weights,
                                           const uint32_t *columns,
                                           const float *values,
                                           size_t count,
                                           const uint32_t *mask,
                                           size_t mask_words,
                                           struct argpick_pick *pick);

// argpick_evaluate_sparse, recorded. For its digest the row is computed once more.
//
// Statuses: those of argpick_evaluate_sparse; ARGPICK_ERR_FINISHED also if the trace has ended.
//
// Safety:
// - trace is a live trace; the rest as for argpick_evaluate_sparse.
argpick_status argpick_trace_evaluate_sparse(struct argpick_trace *trace,
                                             struct argpick_decoder *decoder,
                                             const struct argpick_weights *weights,
                                             const uint32_t *columns,
                                             const float *values,
                                             size_t count,
                                             const uint32_t *mask,
                                             size_t mask_words,
                                             struct argpick_pick *pick);

// Says that the next step's row is the one that argpick_logits makes of these columns: for hosts that write the row, so that
// a replay needs only the weights. Nothing is written where ARGPICK_TRACE_COLUMNS was not asked for.
//
// values may be NULL: all are 1 then.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
// ARGPICK_ERR_POISONED, ARGPICK_ERR_FINISHED (the trace has ended).
//
// Safety:
// - trace is a live trace; columns and, unless NULL, values point to count elements.
argpick_status argpick_trace_columns(struct argpick_trace *trace,
                                     const uint32_t *columns,
                                     const float *values,
                                     size_t count);

// The name of a field of argpick_difference; an empty text for 0 and for numbers that no field has.
//
// Never NULL; static text, nothing to free.
const char *argpick_field_name(uint32_t field);

// Begins to execute a trace, whose size bytes are checked as a whole and believed in nothing.
//
// The bytes stay where they are, unchanged, until argpick_replay_free. steps, unless NULL, tells how many steps there are, and
// is_complete, unless NULL, whether the trace has its end (1): one that was cut off is executed up to there.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible size),
// ARGPICK_ERR_FILE_MALFORMED (no trace, or a damaged one, or one of another format, release or numerics),
// ARGPICK_ERR_INVALID_PARAMETER, ARGPICK_ERR_NOT_IN_PROFILE, ARGPICK_ERR_OUT_OF_MEMORY, ARGPICK_ERR_KERNEL_UNAVAILABLE and
// ARGPICK_ERR_UNKNOWN_KERNEL (see argpick_kernel). Not in a library without a heap.
//
// Safety:
// - bytes points to size bytes that nobody changes until the replay is freed; steps and is_complete, unless NULL, and out
//   can be written.
argpick_status argpick_replay_new(const void *bytes,
                                  size_t size,
                                  uint64_t *steps,
                                  uint32_t *is_complete,
                                  struct argpick_replay **out);

// Ends a replay; NULL is allowed and does nothing.
//
// Safety:
// - replay is NULL or a live replay; it is not used after this call.
void argpick_replay_free(struct argpick_replay *replay);

// Tells the length of the rows that the trace's steps take.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
//
// Safety:
// - replay is a live replay; vocab can be written.
argpick_status argpick_replay_vocab(struct argpick_replay *replay, uint32_t *vocab);

// Makes a copy of the decoder as the trace has left it so far: its configuration, position, history and lists can be asked of
// that one, and it can go on alone from there. argpick_decoder_free frees it.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_OUT_OF_MEMORY.
//
// Safety:
// - replay is a live replay; out can be written.
argpick_status argpick_replay_decoder(struct argpick_replay *replay,
                                      struct argpick_decoder **out);

// Does what the host did before the next step and tells about that step. Until it is checked, it is the same one.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED,
// ARGPICK_ERR_OUT_OF_MEMORY, and those of the decoder's functions where the trace holds what no host could have done.
//
// Safety:
// - replay is a live replay; step->struct_size bytes can be written.
argpick_status argpick_replay_next(struct argpick_replay *replay,
                                   struct argpick_step_record *step);

// Runs the step that argpick_replay_next told about on its row, and tells what differs from the trace.
//
// The mask may be left out (NULL and 0) where the trace has it, or where the step had none. After a difference the decoder is
// where the step has left it now, so that what follows may differ, too.
//
// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED,
// ARGPICK_ERR_WRONG_LENGTH, ARGPICK_ERR_INVALID_PARAMETER (dtype), ARGPICK_ERR_FINISHED (no step is due). A row that is
// refused is an answer, which is compared, too.
//
// Safety:
// - replay is a live replay; logits and mask have as many elements as said; difference->struct_size bytes can be written.
argpick_status argpick_replay_check(struct argpick_replay *replay,
                                    const void *logits,
                                    argpick_dtype dtype,
                                    size_t count,
                                    const uint32_t *mask,
                                    size_t mask_words,
                                    struct argpick_difference *difference);

// The same with the row that weights make of the columns in the trace.
//
// Statuses: those of argpick_replay_check; ARGPICK_ERR_WRONG_LENGTH also if the trace has no columns for this step;
// ARGPICK_ERR_COLUMN_OUT_OF_RANGE, ARGPICK_ERR_INVALID_PARAMETER (values).
//
// Safety:
// - replay and weights are live handles; mask has mask_words words; difference->struct_size bytes can be written.
argpick_status argpick_replay_check_sparse(struct argpick_replay *replay,
                                           const struct argpick_weights *weights,
                                           const uint32_t *mask,
                                           size_t mask_words,
                                           struct argpick_difference *difference);

// How many GPUs can be used, and the driver's version in CUDA's numbering (13010 is 13.1).
//
// Statuses: ARGPICK_ERR_CUDA_UNAVAILABLE (not in this build, no driver or one too old, no GPU), ARGPICK_ERR_NULL,
// ARGPICK_ERR_ALIGNMENT.
//
// Safety:
// - count and driver_version each point to a number that can be written.
argpick_status argpick_cuda_devices(uint32_t *count,
                                    uint32_t *driver_version);

// Makes the row of a configuration, on the host, for logits of vocab tokens: at position 0, without mask, biases, bans and
// history; the caller adds their addresses, and copies the row to the device.
//
// The device has greedy and drawing, temperature, top-k, top-p, min-p, typical, valid_vocab, the penalties of repetition,
// frequency and presence, and all metrics but LOOP and FLIP, in the profile canon. Whoever runs the loop counts max_tokens.
//
// Statuses: ARGPICK_ERR_CUDA_UNAVAILABLE, ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE,
// ARGPICK_ERR_RESERVED, ARGPICK_ERR_INVALID_PARAMETER; ARGPICK_ERR_NOT_IN_PROFILE names what the device does not have.
//
// Safety:
// - config points to a configuration as long as its struct_size says; row can be written.
argpick_status argpick_cuda_row_init(const struct argpick_config *config,
                                     uint32_t vocab,
                                     struct argpick_cuda_row *row);

// Checks rows before they are copied to the device, raises what the batch provides to what they need (features,
// adjustment_capacity), and says how many bytes of workspace the batch needs then.
//
// rows are the host's; count may differ from row_count, and 0 checks nothing. More than the rows need does no harm: to
// capture a graph for any rows, plan with the most demanding ones. Of the batch its shape is looked at, no address.
//
// Statuses: those of argpick_cuda_row_init for the rows, whose number is told, and for a batch of an impossible shape;
// ARGPICK_ERR_CAPACITY_EXCEEDED (biases, bans). Nothing has been written then.
//
// Safety:
// - batch and workspace_size can be written; rows has count elements.
argpick_status argpick_cuda_plan(struct argpick_cuda_batch *batch,
                                 const struct argpick_cuda_row *rows,
                                 size_t count,
                                 uint64_t *workspace_size);

// Queues the decode of a batch on its stream and returns at once. Nothing is allocated, copied or waited for, so the call
// may be captured in a CUDA graph.
//
// A row that fails leaves the others alone. Token and numbers are those of argpick_evaluate on the same row, bit for bit,
// wherever in a batch the row stands.
//
// Statuses: ARGPICK_ERR_CUDA_UNAVAILABLE, ARGPICK_ERR_CUDA_FAILED, ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT,
// ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_RESERVED, ARGPICK_ERR_INVALID_PARAMETER (the shape; an address that is 0 or not
// aligned), ARGPICK_ERR_STORAGE_TOO_SMALL (workspace). Nothing is queued then.
//
// Safety:
// - Until the stream has come past the launch, and past each replay of a graph with it: the addresses are those of memory of
//   the stream's device, as large as the batch and its rows say, and only the stream's own work writes what the launch reads
//   or uses what it writes. With ARGPICK_CUDA_RECORD no two rows share a history.
argpick_status argpick_cuda_decode(const struct argpick_cuda_batch *batch);

// The same with the rows that a sparse head makes: inputs is the address of row_count elements of argpick_cuda_input in
// device memory. The batch's dtype is ARGPICK_F32, and its logits are where the rows are written.
//
// Statuses: those of argpick_cuda_decode, also for the head; ARGPICK_ERR_WRONG_LENGTH (the head has another vocabulary).
//
// Safety:
// - As for argpick_cuda_decode, and so for the memory of the head and of the inputs.
argpick_status argpick_cuda_decode_sparse(const struct argpick_cuda_batch *batch,
                                          const struct argpick_cuda_head *head,
                                          uint64_t inputs);

// The status of a row, from a copy of its pick on the host: ARGPICK_OK if it was decoded or skipped, else what
// argpick_evaluate would answer; argpick_last_error tells it in full.
//
// Statuses: ARGPICK_ERR_CUDA_UNAVAILABLE, ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT; ARGPICK_ERR_INVALID_LOGIT,
// ARGPICK_ERR_EVERYTHING_MASKED, ARGPICK_ERR_INVALID_PARAMETER (a parameter, a place in a list, or memory that no launch
// has written).
//
// Safety:
// - pick points to a pick in the host's memory.
argpick_status argpick_cuda_pick_status(const struct argpick_cuda_pick *pick);

// How many bytes of workspace a training step needs. Only its numbers are looked at, no address.
//
// Statuses: ARGPICK_ERR_CUDA_UNAVAILABLE, ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE,
// ARGPICK_ERR_INVALID_PARAMETER, ARGPICK_ERR_TOKEN_OUT_OF_RANGE (target), ARGPICK_ERR_CAPACITY_EXCEEDED (columns).
//
// Safety:
// - train points to a struct as long as its struct_size says; workspace_size can be written.
argpick_status argpick_cuda_train_workspace(const struct argpick_cuda_train *train,
                                            uint64_t *workspace_size);

// Queues one step of stochastic gradient descent on the softmax cross-entropy: argpick_train_step on device memory, with
// the same bits. All or nothing: where the score has another status than ARGPICK_CUDA_ROW_OK the head has not changed.
//
// Statuses: those of argpick_cuda_train_workspace and of argpick_cuda_decode. Nothing is queued then.
//
// Safety:
// - As for argpick_cuda_decode, with the memory that train names; no two of its arrays overlap.
argpick_status argpick_cuda_train_step(const struct argpick_cuda_train *train);

// The status of a training step, from a copy of its score on the host; argpick_last_error tells it in full.
//
// Statuses: those of argpick_cuda_pick_status; ARGPICK_ERR_UPDATE_OVERFLOW.
//
// Safety:
// - score points to a score in the host's memory.
argpick_status argpick_cuda_score_status(const struct argpick_cuda_score *score);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ARGPICK_H */
