// Tests with several processes, which are killed and stopped: POSIX only.

#include "check.h"

#include <sys/wait.h>

enum { MSEC = 1000000 };

// Memory that parent and children share without a name, for what they tell each other.
typedef struct notes {
    uint64_t value[16];
} notes;

static notes *shared_notes(void) {
    void *data = mmap(NULL, sizeof(notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(data != MAP_FAILED);
    return (notes *)data;
}

static uint64_t get(notes *all, int i) { return __atomic_load_n(&all->value[i], __ATOMIC_SEQ_CST); }
static void set(notes *all, int i, uint64_t value) { __atomic_store_n(&all->value[i], value, __ATOMIC_SEQ_CST); }

static void wait_for(notes *all, int i, uint64_t value) {
    while (get(all, i) < value) gsmi_sleep(MSEC / 10);
}

static pid_t start(void (*child)(notes *), notes *all) {
    pid_t process = fork();
    CHECK(process >= 0);
    if (process == 0) {
        child(all);
        _Exit(0);
    }
    return process;
}

// Kills a process that should still run: one that has ended by itself has found something.
static void end(pid_t process) {
    int status;
    kill(process, SIGKILL);
    CHECK(waitpid(process, &status, 0) == process && WIFSIGNALED(status));
}

static int exit_code(pid_t process) {
    int status;
    waitpid(process, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// ---- Names ----

static void create_and_stay(notes *all) {
    gsm_memory memory;
    OK(gsm_memory_create(&memory, test_name, 4096, GSM_LOCAL));
    memory.data[0] = 42;
    set(all, 0, 1);
    for (;;) pause();
}

static void the_name_of_a_dead_creator_is_taken_over(void) {
    notes *all = shared_notes();
    gsm_memory memory, old;
    pid_t process = start(create_and_stay, all);
    wait_for(all, 0, 1);
    IS(GSM_ERROR_EXISTS, gsm_memory_create(&memory, test_name, 8192, GSM_LOCAL));
    kill(process, SIGSTOP);
    IS(GSM_ERROR_EXISTS, gsm_memory_create(&memory, test_name, 8192, GSM_LOCAL));
    OK(gsm_memory_open(&old, test_name, GSM_READ_WRITE));
    kill(process, SIGKILL);
    // A zombie has no locks.
    gsm_error error = GSM_ERROR_EXISTS;
    for (int i = 0; i < 1000 && error == GSM_ERROR_EXISTS; i++) {
        error = gsm_memory_create(&memory, test_name, 8192, GSM_LOCAL);
        gsmi_sleep(MSEC);
    }
    OK(error);
    CHECK(memory.size == 8192 && memory.data[0] == 0 && old.data[0] == 42 && !gsm_memory_is_current(&old));
    waitpid(process, NULL, 0);
    gsm_memory_close(&old);
    CHECK(gsm_memory_is_current(&memory));
    gsm_memory_close(&memory);
    IS(GSM_ERROR_NOT_FOUND, gsm_memory_open(&memory, test_name, GSM_READ_ONLY));
}

static void other_files_of_the_name_are_left_alone(void) {
    char path[100];
    gsm_memory memory;
    snprintf(path, sizeof path, "/dev/shm/%s", test_name);
    int file = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(file >= 0 && ftruncate(file, 4096) == 0);
    IS(GSM_ERROR_EXISTS, gsm_memory_create(&memory, test_name, 4096, GSM_LOCAL));  // not marked
    int flags = 0x40 | 0x80;
    if (ioctl(file, _IOW('f', 2, long), &flags) == 0) {
        IS(GSM_ERROR_EXISTS, gsm_memory_create(&memory, test_name, 4096, GSM_LOCAL));  // outlives its owner
        flags = 0x40;
        CHECK(ioctl(file, _IOW('f', 2, long), &flags) == 0);
    } else {
        CHECK(fchmod(file, 01600) == 0);
    }
    // Another process removes it: this one waits, and finds that it didn't.
    struct flock lock;
    CHECK(gsmi_lock_call(file, F_OFD_SETLK, F_WRLCK, (UINT64_C(1) << 62) + 2, &lock) == 0);
    uint64_t before = gsm_clock();
    IS(GSM_ERROR_EXISTS, gsm_memory_create(&memory, test_name, 4096, GSM_LOCAL));
    CHECK(gsm_clock() - before > 500ull * MSEC);
    CHECK(gsmi_lock_call(file, F_OFD_SETLK, F_UNLCK, (UINT64_C(1) << 62) + 2, &lock) == 0);
    OK(gsm_memory_create(&memory, test_name, 4096, GSM_LOCAL));
    close(file);
    gsm_memory_close(&memory);
    CHECK(mkfifo(path, 0600) == 0);
    IS(GSM_ERROR_EXISTS, gsm_memory_create(&memory, test_name, 4096, GSM_LOCAL));
    CHECK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE) != GSM_OK);
    unlink(path);
    CHECK(symlink("/dev/zero", path) == 0);
    IS(GSM_ERROR_EXISTS, gsm_memory_create(&memory, test_name, 4096, GSM_LOCAL));
    CHECK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE) != GSM_OK);
    unlink(path);
}

