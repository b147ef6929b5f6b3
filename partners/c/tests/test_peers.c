// Tests of peers. Offsets and numbers are those of docs/FORMAT.md, not the header's constants. Those with
// several processes run on Linux only.

#include "check.h"

enum { MSEC = 1000000, LANE = 256, RING = 512, CAPACITY = 4096 };

static gsm_peer one, two;

// Lets both sides take their steps until they are connected.
static void connect_both(gsm_peer *a, gsm_peer *b) {
    for (int i = 0; i < 100; i++) {
        int first = gsm_peer_status(a), second = gsm_peer_status(b);
        if (first == GSM_CONNECTED && second == GSM_CONNECTED) return;
    }
    CHECK(!"connected");
}

static void open_both(void) {
    OK(gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL));
    OK(gsm_peer_open(&two, test_name, CAPACITY, GSM_LOCAL));
    connect_both(&one, &two);
}

static void close_both(void) {
    gsm_peer_close(&one);
    gsm_peer_close(&two);
}

static gsm_error send_text(gsm_peer *peer, const char *text) {
    gsm_message message = gsm_text(strlen(text));
    return gsm_peer_send(peer, &message, text, 0);
}

static gsm_error ask_text(gsm_peer *peer, const char *text) {
    gsm_message message = gsm_text(strlen(text));
    return gsm_peer_ask(peer, &message, text, 0);
}

static void expect_text(gsm_peer *peer, const char *text) {
    char buffer[100];
    gsm_message message;
    OK(gsm_peer_receive(peer, &message, buffer, sizeof buffer, 0));
    CHECK(gsm_kind(&message) == GSM_TEXT);
    CHECK(message.length == strlen(text) && memcmp(buffer, text, strlen(text)) == 0);
}

static gsm_error receive(gsm_peer *peer) {
    char buffer[100];
    gsm_message message;
    return gsm_peer_receive(peer, &message, buffer, sizeof buffer, 0);
}

static unsigned char *lane_of(const gsm_peer *peer, uint32_t side) {
    return peer->memory.data + 256 + side * (LANE + peer->queue.at.limit);
}

