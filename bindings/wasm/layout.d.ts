// Made from include/argpick.h by layout.mjs.

/** Everything that decides what a decoder does with a row. What is left out is off. */
export interface Config {
    /** Whose order and rules hold: ARGPICK_PROFILE_. */
    profile?: number | 'canon' | 'huggingface' | 'llama-cpp' | 'vllm';
    /** Seed of the random numbers. */
    seed?: number | bigint;
    /** Stream of the random numbers: one for each sequence that shares a seed. */
    stream?: number | bigint;
    /** ARGPICK_MODE_SAMPLE or ARGPICK_MODE_GREEDY. */
    mode?: number | 'sample' | 'greedy';
    /** Divides the logits: finite, at least 0. 1 leaves them; 0 means mode greedy with metrics at temperature 1, but under ARGPICK_PROFILE_LLAMA_CPP the first token of what typical and XTC leave, or a temperature that follows the entropy. */
    temperature?: number;
    /** Keeps the so many highest logits, the lower id first among equals. 0, or at least the vocabulary: off. */
    topK?: number | boolean;
    /** Keeps the smallest prefix of the order with this much probability, 0 to 1; the token that crosses stays. 1: off. */
    topP?: number;
    /** Keeps what is at least this likely relative to the likeliest, 0 to 1. 0: off. */
    minP?: number;
    /** Tokens that the history holds, up to 2^24; past it the oldest leave. 0: 4096. */
    historyCapacity?: number | boolean;
    /** Masks the generated ones among the last so many tokens, up to history_capacity. 0: off. */
    noRepeatWindow?: number | boolean;
    /** Ends the sequence after so many generated tokens. 0: no limit. */
    maxTokens?: number | boolean;
    /** Each filter keeps at least so many, the first of its order. 0: 1. */
    minKeep?: number | boolean;
    /** Only ids below this take part, up to the vocabulary; the row may be longer. 0: all. */
    validVocab?: number | boolean;
    /** What to report beside token, argmax, margin and finish: ARGPICK_METRIC_ flags. Each costs up to a pass of the row. */
    metrics?: number | ('confidence' | 'logprob' | 'logprob-raw' | 'rank' | 'kept' | 'kept-mass' | 'loop' | 'flip' | 'all')[];
    /** Room for so many biases, and as many bans, up to 2^22. 0: 1024. */
    adjustmentCapacity?: number | boolean;
    /** Keeps the tokens whose surprise is nearest the entropy, up to this probability, 0 to 1. 1: off. */
    typicalP?: number;
    /** Removes tokens less likely than this, 0 to 1. 0: off. */
    epsilonCutoff?: number;
    /** Removes tokens less likely than the lesser of this and its root times exp(-entropy), 0 to 1. 0: off. */
    etaCutoff?: number;
    /** Keeps logits within so many standard deviations of the highest, finite, at least 0. 0: off. */
    topNSigma?: number;
    /** Removes tokens less likely than this times the square of the largest probability, 0 to 1. 0: off. */
    topA?: number;
    /** Tail-free: keeps this share of the curvature of the sorted probabilities, 0 to 1. 1: off. */
    tfsZ?: number;
    /** Keeps the prefix with this share of the entropy of the first 100 tokens, 0 to 1. 0: off. */
    topH?: number;
    /** How often the likeliest tokens are removed ("exclude top choices"), 0 to 1. 0: off. */
    xtcProbability?: number;
    /** What counts as a top choice: this likely; all but the least likely of them go. Above 0.5: off. */
    xtcThreshold?: number;
    /** 1: top-k keeps all tokens that equal the k-th. 0: exactly k. */
    keepTies?: number | boolean;
    /** Half the range of a temperature that follows the entropy, finite, at least 0. 0: off. */
    dynatempRange?: number;
    /** The exponent of that curve, finite, at least 0. */
    dynatempExponent?: number;
    /** ARGPICK_MIROSTAT_: in place of all filters. */
    mirostat?: number | 'off' | '1' | '2';
    /** Mirostat's target surprise in bits, finite, at least 0. */
    mirostatTau?: number;
    /** Mirostat's learning rate, finite, at least 0. */
    mirostatEta?: number;
    /** Adaptive-p: prefers tokens whose probability is near this, up to 1. Negative: off. */
    adaptiveTarget?: number;
    /** Adaptive-p: how slowly the mean of what was picked forgets, 0 to 0.99. */
    adaptiveDecay?: number;
    /** Divides positive and multiplies negative logits of tokens in the history; finite, above 0. 1: off. */
    repetitionPenalty?: number;
    /** Subtracted once for each time a token stands in the history; finite. 0: off. */
    frequencyPenalty?: number;
    /** Subtracted if a token stands in the history; finite. 0: off. */
    presencePenalty?: number;
    /** The penalties see so many of the last tokens, up to history_capacity. 0: all that the history holds. */
    penaltyWindow?: number | boolean;
    /** ARGPICK_PENALTY_SCOPE_: whether the penalties count the prompt. */
    penaltyScope?: number | 'profile' | 'all' | 'generated';
    /** DRY: the penalty of a token that would prolong a repetition; finite, at least 0. 0: off. */
    dryMultiplier?: number;
    /** DRY: by how much each further token of the repetition multiplies the penalty; finite, at least 1. */
    dryBase?: number;
    /** DRY: repetitions up to this length are free. */
    dryAllowedLength?: number | boolean;
    /** DRY sees so many of the last tokens, up to history_capacity. 0: all that the history holds. */
    dryWindow?: number | boolean;
    /** Masks what would complete an n-gram of this length that stands in the history. 0: off. */
    noRepeatNgram?: number | boolean;
    /** Masks the end tokens until so many tokens are generated. 0: off. */
    minTokens?: number | boolean;
    /** From so many generated tokens on, the logits of the end tokens rise. */
    lengthDecayStart?: number | boolean;
    /** By how much: |logit| * (factor^(tokens past the start) - 1) is added; finite, above 0. 1: off. */
    lengthDecayFactor?: number;
    /** The longest period of a loop that is looked for, up to history_capacity. 0: 64 where loops are asked for. */
    loopPeriod?: number | boolean;
    /** Ends the sequence when its end repeats so many times. 0: never. */
    loopRepeats?: number | boolean;
    /** Room for so many tokens of end tokens, stop sequences, breakers, bad and biased sequences, of each kind, up to 2^16. 0: 256. */
    sequenceCapacity?: number | boolean;
}

