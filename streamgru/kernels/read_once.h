/* Reading memory once, as fast as this CPU can: what no step that reads all of its weights can beat. No Python.h.
 *
 * Loads of whole vectors into eight sums, which do not wait for each other. Integers, since bytes of any kind
 * come along, and some floats are slow. The widest vectors are not always the fastest: try all.
 */
#ifndef STREAMGRU_READ_ONCE_H
#define STREAMGRU_READ_ONCE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SG_READERS 3 /* the widest vectors first */

#if defined(__GNUC__)
#define SG_READER(name, target, width)                                                                   \
    typedef int32_t name##_vector __attribute__((vector_size(width), aligned(4), may_alias));            \
    target static int32_t name(const char *data, ptrdiff_t n_bytes)                                      \
    {                                                                                                    \
        name##_vector sums[8] = {{0}};                                                                   \
        ptrdiff_t i = 0;                                                                                 \
        for (; i + 8 * (width) <= n_bytes; i += 8 * (width)) {                                           \
            _Pragma("GCC unroll 8") for (int j = 0; j < 8; j++)                                          \
                sums[j] += *(const name##_vector *)(data + i + j * (width));                             \
        }                                                                                                \
        for (; i + (width) <= n_bytes; i += (width))                                                     \
            sums[0] += *(const name##_vector *)(data + i);                                               \
        sums[0] += sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];                  \
        int32_t sum = 0, part;                                                                           \
        for (int j = 0; j < (width) / 4; j++)                                                            \
            sum ^= sums[0][j];                                                                           \
        for (; i + 4 <= n_bytes; i += 4) {                                                               \
            memcpy(&part, data + i, 4);                                                                  \
            sum ^= part;                                                                                 \
        }                                                                                                \
        return sum;                                                                                      \
    }
SG_READER(sg_read_16, , 16)
#if defined(__x86_64__)
SG_READER(sg_read_32, __attribute__((target("avx2"))), 32)
SG_READER(sg_read_64, __attribute__((target("avx512f"))), 64)
#endif
#else
static int32_t sg_read_16(const volatile char *bytes, ptrdiff_t n_bytes)
{
    const volatile int32_t *data = (const volatile int32_t *)bytes;
    int32_t sum = 0;
    for (ptrdiff_t i = 0; i < n_bytes / 4; i++)
        sum ^= data[i];
    return sum;
}
#endif

/* Bytes of the vectors of a reader; 0 if this CPU does not have them. */
static inline int sg_reader_width(int reader)
{
#if defined(__GNUC__) && defined(__x86_64__)
    __builtin_cpu_init();
    if (reader == 0)
        return __builtin_cpu_supports("avx512f") ? 64 : 0;
    if (reader == 1)
        return __builtin_cpu_supports("avx2") ? 32 : 0;
#endif
    return reader == 2 ? 16 : 0;
}

/* Read n_bytes, four at a time. */
static inline void sg_read_once(int reader, const void *data, ptrdiff_t n_bytes)
{
    int32_t sum;
#if defined(__GNUC__)
    __asm__ volatile("" ::: "memory"); /* the numbers may have changed, for all the compiler knows */
#endif
#if defined(__GNUC__) && defined(__x86_64__)
    if (reader == 0)
        sum = sg_read_64((const char *)data, n_bytes);
    else if (reader == 1)
        sum = sg_read_32((const char *)data, n_bytes);
    else
#endif
        sum = sg_read_16((const char *)data, n_bytes);
#if defined(__GNUC__)
    __asm__ volatile("" ::"r"(sum)); /* and their sum is wanted */
#endif
    (void)reader, (void)sum;
}

#endif
