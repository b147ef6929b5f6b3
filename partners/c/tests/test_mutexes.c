// Tests of locks: one holder at a time, among objects, threads of control and processes that die. POSIX only.

#include "check.h"

enum { MSEC = 1000000, LENGTH = 8448, LINE = 256, DIRTY = 8 };

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

static pid_t start(void (*child)(notes *), notes *all) {
    pid_t process = fork();
    CHECK(process >= 0);
    if (process == 0) {
        child(all);
        _Exit(0);
    }
    return process;
}

static void end(pid_t process) {
    int status;
    kill(process, SIGKILL);
    CHECK(waitpid(process, &status, 0) == process && WIFSIGNALED(status));
}

static int is_there(void) {
    gsm_memory memory;
    gsm_error error = gsm_memory_open(&memory, test_name, GSM_READ_ONLY);
    if (error == GSM_OK) gsm_memory_close(&memory);
    return error == GSM_OK;
}

static void a_lock_has_one_holder(void) {
    gsm_mutex ours, theirs, last;
    OK(gsm_mutex_open(&ours, test_name, 0, GSM_LOCAL));
    OK(gsm_mutex_open(&theirs, test_name, 0, GSM_LOCAL));
    OK(gsm_mutex_open(&last, test_name, 63, GSM_LOCAL));
    IS(GSM_ERROR_ARGUMENT, gsm_mutex_unlock(&ours));
    OK(gsm_mutex_lock(&ours, 0));
    OK(gsm_mutex_lock(&last, 0));
    IS(GSM_ERROR_IN_USE, gsm_mutex_lock(&ours, 1000));
    IS(GSM_TIMEOUT, gsm_mutex_lock(&theirs, 0));
    uint64_t before = gsm_clock();
    IS(GSM_TIMEOUT, gsm_mutex_lock(&theirs, 30));
    CHECK(gsm_clock() - before >= 30ull * MSEC);
    IS(GSM_ERROR_ARGUMENT, gsm_mutex_lock(&theirs, -1));
    CHECK(gsm_mutex_is_locked(&ours) && gsm_mutex_is_locked(&theirs));
    OK(gsm_mutex_unlock(&ours));
    CHECK(!gsm_mutex_is_locked(&theirs));
    OK(gsm_mutex_lock(&theirs, 0));
    CHECK(!gsm_mutex_was_abandoned(&theirs));
    gsm_mutex_close(&theirs);
    OK(gsm_mutex_lock(&ours, 0));
    CHECK(!gsm_mutex_was_abandoned(&ours));
    gsm_mutex_close(&ours);
    IS(GSM_ERROR_ARGUMENT, gsm_mutex_lock(&ours, 0));
    CHECK(is_there());
    gsm_mutex_close(&last);
    CHECK(!is_there());
    IS(GSM_ERROR_ARGUMENT, gsm_mutex_open(&ours, test_name, 64, GSM_LOCAL));
    IS(GSM_ERROR_ARGUMENT, gsm_mutex_open(&ours, "a/b", 0, GSM_LOCAL));
}

static void other_contents_are_left_alone(void) {
    gsm_memory memory;
    gsm_stream stream;
    gsm_mutex mutex;
    OK(gsm_memory_create(&memory, test_name, 4096, GSM_LOCAL));
    IS(GSM_ERROR_FOREIGN, gsm_mutex_open(&mutex, test_name, 0, GSM_LOCAL));  // it has an owner
    gsm_memory_close(&memory);
    OK(gsm_memory_create(&memory, test_name, 16384, GSM_LOCAL));
    OK(gsm_stream_attach(&stream, &memory, 0, 2));
    IS(GSM_ERROR_FOREIGN, gsm_mutex_open(&mutex, test_name, 0, GSM_LOCAL));
    CHECK(gsm_memory_is_current(&memory));
    gsm_memory_close(&memory);
    static const struct {
        uint64_t size;
        gsm_error error;
    } without_owner[] = {{4096, GSM_ERROR_SIZE}, {16384, GSM_ERROR_SIZE}, {LENGTH, GSM_ERROR_LAYOUT}};
    for (int i = 0; i < 3; i++) {
        OK(gsmi_create_for_all(&memory, test_name, without_owner[i].size, GSM_LOCAL));
        if (i == 2) OK(gsm_stream_attach(&stream, &memory, 256, 2));
        for (int again = 0; again < 2; again++)
            IS(without_owner[i].error, gsm_mutex_open(&mutex, test_name, 0, GSM_LOCAL));
        CHECK(gsm_memory_is_current(&memory) && (i == 2 || gsmi_is_zero(&memory, 0, memory.size)));
        gsm_memory_close(&memory);
        OK(gsm_memory_remove(test_name));
    }
    // Zeros of another program have no mark. Linux before 6.0 has none that could be missing.
    int flags, file = gsmi_open_name(test_name, O_RDWR | O_CREAT, 0600);
    CHECK(file >= 0 && ftruncate(file, LENGTH) == 0);
    if (ioctl(file, GSMI_GET_FLAGS, &flags) == 0) {
        IS(GSM_ERROR_FOREIGN, gsm_mutex_open(&mutex, test_name, 0, GSM_LOCAL));
        CHECK(gsmi_leads_to(test_name, file));
    }
    close(file);
    OK(gsm_memory_remove(test_name));
}