/** The token picked, and how sure the row was. What `metrics` did not ask for is undefined. */
export interface Pick {
    /** The token picked. */
    readonly token: number;
    /** The token with the highest logit, the lowest id among equals. */
    readonly argmax: number;
    /** How many tokens stand before the picked one in the order of logits; 0 is the argmax. ARGPICK_METRIC_RANK. */
    readonly rank: number | undefined;
    /** How many tokens the filters kept; 1 in greedy mode. ARGPICK_METRIC_KEPT. */
    readonly kept: number | undefined;
    /** Whether the sequence ends here, and why: ARGPICK_FINISH_. */
    readonly finish: 'none' | 'length' | 'end-token' | 'stop' | 'loop';
    /** Highest logit minus second highest, before temperature; +inf if only one token takes part. */
    readonly margin: number;
    /** Probability of the argmax. ARGPICK_METRIC_CONFIDENCE. */
    readonly top1Probability: number | undefined;
    /** Entropy in nats. ARGPICK_METRIC_CONFIDENCE. */
    readonly entropy: number | undefined;
    /** ln of the picked token's probability in the row as given, at temperature 1. ARGPICK_METRIC_LOGPROB_RAW. */
    readonly logprobRaw: number | undefined;
    /** ln of the picked token's probability among the tokens kept. ARGPICK_METRIC_LOGPROB. */
    readonly logprob: number | undefined;
    /** Probability of the tokens kept, together. ARGPICK_METRIC_KEPT_MASS. */
    readonly keptMass: number | undefined;
    /** Sum of logprob over the generated tokens, this one included. ARGPICK_METRIC_LOGPROB. */
    readonly cumulativeLogprob: number | undefined;
    /** The temperature in force. */
    readonly temperature: number;
    /** No change of the logits smaller than this changes argmax. ARGPICK_METRIC_FLIP. */
    readonly flipArgmax: number | undefined;
    /** No change of the logits smaller than this changes which tokens are kept. ARGPICK_METRIC_FLIP. */
    readonly flipKept: number | undefined;
    /** No change of the logits smaller than this changes the token. ARGPICK_METRIC_FLIP. */
    readonly flipToken: number | undefined;
    /** Period of the loop that the sequence ends with; 0: none. ARGPICK_METRIC_LOOP. */
    readonly loopPeriod: number | undefined;
    /** How many times that period stands at the end. ARGPICK_METRIC_LOOP. */
    readonly loopRepeats: number | undefined;
    /** How recurrent the recent tokens are, 0 to 1. ARGPICK_METRIC_LOOP. */
    readonly loopScore: number | undefined;
}

