/* A flag that one thread can hold at a time; taking it never waits. */
#ifndef STREAMGRU_ATOMIC_H
#define STREAMGRU_ATOMIC_H

#ifdef _MSC_VER
#include <intrin.h>
typedef volatile long sg_flag;
static inline int sg_take(sg_flag *flag) { return _InterlockedExchange(flag, 1) == 0; }
static inline void sg_give(sg_flag *flag) { _InterlockedExchange(flag, 0); }
#else
typedef volatile char sg_flag;
static inline int sg_take(sg_flag *flag) { return !__atomic_test_and_set(flag, __ATOMIC_ACQUIRE); }
static inline void sg_give(sg_flag *flag) { __atomic_clear(flag, __ATOMIC_RELEASE); }
#endif

#endif