static uint32_t get32(const unsigned char *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

static uint64_t get64(const unsigned char *at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

// ---- Bytes ----

static void memory_of_a_pair_is_as_documented(void) {
    OK(gsm_peer_open(&one, test_name, 5000, GSM_LOCAL));
    const unsigned char *data = one.memory.data;
    const uint32_t words[] = {0x314D5347, 1, 3, 128};
    for (int i = 0; i < 4; i++) CHECK(get32(data + 4 * i) == words[i]);
    CHECK(get64(data + 0x10) == 256 + 2 * (256 + 8192) && get64(data + 0x18) != 0);
    CHECK(get64(data + 0x20) == 0 && get64(data + 0x28) == 0 && get32(data + 0x30) == 2);
    CHECK(get64(data + 0x38) == 8192);
    // The first record of side 0 says that it has joined.
    const unsigned char *lane = lane_of(&one, 0), *other = lane_of(&one, 1), *ring = lane + LANE;
    uint64_t own = get64(ring + 8);
    CHECK(get64(lane) == 24 && get64(lane + 0x20) == 24 && get64(lane + 0x28) == 1);
    CHECK(get32(ring) == 16 && get32(ring + 4) == 0 && own != 0 && get64(ring + 16) == 0);

    OK(gsm_peer_open(&two, test_name, 4096, GSM_LOCAL));
    CHECK(gsm_peer_max_length(&two) == 4096 - 32);
    connect_both(&one, &two);
    uint64_t second = get64(other + LANE + 8);
    CHECK(second != 0 && second != own && get64(other + LANE + 16) == 0);
    // Each has answered the mark of the other one, once.
    CHECK(get64(lane) == 48 && get64(ring + 24 + 8) == own && get64(ring + 24 + 16) == second);
    CHECK(get64(other) == 48 && get64(other + LANE + 24 + 8) == second && get64(other + LANE + 24 + 16) == own);
    CHECK(get64(lane + 0x80) == 48 && get64(other + 0x80) == 48);

    ring += 48;
    OK(send_text(&one, "hello"));
    CHECK(get32(ring) == 5 && get32(ring + 4) == 2 && memcmp(ring + 8, "hello", 5) == 0 && get64(lane) == 64);
    OK(ask_text(&one, "why?"));
    ring += 16;
    CHECK(get32(ring) == 12 && get32(ring + 4) == (2 | 1u << 30) && get64(ring + 8) == 1);
    CHECK(memcmp(ring + 16, "why?", 4) == 0 && get64(lane) == 64 + 24);
    expect_text(&two, "hello");
    CHECK(!two.is_request && get64(lane + 0x80) == 64);
    expect_text(&two, "why?");
    CHECK(two.is_request);
    gsm_message picture = gsm_image(1, 1, GSM_RGBA8);
    OK(gsm_peer_send(&two, &picture, "rgba", 0));
    const unsigned char *answer = other + LANE + 48;
    CHECK(get32(answer) == 16 + 8 + 4 && get32(answer + 4) == (4 | 1u << 31));
    CHECK(get32(answer + 8) == 1 && get32(answer + 20) == 4 && get64(answer + 24) == 1);
    CHECK(memcmp(answer + 32, "rgba", 4) == 0);
    OK(receive(&one));
    CHECK(one.is_answer);
    close_both();
}

// A partner that isn't this header, as docs/FORMAT.md describes it: the test writes its records.
static uint64_t put_record(gsm_peer *peer, uint32_t size, uint32_t tag, const void *content) {
    unsigned char *lane = lane_of(peer, 1 - peer->queue.lane);
    uint64_t tail = get64(lane), at = tail % peer->queue.at.limit, need = 8 + (size + 7) / 8 * 8;
    CHECK(at + need <= peer->queue.at.limit);
    memcpy(lane + LANE + at, &size, 4);
    memcpy(lane + LANE + at + 4, &tag, 4);
    memcpy(lane + LANE + at + 8, content, size);
    gsmi_store64(lane, tail + need);
    return tail;
}

static void put_mark(gsm_peer *peer, uint64_t from, uint64_t to) {
    uint64_t numbers[2] = {from, to};
    put_record(peer, 16, 0, numbers);
}

static uint64_t own_of(const gsm_peer *peer) { return peer->own; }

static void marks_are_answered_as_documented(void) {
    gsm_memory other;
    OK(gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL));
    OK(gsm_memory_open(&other, test_name, GSM_READ_WRITE));
    uint64_t own = own_of(&one);
    const unsigned char *lane = lane_of(&one, 0), *last = lane + LANE + 24;
    OK(gsmi_claim(&other, one.queue.at.incarnation, 5));
    // Before the answer to its own mark, it drops all messages, and answers a mark once.
    put_record(&one, 1, 1, "x");
    put_mark(&one, 7, 0);
    put_record(&one, 1, 1, "x");
    CHECK(gsm_peer_status(&one) == GSM_WAITING && get64(lane) == 48);
    CHECK(get64(last + 8) == own && get64(last + 16) == 7);
    put_mark(&one, 7, 0);
    put_mark(&one, 8, own + 1);
    put_mark(&one, 0, own);
    put_record(&one, 8, 0, "12345678");
    CHECK(gsm_peer_status(&one) == GSM_WAITING && get64(lane) == 48);
    put_record(&one, 1, 1, "y");
    put_mark(&one, 7, own);
    put_record(&one, 1, 1, "z");
    CHECK(gsm_peer_status(&one) == GSM_CONNECTED && get64(lane) == 48);
    char buffer[8];
    gsm_message message;
    OK(gsm_peer_receive(&one, &message, buffer, 8, 0));
    CHECK(message.length == 1 && buffer[0] == 'z');
    // Marks of this partner, wrong ones and answers to nobody mean nothing now.
    put_mark(&one, 7, 0);
    put_mark(&one, 7, own);
    put_mark(&one, 0, 0);
    put_mark(&one, 9, own);
    put_record(&one, 24, 0, "123456781234567812345678");
    IS(GSM_EMPTY, gsm_peer_receive(&one, &message, buffer, 8, 0));
    // The next one's mark is the border. It stays until that is told.
    put_record(&one, 1, 1, "a");
    put_mark(&one, 9, 0);
    put_record(&one, 1, 1, "b");
    OK(gsm_peer_receive(&one, &message, buffer, 8, 0));
    CHECK(buffer[0] == 'a');
    IS(GSM_GONE, gsm_peer_receive(&one, &message, buffer, 8, 0));
    OK(gsm_peer_receive(&one, &message, buffer, 8, 0));
    CHECK(buffer[0] == 'b' && get64(lane) == 72 && get64(last + 24 + 16) == 9);
    IS(GSM_EMPTY, gsm_peer_receive(&one, &message, buffer, 8, 0));
    // A partner that was known, and comes again, needs no second answer.
    put_mark(&one, 10, 0);
    put_mark(&one, 9, 0);
    IS(GSM_GONE, gsm_peer_receive(&one, &message, buffer, 8, 0));
    CHECK(gsm_peer_status(&one) == GSM_CONNECTED);
    gsmi_give_back(&other, one.queue.at.incarnation, 5);
    CHECK(gsm_peer_status(&one) == GSM_WAITING);
    IS(GSM_GONE, gsm_peer_receive(&one, &message, buffer, 8, 0));
    IS(GSM_EMPTY, gsm_peer_receive(&one, &message, buffer, 8, 0));
    gsm_memory_close(&other);
    gsm_peer_close(&one);
}

static void records_that_are_wrong_count_as_read(void) {
    char numbered[40] = {0};
    open_both();
    numbered[0] = 1;
    put_record(&one, 20, 1 | 3u << 30, numbered);  // both bits
    put_record(&one, 7, 1 | 1u << 30, numbered);   // too short for the number
    put_record(&one, 23, 4 | 1u << 31, numbered);  // too short for the shape and the number
    put_record(&one, 8, 6, numbered);              // a kind that isn't known
    put_record(&one, 8, 1 | 1u << 29, numbered);   // a bit that isn't known
    put_record(&one, 8, 0x01000303, numbered);     // too short for the shape
    put_record(&one, 16, 1 | 1u << 30, numbered);
    for (int i = 0; i < 6; i++) IS(GSM_ERROR_INVALID_DATA, receive(&one));
    OK(receive(&one));
    CHECK(one.is_request);
    IS(GSM_EMPTY, receive(&one));
    close_both();
}

// ---- Opening and closing ----

static void arguments_outside_the_limits_are_refused(void) {
    gsm_message message = gsm_bytes(1);
    char buffer[8];
    IS(GSM_ERROR_ARGUMENT, gsm_peer_open(&one, "", 0, GSM_LOCAL));
    IS(GSM_ERROR_ARGUMENT, gsm_peer_open(&one, "a/b", 0, GSM_LOCAL));
    IS(GSM_ERROR_ARGUMENT, gsm_peer_open(&one, NULL, 0, GSM_LOCAL));
    IS(GSM_ERROR_ARGUMENT, gsm_peer_open(&one, test_name, (UINT64_C(1) << 30) + 1, GSM_LOCAL));
    IS(GSM_ERROR_ARGUMENT, gsm_peer_open(&one, test_name, 0, 2));
    // A failed call leaves a closed peer, and so does closing.
    for (int i = 0; i < 2; i++) {
        IS(GSM_ERROR_ARGUMENT, gsm_peer_send(&one, &message, "x", 0));
        IS(GSM_ERROR_ARGUMENT, gsm_peer_ask(&one, &message, "x", 0));
        IS(GSM_ERROR_ARGUMENT, gsm_peer_request(&one, &message, "x", &message, buffer, 8, 0));
        message = gsm_bytes(1);
        IS(GSM_ERROR_ARGUMENT, gsm_peer_receive(&one, &message, buffer, 8, 0));
        IS(GSM_ERROR_ARGUMENT, gsm_peer_wait(&one, 0));
        IS(GSM_ERROR_ARGUMENT, gsm_peer_wait_connected(&one, 0));
        CHECK(gsm_peer_status(&one) == GSM_CLOSED && gsm_peer_max_length(&one) == 0);
        message = gsm_bytes(1);
        gsm_peer_close(&one);
        if (i == 0) OK(gsm_peer_open(&one, test_name, 0, GSM_LOCAL));
        if (i == 0) gsm_peer_close(&one);
    }
    open_both();
    IS(GSM_ERROR_ARGUMENT, gsm_peer_send(&one, &message, "x", -1));
    IS(GSM_ERROR_ARGUMENT, gsm_peer_send(&one, &message, NULL, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_peer_wait(&one, -1));
    IS(GSM_ERROR_ARGUMENT, gsm_peer_wait_connected(&one, -1));
    IS(GSM_ERROR_ARGUMENT, gsm_peer_receive(&one, &message, NULL, 8, 0));
    IS(GSM_ERROR_ARGUMENT, gsm_peer_receive(&one, &message, buffer, 8, -1));
    message = gsm_bytes(1);
    IS(GSM_ERROR_ARGUMENT, gsm_peer_request(&one, &message, "x", &message, NULL, 8, 0));
    message = gsm_bytes(CAPACITY / 2 - 31);
    static const char zeros[CAPACITY] = {0};
    IS(GSM_ERROR_TOO_LONG, gsm_peer_send(&one, &message, zeros, 0));
    message = gsm_image(2, 2, GSM_L8);
    message.length = 5;
    IS(GSM_ERROR_MESSAGE, gsm_peer_send(&one, &message, zeros, 0));
    close_both();
}

static void either_side_opens_first_closes_and_comes_again(void) {
    gsm_peer *sides[2] = {&one, &two};
    for (int round = 0; round < 16; round++) {
        gsm_peer *first = sides[round & 1], *second = sides[!(round & 1)];
        gsm_peer *leaves = sides[round >> 1 & 1], *stays = sides[!(round >> 1 & 1)];
        OK(gsm_peer_open(first, test_name, CAPACITY, GSM_LOCAL));
        if (round & 4) OK(gsm_peer_wait(first, 0) == GSM_TIMEOUT ? GSM_OK : GSM_BUSY);
        OK(gsm_peer_open(second, test_name, CAPACITY, GSM_LOCAL));
        connect_both(first, second);
        OK(send_text(leaves, "last"));
        gsm_peer_close(leaves);
        CHECK(gsm_peer_status(stays) == GSM_WAITING);
        expect_text(stays, "last");
        IS(GSM_GONE, receive(stays));
        IS(GSM_EMPTY, receive(stays));
        IS(GSM_NO_PARTNER, send_text(stays, "x"));
        // The name may have gone with the creator. Then the one that stays makes it again.
        if (round & 8) gsmi_sleep(110 * MSEC);
        IS(GSM_EMPTY, receive(stays));
        OK(gsm_peer_open(leaves, test_name, CAPACITY, GSM_LOCAL));
        if (!(round & 8)) gsmi_sleep(110 * MSEC);
        connect_both(stays, leaves);
        OK(send_text(stays, "first"));
        expect_text(leaves, "first");
        close_both();
        CHECK(gsm_memory_open(&one.memory, test_name, GSM_READ_ONLY) == GSM_ERROR_NOT_FOUND);
    }
}

static void a_third_side_is_refused(void) {
    gsm_peer third;
    open_both();
    uint64_t before = gsm_clock();
    IS(GSM_ERROR_IN_USE, gsm_peer_open(&third, test_name, CAPACITY, GSM_LOCAL));
    CHECK(gsm_clock() - before < 1000ull * MSEC);
    gsm_peer_close(&one);
    OK(gsm_peer_open(&third, test_name, CAPACITY, GSM_LOCAL));
#ifndef _WIN32
    gsmi_sleep(110 * MSEC);  // the creator took the name along
#endif
    connect_both(&third, &two);
    gsm_peer_close(&third);
    gsm_peer_close(&two);
}

static void memory_of_another_kind_is_left_alone(void) {
    gsm_memory memory;
    gsm_queue queue;
    uint64_t count;
    OK(gsm_memory_create(&memory, test_name, 8960, GSM_LOCAL));
    uint64_t before = gsm_clock();
    IS(GSM_NOT_LAID_OUT, gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL));
    CHECK(gsm_clock() - before >= 50ull * MSEC && gsm_clock() - before < 2000ull * MSEC);
    OK(gsm_queue_attach(&queue, &memory, 0, 2));
    IS(GSM_ERROR_LAYOUT, gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL));
    gsm_message message = gsm_bytes(1);
    OK(gsm_queue_enqueue(&queue, &message, "x", 0));
    OK(gsm_queue_count(&queue, &count));
    CHECK(count == 1);
    gsm_queue_detach(&queue);
    memory.data[0] = 'x';
    IS(GSM_ERROR_FOREIGN, gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL));
    gsm_memory_close(&memory);
    open_both();
    gsm_memory_open(&memory, test_name, GSM_READ_WRITE);
    IS(GSM_ERROR_LAYOUT, gsm_queue_attach(&queue, &memory, 0, 2));
    gsm_memory_close(&memory);
    close_both();
}