static void own(notes *all) {
    gsm_memory memory;
    OK(gsm_memory_create(&memory, test_name, 4096, GSM_LOCAL));
    set(all, 0, 1);
    for (;;) pause();
}

static void what_a_dead_owner_left_is_replaced(void) {
    notes *all = shared_notes();
    gsm_mutex mutex;
    pid_t process = start(own, all);
    while (!get(all, 0)) gsmi_sleep(MSEC);
    IS(GSM_ERROR_FOREIGN, gsm_mutex_open(&mutex, test_name, 0, GSM_LOCAL));
    end(process);
    CHECK(is_there());
    OK(gsm_mutex_open(&mutex, test_name, 0, GSM_LOCAL));
    OK(gsm_mutex_lock(&mutex, 0));
    gsm_mutex_close(&mutex);
    CHECK(!is_there());
}

static void a_lock_in_the_way_takes_no_longer_than_the_call(void) {
    struct flock lock;
    gsm_mutex mutex;
    OK(gsm_mutex_open(&mutex, test_name, 0, GSM_LOCAL));
    int file = gsmi_open_name(test_name, O_RDWR, 0);
    CHECK(gsmi_lock_call(file, F_OFD_SETLK, F_RDLCK, (UINT64_C(1) << 62) + 4 + 2 * 144, &lock) == 0);
    uint64_t shortest = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        uint64_t before = gsm_clock();
        IS(GSM_TIMEOUT, gsm_mutex_lock(&mutex, 0));
        if (gsm_clock() - before < shortest) shortest = gsm_clock() - before;
    }
    CHECK(shortest < 10ull * MSEC);
    IS(GSM_TIMEOUT, gsm_mutex_lock(&mutex, 50));
    close(file);
    OK(gsm_mutex_lock(&mutex, 0));
    gsm_mutex_close(&mutex);
}

static void hold(notes *all) {
    gsm_mutex mutex;
    OK(gsm_mutex_open(&mutex, test_name, 0, GSM_LOCAL));
    OK(gsm_mutex_lock(&mutex, 10000));
    set(all, 0, 1);
    for (;;) pause();
}

static void a_death_is_told_once_and_a_stop_is_none(void) {
    notes *all = shared_notes();
    gsm_mutex mutex, looker;
    pid_t process = start(hold, all);
    while (!get(all, 0)) gsmi_sleep(MSEC);
    OK(gsm_mutex_open(&mutex, test_name, 0, GSM_LOCAL));
    kill(process, SIGSTOP);
    IS(GSM_TIMEOUT, gsm_mutex_lock(&mutex, 100));
    gsm_mutex_close(&mutex);
    end(process);
    // Whenever the next holder comes, and whoever looks before.
    OK(gsm_mutex_open(&looker, test_name, 5, GSM_LOCAL));
    gsm_mutex_close(&looker);
    CHECK(is_there());
    OK(gsm_mutex_open(&mutex, test_name, 0, GSM_LOCAL));
    OK(gsm_mutex_lock(&mutex, 0));
    CHECK(gsm_mutex_was_abandoned(&mutex) && mutex.memory.data[LINE + DIRTY] == 1);
    OK(gsm_mutex_unlock(&mutex));
    CHECK(!gsm_mutex_was_abandoned(&mutex) && mutex.memory.data[LINE + DIRTY] == 0);
    OK(gsm_mutex_lock(&mutex, 0));
    CHECK(!gsm_mutex_was_abandoned(&mutex));
    gsm_mutex_close(&mutex);
    CHECK(!is_there());
}

static void a_removed_name_is_noticed(void) {
    gsm_mutex ours, next;
    OK(gsm_mutex_open(&ours, test_name, 0, GSM_LOCAL));
    OK(gsm_memory_remove(test_name));
    OK(gsm_mutex_open(&next, test_name, 0, GSM_LOCAL));
    IS(GSM_ERROR_NOT_FOUND, gsm_mutex_lock(&ours, 0));
    CHECK(!gsm_mutex_is_locked(&ours));
    gsm_mutex_close(&ours);
    CHECK(is_there());
    // The same while another one holds the lock.
    OK(gsm_mutex_open(&ours, test_name, 0, GSM_LOCAL));
    OK(gsm_mutex_lock(&next, 0));
    OK(gsm_memory_remove(test_name));
    IS(GSM_ERROR_NOT_FOUND, gsm_mutex_lock(&ours, 0));
    uint64_t before = gsm_clock();
    IS(GSM_ERROR_NOT_FOUND, gsm_mutex_lock(&ours, 20000));
    CHECK(gsm_clock() - before < 10000ull * MSEC);
    gsm_mutex_close(&ours);
    gsm_mutex_close(&next);
}

