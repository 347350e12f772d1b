/* tracer COMMAND ...: runs a command, counts the system calls that it makes between two marks, and tells it.
 *
 * The kernel stops the traced thread at each of its system calls, whoever makes it and however: nothing that is
 * linked or preloaded can go past it. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
/* after sys/ptrace.h, whose names it repeats */
#include <linux/ptrace.h>

#include "calm.h"

static pid_t child;

static void fail(const char *what)
{
    fprintf(stderr, "tracer: %s: ", what);
    perror(NULL);
    exit(1);
}

/* Let it go on, and wait until it stops again; if it has ended, so have we. Gives the signal that stopped it. */
static int go_on(int how, int signal)
{
    int status;
    if (ptrace(how, child, 0, signal) != 0 || waitpid(child, &status, 0) < 0)
        fail("the process cannot be traced");
    if (WIFEXITED(status))
        exit(WEXITSTATUS(status));
    if (WIFSIGNALED(status))
        exit(128 + WTERMSIG(status));
    return WSTOPSIG(status);
}

static void write_long(unsigned long address, long value)
{
    if (ptrace(PTRACE_POKEDATA, child, address, value) != 0)
        fail("its memory cannot be written");
}

static unsigned control(void)
{
#if defined(__x86_64__)
    struct user_fpregs_struct registers;
    if (ptrace(PTRACE_GETFPREGS, child, 0, &registers) != 0)
        fail("its registers cannot be read");
    return calm_x86_control(registers.mxcsr, registers.cwd);
#elif defined(__aarch64__)
    struct user_fpsimd_struct registers;
    struct iovec to = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, child, NT_PRFPREG, &to) != 0)
        fail("its registers cannot be read");
    return registers.fpcr;
#endif
}

static void watch(unsigned long address)
{
    long n_instructions = 0, n_changes = 0;
    unsigned before = control();
    while (ptrace(PTRACE_PEEKDATA, child, address + offsetof(calm_watched, watching), 0) != 0) {
        const int signal = go_on(PTRACE_SINGLESTEP, 0);
        if (signal != SIGTRAP) {
            fprintf(stderr, "tracer: signal %d while instructions are taken one by one\n", signal);
            exit(1);
        }
        const unsigned now = control();
        n_instructions++, n_changes += now != before;
        before = now;
    }
    write_long(address + offsetof(calm_watched, n_instructions), n_instructions);
    write_long(address + offsetof(calm_watched, n_changes), n_changes);
}

int main(int argc, char **argv)
{
    int status, signal = 0;
    long n_calls = 0;
    if (argc < 2)
        return fprintf(stderr, "usage: tracer COMMAND ...\n"), 2;
    child = fork();
    if (child == 0) {
        execvp(argv[1], argv + 1);
        fail(argv[1]);
    }
    if (waitpid(child, &status, WUNTRACED) < 0)
        fail("waiting");
    if (!WIFSTOPPED(status)) /* it has ended before it wished to be traced */
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    if (ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0)
        fail("the process cannot be traced");
    for (;;) {
        struct ptrace_syscall_info call;
        const int stop = go_on(PTRACE_SYSCALL, signal);
        signal = stop == (SIGTRAP | 0x80) ? 0 : stop;
        if (signal)
            continue;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof call, &call) < 0)
            fail("its system call cannot be read");
        if (call.op != PTRACE_SYSCALL_INFO_ENTRY)
            continue;
        n_calls++;
        if (call.entry.nr != SYS_prctl || call.entry.args[0] != CALM_MARK)
            continue;
        if (call.entry.args[1] == CALM_COUNT)
            n_calls = 0;
        else if (call.entry.args[1] == CALM_COUNTED)
            write_long(call.entry.args[2], n_calls - 1); /* but the mark */
        else
            watch(call.entry.args[2]);
    }
}