static void modes_and_marks_are_as_documented(void) {
    gsm_memory memory;
    struct stat status;
    for (int scope = GSM_LOCAL; scope <= GSM_GLOBAL; scope++) {
        umask(077);
        OK(gsm_memory_create(&memory, test_name, 5000, scope));
        CHECK(fstat(memory.descriptor, &status) == 0 && status.st_size == 5000);
        CHECK((status.st_mode & 0777) == (scope == GSM_GLOBAL ? 0666 : 0600));
        CHECK(status.st_blocks >= 8);
        int flags = 0;
        if (ioctl(memory.descriptor, _IOR('f', 1, long), &flags) == 0) CHECK((flags & 0xC0) == 0x40);
        else CHECK(status.st_mode & 01000);
        // The life lock, as another description sees it.
        int other = gsmi_open_name(test_name, O_RDWR, 0);
        CHECK(gsmi_look_at_lock(other, UINT64_C(1) << 62) == F_WRLCK);
        close(other);
        gsm_memory_close(&memory);
    }
}

static void create_at_once(notes *all) {
    gsm_memory memory;
    wait_for(all, 0, 1);
    gsm_error error = gsm_memory_create(&memory, test_name, 4096, GSM_LOCAL);
    if (error == GSM_OK) {
        __atomic_fetch_add(&all->value[1], 1, __ATOMIC_SEQ_CST);
        wait_for(all, 2, 1);
        gsm_memory_close(&memory);
    } else {
        IS(GSM_ERROR_EXISTS, error);
    }
    __atomic_fetch_add(&all->value[3], 1, __ATOMIC_SEQ_CST);
}

static void one_of_many_creators_takes_a_dead_name_over(void) {
    for (int round = 0; round < 20; round++) {
        notes *all = shared_notes();
        pid_t processes[6];
        pid_t dead = start(create_and_stay, all);
        wait_for(all, 0, 1);
        set(all, 0, 0);
        for (int i = 0; i < 6; i++) processes[i] = start(create_at_once, all);
        end(dead);
        set(all, 0, 1);
        wait_for(all, 3, 5);
        wait_for(all, 1, 1);
        CHECK(get(all, 1) == 1);
        set(all, 2, 1);
        for (int i = 0; i < 6; i++) CHECK(exit_code(processes[i]) == 0);
        munmap(all, sizeof *all);
    }
}

static void closes_after_fork(notes *all) {
    gsm_memory *memory = (gsm_memory *)(uintptr_t)get(all, 0);
    gsm_stream *stream = (gsm_stream *)(uintptr_t)get(all, 1);
    gsm_stream_detach(stream);
    gsm_memory_close(memory);
}

static void a_child_takes_neither_name_nor_roles_along(void) {
    notes *all = shared_notes();
    gsm_memory memory, other;
    gsm_stream stream, second;
    gsm_message message = gsm_bytes(1);
    OK(gsm_memory_create(&memory, test_name, 8192, GSM_LOCAL));
    OK(gsm_stream_attach(&stream, &memory, 100, 1));
    OK(gsm_stream_write(&stream, &message, "x"));
    set(all, 0, (uintptr_t)&memory);
    set(all, 1, (uintptr_t)&stream);
    CHECK(exit_code(start(closes_after_fork, all)) == 0);
    CHECK(gsm_memory_is_current(&memory));
    OK(gsm_memory_open(&other, test_name, GSM_READ_WRITE));
    OK(gsm_stream_attach(&second, &other, 0, 0));
    IS(GSM_ERROR_IN_USE, gsm_stream_write(&second, &message, "x"));
    gsm_memory again;
    IS(GSM_ERROR_EXISTS, gsm_memory_create(&again, test_name, 8192, GSM_LOCAL));
    gsm_memory_close(&other);
    gsm_memory_close(&memory);
}

