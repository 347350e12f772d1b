/* Nanoseconds of a clock that never goes back. */
#ifndef STREAMGRU_CLOCK_H
#define STREAMGRU_CLOCK_H

#include <stdint.h>
#ifdef _WIN32
#include <windows.h>
static inline int64_t sg_now_ns(void)
{
    LARGE_INTEGER ticks, frequency;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&frequency);
    return (int64_t)((double)ticks.QuadPart * 1e9 / (double)frequency.QuadPart);
}
#else
#include <time.h>
static inline int64_t sg_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
#endif

#endif
