// Rings of messages in C: one producer, one consumer, one store to publish, and the fence that a sleeping
// consumer needs. They are the measure of ./build.sh bench for the native queue, and for requests between
// peers. It maps /dev/shm/NAME.
//
//   ring produce NAME COUNT SIZE   puts COUNT messages of SIZE bytes in, and prints the nanoseconds it took
//   ring consume NAME COUNT SIZE   takes them out, and checks their numbers
//   ring answer NAME COUNT SIZE    takes each message out of one ring, and puts it into the other one
//   ring ask NAME COUNT SIZE       sends a message, waits for its answer, and prints the nanoseconds that took
//
// All sides spin. A record is the length, a tag and the bytes, up to a multiple of 8.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { CAPACITY = 65536, LONGEST = 32768, PADDING = -1 };

struct ring {
  _Alignas(128) _Atomic uint64_t tail;
  _Alignas(128) _Atomic uint64_t head;
  _Alignas(128) _Atomic uint32_t wanted;
  _Atomic uint32_t is_consumer_there;
  _Alignas(128) uint8_t bytes[CAPACITY];
};

// One side of a ring, with its own copies of both ends.
struct end {
  struct ring *ring;
  uint64_t tail, head;
  long tries;
};

static void fail(const char *what) {
  fprintf(stderr, "ring: %s\n", what);
  exit(1);
}

static void relax(long *tries) {
  if (++*tries % 1000 == 0) sched_yield();
#if defined(__x86_64__)
  else __builtin_ia32_pause();
#endif
}

static uint64_t record_size(uint32_t length) {
  return (8 + (uint64_t)length + 7) & ~UINT64_C(7);
}

static inline void put(struct end *end, const uint8_t *message, uint32_t size) {
  struct ring *ring = end->ring;
  uint64_t record = record_size(size), offset = end->tail % CAPACITY, left = CAPACITY - offset;
  uint64_t padding = record > left ? left : 0;
  while (end->tail + padding + record - end->head > CAPACITY) {
    end->head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (end->tail - end->head > CAPACITY) fail("the head is wrong");
    if (end->tail + padding + record - end->head > CAPACITY) relax(&end->tries);
  }
  if (padding) {
    int32_t mark = PADDING;
    memcpy(ring->bytes + offset, &mark, 4);
    offset = 0;
  }
  uint32_t header[2] = {size, 1};
  memcpy(ring->bytes + offset, header, 8);
  memcpy(ring->bytes + offset + 8, message, size);
  end->tail += padding + record;
  atomic_store_explicit(&ring->tail, end->tail, memory_order_release);
  // As if a consumer might sleep: none does.
  atomic_thread_fence(memory_order_seq_cst);
  if (atomic_load_explicit(&ring->wanted, memory_order_relaxed)) fail("nobody sleeps");
}

static inline void take(struct end *end, uint8_t *message, uint32_t size) {
  struct ring *ring = end->ring;
  for (;;) {
    if (end->head == end->tail) {
      end->tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
      if (end->tail - end->head > CAPACITY) fail("the tail is wrong");
      if (end->head == end->tail) {
        relax(&end->tries);
        continue;
      }
    }
    uint64_t offset = end->head % CAPACITY, left = CAPACITY - offset;
    int32_t length;
    memcpy(&length, ring->bytes + offset, 4);
    if (length == PADDING) {
      end->head += left;
      continue;
    }
    uint64_t record = record_size((uint32_t)length);
    if (record > end->tail - end->head || record > left || (uint32_t)length > size) fail("a length is wrong");
    memcpy(message, ring->bytes + offset + 8, (uint32_t)length);
    end->head += record;
    atomic_store_explicit(&ring->head, end->head, memory_order_release);
    return;
  }
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void produce(struct ring *ring, long count, uint32_t size) {
  static uint8_t message[LONGEST];
  struct end end = {.ring = ring};
  memset(message, 1, size);
  while (!atomic_load(&ring->is_consumer_there)) relax(&end.tries);
  int64_t start = now();
  for (int64_t number = 0; number < count; number++) {
    memcpy(message, &number, 8);
    put(&end, message, size);
  }
  while (atomic_load(&ring->head) != end.tail) relax(&end.tries);
  printf("%lld\n", (long long)(now() - start));
}

static void consume(struct ring *ring, long count, uint32_t size) {
  static uint8_t message[LONGEST];
  struct end end = {.ring = ring};
  atomic_store(&ring->is_consumer_there, 1);
  for (int64_t number = 0; number < count; number++) {
    take(&end, message, size);
    if (memcmp(message, &number, 8) != 0) fail("a message is wrong");
  }
}

static void answer(struct ring *rings, long count, uint32_t size) {
  static uint8_t message[LONGEST];
  struct end in = {.ring = &rings[0]}, out = {.ring = &rings[1]};
  for (int64_t number = 0; number < count; number++) {
    take(&in, message, size);
    put(&out, message, size);
  }
}

static void ask(struct ring *rings, long count, uint32_t size) {
  static uint8_t message[LONGEST];
  struct end out = {.ring = &rings[0]}, in = {.ring = &rings[1]};
  int64_t *times = calloc((size_t)count, sizeof *times);
  if (!times) fail("no memory");
  memset(message, 1, size);
  for (int64_t number = 0; number < count; number++) {
    memcpy(message, &number, 8);
    int64_t start = now();
    put(&out, message, size);
    take(&in, message, size);
    times[number] = now() - start;
    if (memcmp(message, &number, 8) != 0) fail("an answer is wrong");
  }
  // Printed at the end: a call of the system in each round would cool the caches down.
  for (long number = 0; number < count; number++) printf("%lld\n", (long long)times[number]);
}

int main(int count, char **words) {
  if (count != 5) fail("see the top of ring.c");
  char path[300];
  snprintf(path, sizeof path, "/dev/shm/%s", words[2]);
  int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) fail("open");
  struct ring *rings = mmap(NULL, 2 * sizeof *rings, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (rings == MAP_FAILED) fail("mmap");
  long messages = atol(words[3]);
  uint32_t size = (uint32_t)atoi(words[4]);
  if (size < 8 || size > LONGEST / 2) fail("SIZE");
  if (strcmp(words[1], "produce") == 0) produce(rings, messages, size);
  else if (strcmp(words[1], "consume") == 0) consume(rings, messages, size);
  else if (strcmp(words[1], "answer") == 0) answer(rings, messages, size);
  else ask(rings, messages, size);
  return 0;
}
