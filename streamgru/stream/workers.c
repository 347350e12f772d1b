#include "workers.h"

#include <stdlib.h>

#if defined(_WIN32)

struct sg_workers {
    int n_threads;
};

sg_workers *sg_workers_new(int n_threads)
{
    sg_workers *workers = calloc(1, sizeof *workers);
    if (workers)
        workers->n_threads = n_threads;
    return workers;
}

void sg_workers_run(sg_workers *workers, sg_job job, void *arg)
{
    for (int share = 0; share < workers->n_threads; share++)
        job(arg, share, workers->n_threads);
}

void sg_workers_free(sg_workers *workers) { free(workers); }

#else

#include <pthread.h>
#include <signal.h>

typedef struct {
    sg_workers *workers;
    int share;
} worker;

struct sg_workers {
    int n_threads;   /* with the caller's */
    int n_started;   /* of the others */
    unsigned long process; /* whose threads they are; 0 before the first work */
    pthread_t *threads; /* (n_threads - 1,) */
    worker *which;      /* (n_threads - 1,) */
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake, done;
    unsigned long round; /* which piece of work it is */
    int n_busy;          /* threads that have not finished their share of it */
    int stop;
    sg_job job;
    void *arg;
};

/* Which process this is, counted from 1 at each fork: ids come again, and in namespaces a child may have its parent's. */
static unsigned long process = 1;

static void count_fork(void) { process++; }

static void count_forks(void)
{
    if (pthread_atfork(NULL, NULL, count_fork) != 0)
        process = 0; /* no memory */
}

static void *work(void *pointer)
{
    const worker *me = pointer;
    sg_workers *workers = me->workers;
    unsigned long seen = 0;
    pthread_mutex_lock(&workers->lock);
    for (;;) {
        while (workers->round == seen && !workers->stop)
            pthread_cond_wait(&workers->wake, &workers->lock);
        if (workers->stop)
            break;
        seen = workers->round;
        const sg_job job = workers->job;
        void *arg = workers->arg;
        const int n_shares = workers->n_started + 1;
        pthread_mutex_unlock(&workers->lock);
        job(arg, me->share, n_shares);
        pthread_mutex_lock(&workers->lock);
        if (--workers->n_busy == 0)
            pthread_cond_signal(&workers->done);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

/* Signals are for the host's own threads, but those of a crash, which a thread has to itself. */
static void start(sg_workers *workers)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t blocked, before;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->wake, NULL);
    pthread_cond_init(&workers->done, NULL);
    workers->round = 0, workers->n_busy = 0, workers->n_started = 0;
    workers->process = process;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        sigdelset(&blocked, crashes[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    pthread_mutex_lock(&workers->lock);
    for (int i = 0; i < workers->n_threads - 1; i++) {
        workers->which[i].workers = workers, workers->which[i].share = i + 1;
        if (pthread_create(&workers->threads[i], NULL, work, &workers->which[i]) != 0)
            break;
        workers->n_started++;
    }
    pthread_mutex_unlock(&workers->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

sg_workers *sg_workers_new(int n_threads)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    sg_workers *workers = calloc(1, sizeof *workers);
    pthread_once(&once, count_forks);
    if (!workers || process == 0) {
        free(workers);
        return NULL;
    }
    workers->n_threads = n_threads;
    workers->threads = calloc((size_t)n_threads, sizeof *workers->threads);
    workers->which = calloc((size_t)n_threads, sizeof *workers->which);
    if (!workers->threads || !workers->which) {
        sg_workers_free(workers);
        return NULL;
    }
    return workers;
}

void sg_workers_run(sg_workers *workers, sg_job job, void *arg)
{
    if (workers->process != process) /* the first time, or the child of a fork, which has no threads but this one */
        start(workers);
    pthread_mutex_lock(&workers->lock);
    workers->job = job, workers->arg = arg;
    workers->n_busy = workers->n_started;
    workers->round++;
    pthread_cond_broadcast(&workers->wake);
    pthread_mutex_unlock(&workers->lock);
    job(arg, 0, workers->n_started + 1);
    pthread_mutex_lock(&workers->lock);
    while (workers->n_busy > 0)
        pthread_cond_wait(&workers->done, &workers->lock);
    pthread_mutex_unlock(&workers->lock);
}

void sg_workers_free(sg_workers *workers)
{
    if (workers && workers->process == process) {
        pthread_mutex_lock(&workers->lock);
        workers->stop = 1;
        pthread_cond_broadcast(&workers->wake);
        pthread_mutex_unlock(&workers->lock);
        for (int i = 0; i < workers->n_started; i++)
            pthread_join(workers->threads[i], NULL);
        pthread_cond_destroy(&workers->wake);
        pthread_cond_destroy(&workers->done);
        pthread_mutex_destroy(&workers->lock);
    }
    if (workers) {
        free(workers->threads);
        free(workers->which);
        free(workers);
    }
}

#endif