// ---- Laying out ----

static void lay_out_at_once(notes *all) {
    gsm_memory memory;
    gsm_stream stream;
    OK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE));
    wait_for(all, 0, 1);
    OK(gsm_stream_attach(&stream, &memory, 1000, 2));
    uint64_t none = 0;
    __atomic_compare_exchange_n(&all->value[1], &none, stream.at.incarnation, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    CHECK(get(all, 1) == stream.at.incarnation);
    gsm_memory_close(&memory);
}

static void one_of_many_lays_the_memory_out(void) {
    for (int round = 0; round < 20; round++) {
        notes *all = shared_notes();
        gsm_memory memory;
        pid_t processes[6];
        OK(gsm_memory_create(&memory, test_name, 8192, GSM_LOCAL));
        for (int i = 0; i < 6; i++) processes[i] = start(lay_out_at_once, all);
        set(all, 0, 1);
        for (int i = 0; i < 6; i++) CHECK(exit_code(processes[i]) == 0);
        gsm_memory_close(&memory);
        munmap(all, sizeof *all);
    }
}

static void hold_the_layout_lock(notes *all) {
    gsm_memory memory;
    OK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE));
    OK(gsmi_claim(&memory, 0, GSMI_LAYOUT));
    set(all, 0, 1);
    for (;;) pause();
}

static void a_program_that_lays_out_for_long_makes_others_busy(void) {
    notes *all = shared_notes();
    gsm_memory memory;
    gsm_stream stream;
    OK(gsm_memory_create(&memory, test_name, 8192, GSM_LOCAL));
    pid_t process = start(hold_the_layout_lock, all);
    wait_for(all, 0, 1);
    uint64_t before = gsm_clock();
    IS(GSM_BUSY, gsm_stream_attach(&stream, &memory, 0, 2));
    CHECK(gsm_clock() - before < 5000ull * MSEC);
    end(process);
    OK(gsm_stream_attach(&stream, &memory, 0, 2));
    gsm_memory_close(&memory);
}

static void reset_for_ever(notes *all) {
    gsm_memory memory;
    gsm_stream stream;
    gsm_queue queue;
    gsm_message message = gsm_bytes(4);
    OK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE));
    if (get(all, 1) == 1) OK(gsm_stream_attach(&stream, &memory, 1000, 2));
    else OK(gsm_queue_attach(&queue, &memory, 1024, 2));
    for (;;) {
        set(all, 0, get(all, 0) + 1);
        if (get(all, 1) == 1) {
            OK(gsm_stream_write(&stream, &message, "abcd"));
            OK(gsm_stream_reset(&stream));
        } else {
            OK(gsm_queue_enqueue(&queue, &message, "abcd", 0));
            OK(gsm_queue_reset(&queue));
        }
    }
}

static void a_reset_that_is_killed_is_finished_by_the_next(void) {
    uint64_t state = test_seed, unfinished = 0;
    for (int round = 0; round < 200; round++) {
        notes *all = shared_notes();
        gsm_memory memory;
        gsm_stream stream;
        gsm_queue queue;
        gsm_message message = gsm_bytes(4);
        char buffer[10];
        uint64_t count;
        set(all, 1, 1 + round % 2);
        OK(gsm_memory_create(&memory, test_name, 8192, GSM_LOCAL));
        pid_t process = start(reset_for_ever, all);
        wait_for(all, 0, 2);
        gsmi_sleep(next_random(&state) % (MSEC / 2));
        end(process);
        unfinished += gsmi_load64(memory.data + 0x18) == 0;
        if (round % 2 == 0) {
            OK(gsm_stream_attach(&stream, &memory, 1000, 2));
            OK(gsm_stream_write(&stream, &message, "efgh"));
            OK(gsm_stream_read(&stream, &message, buffer, 10));
        } else {
            OK(gsm_queue_attach(&queue, &memory, 1024, 2));
            OK(gsm_queue_count(&queue, &count));
            CHECK(count <= 1);
            if (count) OK(gsm_queue_dequeue(&queue, &message, buffer, 10, 0));
            OK(gsm_queue_enqueue(&queue, &message, "efgh", 0));
            OK(gsm_queue_dequeue(&queue, &message, buffer, 10, 0));
        }
        CHECK(memcmp(buffer, "efgh", 4) == 0);
        gsm_memory_close(&memory);
        munmap(all, sizeof *all);
    }
    printf("       %d resets of 200 were interrupted\n", (int)unfinished);
}