// ---- Messages ----

static int is_same(const gsm_message *a, const gsm_message *b) {
    return a->tag == b->tag && memcmp(a->shape, b->shape, sizeof a->shape) == 0 && a->length == b->length;
}

static void messages_of_each_kind_arrive(void) {
    char buffer[100];
    const uint32_t shape[2] = {2, 3};
    open_both();
    for (int round = 0; round < 200; round++) {
        gsm_message kinds[] = {gsm_bytes(0), gsm_bytes(13), gsm_text(5), gsm_value(8),
                               gsm_array(GSM_F32, GSM_VECTORS, 2, shape), gsm_image(2, 3, GSM_RGB8)};
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
            gsm_message found, answer;
            char content[100];
            memset(content, 'a' + (int)i + round % 7, sizeof content);
            OK((round & 1 ? gsm_peer_ask : gsm_peer_send)(&one, &kinds[i], content, 0));
            OK(gsm_peer_receive(&two, &found, buffer, sizeof buffer, 0));
            CHECK(is_same(&found, &kinds[i]));
            CHECK(memcmp(buffer, content, (size_t)found.length) == 0 && two.is_request == (round & 1));
            OK(gsm_peer_send(&two, &found, buffer, 0));
            memset(buffer, 0, sizeof buffer);
            OK(gsm_peer_receive(&one, &answer, buffer, sizeof buffer, 0));
            CHECK(is_same(&answer, &kinds[i]) && one.is_answer == (round & 1));
            CHECK(memcmp(buffer, content, (size_t)answer.length) == 0);
        }
    }
    CHECK(one.late == 0 && two.late == 0);
    close_both();
}

