/* A count that only one thread at a time adds to, and that any thread may read meanwhile: it is never torn. */
#ifndef STREAMGRU_COUNT_H
#define STREAMGRU_COUNT_H

#include <stdint.h>

#ifdef _MSC_VER
static inline int64_t sg_count(const int64_t *count) { return *(const volatile int64_t *)count; }
static inline void sg_add(int64_t *count, int64_t n) { *(volatile int64_t *)count = *count + n; }
#else
static inline int64_t sg_count(const int64_t *count) { return __atomic_load_n(count, __ATOMIC_RELAXED); }
static inline void sg_add(int64_t *count, int64_t n) { __atomic_store_n(count, *count + n, __ATOMIC_RELAXED); }
#endif

#endif