/** A token of a row. */
export interface Candidate {
    /** The token. */
    readonly token: number;
    /** Its logit after biases and masks, before temperature. */
    readonly logit: number;
    /** ln of its probability at the configured temperature. */
    readonly logprob: number;
}

/** Everything that decides what a beam search does. What is left out has its default. */
export interface BeamConfig {
    /** Whose rules of scoring and ending hold: ARGPICK_PROFILE_CANON, _HUGGINGFACE or _VLLM. */
    profile?: number | 'canon' | 'huggingface' | 'llama-cpp' | 'vllm';
    /** Sequences that are followed side by side, 1 to 1024. */
    beams?: number | boolean;
    /** Groups of equal size that the beams are divided into; later ones avoid the tokens of earlier ones. 0: 1. */
    groups?: number | boolean;
    /** What a candidate loses, when it is chosen, for each beam of an earlier group with the same token; 0 or more. */
    diversityPenalty?: number;
    /** A hypothesis is ranked by its sum of log-probabilities divided by its length to this power, -16 to 16. */
    lengthPenalty?: number;
    /** Divides the logits: finite, above 0; 1 where the profile is not canon. */
    temperature?: number;
    /** When the search ends before max_tokens: an ARGPICK_EARLY_STOPPING_. */
    earlyStopping?: number | 'never' | 'heuristic' | 'full';
    /** End tokens are masked until so many tokens are generated. */
    minTokens?: number | boolean;
    /** Beams that are so long are hypotheses, 1 to 2^20. */
    maxTokens?: number | boolean;
    /** Hypotheses that are told about, up to beams. 0: beams. */
    nBest?: number | boolean;
    /** Only ids below this take part, up to the vocabulary. 0: all. */
    validVocab?: number | boolean;
}

/** A beam and the token it goes on with, or ends with. */
export interface BeamContinuation {
    /** The index of the beam among the rows of the step. */
    readonly parent: number;
    /** Its token. */
    readonly token: number;
    /** The sum of the log-probabilities of its tokens, this one included, in nats. */
    readonly score: number;
}

