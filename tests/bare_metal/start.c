/* What a C library would give to a program: its first instruction, two system calls and the four functions on memory
   that compilers call without being asked. x86-64 Linux. */
#include <stddef.h>

int decode_case(void);

static long system_call(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

void put(const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        long written = system_call(1, 1, (long)at, (long)length);
        if (written <= 0)
            return;
        at += written;
        length -= (size_t)written;
    }
}

_Noreturn void stop(int code)
{
    for (;;)
        system_call(60, code, 0, 0);
}

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    while (count-- > 0)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t count)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    if (t < f)
        return memcpy(to, from, count);
    while (count-- > 0)
        t[count] = f[count];
    return to;
}

void *memset(void *to, int value, size_t count)
{
    unsigned char *t = to;
    while (count-- > 0)
        *t++ = (unsigned char)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t count)
{
    const unsigned char *x = a, *y = b;
    for (; count > 0; count--, x++, y++)
        if (*x != *y)
            return *x < *y ? -1 : 1;
    return 0;
}

int bcmp(const void *a, const void *b, size_t count)
{
    return memcmp(a, b, count);
}

__attribute__((used)) static void run(void)
{
    stop(decode_case());
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tand $-16, %rsp\n\tcall run\n");
