/* The kernels for avx2. */
#if defined(__x86_64__) && defined(__GNUC__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif
#include "half_and_fma.h"
#include "vec_avx2.h"

#define SG_ISA avx2
#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