// ---- Waiting ----

static void write_one_and_stay(notes *all) {
    gsm_memory memory;
    gsm_stream stream;
    gsm_message message = gsm_bytes(1);
    OK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE));
    OK(gsm_stream_attach(&stream, &memory, 100, 1));
    OK(gsm_stream_write(&stream, &message, "x"));
    set(all, 0, 1);
    for (;;) pause();
}

static void a_waiting_reader_learns_of_a_death_but_not_of_a_pause(void) {
    notes *all = shared_notes();
    gsm_memory memory, read_only;
    gsm_stream stream;
    gsm_message message;
    char buffer[10];
    OK(gsm_memory_create(&memory, test_name, 8192, GSM_LOCAL));
    OK(gsm_memory_open(&read_only, test_name, GSM_READ_ONLY));
    for (int i = 0; i < 2; i++) {
        set(all, 0, 0);
        pid_t process = start(write_one_and_stay, all);
        wait_for(all, 0, 1);
        OK(gsm_stream_attach(&stream, i ? &read_only : &memory, 0, 0));
        OK(gsm_stream_read(&stream, &message, buffer, 10));
        kill(process, SIGSTOP);
        IS(GSM_TIMEOUT, gsm_stream_wait(&stream, 150));
        CHECK(gsm_stream_has_writer(&stream));
        // Killed by another process, while this one waits.
        pid_t killer = fork();
        if (killer == 0) {
            gsmi_sleep(300 * MSEC);
            kill(process, SIGKILL);
            _Exit(0);
        }
        uint64_t before = gsm_clock();
        IS(GSM_GONE, gsm_stream_wait(&stream, 10000));
        CHECK(gsm_clock() - before < 1000ull * MSEC);
        waitpid(killer, NULL, 0);
        waitpid(process, NULL, 0);
        IS(GSM_TIMEOUT, gsm_stream_wait(&stream, 60));
        gsm_stream_detach(&stream);
    }
    gsm_memory_close(&read_only);
    gsm_memory_close(&memory);
}

static void echo(notes *all) {
    gsm_memory memory, answers;
    gsm_queue in, out;
    gsm_message message;
    char buffer[100], name[100];
    snprintf(name, sizeof name, "%s-back", test_name);
    OK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE));
    OK(gsm_memory_open(&answers, name, GSM_READ_WRITE));
    OK(gsm_queue_attach(&in, &memory, 0, 0));
    OK(gsm_queue_attach(&out, &answers, 0, 0));
    set(all, 0, 1);
    for (;;) {
        OK(gsm_queue_dequeue(&in, &message, buffer, 100, 20000));
        OK(gsm_queue_enqueue(&out, &message, buffer, 20000));
    }
}

