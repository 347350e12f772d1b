/* Preloaded: counts the calls of this thread that take memory or locks, between calm_count(1) and calm_count(0). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own, so that nothing has to be looked up before memory can be had */
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t), __libc_free(void *);

#define MEMORY(X) X(malloc) X(calloc) X(realloc) X(free) X(posix_memalign) X(aligned_alloc) X(memalign)
#define PAGES(X) X(mmap) X(munmap) X(mremap) X(madvise) X(sbrk)
#define LOCKS(X)                                                                                                       \
    X(pthread_mutex_lock) X(pthread_mutex_trylock) X(pthread_mutex_timedlock) X(pthread_rwlock_rdlock)                 \
    X(pthread_rwlock_tryrdlock) X(pthread_rwlock_wrlock) X(pthread_rwlock_trywrlock) X(pthread_spin_lock)              \
    X(pthread_spin_trylock) X(pthread_cond_wait) X(pthread_cond_timedwait) X(pthread_barrier_wait) X(pthread_once)     \
    X(sem_wait) X(sem_trywait) X(sem_timedwait)

#define AT(name) at_##name,
enum { MEMORY(AT) PAGES(AT) n_allocations, before_locks = n_allocations - 1, LOCKS(AT) n_names };

#define NAME(name) #name,
const char *const calm_names[] = {MEMORY(NAME) PAGES(NAME) LOCKS(NAME) NULL};
const long calm_n_allocations = n_allocations; /* so many of the names are of memory, the rest of locks */
long calm_counts[n_names];

static __thread int counting __attribute__((tls_model("initial-exec")));

void calm_count(int on) { counting = on; }

static void count(int at)
{
    if (counting)
        calm_counts[at]++;
}

#define NEXT(name) static __typeof__(&name) next_##name;
PAGES(NEXT) LOCKS(NEXT)

static void *found(const char *name)
{
    void *condition = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2"); /* x86-64 has older ones of another layout beside them */
    return condition ? condition : dlsym(RTLD_NEXT, name);
}

#define FIND(name) next_##name = found(#name);
static __attribute__((constructor)) void find(void) { PAGES(FIND) LOCKS(FIND) }

#define COUNTED(result, name, parameters, arguments)                                                                   \
    result name parameters                                                                                             \
    {                                                                                                                  \
        if (!next_##name)                                                                                              \
            find();                                                                                                    \
        count(at_##name);                                                                                              \
        return next_##name arguments;                                                                                  \
    }

void *malloc(size_t n) { return count(at_malloc), __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return count(at_calloc), __libc_calloc(n, size); }
void *realloc(void *old, size_t n) { return count(at_realloc), __libc_realloc(old, n); }
void free(void *old) { count(at_free), __libc_free(old); }
void *aligned_alloc(size_t align, size_t n) { return count(at_aligned_alloc), __libc_memalign(align, n); }
void *memalign(size_t align, size_t n) { return count(at_memalign), __libc_memalign(align, n); }
int posix_memalign(void **found, size_t align, size_t n)
{
    count(at_posix_memalign);
    *found = __libc_memalign(align, n);
    return *found ? 0 : ENOMEM;
}

COUNTED(void *, mmap, (void *at, size_t n, int access, int flags, int file, off_t offset),
        (at, n, access, flags, file, offset))
COUNTED(int, munmap, (void *at, size_t n), (at, n))
void *mremap(void *at, size_t n, size_t new_n, int flags, ...)
{
    void *to = NULL;
    if (flags & MREMAP_FIXED) {
        __builtin_va_list rest;
        __builtin_va_start(rest, flags);
        to = __builtin_va_arg(rest, void *);
        __builtin_va_end(rest);
    }
    count(at_mremap);
    return next_mremap(at, n, new_n, flags, to);
}
COUNTED(int, madvise, (void *at, size_t n, int advice), (at, n, advice))
COUNTED(void *, sbrk, (intptr_t n), (n))

#define LOCK(name, type) COUNTED(int, name, (type *lock), (lock))
LOCK(pthread_mutex_lock, pthread_mutex_t)
LOCK(pthread_mutex_trylock, pthread_mutex_t)
LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
LOCK(pthread_rwlock_tryrdlock, pthread_rwlock_t)
LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
LOCK(pthread_rwlock_trywrlock, pthread_rwlock_t)
LOCK(pthread_spin_lock, pthread_spinlock_t)
LOCK(pthread_spin_trylock, pthread_spinlock_t)
LOCK(pthread_barrier_wait, pthread_barrier_t)
LOCK(sem_wait, sem_t)
LOCK(sem_trywait, sem_t)
COUNTED(int, sem_timedwait, (sem_t *lock, const struct timespec *until), (lock, until))
COUNTED(int, pthread_mutex_timedlock, (pthread_mutex_t *lock, const struct timespec *until), (lock, until))
COUNTED(int, pthread_cond_wait, (pthread_cond_t *condition, pthread_mutex_t *lock), (condition, lock))
COUNTED(int, pthread_cond_timedwait,
        (pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until), (condition, lock, until))
COUNTED(int, pthread_once, (pthread_once_t *once, void (*what)(void)), (once, what))