static void a_full_lane_and_a_small_buffer_lose_nothing(void) {
    static char content[CAPACITY], buffer[CAPACITY];
    gsm_message longest = gsm_bytes(CAPACITY / 2 - 32), found;
    open_both();
    for (int round = 0; round < 50; round++) {
        int sent = 0, length = 1 + round * 37;
        gsm_message message = gsm_bytes((uint64_t)length);
        gsm_error error;
        for (; sent < 10000; sent++) {
            content[0] = (char)sent;
            error = gsm_peer_send(&one, &message, content, 0);
            if (error != GSM_OK) break;
        }
        IS(GSM_FULL, error);
        IS(GSM_TIMEOUT, gsm_peer_send(&one, &message, content, 2));
        IS(GSM_ERROR_BUFFER, gsm_peer_receive(&two, &found, NULL, 0, 0));
        CHECK(found.length == (uint64_t)length && sent >= 2);
        for (int i = 0; i < sent; i++) {
            OK(gsm_peer_receive(&two, &found, buffer, sizeof buffer, 0));
            CHECK(found.length == (uint64_t)length && buffer[0] == (char)i);
        }
        IS(GSM_EMPTY, gsm_peer_receive(&two, &found, buffer, sizeof buffer, 0));
        // In an empty lane is room for the longest message, at any position.
        OK(gsm_peer_send(&one, &longest, content, 0));
        OK(gsm_peer_receive(&two, &found, buffer, sizeof buffer, 0));
    }
    close_both();
}

// ---- Requests ----

static void the_next_message_answers_the_last_request(void) {
    open_both();
    OK(ask_text(&one, "1"));
    OK(ask_text(&one, "2"));  // gives the first one up
    OK(send_text(&one, "3"));
    expect_text(&two, "1");
    OK(ask_text(&two, "other"));  // a request is no answer
    expect_text(&two, "2");
    expect_text(&two, "3");
    CHECK(!two.is_request);
    OK(send_text(&two, "to 2"));
    OK(send_text(&two, "no answer"));
    expect_text(&one, "other");
    CHECK(one.is_request && !one.is_answer);
    expect_text(&one, "to 2");
    CHECK(one.is_answer && !one.is_request);
    expect_text(&one, "no answer");
    CHECK(!one.is_answer);
    OK(send_text(&one, "to other"));
    expect_text(&two, "to other");
    CHECK(two.is_answer);
    close_both();
}

static gsm_error request_text(gsm_peer *peer, const char *text, char *buffer, uint64_t capacity,
                              uint64_t *length) {
    gsm_message message = gsm_text(strlen(text)), answer;
    gsm_error error = gsm_peer_request(peer, &message, text, &answer, buffer, capacity, 1);
    *length = answer.length;
    return error;
}

static void late_answers_are_dropped_and_counted(void) {
    char buffer[100];
    uint64_t length;
    open_both();
    for (uint64_t i = 0; i < 10; i++) {
        IS(GSM_TIMEOUT, request_text(&one, "early", buffer, sizeof buffer, &length));
        expect_text(&two, "early");
        OK(send_text(&two, "late"));
        OK(send_text(&two, "plain"));
        if (i % 2) OK(ask_text(&one, "again"));
        if (i % 2) expect_text(&two, "again");
        if (i % 2) OK(send_text(&two, "right"));
        expect_text(&one, "plain");
        CHECK(one.late == i + 1);
        if (i % 2) expect_text(&one, "right");
        CHECK(one.is_answer == (int)(i % 2));
        IS(GSM_EMPTY, receive(&one));
    }
    // An answer behind other messages that comes too late counts once, too.
    IS(GSM_TIMEOUT, request_text(&one, "early", buffer, sizeof buffer, &length));
    OK(send_text(&two, "before"));
    expect_text(&two, "early");
    OK(send_text(&two, "late"));
    IS(GSM_TIMEOUT, request_text(&one, "next", buffer, sizeof buffer, &length));
    CHECK(one.late == 11);
    expect_text(&one, "before");
    IS(GSM_EMPTY, receive(&one));
    CHECK(one.late == 11);
    close_both();
}

// ---- The border between two partners ----

static void each_call_tells_of_the_end_once(void) {
    char buffer[100];
    uint64_t length;
    for (int call = 0; call < 4; call++) {
        for (int has_next = 0; has_next < 2; has_next++) {
            open_both();
            OK(send_text(&two, "before"));
            gsm_peer_close(&two);
            if (has_next) OK(gsm_peer_open(&two, test_name, CAPACITY, GSM_LOCAL));
            if (has_next && !gsm_memory_is_current(&one.memory)) CHECK(!"the name has gone");
            // What was sent comes first. Until then, there is nobody to send to, even if the side is taken again.
            IS(GSM_NO_PARTNER, send_text(&one, "x"));
            IS(GSM_NO_PARTNER, ask_text(&one, "x"));
            IS(GSM_NO_PARTNER, gsm_peer_wait_connected(&one, 1000));
            OK(gsm_peer_wait(&one, 0));
            expect_text(&one, "before");
            if (has_next) {
                // The next one's messages come after.
                gsm_peer_status(&one);
                gsm_peer_status(&two);
                OK(send_text(&two, "after"));
            }
            OK(gsm_peer_wait(&one, 0));
            if (call == 0) IS(GSM_GONE, receive(&one));
            if (call == 1) IS(GSM_GONE, send_text(&one, "x"));
            if (call == 2) IS(GSM_GONE, ask_text(&one, "x"));
            if (call == 3) IS(GSM_GONE, request_text(&one, "x", buffer, sizeof buffer, &length));
            if (has_next) {
                expect_text(&one, "after");
                OK(send_text(&one, "to the next"));
                expect_text(&two, "to the next");
            } else {
                IS(GSM_NO_PARTNER, send_text(&one, "x"));
                IS(GSM_TIMEOUT, gsm_peer_wait_connected(&one, 0));
            }
            IS(GSM_EMPTY, receive(&one));
            close_both();
        }
    }
}

static void messages_to_one_partner_never_reach_the_next(void) {
    open_both();
    OK(send_text(&one, "to the first"));
    OK(ask_text(&one, "also"));
    gsm_peer_close(&two);
    OK(gsm_peer_open(&two, test_name, CAPACITY, GSM_LOCAL));
    connect_both(&one, &two);
    IS(GSM_EMPTY, receive(&two));
    IS(GSM_GONE, send_text(&one, "to nobody"));
    OK(send_text(&one, "to the second"));
    expect_text(&two, "to the second");
    // An answer to the first one isn't sent to the second one.
    OK(ask_text(&two, "why?"));
    expect_text(&one, "why?");
    gsm_peer_close(&two);
    OK(gsm_peer_open(&two, test_name, CAPACITY, GSM_LOCAL));
    connect_both(&one, &two);
    IS(GSM_GONE, send_text(&one, "because"));
    OK(ask_text(&two, "when?"));
    OK(send_text(&one, "plain"));
    expect_text(&two, "plain");
    CHECK(!two.is_answer);
    close_both();
}