static void a_message_wakes_the_other_side_at_once(void) {
    enum { ROUNDS = 400 };
    notes *all = shared_notes();
    gsm_memory memory, answers;
    gsm_queue out, in;
    char name[100], buffer[100];
    snprintf(name, sizeof name, "%s-back", test_name);
    OK(gsm_memory_create(&memory, test_name, 8192, GSM_LOCAL));
    OK(gsm_memory_create(&answers, name, 8192, GSM_LOCAL));
    OK(gsm_queue_attach(&out, &memory, 0, 1));
    OK(gsm_queue_attach(&in, &answers, 0, 1));
    pid_t process = start(echo, all);
    wait_for(all, 0, 1);
    uint64_t before = gsm_clock(), used = (uint64_t)clock();
    for (int i = 0; i < ROUNDS; i++) {
        gsm_message message = gsm_bytes(4);
        OK(gsm_queue_enqueue(&out, &message, &i, 1000));
        OK(gsm_queue_dequeue(&in, &message, buffer, 100, 10000));
        CHECK(memcmp(buffer, &i, 4) == 0);
    }
    uint64_t took = (gsm_clock() - before) / ROUNDS;
    // Without a wake, each way would take 40 ms.
    CHECK(took < 10 * MSEC);
    used = (uint64_t)clock() - used;
    printf("       a round trip took %d us, of which %d us of processor time here\n", (int)(took / 1000),
           (int)(used * 1000000 / CLOCKS_PER_SEC / ROUNDS));
    end(process);
    gsm_memory_close(&answers);
    gsm_memory_close(&memory);
}

static void take_all(notes *all) {
    gsm_memory memory;
    gsm_queue queue;
    gsm_message message;
    char buffer[100];
    OK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE));
    OK(gsm_queue_attach(&queue, &memory, 0, 0));
    set(all, 0, 1);
    for (;;) OK(gsm_queue_dequeue(&queue, &message, buffer, 100, 20000));
}

static void room_wakes_a_producer_at_once(void) {
    enum { MESSAGES = 400 };
    notes *all = shared_notes();
    gsm_memory memory;
    gsm_queue queue;
    OK(gsm_memory_create(&memory, test_name, 4096, GSM_LOCAL));
    OK(gsm_queue_attach(&queue, &memory, 64, 1));
    pid_t process = start(take_all, all);
    wait_for(all, 0, 1);
    uint64_t before = gsm_clock();
    for (int i = 0; i < MESSAGES; i++) {
        gsm_message message = gsm_bytes(8);
        gsm_error error;
        // The first wait may begin before the consumer has its role.
        while ((error = gsm_queue_enqueue(&queue, &message, "12345678", 10000)) == GSM_GONE) continue;
        OK(error);
    }
    // Four messages fit. Without a wake, at least each fifth one would take 40 ms.
    CHECK((gsm_clock() - before) / MESSAGES < 4 * MSEC);
    end(process);
    gsm_memory_close(&memory);
}

static void only_a_write_lock_of_the_exact_byte_is_a_role(void) {
    gsm_memory memory;
    gsm_stream stream;
    gsm_message message = gsm_bytes(1);
    struct flock lock;
    const uint64_t writer = (UINT64_C(1) << 62) + 4 + 2;
    OK(gsm_memory_create(&memory, test_name, 4096, GSM_LOCAL));
    OK(gsm_stream_attach(&stream, &memory, 0, 1));
    int other = gsmi_open_name(test_name, O_RDWR, 0);
    CHECK(gsmi_lock_call(other, F_OFD_SETLK, F_WRLCK, writer, &lock) == 0);
    CHECK(gsm_stream_has_writer(&stream));
    IS(GSM_ERROR_IN_USE, gsm_stream_write(&stream, &message, "x"));
    CHECK(gsmi_lock_call(other, F_OFD_SETLK, F_RDLCK, writer, &lock) == 0);
    CHECK(!gsm_stream_has_writer(&stream));
    // A program that may only look is in the way for a while.
    uint64_t before = gsm_clock();
    IS(GSM_ERROR_IN_USE, gsm_stream_write(&stream, &message, "x"));
    CHECK(gsm_clock() - before >= 20ull * MSEC);
    lock.l_type = F_WRLCK;
    lock.l_start = (off_t)writer - 1;
    lock.l_len = 3;
    CHECK(fcntl(other, F_OFD_SETLK, &lock) == 0);
    CHECK(!gsm_stream_has_writer(&stream));
    close(other);
    OK(gsm_stream_write(&stream, &message, "x"));
    gsm_memory_close(&memory);
}

static void take_one_late(notes *all) {
    gsm_memory memory;
    gsm_queue queue;
    gsm_message message;
    char buffer[1000];
    OK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE));
    OK(gsm_queue_attach(&queue, &memory, 0, 0));
    OK(gsm_queue_wait(&queue, 1000));
    set(all, 0, 1);
    gsmi_sleep(60 * MSEC);
    OK(gsm_queue_dequeue(&queue, &message, buffer, 1000, 0));
    for (;;) pause();
}

