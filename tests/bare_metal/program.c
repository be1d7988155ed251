/* What a program without a heap and without files does with argpick, by include/argpick.h alone: all memory is static.
   It prints the lines of expected.txt (the case of src/case.rs), then those of expected_c.txt; the same on every
   processor. Around it stand hosted.c (a system), start.c (Linux without libc) and cortex_m/start.c (no system). */
#include "argpick.h"

void put(const void *bytes, size_t length);
int decode_case(void);

enum { VOCAB = 1000, MASK_WORDS = (VOCAB + 31) / 32, TOKENS = 64, FEATURES = 4 };

/* ---- printing ---- */

static void text(const char *at)
{
    size_t length = 0;
    while (at[length] != 0)
        length++;
    put(at, length);
}

static void number(uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    text(" ");
    put(digits + at, sizeof digits - at);
}

static void bits(float value)
{
    union { float value; uint32_t bits; } both = {value};
    char digits[9];
    digits[0] = ' ';
    for (int i = 0; i < 8; i++)
        digits[1 + i] = "0123456789abcdef"[both.bits >> (28 - 4 * i) & 15];
    put(digits, sizeof digits);
}

static void pick_line(const argpick_pick *pick)
{
    number(pick->token);
    number(pick->argmax);
    number(pick->rank);
    number(pick->kept);
    bits(pick->margin);
    bits(pick->top1_probability);
    bits(pick->entropy);
    bits(pick->logprob_raw);
    bits(pick->logprob);
    bits(pick->kept_mass);
    text("\n");
}

static int failures;

/* Ends the case where a call does not answer what it should. */
static int is(argpick_status expected, argpick_status status, const char *what)
{
    if (status == expected)
        return 1;
    text("FAILED: ");
    text(what);
    text(": ");
    text(status == ARGPICK_OK ? "succeeded" : argpick_last_error());
    text("\n");
    failures++;
    return 0;
}
#define OK(call) is(ARGPICK_OK, (call), #call)
#define REFUSED(expected, call) is((expected), (call), #call)

/* ---- memory ---- */

static _Alignas(ARGPICK_MEMORY_ALIGNMENT) unsigned char memory[2][32768];
static _Alignas(ARGPICK_MEMORY_ALIGNMENT) unsigned char weights_memory[2][512];
static float row[VOCAB], scratch[VOCAB];
static uint16_t halves[VOCAB], brains[VOCAB];
static uint32_t mask[MASK_WORDS];
static unsigned char saved[8192];
static float trained[TOKENS * FEATURES], trained_bias[TOKENS], gradient[TOKENS];

/* ---- weights in flash: a safetensors file as a constant ---- */

#define HALF(i) (uint16_t)((0x3000 + (i) * 7919 % 2711) | ((i) % 3 == 0) << 15)
#define HALVES4(i) HALF(i), HALF((i) + 1), HALF((i) + 2), HALF((i) + 3)
#define HALVES16(i) HALVES4(i), HALVES4((i) + 4), HALVES4((i) + 8), HALVES4((i) + 12)
#define HALVES64(i) HALVES16(i), HALVES16((i) + 16), HALVES16((i) + 32), HALVES16((i) + 48)
#define HEADER "{\"W.T\":{\"dtype\":\"F16\",\"shape\":[4,64],\"data_offsets\":[0,512]}," \
               "\"b\":{\"dtype\":\"BF16\",\"shape\":[64],\"data_offsets\":[512,640]}}        "

static const struct {
    uint64_t header_size;
    char header[sizeof HEADER - 1];
    uint16_t columns[TOKENS * FEATURES];
    uint16_t bias[TOKENS];
} file = {sizeof HEADER - 1, HEADER, {HALVES64(0), HALVES64(64), HALVES64(128), HALVES64(192)}, {HALVES64(300)}};
_Static_assert(sizeof file == 8 + sizeof file.header + 512 + 128, "a file has no padding");

/* ---- rows ---- */

static uint32_t bits_of(float value)
{
    union { float value; uint32_t bits; } both = {value};
    return both.bits;
}