// Counts in plain memory, and opens and closes in between.
static void count(notes *all) {
    uint64_t random = test_seed + (uint64_t)getpid();
    for (int round = 0; round < 40; round++) {
        gsm_mutex mutex;
        gsm_error error;
        while ((error = gsm_mutex_open(&mutex, test_name, 9, GSM_LOCAL)) == GSM_BUSY) continue;
        OK(error);
        for (uint64_t i = next_random(&random) % 20; i > 0; i--) {
            OK(gsm_mutex_lock(&mutex, 20000));
            CHECK(!gsm_mutex_was_abandoned(&mutex));
            uint64_t number = ((volatile uint64_t *)all->value)[1];
            if (i % 8 == 0) gsmi_sleep(MSEC / 50);
            ((volatile uint64_t *)all->value)[1] = number + 1;
            __atomic_fetch_add(&all->value[2], 1, __ATOMIC_RELAXED);
            if (i > 1) OK(gsm_mutex_unlock(&mutex));
        }
        gsm_mutex_close(&mutex);
    }
}

static void processes_lose_no_count(void) {
    notes *all = shared_notes();
    pid_t processes[4];
    for (int i = 0; i < 4; i++) processes[i] = start(count, all);
    for (int i = 0; i < 4; i++) {
        int status;
        CHECK(waitpid(processes[i], &status, 0) == processes[i] && status == 0);
    }
    CHECK(get(all, 1) == get(all, 2) && get(all, 1) > 0);
    CHECK(!is_there());
}

// Counts as well, and is killed at any moment.
static void count_until_killed(notes *all) {
    gsm_mutex mutex;
    OK(gsm_mutex_open(&mutex, test_name, 0, GSM_LOCAL));
    set(all, 0, 1);
    for (;;) {
        OK(gsm_mutex_lock(&mutex, 20000));
        uint64_t inside = all->value[3];
        // A death inside is told.
        if (inside) CHECK(gsm_mutex_was_abandoned(&mutex));
        if (gsm_mutex_was_abandoned(&mutex)) all->value[4]++;
        ((volatile uint64_t *)all->value)[3] = 1;
        ((volatile uint64_t *)all->value)[1]++;
        ((volatile uint64_t *)all->value)[3] = 0;
        OK(gsm_mutex_unlock(&mutex));
    }
}

static void deaths_at_any_moment_are_told_exactly(void) {
    notes *all = shared_notes();
    uint64_t random = test_seed;
    pid_t other = start(count_until_killed, all);
    uint64_t kills = 0;
    for (; kills < 60; kills++) {
        set(all, 0, 0);
        pid_t process = start(count_until_killed, all);
        while (!get(all, 0)) gsmi_sleep(MSEC / 10);
        gsmi_sleep(next_random(&random) % (3 * MSEC));
        end(process);
    }
    end(other);
    gsm_mutex mutex;
    OK(gsm_mutex_open(&mutex, test_name, 0, GSM_LOCAL));
    OK(gsm_mutex_lock(&mutex, 1000));
    CHECK(!all->value[3] || gsm_mutex_was_abandoned(&mutex));
    CHECK(all->value[4] <= kills && all->value[1] > 0);
    gsm_mutex_close(&mutex);
    CHECK(!is_there());
}

static void the_header_is_as_documented(void) {
    gsm_mutex mutex;
    OK(gsm_mutex_open(&mutex, test_name, 3, GSM_GLOBAL));
    struct stat status;
    CHECK(mutex.memory.size == LENGTH && fstat(mutex.memory.descriptor, &status) == 0);
    CHECK((status.st_mode & 0777) == 0666);
    gsmi_header header;
    memcpy(&header, mutex.memory.data, sizeof header);
    CHECK(header.magic == 0x314D5347 && header.major == 1 && header.layout == 4 && header.header_length == 128);
    CHECK(header.total_length == LENGTH && header.count == 64 && header.limit == 128 && header.incarnation);
    CHECK(header.first_sequence == 0);
    OK(gsm_mutex_lock(&mutex, 0));
    for (uint64_t at = 128; at < LENGTH; at++)
        CHECK(mutex.memory.data[at] == (at == LINE + 128 * 3 + DIRTY));
    struct flock lock;
    int file = gsmi_open_name(test_name, O_RDWR, 0);
    CHECK(gsmi_lock_call(file, F_OFD_GETLK, F_WRLCK, (UINT64_C(1) << 62) + 4 + 2 * 147, &lock) == 0);
    CHECK(lock.l_type == F_WRLCK && lock.l_len == 1);
    CHECK(gsmi_lock_call(file, F_OFD_GETLK, F_WRLCK, (UINT64_C(1) << 62) + 4 + 2 * 3, &lock) == 0);
    CHECK(lock.l_type == F_RDLCK);
    gsm_mutex_close(&mutex);
}

int main(int count, char **words) {
    begin_tests(count, words);
    RUN(a_lock_has_one_holder);
    RUN(other_contents_are_left_alone);
    RUN(what_a_dead_owner_left_is_replaced);
    RUN(a_lock_in_the_way_takes_no_longer_than_the_call);
    RUN(a_death_is_told_once_and_a_stop_is_none);
    RUN(a_removed_name_is_noticed);
    RUN(processes_lose_no_count);
    RUN(deaths_at_any_moment_are_told_exactly);
    RUN(the_header_is_as_documented);
    return end_tests();
}
