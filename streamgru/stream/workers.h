/* Threads that share a piece of work with whoever brings it. They sleep in between, they do not spin. */
#ifndef STREAMGRU_WORKERS_H
#define STREAMGRU_WORKERS_H

/* One share of a job: number `share` of `n_shares`. */
typedef void (*sg_job)(void *arg, int share, int n_shares);

typedef struct sg_workers sg_workers;

/* n_threads with the caller's own; none is started before there is work. NULL without memory. */
sg_workers *sg_workers_new(int n_threads);
/* Do all shares, one of them on this thread, and return when they are done. Where threads cannot be had, all
 * shares are done here. One caller at a time. After a fork the child starts threads of its own. */
void sg_workers_run(sg_workers *workers, sg_job job, void *arg);
void sg_workers_free(sg_workers *workers);

#endif