/* The row of src/case.rs, and what is left of it in sixteen bits when the rest is cut off. */
static void fill(void)
{
    uint64_t state = 0x2545f4914f6cdd1du;
    for (uint32_t token = 0; token < VOCAB; token++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        row[token] = (float)(uint32_t)(state >> 40) / 1048576.0f - 8.0f;
        if (token % 97 == 29)
            row[token] = 6.5f;
        if (token % 97 == 13)
            row[token] = -__builtin_inff();
        uint32_t number = bits_of(row[token]), exponent = number >> 23 & 255;
        brains[token] = (uint16_t)(number >> 16);
        halves[token] = (uint16_t)(number >> 16 & 0x8000);
        if (exponent == 255)
            halves[token] |= 0x7c00;
        else if (exponent > 112)
            halves[token] |= (uint16_t)((exponent - 112) << 10 | (number >> 13 & 0x3ff));
    }
    for (uint32_t word = 0; word < MASK_WORDS; word++)
        mask[word] = UINT32_MAX;
    mask[4] = 0;
    mask[5] = 0x00ff00ff;
}

static void configure(argpick_config *config)
{
    OK(argpick_config_init(config, sizeof *config));
    config->seed = 7;
    config->history_capacity = 64;
    config->adjustment_capacity = 16;
    config->sequence_capacity = 16;
    config->metrics = ARGPICK_METRIC_ALL;
}

static argpick_decoder *decoder_in(void *at, size_t size, const argpick_config *config, uint32_t vocab)
{
    argpick_decoder *decoder = NULL;
    size_t needed = 0;
    if (OK(argpick_decoder_size(config, vocab, &needed)) && OK(argpick_decoder_init(at, size, config, vocab, &decoder)) &&
        needed <= size)
        REFUSED(ARGPICK_ERR_STORAGE_TOO_SMALL, argpick_decoder_init(at, needed - 1, config, vocab, &decoder));
    /* What was refused has not touched the memory, nor the handle. */
    return decoder;
}

/* The message of the last error without the name of the function before it. */
static const char *reason(void)
{
    const char *at = argpick_last_error();
    while (*at != 0 && *at++ != ':') {
    }
    return *at == ' ' ? at + 1 : at;
}

/* ---- the case of src/case.rs ---- */

static void decode_dense(const char *name, const argpick_config *config)
{
    static const uint32_t biased[] = {1, 999}, banned[] = {29, 700};
    static const float biases[] = {2.5f, -1.0f};
    argpick_pick pick = {.struct_size = sizeof pick};
    argpick_decoder *decoder = decoder_in(memory[0], sizeof memory[0], config, VOCAB);
    OK(argpick_decoder_set_bias(decoder, biased, biases, 2));
    OK(argpick_decoder_set_bans(decoder, banned, 2));
    for (uint64_t step = 0; step < 4; step++) {
        int masked = step % 2 == 1;
        if (!OK(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, masked ? mask : NULL, masked ? MASK_WORDS : 0, &pick)))
            return;
        text(name);
        number(step);
        text(":");
        pick_line(&pick);
    }
    row[3] = __builtin_nanf("");
    REFUSED(ARGPICK_ERR_INVALID_LOGIT, argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    row[3] = 0.0f;
    text(name);
    text(" refused: ");
    text(reason());
    text("\n");
    argpick_decoder_free(decoder);
}

/* ---- what the case has not: other rows, questions, states ---- */

static void decode_other_types(const argpick_config *config)
{
    const struct { const char *name; const void *logits; argpick_dtype dtype; } rows[] = {
        {"f16", halves, ARGPICK_F16}, {"bf16", brains, ARGPICK_BF16}};
    for (size_t i = 0; i < 2; i++) {
        argpick_config greedy = *config;
        greedy.mode = ARGPICK_MODE_GREEDY;
        argpick_pick picks[2] = {{.struct_size = sizeof *picks}, {.struct_size = sizeof *picks}};
        argpick_status statuses[2];
        argpick_decoder *const decoders[] = {decoder_in(memory[0], sizeof memory[0], config, VOCAB),
                                             decoder_in(memory[1], sizeof memory[1], &greedy, VOCAB)};
        const void *const logits[] = {rows[i].logits, rows[i].logits};
        const uint32_t *const masks[] = {NULL, mask};
        for (uint64_t step = 0; step < 3; step++) {
            OK(argpick_decode_batch(decoders, 2, logits, rows[i].dtype, VOCAB, masks, MASK_WORDS, picks, statuses));
            for (size_t j = 0; j < 2; j++) {
                text(rows[i].name);
                text(j == 0 ? " draw" : " greedy");
                number(step);
                text(":");
                pick_line(&picks[j]);
            }
        }
        float loss = 0;
        uint32_t rank = 0, argmax = 0;
        OK(argpick_score(rows[i].logits, rows[i].dtype, VOCAB, 42, &loss, &rank, &argmax));
        text(rows[i].name);
        text(" score:");
        bits(loss);
        number(rank);
        number(argmax);
        text("\n");
    }
}

