// Tests of the format in one process, on every system. Offsets and numbers are those of docs/FORMAT.md, not
// the header's constants.

#include "check.h"

static gsm_memory one, two;  // the same memory, opened twice

static uint32_t get32(uint64_t offset) {
    uint32_t value;
    memcpy(&value, one.data + offset, 4);
    return value;
}

static uint64_t get64(uint64_t offset) {
    uint64_t value;
    memcpy(&value, one.data + offset, 8);
    return value;
}

static void set32(uint64_t offset, uint32_t value) { memcpy(one.data + offset, &value, 4); }
static void set64(uint64_t offset, uint64_t value) { memcpy(one.data + offset, &value, 8); }

static void set_up(uint64_t size) {
    OK(gsm_memory_create(&one, test_name, size, GSM_LOCAL));
    OK(gsm_memory_open(&two, test_name, GSM_READ_WRITE));
}

static void tear_down(void) {
    gsm_memory_close(&two);
    gsm_memory_close(&one);
}

static void use_text(gsm_stream *stream, const char *text) {
    gsm_message message = gsm_text(strlen(text));
    OK(gsm_stream_write(stream, &message, text));
}

static void expect_text(gsm_stream *stream, const char *text) {
    char buffer[100];
    gsm_message message;
    OK(gsm_stream_read(stream, &message, buffer, sizeof buffer));
    CHECK(message.length == strlen(text) && memcmp(buffer, text, strlen(text)) == 0);
    CHECK(gsm_kind(&message) == GSM_TEXT && message.sequence == stream->sequence);
}

static gsm_error put_text(gsm_queue *queue, const char *text) {
    gsm_message message = gsm_text(strlen(text));
    return gsm_queue_enqueue(queue, &message, text, 0);
}

static void expect_next(gsm_queue *queue, const char *text) {
    char buffer[100];
    gsm_message message;
    OK(gsm_queue_dequeue(queue, &message, buffer, sizeof buffer, 0));
    CHECK(message.length == strlen(text) && memcmp(buffer, text, strlen(text)) == 0);
}

// ---- Memory ----

static void names_outside_the_limits_are_refused(void) {
    char name[300];
    memset(name, 'x', sizeof name);
    name[256] = 0;
    const char *const names[] = {"", ".", "..", "a/b", "a\\b", name, NULL};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        IS(GSM_ERROR_ARGUMENT, gsm_memory_create(&one, names[i], 4096, GSM_LOCAL));
        IS(GSM_ERROR_ARGUMENT, gsm_memory_open(&one, names[i], GSM_READ_WRITE));
        IS(GSM_ERROR_ARGUMENT, gsm_memory_remove(names[i]));
    }
    IS(GSM_ERROR_ARGUMENT, gsm_memory_create(&one, test_name, 0, GSM_LOCAL));
    IS(GSM_ERROR_ARGUMENT, gsm_memory_create(&one, test_name, UINT64_MAX, GSM_LOCAL));
    IS(GSM_ERROR_ARGUMENT, gsm_memory_create(&one, test_name, 4096, 2));
    IS(GSM_ERROR_ARGUMENT, gsm_memory_open(&one, test_name, 2));
    IS(GSM_ERROR_NOT_FOUND, gsm_memory_open(&one, test_name, GSM_READ_WRITE));
    IS(GSM_ERROR_NOT_FOUND, gsm_memory_open_file(&one, "no-such-folder/file", GSM_READ_WRITE));
}

static void memory_is_shared_until_its_creator_closes(void) {
    gsm_memory other;
    set_up(5000);
    IS(GSM_ERROR_EXISTS, gsm_memory_create(&other, test_name, 5000, GSM_LOCAL));
    CHECK(one.size == 5000 && two.size >= 5000 && gsm_memory_is_current(&two));
    for (uint64_t i = 0; i < 5000; i++) CHECK(two.data[i] == 0);
    one.data[4999] = 7;
    CHECK(two.data[4999] == 7);
    gsm_memory_close(&one);
#ifndef _WIN32
    CHECK(!gsm_memory_is_current(&two));
    IS(GSM_ERROR_NOT_FOUND, gsm_memory_open(&other, test_name, GSM_READ_WRITE));
#endif
    CHECK(two.data[4999] == 7);
    gsm_memory_close(&two);
    gsm_memory_close(&two);
}

static void files_hold_layouts_and_roles(void) {
    char path[100];
    gsm_stream writer, other;
    snprintf(path, sizeof path, "%s.memory", test_name);
    FILE *file = fopen(path, "wb");
    CHECK(file);
    for (int i = 0; i < 8192; i++) fputc(0, file);
    fclose(file);
    OK(gsm_memory_open_file(&one, path, GSM_READ_WRITE));
    OK(gsm_memory_open_file(&two, path, GSM_READ_WRITE));
    OK(gsm_stream_attach(&writer, &one, 100, 1));
    OK(gsm_stream_attach(&other, &two, 100, 1));
    use_text(&writer, "in a file");
    expect_text(&other, "in a file");
    gsm_message message = gsm_text(1);
    IS(GSM_ERROR_IN_USE, gsm_stream_write(&other, &message, "x"));
    CHECK(gsm_stream_has_writer(&other));
    tear_down();
    remove(path);
}

// ---- The header ----

static void header_of_a_stream_is_as_documented(void) {
    gsm_stream stream;
    uint64_t before = gsmi_now_usec();
    set_up(1 << 16);
    OK(gsm_stream_attach(&stream, &one, 1000, 3));
    const uint32_t words[] = {0x314D5347, 1, 1, 128};
    for (uint64_t i = 0; i < 4; i++) CHECK(get32(4 * i) == words[i]);
    CHECK(get64(0x10) == 384 + 128 * 3 + 5 * (128 + 1024));
    CHECK(get64(0x18) != 0 && get64(0x20) == 0);
    CHECK(get64(0x28) >= before && get64(0x28) <= gsmi_now_usec());
    CHECK(get32(0x30) == 3 && get32(0x34) == 0 && get64(0x38) == 1000);
    for (uint64_t i = 0x40; i < get64(0x10); i += 8) CHECK(get64(i) == 0);

    uint64_t slots = 0x180 + 128 * 3, first = get64(0x28) + 1;
    gsm_message message = gsm_image(2, 3, GSM_RGB8);
    OK(gsm_stream_write(&stream, &message, "abcdefghijklmnopqr"));
    CHECK(get64(0x100) == first * 256);
    CHECK(get64(slots) == first && get64(slots + 8) == 18);
    CHECK(get64(slots + 0x10) != 0 && get64(slots + 0x10) <= gsm_clock());
    CHECK(get32(slots + 0x18) == 4 && get32(slots + 0x1C) == 0);
    CHECK(get32(slots + 0x20) == 2 && get32(slots + 0x24) == 3 && get32(slots + 0x28) == 4);
    CHECK(get32(slots + 0x2C) == 6 && get64(slots + 0x30) == 0);
    CHECK(memcmp(one.data + slots + 128, "abcdefghijklmnopqr", 18) == 0);
    use_text(&stream, "next");
    CHECK(get64(0x100) == (first + 1) * 256 + 1);
    CHECK(get64(slots + 128 + 1024) == first + 1 && get32(slots + 128 + 1024 + 0x18) == 2);
    // A pin is 0 except during a read.
    expect_text(&stream, "next");
    CHECK(get32(0x180) == 0);
    tear_down();
}

