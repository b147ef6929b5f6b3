// Single steps: an operation dies after each of its instructions that changes the memory. A copy of the
// memory shows then that nothing is torn, lost or doubled, and that the next program goes on. Linux only.

#include "check.h"

#include <sys/ptrace.h>

enum { SIZE = 8960 };  // of a pair with the smallest rings

static gsm_memory memory, copy;
static char copy_name[80];

static gsm_message text_of(char letter, unsigned char *content) {
    uint64_t length = 20 + (uint64_t)(letter - 'a') * 9;
    memset(content, letter, (size_t)length);
    return gsm_text(length);
}

// Returns the letter that a whole message consists of.
static char letter_of(const gsm_message *message, const unsigned char *content) {
    unsigned char expected[400];
    gsm_message right = text_of((char)content[0], expected);
    CHECK(message->length == right.length && message->tag == right.tag);
    CHECK(memcmp(content, expected, (size_t)right.length) == 0);
    return (char)content[0];
}

static void write_letter(gsm_stream *stream, char letter) {
    unsigned char content[400];
    gsm_message message = text_of(letter, content);
    OK(gsm_stream_write(stream, &message, content));
}

static gsm_error read_letter(gsm_stream *stream, char *letter) {
    unsigned char content[400];
    gsm_message message;
    gsm_error error = gsm_stream_read(stream, &message, content, sizeof content);
    if (error == GSM_OK) *letter = letter_of(&message, content);
    return error;
}

static void put_letter(gsm_queue *queue, char letter) {
    unsigned char content[400];
    gsm_message message = text_of(letter, content);
    OK(gsm_queue_enqueue(queue, &message, content, 0));
}

static gsm_error take_letter(gsm_queue *queue, char *letter) {
    unsigned char content[400];
    gsm_message message;
    gsm_error error = gsm_queue_dequeue(queue, &message, content, sizeof content, 0);
    if (error == GSM_OK) *letter = letter_of(&message, content);
    return error;
}

// Starts the operation in a child, which stops before it.
static pid_t start_traced(void (*operation)(gsm_memory *)) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        gsm_memory mine;
        OK(gsm_memory_open(&mine, test_name, GSM_READ_WRITE));
        CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
        raise(SIGSTOP);
        operation(&mine);
        _Exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
    return child;
}

// Executes an instruction. Returns 0 when the child has ended well.
static int step(pid_t child) {
    int status;
    CHECK(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0);
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFSTOPPED(status)) return 1;
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}

static void check_states_of(const char *what, pid_t child, void (*check)(void)) {
    int steps = 0, states = 0;
    do {
        if (steps++ && memcmp(copy.data, memory.data, SIZE) == 0) continue;
        memcpy(copy.data, memory.data, SIZE);
        states++;
        check();
        memcpy(copy.data, memory.data, SIZE);
    } while (step(child));
    // Before, after, and at least one between. Wide vectors store a header at once.
    CHECK(states > 2);
    printf("       %s: %d instructions, %d states\n", what, steps, states);
}

static void check_each_state(const char *what, void (*operation)(gsm_memory *), void (*check)(void)) {
    check_states_of(what, start_traced(operation), check);
}

static void set_up(void) {
    snprintf(copy_name, sizeof copy_name, "%s-copy", test_name);
    OK(gsm_memory_create(&memory, test_name, SIZE, GSM_LOCAL));
    OK(gsm_memory_create(&copy, copy_name, SIZE, GSM_LOCAL));
}

static void tear_down(void) {
    gsm_memory_close(&memory);
    gsm_memory_close(&copy);
}

// ---- Streams ----

static void write_b(gsm_memory *mine) {
    gsm_stream stream;
    OK(gsm_stream_attach(&stream, mine, 0, 0));
    write_letter(&stream, 'b');
}

// A slot that has a sequence number has a whole message: readers without a pin rely on that.
static void numbered_slots_are_whole(const gsm_stream *stream) {
    unsigned char content[400];
    gsm_message message;
    for (uint32_t k = 0; k < stream->at.count + 2; k++) {
        if (gsmi_load64(gsmi_slot_at(stream, k)) == 0) continue;
        OK(gsmi_copy_slot(stream, k, &message, content, sizeof content));
        letter_of(&message, content);
    }
}

