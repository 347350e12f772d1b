/* What the loop, the counters and the tracer agree upon. */
#ifndef CALM_H
#define CALM_H

/* A mark is the system call prctl(CALM_MARK, mark, address): the kernel refuses it, the tracer sees it. */
#define CALM_MARK 0x63616c6d

enum {
    CALM_COUNT = 1, /* system calls are counted from here on, */
    CALM_COUNTED,   /* to here: the tracer writes a long, how many, to address */
    CALM_WATCH      /* instructions are taken one by one, until address->watching is 0 */
};

typedef struct {
    volatile long watching;
    long n_instructions;
    long n_changes; /* of the floating-point control, from one instruction to the next */
} calm_watched;

/* Rounding, flush to zero, masks of exceptions; not the status flags, which every inexact sum sets. */
static inline unsigned calm_x86_control(unsigned mxcsr, unsigned x87) { return (mxcsr & 0xffc0) | x87 << 16; }

#endif