/** The constants of the C header without their prefix. */
export const constants: {
    readonly VERSION_MAJOR: number;
    readonly VERSION_MINOR: number;
    readonly VERSION_PATCH: number;
    readonly ABI_VERSION: number;
    readonly NUMERICS_VERSION: number;
    readonly MEMORY_ALIGNMENT: number;
    readonly PROFILE_CANON: number;
    readonly PROFILE_HUGGINGFACE: number;
    readonly PROFILE_LLAMA_CPP: number;
    readonly PROFILE_VLLM: number;
    readonly MODE_SAMPLE: number;
    readonly MODE_GREEDY: number;
    readonly MIROSTAT_OFF: number;
    readonly MIROSTAT_1: number;
    readonly MIROSTAT_2: number;
    readonly PENALTY_SCOPE_PROFILE: number;
    readonly PENALTY_SCOPE_ALL: number;
    readonly PENALTY_SCOPE_GENERATED: number;
    readonly METRIC_CONFIDENCE: number;
    readonly METRIC_LOGPROB: number;
    readonly METRIC_LOGPROB_RAW: number;
    readonly METRIC_RANK: number;
    readonly METRIC_KEPT: number;
    readonly METRIC_KEPT_MASS: number;
    readonly METRIC_LOOP: number;
    readonly METRIC_FLIP: number;
    readonly METRIC_ALL: number;
    readonly FINISH_NONE: number;
    readonly FINISH_LENGTH: number;
    readonly FINISH_END_TOKEN: number;
    readonly FINISH_STOP: number;
    readonly FINISH_LOOP: number;
    readonly ACCEPTANCE_MATCH: number;
    readonly ACCEPTANCE_CERTAIN: number;
    readonly ACCEPTANCE_DRAWN: number;
    readonly ACCEPTANCE_WITHOUT_REPLACEMENT: number;
    readonly ROOT: number;
    readonly MAX_DRAFT: number;
    readonly MAX_SIBLINGS: number;
    readonly MOST_STAGES: number;
    readonly EARLY_STOPPING_NEVER: number;
    readonly EARLY_STOPPING_HEURISTIC: number;
    readonly EARLY_STOPPING_FULL: number;
    readonly WEIGHTS_COPY: number;
    readonly WEIGHTS_VERIFY: number;
    readonly FORMAT_NPZ: number;
    readonly FORMAT_SAFETENSORS: number;
    readonly VERDICT_HEALTHY: number;
    readonly VERDICT_FLAT: number;
    readonly VERDICT_SATURATED: number;
    readonly TRACE_NUMBERS: number;
    readonly TRACE_MASKS: number;
    readonly TRACE_COLUMNS: number;
    readonly TRACE_ALL: number;
    readonly STEP_RECORDED: number;
    readonly STEP_COLUMNS: number;
    readonly STEP_MASK: number;
    readonly STEP_MASK_RECORDED: number;
    readonly DIFFERS_ROW: number;
    readonly DIFFERS_MASK: number;
    readonly DIFFERS_ANSWER: number;
    readonly CUDA_ROW_OK: number;
    readonly CUDA_ROW_INVALID_LOGIT: number;
    readonly CUDA_ROW_EVERYTHING_MASKED: number;
    readonly CUDA_ROW_INVALID_PARAMETER: number;
    readonly CUDA_ROW_INVALID_LIST: number;
    readonly CUDA_ROW_MISSING_FEATURE: number;
    readonly CUDA_ROW_SKIPPED: number;
    readonly CUDA_ROW_UPDATE_OVERFLOW: number;
    readonly CUDA_RECORD: number;
    readonly CUDA_PROMPT: number;
    readonly OK: number;
    readonly ERR_INVALID_LOGIT: number;
    readonly ERR_EVERYTHING_MASKED: number;
    readonly ERR_WRONG_LENGTH: number;
    readonly ERR_INVALID_PARAMETER: number;
    readonly ERR_TOKEN_OUT_OF_RANGE: number;
    readonly ERR_CAPACITY_EXCEEDED: number;
    readonly ERR_STORAGE_TOO_SMALL: number;
    readonly ERR_KERNEL_UNAVAILABLE: number;
    readonly ERR_UNKNOWN_KERNEL: number;
    readonly ERR_FINISHED: number;
    readonly ERR_UNDO_TOO_FAR: number;
    readonly ERR_COLUMN_OUT_OF_RANGE: number;
    readonly ERR_DUPLICATE_TOKEN: number;
    readonly ERR_UPDATE_OVERFLOW: number;
    readonly ERR_BAD_STATE: number;
    readonly ERR_NOT_IN_PROFILE: number;
    readonly ERR_CUDA_UNAVAILABLE: number;
    readonly ERR_CUDA_FAILED: number;
    readonly ERR_ARRAY_MISSING: number;
    readonly ERR_ARRAY_PICKLED: number;
    readonly ERR_ARRAY_COMPRESSED: number;
    readonly ERR_ARRAY_UNSUPPORTED: number;
    readonly ERR_ARRAY_DTYPE: number;
    readonly ERR_ARRAY_RANK: number;
    readonly ERR_ARRAY_LENGTH: number;
    readonly ERR_ARRAY_SIZE: number;
    readonly ERR_ARRAY_VALUE: number;
    readonly ERR_ARRAY_CHECKSUM: number;
    readonly ERR_FILE_MALFORMED: number;
    readonly ERR_FILE_FORMAT: number;
    readonly ERR_FILE: number;
    readonly ERR_INTERRUPTED: number;
    readonly ERR_NULL: number;
    readonly ERR_PANIC: number;
    readonly ERR_POISONED: number;
    readonly ERR_BUSY: number;
    readonly ERR_ALIGNMENT: number;
    readonly ERR_STRUCT_SIZE: number;
    readonly ERR_RESERVED: number;
    readonly ERR_OUT_OF_MEMORY: number;
    readonly ERR_READ_ONLY: number;
    readonly ERR_TEXT: number;
    readonly F32: number;
    readonly F16: number;
    readonly BF16: number;
};
