/* The kernels for NEON. */
#if defined(__aarch64__) && defined(__GNUC__)
#include "half_and_fma.h"
#include "vec_neon.h"

#define SG_ISA neon
#include "kernels.h"
#endif
