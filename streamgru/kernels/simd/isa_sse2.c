/* The kernels for sse2. */
#if defined(__x86_64__) && defined(__GNUC__)
#include "half_and_fma.h"
#include "vec_sse2.h"

#define SG_ISA sse2
#include "kernels.h"
#endif
