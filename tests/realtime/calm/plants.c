/* Steps that are not calm, each in one way, to see that it is counted. */
#define _GNU_SOURCE
#include <fenv.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef int (*sg_step)(void *stream, const void *x, void *y);

static sg_step calm_step;
static void *volatile sink;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_spinlock_t spin;
static pthread_barrier_t barrier;
static sem_t semaphore;
static const struct timespec past = {0, 0};

static void nothing(void) {}

void plant_in(sg_step step)
{
    calm_step = step;
    pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
    pthread_barrier_init(&barrier, NULL, 1);
    sem_init(&semaphore, 0, 0);
}

#define PLANT(name, what)                                                                                              \
    int plant_##name(void *stream, const void *x, void *y)                                                             \
    {                                                                                                                  \
        what;                                                                                                          \
        return calm_step(stream, x, y);                                                                                \
    }

PLANT(nothing, )
PLANT(malloc, (sink = malloc(100), free(sink)))
PLANT(calloc, (sink = calloc(10, 10), free(sink)))
PLANT(realloc, (sink = realloc(NULL, 100), free(sink)))
PLANT(aligned_alloc, (sink = aligned_alloc(64, 128), free(sink)))
PLANT(memalign, (sink = memalign(64, 128), free(sink)))
PLANT(posix_memalign, {
    void *found = NULL;
    if (posix_memalign(&found, 64, 128) == 0)
        free(found);
})
PLANT(mmap, (sink = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), munmap(sink, 4096)))
PLANT(mremap, mremap(NULL, 0, 0, 0))
PLANT(madvise, madvise(NULL, 0, MADV_NORMAL))
PLANT(sbrk, sbrk(0))
PLANT(mutex_lock, (pthread_mutex_lock(&mutex), pthread_mutex_unlock(&mutex)))
PLANT(mutex_trylock, (pthread_mutex_trylock(&mutex), pthread_mutex_unlock(&mutex)))
PLANT(mutex_timedlock, (pthread_mutex_timedlock(&mutex, &past), pthread_mutex_unlock(&mutex)))
PLANT(rwlock_rdlock, (pthread_rwlock_rdlock(&rwlock), pthread_rwlock_unlock(&rwlock)))
PLANT(rwlock_tryrdlock, (pthread_rwlock_tryrdlock(&rwlock), pthread_rwlock_unlock(&rwlock)))
PLANT(rwlock_wrlock, (pthread_rwlock_wrlock(&rwlock), pthread_rwlock_unlock(&rwlock)))
PLANT(rwlock_trywrlock, (pthread_rwlock_trywrlock(&rwlock), pthread_rwlock_unlock(&rwlock)))
PLANT(spin_lock, (pthread_spin_lock(&spin), pthread_spin_unlock(&spin)))
PLANT(spin_trylock, (pthread_spin_trylock(&spin), pthread_spin_unlock(&spin)))
PLANT(barrier_wait, pthread_barrier_wait(&barrier))
PLANT(once, pthread_once(&once, nothing))
PLANT(sem_wait, (sem_post(&semaphore), sem_wait(&semaphore)))
PLANT(sem_trywait, sem_trywait(&semaphore))
PLANT(sem_timedwait, sem_timedwait(&semaphore, &past))
PLANT(cond_timedwait, {
    pthread_mutex_lock(&mutex);
    pthread_cond_timedwait(&condition, &mutex, &past);
    pthread_mutex_unlock(&mutex);
})
PLANT(system_call, syscall(SYS_getppid))
PLANT(rounding, fesetround(FE_UPWARD))
PLANT(rounding_and_back, (fesetround(FE_UPWARD), fesetround(FE_TONEAREST)))
#if defined(__x86_64__)
PLANT(flush_to_zero, __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040))
#else
PLANT(flush_to_zero, {
    unsigned long fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr | 1ul << 24));
})
#endif
