// A partner for tests: executes one command per line of stdin, and prints one line per command on stdout.
//
// The answer is "ok" with results, or "error NAME" with the name of a gsm_error without GSM_. A line that
// isn't a command gets "error USAGE". The program ends with stdin, as if by `exit`.
//
//   create NAME SIZE local|global      memory; there is one at a time
//   open NAME rw|ro                    file PATH rw|ro: the same for a file
//   current                            ok 0|1: whether the name still leads to this memory
//   remove NAME
//   get OFFSET LENGTH                  ok HEX: bytes of the memory
//   set OFFSET HEX
//   close                              objects and memory
//
//   stream LIMIT READERS               attaches a stream; queue CAPACITY LANES: a queue
//   geometry                           ok latest|lanes limit=N count=N incarnation=N max=N, of what is attached
//   detach                             gives the roles back
//   reset
//
//   write KIND CONTENT                 stream: ok SEQUENCE; draw KIND CONTENT: the same without a copy
//   begin                              stream: begins a message, and leaves it so
//   read | peek                        stream: ok MESSAGE; peek gives no content
//   new | missed | sequence | age | writer     stream: ok NUMBER
//   wait MSEC                          stream or queue
//
//   mutex NAME ID                      opens a lock; there is one at a time
//   lock MSEC                          ok 0|1: whether it was abandoned
//   locked                             ok 0|1: whether any program holds it
//   unlock | leave                     leave: closes the lock
//   add PATH N                         N times: locks, adds 1 to the u64 at the beginning of a file, unlocks.
//                                      ok N: how often it was abandoned
//
//   peer NAME CAPACITY                 opens a peer; there is one at a time
//   connect MSEC                       waits for a partner
//   status                             ok closed|waiting|connected
//   send MSEC KIND CONTENT             ask MSEC KIND CONTENT: the same, as a request
//   receive MSEC                       message|request|answer ok MESSAGE
//   request MSEC KIND CONTENT          answer ok MESSAGE
//   late                               ok NUMBER: answers that came too late
//   part                               closes the peer
//   echo MSEC                          for so long, sends back what it receives. ok N gone=N
//   talk MSEC SEED MOST                for so long, sends random messages to a partner that does that, every
//                                      eighth as a request, and checks what comes back. Each partner has a
//                                      seed of its own, one more than the last. ok N requests=N gone=N, or:
//                                      error WRONG N
//
//   enqueue MSEC KIND CONTENT          queue
//   dequeue MSEC | peek                queue: ok MESSAGE
//   count | consumer | producers       queue: ok NUMBER
//
//   produce N SEED MOST MSEC           puts N random messages into the queue, of MOST bytes at most; with a
//                                      stream, writes them. MSEC: for each. ok N chain=HASH
//   consume N MSEC                     takes N such messages out, and checks each; with a stream, reads N new
//                                      ones. ok N chain=HASH last=INDEX, or: error WRONG N
//   follow N MSEC                      as consume, for as long as messages come, and across seeds: the index of
//                                      each is one more than that of the one before. ok N lost=N again=N, or
//                                      the same after: error NAME
//   sleep MSEC
//   die                                ends at once, without closing
//   exit
//
// KIND: bytes, text, value, array:ELEMENT:MEANING:N or N1xN2, image:WIDTHxHEIGHT:FORMAT[:STRIDE] with numbers
// for names, or tag:TAG:S1:S2:S3:S4, which isn't checked here. CONTENT: hexadecimal digits, "-" for none, or
// fill:SEED:LENGTH. MESSAGE: tag=0xHEX shape=A,B,C,D length=N sequence=N hash=0xHEX, and content=HEX if there
// are 1 to 256 bytes.
//
// fill: the bytes of splitmix64's numbers from SEED, each little-endian. hash: FNV-1a, 64 bits, of the tag
// and the shape (five little-endian u32) and the content. chain: 0 at first, then FNV-1a of the chain and the
// hash (two little-endian u64) for each message.
//
// Random messages: message i (from 0) has the payload SEED, i (two little-endian u64), and then fill(SEED +
// i). It is the content of bytes, of an array of i32, and of an image of L8 that is 8 wide. A text has it in
// hexadecimal digits, a value as a PackedByteArray.

