/* The kernels in plain C. */
#include "half_and_fma.h"
#include "vec_c.h"

#define SG_ISA c
#include "kernels.h"
