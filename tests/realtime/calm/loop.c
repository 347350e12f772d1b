/* Runs steps and counts what can be seen from between them. */
#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calm.h"

enum { STEPPED = 0, NOTHING_DUE = 4 }; /* of sg_outcome */

typedef int (*sg_step)(void *stream, const void *x, void *y);

typedef struct {
    sg_step step;
    void *stream;
    const char *x; /* (n_rows, n_in), taken in turn */
    ptrdiff_t x_bytes, n_rows;
    void *y; /* (n_out,) */
} calm_stream;

typedef struct {
    long n_refused; /* steps that were not taken */
    long n_changes; /* steps after which the floating-point control was another */
    long n_system_calls;
} calm_report;

void calm_count(int on); /* of the counters */

#if defined(__x86_64__)
static unsigned control(void)
{
    unsigned mxcsr;
    unsigned short x87;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return calm_x86_control(mxcsr, x87);
}

static void set_control(unsigned control)
{
    const unsigned mxcsr = control & 0xffff;
    const unsigned short x87 = (unsigned short)(control >> 16);
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    __asm__ volatile("fldcw %0" : : "m"(x87));
}
#elif defined(__aarch64__)
static unsigned control(void)
{
    unsigned long fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return (unsigned)fpcr;
}

static void set_control(unsigned control) { __asm__ volatile("msr fpcr, %0" : : "r"((unsigned long)control)); }
#endif

static void mark(int which, void *address) { syscall(SYS_prctl, CALM_MARK, which, address); }

/* From here on this thread is the tracer's, which started this process. */
int calm_be_traced(void) { return ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 ? raise(SIGSTOP) : -1; }

void calm_loop(const calm_stream *s, long n_steps, calm_report *report)
{
    const unsigned before = control();
    long n_refused = 0, n_changes = 0;
    calm_count(0); /* its first call, which is looked up */
    mark(CALM_COUNT, NULL);
    calm_count(1);
    for (long i = 0; i < n_steps; i++) {
        const int outcome = s->step(s->stream, s->x + i % s->n_rows * s->x_bytes, s->y);
        n_refused += outcome != STEPPED && outcome != NOTHING_DUE;
        if (control() != before) {
            n_changes++;
            set_control(before);
        }
    }
    calm_count(0);
    mark(CALM_COUNTED, &report->n_system_calls);
    report->n_refused = n_refused, report->n_changes = n_changes;
}

void calm_watch(const calm_stream *s, long n_steps, calm_watched *watched)
{
    const unsigned before = control();
    watched->watching = n_steps > 0;
    mark(CALM_WATCH, watched);
    for (long i = 0; i < n_steps; i++)
        s->step(s->stream, s->x + i % s->n_rows * s->x_bytes, s->y);
    watched->watching = 0;
    set_control(before);
}