// Tests of two versions build a second partner with an older header.
#ifdef GSM_HEADER
#include GSM_HEADER
#else
#include "godot_shared_memory.h"
#endif

static gsm_memory memory;
static gsm_stream stream;
static gsm_queue queue;
static unsigned char *content, *other;  // the message of a command, and one to compare with
static uint64_t room;                   // bytes of either

static const char *error_name(gsm_error error) {
    static const char *const names[] = {
        "OK", "ERROR_ARGUMENT", "ERROR_READ_ONLY", "ERROR_MESSAGE", "ERROR_TOO_LONG", "ERROR_BUFFER",
        "ERROR_SYSTEM", "ERROR_EXISTS", "ERROR_NOT_FOUND", "ERROR_SIZE", "ERROR_FOREIGN", "ERROR_VERSION",
        "ERROR_LAYOUT", "ERROR_IN_USE", "ERROR_INVALID_DATA", "NOT_LAID_OUT", "EMPTY", "FULL", "TIMEOUT", "GONE",
        "BUSY", "NO_PARTNER",
    };
    return (size_t)error < sizeof names / sizeof *names ? names[error] : "UNKNOWN";
}

static void answer(gsm_error error) {
    if (error == GSM_OK) puts("ok");
    else printf("error %s\n", error_name(error));
}

static void answer_number(gsm_error error, int64_t number) {
    if (error == GSM_OK) printf("ok %lld\n", (long long)number);
    else answer(error);
}

static void usage(void) { puts("error USAGE"); }

static void make_room(uint64_t length) {
    if (length <= room) return;
    room = length;
    content = (unsigned char *)realloc(content, (size_t)room);
    other = (unsigned char *)realloc(other, (size_t)room);
    if (content == NULL || other == NULL) abort();
}

// ---- Contents ----

static void fill(uint64_t seed, unsigned char *bytes, uint64_t length) {
    for (uint64_t i = 0; i < length; i += 8) {
        uint64_t z = seed += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        memcpy(bytes + i, &z, length - i < 8 ? (size_t)(length - i) : 8);
    }
}

static uint64_t fnv(uint64_t hash, const void *bytes, uint64_t length) {
    for (uint64_t i = 0; i < length; i++) hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001B3u;
    return hash;
}

static uint64_t hash_of(const gsm_message *message, const unsigned char *bytes) {
    uint64_t hash = fnv(0xCBF29CE484222325u, &message->tag, 4);
    hash = fnv(hash, message->shape, 16);
    return fnv(hash, bytes, message->length);
}

static uint64_t chained(uint64_t chain, uint64_t hash) {
    uint64_t pair[2] = {chain, hash};
    return fnv(0xCBF29CE484222325u, pair, sizeof pair);
}

static void print_hex(const unsigned char *bytes, uint64_t length) {
    for (uint64_t i = 0; i < length; i++) printf("%02x", bytes[i]);
}

static void answer_message(gsm_error error, const gsm_message *message, int has_content) {
    if (error != GSM_OK) {
        answer(error);
        return;
    }
    printf("ok tag=0x%x shape=%u,%u,%u,%u length=%llu sequence=%llu", message->tag, message->shape[0],
           message->shape[1], message->shape[2], message->shape[3], (unsigned long long)message->length,
           (unsigned long long)message->sequence);
    if (has_content) printf(" hash=0x%016llx", (unsigned long long)hash_of(message, content));
    if (has_content && message->length >= 1 && message->length <= 256) {
        printf(" content=");
        print_hex(content, message->length);
    }
    putchar('\n');
}