static void header_of_a_queue_is_as_documented(void) {
    gsm_queue queue;
    set_up(1 << 16);
    OK(gsm_queue_attach(&queue, &one, 100, 2));  // rounded up
    CHECK(get32(0) == 0x314D5347 && get32(8) == 2 && get64(0x28) == 0 && get32(0x30) == 2 && get64(0x38) == 128);
    CHECK(get64(0x10) == 256 + 2 * (256 + 128));
    gsm_message message = gsm_bytes(3);
    OK(gsm_queue_enqueue(&queue, &message, "abc", 0));
    CHECK(get64(256) == 16 && get64(256 + 0x10 + 16) == 16 && get64(256 + 0x18 + 16) == 1);
    CHECK(get32(512) == 3 && get32(516) == 1 && memcmp(one.data + 520, "abc", 3) == 0);
    uint32_t shape = 2;
    message = gsm_array(GSM_I32, GSM_NUMBERS, 1, &shape);
    OK(gsm_queue_enqueue(&queue, &message, "12345678", 0));
    CHECK(get64(256) == 16 + 32 && get64(256 + 0x10) == 48 && get64(256 + 0x18) == 2);
    CHECK(get32(528) == 24 && get32(532) == (3 | 1 << 8 | 1 << 24) && get32(536) == 2 && get32(540) == 0);
    CHECK(memcmp(one.data + 552, "12345678", 8) == 0);
    char buffer[8];
    OK(gsm_queue_dequeue(&queue, &message, buffer, 8, 0));
    CHECK(get64(256 + 0x80) == 16 && get64(256 + 0x90 + 16) == 16 && get64(256 + 0x98 + 16) == 1);
    tear_down();
}

static void a_stream_is_made_and_found_by_its_name(void) {
    gsm_stream writer, reader;
    gsm_queue queue;
    gsm_memory other;
    IS(GSM_ERROR_NOT_FOUND, gsm_stream_open(&reader, &two, test_name));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_create(&writer, &one, test_name, 0, 2, GSM_LOCAL));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_create(&writer, &one, test_name, UINT64_MAX, 2, GSM_LOCAL));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_create(&writer, &one, test_name, 100, 65, GSM_LOCAL));
    OK(gsm_stream_create(&writer, &one, test_name, 100, 2, GSM_LOCAL));
    // As much memory as the layout needs: 384 bytes, two pins, and four slots of 128 bytes and a message.
    CHECK(one.size == 384 + 2 * 128 + 4 * 256 && get64(0x10) == one.size);
    CHECK(gsm_stream_max_length(&writer) == 100 && get32(0x30) == 2);
    IS(GSM_ERROR_EXISTS, gsm_stream_create(&reader, &other, test_name, 100, 2, GSM_LOCAL));
    IS(GSM_ERROR_LAYOUT, gsm_queue_open(&queue, &other, test_name));
    CHECK(other.data == NULL && queue.at.memory == NULL);
    OK(gsm_stream_open(&reader, &two, test_name));
    use_text(&writer, "hello");
    expect_text(&reader, "hello");
    gsm_memory_close(&two);
    gsm_memory_close(&one);
    IS(GSM_ERROR_NOT_FOUND, gsm_stream_open(&reader, &two, test_name));
    CHECK(reader.at.memory == NULL);
}

static void a_queue_is_made_and_found_by_its_name(void) {
    gsm_queue producer, consumer;
    gsm_stream stream;
    gsm_memory other;
    IS(GSM_ERROR_NOT_FOUND, gsm_queue_open(&consumer, &two, test_name));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_create(&producer, &one, test_name, 0, 1, GSM_LOCAL));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_create(&producer, &one, test_name, UINT64_MAX, 1, GSM_LOCAL));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_create(&producer, &one, test_name, 1000, 0, GSM_LOCAL));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_create(&producer, &one, test_name, 1000, 65, GSM_LOCAL));
    OK(gsm_queue_create(&producer, &one, test_name, 1000, 3, GSM_LOCAL));
    CHECK(one.size == 256 + 3 * (256 + 1024) && get64(0x10) == one.size);
    CHECK(get32(0x30) == 3 && get64(0x38) == 1024);
    IS(GSM_ERROR_EXISTS, gsm_queue_create(&consumer, &other, test_name, 1000, 3, GSM_LOCAL));
    IS(GSM_ERROR_LAYOUT, gsm_stream_open(&stream, &other, test_name));
    CHECK(other.data == NULL && stream.at.memory == NULL);
    OK(gsm_queue_open(&consumer, &two, test_name));
    OK(put_text(&producer, "hello"));
    expect_next(&consumer, "hello");
    tear_down();
}

static void a_creator_lays_out_all_that_fits(void) {
    uint64_t state = test_seed;
    for (int i = 0; i < 200; i++) {
        uint64_t size = 1 + next_random(&state) % (i % 2 ? 4096 : 200000);
        uint32_t count = (uint32_t)(next_random(&state) % 65);
        gsm_stream stream;
        gsm_queue queue;
        OK(gsm_memory_create(&one, test_name, size, GSM_LOCAL));
        if (size < 384 + 128 * count + (count + 2) * 256) {
            IS(GSM_ERROR_SIZE, gsm_stream_attach(&stream, &one, 0, count));
        } else {
            OK(gsm_stream_attach(&stream, &one, 0, count));
            uint64_t limit = gsm_stream_max_length(&stream);
            CHECK(limit % 128 == 0 && get64(0x10) <= size);
            CHECK(get64(0x10) == 384 + 128 * count + (count + 2) * (128 + limit));
            CHECK(get64(0x10) + (count + 2) * 128 > size);
        }
        gsm_memory_close(&one);
        OK(gsm_memory_create(&one, test_name, size, GSM_LOCAL));
        if (count == 0) count = 1;
        if (size < 256 + count * 320) {
            IS(GSM_ERROR_SIZE, gsm_queue_attach(&queue, &one, 0, count));
        } else {
            OK(gsm_queue_attach(&queue, &one, 0, count));
            CHECK(get64(0x10) <= size && 256 + count * (256 + 2 * queue.at.limit) > size);
        }
        gsm_memory_close(&one);
    }
}