static void a_full_lane_of_a_dead_side_delays_the_next_one(void) {
    static const char content[1000] = {0};
    gsm_message message = gsm_bytes(1000), found;
    char buffer[1000];
    int many = 0;
    open_both();
    while (gsm_peer_send(&two, &message, content, 0) == GSM_OK) many++;
    message = gsm_bytes(1);
    while (gsm_peer_send(&two, &message, content, 0) == GSM_OK) many++;
    gsm_peer_close(&two);
    OK(gsm_peer_open(&two, test_name, CAPACITY, GSM_LOCAL));
    CHECK(gsm_peer_status(&two) == GSM_WAITING);
    for (int i = 0; i < many; i++) OK(gsm_peer_receive(&one, &found, buffer, sizeof buffer, 0));
    connect_both(&two, &one);
    IS(GSM_GONE, receive(&one));
    OK(send_text(&two, "hello"));
    expect_text(&one, "hello");
    close_both();
}

// ---- Wrong words ----

static void any_word_may_have_any_value(void) {
    static const uint64_t values[] = {0, 1, 7, 8, 16, 4096, 4104, 0xFFFFFFFF, UINT64_C(1) << 62, UINT64_MAX - 7, UINT64_MAX};
    uint64_t state = test_seed, connected = 0, invalid = 0;
    for (int round = 0; round < 1000; round++) {
        gsm_error error = gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL);
        if (error == GSM_OK) error = gsm_peer_open(&two, test_name, CAPACITY, GSM_LOCAL);
        OK(error);
        for (int i = 0; i < 20; i++) {
            uint64_t at = next_random(&state) % 0x500 / 8 * 8, value = values[next_random(&state) % 11];
            uint64_t old = get64(one.memory.data + at);
            if (next_random(&state) % 2) value = old + 8 - next_random(&state) % 17;
            // Half of the words are those of a lane or its first records.
            if (next_random(&state) % 2) at += 256 + CAPACITY;
            gsmi_store64(one.memory.data + at, value);
            gsm_peer *peer = next_random(&state) % 2 ? &one : &two;
            uint64_t length;
            char buffer[100];
            switch (next_random(&state) % 5) {
                case 0: error = send_text(peer, "hello"); break;
                case 1: error = ask_text(peer, "hello"); break;
                case 2: error = request_text(peer, "hello", buffer, sizeof buffer, &length); break;
                default: error = receive(peer); break;
            }
            connected += gsm_peer_status(peer) == GSM_CONNECTED;
            invalid += error == GSM_ERROR_INVALID_DATA;
        }
        close_both();
        // A name that was made in wrong memory goes, too.
        gsm_memory_remove(test_name);
    }
    CHECK(connected > 100 && invalid > 100);
    printf("       connected %d times, wrong %d times\n", (int)connected, (int)invalid);
}

#ifdef __linux__

// ---- Several processes ----

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
static void add(notes *all, int i) { __atomic_fetch_add(&all->value[i], 1, __ATOMIC_SEQ_CST); }

static void wait_for(notes *all, int i, uint64_t value) {
    while (get(all, i) < value) gsmi_sleep(MSEC / 10);
}

static pid_t start(void (*child)(notes *), notes *all) {
    pid_t process = fork();
    CHECK(process >= 0);
    if (process == 0) {
        memset(&one, 0, sizeof one);
        memset(&two, 0, sizeof two);
        child(all);
        _Exit(0);
    }
    return process;
}

// Kills a process that should still run: one that has ended by itself has found something.
static void end(pid_t process) {
    int status;
    kill(process, SIGKILL);
    CHECK(waitpid(process, &status, 0) == process && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int status_of(pid_t process) {
    int status;
    CHECK(waitpid(process, &status, 0) == process);
    return status;
}

static void open_and_stay(notes *all) {
    OK(gsm_peer_open(&two, test_name, CAPACITY, GSM_LOCAL));
    add(all, 0);
    for (;;) {
        gsm_error error = gsm_peer_wait_connected(&two, 10);
        if (error == GSM_OK) add(all, 1);
        if (receive(&two) == GSM_GONE) add(all, 2);
        while (get(all, 3)) gsmi_sleep(MSEC);
    }
}

static void a_kill_is_noticed_at_once_but_not_a_stop(void) {
    notes *all = shared_notes();
    uint64_t worst = 0;
    OK(gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL));
    for (uint64_t i = 0; i < 10; i++) {
        pid_t process = start(open_and_stay, all);
        OK(gsm_peer_wait_connected(&one, 10000));
        kill(process, SIGSTOP);
        IS(GSM_TIMEOUT, gsm_peer_wait(&one, 60));
        CHECK(gsm_peer_status(&one) == GSM_CONNECTED);
        uint64_t before = gsm_clock();
        pid_t killer = fork();
        if (killer == 0) {
            kill(process, SIGKILL);
            _Exit(0);
        }
        char buffer[8];
        gsm_message message;
        IS(GSM_GONE, gsm_peer_receive(&one, &message, buffer, 8, 10000));
        uint64_t took = gsm_clock() - before;
        worst = took > worst ? took : worst;
        waitpid(killer, NULL, 0);
        waitpid(process, NULL, 0);
        IS(GSM_TIMEOUT, gsm_peer_receive(&one, &message, buffer, 8, 1));
    }
    CHECK(worst < 500ull * MSEC);
    printf("       the end was told after %d ms at most\n", (int)(worst / MSEC));
    gsm_peer_close(&one);
}

// Both sides may be the creator, and each may die first, with the other one there or not yet there.
static void each_order_of_starts_and_deaths_leads_back(void) {
    for (int round = 0; round < 32; round++) {
        notes *all = shared_notes();
        pid_t first = start(open_and_stay, all), second = 0;
        wait_for(all, 0, 1);
        if (round & 1) second = start(open_and_stay, all);
        if (second) wait_for(all, 1, 2);
        int swaps = round & 2 && second;
        end(swaps ? second : first);
        if (round & 4 && second) end(swaps ? first : second);
        // Now the two that live, or one of them and this process.
        uint64_t before = gsm_clock();
        gsm_error error;
        while ((error = gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL)) == GSM_ERROR_IN_USE) continue;
        OK(error);
        if (!second || round & 4) {
            // Nobody lived there: the memory is new.
            CHECK(one.memory.is_created);
            second = start(open_and_stay, all);
            swaps = 0;
            first = second;
        } else {
            CHECK(!one.memory.is_created);
            first = swaps ? first : second;
        }
        OK(gsm_peer_wait_connected(&one, 1000));
        CHECK(gsm_clock() - before < 1000ull * MSEC);
        OK(send_text(&one, "hello"));
        if (round & 8) {
            // The creator's name goes with it, and the survivor makes another.
            gsm_peer_close(&one);
            gsmi_sleep(150 * MSEC);
            OK(gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL));
            OK(gsm_peer_wait_connected(&one, 1000));
        }
        end(first);
        gsm_peer_close(&one);
        // Also the name of a dead creator.
        IS(GSM_ERROR_NOT_FOUND, gsm_memory_open(&one.memory, test_name, GSM_READ_ONLY));
        munmap(all, sizeof *all);
    }
}

