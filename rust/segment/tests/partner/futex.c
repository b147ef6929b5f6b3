// A partner in C that waits for words and wakes their waiters, by futex(2) alone. It maps /dev/shm/NAME.
//
//   futex answer NAME ROUNDS         waits for each question, and answers it
//   futex ask NAME ROUNDS PAUSE      asks, after a pause of so many microseconds; prints the nanoseconds to each answer
//   futex wait NAME OFFSET EXPECTED MILLISECONDS   prints "changed" or "timed out"
//   futex notify NAME OFFSET VALUE   stores the value, wakes all waiters and prints their number
//
// A question is the round's number at byte 0, counted from 1. The answer is the same number at byte 128.
// `ask` and `answer` are also the measure of ./build.sh bench.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 256, QUESTION = 0, ANSWER = 128, PATIENCE_MS = 10000 };

static char *memory;

static _Atomic uint32_t *word_at(size_t offset) {
  return (_Atomic uint32_t *)(memory + offset);
}

// Waits while the word is `expected`. Returns 1 once it has changed, and 0 at `end`, a time of CLOCK_MONOTONIC.
static int wait_word(_Atomic uint32_t *word, uint32_t expected, const struct timespec *end) {
  while (atomic_load_explicit(word, memory_order_acquire) == expected) {
    // Not with FUTEX_PRIVATE_FLAG: that is for the threads of one process. The call also ends for a signal.
    long result = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, end, NULL, FUTEX_BITSET_MATCH_ANY);
    if (result != 0 && errno == ETIMEDOUT) return 0;
  }
  return 1;
}

// Wakes all threads that wait for the word. Call it after the store, which must release.
static long notify_word(_Atomic uint32_t *word) {
  return syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static struct timespec in_milliseconds(long milliseconds) {
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += milliseconds / 1000;
  end.tv_nsec += milliseconds % 1000 * 1000000;
  if (end.tv_nsec >= 1000000000) end.tv_sec++, end.tv_nsec -= 1000000000;
  return end;
}

static void store(_Atomic uint32_t *word, uint32_t value) {
  atomic_store_explicit(word, value, memory_order_release);
  notify_word(word);
}

static int answer(uint32_t rounds) {
  for (uint32_t round = 1; round <= rounds; round++) {
    struct timespec limit = in_milliseconds(PATIENCE_MS);
    if (!wait_word(word_at(QUESTION), round - 1, &limit)) return 1;
    store(word_at(ANSWER), round);
  }
  return 0;
}

static int ask(uint32_t rounds, unsigned pause) {
  for (uint32_t round = 1; round <= rounds; round++) {
    struct timespec start, end, limit;
    usleep(pause);
    limit = in_milliseconds(PATIENCE_MS);
    clock_gettime(CLOCK_MONOTONIC, &start);
    store(word_at(QUESTION), round);
    if (!wait_word(word_at(ANSWER), round - 1, &limit)) return 1;
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%ld\n", (end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec);
  }
  return 0;
}

int main(int count, char **words) {
  if (count < 4) return 2;
  char path[300];
  snprintf(path, sizeof path, "/dev/shm/%s", words[2]);
  int file = open(path, O_RDWR | O_CLOEXEC);
  memory = file < 0 ? MAP_FAILED : mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return 1;
  }
  unsigned long first = strtoul(words[3], NULL, 10);
  unsigned long second = count > 4 ? strtoul(words[4], NULL, 10) : 0;
  if (strcmp(words[1], "answer") == 0) return answer((uint32_t)first);
  if (strcmp(words[1], "ask") == 0) return ask((uint32_t)first, (unsigned)second);
  if (first > SIZE - 4 || first % 4 != 0) return 2;
  if (strcmp(words[1], "wait") == 0 && count > 5) {
    struct timespec end = in_milliseconds(atol(words[5]));
    puts(wait_word(word_at(first), (uint32_t)second, &end) ? "changed" : "timed out");
    return 0;
  }
  if (strcmp(words[1], "notify") == 0) {
    atomic_store_explicit(word_at(first), (uint32_t)second, memory_order_release);
    printf("%ld\n", notify_word(word_at(first)));
    return 0;
  }
  return 2;
}
