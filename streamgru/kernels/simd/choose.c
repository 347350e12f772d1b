/* Which kernels this CPU can run, the best first. */
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif

#include "packed.h"

extern const sg_packed_table sg_packed_avx512, sg_packed_avx2, sg_packed_sse2, sg_packed_neon, sg_packed_c;

#if defined(__x86_64__) && defined(__GNUC__)
/* Not __builtin_cpu_supports: gcc cannot ask it for this before version 11. */
static int has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

const sg_packed_table *sg_packed_at(int i)
{
    const sg_packed_table *found[5] = {0};
    int n = 0;
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
        found[n++] = &sg_packed_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())
        found[n++] = &sg_packed_avx2;
    found[n++] = &sg_packed_sse2;
#elif defined(__aarch64__) && defined(__GNUC__)
    found[n++] = &sg_packed_neon;
#endif
    found[n++] = &sg_packed_c;
    return i >= 0 && i < n ? found[i] : 0;
}

const sg_packed_table *sg_packed_named(const char *isa)
{
    const sg_packed_table *table;
    for (int i = 0; (table = sg_packed_at(i)); i++)
        if (strcmp(table->isa, isa) == 0)
            return table;
    return 0;
}