static void memory_that_cannot_be_replaced_is_emptied(void) {
    notes *all = shared_notes();
    struct stat before, after;
    pid_t process = start(open_and_stay, all);
    wait_for(all, 0, 1);
    int file = gsmi_open_name(test_name, O_RDWR, 0);
    CHECK(file >= 0);
    int flags = 0x40 | 0x80;  // it outlives its owner
    if (ioctl(file, _IOW('f', 2, long), &flags) < 0) CHECK(fchmod(file, 0600) == 0);
    uint64_t incarnation[2];
    CHECK(pread(file, &incarnation[0], 8, 0x18) == 8 && fstat(file, &before) == 0);
    end(process);
    OK(gsm_peer_open(&one, test_name, 8192, GSM_LOCAL));
    CHECK(fstat(one.memory.descriptor, &after) == 0 && before.st_ino == after.st_ino);
    CHECK(pread(file, &incarnation[1], 8, 0x18) == 8 && incarnation[0] != incarnation[1]);
    // Nothing is left but this side's mark.
    CHECK(get64(lane_of(&one, 0)) == 24 && get64(lane_of(&one, 0) + 0x80) == 0 && get64(lane_of(&one, 1)) == 0);
    OK(gsm_peer_open(&two, test_name, CAPACITY, GSM_LOCAL));
    connect_both(&one, &two);
    // All locks were given back.
    for (int n = 0; n < 256; n++) {
        short held = gsmi_look_at_lock(file, (UINT64_C(1) << 62) + 4 + 2 * (uint64_t)n);
        CHECK(held == (n == 4 || n == 5 ? F_WRLCK : F_UNLCK));
    }
    close(file);
    close_both();
    gsm_memory_remove(test_name);
}

static void die_while_creating(notes *all) {
    gsm_memory memory;
    gsm_queue queue;
    OK(gsm_memory_create(&memory, test_name, 8960, GSM_LOCAL));
    if (get(all, 1) == 1) OK(gsm_queue_attach(&queue, &memory, 0, 2));
    if (get(all, 1) == 2) memory.data[0] = 'x';
    add(all, 0);
    for (;;) pause();
}

static void memory_that_is_no_pair_is_replaced_when_its_creator_is_dead(void) {
    static const gsm_error errors[] = {GSM_NOT_LAID_OUT, GSM_ERROR_LAYOUT, GSM_ERROR_FOREIGN};
    for (int i = 0; i < 3; i++) {
        notes *all = shared_notes();
        all->value[1] = (uint64_t)i;
        pid_t process = start(die_while_creating, all);
        wait_for(all, 0, 1);
        IS(errors[i], gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL));
        end(process);
        open_both();
        CHECK(one.memory.is_created);
        close_both();
        munmap(all, sizeof *all);
    }
}

static void only_its_own_memory_is_removed(void) {
    // A side that closes memory with a dead creator leaves another program's memory of that name alone.
    notes *all = shared_notes();
    gsm_memory other;
    pid_t process = start(open_and_stay, all);
    wait_for(all, 0, 1);
    OK(gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL));
    end(process);
    OK(gsm_memory_create(&other, test_name, 4096, GSM_LOCAL));
    gsm_peer_close(&one);
    CHECK(gsm_memory_is_current(&other));
    gsm_memory_close(&other);
}

static void closes_after_fork(notes *all) {
    (void)all;
    // The child has the parent's objects.
    gsm_peer_close(&one);
    gsm_peer_close(&two);
}

static void a_child_takes_neither_name_nor_sides_along(void) {
    open_both();
    pid_t child = fork();
    if (child == 0) {
        closes_after_fork(NULL);
        _Exit(0);
    }
    CHECK(status_of(child) == 0);
    gsm_peer third;
    IS(GSM_ERROR_IN_USE, gsm_peer_open(&third, test_name, CAPACITY, GSM_LOCAL));
    OK(send_text(&one, "hello"));
    expect_text(&two, "hello");
    CHECK(gsm_memory_is_current(&one.memory));
    close_both();
}

static void truncated_memory_is_refused(void) {
    open_both();
    CHECK(ftruncate(one.memory.descriptor, 4096) == 0);
    pid_t child = fork();
    if (child == 0) {
        // Sanitizers would catch the signal.
        signal(SIGBUS, SIG_DFL);
        send_text(&two, "x");
        _Exit(0);
    }
    int status = status_of(child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    gsm_peer third;
    IS(GSM_ERROR_SIZE, gsm_peer_open(&third, test_name, CAPACITY, GSM_LOCAL));
    gsm_memory_remove(test_name);
    // The memory can't be closed in order any more. Another one can be made.
    memset(&one, 0, sizeof one);
    memset(&two, 0, sizeof two);
    open_both();
    close_both();
}

static void wait_for_the_end(notes *all) {
    char buffer[8];
    gsm_message message;
    for (;;) {
        OK(gsm_peer_open(&two, test_name, CAPACITY, GSM_LOCAL));
        OK(gsm_peer_wait_connected(&two, 20000));
        IS(GSM_GONE, gsm_peer_receive(&two, &message, buffer, sizeof buffer, 20000));
        add(all, 1);
        wait_for(all, 2, get(all, 1));
        gsm_peer_close(&two);
    }
}

static void a_side_that_closes_wakes_its_partner(void) {
    enum { ROUNDS = 9 };
    notes *all = shared_notes();
    uint64_t quick = 0;
    pid_t process = start(wait_for_the_end, all);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        while (gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL) != GSM_OK) continue;
        OK(gsm_peer_wait_connected(&one, 20000));
        gsmi_sleep(50 * MSEC + i * MSEC);  // until it sleeps
        uint64_t before = gsm_clock();
        gsm_peer_close(&one);
        wait_for(all, 1, i);
        quick += gsm_clock() - before < 5 * MSEC;
        add(all, 2);
    }
    // Without a wake, a sleep of 40 ms ends by itself, an eighth of them so soon.
    CHECK(quick > ROUNDS / 2);
    end(process);
    gsm_memory_remove(test_name);
}

