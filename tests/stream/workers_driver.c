/* Drives the threads of a pool as streamgru/stream/batch.pyx does: rounds of rows of different streams, each row
 * stepped by the packed kernels. Says what is wrong, and ends with 1; races are for the sanitizer to find. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "atomic.h"
#include "packed.h"
#include "workers.h"

extern const sg_packed_table TABLE; /* of this CPU, named by whoever compiles */

enum { N_STREAMS = 150, N_IN = 5, N_HID = 16, ROW = 256 /* floats of a stream: see the places */ };
enum { X = 0, H = 16, H_NEXT = 32, GATES = 48, SCRATCH = 96 };

static float weights_in[N_IN * 3 * SG_PANEL], weights_hid[N_HID * 3 * SG_PANEL], bias[4 * SG_PANEL];
static const sg_gru gru = {
    .n_hid = N_HID, .n_panels = 1, .weights = SG_F32, .gate = {.kind = SG_SIGMOID}, .candidate = {.kind = SG_TANH},
    .input = {.data = weights_in, .n_cols = N_IN}, .recurrent = {.data = weights_hid, .n_cols = N_HID}, .bias = bias,
};

typedef struct {
    float *rows[N_STREAMS]; /* (ROW,) each */
    int n;                  /* streams of this round, from the first on */
} crowd;

/* What a broken kernel or pool would have to guess. */
static void fill(float *x, int n, unsigned seed)
{
    for (int i = 0; i < n; i++)
        x[i] = (float)((seed = seed * 1664525u + 1013904223u) >> 8) / (1 << 23) - 1.0f;
}

static void check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

static crowd *gather(void)
{
    crowd *all = calloc(1, sizeof *all);
    for (int i = 0; i < N_STREAMS; i++) {
        all->rows[i] = aligned_alloc(64, ROW * sizeof(float));
        memset(all->rows[i], 0, ROW * sizeof(float));
        fill(all->rows[i] + X, N_IN, i);
    }
    return all;
}

static void leave(crowd *all)
{
    for (int i = 0; i < N_STREAMS; i++)
        free(all->rows[i]);
    free(all);
}

/* The rows of one share: `_do_share` of batch.pyx. */
static void step(void *arg, int share, int n_shares)
{
    crowd *all = arg;
    int first = all->n * share / n_shares, last = all->n * (share + 1) / n_shares;
#ifdef PLANT_OVERLAP
    last += last < all->n;
#endif
    float *const *base = all->rows + first;
    const sg_gru_rows rows = {{base, X}, {0}, {base, H}, {base, H_NEXT}, {base, GATES}, {base, SCRATCH}};
    if (first == last)
        return;
    TABLE.gru(&gru, last - first, &rows);
    for (; first < last; first++)
        memcpy(all->rows[first] + H, all->rows[first] + H_NEXT, N_HID * sizeof(float));
}

/* Rounds of all sizes, growing and shrinking. */
static void rounds(sg_workers *workers, crowd *all, int n)
{
    for (int i = 0; i < n; i++) {
        all->n = 1 + (i * 37) % N_STREAMS;
        if (workers)
            sg_workers_run(workers, step, all);
        else
            step(all, 0, 1);
    }
}

static void compare(const crowd *got, const crowd *expected)
{
    for (int i = 0; i < N_STREAMS; i++)
        check(memcmp(got->rows[i] + H, expected->rows[i] + H, N_HID * sizeof(float)) == 0,
              "a stream went another way than alone");
}

/* As many rounds with threads as without: the same bits. */
static void run_rounds(int n_threads, int n)
{
    sg_workers *workers = sg_workers_new(n_threads);
    crowd *all = gather(), *alone = gather();
    rounds(workers, all, n), rounds(NULL, alone, n);
    compare(all, alone);
    leave(all), leave(alone);
    sg_workers_free(workers);
}

static void many_rounds(void)
{
    sg_workers_free(sg_workers_new(4)); /* without ever having worked */
    for (int n_threads = 1; n_threads <= 8; n_threads++)
        run_rounds(n_threads, 300);
    for (int i = 0; i < 100; i++)
        run_rounds(2 + i % 3, 1 + i % 3); /* ended right after its work */
}

static int fails_after = -1; /* so many threads can be had; -1: all */

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *), void *arg)
{
    if (fails_after == 0)
        return EAGAIN;
    if (fails_after > 0)
        fails_after--;
    return __real_pthread_create(thread, attributes, work, arg);
}

static void no_threads(void)
{
    for (int n = 0; n < 5; n++) {
        fails_after = n;
        run_rounds(4, 100);
    }
}

/* Wait for a child that ran `rounds` on what it found; it must come to an end. */
static void child_of(pid_t child)
{
    int status;
    check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child failed");
}

static void waits(int unused)
{
    (void)unused;
    _exit(1);
}

