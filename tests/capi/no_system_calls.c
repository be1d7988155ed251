/*
 * A step makes no system call: the kernel watches. Under seccomp's strict mode a process may read, write and exit; anything
 * else kills it, whatever the library it comes from. Each case runs in a process of its own. The first one makes a call on
 * purpose, to see that the watch is kept.
 */
#define _GNU_SOURCE
#include "argpick.h"

#include <linux/seccomp.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VOCAB = 50257, MASK_WORDS = (VOCAB + 31) / 32, FEATURES = 3, STEPS = 20 };

static float row[VOCAB], scratch[VOCAB], gradient[VOCAB];
static uint16_t brains[VOCAB];
static uint32_t mask[MASK_WORDS];
static argpick_decoder *decoder, *other;
static argpick_weights *weights;

/* Where a case fails it says so by one of the two calls that it may make. */
static void need(argpick_status expected, argpick_status status, const char *what)
{
    static const char before[] = "unexpected status: ";
    if (status == expected)
        return;
    if (write(STDERR_FILENO, before, sizeof before - 1) < 0 || write(STDERR_FILENO, what, strlen(what)) < 0 ||
        write(STDERR_FILENO, "\n", 1) < 0) {
    }
    syscall(SYS_exit, 1);
}
#define OK(call) need(ARGPICK_OK, (call), #call)
#define REFUSED(status, call) need((status), (call), #call)

static void calls_the_system(void)
{
    syscall(SYS_getppid);
}

static void does_nothing(void)
{
}

static void decodes(void)
{
    argpick_pick pick = {0};
    pick.struct_size = sizeof pick;
    for (int step = 0; step < STEPS; step++) {
        OK(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
        OK(argpick_decode(decoder, brains, ARGPICK_BF16, VOCAB, mask, MASK_WORDS, &pick));
        OK(argpick_evaluate(decoder, row, ARGPICK_F32, VOCAB, mask, MASK_WORDS, &pick));
    }
    OK(argpick_decoder_undo(decoder, 2));
    OK(argpick_decoder_accept(decoder, &pick.token, 1));
    OK(argpick_decoder_reset(decoder, NULL));
}

static void is_refused(void)
{
    argpick_pick pick = {0};
    pick.struct_size = sizeof pick;
    row[7] = NAN;
    REFUSED(ARGPICK_ERR_INVALID_LOGIT, argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    REFUSED(ARGPICK_ERR_WRONG_LENGTH, argpick_decode(decoder, row, ARGPICK_F32, VOCAB - 1, NULL, 0, &pick));
    REFUSED(ARGPICK_ERR_NULL, argpick_decode(decoder, NULL, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    if (strstr(argpick_last_error(), "argpick_decode") == NULL)
        syscall(SYS_exit, 1);
}

static void rewrites(void)
{
    memcpy(scratch, row, sizeof row);
    OK(argpick_process(decoder, scratch, VOCAB, mask, MASK_WORDS));
    OK(argpick_softmax(scratch, VOCAB, 1.0f));
    memcpy(scratch, row, sizeof row);
    OK(argpick_probabilities(decoder, scratch, VOCAB, NULL, 0));
}

static void decodes_batches_and_weights(void)
{
    static const uint32_t columns[] = {2, 0};
    argpick_decoder *const decoders[] = {decoder, other};
    const void *const rows[] = {row, row};
    argpick_pick picks[2] = {{0}};
    argpick_status statuses[2];
    float loss;
    uint32_t rank, argmax;
    picks[0].struct_size = picks[1].struct_size = sizeof *picks;
    OK(argpick_decode_batch(decoders, 2, rows, ARGPICK_F32, VOCAB, NULL, 0, picks, statuses));
    OK(argpick_decode_sparse(decoder, weights, columns, NULL, 2, NULL, 0, picks));
    OK(argpick_train_step(weights, columns, NULL, 2, 5, 0.1f, gradient, VOCAB, &loss, &argmax));
    OK(argpick_score(row, ARGPICK_F32, VOCAB, 5, &loss, &rank, &argmax));
}

/* Runs a case under the watch; how the process ended. */
static int watched(void (*work)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
            _exit(77);
        work();
        /* exit_group, which exit and _exit call, is not allowed. */
        syscall(SYS_exit, 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("fork");
        exit(1);
    }
    return status;
}

int main(void)
{
    static const struct { const char *name; void (*work)(void); } cases[] = {
        {"decodes", decodes}, {"is_refused", is_refused}, {"rewrites", rewrites},
        {"decodes_batches_and_weights", decodes_batches_and_weights}};
    argpick_config config;
    const char *preloaded = getenv("LD_PRELOAD");
    int failures = 0;
    if (preloaded != NULL && strstr(preloaded, "vgpreload") != NULL) {
        puts("skipped: valgrind makes system calls of its own");
        return 0;
    }
    for (uint32_t token = 0; token < VOCAB; token++) {
        row[token] = (float)(token * 7919u % 4096u) / 256.0f - 8.0f;
        brains[token] = (uint16_t)(0x3f80u + token * 31u % 256u);
    }
    memset(mask, 0x5f, sizeof mask);
    if (argpick_config_init(&config, sizeof config) != ARGPICK_OK)
        return 1;
    config.temperature = 0.9f;
    config.top_p = 0.95f;
    config.metrics = ARGPICK_METRIC_ALL;
    if (argpick_decoder_new(&config, VOCAB, &other) != ARGPICK_OK)
        return 1;
    config.top_k = 40;
    config.no_repeat_window = 3;
    if (argpick_decoder_new(&config, VOCAB, &decoder) != ARGPICK_OK ||
        argpick_weights_new(VOCAB, FEATURES, &weights) != ARGPICK_OK) {
        puts(argpick_last_error());
        return 1;
    }

    int quiet = watched(does_nothing);
    if (!WIFEXITED(quiet) || WEXITSTATUS(quiet) != 0) {
        puts("skipped: seccomp's strict mode is not to be had here");
        return 0;
    }
    int loud = watched(calls_the_system);
    if (!WIFSIGNALED(loud) || WTERMSIG(loud) != SIGKILL) {
        printf("FAILED: a system call was not noticed (%d)\n", loud);
        return 1;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = watched(cases[i].work);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            printf("FAILED: %s: %s\n", cases[i].name, WIFSIGNALED(status) ? "killed for a system call" : "see above");
            failures++;
        }
    }
    argpick_weights_free(weights);
    argpick_decoder_free(decoder);
    argpick_decoder_free(other);
    if (failures == 0)
        puts("no system call in any step");
    return failures == 0 ? 0 : 1;
}