static void ask(const argpick_config *config)
{
    argpick_decoder *decoder = decoder_in(memory[0], sizeof memory[0], config, VOCAB);
    argpick_candidate best[3];
    size_t found = 0, size = 0;
    float probability = 0;
    OK(argpick_top(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, best, 3, &found));
    text("top:");
    for (size_t i = 0; i < found; i++) {
        number(best[i].token);
        bits(best[i].logprob);
    }
    OK(argpick_kept(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, NULL, 0, &found));
    OK(argpick_probability_of(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, best[0].token, &probability));
    text("\nkept:");
    number(found);
    bits(probability);
    for (size_t i = 0; i < VOCAB; i++)
        scratch[i] = row[i];
    OK(argpick_process(decoder, scratch, VOCAB, mask, MASK_WORDS));
    OK(argpick_softmax(scratch, VOCAB, 1.0f));
    bits(scratch[best[0].token]);
    bits(scratch[best[1].token]);

    const uint32_t target = 42;
    const void *const logits[] = {row};
    argpick_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
    OK(argpick_diagnose(decoder, 1, logits, ARGPICK_F32, VOCAB, &target, NULL, NULL, &diagnosis));
    text("\ndiagnosis:");
    bits(diagnosis.entropy);
    bits(diagnosis.expected_accuracy);

    /* A state saved, spoilt by a step and loaded again goes on as if nothing had been. */
    argpick_pick before = {.struct_size = sizeof before}, after = {.struct_size = sizeof after};
    OK(argpick_decoder_save(decoder, saved, sizeof saved, &size));
    OK(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &before));
    OK(argpick_decoder_load(decoder, saved, size));
    OK(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &after));
    text("\nsaved:");
    number(size);
    number(before.token);
    number(after.token);
    text("\n");
    argpick_decoder_free(decoder);
}

static void decode_weights(const argpick_config *config)
{
    static const uint32_t columns[] = {2, 0, 2};
    static const float values[] = {1.0f, -0.75f, 3.5f};
    argpick_weights *weights = NULL, *trainable = NULL;
    argpick_pick pick = {.struct_size = sizeof pick};
    if (!OK(argpick_weights_init_from_memory(weights_memory[0], sizeof weights_memory[0], &file, sizeof file, &weights)))
        return;
    argpick_decoder *decoder = decoder_in(memory[0], sizeof memory[0], config, TOKENS);
    for (uint64_t step = 0; step < 4; step++) {
        OK(argpick_decode_sparse(decoder, weights, columns, values, 3, step % 2 ? mask : NULL, step % 2 ? 2 : 0, &pick));
        text("weights");
        number(step);
        text(":");
        pick_line(&pick);
    }
    OK(argpick_logits(weights, columns, values, 3, scratch, TOKENS));
    text("logits:");
    bits(scratch[0]);
    bits(scratch[TOKENS - 1]);
    text("\n");

    for (size_t i = 0; i < TOKENS * FEATURES; i++)
        trained[i] = trained_bias[i % TOKENS] = 0;
    OK(argpick_weights_init_from_arrays(weights_memory[1], sizeof weights_memory[1], trained, trained_bias, TOKENS, FEATURES,
                                        &trainable));
    for (uint64_t step = 0; step < 3; step++) {
        float loss = 0;
        uint32_t argmax = 0;
        OK(argpick_train_step(trainable, columns, values, 3, 11, 0.25f, gradient, TOKENS, &loss, &argmax));
        text("train");
        number(step);
        text(":");
        bits(loss);
        number(argmax);
        text("\n");
    }
    argpick_weights_free(trainable);
    argpick_weights_free(weights);
    argpick_decoder_free(decoder);
}

int decode_case(void)
{
    argpick_config base;
    configure(&base);
    fill();

    argpick_config config = base;
    config.mode = ARGPICK_MODE_GREEDY;
    config.no_repeat_window = 3;
    decode_dense("greedy", &config);
    config = base;
    config.temperature = 0.8f;
    decode_dense("draw", &config);
    config.top_k = 40;
    config.top_p = 0.95f;
    config.min_p = 0.05f;
    decode_dense("chain", &config);
    argpick_config nucleus = base;
    nucleus.top_p = 0.9f;
    nucleus.valid_vocab = 990;
    decode_dense("top_p", &nucleus);

    decode_other_types(&config);
    ask(&config);
    nucleus.valid_vocab = 0;
    decode_weights(&nucleus);
    return failures == 0 ? 0 : 1;
}