static void a_producer_waits_for_room_and_learns_of_a_death(void) {
    notes *all = shared_notes();
    gsm_memory memory;
    gsm_queue queue;
    gsm_message message = gsm_bytes(100);
    char content[100] = {0};
    OK(gsm_memory_create(&memory, test_name, 8192, GSM_LOCAL));
    OK(gsm_queue_attach(&queue, &memory, 256, 1));
    OK(gsm_queue_enqueue(&queue, &message, content, 0));
    OK(gsm_queue_enqueue(&queue, &message, content, 0));
    IS(GSM_FULL, gsm_queue_enqueue(&queue, &message, content, 0));
    IS(GSM_TIMEOUT, gsm_queue_enqueue(&queue, &message, content, 50));
    pid_t process = start(take_one_late, all);
    wait_for(all, 0, 1);
    uint64_t before = gsm_clock();
    OK(gsm_queue_enqueue(&queue, &message, content, 10000));
    CHECK(gsm_clock() - before < 1000ull * MSEC);
    pid_t killer = fork();
    if (killer == 0) {
        gsmi_sleep(300 * MSEC);
        kill(process, SIGKILL);
        _Exit(0);
    }
    before = gsm_clock();
    IS(GSM_GONE, gsm_queue_enqueue(&queue, &message, content, 10000));
    CHECK(gsm_clock() - before < 1000ull * MSEC);
    waitpid(killer, NULL, 0);
    waitpid(process, NULL, 0);
    gsm_memory_close(&memory);
}

// ---- Kills ----

enum { LONGEST = 3000 };

// Fills a message whose bytes follow from its number.
static gsm_message numbered(uint64_t number, unsigned char *content) {
    uint64_t state = number, length = 8 + next_random(&state) % (LONGEST - 8);
    memcpy(content, &number, 8);
    for (uint64_t i = 8; i < length; i++) content[i] = (unsigned char)(number * 31 + i * 7);
    return gsm_bytes(length);
}

static uint64_t number_of(const gsm_message *message, const unsigned char *content) {
    unsigned char expected[LONGEST];
    uint64_t number;
    memcpy(&number, content, 8);
    gsm_message right = numbered(number, expected);
    CHECK(message->length == right.length && message->tag == right.tag);
    CHECK(memcmp(content, expected, (size_t)right.length) == 0);
    return number;
}

static void write_for_ever(notes *all) {
    gsm_memory memory;
    gsm_stream stream;
    unsigned char content[LONGEST];
    (void)all;
    OK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE));
    OK(gsm_stream_attach(&stream, &memory, 0, 0));
    gsm_error error;
    void *place;
    // The one before is killed, but perhaps not yet gone.
    while ((error = gsm_stream_begin(&stream, &place)) == GSM_ERROR_IN_USE) gsmi_sleep(MSEC);
    OK(error);
    for (;;) {
        // The content has the number that the message gets.
        uint64_t next = (stream.latest ? stream.latest >> 8 : stream.at.first_sequence) + 1;
        gsm_message message = numbered(next, content);
        OK(gsm_stream_write(&stream, &message, content));
    }
}

static void read_for_ever(notes *all) {
    gsm_memory memory;
    gsm_stream stream;
    gsm_message message;
    unsigned char content[LONGEST];
    OK(gsm_memory_open(&memory, test_name, get(all, 2) ? GSM_READ_ONLY : GSM_READ_WRITE));
    OK(gsm_stream_attach(&stream, &memory, 0, 0));
    for (;;) {
        uint64_t before = stream.sequence;
        gsm_error error = gsm_stream_read(&stream, &message, content, sizeof content);
        if (error == GSM_EMPTY || (error == GSM_BUSY && !stream.has_pin)) continue;
        OK(error);
        CHECK(number_of(&message, content) == message.sequence);
        CHECK(message.sequence >= before && message.sequence >= get(all, 3));
        set(all, 3, message.sequence);  // what has been seen, over all lives of this reader
        set(all, 1, get(all, 1) + 1);
    }
}