static void an_existing_layout_wins_if_it_is_large_enough(void) {
    gsm_stream stream;
    gsm_queue queue;
    set_up(1 << 16);
    OK(gsm_stream_attach(&stream, &one, 1000, 2));
    OK(gsm_stream_attach(&stream, &two, 0, 0));
    OK(gsm_stream_attach(&stream, &two, 999, 1));
    CHECK(stream.at.limit == 1000 && stream.at.count == 2);
    IS(GSM_ERROR_SIZE, gsm_stream_attach(&stream, &two, 1001, 0));
    IS(GSM_ERROR_SIZE, gsm_stream_attach(&stream, &two, 0, 3));
    IS(GSM_ERROR_LAYOUT, gsm_queue_attach(&queue, &two, 0, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_attach(&stream, &two, (UINT64_C(1) << 46) + 1, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_attach(&stream, &two, 0, 65));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_attach(&queue, &two, (UINT64_C(1) << 30) + 1, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_attach(&queue, &two, 0, 65));
    tear_down();
}

static void memory_without_a_layout_waits_for_its_creator(void) {
    gsm_stream stream;
    gsm_memory reader;
    set_up(1 << 16);
    OK(gsm_memory_open(&reader, test_name, GSM_READ_ONLY));
    IS(GSM_NOT_LAID_OUT, gsm_stream_attach(&stream, &two, 0, 2));
    IS(GSM_NOT_LAID_OUT, gsm_stream_attach(&stream, &reader, 100, 2));
    IS(GSM_ERROR_SIZE, gsm_stream_attach(&stream, &two, 1 << 20, 2));
    CHECK(get32(0) == 0 && get64(0x10) == 0);
    OK(gsm_stream_attach(&stream, &two, 100, 2));
    OK(gsm_stream_attach(&stream, &reader, 100, 2));
    gsm_memory_close(&reader);
    tear_down();
}

static void headers_that_are_wrong_are_refused(void) {
    static const struct {
        uint32_t offset, bytes;
        uint64_t value;
        gsm_error stream, queue;
    } wrong[] = {
        {0, 4, 0x324D5347, GSM_ERROR_FOREIGN, GSM_ERROR_FOREIGN},
        {4, 2, 2, GSM_ERROR_VERSION, GSM_ERROR_VERSION},
        {4, 2, 0, GSM_ERROR_VERSION, GSM_ERROR_VERSION},
        {6, 2, 7, GSM_OK, GSM_OK},
        {8, 4, 3, GSM_ERROR_LAYOUT, GSM_ERROR_LAYOUT},
        {12, 4, 256, GSM_ERROR_INVALID_DATA, GSM_ERROR_INVALID_DATA},
        {16, 8, 4096, GSM_ERROR_INVALID_DATA, GSM_ERROR_INVALID_DATA},
        {16, 8, UINT64_MAX, GSM_ERROR_INVALID_DATA, GSM_ERROR_INVALID_DATA},
        {32, 4, 1, GSM_ERROR_VERSION, GSM_ERROR_VERSION},
        {36, 4, 1, GSM_OK, GSM_OK},
        {40, 8, UINT64_C(1) << 55, GSM_ERROR_INVALID_DATA, GSM_OK},
        {48, 4, 65, GSM_ERROR_INVALID_DATA, GSM_ERROR_INVALID_DATA},
        {48, 4, 0, GSM_ERROR_INVALID_DATA, GSM_ERROR_INVALID_DATA},
        {48, 4, UINT32_MAX, GSM_ERROR_INVALID_DATA, GSM_ERROR_INVALID_DATA},
        {52, 4, 1, GSM_OK, GSM_OK},
        {56, 8, 0, GSM_ERROR_INVALID_DATA, GSM_ERROR_INVALID_DATA},
        {56, 8, 4096 + 64, GSM_ERROR_INVALID_DATA, GSM_ERROR_INVALID_DATA},
        {56, 8, (UINT64_C(1) << 46) + 1, GSM_ERROR_INVALID_DATA, GSM_ERROR_INVALID_DATA},
        {56, 8, UINT64_MAX, GSM_ERROR_INVALID_DATA, GSM_ERROR_INVALID_DATA},
        {64, 8, UINT64_MAX, GSM_OK, GSM_OK},
        {120, 8, 1, GSM_OK, GSM_OK},
    };
    unsigned char saved[128];
    gsm_stream stream;
    gsm_queue queue;
    for (int layout = 1; layout <= 2; layout++) {
        set_up(1 << 16);
        if (layout == 1) OK(gsm_stream_attach(&stream, &one, 4096, 2));
        else OK(gsm_queue_attach(&queue, &one, 4096, 2));
        memcpy(saved, one.data, 128);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            memcpy(one.data + wrong[i].offset, &wrong[i].value, wrong[i].bytes);
            if (layout == 1) IS(wrong[i].stream, gsm_stream_attach(&stream, &two, 0, 0));
            else IS(wrong[i].queue, gsm_queue_attach(&queue, &two, 0, 0));
            memcpy(one.data, saved, 128);
        }
        // A layout that is right, but larger than the memory.
        set64(0x38, UINT64_C(1) << 25);
        set64(0x10, layout == 1 ? 640 + 4 * (128 + (UINT64_C(1) << 25)) : 256 + 2 * (256 + (UINT64_C(1) << 25)));
        if (layout == 1) IS(GSM_ERROR_SIZE, gsm_stream_attach(&stream, &two, 0, 0));
        else IS(GSM_ERROR_SIZE, gsm_queue_attach(&queue, &two, 0, 0));
        tear_down();
    }
}

static void only_memory_of_zeros_is_laid_out(void) {
    gsm_stream stream;
    gsm_queue queue;
    set_up(1 << 16);
    one.data[65151] = 1;
    IS(GSM_ERROR_FOREIGN, gsm_stream_attach(&stream, &one, 16000, 2));
    CHECK(get64(0) == 0 && get64(8) == 0);
    // Bytes behind the layout don't matter.
    OK(gsm_queue_attach(&queue, &one, 64, 1));
    tear_down();
}

static void a_half_made_header_is_written_over(void) {
    gsm_queue queue;
    uint64_t state = test_seed;
    for (int i = 0; i < 64; i++) {
        set_up(1 << 16);
        OK(gsm_queue_attach(&queue, &one, 1024, 2));
        gsm_queue_detach(&queue);
        set32(0, 0);
        // The maker ended after some of the stores, in any order.
        for (uint64_t byte = 4; byte < 128; byte++)
            if (next_random(&state) & 1) one.data[byte] = 0;
        OK(gsm_queue_attach(&queue, &two, 2048, 3));
        CHECK(queue.at.limit == 2048 && queue.at.count == 3 && get32(0) == 0x314D5347);
        for (uint64_t byte = 0x40; byte < 0x80; byte += 8) CHECK(get64(byte) == 0);
        OK(put_text(&queue, "x"));
        expect_next(&queue, "x");
        tear_down();
    }
}

static void a_reset_that_was_interrupted_is_finished_by_the_next(void) {
    gsm_stream stream;
    gsm_queue queue;
    set_up(1 << 16);
    OK(gsm_stream_attach(&stream, &one, 100, 2));
    use_text(&stream, "lost");
    uint64_t sequence = stream.latest >> 8, incarnation = get64(0x18);
    gsm_stream_detach(&stream);
    set64(0x18, 0);
    OK(gsm_stream_attach(&stream, &two, 0, 0));
    CHECK(get64(0x18) != incarnation && get64(0x100) == 0 && get64(0x28) == sequence);
    use_text(&stream, "new");
    CHECK(stream.latest >> 8 == sequence + 1);
    tear_down();

    set_up(1 << 16);
    OK(gsm_queue_attach(&queue, &one, 1024, 2));
    OK(put_text(&queue, "lost"));
    gsm_queue_detach(&queue);
    set64(0x18, 0);
    IS(GSM_ERROR_SIZE, gsm_queue_attach(&queue, &two, 2048, 2));
    OK(gsm_queue_attach(&queue, &two, 1024, 2));
    uint64_t count;
    OK(gsm_queue_count(&queue, &count));
    CHECK(count == 0);
    OK(put_text(&queue, "x"));
    expect_next(&queue, "x");
    tear_down();
}

// ---- Messages ----

static gsm_error check(uint32_t tag, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint64_t length) {
    gsm_message message = gsm_bytes(length);
    message.tag = tag;
    message.shape[0] = a, message.shape[1] = b, message.shape[2] = c, message.shape[3] = d;
    return gsm_message_check(&message);
}

static void messages_are_checked_as_documented(void) {
    static const uint32_t pixels[] = {1, 2, 1, 2, 3, 4, 2, 2, 4, 8, 12, 16, 2, 4, 6, 8, 4};
    const uint32_t big = 16777216, wrong = GSM_ERROR_MESSAGE;
    for (uint32_t kind = 0; kind < 256; kind++)
        CHECK((check(kind, 0, 0, 0, 0, 5) == GSM_OK) == (kind == 1 || kind == 2 || kind == 5));
    for (uint32_t bit = 8; bit < 32; bit++) CHECK(check(1 | 1u << bit, 0, 0, 0, 0, 5) == wrong);
    const uint32_t f32 = 3 | 3 << 8, i64 = 3 | 2 << 8, vector = 1 << 16, color = 2 << 16, d1 = 1 << 24;
    CHECK(check(f32 | d1, 5, 0, 0, 0, 20) == GSM_OK && check(f32 | d1, 0, 0, 0, 0, 0) == GSM_OK);
    CHECK(check(f32 | d1, 5, 0, 0, 0, 19) == wrong && check(f32, 5, 0, 0, 0, 20) == wrong);
    CHECK(check(i64 | d1 * 4, 1, 2, 3, 4, 192) == GSM_OK && check(i64 | d1 * 5, 1, 2, 3, 4, 192) == wrong);
    CHECK(check(i64 | d1 * 4, 0, ~0u, ~0u, ~0u, 0) == GSM_OK);
    CHECK(check(i64 | d1 * 4, ~0u, ~0u, ~0u, ~0u, UINT64_MAX - 7) == wrong);
    CHECK(check(i64 | d1 * 4, 1u << 31, 1u << 31, 4, 8, 0) == wrong);
    CHECK(check(3 | d1, 0, 0, 0, 0, 0) == wrong && check(3 | 5 << 8 | d1, 0, 0, 0, 0, 0) == wrong);
    CHECK(check(f32 | d1 | 3 << 16, 0, 0, 0, 0, 0) == wrong && check(f32 | d1 | 1 << 27, 0, 0, 0, 0, 0) == wrong);
    for (uint32_t n = 0; n < 6; n++) {
        CHECK((check(f32 | d1 * 2 | vector, 3, n, 0, 0, 12 * n) == GSM_OK) == (n >= 2 && n <= 4));
        CHECK((check(f32 | d1 * 2 | color, 3, n, 0, 0, 12 * n) == GSM_OK) == (n == 4));
    }
    CHECK(check(f32 | d1 | vector, 2, 0, 0, 0, 8) == wrong);
    CHECK(check(3 | 1 << 8 | d1 * 2 | vector, 3, 2, 0, 0, 24) == wrong);
    for (uint32_t format = 0; format < 300; format++) {
        uint32_t pixel = format < 17 ? pixels[format] : format == 256 ? 3 : format == 257 ? 4 : 0;
        CHECK(gsm_pixel_size(format) == pixel);
        gsm_message message = gsm_image(7, 5, format);
        CHECK((gsm_message_check(&message) == GSM_OK) == (pixel != 0) && message.length == 35 * pixel);
    }
    CHECK(check(4, 3, 2, 4, 10, 20) == GSM_OK && check(4, 3, 2, 4, 8, 16) == wrong);
    CHECK(check(4, 3, 2, 4, 10, 19) == wrong && check(4 | d1, 3, 2, 4, 10, 20) == wrong);
    CHECK(check(4, 0, 2, 4, 10, 20) == wrong && check(4, 3, 0, 4, 10, 0) == wrong);
    CHECK(check(4, big, 16, 0, big, UINT64_C(16) * big) == GSM_OK);
    CHECK(check(4, big, 17, 0, big, UINT64_C(17) * big) == GSM_ERROR_MESSAGE);  // more than 2^28 pixels
    CHECK(check(4, big, 8, 11, 16 * big, UINT64_C(128) * big) == GSM_ERROR_MESSAGE);  // 2^31 bytes
    CHECK(check(4, big + 1, 1, 0, big + 1, big + 1) == wrong && check(4, 1, big + 1, 0, 1, big + 1) == wrong);
    CHECK(check(4, big, 1, 10, ~0u, ~0u) == GSM_OK && check(4, big, 1, 10, big * 12 - 1, big * 12 - 1) == wrong);
    gsm_message message = gsm_array(GSM_F32, 3, 1, &big);
    CHECK(gsm_message_check(&message) == GSM_ERROR_MESSAGE);
}

// ---- Streams ----

static void a_stream_gives_the_newest_message(void) {
    gsm_stream writer, reader;
    gsm_message message;
    char buffer[100];
    set_up(1 << 16);
    OK(gsm_stream_attach(&writer, &one, 100, 2));
    OK(gsm_stream_attach(&reader, &two, 0, 0));
    IS(GSM_EMPTY, gsm_stream_read(&reader, &message, buffer, 100));
    IS(GSM_EMPTY, gsm_stream_peek(&reader, &message));
    IS(GSM_TIMEOUT, gsm_stream_wait(&reader, 0));
    IS(GSM_TIMEOUT, gsm_stream_wait(&reader, 5));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_wait(&reader, -1));
    CHECK(!gsm_stream_has_new(&reader) && gsm_stream_age(&reader) == -1 && !gsm_stream_has_writer(&reader));
    use_text(&writer, "first");
    CHECK(gsm_stream_has_new(&reader) && gsm_stream_has_writer(&reader) && gsm_stream_has_writer(&writer));
    OK(gsm_stream_wait(&reader, 0));
    expect_text(&reader, "first");
    CHECK(!gsm_stream_has_new(&reader) && gsm_stream_missed(&reader) == 0);
    expect_text(&reader, "first");
    for (int i = 0; i < 5; i++) use_text(&writer, "later");
    expect_text(&reader, "later");
    CHECK(gsm_stream_missed(&reader) == 4);
    int64_t age = gsm_stream_age(&reader);
    CHECK(age >= 0 && age < 10000000000);

    memset(buffer, 'x', 100);
    message = gsm_bytes(100);
    OK(gsm_stream_write(&writer, &message, buffer));
    IS(GSM_ERROR_BUFFER, gsm_stream_read(&reader, &message, buffer, 99));
    CHECK(message.length == 100 && gsm_stream_has_new(&reader));
    IS(GSM_ERROR_BUFFER, gsm_stream_read(&reader, &message, NULL, 0));
    OK(gsm_stream_peek(&reader, &message));
    CHECK(message.length == 100 && message.tag == GSM_BYTES && gsm_stream_has_new(&reader));
    OK(gsm_stream_read(&reader, &message, buffer, 100));
    message = gsm_bytes(101);
    IS(GSM_ERROR_TOO_LONG, gsm_stream_write(&writer, &message, buffer));
    message.tag = 9;
    IS(GSM_ERROR_MESSAGE, gsm_stream_write(&writer, &message, buffer));
    message = gsm_bytes(1);
    IS(GSM_ERROR_ARGUMENT, gsm_stream_write(&writer, &message, NULL));
    message = gsm_bytes(0);
    OK(gsm_stream_write(&writer, &message, NULL));
    OK(gsm_stream_read(&reader, &message, NULL, 0));
    CHECK(message.length == 0 && message.tag == GSM_BYTES);
    tear_down();
}

