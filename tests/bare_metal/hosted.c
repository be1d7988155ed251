/* program.c with a system below it: what the build with std prints. */
#include <stdio.h>

int decode_case(void);

void put(const void *bytes, size_t length)
{
    fwrite(bytes, 1, length, stdout);
}

int main(void)
{
    return decode_case();
}