static void echo(notes *all) {
    char buffer[100];
    gsm_message message;
    OK(gsm_peer_open(&two, test_name, CAPACITY, GSM_LOCAL));
    add(all, 0);
    for (;;) {
        gsm_error error = gsm_peer_receive(&two, &message, buffer, sizeof buffer, 20000);
        if (error != GSM_GONE) OK(error);
        if (error == GSM_OK) error = gsm_peer_send(&two, &message, buffer, 20000);
    }
}

static void a_request_and_its_answer_wake_at_once(void) {
    enum { ROUNDS = 400 };
    notes *all = shared_notes();
    char buffer[64];
    pid_t process = start(echo, all);
    OK(gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL));
    OK(gsm_peer_wait_connected(&one, 10000));
    uint64_t before = gsm_clock();
    for (uint64_t i = 0; i < ROUNDS; i++) {
        gsm_message message = gsm_bytes(64), answer;
        memset(buffer, (int)i, sizeof buffer);
        OK(gsm_peer_request(&one, &message, buffer, &answer, buffer, sizeof buffer, 10000));
        CHECK(answer.length == 64 && buffer[63] == (char)i);
    }
    uint64_t took = (gsm_clock() - before) / ROUNDS;
    // Without a wake, each way would take 40 ms.
    CHECK(took < 10 * MSEC);
    printf("       a request took %d us\n", (int)(took / 1000));
    end(process);
    gsm_peer_close(&one);
}

// Each life of a side has a number. Its messages count from 0.
typedef struct chat {
    uint64_t kind, life, number;
} chat;
enum { PLAIN, QUESTION, REPLY };

// Talks for as long as it lives, and checks that each partner's messages come without gaps, and that the end of
// each is told between its messages and those of the next one.
static void talk(notes *all) {
    uint64_t state = gsmi_random(), life = state, partner = 0, expected = 0, sent = 0, asked = 0;
    char padding[600] = {0};
    gsm_message message, answer;
    gsm_error error;
    while ((error = gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL)) == GSM_ERROR_IN_USE || error == GSM_BUSY)
        continue;
    OK(error);
    for (;;) {
        chat found, mine = {PLAIN, life, sent};
        memset(padding, 0, sizeof padding);
        error = gsm_peer_receive(&one, &message, padding, sizeof padding, next_random(&state) % 3);
        memcpy(&found, padding, sizeof found);
        if (error == GSM_OK && found.kind == PLAIN) {
            if (partner == 0) partner = found.life;
            CHECK(found.life == partner && found.number == expected && message.length >= sizeof found);
            expected++;
            add(all, 1);
        } else if (error == GSM_OK) {
            // Answers come to gsm_peer_request() alone.
            CHECK(found.kind == QUESTION && one.is_request);
            found.kind = REPLY;
            memcpy(padding, &found, sizeof found);
            error = gsm_peer_send(&one, &message, padding, 20);
        } else if (error != GSM_GONE && next_random(&state) % 4 == 0) {
            message = gsm_bytes(sizeof mine);
            mine.kind = QUESTION;
            mine.number = ++asked;
            error = gsm_peer_request(&one, &message, &mine, &answer, padding, sizeof padding, 5);
            memcpy(&found, padding, sizeof found);
            if (error == GSM_OK) CHECK(found.kind == REPLY && found.life == life && found.number == asked);
            if (error == GSM_OK) add(all, 2);
        } else if (error != GSM_GONE) {
            memcpy(padding, &mine, sizeof mine);
            message = gsm_bytes(sizeof mine + next_random(&state) % 500);
            error = gsm_peer_send(&one, &message, padding, 0);
            if (error == GSM_OK) sent++;
        }
        if (error == GSM_GONE) {
            partner = expected = sent = 0;
            add(all, 3);
        } else if (error != GSM_OK && error != GSM_EMPTY && error != GSM_TIMEOUT && error != GSM_FULL) {
            IS(GSM_NO_PARTNER, error);
        }
    }
}

static void killed_sides_lose_and_double_nothing(void) {
    notes *all = shared_notes();
    uint64_t state = test_seed, until = gsm_clock() + 3000ull * MSEC, kills = 0;
    pid_t sides[2] = {start(talk, all), start(talk, all)};
    while (gsm_clock() < until) {
        gsmi_sleep(next_random(&state) % (20 * MSEC));
        uint64_t choice = next_random(&state);
        int i = choice & 1;
        if (choice >> 1 & 1) {
            kill(sides[i], SIGSTOP);
            gsmi_sleep(choice >> 8 & (8 * MSEC - 1));
            kill(sides[i], SIGCONT);
            continue;
        }
        end(sides[i]);
        kills++;
        if (choice >> 2 & 1) {
            end(sides[!i]);
            kills++;
            sides[!i] = start(talk, all);
        }
        sides[i] = start(talk, all);
    }
    for (int i = 0; i < 2; i++) end(sides[i]);
    CHECK(get(all, 1) > 100 && get(all, 2) > 10 && get(all, 3) > 10);
    printf("       %d kills, %d ends told; %d messages, %d answers\n", (int)kills, (int)get(all, 3),
           (int)get(all, 1), (int)get(all, 2));
    open_both();
    close_both();
}

static void compete(notes *all) {
    uint64_t state = gsmi_random();
    for (;;) {
        gsm_error error = gsm_peer_open(&one, test_name, CAPACITY, GSM_LOCAL);
        // Never more than two.
        if (error != GSM_OK) {
            CHECK(error == GSM_ERROR_IN_USE || error == GSM_BUSY);
            add(all, 2);
            continue;
        }
        error = gsm_peer_wait_connected(&one, 20);
        if (error == GSM_OK) {
            add(all, 1);
            CHECK(send_text(&one, "hello") != GSM_FULL);
            receive(&one);
        }
        gsmi_sleep(next_random(&state) % (next_random(&state) % 8 ? MSEC : 90 * MSEC));
        gsm_peer_close(&one);
    }
}