static void a_message_is_drawn_into_its_slot(void) {
    gsm_stream writer, reader;
    void *place;
    set_up(1 << 16);
    OK(gsm_stream_attach(&writer, &one, 100, 0));
    OK(gsm_stream_attach(&reader, &two, 0, 0));
    gsm_message message = gsm_text(5);
    IS(GSM_ERROR_ARGUMENT, gsm_stream_commit(&writer, &message));
    use_text(&writer, "before");
    OK(gsm_stream_begin(&writer, &place));
    memcpy(place, "drawn", 5);
    expect_text(&reader, "before");
    message.length = 101;
    IS(GSM_ERROR_TOO_LONG, gsm_stream_commit(&writer, &message));
    message.length = 5;
    OK(gsm_stream_commit(&writer, &message));
    expect_text(&reader, "drawn");
    CHECK(gsm_stream_missed(&reader) == 0);
    tear_down();
}

static void roles_of_a_stream_are_exclusive(void) {
    gsm_stream first, second, third;
    gsm_memory reading;
    gsm_message message = gsm_text(1);
    char buffer[100];
    set_up(1 << 16);
    OK(gsm_memory_open(&reading, test_name, GSM_READ_ONLY));
    OK(gsm_stream_attach(&first, &one, 100, 1));
    OK(gsm_stream_attach(&second, &one, 100, 1));  // shares the descriptor
    OK(gsm_stream_attach(&third, &two, 100, 1));
    use_text(&first, "one");
    IS(GSM_ERROR_IN_USE, gsm_stream_write(&second, &message, "x"));
    IS(GSM_ERROR_IN_USE, gsm_stream_write(&third, &message, "x"));
    // One reader gets the pin, the others read without.
    expect_text(&third, "one");
    expect_text(&second, "one");
    CHECK(third.has_pin && !second.has_pin);
    gsm_stream_detach(&first);
    CHECK(!gsm_stream_has_writer(&third));
    use_text(&third, "three");
    IS(GSM_ERROR_IN_USE, gsm_stream_write(&second, &message, "x"));
    gsm_memory_close(&two);
    use_text(&second, "two");

    OK(gsm_stream_attach(&third, &reading, 0, 0));
    expect_text(&third, "two");
    CHECK(gsm_stream_has_writer(&third) && !third.has_pin && gsm_stream_age(&third) >= 0);
    IS(GSM_TIMEOUT, gsm_stream_wait(&third, 3));
    IS(GSM_ERROR_READ_ONLY, gsm_stream_write(&third, &message, "x"));
    IS(GSM_ERROR_READ_ONLY, gsm_stream_reset(&third));
    OK(gsm_stream_read(&second, &message, buffer, 100));
    gsm_memory_close(&reading);
    gsm_memory_close(&one);
}