static void in_child(sg_workers *workers)
{
    signal(SIGALRM, waits); /* for threads that are its parent's; the first of a namespace has to be told to end */
    alarm(10);
    crowd *all = gather(), *alone = gather();
    rounds(workers, all, 50), rounds(NULL, alone, 50);
    compare(all, alone);
    sg_workers_free(workers);
    _exit(0);
}

static void forks(void)
{
    sg_workers *workers = sg_workers_new(3);
    crowd *all = gather(), *alone = gather();
    for (int i = 0; i < 10; i++) { /* the first time before any thread was started */
        const pid_t child = fork();
        if (child == 0)
            in_child(workers);
        rounds(workers, all, 20), rounds(NULL, alone, 20);
        child_of(child);
    }
    const pid_t child = fork();
    if (child == 0) {
        sg_workers_free(workers); /* threads that are not there are not waited for */
        _exit(0);
    }
    child_of(child);
    compare(all, alone);
    leave(all), leave(alone);
    sg_workers_free(workers);
}

static sg_workers *shared;
static sg_flag busy, ended;

static void *fork_at_any_time(void *unused)
{
    for (int i = 0; i < 30; i++) {
        const pid_t child = fork();
        if (child == 0)
            in_child(shared);
        child_of(child);
    }
    check(sg_take(&ended), "ended twice");
    return unused;
}

/* Another thread forks while a round is under way: whatever the lock was, the child goes on. */
static void forks_while_busy(void)
{
    pthread_t other;
    crowd *all = gather();
    shared = sg_workers_new(3);
    pthread_create(&other, NULL, fork_at_any_time, NULL);
    do
        rounds(shared, all, 10);
    while (sg_take(&ended) ? (sg_give(&ended), 1) : 0);
    pthread_join(other, NULL);
    leave(all);
    sg_workers_free(shared);
}

static crowd *everybodys;

static void *call(void *unused)
{
    for (int n = 0; n < 300;) {
        if (!sg_take(&busy))
            continue;
        rounds(shared, everybodys, 3);
        n += 3;
        sg_give(&busy);
    }
    return unused;
}

/* One after the other, as the flag of a pool has it. */
static void several_callers(void)
{
    pthread_t others[3];
    crowd *alone = gather();
    everybodys = gather();
    shared = sg_workers_new(3);
    for (int i = 0; i < 3; i++)
        pthread_create(&others[i], NULL, call, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(others[i], NULL);
    for (int i = 0; i < 300; i++)
        rounds(NULL, alone, 3);
    compare(everybodys, alone);
    leave(everybodys), leave(alone);
    sg_workers_free(shared);
}

/* Goes on in a child that is number 1 of a namespace of its own, as a container's first process is. */
static pid_t fork_as_first(void)
{
    check(unshare(CLONE_NEWPID) == 0, "no namespace");
    return fork();
}

/* A child with the number of its parent is still another process, without the parent's threads. */
static void same_process_id(void)
{
    if (geteuid() != 0 && unshare(CLONE_NEWUSER) != 0) {
        exit(77);
    }
    const pid_t first = fork_as_first();
    if (first == 0) {
        crowd *all = gather();
        sg_workers *workers = sg_workers_new(3);
        check(getpid() == 1, "not the first of its namespace");
        rounds(workers, all, 10);
        const pid_t second = fork_as_first();
        if (second == 0) {
            check(getpid() == 1, "not the first of its namespace");
            in_child(workers);
        }
        child_of(second);
        _exit(0);
    }
    child_of(first);
}

static void handler(int number) { _exit(number == SIGSEGV ? 42 : 1); }

static void crash(void *arg, int share, int n_shares)
{
    (void)arg, (void)n_shares;
    if (share == 1)
        raise(SIGSEGV);
}

/* A crash in a worker reaches whoever wants to tell of it. */
static void crashes(void)
{
    int status;
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, handler);
        sg_workers_run(sg_workers_new(2), crash, NULL);
        _exit(0);
    }
    waitpid(child, &status, 0);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 42, "the handler of SIGSEGV was not called");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } scenes[] = {
        {"many_rounds", many_rounds}, {"no_threads", no_threads}, {"forks", forks},
        {"forks_while_busy", forks_while_busy}, {"several_callers", several_callers}, {"crashes", crashes},
        {"same_process_id", same_process_id},
    };
    fill(weights_in, sizeof weights_in / sizeof(float), 1);
    fill(weights_hid, sizeof weights_hid / sizeof(float), 2);
    fill(bias, sizeof bias / sizeof(float), 3);
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
        if (argc == 2 && strcmp(argv[1], scenes[i].name) == 0)
            return scenes[i].run(), puts("done"), 0;
    fprintf(stderr, "usage: workers_driver SCENE\n");
    return 2;
}