static void many_programs_compete_for_two_sides(void) {
    notes *all = shared_notes();
    uint64_t state = test_seed;
    pid_t sides[4];
    for (int i = 0; i < 4; i++) sides[i] = start(compete, all);
    for (uint64_t until = gsm_clock() + 2000ull * MSEC; gsm_clock() < until;) {
        gsmi_sleep(next_random(&state) % (20 * MSEC));
        int i = (int)(next_random(&state) % 4);
        end(sides[i]);
        sides[i] = start(compete, all);
    }
    for (int i = 0; i < 4; i++) end(sides[i]);
    printf("       %d times connected, %d times refused\n", (int)get(all, 1), (int)get(all, 2));
    CHECK(get(all, 1) > 20 && get(all, 2) > 0);
    open_both();
    close_both();
}

// ---- A hostile program ----

static void scribble(notes *all) {
    static const uint64_t values[] = {0, 1, 8, 24, 4096, 0xFFFFFFFF, UINT64_C(1) << 62, UINT64_MAX - 7};
    gsm_memory memory;
    uint64_t state = test_seed;
    OK(gsm_memory_open(&memory, test_name, GSM_READ_WRITE));
    add(all, 0);
    for (;;) {
        uint64_t at = next_random(&state) % 0x400 / 8 * 8, value = values[next_random(&state) % 8];
        at += next_random(&state) % 2 ? 256 + CAPACITY : 0;
        uint64_t old = gsmi_load64(memory.data + at);
        if (next_random(&state) % 4) value = old + 8 - next_random(&state) % 17;
        gsmi_store64(memory.data + at, value);
        // The words are right most of the time, so that the calls get further.
        if (next_random(&state) % 32) gsmi_store64(memory.data + at, old);
        if (next_random(&state) % 16 == 0) gsmi_sleep(MSEC / 10);
        // The name goes with each creator, and comes again.
        if (next_random(&state) % 16 || gsm_memory_is_current(&memory)) continue;
        gsm_memory_close(&memory);
        while (gsm_memory_open(&memory, test_name, GSM_READ_WRITE) != GSM_OK) continue;
    }
}

static void no_call_outlasts_a_hostile_program(void) {
    notes *all = shared_notes();
    uint64_t state = test_seed, calls = 0, longest = 0, arrived = 0, wrong = 0;
    char buffer[100];
    gsm_message message = gsm_text(5), found;
    open_both();
    pid_t process = start(scribble, all);
    wait_for(all, 0, 1);
    uint64_t began = gsm_clock(), least = began + 1500ull * MSEC, most = began + 20000ull * MSEC;
    // For long enough that both have happened.
    for (; gsm_clock() < least || ((arrived <= 10 || wrong <= 10) && gsm_clock() < most); calls++) {
        gsm_peer *peer = next_random(&state) % 2 ? &one : &two;
        uint64_t before = gsm_clock();
        gsm_error error;
        switch (next_random(&state) % 6) {
            case 0: error = gsm_peer_ask(peer, &message, "hello", 3); break;
            case 1: error = gsm_peer_request(peer, &message, "hello", &found, buffer, sizeof buffer, 3); break;
            case 2: error = gsm_peer_wait_connected(peer, 3); break;
            case 3: error = gsm_peer_send(peer, &message, "hello", 3); break;
            default:
                error = gsm_peer_receive(peer, &found, buffer, sizeof buffer, 3);
                if (error == GSM_OK) CHECK(found.length <= sizeof buffer && gsm_message_check(&found) == GSM_OK);
                arrived += error == GSM_OK;
                break;
        }
        wrong += error == GSM_ERROR_INVALID_DATA;
        uint64_t took = gsm_clock() - before;
        longest = took > longest ? took : longest;
        if (next_random(&state) % 64 == 0) {
            gsm_peer_close(peer);
            error = gsm_peer_open(peer, test_name, CAPACITY, GSM_LOCAL);
            if (error != GSM_OK) {
                // Both again, in memory that is right.
                close_both();
                end(process);
                gsm_memory_remove(test_name);
                open_both();
                process = start(scribble, all);
            }
        }
    }
    printf("       %d calls, %d wrong, %d messages, the longest took %d ms\n", (int)calls, (int)wrong,
           (int)arrived, (int)(longest / MSEC));
    CHECK(longest < 2000ull * MSEC && arrived > 10 && wrong > 10);
    end(process);
    close_both();
    gsm_memory_remove(test_name);
}

#endif

int main(int count, char **words) {
    begin_tests(count, words);
    RUN(memory_of_a_pair_is_as_documented);
    RUN(marks_are_answered_as_documented);
    RUN(records_that_are_wrong_count_as_read);
    RUN(arguments_outside_the_limits_are_refused);
    RUN(either_side_opens_first_closes_and_comes_again);
    RUN(a_third_side_is_refused);
    RUN(memory_of_another_kind_is_left_alone);
    RUN(messages_of_each_kind_arrive);
    RUN(a_full_lane_and_a_small_buffer_lose_nothing);
    RUN(the_next_message_answers_the_last_request);
    RUN(late_answers_are_dropped_and_counted);
    RUN(each_call_tells_of_the_end_once);
    RUN(messages_to_one_partner_never_reach_the_next);
    RUN(a_full_lane_of_a_dead_side_delays_the_next_one);
    RUN(any_word_may_have_any_value);
#ifdef __linux__
    RUN(a_kill_is_noticed_at_once_but_not_a_stop);
    RUN(each_order_of_starts_and_deaths_leads_back);
    RUN(memory_that_cannot_be_replaced_is_emptied);
    RUN(memory_that_is_no_pair_is_replaced_when_its_creator_is_dead);
    RUN(only_its_own_memory_is_removed);
    RUN(a_child_takes_neither_name_nor_sides_along);
    RUN(truncated_memory_is_refused);
    RUN(a_side_that_closes_wakes_its_partner);
    RUN(a_request_and_its_answer_wake_at_once);
    RUN(killed_sides_lose_and_double_nothing);
    RUN(many_programs_compete_for_two_sides);
    RUN(no_call_outlasts_a_hostile_program);
#endif
    return end_tests();
}