static void a_writer_spares_slots_that_are_pinned(void) {
    gsm_stream writer;
    set_up(1 << 16);
    OK(gsm_stream_attach(&writer, &one, 100, 2));
    use_text(&writer, "0");
    uint64_t slots = 0x180 + 2 * 128, slot = 256;
    // Two readers are at slots 1 and 3, so two slots take turns.
    set32(0x180, 2 + 1);
    set32(0x200, 2 + 3);
    const uint64_t expected[] = {2, 0, 2, 0};
    for (int i = 0; i < 4; i++) {
        use_text(&writer, "next");
        CHECK((get64(0x100) & 0xFF) == expected[i] && get64(slots + 1 * slot) == 0 && get64(slots + 3 * slot) == 0);
    }
    // A reader asks, and gets the newest.
    set32(0x180, 1);
    use_text(&writer, "asked");
    CHECK(get32(0x180) == 2 + (get64(0x100) & 0xFF));
    // A new writer helps at once.
    gsm_stream_detach(&writer);
    set32(0x200, 1);
    OK(gsm_stream_attach(&writer, &two, 0, 0));
    void *place;
    OK(gsm_stream_begin(&writer, &place));
    CHECK(get32(0x200) == 2 + (get64(0x100) & 0xFF));
    // Pins that lie: never the newest slot.
    set32(0x180, 2 + 0);
    set32(0x200, 2 + 1);
    for (int i = 0; i < 8; i++) {
        uint64_t before = get64(0x100) & 0xFF;
        use_text(&writer, "next");
        CHECK((get64(0x100) & 0xFF) != before);
    }
    tear_down();
}

static void sequences_go_on_after_restarts_and_resets(void) {
    gsm_stream writer, reader;
    set_up(1 << 16);
    OK(gsm_stream_attach(&writer, &one, 100, 2));
    OK(gsm_stream_attach(&reader, &two, 100, 2));
    use_text(&writer, "one");
    expect_text(&reader, "one");
    uint64_t sequence = reader.sequence, incarnation = get64(0x18);
    IS(GSM_ERROR_IN_USE, gsm_stream_reset(&writer));  // the reader has a pin
    IS(GSM_ERROR_IN_USE, gsm_stream_reset(&reader));
    gsm_stream_detach(&writer);
    use_text(&reader, "two");
    CHECK(reader.latest >> 8 == sequence + 1 && get64(0x18) == incarnation);
    OK(gsm_stream_reset(&reader));
    CHECK(get64(0x18) != incarnation && get64(0x28) == sequence + 1 && get64(0x100) == 0);
    CHECK(!gsm_stream_has_new(&reader) && gsm_stream_has_writer(&reader));
    OK(gsm_stream_attach(&writer, &one, 100, 2));
    gsm_message message = gsm_text(1);
    IS(GSM_ERROR_IN_USE, gsm_stream_write(&writer, &message, "x"));  // the roles of the other one are kept
    use_text(&reader, "three");
    expect_text(&reader, "three");
    CHECK(reader.sequence == sequence + 2);
    expect_text(&writer, "three");
    gsm_stream_detach(&reader);
    OK(gsm_stream_reset(&writer));
    OK(gsm_stream_attach(&reader, &two, 0, 0));
    // An object without roles finds the new layout by itself.
    gsm_stream idle, late;
    OK(gsm_stream_attach(&idle, &two, 0, 0));
    OK(gsm_stream_attach(&late, &one, 0, 0));
    gsm_stream_detach(&writer);
    OK(gsm_stream_reset(&reader));
    use_text(&reader, "four");
    expect_text(&idle, "four");
    // A writer that attached before a reset goes on with the numbers.
    uint64_t last = reader.latest >> 8;
    gsm_stream_detach(&idle);
    OK(gsm_stream_reset(&reader));
    gsm_stream_detach(&reader);
    use_text(&late, "five");
    CHECK(late.latest >> 8 == last + 1);
    tear_down();
}