static void newest_is_whole(void) {
    gsm_stream reader, second, writer;
    gsm_memory read_only;
    char letter = 0;
    OK(gsm_memory_open(&read_only, copy_name, GSM_READ_ONLY));
    OK(gsm_stream_attach(&second, &read_only, 0, 0));
    numbered_slots_are_whole(&second);
    OK(read_letter(&second, &letter));
    CHECK(letter == 'a' || letter == 'b');
    OK(gsm_stream_attach(&reader, &copy, 0, 0));
    OK(read_letter(&reader, &letter));
    CHECK(letter == 'a' || letter == 'b');
    uint64_t sequence = reader.sequence;
    OK(gsm_stream_attach(&writer, &copy, 0, 0));
    for (int i = 0; i < 4; i++) write_letter(&writer, 'c');
    OK(read_letter(&reader, &letter));
    CHECK(letter == 'c' && reader.sequence == sequence + 4 && reader.missed == 3);
    gsm_stream_detach(&reader);
    gsm_stream_detach(&writer);
    gsm_memory_close(&read_only);
}

static void a_writer_that_dies_leaves_a_whole_message(void) {
    gsm_stream stream;
    set_up();
    OK(gsm_stream_attach(&stream, &memory, 400, 1));
    for (int i = 0; i < 4; i++) write_letter(&stream, 'a');
    gsm_stream_detach(&stream);
    check_each_state("writing", write_b, newest_is_whole);
    tear_down();
}

static void read_a(gsm_memory *mine) {
    gsm_stream stream;
    char letter = 0;
    OK(gsm_stream_attach(&stream, mine, 0, 0));
    for (int i = 0; i < 2; i++) {
        OK(read_letter(&stream, &letter));
        CHECK(letter >= 'a');
    }
}

static void a_reader_that_dies_costs_nothing(void) {
    gsm_stream stream;
    set_up();
    OK(gsm_stream_attach(&stream, &memory, 400, 1));
    write_letter(&stream, 'a');
    gsm_stream_detach(&stream);
    check_each_state("reading", read_a, newest_is_whole);
    tear_down();
}

// Publishes as gsm_stream_commit() does, but dies before it helps. The next writer takes over.
static void publish_and_die(gsm_stream *stream, char letter) {
    unsigned char content[400];
    gsm_message message = text_of(letter, content);
    gsmi_slot header;
    void *place;
    OK(gsm_stream_begin(stream, &place));
    memcpy(place, content, (size_t)message.length);
    memset(&header, 0, sizeof header);
    header.sequence = (stream->latest >> 8) + 1;
    header.length = message.length;
    header.tag = message.tag;
    memcpy(gsmi_slot_at(stream, stream->slot), &header, sizeof header);
    gsmi_store64(gsmi_newest(stream), header.sequence << 8 | stream->slot);
    gsm_stream_detach(stream);
    OK(gsm_stream_attach(stream, &memory, 0, 0));
}