static void kill_and_restart(void (*first)(notes *), void (*second)(notes *), notes *all, uint64_t milliseconds) {
    uint64_t state = test_seed, until = gsm_clock() + milliseconds * MSEC;
    pid_t processes[2] = {start(first, all), start(second, all)};
    while (gsm_clock() < until) {
        gsmi_sleep(next_random(&state) % (8 * MSEC));
        int i = next_random(&state) % 2;
        if (next_random(&state) % 4 == 0) {
            kill(processes[i], SIGSTOP);
            gsmi_sleep(next_random(&state) % (4 * MSEC));
            kill(processes[i], SIGCONT);
            continue;
        }
        end(processes[i]);
        processes[i] = start(i ? second : first, all);
    }
    for (int j = 0; j < 2; j++) end(processes[j]);
}

static void killed_writers_and_readers_leave_whole_messages(void) {
    for (int i = 0; i < 2; i++) {
        notes *all = shared_notes();
        gsm_memory memory;
        gsm_stream stream;
        set(all, 2, (uint64_t)i);
        OK(gsm_memory_create(&memory, test_name, 1 << 16, GSM_LOCAL));
        OK(gsm_stream_attach(&stream, &memory, LONGEST, 1));
        kill_and_restart(write_for_ever, read_for_ever, all, 1000);
        CHECK(get(all, 1) > 100);
        printf("       %d messages read %s\n", (int)get(all, 1), i ? "without a pin" : "with a pin");
        gsm_memory_close(&memory);
        munmap(all, sizeof *all);
    }
}

static void put_for_ever(notes *all) {
    gsm_memory memory;
    gsm_queue queue;
    unsigned char content[LONGEST];
    (void)all;
    OK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE));
    OK(gsm_queue_attach(&queue, &memory, 0, 0));
    gsm_error error;
    while ((error = gsmi_be_producer(&queue)) == GSM_ERROR_IN_USE) gsmi_sleep(MSEC);
    OK(error);
    for (;;) {
        // The number of messages in the lane tells what the one before has published.
        gsm_message message = numbered(queue.put, content);
        error = gsm_queue_enqueue(&queue, &message, content, 20000);
        if (error != GSM_GONE) OK(error);
    }
}

static void take_for_ever(notes *all) {
    gsm_memory memory;
    gsm_queue queue;
    gsm_message message;
    unsigned char content[LONGEST];
    int is_first = 1;
    uint64_t unnoted = get(all, 1);
    set(all, 1, unnoted + 1);
    OK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE));
    OK(gsm_queue_attach(&queue, &memory, 0, 0));
    gsm_error error;
    while ((error = gsmi_be_consumer(&queue)) == GSM_ERROR_IN_USE) gsmi_sleep(MSEC);
    OK(error);
    for (;;) {
        error = gsm_queue_dequeue(&queue, &message, content, sizeof content, 20000);
        if (error == GSM_GONE) continue;
        OK(error);
        uint64_t number = number_of(&message, content), expected = get(all, 0);
        // Each life that was killed may have taken one message that it didn't note.
        CHECK(number >= expected && number <= expected + (is_first ? unnoted : 0));
        CHECK(number + 1 == queue.lanes[0].taken);
        set(all, 0, number + 1);
        set(all, 1, 1);
        is_first = 0;
    }
}

static void killed_producers_and_consumers_lose_and_double_nothing(void) {
    notes *all = shared_notes();
    gsm_memory memory;
    gsm_queue queue;
    OK(gsm_memory_create(&memory, test_name, 1 << 16, GSM_LOCAL));
    OK(gsm_queue_attach(&queue, &memory, 8192, 1));
    kill_and_restart(put_for_ever, take_for_ever, all, 1500);
    CHECK(get(all, 0) > 100);
    printf("       %d messages taken out\n", (int)get(all, 0));
    gsm_memory_close(&memory);
}

// ---- A hostile program ----

static void scribble(notes *all) {
    static const uint64_t values[] = {0, 1, 2, 3, 8, 255, 256, 0xFFFFFFFF, UINT64_C(1) << 55, UINT64_MAX - 7};
    gsm_memory memory;
    uint64_t state = test_seed;
    OK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE));
    for (;;) {
        uint64_t at = next_random(&state) % 0x600 / 8 * 8, value = values[next_random(&state) % 10];
        uint64_t old = gsmi_load64(memory.data + at);
        if (next_random(&state) % 4) value = old + 8 - next_random(&state) % 17;
        gsmi_store64(memory.data + at, value);
        // The header is right most of the time, so that the calls get further.
        if (at < 0x80 || next_random(&state) % 2) gsmi_store64(memory.data + at, old);
        if (next_random(&state) % 64 == 0) gsmi_sleep(MSEC / 20);
        set(all, 0, 1);
    }
}