static void a_stream_with_wrong_words_reports_them(void) {
    gsm_stream writer, reader;
    gsm_message message = gsm_text(1);
    char buffer[200];
    set_up(1 << 16);
    OK(gsm_stream_attach(&writer, &one, 100, 1));
    OK(gsm_stream_attach(&reader, &two, 0, 0));
    use_text(&writer, "right");
    expect_text(&reader, "right");
    uint64_t latest = get64(0x100), slot = 0x200 + (latest & 0xFF) * 256;
    const uint64_t wrong[] = {latest | 0xFF, 3 | latest, 5, UINT64_MAX, (UINT64_C(1) << 63) + 256, latest + 256 * 9};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        set64(0x100, wrong[i]);
        IS(GSM_ERROR_INVALID_DATA, gsm_stream_read(&reader, &message, buffer, 200));
        CHECK(get32(0x180) == 0);
    }
    // The writer keeps its own copy, so its next message is right again.
    use_text(&writer, "again");
    expect_text(&reader, "again");
    latest = get64(0x100), slot = 0x200 + (latest & 0xFF) * 256;
    // A message that isn't one counts as read.
    const struct { uint32_t offset, value; } bad[] = {{8, 101}, {12, 1}, {0x18, 6}, {0x1B, 0x80}, {0x18, 3}, {0x18, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        use_text(&writer, "again");
        slot = 0x200 + (get64(0x100) & 0xFF) * 256;
        set32(slot + bad[i].offset, bad[i].value);
        CHECK(gsm_stream_has_new(&reader));
        IS(GSM_ERROR_INVALID_DATA, gsm_stream_peek(&reader, &message));
        IS(GSM_ERROR_INVALID_DATA, gsm_stream_read(&reader, &message, buffer, 200));
        CHECK(!gsm_stream_has_new(&reader) && message.length == 0);
    }
    // A writer that takes its role refuses a word that can't be right; a reset helps.
    set64(0x100, 255);
    gsm_stream_detach(&writer);
    gsm_stream_detach(&reader);
    OK(gsm_stream_attach(&writer, &one, 0, 0));
    message = gsm_text(1);
    IS(GSM_ERROR_INVALID_DATA, gsm_stream_write(&writer, &message, "x"));
    CHECK(!gsm_stream_has_writer(&writer));
    OK(gsm_stream_reset(&writer));
    use_text(&writer, "x");
    expect_text(&writer, "x");
    // So does it if no other number is left.
    set64(0x100, ((UINT64_C(1) << 55) - 1) << 8);
    OK(gsm_stream_reset(&writer));
    use_text(&writer, "y");
    use_text(&writer, "z");
    expect_text(&writer, "z");
    tear_down();
}

// ---- Queues ----