// The writer writes some messages after any instruction of a reader. Some of its lives end before it helps.
static void a_reader_gets_a_whole_message_whenever_the_writer_writes(void) {
    uint64_t state = test_seed;
    for (int pins = 0; pins < 2; pins++) {
        gsm_stream stream;
        int most = 0, status;
        set_up();
        OK(gsm_stream_attach(&stream, &memory, 400, (uint32_t)pins));
        write_letter(&stream, 'a');
        for (int round = 0; round < 120; round++) {
            pid_t child = start_traced(read_a);
            // The first round counts the instructions.
            int at = most ? (int)(next_random(&state) % (uint64_t)most) : 1 << 30, done = 0, runs = 1;
            while (runs && done < at) done += runs = step(child);
            if (!most) most = done;
            for (uint64_t many = 1 + next_random(&state) % 4; many > 0; many--) {
                char letter = (char)('a' + next_random(&state) % 26);
                if (next_random(&state) % 2) publish_and_die(&stream, letter);
                else write_letter(&stream, letter);
                for (uint64_t i = next_random(&state) % 30; i > 0 && runs; i--) runs = step(child);
            }
            if (!runs) continue;
            CHECK(ptrace(PTRACE_CONT, child, NULL, NULL) == 0);
            CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
        tear_down();
    }
}

// ---- Queues ----

static char prepared[20];  // the letters in the queue before the operation

static void enqueue_x(gsm_memory *mine) {
    gsm_queue queue;
    OK(gsm_queue_attach(&queue, mine, 0, 0));
    put_letter(&queue, 'x');
}

static void dequeue_one(gsm_memory *mine) {
    gsm_queue queue;
    char letter = 0;
    OK(gsm_queue_attach(&queue, mine, 0, 0));
    OK(take_letter(&queue, &letter));
    CHECK(letter == prepared[0]);
}

static void all_come_once(void) {
    gsm_queue producer, consumer;
    uint64_t count;
    char found[20] = "", letter = 0, with_x[24], with_y[24];
    OK(gsm_queue_attach(&producer, &copy, 0, 0));
    OK(gsm_queue_attach(&consumer, &copy, 0, 0));
    OK(gsm_queue_count(&consumer, &count));
    CHECK(count <= 5);
    unsigned char content[400];
    gsm_message message = text_of('y', content);
    gsm_error error = gsm_queue_enqueue(&producer, &message, content, 0);
    CHECK(error == GSM_OK || error == GSM_FULL);
    for (size_t i = 0; i < sizeof found - 1 && take_letter(&consumer, &letter) == GSM_OK; i++) found[i] = letter;
    CHECK(strlen(found) == count + (error == GSM_OK));
    snprintf(with_x, sizeof with_x, "%sx%s", prepared, error == GSM_OK ? "y" : "");
    snprintf(with_y, sizeof with_y, "%s%s", prepared, error == GSM_OK ? "y" : "");
    // Before or after the operation: with or without the new message, with or without the first one.
    CHECK(!strcmp(found, with_x) || !strcmp(found, with_y) || !strcmp(found, with_y + 1));
    for (char again = 'c'; again < 'h'; again++) {
        put_letter(&producer, again);
        OK(take_letter(&consumer, &letter));
        CHECK(letter == again);
    }
    OK(gsm_queue_count(&consumer, &count));
    CHECK(count == 0);
    gsm_queue_detach(&producer);
    gsm_queue_detach(&consumer);
}

static void test_queue(const char *what, void (*operation)(gsm_memory *)) {
    // With some positions, padding is in the way.
    for (int shift = 0; shift < 6; shift++) {
        gsm_queue queue;
        char letter = 0;
        set_up();
        OK(gsm_queue_attach(&queue, &memory, 1024, 1));
        for (int i = 0; i < shift; i++) {
            put_letter(&queue, 'q');
            OK(take_letter(&queue, &letter));
        }
        strcpy(prepared, shift % 2 ? "kl" : "abk");
        for (const char *c = prepared; *c; c++) put_letter(&queue, *c);
        gsm_queue_detach(&queue);
        check_each_state(what, operation, all_come_once);
        tear_down();
    }
}

static void a_producer_that_dies_leaves_whole_messages(void) { test_queue("enqueuing", enqueue_x); }
static void a_consumer_that_dies_loses_nothing(void) { test_queue("dequeuing", dequeue_one); }

// ---- Peers ----

static gsm_peer survivor;   // in `memory`
static const char *sent;    // the letters that the dying side sends, in this order
static int was_connected;   // so the survivor is told of its end

static void send_letter(gsm_peer *peer, char letter) {
    unsigned char content[400];
    gsm_message message = text_of(letter, content);
    OK(gsm_peer_send(peer, &message, content, 0));
}

static gsm_error receive_letter(gsm_peer *peer, char *letter) {
    unsigned char content[400];
    gsm_message message;
    gsm_error error = gsm_peer_receive(peer, &message, content, sizeof content, 0);
    if (error == GSM_OK) *letter = letter_of(&message, content);
    return error;
}

// The survivor gets a beginning of what was sent, is told of the end once, and talks to the next side.
static void the_survivor_goes_on(void) {
    gsm_peer mine = survivor, next;
    char letter = 0;
    size_t got = 0;
    gsm_error error;
    // What a process knows is in its object, which goes on in the copy.
    mine.memory = copy;
    mine.queue.at.memory = &mine.memory;
    OK(gsmi_claim(&mine.memory, mine.queue.at.incarnation, GSMI_SIDE + mine.queue.lane));
    while ((error = receive_letter(&mine, &letter)) == GSM_OK) CHECK(got < strlen(sent) && letter == sent[got++]);
    CHECK(error == GSM_GONE || (error == GSM_EMPTY && !was_connected));
    IS(GSM_EMPTY, receive_letter(&mine, &letter));
    OK(gsm_peer_open(&next, copy_name, 4096, GSM_LOCAL));
    for (int i = 0; i < 10; i++) gsm_peer_status(&mine), gsm_peer_status(&next);
    CHECK(gsm_peer_status(&mine) == GSM_CONNECTED && gsm_peer_status(&next) == GSM_CONNECTED);
    IS(GSM_EMPTY, receive_letter(&mine, &letter));
    IS(GSM_EMPTY, receive_letter(&next, &letter));
    for (char again = 'c'; again < 'h'; again++) {
        send_letter(&next, again);
        OK(receive_letter(&mine, &letter));
        CHECK(letter == again && !mine.is_answer);
        send_letter(&mine, again);
        OK(receive_letter(&next, &letter));
        CHECK(letter == again && !next.is_answer);
    }
    gsm_peer_close(&next);
    IS(GSM_GONE, receive_letter(&mine, &letter));
    gsmi_give_back(&mine.memory, mine.queue.at.incarnation, GSMI_SIDE + mine.queue.lane);
}

static void open_side(gsm_memory *mine) {
    gsm_peer peer;
    (void)mine;
    OK(gsm_peer_open(&peer, test_name, 4096, GSM_LOCAL));
    IS(GSM_TIMEOUT, gsm_peer_wait_connected(&peer, 0));
}

// Starts a side, and stops it when it is connected, before it sends, receives, answers and closes.
static pid_t start_connected(void) {
    int status;
    unsigned char content[400];
    pid_t child = fork();
    if (child == 0) {
        gsm_peer peer;
        gsm_message message;
        OK(gsm_peer_open(&peer, test_name, 4096, GSM_LOCAL));
        OK(gsm_peer_wait_connected(&peer, 10000));
        CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
        raise(SIGSTOP);
        send_letter(&peer, 'x');
        OK(gsm_peer_receive(&peer, &message, content, sizeof content, 0));
        OK(gsm_peer_send(&peer, &message, content, 0));
        gsm_peer_close(&peer);
        _Exit(0);
    }
    while (waitpid(child, &status, WNOHANG) == 0) gsm_peer_status(&survivor);
    CHECK(WIFSTOPPED(status) && gsm_peer_status(&survivor) == GSM_CONNECTED);
    gsm_message message = text_of('q', content);
    OK(gsm_peer_ask(&survivor, &message, content, 0));
    return child;
}

static void a_side_that_dies_leaves_whole_messages_and_one_end(void) {
    // With some positions, padding is in the way.
    for (int lives = 0; lives < 4; lives++) {
        char letter;
        snprintf(copy_name, sizeof copy_name, "%s-copy", test_name);
        OK(gsm_memory_create(&copy, copy_name, SIZE, GSM_LOCAL));
        OK(gsm_peer_open(&survivor, test_name, 4096, GSM_LOCAL));
        memory = survivor.memory;
        CHECK(memory.size == SIZE);
        for (int i = 0; i < lives * 17; i++) {
            gsm_peer other;
            OK(gsm_peer_open(&other, test_name, 4096, GSM_LOCAL));
            for (int j = 0; j < 10; j++) gsm_peer_status(&survivor), gsm_peer_status(&other);
            send_letter(&other, 'a');
            OK(receive_letter(&survivor, &letter));
            gsm_peer_close(&other);
            IS(GSM_GONE, receive_letter(&survivor, &letter));
        }
        sent = "";
        was_connected = 0;
        check_each_state("opening a side", open_side, the_survivor_goes_on);
        receive_letter(&survivor, &letter);
        IS(GSM_EMPTY, receive_letter(&survivor, &letter));
        sent = "xq";
        was_connected = 1;
        check_states_of("talking", start_connected(), the_survivor_goes_on);
        gsm_peer_close(&survivor);
        gsm_memory_close(&copy);
    }
}

// ---- Laying out ----

static void lay_out(gsm_memory *mine) {
    gsm_stream stream;
    OK(gsm_stream_attach(&stream, mine, 200, 1));
}

static void can_be_laid_out(void) {
    gsm_stream stream;
    char letter = 0;
    OK(gsm_stream_attach(&stream, &copy, 200, 1));
    IS(GSM_EMPTY, read_letter(&stream, &letter));
    write_letter(&stream, 'a');
    OK(read_letter(&stream, &letter));
    gsm_stream_detach(&stream);
}

static void reset_stream(gsm_memory *mine) {
    gsm_stream stream;
    OK(gsm_stream_attach(&stream, mine, 0, 0));
    OK(gsm_stream_reset(&stream));
}

static void stream_is_whole_or_empty(void) {
    gsm_memory other;
    gsm_stream stream;
    char letter = 0;
    // A program without wishes goes on, too.
    OK(gsm_memory_open(&other, copy_name, GSM_READ_WRITE));
    OK(gsm_stream_attach(&stream, &other, 0, 0));
    gsm_error error = read_letter(&stream, &letter);
    CHECK(error == GSM_EMPTY || (error == GSM_OK && letter == 'a'));
    write_letter(&stream, 'b');
    OK(read_letter(&stream, &letter));
    CHECK(letter == 'b' && stream.missed == 0);
    static uint64_t least;
    CHECK(stream.sequence >= least);
    least = stream.sequence;
    gsm_stream_detach(&stream);
    gsm_memory_close(&other);
}

static void reset_queue(gsm_memory *mine) {
    gsm_queue queue;
    OK(gsm_queue_attach(&queue, mine, 0, 0));
    OK(gsm_queue_reset(&queue));
}

static void queue_is_whole_or_empty(void) {
    gsm_memory other;
    gsm_queue queue;
    uint64_t count;
    char letter = 0;
    OK(gsm_memory_open(&other, copy_name, GSM_READ_WRITE));
    OK(gsm_queue_attach(&queue, &other, 0, 0));
    OK(gsm_queue_count(&queue, &count));
    CHECK(count == 0 || count == 2);
    for (uint64_t i = 0; i < count; i++) OK(take_letter(&queue, &letter));
    put_letter(&queue, 'b');
    OK(take_letter(&queue, &letter));
    CHECK(letter == 'b' && take_letter(&queue, &letter) == GSM_EMPTY);
    gsm_queue_detach(&queue);
    gsm_memory_close(&other);
}

static void the_next_goes_on_after_a_death_while_laying_out_or_resetting(void) {
    gsm_stream stream;
    gsm_queue queue;
    set_up();
    check_each_state("laying out", lay_out, can_be_laid_out);
    tear_down();
    set_up();
    OK(gsm_stream_attach(&stream, &memory, 400, 1));
    write_letter(&stream, 'a');
    gsm_stream_detach(&stream);
    check_each_state("resetting a stream", reset_stream, stream_is_whole_or_empty);
    tear_down();
    set_up();
    OK(gsm_queue_attach(&queue, &memory, 1024, 1));
    put_letter(&queue, 'a');
    put_letter(&queue, 'b');
    gsm_queue_detach(&queue);
    check_each_state("resetting a queue", reset_queue, queue_is_whole_or_empty);
    tear_down();
}

int main(int count, char **words) {
    begin_tests(count, words);
    RUN(a_writer_that_dies_leaves_a_whole_message);
    RUN(a_reader_that_dies_costs_nothing);
    RUN(a_reader_gets_a_whole_message_whenever_the_writer_writes);
    RUN(a_producer_that_dies_leaves_whole_messages);
    RUN(a_consumer_that_dies_loses_nothing);
    RUN(a_side_that_dies_leaves_whole_messages_and_one_end);
    RUN(the_next_goes_on_after_a_death_while_laying_out_or_resetting);
    return end_tests();
}
