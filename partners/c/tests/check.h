// The frame of the tests: names that no other test uses, time limits, and cleaning up.
//
// RUN(test) runs a function. On POSIX, each test is a process of its own, which is ended after 30 seconds.
// So a test that crashes or hangs is one failure. CHECK ends the test.

#ifndef CHECK_H
#define CHECK_H

#include "../godot_shared_memory.h"

#ifdef _WIN32
#include <process.h>
#define getpid _getpid
#else
#include <signal.h>
#include <sys/wait.h>
#endif

#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition)) fail(__FILE__, __LINE__, #condition);                 \
    } while (0)
#define IS(expected, call) is(expected, call, __FILE__, __LINE__, #call)
#define OK(call) IS(GSM_OK, call)
#define RUN(test) run(#test, test)

enum { SECONDS = 30 };

static char test_name[64];   // of the memory of the running test
static uint64_t test_seed;   // of all random numbers
static int tests_failed, tests_passed;
static const char *test_filter;

static inline void fail(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: %s (seed %llu)\n", file, line, what, (unsigned long long)test_seed);
    fflush(stderr);
    _Exit(1);
}

static inline void is(gsm_error expected, gsm_error found, const char *file, int line, const char *call) {
    char text[400];
    if (expected == found) return;
    snprintf(text, sizeof text, "%s: %s (errno %d), not: %s", call, gsm_error_text(found), errno,
             gsm_error_text(expected));
    fail(file, line, text);
}

// Returns the next random number (splitmix64).
static inline uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static inline void run(const char *name, void (*test)(void)) {
    static int number;
    int passed = 1;
    if (test_filter && !strstr(name, test_filter)) return;
    snprintf(test_name, sizeof test_name, "gsm-test-%ld-%d", (long)getpid(), number++);
#ifdef _WIN32
    test();
#else
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        alarm(SECONDS);
        test();
        fflush(stdout);
        _Exit(0);
    }
    waitpid(child, &status, 0);
    kill(-child, SIGKILL);  // processes that the test has left
    passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (WIFSIGNALED(status)) fprintf(stderr, "%s: ended by signal %d\n", name, WTERMSIG(status));
    // A test that failed has left its names.
    static const char *const ends[] = {"", "-copy", "-back"};
    for (int i = 0; i < 3; i++) {
        char left[80];
        snprintf(left, sizeof left, "%s%s", test_name, ends[i]);
        gsm_memory_remove(left);
    }
#endif
    printf("%s %s\n", passed ? "ok    " : "FAILED", name);
    tests_passed += passed;
    tests_failed += !passed;
}

// Reads the filter and the seed from the command line: PROGRAM [FILTER [SEED]].
static inline void begin_tests(int count, char **words) {
    test_filter = count > 1 && *words[1] ? words[1] : NULL;
    test_seed = count > 2 ? strtoull(words[2], NULL, 10) : gsmi_now_usec() & 0xFFFFFFFF;
    printf("seed %llu\n", (unsigned long long)test_seed);
}

static inline int end_tests(void) {
    printf("%d passed, %d failed\n", tests_passed, tests_failed);
    return tests_failed != 0 || (tests_passed == 0 && !test_filter);
}

#endif