static void a_queue_keeps_the_order(void) {
    gsm_queue producer, consumer;
    gsm_message message;
    char buffer[300], text[300];
    uint64_t count;
    set_up(1 << 16);
    OK(gsm_queue_attach(&producer, &one, 256, 1));
    OK(gsm_queue_attach(&consumer, &two, 0, 0));
    CHECK(gsm_queue_max_length(&producer) == 104);
    IS(GSM_EMPTY, gsm_queue_dequeue(&consumer, &message, buffer, 300, 0));
    IS(GSM_TIMEOUT, gsm_queue_dequeue(&consumer, &message, buffer, 300, 3));
    IS(GSM_TIMEOUT, gsm_queue_wait(&consumer, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_dequeue(&consumer, &message, buffer, 300, -1));
    CHECK(gsm_queue_has_consumer(&producer) && gsm_queue_producers(&consumer) == 0);
    uint64_t state = test_seed, put = 0, taken = 0;
    for (int i = 0; i < 3000; i++) {
        if (next_random(&state) % 2) {
            uint64_t length = next_random(&state) % 105;
            memset(text, 'a' + (int)(put % 26), sizeof text);
            message = gsm_text(length);
            gsm_error error = gsm_queue_enqueue(&producer, &message, text, next_random(&state) % 50 == 0);
            if (error == GSM_OK) put++;
            else CHECK(error == GSM_FULL || error == GSM_TIMEOUT);
            if (error != GSM_OK) CHECK(put > taken);  // an empty lane has room for each
        } else {
            gsm_error error = gsm_queue_dequeue(&consumer, &message, buffer, 300, 0);
            CHECK(error == (put == taken ? GSM_EMPTY : GSM_OK));
            if (error != GSM_OK) continue;
            for (uint64_t j = 0; j < message.length; j++) CHECK(buffer[j] == (char)('a' + taken % 26));
            taken++;
        }
        OK(gsm_queue_count(&consumer, &count));
        CHECK(count == put - taken);
    }
    CHECK(gsm_queue_producers(&consumer) == 1);
    message = gsm_text(5);
    IS(GSM_ERROR_ARGUMENT, gsm_queue_enqueue(&producer, &message, NULL, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_enqueue(&producer, &message, text, -1));
    message = gsm_text(105);
    IS(GSM_ERROR_TOO_LONG, gsm_queue_enqueue(&producer, &message, text, 0));
    tear_down();
}

static void the_longest_message_fits_at_every_position(void) {
    static const char bytes[200] = {0};
    for (uint64_t ring = 64; ring <= 256; ring *= 2) {
        for (uint64_t position = 0; position < ring; position += 8) {
            gsm_queue queue;
            gsm_message message = gsm_bytes(0);
            char buffer[200];
            set_up(4096);
            OK(gsm_queue_attach(&queue, &one, ring, 1));
            for (uint64_t i = 0; i < position; i += 8) {
                OK(gsm_queue_enqueue(&queue, &message, bytes, 0));
                OK(gsm_queue_dequeue(&queue, &message, buffer, 200, 0));
            }
            uint32_t longest = (uint32_t)gsm_queue_max_length(&queue) / 4;
            message = gsm_array(GSM_I32, GSM_NUMBERS, 1, &longest);
            OK(gsm_queue_enqueue(&queue, &message, bytes, 0));
            OK(gsm_queue_dequeue(&queue, &message, buffer, 200, 0));
            CHECK(message.length == ring / 2 - 24 && message.shape[0] == longest);
            message = gsm_bytes(ring / 2 - 24);
            OK(gsm_queue_enqueue(&queue, &message, bytes, 0));
            OK(gsm_queue_dequeue(&queue, &message, buffer, 200, 0));
            tear_down();
        }
    }
}

static void a_message_that_does_not_fit_the_buffer_stays(void) {
    gsm_queue queue;
    gsm_message message;
    char buffer[10];
    set_up(4096);
    OK(gsm_queue_attach(&queue, &one, 0, 1));
    OK(put_text(&queue, "0123456789"));
    OK(put_text(&queue, "next"));
    IS(GSM_ERROR_BUFFER, gsm_queue_dequeue(&queue, &message, buffer, 9, 0));
    CHECK(message.length == 10);
    IS(GSM_ERROR_BUFFER, gsm_queue_dequeue(&queue, &message, NULL, 0, 0));
    OK(gsm_queue_peek(&queue, &message));
    CHECK(message.length == 10 && message.tag == GSM_TEXT);
    OK(gsm_queue_dequeue(&queue, &message, buffer, 10, 0));
    expect_next(&queue, "next");
    IS(GSM_EMPTY, gsm_queue_peek(&queue, &message));
    tear_down();
}

static void lanes_take_turns(void) {
    gsm_queue producers[3], consumer, fourth;
    char text[3] = "00";
    set_up(1 << 16);
    for (int i = 0; i < 3; i++) OK(gsm_queue_attach(&producers[i], i % 2 ? &one : &two, 1024, 3));
    OK(gsm_queue_attach(&consumer, &two, 0, 0));
    OK(gsm_queue_attach(&fourth, &two, 0, 0));
    for (int i = 0; i < 3; i++) {
        text[0] = (char)('0' + i);
        for (int j = 0; j < 3; j++) {
            text[1] = (char)('0' + j);
            OK(put_text(&producers[i], text));
        }
    }
    IS(GSM_ERROR_IN_USE, put_text(&fourth, "x"));
    CHECK(gsm_queue_producers(&fourth) == 3);
    for (int j = 0; j < 3; j++) {
        for (int i = 0; i < 3; i++) {
            text[0] = (char)('0' + i), text[1] = (char)('0' + j);
            expect_next(&consumer, text);
        }
    }
    gsm_message message;
    IS(GSM_ERROR_IN_USE, gsm_queue_dequeue(&fourth, &message, text, 2, 0));
    // A lane that becomes free is taken over, with what is in it.
    OK(put_text(&producers[1], "of a lane"));
    gsm_queue_detach(&producers[1]);
    OK(put_text(&fourth, "next"));
    CHECK(fourth.lane == 1);
    expect_next(&consumer, "of a lane");
    expect_next(&consumer, "next");
    tear_down();
}

static void positions_and_counts_survive_each_death(void) {
    gsm_queue producer, consumer;
    uint64_t count;
    set_up(1 << 16);
    OK(gsm_queue_attach(&producer, &one, 1024, 1));
    OK(gsm_queue_attach(&consumer, &two, 0, 0));
    for (int i = 0; i < 3; i++) OK(put_text(&producer, "abc"));
    expect_next(&consumer, "abc");
    // A producer ends in the middle of its step 4, and between its steps 4 and 5.
    for (int half = 0; half < 2; half++) {
        gsm_queue_detach(&producer);
        uint64_t next = 4 + (uint64_t)half, pair = 256 + 0x10 + 16 * (next % 2);
        set64(pair, get64(256) + 16);
        if (half) set64(pair + 8, next);
        OK(gsm_queue_attach(&producer, &one, 0, 0));
        OK(gsm_queue_count(&consumer, &count));
        CHECK(count == 2);
        OK(put_text(&producer, "abc"));
        OK(gsm_queue_count(&consumer, &count));
        CHECK(count == 3 && producer.put == next && get64(pair + 8) == next);
        expect_next(&consumer, "abc");
    }
    // A consumer ends before its step 5: the message comes again.
    uint64_t head = get64(256 + 0x80);
    expect_next(&consumer, "abc");
    gsm_queue_detach(&consumer);
    set64(256 + 0x80, head);
    OK(gsm_queue_attach(&consumer, &two, 0, 0));
    OK(gsm_queue_count(&consumer, &count));
    CHECK(count == 2);
    expect_next(&consumer, "abc");
    expect_next(&consumer, "abc");
    OK(gsm_queue_count(&consumer, &count));
    CHECK(count == 0);
    tear_down();
}

static void a_queue_with_wrong_words_reports_them(void) {
    const uint64_t wrong[] = {1, 8 * 7 + 4, 1024 + 8, UINT64_MAX - 7, UINT64_C(1) << 63};
    gsm_queue queue;
    gsm_message message = gsm_text(3);
    char buffer[100];
    uint64_t count;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        set_up(1 << 16);
        OK(gsm_queue_attach(&queue, &one, 1024, 1));
        OK(put_text(&queue, "abc"));
        expect_next(&queue, "abc");
        set64(256, get64(256) + wrong[i]);
        IS(GSM_ERROR_INVALID_DATA, gsm_queue_dequeue(&queue, &message, buffer, 100, 50));
        IS(GSM_ERROR_INVALID_DATA, gsm_queue_peek(&queue, &message));
        IS(GSM_ERROR_INVALID_DATA, gsm_queue_count(&queue, &count));
        gsm_queue_detach(&queue);
        OK(gsm_queue_attach(&queue, &one, 1024, 1));
        IS(GSM_ERROR_INVALID_DATA, put_text(&queue, "abc"));
        OK(gsm_queue_reset(&queue));
        OK(put_text(&queue, "abc"));
        expect_next(&queue, "abc");
        // The head, as the producer sees it when the lane is full.
        while (put_text(&queue, "abc") == GSM_OK) continue;
        set64(256 + 0x80, get64(256 + 0x80) + wrong[i]);
        message = gsm_text(3);
        IS(GSM_ERROR_INVALID_DATA, gsm_queue_enqueue(&queue, &message, "abc", 50));
        tear_down();
    }
    // Records.
    const struct { uint64_t offset; uint32_t value; gsm_error error; int is_read; } records[] = {
        {512, 0xFFFFFFFF, GSM_ERROR_INVALID_DATA, 0}, {512, 0xFFFFFFFE, GSM_ERROR_INVALID_DATA, 0},
        {512, 1024, GSM_ERROR_INVALID_DATA, 0}, {512, 9, GSM_ERROR_INVALID_DATA, 0},
        {516, 0, GSM_ERROR_INVALID_DATA, 1}, {516, 6, GSM_ERROR_INVALID_DATA, 1},
        {516, 3, GSM_ERROR_INVALID_DATA, 1}, {516, 4, GSM_ERROR_INVALID_DATA, 1}, {516, 1, GSM_OK, 1},
    };
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        set_up(1 << 16);
        OK(gsm_queue_attach(&queue, &one, 1024, 1));
        OK(put_text(&queue, "abc"));
        set32(records[i].offset, records[i].value);
        IS(records[i].error, gsm_queue_dequeue(&queue, &message, buffer, 100, 0));
        IS(records[i].is_read ? GSM_EMPTY : GSM_ERROR_INVALID_DATA,
           gsm_queue_dequeue(&queue, &message, buffer, 100, 0));
        tear_down();
    }
    // Padding that another padding or nothing follows.
    set_up(1 << 16);
    OK(gsm_queue_attach(&queue, &one, 64, 1));
    set32(512, 0xFFFFFFFF);
    set64(256, 64);
    set64(256 + 0x10, 64);
    IS(GSM_ERROR_INVALID_DATA, gsm_queue_dequeue(&queue, &message, buffer, 100, 0));
    tear_down();
    // Padding that goes beyond the tail, to an old record.
    set_up(1 << 16);
    OK(gsm_queue_attach(&queue, &one, 64, 1));
    for (int i = 0; i < 2; i++) {
        OK(put_text(&queue, "abc"));
        expect_next(&queue, "abc");
    }
    set32(512 + 32, 0xFFFFFFFF);
    set64(256, 48);
    IS(GSM_ERROR_INVALID_DATA, gsm_queue_dequeue(&queue, &message, buffer, 100, 0));
    IS(GSM_ERROR_INVALID_DATA, gsm_queue_peek(&queue, &message));
    tear_down();
}

static void roles_of_a_queue_hold_off_a_reset(void) {
    gsm_queue producer, consumer, other;
    uint64_t count;
    set_up(1 << 16);
    OK(gsm_queue_attach(&producer, &one, 1024, 2));
    OK(gsm_queue_attach(&consumer, &two, 0, 0));
    OK(gsm_queue_attach(&other, &two, 0, 0));
    OK(put_text(&producer, "abc"));
    IS(GSM_ERROR_IN_USE, gsm_queue_reset(&other));
    OK(gsm_queue_count(&other, &count));
    CHECK(count == 1);
    OK(gsm_queue_reset(&producer));
    OK(gsm_queue_count(&other, &count));
    CHECK(count == 0 && gsm_queue_producers(&other) == 1);
    OK(put_text(&producer, "def"));
    expect_next(&consumer, "def");
    IS(GSM_ERROR_IN_USE, gsm_queue_reset(&producer));
    tear_down();
}

