// A partner with the V2 streams and the queues of libsharedmemory, and with the locks that Python can't take.
// It shares no code with the crate. Like libsharedmemory's header, it waits without limit and trusts lengths.
//
// It reads commands from its standard input, one per line, and answers each with a line.

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned char *memory;

static _Atomic uint32_t *word(size_t offset) {
    return (_Atomic uint32_t *)(memory + offset);
}

static uint32_t plain(size_t offset) {
    uint32_t value;
    memcpy(&value, memory + offset, 4);
    return value;
}

static void set_plain(size_t offset, uint32_t value) {
    memcpy(memory + offset, &value, 4);
}

static void lock(size_t offset) {
    uint32_t expected = 0;
    while (!atomic_compare_exchange_weak_explicit(word(offset), &expected, 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
        expected = 0;
        sched_yield();
    }
}

static void unlock(size_t offset) {
    atomic_store_explicit(word(offset), 0, memory_order_release);
}

static int map(const char *name) {
    char path[400];
    struct stat found;
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) != 0) return 0;
    memory = mmap(NULL, (size_t)found.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return memory != MAP_FAILED;
}

// Streams, V2: flags @0, revision @4, ack @8, size @12, lock @16, data @20.

static void stream_write(const void *data, uint32_t size) {
    lock(16);
    memory[0] = 2 | (~memory[0] & 1);
    set_plain(12, size);
    memcpy(memory + 20, data, size);
    atomic_fetch_add_explicit(word(4), 1, memory_order_release);
    unlock(16);
}

// The messages of `stream_flood` in any language: i % 200 + 1 bytes, each i % 251.
static void stream_flood(uint32_t messages) {
    unsigned char data[200];
    for (uint32_t i = 0; i < messages; i++) {
        memset(data, (int)(i % 251), i % 200 + 1);
        stream_write(data, i % 200 + 1);
        // Waits for a reader: a flood takes little time.
        while (i == 0 && atomic_load_explicit(word(8), memory_order_acquire) != 1) sched_yield();
    }
}

// Reads until the revision `last` comes, and answers with the numbers of messages and of torn ones.
static void stream_watch(uint32_t last) {
    uint32_t seen = 0, count = 0, torn = 0;
    unsigned char data[200];
    while (seen != last) {
        if (atomic_load_explicit(word(4), memory_order_acquire) == seen) continue;
        lock(16);
        seen = plain(4);
        uint32_t size = plain(12);
        memcpy(data, memory + 20, size <= 200 ? size : 200);
        unlock(16);
        uint32_t i = seen - 1;
        int wrong = size != i % 200 + 1;
        for (uint32_t at = 0; !wrong && at < size; at++) wrong = data[at] != i % 251;
        count++;
        torn += (uint32_t)wrong;
        atomic_store_explicit(word(8), seen, memory_order_release);
    }
    printf("answer: seen %u torn %u\n", count, torn);
}

// Queues: write index @0, read index @4, capacity @8, count @12, longest @16; V2: locks @20 and @24.

static uint32_t header, capacity, longest;

static void queue_open(int version) {
    header = version == 1 ? 20 : 28;
    capacity = plain(8);
    longest = plain(16);
}

static size_t slot(uint32_t index) {
    return header + (size_t)index * (longest + 4);
}

static int enqueue(const void *data, uint32_t size) {
    if (header == 28) lock(20);
    int room = atomic_load_explicit(word(12), memory_order_acquire) < capacity;
    if (room) {
        uint32_t index = plain(0);
        set_plain(slot(index), size);
        memcpy(memory + slot(index) + 4, data, size);
        set_plain(0, (index + 1) % capacity);
        atomic_fetch_add_explicit(word(12), 1, memory_order_release);
    }
    if (header == 28) unlock(20);
    return room;
}

static int dequeue(unsigned char *data, uint32_t *size) {
    if (header == 28) lock(24);
    int any = atomic_load_explicit(word(12), memory_order_acquire) != 0;
    if (any) {
        uint32_t index = plain(4);
        *size = plain(slot(index));
        memcpy(data, memory + slot(index) + 4, *size);
        set_plain(4, (index + 1) % capacity);
        atomic_fetch_sub_explicit(word(12), 1, memory_order_release);
    }
    if (header == 28) unlock(24);
    return any;
}

// The messages of `produce` in any language: the number i (u32), then i % 40 bytes, each i % 251.
static uint32_t message(uint32_t i, unsigned char *data) {
    memcpy(data, &i, 4);
    memset(data + 4, (int)(i % 251), i % 40);
    return 4 + i % 40;
}

static void produce(uint32_t messages) {
    unsigned char data[44];
    for (uint32_t i = 0; i < messages; i++) {
        uint32_t size = message(i, data);
        while (!enqueue(data, size)) sched_yield();
    }
    printf("answer: done\n");
}

static void consume(uint32_t messages) {
    unsigned char data[44], expected[44];
    for (uint32_t i = 0; i < messages; i++) {
        uint32_t size = 0, right = message(i, expected);
        while (!dequeue(data, &size)) sched_yield();
        if (size != right || memcmp(data, expected, size) != 0) {
            printf("answer: message %u is wrong\n", i);
            return;
        }
    }
    printf("answer: done\n");
}

int main(void) {
    char line[400], name[300];
    unsigned number, version;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "open %299s", name) == 1) {
            puts(map(name) ? "answer: done" : "answer: can't open");
        } else if (sscanf(line, "flood %u", &number) == 1) {
            stream_flood(number);
            puts("answer: done");
        } else if (sscanf(line, "watch %u", &number) == 1) {
            stream_watch(number);
        } else if (sscanf(line, "produce %u %u", &version, &number) == 2) {
            queue_open((int)version);
            produce(number);
        } else if (sscanf(line, "consume %u %u", &version, &number) == 2) {
            queue_open((int)version);
            consume(number);
        } else if (sscanf(line, "lock %u", &number) == 1) {
            lock(number);
            puts("answer: done");
        } else if (sscanf(line, "unlock %u", &number) == 1) {
            unlock(number);
            puts("answer: done");
        } else {
            puts("answer: unknown command");
        }
        fflush(stdout);
    }
    return 0;
}