// Puts the bytes of a CONTENT into `content`, and returns their number, or -1.
static int64_t parse_content(const char *text) {
    unsigned long long seed, length;
    if (text == NULL) return -1;
    if (sscanf(text, "fill:%llu:%llu", &seed, &length) == 2) {
        if (length > 1ull << 34) return -1;
        make_room(length);
        fill(seed, content, length);
        return (int64_t)length;
    }
    size_t digits = strcmp(text, "-") == 0 ? 0 : strlen(text);
    if (digits % 2 || strspn(text, "0123456789abcdefABCDEF") < digits) return -1;
    make_room(digits / 2);
    for (size_t i = 0; i < digits; i += 2) {
        char pair[3] = {text[i], text[i + 1], 0};
        content[i / 2] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return (int64_t)(digits / 2);
}

// Describes the message of a KIND. Its length is that of the content, right or wrong.
static int parse_message(const char *kind, int64_t length, gsm_message *message) {
    unsigned a, b, c = 0, d = 0, e = 0;
    if (kind == NULL || length < 0) return 0;
    *message = gsm_bytes(0);
    if (strcmp(kind, "text") == 0) *message = gsm_text(0);
    else if (strcmp(kind, "value") == 0) *message = gsm_value(0);
    else if (sscanf(kind, "array:%u:%u:%ux%u", &a, &b, &c, &d) >= 3) {
        uint32_t shape[4] = {c, d, 0, 0};
        *message = gsm_array(a, b, strchr(kind, 'x') ? 2 : 1, shape);
    } else if (sscanf(kind, "image:%ux%u:%u:%u", &a, &b, &c, &d) >= 3) {
        *message = gsm_image(a, b, c);
        if (d != 0) message->shape[3] = d;
    } else if (sscanf(kind, "tag:%i:%u:%u:%u:%u", (int *)&a, &b, &c, &d, &e) == 5) {
        message->tag = a;
        message->shape[0] = b, message->shape[1] = c, message->shape[2] = d, message->shape[3] = e;
    } else if (strcmp(kind, "bytes") != 0) return 0;
    message->length = (uint64_t)length;
    return 1;
}

// ---- Random messages ----

enum { PAYLOAD = 16 };

// Puts message `i` of a seed into `bytes`. `most` is at least 64.
static gsm_message random_message(uint64_t seed, uint64_t i, uint64_t most, unsigned char *bytes) {
    uint64_t choice;
    fill(seed ^ ~i, (unsigned char *)&choice, sizeof choice);
    uint32_t kind = (uint32_t)(choice % 5) + GSM_BYTES;
    // Many are short, some are as long as they can be.
    uint64_t limit = choice >> 8 & 7 ? (most < 512 ? most : 512) : most;
    uint64_t longest = kind == GSM_TEXT ? limit / 2 : limit - 8;
    uint64_t length = PAYLOAD + (choice >> 16) % (longest - PAYLOAD + 1);
    if (kind == GSM_ARRAY || kind == GSM_IMAGE || kind == GSM_VALUE) length -= length % 8;
    unsigned char *payload = bytes + (kind == GSM_VALUE ? 8 : 0);
    memcpy(payload, &seed, 8);
    memcpy(payload + 8, &i, 8);
    fill(seed + i, payload + PAYLOAD, length - PAYLOAD);
    if (kind == GSM_TEXT) {
        for (uint64_t j = length; j-- > 0;) {
            unsigned char byte = bytes[j];
            bytes[2 * j] = (unsigned char)"0123456789abcdef"[byte >> 4];
            bytes[2 * j + 1] = (unsigned char)"0123456789abcdef"[byte & 15];
        }
        return gsm_text(2 * length);
    }
    if (kind == GSM_VALUE) {
        uint32_t words[2] = {29, (uint32_t)length};  // TYPE_PACKED_BYTE_ARRAY
        memcpy(bytes, words, 8);
        return gsm_value(8 + length);
    }
    uint32_t elements = (uint32_t)(length / 4);
    if (kind == GSM_ARRAY) return gsm_array(GSM_I32, GSM_NUMBERS, 1, &elements);
    if (kind == GSM_IMAGE) return gsm_image(8, (uint32_t)(length / 8), GSM_L8);
    return gsm_bytes(length);
}

static int digit(unsigned char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

// Compares a message with the random one that it says it is. Returns its index, or -1.
static int64_t check_random(const gsm_message *message) {
    uint64_t pair[2];
    unsigned char head[PAYLOAD];
    uint64_t start = gsm_kind(message) == GSM_VALUE ? 8 : 0;
    if (message->length < start + PAYLOAD * (gsm_kind(message) == GSM_TEXT ? 2u : 1u)) return -1;
    memcpy(head, content + start, PAYLOAD);
    if (gsm_kind(message) == GSM_TEXT)
        for (int i = 0; i < PAYLOAD; i++)
            head[i] = (unsigned char)(digit(content[2 * i]) << 4 | digit(content[2 * i + 1]));
    memcpy(pair, head, sizeof pair);
    // The length depends on the longest message, which the reader doesn't know.
    uint64_t length = gsm_kind(message) == GSM_TEXT ? message->length / 2 : message->length - start;
    if (start && memcmp(content, "\x1d\0\0\0", 4) != 0) return -1;
    memcpy(other, head, PAYLOAD);
    fill(pair[0] + pair[1], other + PAYLOAD, length - PAYLOAD);
    for (uint64_t i = 0; i < length; i++) {
        int byte = gsm_kind(message) == GSM_TEXT ? digit(content[2 * i]) << 4 | digit(content[2 * i + 1])
                                                 : content[start + i];
        if (byte != other[i]) return -1;
    }
    return (int64_t)pair[1];
}

static void produce(uint64_t many, uint64_t seed, uint64_t most, int64_t msec) {
    uint64_t chain = 0;
    make_room(most + 64);
    for (uint64_t i = 0; i < many; i++) {
        gsm_message message = random_message(seed, i, most, content);
        gsm_error error = queue.at.memory ? gsm_queue_enqueue(&queue, &message, content, msec)
                                          : gsm_stream_write(&stream, &message, content);
        if (error != GSM_OK) {
            printf("error %s %llu\n", error_name(error), (unsigned long long)i);
            return;
        }
        chain = chained(chain, hash_of(&message, content));
    }
    printf("ok %llu chain=0x%016llx\n", (unsigned long long)many, (unsigned long long)chain);
}

static gsm_error take_any(gsm_message *message, int64_t msec) {
    for (;;) {
        gsm_error error;
        if (queue.at.memory) {
            error = gsm_queue_dequeue(&queue, message, content, room, msec);
        } else {
            error = gsm_stream_wait(&stream, msec);
            if (error == GSM_OK) error = gsm_stream_read(&stream, message, content, room);
        }
        if (error != GSM_ERROR_BUFFER) return error;
        make_room(message->length);
    }
}

static void consume(uint64_t many, int64_t msec) {
    uint64_t chain = 0;
    int64_t last = -1;
    for (uint64_t i = 0; i < many; i++) {
        gsm_message message;
        gsm_error error = take_any(&message, msec);
        if (error != GSM_OK || (last = check_random(&message)) < 0) {
            printf("error %s %llu\n", error == GSM_OK ? "WRONG" : error_name(error), (unsigned long long)i);
            return;
        }
        chain = chained(chain, hash_of(&message, content));
    }
    printf("ok %llu chain=0x%016llx last=%lld\n", (unsigned long long)many, (unsigned long long)chain,
           (long long)last);
}

// Takes messages out, and counts what is missing between two of one seed, and what has come before.
static void follow(uint64_t many, int64_t msec) {
    static uint64_t seed, next;
    uint64_t taken = 0, lost = 0, again = 0;
    gsm_error error = GSM_OK;
    int is_wrong = 0;
    while (taken < many && error == GSM_OK && !is_wrong) {
        gsm_message message;
        error = take_any(&message, msec);
        if (error != GSM_OK) break;
        int64_t index = check_random(&message);
        is_wrong = index < 0;
        uint64_t from;
        memcpy(&from, other, sizeof from);
        if (from == seed && next != 0 && (uint64_t)index > next) lost += (uint64_t)index - next;
        if (from == seed && next != 0 && (uint64_t)index < next) again++;
        seed = from;
        next = (uint64_t)index + 1;
        taken++;
    }
    if (is_wrong) printf("error WRONG ");
    else if (error != GSM_OK) printf("error %s ", error_name(error));
    else printf("ok ");
    printf("%llu lost=%llu again=%llu\n", (unsigned long long)taken, (unsigned long long)lost,
           (unsigned long long)again);
}

// ---- Commands ----

static uint64_t number(const char *text) { return text ? strtoull(text, NULL, 0) : 0; }

static void close_all(void) {
    gsm_stream_detach(&stream);
    gsm_queue_detach(&queue);
    gsm_memory_close(&memory);
}

static void write_stream(const gsm_message *message, int draws) {
    void *place;
    gsm_error error;
    if (!draws) {
        error = gsm_stream_write(&stream, message, content);
    } else {
        error = gsm_stream_begin(&stream, &place);
        if (error == GSM_OK && message->length <= gsm_stream_max_length(&stream))
            memcpy(place, content, (size_t)message->length);
        if (error == GSM_OK) error = gsm_stream_commit(&stream, message);
    }
    answer_number(error, (int64_t)(stream.latest >> 8));
}

static void bytes_of_memory(char **words, int sets) {
    uint64_t offset = number(words[1]), length = number(words[2]);
    int64_t parsed = sets ? parse_content(words[2]) : 0;
    if (sets) length = (uint64_t)parsed;
    if (parsed < 0 || memory.data == NULL || offset > memory.size || length > memory.size - offset ||
        (sets && !memory.is_writable)) {
        usage();
    } else if (sets) {
        memcpy(memory.data + offset, content, (size_t)length);
        puts("ok");
    } else {
        printf("ok ");
        print_hex(memory.data + offset, length);
        putchar('\n');
    }
}

static void memory_command(char **words) {
    const char *command = words[0];
    int access = words[2] && strcmp(words[2], "ro") == 0 ? GSM_READ_ONLY : GSM_READ_WRITE;
    if (strcmp(command, "remove") == 0) {
        answer(gsm_memory_remove(words[1]));
        return;
    }
    close_all();
    if (strcmp(command, "create") == 0) {
        int scope = words[3] && strcmp(words[3], "global") == 0 ? GSM_GLOBAL : GSM_LOCAL;
        answer(gsm_memory_create(&memory, words[1], number(words[2]), scope));
    } else if (strcmp(command, "open") == 0) {
        answer(gsm_memory_open(&memory, words[1], access));
    } else if (strcmp(command, "file") == 0) {
        answer(gsm_memory_open_file(&memory, words[1], access));
    } else {
        puts("ok");
    }
}

static void geometry(void) {
    const gsm_attachment *at = queue.at.memory ? &queue.at : &stream.at;
    uint64_t most = queue.at.memory ? gsm_queue_max_length(&queue) : gsm_stream_max_length(&stream);
    printf("ok %s limit=%llu count=%u incarnation=%llu max=%llu\n", queue.at.memory ? "lanes" : "latest",
           (unsigned long long)at->limit, at->count, (unsigned long long)at->incarnation,
           (unsigned long long)most);
}

static void stream_command(char **words) {
    const char *command = words[0];
    gsm_message message;
    void *place;
    if (strcmp(command, "write") == 0 || strcmp(command, "draw") == 0) {
        if (parse_message(words[1], parse_content(words[2]), &message)) write_stream(&message, command[0] == 'd');
        else usage();
    } else if (strcmp(command, "begin") == 0) {
        answer(gsm_stream_begin(&stream, &place));
    } else if (strcmp(command, "read") == 0) {
        gsm_error error;
        while ((error = gsm_stream_read(&stream, &message, content, room)) == GSM_ERROR_BUFFER)
            make_room(message.length);
        answer_message(error, &message, 1);
    } else if (strcmp(command, "peek") == 0) {
        answer_message(gsm_stream_peek(&stream, &message), &message, 0);
    } else if (strcmp(command, "new") == 0) {
        answer_number(GSM_OK, gsm_stream_has_new(&stream));
    } else if (strcmp(command, "missed") == 0) {
        answer_number(GSM_OK, (int64_t)gsm_stream_missed(&stream));
    } else if (strcmp(command, "sequence") == 0) {
        answer_number(GSM_OK, (int64_t)stream.sequence);
    } else if (strcmp(command, "age") == 0) {
        answer_number(GSM_OK, gsm_stream_age(&stream));
    } else if (strcmp(command, "writer") == 0) {
        answer_number(GSM_OK, gsm_stream_has_writer(&stream));
    } else if (strcmp(command, "wait") == 0) {
        answer(gsm_stream_wait(&stream, (int64_t)number(words[1])));
    } else if (strcmp(command, "reset") == 0) {
        answer(gsm_stream_reset(&stream));
    } else {
        usage();
    }
}

static void queue_command(char **words) {
    const char *command = words[0];
    gsm_message message;
    uint64_t count;
    if (strcmp(command, "enqueue") == 0) {
        if (parse_message(words[2], parse_content(words[3]), &message))
            answer(gsm_queue_enqueue(&queue, &message, content, (int64_t)number(words[1])));
        else usage();
    } else if (strcmp(command, "dequeue") == 0) {
        answer_message(take_any(&message, (int64_t)number(words[1])), &message, 1);
    } else if (strcmp(command, "peek") == 0) {
        answer_message(gsm_queue_peek(&queue, &message), &message, 0);
    } else if (strcmp(command, "count") == 0) {
        gsm_error error = gsm_queue_count(&queue, &count);
        answer_number(error, (int64_t)count);
    } else if (strcmp(command, "consumer") == 0) {
        answer_number(GSM_OK, gsm_queue_has_consumer(&queue));
    } else if (strcmp(command, "producers") == 0) {
        answer_number(GSM_OK, gsm_queue_producers(&queue));
    } else if (strcmp(command, "wait") == 0) {
        answer(gsm_queue_wait(&queue, (int64_t)number(words[1])));
    } else if (strcmp(command, "reset") == 0) {
        answer(gsm_queue_reset(&queue));
    } else {
        usage();
    }
}

static gsm_mutex mutex;

static void add(const char *path, uint64_t times) {
    gsm_memory number_memory;
    int64_t abandoned = 0;
    gsm_error error = gsm_memory_open_file(&number_memory, path, GSM_READ_WRITE);
    while (error == GSM_OK && times-- > 0) {
        uint64_t value;
        error = gsm_mutex_lock(&mutex, 10000);
        if (error != GSM_OK) break;
        abandoned += gsm_mutex_was_abandoned(&mutex);
        memcpy(&value, number_memory.data, sizeof value);
        value++;
        memcpy(number_memory.data, &value, sizeof value);
        error = gsm_mutex_unlock(&mutex);
    }
    gsm_memory_close(&number_memory);
    answer_number(error, abandoned);
}

static void mutex_command(char **words) {
    const char *command = words[0];
    if (strcmp(command, "mutex") == 0) {
        gsm_mutex_close(&mutex);
        answer(gsm_mutex_open(&mutex, words[1], (uint32_t)number(words[2]), GSM_LOCAL));
    } else if (strcmp(command, "lock") == 0) {
        gsm_error error = gsm_mutex_lock(&mutex, (int64_t)number(words[1]));
        answer_number(error, gsm_mutex_was_abandoned(&mutex));
    } else if (strcmp(command, "locked") == 0) {
        answer_number(GSM_OK, gsm_mutex_is_locked(&mutex));
    } else if (strcmp(command, "unlock") == 0) {
        answer(gsm_mutex_unlock(&mutex));
    } else if (strcmp(command, "leave") == 0) {
        gsm_mutex_close(&mutex);
        puts("ok");
    } else {
        add(words[1], number(words[2]));
    }
}

static int is_one_of(const char *command, const char *list) {
    const char *found = strstr(list, command);
    size_t length = strlen(command);
    return found && (found == list || found[-1] == ' ') && (found[length] == ' ' || found[length] == 0);
}

static gsm_peer peer;

static gsm_error receive_any(gsm_message *message, int64_t msec) {
    gsm_error error;
    while ((error = gsm_peer_receive(&peer, message, content, room, msec)) == GSM_ERROR_BUFFER)
        make_room(message->length);
    return error;
}

static void echo(int64_t msec) {
    uint64_t end = gsm_clock() + (uint64_t)msec * GSMI_MSEC, many = 0, gone = 0;
    while (gsm_clock() < end) {
        gsm_message message;
        gsm_error error = receive_any(&message, 20);
        if (error == GSM_OK) {
            many++;
            error = gsm_peer_send(&peer, &message, content, 1000);
        }
        gone += error == GSM_GONE;
        if (error != GSM_OK && error != GSM_TIMEOUT && error != GSM_GONE && error != GSM_NO_PARTNER) {
            answer(error);
            return;
        }
    }
    printf("ok %llu gone=%llu\n", (unsigned long long)many, (unsigned long long)gone);
}

// Returns whether `content` has message `i` of a seed.
static int is_random(const gsm_message *message, uint64_t seed, uint64_t i) {
    uint64_t from;
    if (check_random(message) != (int64_t)i) return 0;
    memcpy(&from, other, sizeof from);
    return from == seed;
}

static void talk(int64_t msec, uint64_t seed, uint64_t most) {
    enum { EVERY = 8, AHEAD = 50 };
    uint64_t end = gsm_clock() + (uint64_t)msec * GSMI_MSEC;
    uint64_t many = 0, requests = 0, gone = 0, sent = 0, expected = 0;
    gsm_error error = GSM_OK;
    int is_wrong = 0;
    make_room(most + 64);
    while (!is_wrong && gsm_clock() < end) {
        gsm_message message, found;
        error = receive_any(&message, 0);
        if (error == GSM_OK) {
            is_wrong = !is_random(&message, seed, expected);
            expected += expected % EVERY == EVERY - 2 ? 2 : 1;
            many++;
        } else if (error == GSM_EMPTY && sent < expected + AHEAD) {
            message = random_message(seed, sent, most, content);
            if (sent % EVERY == EVERY - 1) {
                error = gsm_peer_request(&peer, &message, content, &found, content, room, 200);
                if (error == GSM_OK) {
                    is_wrong = !is_random(&found, seed, sent);
                    requests++;
                }
                if (error == GSM_TIMEOUT) error = GSM_OK;
            } else {
                error = gsm_peer_send(&peer, &message, content, 0);
            }
            if (error == GSM_OK) sent++;
        }
        if (error == GSM_GONE) {
            gone++;
            seed++;
            sent = expected = 0;
        } else if (error == GSM_EMPTY || error == GSM_FULL || error == GSM_NO_PARTNER) {
            error = gsm_peer_wait(&peer, 5);
            if (error == GSM_TIMEOUT) error = GSM_OK;
        }
        if (error != GSM_OK && error != GSM_GONE) break;
    }
    if (!is_wrong && error != GSM_OK && error != GSM_GONE) answer(error);
    else
        printf("%s %llu requests=%llu gone=%llu\n", is_wrong ? "error WRONG" : "ok", (unsigned long long)many,
               (unsigned long long)requests, (unsigned long long)gone);
}

static void answer_received(gsm_error error, const gsm_message *message, const char *what) {
    if (error == GSM_OK) printf("%s ", what);
    answer_message(error, message, 1);
}

static void peer_command(char **words) {
    static const char *const states[] = {"closed", "waiting", "connected"};
    const char *command = words[0];
    int64_t msec = (int64_t)number(words[1]);
    gsm_message message, found;
    int has_message = is_one_of(command, "send ask request");
    if (has_message && !parse_message(words[2], parse_content(words[3]), &message)) {
        usage();
    } else if (strcmp(command, "peer") == 0) {
        gsm_peer_close(&peer);
        answer(gsm_peer_open(&peer, words[1], number(words[2]), GSM_LOCAL));
    } else if (strcmp(command, "connect") == 0) {
        answer(gsm_peer_wait_connected(&peer, msec));
    } else if (strcmp(command, "status") == 0) {
        printf("ok %s\n", states[gsm_peer_status(&peer)]);
    } else if (strcmp(command, "send") == 0) {
        answer(gsm_peer_send(&peer, &message, content, msec));
    } else if (strcmp(command, "ask") == 0) {
        answer(gsm_peer_ask(&peer, &message, content, msec));
    } else if (strcmp(command, "receive") == 0) {
        gsm_error error = receive_any(&found, msec);
        answer_received(error, &found, peer.is_request ? "request" : peer.is_answer ? "answer" : "message");
    } else if (strcmp(command, "request") == 0) {
        gsm_error error = gsm_peer_request(&peer, &message, content, &found, content, room, msec);
        if (error == GSM_ERROR_BUFFER) {
            make_room(found.length);
            do error = gsm_peer_receive(&peer, &found, content, room, 0);
            while (error == GSM_OK && !peer.is_answer);
        }
        answer_received(error, &found, "answer");
    } else if (strcmp(command, "late") == 0) {
        answer_number(GSM_OK, (int64_t)peer.late);
    } else if (strcmp(command, "echo") == 0) {
        echo(msec);
    } else if (strcmp(command, "talk") == 0) {
        if (number(words[3]) < 64) usage();
        else talk(msec, number(words[2]), number(words[3]));
    } else {
        gsm_peer_close(&peer);
        puts("ok");
    }
}

static void execute(char **words) {
    const char *command = words[0];
    if (is_one_of(command, "create open file remove close")) {
        memory_command(words);
    } else if (strcmp(command, "current") == 0) {
        answer_number(GSM_OK, gsm_memory_is_current(&memory));
    } else if (is_one_of(command, "get set")) {
        bytes_of_memory(words, command[0] == 's');
    } else if (is_one_of(command, "stream queue detach")) {
        gsm_stream_detach(&stream);
        gsm_queue_detach(&queue);
        gsm_error error = GSM_OK;
        uint64_t limit = number(words[1]);
        uint32_t count = (uint32_t)number(words[2]);
        if (command[0] == 's') error = gsm_stream_attach(&stream, &memory, limit, count);
        if (command[0] == 'q') error = gsm_queue_attach(&queue, &memory, limit, count);
        answer(error);
    } else if (strcmp(command, "geometry") == 0) {
        geometry();
    } else if (strcmp(command, "produce") == 0) {
        uint64_t most = number(words[3]);
        if (most < 64) usage();
        else produce(number(words[1]), number(words[2]), most, (int64_t)number(words[4]));
    } else if (strcmp(command, "consume") == 0) {
        consume(number(words[1]), (int64_t)number(words[2]));
    } else if (strcmp(command, "follow") == 0) {
        follow(number(words[1]), (int64_t)number(words[2]));
    } else if (strcmp(command, "sleep") == 0) {
        gsmi_sleep(number(words[1]) * GSMI_MSEC);
        puts("ok");
    } else if (is_one_of(command, "mutex lock locked unlock leave add")) {
        mutex_command(words);
    } else if (is_one_of(command, "peer connect status send ask receive request late part echo talk")) {
        peer_command(words);
    } else if (queue.at.memory) {
        queue_command(words);
    } else {
        stream_command(words);
    }
}

// Reads a line of any length. Returns 0 at the end.
static int read_line(char **line, size_t *size) {
    size_t length = 0;
    for (;;) {
        if (*size - length < 2) {
            *size = *size * 2 + 256;
            *line = (char *)realloc(*line, *size);
            if (*line == NULL) abort();
        }
        if (!fgets(*line + length, (int)(*size - length), stdin)) return length > 0;
        length += strlen(*line + length);
        if (length > 0 && (*line)[length - 1] == '\n') return 1;
    }
}

int main(void) {
    char *line = NULL;
    size_t size = 0;
    make_room(4096);
    while (read_line(&line, &size)) {
        char *words[8] = {NULL};
        int many = 0;
        for (char *word = strtok(line, " \t\r\n"); word && many < 7; word = strtok(NULL, " \t\r\n"))
            words[many++] = word;
        if (many == 0) continue;
        if (strcmp(words[0], "exit") == 0) break;
        if (strcmp(words[0], "die") == 0) _Exit(0);
        execute(words);
        fflush(stdout);
    }
    close_all();
    gsm_mutex_close(&mutex);
    gsm_peer_close(&peer);
    puts("ok");
    free(line);
    free(content);
    free(other);
    return 0;
}