// ---- Anything in memory ----

// Performs each operation, and checks what may come out.
static void do_everything(uint64_t *state) {
    gsm_stream stream;
    gsm_queue queue;
    gsm_message message;
    unsigned char buffer[300] = {0};
    uint64_t count;
    void *place;
    int64_t timeout = next_random(state) % 32 == 0;
    if (gsm_stream_attach(&stream, &two, 0, 0) == GSM_OK) {
        for (int i = 0; i < 3; i++) {
            if (gsm_stream_read(&stream, &message, buffer, 250) == GSM_OK)
                CHECK(message.length <= 250 && gsm_message_check(&message) == GSM_OK);
            gsm_stream_peek(&stream, &message);
            gsm_stream_age(&stream);
            gsm_stream_wait(&stream, timeout);
            message = gsm_text(next_random(state) % 200);
            gsm_stream_write(&stream, &message, buffer);
            if (gsm_stream_begin(&stream, &place) == GSM_OK) memset(place, 1, (size_t)stream.at.limit);
            gsm_stream_commit(&stream, &message);
        }
        if (next_random(state) % 4 == 0) gsm_stream_reset(&stream);
        gsm_stream_detach(&stream);
    }
    if (gsm_queue_attach(&queue, &two, 0, 0) == GSM_OK) {
        for (int i = 0; i < 5; i++) {
            message = gsm_text(next_random(state) % 100);
            gsm_queue_enqueue(&queue, &message, buffer, timeout);
            gsm_queue_peek(&queue, &message);
            gsm_queue_count(&queue, &count);
            if (gsm_queue_dequeue(&queue, &message, buffer, 250, timeout) == GSM_OK)
                CHECK(message.length <= 250 && gsm_message_check(&message) == GSM_OK);
        }
        if (next_random(state) % 4 == 0) gsm_queue_reset(&queue);
        gsm_queue_detach(&queue);
    }
}

static void any_word_may_have_any_value(void) {
    static const uint64_t values[] = {0, 1, 2, 3, 4, 7, 8, 64, 255, 256, 257, 4096, 0x7FFFFFFF, 0x80000000,
                                      0xFFFFFFFE, 0xFFFFFFFF, 0x100000000, UINT64_C(1) << 55, UINT64_C(1) << 62,
                                      UINT64_C(1) << 63, UINT64_MAX - 7, UINT64_MAX};
    enum { VALUES = sizeof values / sizeof *values, SIZE = 8192 };
    unsigned char saved[SIZE];
    uint64_t state = test_seed;
    for (int layout = 1; layout <= 2; layout++) {
        gsm_stream stream;
        gsm_queue queue;
        set_up(SIZE);
        if (layout == 1) {
            OK(gsm_stream_attach(&stream, &one, 256, 2));
            for (int i = 0; i < 7; i++) use_text(&stream, "0123456789");
            gsm_stream_detach(&stream);
        } else {
            OK(gsm_queue_attach(&queue, &one, 256, 2));
            for (int i = 0; i < 9; i++) {
                OK(put_text(&queue, "0123456789"));
                if (i < 7) expect_next(&queue, "0123456789");
            }
            gsm_queue_detach(&queue);
        }
        memcpy(saved, one.data, SIZE);
        uint64_t total = get64(0x10);
        for (uint64_t offset = 0; offset < total; offset += 4) {
            for (int i = 0; i < VALUES; i++) {
                // Most of a slot is content, which no call looks into.
                if (get64(offset / 8 * 8) == 0 && offset % 128 >= 64 && i > 2) continue;
                memcpy(one.data + offset, &values[i], offset % 8 ? 4 : 8);
                uint64_t other = next_random(&state) % (total / 8) * 8;
                if (next_random(&state) % 2) set64(other, values[next_random(&state) % VALUES]);
                do_everything(&state);
                memcpy(one.data, saved, SIZE);
            }
        }
        tear_down();
    }
}

static void every_error_has_a_text(void) {
    for (int i = 0; i <= GSM_NO_PARTNER; i++) CHECK(strcmp(gsm_error_text((gsm_error)i), "unknown error") != 0);
}

static void objects_that_are_not_attached_refuse_calls(void) {
    gsm_stream stream;
    gsm_queue queue;
    gsm_message message = gsm_bytes(0);
    uint64_t count;
    void *place;
    memset(&one, 0, sizeof one);
    IS(GSM_ERROR_ARGUMENT, gsm_stream_attach(&stream, &one, 0, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_attach(&stream, NULL, 0, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_attach(&queue, &one, 0, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_write(&stream, &message, NULL));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_begin(&stream, &place));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_commit(&stream, &message));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_read(&stream, &message, NULL, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_peek(&stream, &message));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_wait(&stream, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_stream_reset(&stream));
    CHECK(!gsm_stream_has_new(&stream) && !gsm_stream_has_writer(&stream) && gsm_stream_age(&stream) == -1);
    message = gsm_bytes(0);
    IS(GSM_ERROR_ARGUMENT, gsm_queue_enqueue(&queue, &message, NULL, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_dequeue(&queue, &message, NULL, 0, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_peek(&queue, &message));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_wait(&queue, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_count(&queue, &count));
    IS(GSM_ERROR_ARGUMENT, gsm_queue_reset(&queue));
    CHECK(!gsm_queue_has_consumer(&queue) && gsm_queue_producers(&queue) == 0);
    CHECK(gsm_queue_max_length(&queue) == 0);
    gsm_stream_detach(&stream);
    gsm_queue_detach(&queue);
}

int main(int count, char **words) {
    begin_tests(count, words);
    RUN(every_error_has_a_text);
    RUN(objects_that_are_not_attached_refuse_calls);
    RUN(names_outside_the_limits_are_refused);
    RUN(memory_is_shared_until_its_creator_closes);
    RUN(files_hold_layouts_and_roles);
    RUN(header_of_a_stream_is_as_documented);
    RUN(header_of_a_queue_is_as_documented);
    RUN(a_stream_is_made_and_found_by_its_name);
    RUN(a_queue_is_made_and_found_by_its_name);
    RUN(a_creator_lays_out_all_that_fits);
    RUN(an_existing_layout_wins_if_it_is_large_enough);
    RUN(memory_without_a_layout_waits_for_its_creator);
    RUN(headers_that_are_wrong_are_refused);
    RUN(only_memory_of_zeros_is_laid_out);
    RUN(a_half_made_header_is_written_over);
    RUN(a_reset_that_was_interrupted_is_finished_by_the_next);
    RUN(messages_are_checked_as_documented);
    RUN(a_stream_gives_the_newest_message);
    RUN(a_message_is_drawn_into_its_slot);
    RUN(roles_of_a_stream_are_exclusive);
    RUN(a_writer_spares_slots_that_are_pinned);
    RUN(sequences_go_on_after_restarts_and_resets);
    RUN(a_stream_with_wrong_words_reports_them);
    RUN(a_queue_keeps_the_order);
    RUN(the_longest_message_fits_at_every_position);
    RUN(a_message_that_does_not_fit_the_buffer_stays);
    RUN(lanes_take_turns);
    RUN(positions_and_counts_survive_each_death);
    RUN(a_queue_with_wrong_words_reports_them);
    RUN(roles_of_a_queue_hold_off_a_reset);
    RUN(any_word_may_have_any_value);
    return end_tests();
}
