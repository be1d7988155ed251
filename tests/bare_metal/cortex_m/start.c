/* What program.c needs on a Cortex-M4 with nothing around it: vectors, a stack, the float unit switched on, and the
   debugger's console (semihosting), which qemu plays. The case runs twice: in the float environment after reset, and in
   one that rounds down, flushes to zero and replaces every NaN, which the library must neither notice nor change. */
#include <stddef.h>
#include <stdint.h>

int decode_case(void);
void reset(void);

enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };
enum { FLUSH_TO_ZERO = 1 << 24, DEFAULT_NAN = 1 << 25, ROUND_DOWN = 2 << 22 };

extern unsigned char stack_top[], bss_start[], bss_end[], data_start[], data_end[], data_load[];

static uint32_t semihosting(uint32_t operation, const void *parameters)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = parameters;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t console(void)
{
    static uint32_t handle;
    static const char name[] = ":tt";
    if (handle == 0) {
        const uint32_t parameters[] = {(uint32_t)name, 4 /* "w" */, sizeof name - 1};
        handle = semihosting(SYS_OPEN, parameters);
    }
    return handle;
}

void put(const void *bytes, size_t length)
{
    const uint32_t parameters[] = {console(), (uint32_t)bytes, length};
    semihosting(SYS_WRITE, parameters);
}

static _Noreturn void stop(uint32_t code)
{
    const uint32_t parameters[] = {APPLICATION_EXIT, code};
    for (;;)
        semihosting(SYS_EXIT_EXTENDED, parameters);
}

static uint32_t float_environment(void)
{
    uint32_t control;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(control));
    return control & 0x07ffff00;
}

__attribute__((used)) static void fault(void)
{
    static const char line[] = "FAILED: a processor fault\n";
    put(line, sizeof line - 1);
    stop(2);
}

__attribute__((used)) static void start(void)
{
    for (unsigned char *at = bss_start; at != bss_end; at++)
        *at = 0;
    for (size_t i = 0; data_start + i != data_end; i++)
        data_start[i] = data_load[i];

    int code = decode_case();
    const uint32_t hostile = FLUSH_TO_ZERO | DEFAULT_NAN | ROUND_DOWN;
    __asm__ volatile("vmsr fpscr, %0" : : "r"(hostile) : "memory");
    code |= decode_case();
    if (float_environment() != hostile) {
        static const char line[] = "FAILED: the float environment is not the one before the calls\n";
        put(line, sizeof line - 1);
        code = 1;
    }
    stop((uint32_t)code);
}

/* Coprocessors 10 and 11 are the float unit; no float instruction may come before. */
__attribute__((naked)) void reset(void)
{
    __asm__ volatile("ldr r0, =0xe000ed88\n\tldr r1, [r0]\n\torr r1, r1, #0xf00000\n\tstr r1, [r0]\n\tdsb\n\tisb\n\tb start\n");
}

__attribute__((section(".vectors"), used)) static const struct {
    void *stack;
    void (*handlers[15])(void);
} vectors = {stack_top, {reset, fault, fault, fault, fault, fault}};