static void no_call_outlasts_a_hostile_program(void) {
    for (int layout = 1; layout <= 2; layout++) {
        notes *all = shared_notes();
        gsm_memory memory;
        gsm_stream stream;
        gsm_queue queue;
        gsm_message message;
        unsigned char content[500] = {0};
        uint64_t state = test_seed, count, calls = 0, longest = 0, messages = 0;
        OK(gsm_memory_create(&memory, test_name, 8192, GSM_LOCAL));
        if (layout == 1) OK(gsm_stream_attach(&stream, &memory, 200, 2));
        else OK(gsm_queue_attach(&queue, &memory, 256, 2));
        pid_t process = start(scribble, all);
        wait_for(all, 0, 1);
        for (uint64_t until = gsm_clock() + 700ull * MSEC; gsm_clock() < until; calls++) {
            uint64_t before = gsm_clock();
            message = gsm_bytes(next_random(&state) % 200);
            if (layout == 1) {
                if (next_random(&state) % 8 == 0) gsm_stream_detach(&stream);
                if (next_random(&state) % 8 == 0 && stream.at.memory) gsm_stream_reset(&stream);
                if (!stream.at.memory) gsm_stream_attach(&stream, &memory, 0, 0);
                gsm_stream_write(&stream, &message, content);
                gsm_stream_wait(&stream, 3);
                if (gsm_stream_read(&stream, &message, content, 500) == GSM_OK) {
                    CHECK(message.length <= 500 && gsm_message_check(&message) == GSM_OK);
                    messages++;
                }
                gsm_stream_age(&stream);
            } else {
                if (next_random(&state) % 8 == 0) gsm_queue_detach(&queue);
                if (next_random(&state) % 8 == 0 && queue.at.memory) gsm_queue_reset(&queue);
                if (!queue.at.memory) gsm_queue_attach(&queue, &memory, 0, 0);
                gsm_queue_enqueue(&queue, &message, content, 3);
                gsm_queue_count(&queue, &count);
                gsm_queue_peek(&queue, &message);
                if (gsm_queue_dequeue(&queue, &message, content, 500, 3) == GSM_OK) {
                    CHECK(message.length <= 500 && gsm_message_check(&message) == GSM_OK);
                    messages++;
                }
            }
            uint64_t took = gsm_clock() - before;
            longest = took > longest ? took : longest;
        }
        // Attaching waits for another program's laying out, for a second at most.
        CHECK(longest < 3000ull * MSEC && messages > 10);
        end(process);
        printf("       %d rounds with %d messages, the longest took %d ms\n", (int)calls, (int)messages,
               (int)(longest / MSEC));
        gsm_memory_close(&memory);
        munmap(all, sizeof *all);
    }
}

int main(int count, char **words) {
    begin_tests(count, words);
    RUN(the_name_of_a_dead_creator_is_taken_over);
    RUN(other_files_of_the_name_are_left_alone);
    RUN(modes_and_marks_are_as_documented);
    RUN(one_of_many_creators_takes_a_dead_name_over);
    RUN(a_child_takes_neither_name_nor_roles_along);
    RUN(one_of_many_lays_the_memory_out);
    RUN(a_program_that_lays_out_for_long_makes_others_busy);
    RUN(a_reset_that_is_killed_is_finished_by_the_next);
    RUN(a_waiting_reader_learns_of_a_death_but_not_of_a_pause);
    RUN(a_message_wakes_the_other_side_at_once);
    RUN(room_wakes_a_producer_at_once);
    RUN(only_a_write_lock_of_the_exact_byte_is_a_role);
    RUN(a_producer_waits_for_room_and_learns_of_a_death);
    RUN(killed_writers_and_readers_leave_whole_messages);
    RUN(killed_producers_and_consumers_lose_and_double_nothing);
    RUN(no_call_outlasts_a_hostile_program);
    return end_tests();
}
