// godot_shared_memory.h: streams, queues, peers and locks in shared memory, for programs that talk with Godot.
//
// One header without a library, for C11 and C++17, GCC and Clang, on little-endian systems with 64 bits. It
// speaks the native format, version 1.0, of the Godot addon "Shared Memory": docs/FORMAT.md of that project
// describes every byte. Linux is complete. Windows (mingw or clang), macOS and FreeBSD look every millisecond
// where Linux sleeps. Include this header first, or compile with -D_GNU_SOURCE.
//
// MEMORY has a name and a size. One program creates it, the others open it:
//
//     gsm_memory memory;
//     gsm_error error = gsm_memory_create(&memory, "camera", 1 << 20, GSM_LOCAL);
//     if (error != GSM_OK) { puts(gsm_error_text(error)); return 1; }
//     ...
//     gsm_memory_close(&memory);  // the creator's call also removes the name
//
// On Linux, a name whose creator was killed is taken over by the next creator.
//
// A STREAM has the newest value. One program writes, any number of programs read, and nobody waits:
//
//     gsm_stream stream;
//     gsm_stream_create(&stream, &memory, "camera", 640 * 480 * 4, 2, GSM_LOCAL);  // two readers never retry
//     gsm_message picture = gsm_image(640, 480, GSM_RGBA8);
//     gsm_stream_write(&stream, &picture, pixels);
//     ...
//     gsm_memory_close(&memory);                  // also ends the stream
//
//     char text[64];                              // elsewhere, in another program
//     gsm_message message;
//     gsm_stream_open(&stream, &memory, "camera");
//     if (gsm_stream_wait(&stream, 1000) == GSM_OK &&
//         gsm_stream_read(&stream, &message, text, sizeof text) == GSM_OK && gsm_kind(&message) == GSM_TEXT)
//         printf("%.*s\n", (int)message.length, text);
//
// A QUEUE has every message, in the order of each producer. Up to 64 programs put messages in, one takes out:
//
//     gsm_queue queue;
//     gsm_queue_create(&queue, &memory, "orders", 4096, 1, GSM_LOCAL);  // or gsm_queue_open() elsewhere
//     gsm_message hello = gsm_text(5);
//     gsm_queue_enqueue(&queue, &hello, "hello", 1000);
//     gsm_queue_dequeue(&queue, &message, text, sizeof text, 1000);
//
// gsm_stream_attach() and gsm_queue_attach() are for memory that is open already, such as a file.
//
// A PEER is one of two programs that talk. Both open the same name, either first, as often as they like:
//
//     gsm_peer peer;
//     gsm_peer_open(&peer, "game", 1 << 20, GSM_LOCAL);
//     if (gsm_peer_request(&peer, &hello, "hello", &message, text, sizeof text, 1000) == GSM_OK) ...
//
//     gsm_error error = gsm_peer_receive(&peer, &message, text, sizeof text, 1000);  // elsewhere
//     if (error == GSM_OK && peer.is_request) gsm_peer_send(&peer, &hello, "world", 0);
//     if (error == GSM_GONE) ...  // once, when the partner has ended: the next one may come
//
// A MUTEX is a lock that programs share under a name of its own. A program that is killed gives it back:
//
//     gsm_mutex mutex;
//     gsm_mutex_open(&mutex, "scores_lock", 0, GSM_LOCAL);
//     if (gsm_mutex_lock(&mutex, 1000) == GSM_OK) {
//         if (gsm_mutex_was_abandoned(&mutex)) ...  // the program before died in the middle
//         ...
//         gsm_mutex_unlock(&mutex);
//     }
//     gsm_mutex_close(&mutex);
//
// A MESSAGE has a kind: bytes, text, an array of numbers, an image, or any other value of Godot in the form
// of `var_to_bytes()`. gsm_bytes(), gsm_text(), gsm_array(), gsm_image() and gsm_value() describe one, and
// its content is beside it. A received message has been checked: its shape fits its length.
//
// ROLES. A program is the writer, a reader with a pin, a producer or the consumer from its first call that
// needs this role. The role ends with gsm_stream_detach(), gsm_queue_detach(), gsm_memory_close() or the
// process, however the process ends. GSM_ERROR_IN_USE says that another program has the role.
//
// ERRORS. Functions return a gsm_error. After GSM_ERROR_SYSTEM, errno or GetLastError() has the reason. A
// function that fails has published nothing, and has taken no message out. GSM_ERROR_INVALID_DATA may be the
// exception: a message of a kind that this header doesn't know counts as read. States of the other side have
// names without ERROR.
//
// UNITS. Sizes and lengths are in bytes, timeouts in milliseconds, times and ages in nanoseconds. A timeout
// of 0 doesn't wait, a negative one is GSM_ERROR_ARGUMENT, and no function waits longer than its timeout.
// Attaching waits for a program that is laying the memory out, for a second at most, and then is GSM_BUSY.
//
// THREADS. One thread uses a gsm_stream, gsm_queue, gsm_peer or gsm_mutex at a time. Several objects may share a
// gsm_memory, each in its own thread. After fork(), either the parent or the child may use an object, not
// both.
//
// SAFETY. The other programs may be wrong or hostile. Every field is copied once, and the copy is checked. So
// no content of the memory leads a function out of bounds or into an endless loop. A program that truncates
// the memory is not caught: the next access raises SIGBUS. A program that can't trust its partners so far
// handles that signal, or lets a child process do the reading. No function allocates memory, and there is no
// global state.

#ifndef GODOT_SHARED_MEMORY_H
#define GODOT_SHARED_MEMORY_H

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#ifdef __linux__
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#ifndef O_TMPFILE
#error "include godot_shared_memory.h before all other headers, or compile with -D_GNU_SOURCE"
#endif
#endif

#ifndef __GNUC__
#error "godot_shared_memory.h needs GCC or Clang"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || __SIZEOF_POINTER__ != 8
#error "godot_shared_memory.h needs a little-endian system with 64 bits"
#endif

#ifdef __cplusplus
#define GSMI_ASSERT(condition) static_assert(condition, #condition)
#else
#define GSMI_ASSERT(condition) _Static_assert(condition, #condition)
#endif

// ---- Results ----

typedef enum gsm_error {
    GSM_OK = 0,
    // Mistakes of the caller.
    GSM_ERROR_ARGUMENT,
    GSM_ERROR_READ_ONLY,
    GSM_ERROR_MESSAGE,
    GSM_ERROR_TOO_LONG,
    GSM_ERROR_BUFFER,
    // Memory that can't be used so.
    GSM_ERROR_SYSTEM,
    GSM_ERROR_EXISTS,
    GSM_ERROR_NOT_FOUND,
    GSM_ERROR_SIZE,
    GSM_ERROR_FOREIGN,
    GSM_ERROR_VERSION,
    GSM_ERROR_LAYOUT,
    GSM_ERROR_IN_USE,
    GSM_ERROR_INVALID_DATA,
    // States of the other side: try again later.
    GSM_NOT_LAID_OUT,
    GSM_EMPTY,
    GSM_FULL,
    GSM_TIMEOUT,
    GSM_GONE,
    GSM_BUSY,
    GSM_NO_PARTNER
} gsm_error;

// Returns what an error means, in English. The text is constant.
static inline const char *gsm_error_text(gsm_error error) {
    switch (error) {
        case GSM_OK: return "success";
        case GSM_ERROR_ARGUMENT: return "an argument is outside its limits";
        case GSM_ERROR_READ_ONLY: return "the memory is open for reading only";
        case GSM_ERROR_MESSAGE: return "the shape or the length of the message contradicts its kind";
        case GSM_ERROR_TOO_LONG: return "the message is longer than the layout's limit";
        case GSM_ERROR_BUFFER: return "the buffer is smaller than the message, which stays where it is";
        case GSM_ERROR_SYSTEM: return "the system refused a call: see errno or GetLastError()";
        case GSM_ERROR_EXISTS: return "the name is in use";
        case GSM_ERROR_NOT_FOUND: return "there is no memory of this name";
        case GSM_ERROR_SIZE: return "the memory or its layout is smaller than asked for";
        case GSM_ERROR_FOREIGN: return "the memory holds something else than this format";
        case GSM_ERROR_VERSION: return "the memory was laid out by a newer version, which must not be ignored";
        case GSM_ERROR_LAYOUT: return "the memory has another layout";
        case GSM_ERROR_IN_USE: return "another object or program holds the role";
        case GSM_ERROR_INVALID_DATA: return "another program wrote what the format doesn't allow";
        case GSM_NOT_LAID_OUT: return "the memory isn't laid out yet";
        case GSM_EMPTY: return "there is no message";
        case GSM_FULL: return "there is no room until other messages are taken out";
        case GSM_TIMEOUT: return "the time is up";
        case GSM_GONE: return "the other side ended";
        case GSM_BUSY: return "the other side is faster, or is laying the memory out";
        case GSM_NO_PARTNER: return "no partner is connected";
    }
    return "unknown error";
}

// ---- Messages ----

enum { GSM_BYTES = 1, GSM_TEXT, GSM_ARRAY, GSM_IMAGE, GSM_VALUE };              // kinds
enum { GSM_I32 = 1, GSM_I64, GSM_F32, GSM_F64 };                                // elements of arrays
enum { GSM_NUMBERS = 0, GSM_VECTORS, GSM_COLORS };                              // meanings of arrays
enum {                                                                          // formats of images
    GSM_L8, GSM_LA8, GSM_R8, GSM_RG8, GSM_RGB8, GSM_RGBA8, GSM_RGBA4444, GSM_RGB565, GSM_RF, GSM_RGF, GSM_RGBF,
    GSM_RGBAF, GSM_RH, GSM_RGH, GSM_RGBH, GSM_RGBAH, GSM_RGBE9995, GSM_BGR8 = 256, GSM_BGRA8
};

// A description of a message. The content is in a buffer of its own.
typedef struct gsm_message {
    uint32_t tag;       // kind, and for arrays the element, the meaning and the number of dimensions
    uint32_t shape[4];  // of an array: its dimensions; of an image: width, height, format, bytes of a row
    uint64_t length;    // bytes of the content
    uint64_t sequence;  // of a message read from a stream: its number. Ignored when writing.
    uint64_t time;      // the same: gsm_clock() when it was written, 0 if that is unknown
} gsm_message;

static inline uint32_t gsm_kind(const gsm_message *message) { return message->tag & 0xFF; }
static inline uint32_t gsm_element(const gsm_message *message) { return message->tag >> 8 & 0xFF; }
static inline uint32_t gsm_meaning(const gsm_message *message) { return message->tag >> 16 & 0xFF; }
static inline uint32_t gsm_dimensions(const gsm_message *message) { return message->tag >> 24 & 7; }

static inline gsm_message gsmi_message(uint32_t tag, uint64_t length) {
    gsm_message message;
    memset(&message, 0, sizeof message);
    message.tag = tag;
    message.length = length;
    return message;
}

// Describes any bytes. Godot receives a PackedByteArray.
static inline gsm_message gsm_bytes(uint64_t length) { return gsmi_message(GSM_BYTES, length); }

// Describes UTF-8 of `length` bytes, without a NUL at the end. Godot receives a String.
static inline gsm_message gsm_text(uint64_t length) { return gsmi_message(GSM_TEXT, length); }

// Describes a value as Godot's var_to_bytes() returns it.
static inline gsm_message gsm_value(uint64_t length) { return gsmi_message(GSM_VALUE, length); }

// Returns the bytes of an element, or 0 for an unknown one.
static inline uint32_t gsm_element_size(uint32_t element) {
    return element == GSM_I32 || element == GSM_F32 ? 4 : element == GSM_I64 || element == GSM_F64 ? 8 : 0;
}

// Returns the bytes of a pixel, or 0 for an unknown format.
static inline uint32_t gsm_pixel_size(uint32_t format) {
    static const uint8_t sizes[] = {1, 2, 1, 2, 3, 4, 2, 2, 4, 8, 12, 16, 2, 4, 6, 8, 4};
    if (format < sizeof sizes) return sizes[format];
    return format == GSM_BGR8 ? 3 : format == GSM_BGRA8 ? 4 : 0;
}

// Returns the bytes of an array, or UINT64_MAX if they can't be counted.
static inline uint64_t gsmi_array_length(uint32_t element, uint32_t dimensions, const uint32_t *shape) {
    uint64_t length = gsm_element_size(element);
    for (uint32_t i = 0; i < dimensions; i++)
        if (shape[i] == 0) return 0;
    for (uint32_t i = 0; i < dimensions; i++) {
        if (length > UINT64_MAX / shape[i]) return UINT64_MAX;
        length *= shape[i];
    }
    return length;
}

// Describes an array with 1 to 4 dimensions, the outermost first. Vectors and colours have two dimensions.
// Wrong arguments give a description that no function sends.
static inline gsm_message gsm_array(uint32_t element, uint32_t meaning, uint32_t dimensions,
                                    const uint32_t *shape) {
    gsm_message message = gsmi_message(0, 0);
    if (element > GSM_F64 || meaning > GSM_COLORS || dimensions - 1 > 3) return message;
    message.tag = GSM_ARRAY | element << 8 | meaning << 16 | dimensions << 24;
    memcpy(message.shape, shape, dimensions * sizeof *shape);
    message.length = gsmi_array_length(element, dimensions, shape);
    return message;
}

// Describes an image without gaps between its rows, which begin at the top. For rows with gaps, store the
// bytes from one row to the next in `shape[3]`, and the product with the height in `length`.
static inline gsm_message gsm_image(uint32_t width, uint32_t height, uint32_t format) {
    uint64_t stride = (uint64_t)width * gsm_pixel_size(format);
    gsm_message message = gsmi_message(GSM_IMAGE, stride * height);
    message.shape[0] = width;
    message.shape[1] = height;
    message.shape[2] = format;
    message.shape[3] = (uint32_t)stride;
    return message;
}

// Returns GSM_OK if tag, shape and length agree, GSM_ERROR_MESSAGE if not. Unused parts of `shape` are
// ignored.
static inline gsm_error gsm_message_check(const gsm_message *message) {
    const uint32_t *shape = message->shape, kind = gsm_kind(message), most = 1 << 24;
    if (kind == GSM_ARRAY) {
        uint32_t element = gsm_element(message), meaning = gsm_meaning(message), d = gsm_dimensions(message);
        int is_float = element == GSM_F32 || element == GSM_F64;
        if (message->tag >> 27 || !gsm_element_size(element) || meaning > GSM_COLORS || d < 1 || d > 4)
            return GSM_ERROR_MESSAGE;
        if (meaning == GSM_VECTORS && (!is_float || d != 2 || shape[1] < 2 || shape[1] > 4))
            return GSM_ERROR_MESSAGE;
        if (meaning == GSM_COLORS && (!is_float || d != 2 || shape[1] != 4)) return GSM_ERROR_MESSAGE;
        return message->length == gsmi_array_length(element, d, shape) ? GSM_OK : GSM_ERROR_MESSAGE;
    }
    if (message->tag != kind || kind < GSM_BYTES || kind > GSM_VALUE) return GSM_ERROR_MESSAGE;
    if (kind == GSM_IMAGE) {
        uint64_t pixel = gsm_pixel_size(shape[2]);
        uint64_t pixels = (uint64_t)shape[0] * shape[1];
        if (pixel == 0 || shape[0] - 1 >= most || shape[1] - 1 >= most || shape[3] < shape[0] * pixel)
            return GSM_ERROR_MESSAGE;
        if (pixels > 1 << 28 || pixels * pixel > INT32_MAX) return GSM_ERROR_MESSAGE;
        return message->length == (uint64_t)shape[1] * shape[3] ? GSM_OK : GSM_ERROR_MESSAGE;
    }
    return GSM_OK;
}

// Sets the parts of the shape to 0 that a message of this kind doesn't have.
static inline void gsmi_clear_shape(gsm_message *message) {
    uint32_t kind = gsm_kind(message);
    uint32_t used = kind == GSM_IMAGE ? 4 : kind == GSM_ARRAY ? gsm_dimensions(message) : 0;
    for (uint32_t i = used; i < 4; i++) message->shape[i] = 0;
}

// ---- Words: the only accesses to what other programs change while it is read ----

// A relaxed load with a fence also works where an acquire load would be a write, on memory mapped read-only.
static inline uint32_t gsmi_load32(const void *word) {
    uint32_t value = __atomic_load_n((const uint32_t *)word, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return value;
}

static inline uint64_t gsmi_load64(const void *word) {
    uint64_t value = __atomic_load_n((const uint64_t *)word, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return value;
}

static inline void gsmi_store32(void *word, uint32_t value) {
    __atomic_store_n((uint32_t *)word, value, __ATOMIC_RELEASE);
}

static inline void gsmi_store64(void *word, uint64_t value) {
    __atomic_store_n((uint64_t *)word, value, __ATOMIC_RELEASE);
}

static inline void gsmi_exchange_if(void *word, uint32_t expected, uint32_t value) {
    __atomic_compare_exchange_n((uint32_t *)word, &expected, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline void gsmi_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// ---- Time ----

#define GSMI_MSEC 1000000ull
#define GSMI_SECOND 1000000000ull

// Returns the nanoseconds of the system's monotonic clock, which the times of messages count.
static inline uint64_t gsm_clock(void) {
#ifdef _WIN32
    LARGE_INTEGER count, frequency;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&frequency);
    uint64_t ticks = (uint64_t)count.QuadPart, second = (uint64_t)frequency.QuadPart;
    return ticks / second * GSMI_SECOND + ticks % second * GSMI_SECOND / second;
#elif defined(__APPLE__)
    return clock_gettime_nsec_np(CLOCK_UPTIME_RAW);  // mach_absolute_time() in nanoseconds
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * GSMI_SECOND + (uint64_t)now.tv_nsec;
#endif
}

static inline uint64_t gsmi_now_usec(void) {
#ifdef _WIN32
    FILETIME now;
    GetSystemTimeAsFileTime(&now);
    // Windows counts 100 ns since 1601.
    return (((uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime) - 116444736000000000ull) / 10;
#else
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
#endif
}

static inline void gsmi_sleep(uint64_t nanoseconds) {
#ifdef _WIN32
    Sleep((DWORD)((nanoseconds + GSMI_MSEC - 1) / GSMI_MSEC));
#else
    struct timespec pause;
    pause.tv_sec = (time_t)(nanoseconds / GSMI_SECOND);
    pause.tv_nsec = (long)(nanoseconds % GSMI_SECOND);
    nanosleep(&pause, NULL);
#endif
}

// ---- Memory ----

enum { GSM_LOCAL, GSM_GLOBAL };          // scopes: this user, or every user
enum { GSM_READ_WRITE, GSM_READ_ONLY };  // access

// Memory that is open. Its address must not change while objects are attached to it.
typedef struct gsm_memory {
    unsigned char *data;  // the bytes, as other programs see them
    uint64_t size;        // bytes
    int is_writable;
    int is_created;       // by this object
    // Internal from here on.
    uint64_t held[4];     // the locks that objects hold through this memory, one bit each
    int has_lock_file;    // locks are in a file of their own
#ifdef _WIN32
    HANDLE section, file, locks;
#else
    int descriptor, locks;
    pid_t process;
    char name[256];
#endif
} gsm_memory;

enum {  // locks
    GSMI_LAYOUT = 0, GSMI_WRITER = 1, GSMI_CONSUMER = 2, GSMI_USER = 3, GSMI_SIDE = 4, GSMI_READER = 16,
    GSMI_PRODUCER = 80, GSMI_LOCK = 144
};
enum { GSMI_BLOCKED = 20 };  // the milliseconds for which to try again while a lock that is no role is in the way
#define GSMI_LIFE (UINT64_C(1) << 62)
enum { GSMI_OUTLIVES_OWNER = 1, GSMI_KEEPS_LEFT_OVERS = 2 };  // how to create memory

static inline gsm_error gsmi_check_name(const char *name) {
    size_t length = name == NULL ? 0 : strlen(name);
    if (length < 1 || length > 255 || strpbrk(name, "/\\") || !strcmp(name, ".") || !strcmp(name, ".."))
        return GSM_ERROR_ARGUMENT;
    return GSM_OK;
}

// Writes the file name of the lock file of a name.
static inline void gsmi_lock_file_name(const char *name, char *text) {
    static const char digits[] = "0123456789abcdef";
    char *start = text;
    *text++ = '_';
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.') {
            *text++ = (char)c;
        } else {
            *text++ = '%';
            *text++ = digits[c >> 4];
            *text++ = digits[c & 15];
        }
    }
    // Several names may have the same file: each incarnation has bytes of its own.
    if (text - start > 101) text = start + 101;
    memcpy(text, ".roles", 7);
}

#ifdef _WIN32

// RtlGenRandom of advapi32, as its header declares it.
#ifdef __cplusplus
extern "C"
#endif
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

static inline gsm_error gsmi_failed(void) {
    DWORD error = GetLastError();
    return error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND ? GSM_ERROR_NOT_FOUND
                                                                          : GSM_ERROR_SYSTEM;
}

static inline gsm_error gsmi_lock_at(gsm_memory *memory, uint64_t offset, DWORD flags) {
    OVERLAPPED at;
    memset(&at, 0, sizeof at);
    at.Offset = (DWORD)offset;
    at.OffsetHigh = (DWORD)(offset >> 32);
    if (memory->locks == NULL) return GSM_ERROR_SYSTEM;
    if (LockFileEx(memory->locks, flags | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)) return GSM_OK;
    DWORD error = GetLastError();
    return error == ERROR_LOCK_VIOLATION || error == ERROR_IO_PENDING ? GSM_ERROR_IN_USE : GSM_ERROR_SYSTEM;
}

static inline void gsmi_unlock_at(gsm_memory *memory, uint64_t offset) {
    UnlockFile(memory->locks, (DWORD)offset, (DWORD)(offset >> 32), 1, 0);
}

static inline void gsmi_unlock(gsm_memory *memory, uint64_t offset) {
    gsmi_unlock_at(memory, offset);
    gsmi_unlock_at(memory, offset + 1);
}

// The byte behind decides. The lock's own byte shows it to others, who have it for an instant when they look.
static inline gsm_error gsmi_lock(gsm_memory *memory, uint64_t offset, int tries) {
    (void)tries;  // no other lock is on the byte behind
    gsm_error error = gsmi_lock_at(memory, offset + 1, LOCKFILE_EXCLUSIVE_LOCK);
    if (error != GSM_OK) return error;
    for (int i = 0; i < 20 && gsmi_lock_at(memory, offset, LOCKFILE_EXCLUSIVE_LOCK) != GSM_OK; i++) Sleep(1);
    return GSM_OK;
}

static inline int gsmi_is_locked(gsm_memory *memory, uint64_t offset) {
    gsm_error error = gsmi_lock_at(memory, offset, 0);
    if (error == GSM_OK) gsmi_unlock_at(memory, offset);
    return error == GSM_ERROR_IN_USE;
}

static inline void gsmi_open_lock_file(gsm_memory *memory, const char *name) {
    char encoded[800];
    WCHAR path[1400];
    DWORD length = GetEnvironmentVariableW(L"LOCALAPPDATA", path, 400);
    if (length == 0 || length >= 400) return;
    memcpy(path + length, L"\\shared_memory", 15 * sizeof(WCHAR));
    CreateDirectoryW(path, NULL);
    length += 14;
    path[length++] = L'\\';
    gsmi_lock_file_name(name, encoded);
    for (const char *c = encoded;; c++) {
        path[length++] = (WCHAR)*c;
        if (*c == 0) break;
    }
    DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    HANDLE file = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, share, NULL, OPEN_ALWAYS,
                              FILE_ATTRIBUTE_NORMAL, NULL);
    if (file != INVALID_HANDLE_VALUE) memory->locks = file;
}

// Closes the memory: its roles end, and so does the name with the last program that has it open.
static inline void gsm_memory_close(gsm_memory *memory) {
    if (memory->locks && memory->locks != memory->file) CloseHandle(memory->locks);
    if (memory->data) UnmapViewOfFile(memory->data);
    if (memory->section) CloseHandle(memory->section);
    if (memory->file) CloseHandle(memory->file);
    memset(memory, 0, sizeof *memory);
}

static inline gsm_error gsmi_map(gsm_memory *memory) {
    MEMORY_BASIC_INFORMATION region;
    memory->data = (unsigned char *)MapViewOfFile(
        memory->section, memory->is_writable ? FILE_MAP_READ | FILE_MAP_WRITE : FILE_MAP_READ, 0, 0, 0);
    if (memory->data == NULL || VirtualQuery(memory->data, &region, sizeof region) == 0) return GSM_ERROR_SYSTEM;
    if (memory->size == 0) memory->size = region.RegionSize;
    return GSM_OK;
}

static inline gsm_error gsmi_wide_name(const char *prefix, const char *name, WCHAR *wide) {
    int length = MultiByteToWideChar(CP_UTF8, 0, prefix, -1, wide, 16);
    int rest = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, name, -1, wide + length - 1, 256);
    return rest > 0 ? GSM_OK : GSM_ERROR_ARGUMENT;
}

// Closes what is open if `error` says so, with the reason of the system kept.
static inline gsm_error gsmi_finish_opening(gsm_memory *memory, gsm_error error) {
    if (error == GSM_OK) return GSM_OK;
    DWORD reason = GetLastError();
    gsm_memory_close(memory);
    SetLastError(reason);
    return error;
}

static inline gsm_error gsmi_create(gsm_memory *memory, const char *name, uint64_t size, int scope, int how) {
    WCHAR wide[280];
    (void)how;  // names go by themselves
    memset(memory, 0, sizeof *memory);
    if (gsmi_check_name(name) || size < 1 || size > INT64_MAX || (scope != GSM_LOCAL && scope != GSM_GLOBAL) ||
        gsmi_wide_name(scope == GSM_GLOBAL ? "Global\\" : "Local\\", name, wide))
        return GSM_ERROR_ARGUMENT;
    SECURITY_DESCRIPTOR everyone;
    SECURITY_ATTRIBUTES attributes;
    InitializeSecurityDescriptor(&everyone, SECURITY_DESCRIPTOR_REVISION);
    SetSecurityDescriptorDacl(&everyone, TRUE, NULL, FALSE);
    attributes.nLength = sizeof attributes;
    attributes.lpSecurityDescriptor = &everyone;
    attributes.bInheritHandle = FALSE;
    memory->section = CreateFileMappingW(INVALID_HANDLE_VALUE, scope == GSM_GLOBAL ? &attributes : NULL,
                                         PAGE_READWRITE, (DWORD)(size >> 32), (DWORD)size, wide);
    if (memory->section == NULL) return GSM_ERROR_SYSTEM;
    if (GetLastError() == ERROR_ALREADY_EXISTS) return gsmi_finish_opening(memory, GSM_ERROR_EXISTS);
    memory->is_writable = memory->is_created = memory->has_lock_file = 1;
    memory->size = size;
    gsmi_open_lock_file(memory, name);
    return gsmi_finish_opening(memory, gsmi_map(memory));
}

static inline gsm_error gsm_memory_open(gsm_memory *memory, const char *name, int access) {
    WCHAR wide[280];
    memset(memory, 0, sizeof *memory);
    if (gsmi_check_name(name) || (access != GSM_READ_WRITE && access != GSM_READ_ONLY)) return GSM_ERROR_ARGUMENT;
    memory->is_writable = access == GSM_READ_WRITE;
    DWORD rights = memory->is_writable ? FILE_MAP_READ | FILE_MAP_WRITE : FILE_MAP_READ;
    if (gsmi_wide_name("Local\\", name, wide)) return GSM_ERROR_ARGUMENT;
    memory->section = OpenFileMappingW(rights, FALSE, wide);
    if (memory->section == NULL && GetLastError() == ERROR_FILE_NOT_FOUND) {
        gsmi_wide_name("Global\\", name, wide);
        memory->section = OpenFileMappingW(rights, FALSE, wide);
    }
    if (memory->section == NULL) return gsmi_failed();
    memory->has_lock_file = 1;
    gsmi_open_lock_file(memory, name);
    return gsmi_finish_opening(memory, gsmi_map(memory));
}

static inline gsm_error gsm_memory_open_file(gsm_memory *memory, const char *path, int access) {
    WCHAR wide[1024];
    LARGE_INTEGER size;
    memset(memory, 0, sizeof *memory);
    if (path == NULL || (access != GSM_READ_WRITE && access != GSM_READ_ONLY) ||
        !MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, 1024))
        return GSM_ERROR_ARGUMENT;
    memory->is_writable = access == GSM_READ_WRITE;
    DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    HANDLE file = CreateFileW(wide, GENERIC_READ | (memory->is_writable ? GENERIC_WRITE : 0), share, NULL,
                              OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE) return gsmi_failed();
    memory->file = memory->locks = file;
    if (!GetFileSizeEx(file, &size)) return gsmi_finish_opening(memory, GSM_ERROR_SYSTEM);
    memory->size = (uint64_t)size.QuadPart;
    if (memory->size == 0) return gsmi_finish_opening(memory, GSM_ERROR_SIZE);
    memory->section = CreateFileMappingW(file, NULL, memory->is_writable ? PAGE_READWRITE : PAGE_READONLY, 0, 0, NULL);
    return gsmi_finish_opening(memory, memory->section == NULL ? GSM_ERROR_SYSTEM : gsmi_map(memory));
}

static inline int gsm_memory_is_current(const gsm_memory *memory) { return memory->data != NULL; }

static inline gsm_error gsmi_remove_dead(const gsm_memory *memory, const char *name) {
    (void)memory, (void)name;
    return GSM_ERROR_EXISTS;
}

// The name goes with the last handle.
static inline gsm_error gsmi_create_for_all(gsm_memory *memory, const char *name, uint64_t size, int scope) {
    return scope == GSM_LOCAL ? gsmi_create(memory, name, size, scope, 0) : GSM_ERROR_ARGUMENT;
}

static inline gsm_error gsmi_join(gsm_memory *memory) { return memory->data ? GSM_OK : GSM_ERROR_ARGUMENT; }

static inline void gsmi_leave(gsm_memory *memory, int (*is_clean)(const gsm_memory *)) {
    (void)memory, (void)is_clean;
}

static inline gsm_error gsm_memory_remove(const char *name) { return gsmi_check_name(name); }

static inline int gsmi_may_unlock(const gsm_memory *memory) { return memory->locks != NULL; }

static inline uint64_t gsmi_random(void) {
    uint64_t value = 0;
    return SystemFunction036(&value, sizeof value) ? value : 0;
}

#else

static inline gsm_error gsmi_failed(void) { return errno == ENOENT ? GSM_ERROR_NOT_FOUND : GSM_ERROR_SYSTEM; }

// FreeBSD lacks locks of open file descriptions, so there one object per process holds a role.
#if defined(__linux__) || defined(F_OFD_SETLK)
#define GSMI_SETLK F_OFD_SETLK
#define GSMI_GETLK F_OFD_GETLK
#else
#define GSMI_SETLK F_SETLK
#define GSMI_GETLK F_GETLK
#endif

static inline int gsmi_lock_call(int descriptor, int command, short type, uint64_t offset, struct flock *lock) {
    int result;
    memset(lock, 0, sizeof *lock);
    lock->l_type = type;
    lock->l_whence = SEEK_SET;
    lock->l_start = (off_t)offset;
    lock->l_len = 1;
    do result = fcntl(descriptor, command, lock);
    while (result < 0 && errno == EINTR);
    return result;
}

// Returns F_WRLCK if another description has exactly this byte, F_RDLCK if another lock is in the way.
static inline short gsmi_look_at_lock(int descriptor, uint64_t offset) {
    struct flock lock;
    if (gsmi_lock_call(descriptor, GSMI_GETLK, F_WRLCK, offset, &lock) < 0) return F_UNLCK;
    if (lock.l_type == F_UNLCK) return F_UNLCK;
    int is_exact = lock.l_type == F_WRLCK && lock.l_start == (off_t)offset && lock.l_len == 1;
    return is_exact ? F_WRLCK : F_RDLCK;
}

static inline gsm_error gsmi_lock(gsm_memory *memory, uint64_t offset, int tries) {
    struct flock lock;
    for (int i = 0;; i++) {
        if (gsmi_lock_call(memory->locks, GSMI_SETLK, F_WRLCK, offset, &lock) == 0) return GSM_OK;
        if (errno != EAGAIN && errno != EACCES) return GSM_ERROR_SYSTEM;
        // The lock of a program that may only read is no role, and may end at once.
        if (i >= tries || gsmi_look_at_lock(memory->locks, offset) == F_WRLCK) return GSM_ERROR_IN_USE;
        gsmi_sleep(GSMI_MSEC);
    }
}

static inline void gsmi_unlock(gsm_memory *memory, uint64_t offset) {
    struct flock lock;
    gsmi_lock_call(memory->locks, GSMI_SETLK, F_UNLCK, offset, &lock);
}

static inline int gsmi_is_locked(gsm_memory *memory, uint64_t offset) {
    return gsmi_look_at_lock(memory->locks, offset) == F_WRLCK;
}

// In a child after fork(), unlocking would take the lock from the parent, too.
static inline int gsmi_may_unlock(const gsm_memory *memory) { return memory->process == getpid(); }

static inline int gsmi_close_keeping_errno(int descriptor) {
    int reason = errno;
    if (descriptor >= 0) close(descriptor);
    errno = reason;
    return -1;
}

#ifdef __linux__

#define GSMI_PREFIX "/dev/shm/"
#define GSMI_GET_FLAGS _IOR('f', 1, long)
#define GSMI_SET_FLAGS _IOW('f', 2, long)
enum { GSMI_MARK = 0x40, GSMI_OUTLIVES = 0x80, GSMI_STICKY = 01000 };  // FS_NODUMP_FL, FS_NOATIME_FL, S_ISVTX
#define GSMI_SECOND_LOCK (GSMI_LIFE + 2)

static inline int gsmi_open_name(const char *name, int flags, mode_t mode) {
    char path[sizeof GSMI_PREFIX + 256];
    snprintf(path, sizeof path, GSMI_PREFIX "%s", name);
    return open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode);
}

static inline int gsmi_remove_name(const char *name) {
    char path[sizeof GSMI_PREFIX + 256];
    snprintf(path, sizeof path, GSMI_PREFIX "%s", name);
    return unlink(path);
}

static inline int gsmi_stat_name(const char *name, struct stat *status) {
    char path[sizeof GSMI_PREFIX + 256];
    snprintf(path, sizeof path, GSMI_PREFIX "%s", name);
    return lstat(path, status);
}

static inline int gsmi_leads_to(const char *name, int descriptor) {
    struct stat named, opened;
    return gsmi_stat_name(name, &named) == 0 && fstat(descriptor, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

// Returns whether the mark is this one of both. Without flags, what outlives its owner has no mark.
static inline int gsmi_has_mark(int descriptor, int mark) {
    struct stat status;
    int flags = 0;
    if (ioctl(descriptor, GSMI_GET_FLAGS, &flags) == 0) return (flags & (GSMI_MARK | GSMI_OUTLIVES)) == mark;
    return fstat(descriptor, &status) == 0 && ((status.st_mode & GSMI_STICKY) != 0) == (mark == GSMI_MARK);
}

static inline int gsmi_goes_with_owner(int descriptor) { return gsmi_has_mark(descriptor, GSMI_MARK); }

// Returns whether the segment may be removed: this user's, marked, not to outlive its owner, whose life
// ended.
static inline int gsmi_is_left_over(int descriptor) {
    struct stat status;
    if (fstat(descriptor, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid()) return 0;
    struct flock lock;
    return gsmi_goes_with_owner(descriptor) && gsmi_lock_call(descriptor, GSMI_GETLK, F_WRLCK, GSMI_LIFE, &lock) == 0 &&
           lock.l_type == F_UNLCK;
}

// Removes the name of a segment, if it leads there and the creator is dead. Returns GSM_OK if it is worth
// trying again.
static inline gsm_error gsmi_remove_if_left_over(const char *name, int descriptor) {
    struct flock lock;
    gsm_error error = GSM_OK;
    if (!gsmi_is_left_over(descriptor)) return GSM_ERROR_EXISTS;
    if (gsmi_lock_call(descriptor, GSMI_SETLK, F_WRLCK, GSMI_SECOND_LOCK, &lock) < 0) {
        gsmi_sleep(GSMI_MSEC);  // another process removes it
        return GSM_OK;
    }
    if (gsmi_is_left_over(descriptor) && gsmi_leads_to(name, descriptor) && gsmi_remove_name(name) < 0)
        error = GSM_ERROR_SYSTEM;
    gsmi_lock_call(descriptor, GSMI_SETLK, F_UNLCK, GSMI_SECOND_LOCK, &lock);
    return error;
}

// Does the same with memory that is open.
static inline gsm_error gsmi_remove_dead(const gsm_memory *memory, const char *name) {
    return gsmi_remove_if_left_over(name, memory->descriptor);
}

static inline gsm_error gsmi_remove_left_over(const char *name) {
    int descriptor = gsmi_open_name(name, O_RDWR, 0);
    if (descriptor < 0) return errno == ENOENT ? GSM_OK : GSM_ERROR_EXISTS;
    gsm_error error = gsmi_remove_if_left_over(name, descriptor);
    gsmi_close_keeping_errno(descriptor);
    return error;
}

// Opens new memory, gives it its name, and returns its descriptor in `memory`.
static inline gsm_error gsmi_make(gsm_memory *memory, uint64_t size, int scope, int how) {
    struct flock lock;
    mode_t mode = scope == GSM_GLOBAL ? 0666 : 0600;
    int outlives = how & GSMI_OUTLIVES_OWNER, flags = outlives ? GSMI_MARK | GSMI_OUTLIVES : GSMI_MARK, result;
    int descriptor = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    memory->descriptor = memory->locks = descriptor;
    if (descriptor < 0) return GSM_ERROR_SYSTEM;
    if (gsmi_lock_call(descriptor, GSMI_SETLK, F_WRLCK, GSMI_LIFE, &lock) < 0) return GSM_ERROR_SYSTEM;
    if (ioctl(descriptor, GSMI_SET_FLAGS, &flags) < 0 && !outlives) mode |= GSMI_STICKY;
    if (fchmod(descriptor, mode) < 0 || ftruncate(descriptor, (off_t)size) < 0) return GSM_ERROR_SYSTEM;
    do result = fallocate(descriptor, 0, 0, (off_t)size);
    while (result < 0 && errno == EINTR);
    return result < 0 ? GSM_ERROR_SYSTEM : GSM_OK;
}

static inline gsm_error gsmi_link(gsm_memory *memory, const char *name, int how) {
    char from[64], to[sizeof GSMI_PREFIX + 256];
    snprintf(from, sizeof from, "/proc/self/fd/%d", memory->descriptor);
    snprintf(to, sizeof to, GSMI_PREFIX "%s", name);
    // A name that is taken and left over again and again is somebody's game.
    for (int i = 0; i < 1000; i++) {
        if (linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0) return GSM_OK;
        if (errno != EEXIST) return GSM_ERROR_SYSTEM;
        gsm_error error = how & GSMI_KEEPS_LEFT_OVERS ? GSM_ERROR_EXISTS : gsmi_remove_left_over(name);
        if (error != GSM_OK) return error;
    }
    return GSM_ERROR_EXISTS;
}

#else  // macOS and FreeBSD

static inline int gsmi_open_name(const char *name, int flags, mode_t mode) {
    char path[258];
    snprintf(path, sizeof path, "/%s", name);
    return shm_open(path, flags, mode);
}

static inline int gsmi_remove_name(const char *name) {
    char path[258];
    snprintf(path, sizeof path, "/%s", name);
    return shm_unlink(path);
}

static inline int gsmi_leads_to(const char *name, int descriptor) {
    struct stat named, opened;
    int other = gsmi_open_name(name, O_RDONLY, 0);
    int is_same = other >= 0 && fstat(other, &named) == 0 && fstat(descriptor, &opened) == 0 &&
                  named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
    gsmi_close_keeping_errno(other);
    return is_same;
}

static inline gsm_error gsmi_make(gsm_memory *memory, uint64_t size, int scope, int how) {
    (void)how;
    mode_t mode = scope == GSM_GLOBAL ? 0666 : 0600;
    int descriptor = gsmi_open_name(memory->name, O_RDWR | O_CREAT | O_EXCL, mode);
    if (descriptor < 0) return errno == EEXIST ? GSM_ERROR_EXISTS : GSM_ERROR_SYSTEM;
    memory->descriptor = descriptor;
    // The umask has changed the mode. macOS lets nobody change it back, so that isn't an error.
    if (fchmod(descriptor, mode) < 0) errno = 0;
    if (ftruncate(descriptor, (off_t)size) == 0) return GSM_OK;
    int reason = errno;
    gsmi_remove_name(memory->name);
    errno = reason;
    return GSM_ERROR_SYSTEM;
}

// Nothing marks what a dead creator has left.
static inline gsm_error gsmi_remove_dead(const gsm_memory *memory, const char *name) {
    (void)memory, (void)name;
    return GSM_ERROR_EXISTS;
}

static inline gsm_error gsmi_link(gsm_memory *memory, const char *name, int how) {
    (void)memory, (void)name, (void)how;
    return GSM_OK;
}

#endif

// Opens the file that has the locks of shared memory that can't be locked itself. Without one, no role can be
// taken.
static inline void gsmi_open_lock_file(gsm_memory *memory, const char *name) {
#ifdef __linux__
    (void)name;
    memory->locks = memory->descriptor;
#else
    char encoded[800], path[2000];
    struct stat status;
    const char *folder = getenv("XDG_RUNTIME_DIR");
    if (folder == NULL || *folder == 0) folder = getenv("TMPDIR");
    if (folder == NULL || *folder == 0) folder = "/tmp";
    memory->has_lock_file = 1;
    int length = snprintf(path, 1024, "%s/shared_memory-%u", folder, (unsigned)geteuid());
    if (length < 0 || length >= 1024) return;
    mkdir(path, 0700);
    if (lstat(path, &status) < 0 || !S_ISDIR(status.st_mode) || status.st_uid != geteuid() ||
        (status.st_mode & 077))
        return;
    gsmi_lock_file_name(name, encoded);
    snprintf(path + length, sizeof path - (size_t)length, "/%s", encoded);
    memory->locks = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
#endif
}

// Closes the memory: its roles end, and the creator also removes the name. Objects that are attached must not
// be used any more.
static inline void gsm_memory_close(gsm_memory *memory) {
    if (memory->data == NULL && memory->descriptor <= 0) return;
    int is_mine = gsmi_may_unlock(memory);
    if (is_mine && memory->is_created && gsmi_leads_to(memory->name, memory->descriptor))
        gsmi_remove_name(memory->name);
#ifdef __linux__
    struct flock lock;
    // A child that lives on would keep these locks.
    for (unsigned n = 0; n < 256 && is_mine; n++)
        if (memory->held[n / 64] >> n % 64 & 1) gsmi_unlock(memory, GSMI_LIFE + 4 + 2 * n);
    if (is_mine && memory->is_created) gsmi_lock_call(memory->descriptor, GSMI_SETLK, F_UNLCK, GSMI_LIFE, &lock);
#endif
    if (memory->data) munmap(memory->data, (size_t)memory->size);
    if (memory->locks != memory->descriptor) gsmi_close_keeping_errno(memory->locks);
    gsmi_close_keeping_errno(memory->descriptor);
    memset(memory, 0, sizeof *memory);
    memory->descriptor = memory->locks = -1;
}

static inline gsm_error gsmi_map(gsm_memory *memory) {
    int protection = memory->is_writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *data = mmap(NULL, (size_t)memory->size, protection, MAP_SHARED, memory->descriptor, 0);
    if (data == MAP_FAILED) return GSM_ERROR_SYSTEM;
    memory->data = (unsigned char *)data;
    return GSM_OK;
}

static inline gsm_error gsmi_begin_opening(gsm_memory *memory, int is_writable) {
    memset(memory, 0, sizeof *memory);
    memory->descriptor = memory->locks = -1;
    memory->is_writable = is_writable;
    memory->process = getpid();
    return GSM_OK;
}

// Closes what is open if `error` says so, with the reason of the system kept.
static inline gsm_error gsmi_finish_opening(gsm_memory *memory, gsm_error error) {
    int reason = errno;
    if (error != GSM_OK) gsm_memory_close(memory);
    errno = reason;
    return error;
}

// Maps an open descriptor of a regular file.
static inline gsm_error gsmi_open_descriptor(gsm_memory *memory) {
    struct stat status;
    if (fstat(memory->descriptor, &status) < 0) return GSM_ERROR_SYSTEM;
    // On macOS and FreeBSD, shared memory says nothing or "regular file" here.
    if (S_ISDIR(status.st_mode) || S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode) || status.st_size <= 0)
        return GSM_ERROR_SIZE;
    memory->size = (uint64_t)status.st_size;
    return gsmi_map(memory);
}

static inline gsm_error gsmi_create(gsm_memory *memory, const char *name, uint64_t size, int scope, int how) {
    gsmi_begin_opening(memory, 1);
    if (gsmi_check_name(name) || size < 1 || size > INT64_MAX || (scope != GSM_LOCAL && scope != GSM_GLOBAL))
        return GSM_ERROR_ARGUMENT;
    memcpy(memory->name, name, strlen(name) + 1);
    memory->size = size;
    gsm_error error = gsmi_make(memory, size, scope, how);
    memory->is_created = error == GSM_OK;
    if (error == GSM_OK) error = gsmi_map(memory);
    if (error == GSM_OK) gsmi_open_lock_file(memory, name);
    if (error == GSM_OK) error = gsmi_link(memory, name, how);
    return gsmi_finish_opening(memory, error);
}

// Creates memory that belongs to all programs that use it.
static inline gsm_error gsmi_create_for_all(gsm_memory *memory, const char *name, uint64_t size, int scope) {
#ifndef __linux__
    // Programs of two users don't see each other's locks.
    if (scope != GSM_LOCAL) return GSM_ERROR_ARGUMENT;
#endif
    gsm_error error = gsmi_create(memory, name, size, scope, GSMI_OUTLIVES_OWNER);
    memory->is_created = 0;  // so that closing leaves the name
    return error;
}

// Opens memory by its name. With GSM_READ_ONLY, its bytes can't be changed, so no role can be taken.
static inline gsm_error gsm_memory_open(gsm_memory *memory, const char *name, int access) {
    gsmi_begin_opening(memory, access == GSM_READ_WRITE);
    if (gsmi_check_name(name) || (access != GSM_READ_WRITE && access != GSM_READ_ONLY)) return GSM_ERROR_ARGUMENT;
    memcpy(memory->name, name, strlen(name) + 1);
    memory->descriptor = gsmi_open_name(name, memory->is_writable ? O_RDWR : O_RDONLY, 0);
    if (memory->descriptor < 0) return gsmi_failed();
    gsmi_open_lock_file(memory, name);
    return gsmi_finish_opening(memory, gsmi_open_descriptor(memory));
}

// Opens a file, which is mapped and shared with the other programs that map it. On Linux, the path
// "/proc/self/fd/N" opens a memfd.
static inline gsm_error gsm_memory_open_file(gsm_memory *memory, const char *path, int access) {
    gsmi_begin_opening(memory, access == GSM_READ_WRITE);
    if (path == NULL || (access != GSM_READ_WRITE && access != GSM_READ_ONLY)) return GSM_ERROR_ARGUMENT;
    memory->descriptor = open(path, (memory->is_writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC);
    if (memory->descriptor < 0) return gsmi_failed();
    memory->locks = memory->descriptor;
    return gsmi_finish_opening(memory, gsmi_open_descriptor(memory));
}

// Returns whether the name still leads to this memory. If not, the creator has restarted or closed: open
// again. Memory without a name is always current, and so is all memory on Windows.
static inline int gsm_memory_is_current(const gsm_memory *memory) {
    return memory->data != NULL && (memory->name[0] == 0 || gsmi_leads_to(memory->name, memory->descriptor));
}

// Removes a name, even if a living program made it. On macOS and FreeBSD, a killed creator leaves its name.
// Programs that have the memory open keep it. On Windows, names go by themselves.
static inline gsm_error gsm_memory_remove(const char *name) {
    if (gsmi_check_name(name)) return GSM_ERROR_ARGUMENT;
    return gsmi_remove_name(name) == 0 ? GSM_OK : gsmi_failed();
}

#define GSMI_USER_LOCK (GSMI_LIFE + 4 + 2 * GSMI_USER)

// Begins to use memory whose name goes with its last user. Returns GSM_BUSY if the name leads elsewhere by
// then, or is about to.
static inline gsm_error gsmi_join(gsm_memory *memory) {
#ifdef __linux__
    struct flock lock;
    // What a dead owner left is nobody's.
    if (gsmi_is_left_over(memory->descriptor))
        return gsmi_remove_left_over(memory->name) == GSM_ERROR_SYSTEM ? GSM_ERROR_SYSTEM : GSM_BUSY;
    if (!gsmi_has_mark(memory->descriptor, GSMI_MARK | GSMI_OUTLIVES)) return GSM_ERROR_FOREIGN;
    if (gsmi_lock_call(memory->descriptor, GSMI_SETLK, F_RDLCK, GSMI_USER_LOCK, &lock) < 0) return GSM_BUSY;
#endif
    return gsm_memory_is_current(memory) ? GSM_OK : GSM_BUSY;
}

// Ends that use. The last user removes the name if the memory `is_clean`.
static inline void gsmi_leave(gsm_memory *memory, int (*is_clean)(const gsm_memory *)) {
#ifdef __linux__
    struct flock lock;
    if (!gsmi_may_unlock(memory)) return;
    // Before the next lock: two that leave at the same time must not keep each other from it.
    gsmi_lock_call(memory->descriptor, GSMI_SETLK, F_UNLCK, GSMI_USER_LOCK, &lock);
    if (gsmi_lock_call(memory->descriptor, GSMI_SETLK, F_WRLCK, GSMI_USER_LOCK, &lock) < 0) return;
    if (is_clean(memory) && gsm_memory_is_current(memory)) gsmi_remove_name(memory->name);
    gsmi_lock_call(memory->descriptor, GSMI_SETLK, F_UNLCK, GSMI_USER_LOCK, &lock);
#else
    (void)memory, (void)is_clean;
#endif
}

static inline uint64_t gsmi_random(void) {
    uint64_t value = 0;
#ifdef __linux__
    if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value) return 0;
#else
    arc4random_buf(&value, sizeof value);
#endif
    return value;
}

#endif

// Creates memory of `size` bytes, all 0. Fails with GSM_ERROR_EXISTS if the name is in use. On Linux, the
// name of a creator of this user that ended without closing is taken over. The name has 1 to 255 bytes of
// UTF-8 (30 on macOS) without "/" and "\".
static inline gsm_error gsm_memory_create(gsm_memory *memory, const char *name, uint64_t size, int scope) {
    return gsmi_create(memory, name, size, scope, 0);
}

// ---- Roles ----

static inline uint64_t gsmi_lock_offset(const gsm_memory *memory, uint64_t incarnation, uint32_t number) {
    if (!memory->has_lock_file) return GSMI_LIFE + 4 + 2 * (uint64_t)number;
    // Programs that still use older memory of the same name have other bytes.
    return number == GSMI_LAYOUT ? 0 : (incarnation & ((UINT64_C(1) << 44) - 1)) * 512 + 2 * (uint64_t)number;
}

static inline void gsmi_give_back(gsm_memory *memory, uint64_t incarnation, uint32_t number) {
    if (gsmi_may_unlock(memory)) gsmi_unlock(memory, gsmi_lock_offset(memory, incarnation, number));
    __atomic_fetch_and(&memory->held[number / 64], ~(UINT64_C(1) << number % 64), __ATOMIC_RELEASE);
}

static inline gsm_error gsmi_claim(gsm_memory *memory, uint64_t incarnation, uint32_t number) {
    uint64_t bit = UINT64_C(1) << number % 64, *held = &memory->held[number / 64];
    if (!memory->is_writable) return GSM_ERROR_READ_ONLY;
    // The kernel doesn't tell apart two objects that share a descriptor.
    if (__atomic_fetch_or(held, bit, __ATOMIC_ACQUIRE) & bit) return GSM_ERROR_IN_USE;
    // A mutex has a wait of its own, which tries again.
    int tries = number < GSMI_LOCK ? GSMI_BLOCKED : 0;
    gsm_error error = gsmi_lock(memory, gsmi_lock_offset(memory, incarnation, number), tries);
    if (error != GSM_OK) __atomic_fetch_and(held, ~bit, __ATOMIC_RELEASE);
    return error;
}

static inline int gsmi_is_held(gsm_memory *memory, uint64_t incarnation, uint32_t number) {
    uint64_t held = __atomic_load_n(&memory->held[number / 64], __ATOMIC_ACQUIRE);
    return (held >> number % 64 & 1) || gsmi_is_locked(memory, gsmi_lock_offset(memory, incarnation, number));
}

// ---- The header, attaching, laying out ----

typedef struct gsmi_header {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t layout, header_length;
    uint64_t total_length, incarnation;
    uint32_t features_required, features_optional;
    uint64_t first_sequence;
    uint32_t count, zero;
    uint64_t limit;
    uint8_t zeros[64];
} gsmi_header;
GSMI_ASSERT(sizeof(gsmi_header) == 128);

enum { GSMI_LATEST = 1, GSMI_LANES = 2, GSMI_PAIR = 3, GSMI_LOCKS = 4 };                   // layouts
enum { GSMI_WANTED = 0x80, GSMI_BELL = 4, GSMI_NEWEST = 0x100, GSMI_PINS = 0x180 };        // offsets
enum { GSMI_MOST_READERS = 64, GSMI_MOST_LANES = 64, GSMI_ALL_LOCKS = 64, GSMI_LINE = 128, GSMI_TRIES = 8 };
#define GSMI_MAGIC 0x314D5347u
#define GSMI_LONGEST (UINT64_C(1) << 46)
#define GSMI_LAST_SEQUENCE (UINT64_C(1) << 55)
#define GSMI_SMALLEST_RING UINT64_C(64)
#define GSMI_LARGEST_RING (UINT64_C(1) << 30)

// The common part of a stream, a queue and a peer: memory, and a private copy of the geometry that was checked.
typedef struct gsm_attachment {
    gsm_memory *memory;
    uint32_t layout, count;
    uint64_t limit, incarnation, first_sequence;
} gsm_attachment;

static inline uint64_t gsmi_slot_size(uint64_t limit) { return 128 + (limit + 127) / 128 * 128; }

static inline uint64_t gsmi_total_length(uint32_t layout, uint32_t count, uint64_t limit) {
    if (layout == GSMI_LATEST) return 384 + 128 * (uint64_t)count + (count + UINT64_C(2)) * gsmi_slot_size(limit);
    if (layout == GSMI_LOCKS) return 256 + count * limit;
    return 256 + count * (256 + limit);
}

static inline int gsmi_is_geometry(uint32_t layout, uint32_t count, uint64_t limit) {
    if (layout == GSMI_LATEST) return count <= GSMI_MOST_READERS && limit >= 1 && limit <= GSMI_LONGEST;
    if (layout == GSMI_PAIR && count != 2) return 0;
    if (layout == GSMI_LOCKS) return count == GSMI_ALL_LOCKS && limit == GSMI_LINE;
    return count >= 1 && count <= GSMI_MOST_LANES && limit >= GSMI_SMALLEST_RING && limit <= GSMI_LARGEST_RING &&
           (limit & (limit - 1)) == 0;
}

// Returns the largest limit that fits, or 0.
static inline uint64_t gsmi_largest_limit(uint32_t layout, uint32_t count, uint64_t size) {
    uint64_t fixed = layout == GSMI_LATEST ? 384 + 128 * (uint64_t)count : 256;
    if (size < fixed) return 0;
    uint64_t part = (size - fixed) / (layout == GSMI_LATEST ? count + 2 : count);
    if (layout == GSMI_LATEST) {
        if (part < 256) return 0;
        part = part / 128 * 128 - 128;
        return part < GSMI_LONGEST ? part : GSMI_LONGEST;
    }
    uint64_t ring = GSMI_LARGEST_RING;
    while (ring >= GSMI_SMALLEST_RING && ring + 256 > part) ring /= 2;
    return ring >= GSMI_SMALLEST_RING ? ring : 0;
}

// Checks a private copy, except for `magic`.
static inline gsm_error gsmi_check_header(const gsmi_header *header, uint32_t layout, uint64_t size) {
    if (header->major != 1 || header->features_required != 0) return GSM_ERROR_VERSION;
    if (header->layout != layout) return GSM_ERROR_LAYOUT;
    if (header->header_length != 128 || !gsmi_is_geometry(layout, header->count, header->limit) ||
        header->total_length != gsmi_total_length(layout, header->count, header->limit) ||
        (layout == GSMI_LATEST && header->first_sequence >= GSMI_LAST_SEQUENCE))
        return GSM_ERROR_INVALID_DATA;
    return header->total_length <= size ? GSM_OK : GSM_ERROR_SIZE;
}

static inline void gsmi_copy_header(const gsm_memory *memory, gsmi_header *header) {
    memcpy(header, memory->data, sizeof *header);
    header->incarnation = gsmi_load64(memory->data + offsetof(gsmi_header, incarnation));
}

static inline int gsmi_is_same(const gsm_memory *memory, uint64_t incarnation) {
    return gsmi_load32(memory->data) == GSMI_MAGIC &&
           gsmi_load64(memory->data + offsetof(gsmi_header, incarnation)) == incarnation;
}

// Returns whether the memory still is what the object attached to.
static inline int gsmi_is_attached(const gsm_attachment *at) { return gsmi_is_same(at->memory, at->incarnation); }

// Attaches to memory that is laid out.
static inline gsm_error gsmi_attach_to_header(gsm_attachment *at) {
    gsmi_header header;
    for (int i = 0; i < GSMI_TRIES; i++) {
        uint32_t magic = gsmi_load32(at->memory->data);
        if (magic == 0) return GSM_NOT_LAID_OUT;
        if (magic != GSMI_MAGIC) return GSM_ERROR_FOREIGN;
        gsmi_copy_header(at->memory, &header);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!gsmi_is_same(at->memory, header.incarnation)) continue;
        gsm_error error = gsmi_check_header(&header, at->layout, at->memory->size);
        if (error != GSM_OK) return error;
        if (header.incarnation == 0) return GSM_NOT_LAID_OUT;  // a reset isn't finished
        at->count = header.count;
        at->limit = header.limit;
        at->incarnation = header.incarnation;
        at->first_sequence = header.first_sequence;
        return GSM_OK;
    }
    return GSM_BUSY;
}

static inline int gsmi_is_zero(const gsm_memory *memory, uint64_t from, uint64_t to) {
    for (; from < to; from += 8)
        if (__atomic_load_n((const uint64_t *)(const void *)(memory->data + from), __ATOMIC_RELAXED)) return 0;
    return 1;
}

// Stores a header, and `magic` last.
static inline void gsmi_publish_header(gsm_memory *memory, const gsmi_header *header) {
    memcpy(memory->data + 4, (const unsigned char *)header + 4, sizeof *header - 4);
    gsmi_store32(memory->data, GSMI_MAGIC);
}

static inline gsm_error gsmi_new_incarnation(gsmi_header *header) {
    uint64_t before = header->incarnation;
    for (int i = 0; i < GSMI_TRIES; i++) {
        header->incarnation = gsmi_random();
        if (header->incarnation != 0 && header->incarnation != before) return GSM_OK;
    }
    return GSM_ERROR_SYSTEM;
}

static inline uint32_t gsmi_role(uint32_t layout, uint32_t i) {
    uint32_t one = GSMI_WRITER, many = GSMI_READER;
    if (layout == GSMI_PAIR) return GSMI_SIDE + i;
    if (layout == GSMI_LANES) one = GSMI_CONSUMER, many = GSMI_PRODUCER;
    if (layout == GSMI_LOCKS) one = many = GSMI_LOCK;
    return i == 0 ? one : many + i - 1;
}

// Stores 0 to all words of a layout, under every role. `header` is a checked copy.
static inline void gsmi_clear(gsm_memory *memory, gsmi_header *header) {
    uint64_t latest = gsmi_load64(memory->data + GSMI_NEWEST);
    gsmi_store64(memory->data + offsetof(gsmi_header, incarnation), 0);
    if (header->layout == GSMI_LATEST && latest >> 8 <= GSMI_LAST_SEQUENCE / 2 &&
        latest >> 8 > header->first_sequence)
        header->first_sequence = latest >> 8;
    // First, so that a process that ends in the middle doesn't take the sequence along.
    gsmi_store64(memory->data + offsetof(gsmi_header, first_sequence), header->first_sequence);
    memset(memory->data + GSMI_WANTED, 0, 128);
    if (header->layout == GSMI_LATEST) {
        gsmi_store64(memory->data + GSMI_NEWEST, 0);  // whole, for readers that look at this moment
        memset(memory->data + GSMI_PINS, 0, 128 * (size_t)header->count);
        unsigned char *slots = memory->data + GSMI_PINS + 128 * (uint64_t)header->count;
        for (uint64_t i = 0; i < header->count + UINT64_C(2); i++)
            memset(slots + i * gsmi_slot_size(header->limit), 0, 128);
    } else if (header->layout == GSMI_LOCKS) {
        memset(memory->data + 256, 0, GSMI_ALL_LOCKS * GSMI_LINE);
    } else {
        for (uint64_t i = 0; i < header->count; i++) memset(memory->data + 256 + i * (256 + header->limit), 0, 256);
    }
}

// Empties memory that is laid out. `mine` has the roles that the caller holds, and goes on holding.
static inline gsm_error gsmi_reset(gsm_memory *memory, const gsmi_header *old, const uint64_t *mine) {
    gsmi_header header = *old;
    uint64_t before = old->incarnation, taken[4] = {0, 0, 0, 0};
    gsm_error error = GSM_OK;
    // Pairs and locks have no role besides the numbered ones.
    for (uint32_t i = header.layout >= GSMI_PAIR; i <= header.count && error == GSM_OK; i++) {
        uint32_t role = gsmi_role(header.layout, i);
        if (mine[role / 64] >> role % 64 & 1) continue;
        error = gsmi_claim(memory, before, role);
        if (error == GSM_OK) taken[role / 64] |= UINT64_C(1) << role % 64;
    }
    if (error == GSM_OK) error = gsmi_new_incarnation(&header);
    // In a lock file, the caller's roles move with the incarnation.
    for (uint32_t role = 1; role < 256 && error == GSM_OK && memory->has_lock_file; role++)
        if (mine[role / 64] >> role % 64 & 1)
            error = gsmi_lock(memory, gsmi_lock_offset(memory, header.incarnation, role), GSMI_BLOCKED);
    if (error == GSM_OK) {
        gsmi_clear(memory, &header);
        gsmi_store64(memory->data + offsetof(gsmi_header, incarnation), header.incarnation);
    }
    for (uint32_t role = 1; role < 256; role++) {
        if (taken[role / 64] >> role % 64 & 1) gsmi_give_back(memory, before, role);
        if (memory->has_lock_file && error == GSM_OK && (mine[role / 64] >> role % 64 & 1))
            gsmi_unlock(memory, gsmi_lock_offset(memory, before, role));
    }
    return error;
}

// Lays memory out, under the layout lock, if its `magic` is 0. A limit of 0 stands for all of the memory. If a
// process died while it was resetting, does that instead.
static inline gsm_error gsmi_lay_out(gsm_attachment *at, uint64_t limit, uint32_t count) {
    static const uint64_t none[4] = {0, 0, 0, 0};
    gsm_memory *memory = at->memory;
    gsmi_header header;
    gsmi_copy_header(memory, &header);
    if (gsmi_load32(memory->data) != 0) {
        if (header.incarnation != 0) return GSM_OK;
        gsm_error error = gsmi_check_header(&header, at->layout, memory->size);
        return error == GSM_OK ? gsmi_reset(memory, &header, none) : error;
    }
    if (limit == 0 && !memory->is_created) return GSM_NOT_LAID_OUT;
    if (at->layout == GSMI_LANES && count == 0) count = 1;
    uint64_t largest = gsmi_largest_limit(at->layout, count, memory->size);
    if (limit == 0) limit = largest;
    if (limit == 0 || gsmi_total_length(at->layout, count, limit) > memory->size) return GSM_ERROR_SIZE;
    uint64_t total = gsmi_total_length(at->layout, count, limit);
    if (!gsmi_is_zero(memory, sizeof header, total)) return GSM_ERROR_FOREIGN;
    header.incarnation = 0;
    gsm_error error = gsmi_new_incarnation(&header);
    if (error != GSM_OK) return error;
    uint64_t incarnation = header.incarnation;
    memset(&header, 0, sizeof header);
    header.major = 1;
    header.layout = at->layout;
    header.header_length = sizeof header;
    header.total_length = total;
    header.incarnation = incarnation;
    header.first_sequence = at->layout == GSMI_LATEST ? gsmi_now_usec() : 0;
    header.count = count;
    header.limit = limit;
    gsmi_publish_header(memory, &header);
    return GSM_OK;
}

// Attaches, and waits for a program that is laying the memory out, for `patience` nanoseconds.
static inline gsm_error gsmi_attach(gsm_attachment *at, gsm_memory *memory, uint32_t layout, uint64_t limit,
                                    uint32_t count, uint64_t patience) {
    memset(at, 0, sizeof *at);
    if (memory == NULL || memory->data == NULL) return GSM_ERROR_ARGUMENT;
    if (memory->size < 256) return GSM_ERROR_SIZE;
    at->memory = memory;
    at->layout = layout;
    uint64_t deadline = gsm_clock() + patience;
    gsm_error error;
    while ((error = gsmi_attach_to_header(at)) == GSM_NOT_LAID_OUT && memory->is_writable) {
        error = gsmi_claim(memory, 0, GSMI_LAYOUT);
        if (error == GSM_OK) {
            error = gsmi_lay_out(at, limit, count);
            gsmi_give_back(memory, 0, GSMI_LAYOUT);
        }
        // Another process may be laying the memory out.
        if (error != GSM_OK && error != GSM_ERROR_IN_USE) break;
        if (gsm_clock() > deadline) {
            error = GSM_BUSY;
            break;
        }
        if (error != GSM_OK) gsmi_sleep(GSMI_MSEC);
    }
    if (error == GSM_OK && (at->limit < limit || at->count < count)) error = GSM_ERROR_SIZE;
    if (error != GSM_OK) memset(at, 0, sizeof *at);
    return error;
}

// Takes the first free role of several, in memory that is still what the object attached to.
static inline gsm_error gsmi_take_role(gsm_attachment *at, uint32_t first, uint32_t *index) {
    gsm_error error = GSM_BUSY;
    for (int i = 0; i < GSMI_TRIES; i++) {
        uint32_t many = first == GSMI_READER || first == GSMI_PRODUCER || first == GSMI_SIDE ? at->count : 1;
        error = GSM_ERROR_IN_USE;
        for (*index = 0; *index < many; ++*index) {
            error = gsmi_claim(at->memory, at->incarnation, first + *index);
            if (error != GSM_ERROR_IN_USE) break;
        }
        if (error == GSM_OK && gsmi_is_attached(at)) return GSM_OK;
        if (error == GSM_OK) gsmi_give_back(at->memory, at->incarnation, first + *index);
        else if (gsmi_is_attached(at)) return error;
        error = gsmi_attach_to_header(at);
        if (error != GSM_OK) return error;
        error = GSM_BUSY;
    }
    return error;
}

// Resets the layout. The layout lock keeps other programs from laying it out at the same time.
static inline gsm_error gsmi_reset_attached(gsm_attachment *at, const uint64_t *mine) {
    gsmi_header header;
    if (!at->memory) return GSM_ERROR_ARGUMENT;
    gsm_error error = gsmi_claim(at->memory, 0, GSMI_LAYOUT);
    if (error != GSM_OK) return error;
    error = gsmi_attach_to_header(at);
    if (error == GSM_OK) {
        gsmi_copy_header(at->memory, &header);
        error = gsmi_check_header(&header, at->layout, at->memory->size);
    }
    if (error == GSM_OK) error = gsmi_reset(at->memory, &header, mine);
    gsmi_give_back(at->memory, 0, GSMI_LAYOUT);
    return error == GSM_OK ? gsmi_attach_to_header(at) : error;
}

// ---- Waiting and waking ----

// Wakes all that sleep on a line. The caller has published.
static inline void gsmi_wake(unsigned char *line) {
    gsmi_fence();
    if (__atomic_load_n((uint32_t *)(void *)line, __ATOMIC_RELAXED) == 0) return;
    gsmi_store32(line, 0);
    __atomic_fetch_add((uint32_t *)(void *)(line + GSMI_BELL), 1, __ATOMIC_RELEASE);
#ifdef __linux__
    syscall(SYS_futex, line + GSMI_BELL, 1 /* FUTEX_WAKE */, INT32_MAX, NULL, NULL, 0);
#endif
}

static inline void gsmi_sleep_on(unsigned char *line, uint32_t bell, uint64_t nanoseconds) {
#ifdef __linux__
    struct timespec pause;
    pause.tv_sec = (time_t)(nanoseconds / GSMI_SECOND);
    pause.tv_nsec = (long)(nanoseconds % GSMI_SECOND);
    syscall(SYS_futex, line + GSMI_BELL, 0 /* FUTEX_WAIT */, bell, &pause, NULL, 0);
#else
    (void)line, (void)bell;
    gsmi_sleep(nanoseconds < GSMI_MSEC ? nanoseconds : GSMI_MSEC);
#endif
}

#define GSMI_SLICE (40 * GSMI_MSEC)  // the longest sleep

// Sleeps until `is_ready` says so, a wake or the end of the time. Returns whether it is ready.
static inline int gsmi_sleep_until(const gsm_memory *memory, unsigned char *line, int (*is_ready)(void *),
                                   void *object, uint64_t nanoseconds) {
    uint32_t bell = gsmi_load32(line + GSMI_BELL);
    if (is_ready(object)) return 1;
    if (memory->is_writable) {
        gsmi_store32(line, 1);
        gsmi_fence();
        if (is_ready(object)) return 1;
        gsmi_sleep_on(line, bell, nanoseconds);
    } else {
        gsmi_sleep(nanoseconds < GSMI_MSEC ? nanoseconds : GSMI_MSEC);
    }
    return is_ready(object);
}

// Returns the time at which a timeout ends.
static inline uint64_t gsmi_deadline(uint64_t now, int64_t timeout_msec) {
    uint64_t most = (UINT64_MAX - now) / GSMI_MSEC;
    return now + ((uint64_t)timeout_msec < most ? (uint64_t)timeout_msec : most) * GSMI_MSEC;
}

// Waits until `is_ready` says so, but no longer than `timeout_msec`. Returns GSM_GONE if the last of the
// other side ended in that time.
static inline gsm_error gsmi_wait(const gsm_memory *memory, unsigned char *line, int (*is_ready)(void *),
                                  int (*is_other_alive)(void *), void *object, int64_t timeout_msec) {
    if (timeout_msec < 0) return GSM_ERROR_ARGUMENT;
    if (is_ready(object)) return GSM_OK;
    if (timeout_msec == 0) return GSM_TIMEOUT;
    uint64_t now = gsm_clock(), deadline = gsmi_deadline(now, timeout_msec), looked = now;
    int was_alive = is_other_alive(object);
    for (;;) {
        if ((now = gsm_clock()) >= deadline) return is_ready(object) ? GSM_OK : GSM_TIMEOUT;
        uint64_t rest = deadline - now < GSMI_SLICE ? deadline - now : GSMI_SLICE;
        if (gsmi_sleep_until(memory, line, is_ready, object, rest)) return GSM_OK;
        if ((now = gsm_clock()) - looked < GSMI_SLICE / 2) continue;
        looked = now;
        int is_alive = is_other_alive(object);
        if (was_alive && !is_alive) return is_ready(object) ? GSM_OK : GSM_GONE;
        was_alive = is_alive;
    }
}

// ---- Streams: the newest value ----

typedef struct gsm_stream {
    gsm_attachment at;
    uint64_t sequence;  // of the message read last, 0 if none was
    uint64_t missed;    // messages written since the first read, and not read
    // Internal from here on.
    int is_writer, has_pin, lacks_pin, is_drawing;
    uint32_t pin, slot;
    uint64_t latest;    // the writer's own copy of the word
} gsm_stream;

typedef struct gsmi_slot {
    uint64_t sequence, length, time;
    uint32_t tag, zero, shape[4];
    uint8_t zeros[80];
} gsmi_slot;
GSMI_ASSERT(sizeof(gsmi_slot) == 128);

static inline unsigned char *gsmi_pin(const gsm_stream *stream, uint32_t i) {
    return stream->at.memory->data + GSMI_PINS + 128 * (uint64_t)i;
}

static inline unsigned char *gsmi_slot_at(const gsm_stream *stream, uint64_t slot) {
    return gsmi_pin(stream, stream->at.count) + slot * gsmi_slot_size(stream->at.limit);
}

static inline unsigned char *gsmi_newest(const gsm_stream *stream) {
    return stream->at.memory->data + GSMI_NEWEST;
}

static inline int gsmi_is_latest(const gsm_stream *stream, uint64_t latest) {
    return (latest & 0xFF) < stream->at.count + 2 && latest >> 8 >= 1 && latest >> 8 <= GSMI_LAST_SEQUENCE;
}

// Attaches to a stream, or lays memory of zeros out.
// `limit`: bytes that a message must be able to have, at least. `readers`: readers that shall never have to
// retry, at least; 0 to 64. An existing layout must have as much. A limit of 0 means any; the memory's
// creator then lays out all of it, while other programs get GSM_NOT_LAID_OUT until that is done.
static inline gsm_error gsm_stream_attach(gsm_stream *stream, gsm_memory *memory, uint64_t limit,
                                          uint32_t readers) {
    memset(stream, 0, sizeof *stream);
    if (limit > GSMI_LONGEST || readers > GSMI_MOST_READERS) return GSM_ERROR_ARGUMENT;
    return gsmi_attach(&stream->at, memory, GSMI_LATEST, limit, readers, GSMI_SECOND);
}

// Creates memory for a stream, and attaches to it: gsm_memory_create() and gsm_stream_attach() in one call.
// `limit`: bytes of the longest message, from 1 on. `readers`: as for gsm_stream_attach().
// gsm_memory_close() ends both. If this fails, nothing is left open.
static inline gsm_error gsm_stream_create(gsm_stream *stream, gsm_memory *memory, const char *name,
                                          uint64_t limit, uint32_t readers, int scope) {
    memset(stream, 0, sizeof *stream);
    memset(memory, 0, sizeof *memory);
    if (limit < 1 || limit > GSMI_LONGEST || readers > GSMI_MOST_READERS) return GSM_ERROR_ARGUMENT;
    gsm_error error = gsm_memory_create(memory, name, gsmi_total_length(GSMI_LATEST, readers, limit), scope);
    if (error != GSM_OK) return error;
    return gsmi_finish_opening(memory, gsm_stream_attach(stream, memory, limit, readers));
}

// Opens memory and attaches to the stream in it, whoever has created it. gsm_memory_close() ends both. If this
// fails, nothing is left open.
static inline gsm_error gsm_stream_open(gsm_stream *stream, gsm_memory *memory, const char *name) {
    memset(stream, 0, sizeof *stream);
    gsm_error error = gsm_memory_open(memory, name, GSM_READ_WRITE);
    if (error != GSM_OK) return error;
    return gsmi_finish_opening(memory, gsm_stream_attach(stream, memory, 0, 0));
}

// Gives the roles back. The memory stays open.
static inline void gsm_stream_detach(gsm_stream *stream) {
    if (stream->has_pin) gsmi_give_back(stream->at.memory, stream->at.incarnation, GSMI_READER + stream->pin);
    if (stream->is_writer) gsmi_give_back(stream->at.memory, stream->at.incarnation, GSMI_WRITER);
    memset(stream, 0, sizeof *stream);
}

// Returns the bytes of the longest message.
static inline uint64_t gsm_stream_max_length(const gsm_stream *stream) { return stream->at.limit; }

// Gives slot `latest` to each reader that asks.
static inline void gsmi_help(gsm_stream *stream) {
    for (uint32_t i = 0; i < stream->at.count; i++)
        gsmi_exchange_if(gsmi_pin(stream, i), 1, 2 + (uint32_t)(stream->latest & 0xFF));
}

static inline gsm_error gsmi_load_writer(gsm_stream *stream) {
    stream->latest = gsmi_load64(gsmi_newest(stream));
    if (stream->latest == 0) return GSM_OK;
    if (!gsmi_is_latest(stream, stream->latest)) return GSM_ERROR_INVALID_DATA;
    // The writer before may have ended between its publishing and its fence.
    gsmi_fence();
    gsmi_help(stream);
    return GSM_OK;
}

static inline gsm_error gsmi_be_writer(gsm_stream *stream) {
    uint32_t index;
    if (stream->at.memory == NULL) return GSM_ERROR_ARGUMENT;
    if (stream->is_writer) return GSM_OK;
    gsm_error error = gsmi_take_role(&stream->at, GSMI_WRITER, &index);
    if (error != GSM_OK) return error;
    error = gsmi_load_writer(stream);
    if (error != GSM_OK) gsmi_give_back(stream->at.memory, stream->at.incarnation, GSMI_WRITER);
    stream->is_writer = error == GSM_OK;
    return error;
}

// Returns in `content` where to draw the next message, without a copy: room for gsm_stream_max_length()
// bytes, which nobody reads before gsm_stream_commit(). The bytes there are those of an older message.
static inline gsm_error gsm_stream_begin(gsm_stream *stream, void **content) {
    uint8_t is_used[GSMI_MOST_READERS + 2] = {0};
    *content = NULL;
    gsm_error error = gsmi_be_writer(stream);
    if (error != GSM_OK) return error;
    uint32_t slots = stream->at.count + 2, own = (uint32_t)(stream->latest & 0xFF), k = 0;
    for (uint32_t i = 0; i < stream->at.count; i++) {
        uint32_t pin = gsmi_load32(gsmi_pin(stream, i));
        if (pin >= 2 && pin - 2 < slots) is_used[pin - 2] = 1;
    }
    if (stream->latest != 0) {
        is_used[own] = 1;
        k = (own + 1) % slots;
    }
    // If pins lie, all slots seem to be in use. Then the first one is taken.
    for (uint32_t i = 0, slot = k; i < slots; i++, slot = (slot + 1) % slots) {
        if (is_used[slot]) continue;
        k = slot;
        break;
    }
    stream->slot = k;
    stream->is_drawing = 1;
    gsmi_store64(gsmi_slot_at(stream, k), 0);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    *content = gsmi_slot_at(stream, k) + sizeof(gsmi_slot);
    return GSM_OK;
}

// Publishes the message that was drawn after gsm_stream_begin(), and wakes the readers that wait.
static inline gsm_error gsm_stream_commit(gsm_stream *stream, const gsm_message *message) {
    gsmi_slot header;
    if (!stream->is_drawing) return GSM_ERROR_ARGUMENT;
    gsm_error error = gsm_message_check(message);
    if (error != GSM_OK) return error;
    if (message->length > stream->at.limit) return GSM_ERROR_TOO_LONG;
    uint64_t sequence = (stream->latest == 0 ? stream->at.first_sequence : stream->latest >> 8) + 1;
    if (sequence > GSMI_LAST_SEQUENCE) return GSM_ERROR_INVALID_DATA;
    gsm_message clean = *message;
    gsmi_clear_shape(&clean);
    memset(&header, 0, sizeof header);
    header.length = clean.length;
    header.time = gsm_clock();
    header.tag = clean.tag;
    memcpy(header.shape, clean.shape, sizeof header.shape);
    unsigned char *slot = gsmi_slot_at(stream, stream->slot);
    memcpy(slot + 8, (const unsigned char *)&header + 8, sizeof header - 8);
    gsmi_store64(slot, sequence);
    stream->latest = sequence << 8 | stream->slot;
    stream->is_drawing = 0;
    gsmi_store64(gsmi_newest(stream), stream->latest);
    gsmi_fence();
    gsmi_help(stream);
    gsmi_wake(stream->at.memory->data + GSMI_WANTED);
    return GSM_OK;
}

// Writes a message, whose content is copied. Never waits. Takes the role of the writer.
static inline gsm_error gsm_stream_write(gsm_stream *stream, const gsm_message *message, const void *content) {
    void *place;
    gsm_error error = content == NULL && message->length != 0 ? GSM_ERROR_ARGUMENT : gsm_message_check(message);
    if (error == GSM_OK && stream->at.memory && message->length > stream->at.limit) error = GSM_ERROR_TOO_LONG;
    if (error == GSM_OK) error = gsm_stream_begin(stream, &place);
    if (error != GSM_OK) return error;
    if (message->length > stream->at.limit) return GSM_ERROR_TOO_LONG;  // it may have attached again
    if (message->length != 0) memcpy(place, content, (size_t)message->length);
    return gsm_stream_commit(stream, message);
}

// Copies a slot: its header into `message`, checked, and the content into `buffer`, if that isn't NULL.
static inline gsm_error gsmi_copy_slot(const gsm_stream *stream, uint32_t k, gsm_message *message, void *buffer,
                                       uint64_t capacity) {
    gsmi_slot header;
    const unsigned char *slot = gsmi_slot_at(stream, k);
    memcpy(&header, slot, sizeof header);
    *message = gsmi_message(header.tag, header.length);
    memcpy(message->shape, header.shape, sizeof message->shape);
    message->time = header.time;
    if (header.length > stream->at.limit || gsm_message_check(message) != GSM_OK) return GSM_ERROR_INVALID_DATA;
    gsmi_clear_shape(message);
    if (buffer == NULL) return GSM_OK;
    if (header.length > capacity) return GSM_ERROR_BUFFER;
    memcpy(buffer, slot + sizeof header, (size_t)header.length);
    return GSM_OK;
}

// Reads with a pin, which keeps the writer away from the slot.
static inline gsm_error gsmi_read_pinned(const gsm_stream *stream, gsm_message *message, void *buffer,
                                         uint64_t capacity) {
    unsigned char *pin = gsmi_pin(stream, stream->pin);
    uint64_t least = gsmi_load64(gsmi_newest(stream));
    if (least == 0) return GSM_EMPTY;
    if (!gsmi_is_latest(stream, least)) return GSM_ERROR_INVALID_DATA;
    gsmi_store32(pin, 1);
    gsmi_fence();
    uint64_t latest = gsmi_load64(gsmi_newest(stream));
    gsm_error error = GSM_ERROR_INVALID_DATA;
    if (gsmi_is_latest(stream, latest)) {
        // The writer may have given a slot already: that of a message since the pin asked, so perhaps an
        // older one than `latest`.
        gsmi_exchange_if(pin, 1, 2 + (uint32_t)(latest & 0xFF));
        uint32_t k = gsmi_load32(pin) - 2;
        if (k < stream->at.count + 2) {
            uint64_t sequence = gsmi_load64(gsmi_slot_at(stream, k));
            if (sequence >= least >> 8 && sequence <= GSMI_LAST_SEQUENCE) {
                error = gsmi_copy_slot(stream, k, message, buffer, capacity);
                message->sequence = sequence;
            }
            __atomic_thread_fence(__ATOMIC_ACQUIRE);
            if (gsmi_load64(gsmi_slot_at(stream, k)) != sequence) {
                message->sequence = 0;
                error = GSM_ERROR_INVALID_DATA;
            }
        }
    }
    gsmi_store32(pin, 0);
    return error;
}

// Reads without a pin: copies, and looks afterwards whether the writer was there.
static inline gsm_error gsmi_read_unpinned(gsm_stream *stream, gsm_message *message, void *buffer,
                                           uint64_t capacity) {
    for (int i = 0; i < GSMI_TRIES; i++) {
        if (!stream->is_writer && !stream->has_pin && !gsmi_is_attached(&stream->at)) {
            gsm_error error = gsmi_attach_to_header(&stream->at);
            if (error != GSM_OK) return error;
        }
        uint64_t latest = gsmi_load64(gsmi_newest(stream)), sequence = latest >> 8;
        if (latest == 0) return GSM_EMPTY;
        if (!gsmi_is_latest(stream, latest)) return GSM_ERROR_INVALID_DATA;
        const unsigned char *slot = gsmi_slot_at(stream, latest & 0xFF);
        if (gsmi_load64(slot) != sequence) continue;
        gsm_error error = gsmi_copy_slot(stream, (uint32_t)(latest & 0xFF), message, buffer, capacity);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (gsmi_load64(slot) != sequence || !gsmi_is_attached(&stream->at)) continue;
        message->sequence = sequence;
        return error;
    }
    return GSM_BUSY;
}

// Reads the newest message, new or not. `message` receives its description, `buffer` its content.
// GSM_EMPTY: there is none. GSM_ERROR_BUFFER: it has more than `capacity` bytes; `message` says how many, and
// it stays unread. GSM_BUSY: all pins are taken, or the memory is read-only, and the writer was faster.
static inline gsm_error gsm_stream_read(gsm_stream *stream, gsm_message *message, void *buffer,
                                        uint64_t capacity) {
    char none;
    *message = gsmi_message(0, 0);
    if (stream->at.memory == NULL || (buffer == NULL && capacity != 0)) return GSM_ERROR_ARGUMENT;
    if (buffer == NULL) buffer = &none;
    if (!stream->has_pin && !stream->lacks_pin && gsmi_load64(gsmi_newest(stream)) != 0) {
        stream->has_pin = gsmi_take_role(&stream->at, GSMI_READER, &stream->pin) == GSM_OK;
        stream->lacks_pin = !stream->has_pin;
        if (stream->has_pin) gsmi_store32(gsmi_pin(stream, stream->pin), 0);
    }
    gsm_error error = stream->has_pin ? gsmi_read_pinned(stream, message, buffer, capacity)
                                      : gsmi_read_unpinned(stream, message, buffer, capacity);
    if (message->sequence != 0 && (error == GSM_OK || error == GSM_ERROR_INVALID_DATA)) {
        if (stream->sequence != 0 && message->sequence > stream->sequence)
            stream->missed += message->sequence - stream->sequence - 1;
        stream->sequence = message->sequence;
    }
    if (error != GSM_OK && error != GSM_ERROR_BUFFER) *message = gsmi_message(0, 0);
    if (error == GSM_BUSY) stream->lacks_pin = 0;  // a pin may be free next time
    return error;
}

// Describes the newest message without reading it, so that a buffer can be made. Takes no role.
static inline gsm_error gsm_stream_peek(gsm_stream *stream, gsm_message *message) {
    *message = gsmi_message(0, 0);
    if (stream->at.memory == NULL) return GSM_ERROR_ARGUMENT;
    return gsmi_read_unpinned(stream, message, NULL, 0);
}

// Returns whether there is a message other than the one read last. Takes no role.
static inline int gsm_stream_has_new(const gsm_stream *stream) {
    uint64_t latest = stream->at.memory ? gsmi_load64(gsmi_newest(stream)) : 0;
    return latest != 0 && latest >> 8 != stream->sequence;
}

// Returns how many messages were written between the reads of this object, and not read by it.
static inline uint64_t gsm_stream_missed(const gsm_stream *stream) { return stream->missed; }

// Returns the nanoseconds since the newest message was written, or -1 if that is unknown. Takes no role.
static inline int64_t gsm_stream_age(gsm_stream *stream) {
    gsm_message message;
    if (gsm_stream_peek(stream, &message) != GSM_OK || message.time == 0) return -1;
    uint64_t now = gsm_clock();
    return message.time <= now && now <= INT64_MAX ? (int64_t)(now - message.time) : -1;
}

// Returns whether a program has the role of the writer. It is alive then, but may be stopped or hang.
static inline int gsm_stream_has_writer(const gsm_stream *stream) {
    return stream->at.memory && gsmi_is_held(stream->at.memory, stream->at.incarnation, GSMI_WRITER);
}

static inline int gsmi_stream_is_ready(void *stream) { return gsm_stream_has_new((const gsm_stream *)stream); }
static inline int gsmi_stream_is_alive(void *stream) { return gsm_stream_has_writer((const gsm_stream *)stream); }

// Waits until gsm_stream_has_new(). GSM_TIMEOUT: there was nothing. GSM_GONE: the writer gave its role back
// or ended while this function waited. Takes no role.
static inline gsm_error gsm_stream_wait(gsm_stream *stream, int64_t timeout_msec) {
    if (stream->at.memory == NULL) return GSM_ERROR_ARGUMENT;
    return gsmi_wait(stream->at.memory, stream->at.memory->data + GSMI_WANTED, gsmi_stream_is_ready,
                     gsmi_stream_is_alive, stream, timeout_msec);
}

// Empties the stream, also one with invalid data. Needs every role of the stream free or held by this object,
// else GSM_ERROR_IN_USE. Numbers of messages go on.
static inline gsm_error gsm_stream_reset(gsm_stream *stream) {
    uint64_t mine[4] = {0, 0, 0, 0};
    if (stream->is_writer) mine[0] |= UINT64_C(1) << GSMI_WRITER;
    uint32_t pin = GSMI_READER + stream->pin;
    if (stream->has_pin) mine[pin / 64] |= UINT64_C(1) << pin % 64;
    gsm_error error = gsmi_reset_attached(&stream->at, mine);
    if (error == GSM_OK) stream->latest = 0, stream->is_drawing = 0;
    return error;
}

// ---- Queues: every message in order ----

enum { GSMI_PUT = 0x10, GSMI_HEAD = 0x80, GSMI_ROOM = 0x88, GSMI_TAKEN = 0x90, GSMI_RING = 0x100 };
#define GSMI_PADDING 0xFFFFFFFFu

typedef struct gsm_queue {
    gsm_attachment at;
    // Internal.
    int is_producer, is_consumer;
    uint32_t lane;             // of the producer
    uint32_t turn;             // the lane that the consumer looks at next
    uint64_t need;             // bytes that a producer waits for, with its padding
    uint64_t tail, head, put;  // of the producer's lane
    struct {
        uint64_t head, tail, taken;
    } lanes[GSMI_MOST_LANES];  // of the consumer
} gsm_queue;

static inline unsigned char *gsmi_lane(const gsm_queue *queue, uint32_t lane) {
    return queue->at.memory->data + 256 + lane * (256 + queue->at.limit);
}

static inline int gsmi_is_ring(const gsm_queue *queue, uint64_t head, uint64_t tail) {
    return (head & 7) == 0 && (tail & 7) == 0 && tail >> 62 == 0 && tail >= head && tail - head <= queue->at.limit;
}

// Stores a position and the number of messages up to it. Half of a pair is never taken for a whole one: the
// position that it belongs to isn't published yet.
static inline void gsmi_store_count(unsigned char *pairs, uint64_t position, uint64_t count) {
    unsigned char *pair = pairs + 16 * (count & 1);
    // Before these stores, others must see the position that made the pair free.
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n((uint64_t *)(void *)pair, position, __ATOMIC_RELAXED);
    __atomic_store_n((uint64_t *)(void *)(pair + 8), count, __ATOMIC_RELAXED);
}

// Finds the number of messages up to a position.
static inline gsm_error gsmi_find_count(const unsigned char *pairs, uint64_t position, uint64_t *count) {
    for (int i = 0; i < 2; i++) {
        *count = gsmi_load64(pairs + 16 * i + 8);
        if (gsmi_load64(pairs + 16 * i) == position) return GSM_OK;
    }
    return GSM_ERROR_INVALID_DATA;
}

// Returns the size of a ring with this capacity; 0 for 0.
static inline uint64_t gsmi_ring_for(uint64_t capacity) {
    uint64_t ring = capacity == 0 ? 0 : GSMI_SMALLEST_RING;
    while (ring < capacity) ring *= 2;
    return ring;
}

// Attaches to a queue, or lays memory of zeros out.
// `capacity`: bytes of each producer's ring, at least; 0 to 2^30, rounded up to a power of two from 64 on.
// `lanes`: producers at a time, at least; 0 to 64. An existing layout must have as much. A capacity of 0
// means any; the memory's creator then lays out all of it, while other programs get GSM_NOT_LAID_OUT until
// that is done.
static inline gsm_error gsm_queue_attach(gsm_queue *queue, gsm_memory *memory, uint64_t capacity,
                                         uint32_t lanes) {
    memset(queue, 0, sizeof *queue);
    if (capacity > GSMI_LARGEST_RING || lanes > GSMI_MOST_LANES) return GSM_ERROR_ARGUMENT;
    return gsmi_attach(&queue->at, memory, GSMI_LANES, gsmi_ring_for(capacity), lanes, GSMI_SECOND);
}

// Creates memory for a queue, and attaches to it: gsm_memory_create() and gsm_queue_attach() in one call.
// `capacity`: bytes of each producer's ring, 1 to 2^30, rounded up as there. `lanes`: producers at a time, 1
// to 64. gsm_memory_close() ends both. If this fails, nothing is left open.
static inline gsm_error gsm_queue_create(gsm_queue *queue, gsm_memory *memory, const char *name,
                                         uint64_t capacity, uint32_t lanes, int scope) {
    memset(queue, 0, sizeof *queue);
    memset(memory, 0, sizeof *memory);
    if (capacity < 1 || capacity > GSMI_LARGEST_RING || lanes < 1 || lanes > GSMI_MOST_LANES)
        return GSM_ERROR_ARGUMENT;
    uint64_t size = gsmi_total_length(GSMI_LANES, lanes, gsmi_ring_for(capacity));
    gsm_error error = gsm_memory_create(memory, name, size, scope);
    if (error != GSM_OK) return error;
    return gsmi_finish_opening(memory, gsm_queue_attach(queue, memory, capacity, lanes));
}

// Opens memory and attaches to the queue in it, whoever has created it. gsm_memory_close() ends both. If this
// fails, nothing is left open.
static inline gsm_error gsm_queue_open(gsm_queue *queue, gsm_memory *memory, const char *name) {
    memset(queue, 0, sizeof *queue);
    gsm_error error = gsm_memory_open(memory, name, GSM_READ_WRITE);
    if (error != GSM_OK) return error;
    return gsmi_finish_opening(memory, gsm_queue_attach(queue, memory, 0, 0));
}

// Gives the roles back. The memory stays open.
static inline void gsm_queue_detach(gsm_queue *queue) {
    if (queue->is_producer) gsmi_give_back(queue->at.memory, queue->at.incarnation, GSMI_PRODUCER + queue->lane);
    if (queue->is_consumer) gsmi_give_back(queue->at.memory, queue->at.incarnation, GSMI_CONSUMER);
    memset(queue, 0, sizeof *queue);
}

// Returns the bytes of the longest message. There is always room for it in an empty lane.
static inline uint64_t gsm_queue_max_length(const gsm_queue *queue) {
    return queue->at.memory ? queue->at.limit / 2 - 24 : 0;
}

static inline gsm_error gsmi_load_producer(gsm_queue *queue) {
    const unsigned char *lane = gsmi_lane(queue, queue->lane);
    queue->tail = gsmi_load64(lane);
    queue->head = gsmi_load64(lane + GSMI_HEAD);
    if (!gsmi_is_ring(queue, queue->head, queue->tail)) return GSM_ERROR_INVALID_DATA;
    return gsmi_find_count(lane + GSMI_PUT, queue->tail, &queue->put);
}

static inline gsm_error gsmi_be_producer(gsm_queue *queue) {
    if (queue->at.memory == NULL) return GSM_ERROR_ARGUMENT;
    if (queue->is_producer) return GSM_OK;
    gsm_error error = gsmi_take_role(&queue->at, GSMI_PRODUCER, &queue->lane);
    if (error != GSM_OK) return error;
    error = gsmi_load_producer(queue);
    if (error != GSM_OK) gsmi_give_back(queue->at.memory, queue->at.incarnation, GSMI_PRODUCER + queue->lane);
    queue->is_producer = error == GSM_OK;
    return error;
}

static inline gsm_error gsmi_load_head(gsm_queue *queue, uint32_t i) {
    const unsigned char *lane = gsmi_lane(queue, i);
    queue->lanes[i].head = queue->lanes[i].tail = gsmi_load64(lane + GSMI_HEAD);
    if (!gsmi_is_ring(queue, queue->lanes[i].head, queue->lanes[i].head)) return GSM_ERROR_INVALID_DATA;
    return gsmi_find_count(lane + GSMI_TAKEN, queue->lanes[i].head, &queue->lanes[i].taken);
}

static inline gsm_error gsmi_load_consumer(gsm_queue *queue) {
    gsm_error error = GSM_OK;
    for (uint32_t i = 0; i < queue->at.count && error == GSM_OK; i++) error = gsmi_load_head(queue, i);
    return error;
}

static inline gsm_error gsmi_be_consumer(gsm_queue *queue) {
    uint32_t index;
    if (queue->at.memory == NULL) return GSM_ERROR_ARGUMENT;
    if (queue->is_consumer) return GSM_OK;
    gsm_error error = gsmi_take_role(&queue->at, GSMI_CONSUMER, &index);
    if (error != GSM_OK) return error;
    error = gsmi_load_consumer(queue);
    if (error != GSM_OK) gsmi_give_back(queue->at.memory, queue->at.incarnation, GSMI_CONSUMER);
    queue->is_consumer = error == GSM_OK;
    return error;
}

// Returns whether `need` bytes are free, and also if `head` can't be right: then waiting makes no sense.
static inline int gsmi_has_room(void *object) {
    gsm_queue *queue = (gsm_queue *)object;
    if (queue->tail + queue->need - queue->head <= queue->at.limit) return 1;
    queue->head = gsmi_load64(gsmi_lane(queue, queue->lane) + GSMI_HEAD);
    return !gsmi_is_ring(queue, queue->head, queue->tail) ||
           queue->tail + queue->need - queue->head <= queue->at.limit;
}

// Returns whether a program has the consumer's role. It is alive then, but may be stopped or hang.
static inline int gsm_queue_has_consumer(const gsm_queue *queue) {
    return queue->at.memory && gsmi_is_held(queue->at.memory, queue->at.incarnation, GSMI_CONSUMER);
}

// Returns how many programs have a producer's role.
static inline uint32_t gsm_queue_producers(const gsm_queue *queue) {
    uint32_t many = 0;
    for (uint32_t i = 0; queue->at.memory && i < queue->at.count; i++)
        many += gsmi_is_held(queue->at.memory, queue->at.incarnation, GSMI_PRODUCER + i) ? 1 : 0;
    return many;
}

static inline int gsmi_queue_has_consumer(void *queue) { return gsm_queue_has_consumer((const gsm_queue *)queue); }
static inline int gsmi_queue_has_producer(void *queue) { return gsm_queue_producers((const gsm_queue *)queue) != 0; }

static inline uint32_t gsmi_shape_size(uint32_t kind) { return kind == GSM_ARRAY || kind == GSM_IMAGE ? 16 : 0; }

// Returns the bytes of a record whose `size` is this.
static inline uint64_t gsmi_record_size(uint32_t size) { return 8 + (size + UINT64_C(7)) / 8 * 8; }

// Looks whether a record whose `size` is this fits, with its padding. GSM_FULL: not yet.
static inline gsm_error gsmi_find_room(gsm_queue *queue, uint32_t size) {
    uint64_t need = gsmi_record_size(size), left = queue->at.limit - queue->tail % queue->at.limit;
    queue->need = need > left ? left + need : need;
    if (!gsmi_has_room(queue)) return GSM_FULL;
    if (gsmi_is_ring(queue, queue->head, queue->tail)) return GSM_OK;
    queue->head = queue->tail - queue->at.limit;  // full, until `head` is right
    return GSM_ERROR_INVALID_DATA;
}

// Puts a record in, after gsmi_find_room(). `number` is NULL, or stands between the shape and the content.
static inline void gsmi_put(gsm_queue *queue, uint32_t size, const gsm_message *message, const uint64_t *number,
                            const void *content) {
    unsigned char *lane = gsmi_lane(queue, queue->lane), *ring = lane + GSMI_RING;
    uint32_t words[2] = {size, message->tag}, shape = gsmi_shape_size(gsm_kind(message));
    uint64_t limit = queue->at.limit, tail = queue->tail;
    if (queue->need != gsmi_record_size(size)) {
        uint32_t mark = GSMI_PADDING;
        memcpy(ring + tail % limit, &mark, sizeof mark);
        tail += limit - tail % limit;
    }
    gsm_message clean = *message;
    gsmi_clear_shape(&clean);
    unsigned char *record = ring + tail % limit;
    memcpy(record, words, sizeof words);
    record += sizeof words;
    memcpy(record, clean.shape, shape);
    record += shape;
    if (number != NULL) {
        memcpy(record, number, sizeof *number);
        record += sizeof *number;
    }
    if (message->length != 0) memcpy(record, content, (size_t)message->length);
    queue->tail += queue->need;
    queue->put++;
    gsmi_store_count(lane + GSMI_PUT, queue->tail, queue->put);
    gsmi_store64(lane, queue->tail);
}

// Puts a message in, whose content is copied, and wakes the consumer. Takes the role of a producer.
// GSM_FULL: there is no room, and the timeout is 0. GSM_TIMEOUT: there was none in that time. GSM_GONE: the
// consumer gave its role back or ended while this function waited.
static inline gsm_error gsm_queue_enqueue(gsm_queue *queue, const gsm_message *message, const void *content,
                                          int64_t timeout_msec) {
    gsm_error error = gsm_message_check(message);
    if (timeout_msec < 0 || (content == NULL && message->length != 0)) error = GSM_ERROR_ARGUMENT;
    if (error == GSM_OK) error = gsmi_be_producer(queue);
    if (error != GSM_OK) return error;
    if (message->length > gsm_queue_max_length(queue)) return GSM_ERROR_TOO_LONG;
    uint32_t size = gsmi_shape_size(gsm_kind(message)) + (uint32_t)message->length;
    error = gsmi_find_room(queue, size);
    if (error == GSM_FULL && timeout_msec != 0) {
        error = gsmi_wait(queue->at.memory, gsmi_lane(queue, queue->lane) + GSMI_ROOM, gsmi_has_room,
                          gsmi_queue_has_consumer, queue, timeout_msec);
        if (error == GSM_OK) error = gsmi_find_room(queue, size);
    }
    if (error != GSM_OK) return error;
    gsmi_put(queue, size, message, NULL, content);
    gsmi_wake(queue->at.memory->data + GSMI_WANTED);
    return GSM_OK;
}

// Finds the record at `head`, which is moved behind it, and copies its first two words.
static inline gsm_error gsmi_find_record(const gsm_queue *queue, uint32_t lane, uint64_t *head, uint64_t tail,
                                         uint32_t words[2], const unsigned char **record) {
    uint64_t limit = queue->at.limit, h = *head;
    const unsigned char *ring = gsmi_lane(queue, lane) + GSMI_RING;
    for (int i = 0;; i++) {
        memcpy(words, ring + h % limit, 2 * sizeof *words);
        if (words[0] != GSMI_PADDING) break;
        // Padding leads to the beginning of the ring, where a record is.
        h += limit - h % limit;
        if (i == 1 || h >= tail || tail - h > limit) return GSM_ERROR_INVALID_DATA;
    }
    uint64_t need = gsmi_record_size(words[0]);
    if (need > tail - h || need > limit - h % limit) return GSM_ERROR_INVALID_DATA;
    *record = ring + h % limit;
    *head = h + need;
    return GSM_OK;
}

// Copies the message of a record. GSM_ERROR_MESSAGE: it isn't one. `number` is NULL, or receives what stands
// between the shape and the content. `buffer` may be NULL.
static inline gsm_error gsmi_copy_message(const uint32_t words[2], const unsigned char *record,
                                          gsm_message *message, uint64_t *number, void *buffer,
                                          uint64_t capacity) {
    uint32_t shape = gsmi_shape_size(words[1] & 0xFF), before = shape + (number ? 8 : 0);
    *message = gsmi_message(words[1], words[0]);
    if (words[0] < before) return GSM_ERROR_MESSAGE;
    memcpy(message->shape, record + 8, shape);
    if (number != NULL) memcpy(number, record + 8 + shape, sizeof *number);
    message->length = words[0] - before;
    gsm_error error = gsm_message_check(message);
    gsmi_clear_shape(message);
    if (error != GSM_OK || buffer == NULL) return error;
    if (message->length > capacity) return GSM_ERROR_BUFFER;
    memcpy(buffer, record + 8 + before, (size_t)message->length);
    return GSM_OK;
}

// Copies the record at `head`, which is moved behind it. GSM_ERROR_MESSAGE: the record is whole, but not a
// message. `buffer` may be NULL.
static inline gsm_error gsmi_copy_record(const gsm_queue *queue, uint32_t lane, uint64_t *head, uint64_t tail,
                                         gsm_message *message, void *buffer, uint64_t capacity) {
    uint32_t words[2];
    const unsigned char *record;
    gsm_error error = gsmi_find_record(queue, lane, head, tail, words, &record);
    return error == GSM_OK ? gsmi_copy_message(words, record, message, NULL, buffer, capacity) : error;
}

// Returns whether a lane has a message, or a tail that can't be right.
static inline int gsmi_lane_has_message(gsm_queue *queue, uint32_t lane) {
    if (queue->lanes[lane].head == queue->lanes[lane].tail)
        queue->lanes[lane].tail = gsmi_load64(gsmi_lane(queue, lane));
    return queue->lanes[lane].head != queue->lanes[lane].tail;
}

static inline int gsmi_has_message(void *object) {
    gsm_queue *queue = (gsm_queue *)object;
    for (uint32_t i = 0; i < queue->at.count; i++)
        if (gsmi_lane_has_message(queue, i)) return 1;
    return 0;
}

// Takes the records before `head` out, and wakes the producer.
static inline void gsmi_take_out(gsm_queue *queue, uint32_t lane, uint64_t head) {
    unsigned char *words = gsmi_lane(queue, lane);
    queue->lanes[lane].head = head;
    queue->lanes[lane].taken++;
    gsmi_store_count(words + GSMI_TAKEN, head, queue->lanes[lane].taken);
    gsmi_store64(words + GSMI_HEAD, head);
    gsmi_wake(words + GSMI_ROOM);
}

// Takes the next message out of a lane.
static inline gsm_error gsmi_take(gsm_queue *queue, uint32_t lane, gsm_message *message, void *buffer,
                                  uint64_t capacity) {
    uint64_t head = queue->lanes[lane].head, tail = queue->lanes[lane].tail;
    gsm_error error = GSM_ERROR_INVALID_DATA;
    if (gsmi_is_ring(queue, head, tail))
        error = gsmi_copy_record(queue, lane, &head, tail, message, buffer, capacity);
    if (error == GSM_ERROR_INVALID_DATA) queue->lanes[lane].tail = queue->lanes[lane].head;  // look again next time
    if (error != GSM_OK && error != GSM_ERROR_MESSAGE) return error;
    gsmi_take_out(queue, lane, head);
    return error == GSM_OK ? GSM_OK : GSM_ERROR_INVALID_DATA;
}

// Takes the next message out, and wakes its producer. The lanes have turns. Takes the role of the consumer.
// `message` receives the description, `buffer` the content. GSM_ERROR_BUFFER: the message has more than
// `capacity` bytes; `message` says how many, and it stays. GSM_EMPTY: there is none, and the timeout is 0.
// GSM_TIMEOUT: there was none in that time. GSM_GONE: the last producer gave its role back or ended while
// this function waited.
static inline gsm_error gsm_queue_dequeue(gsm_queue *queue, gsm_message *message, void *buffer,
                                          uint64_t capacity, int64_t timeout_msec) {
    char none;
    *message = gsmi_message(0, 0);
    if (timeout_msec < 0 || (buffer == NULL && capacity != 0)) return GSM_ERROR_ARGUMENT;
    gsm_error error = gsmi_be_consumer(queue);
    if (error != GSM_OK) return error;
    if (!gsmi_has_message(queue)) {
        if (timeout_msec == 0) return GSM_EMPTY;
        error = gsmi_wait(queue->at.memory, queue->at.memory->data + GSMI_WANTED, gsmi_has_message,
                          gsmi_queue_has_producer, queue, timeout_msec);
        if (error != GSM_OK) return error;
    }
    for (uint32_t i = 0; i < queue->at.count; i++) {
        uint32_t lane = (queue->turn + i) % queue->at.count;
        if (!gsmi_lane_has_message(queue, lane)) continue;
        error = gsmi_take(queue, lane, message, buffer == NULL ? &none : buffer, capacity);
        queue->turn = (lane + (error == GSM_ERROR_BUFFER ? 0 : 1)) % queue->at.count;
        return error;
    }
    return GSM_EMPTY;
}

// Waits until there is a message. Takes the role of the consumer. The results are those of
// gsm_queue_dequeue().
static inline gsm_error gsm_queue_wait(gsm_queue *queue, int64_t timeout_msec) {
    gsm_error error = gsmi_be_consumer(queue);
    if (error != GSM_OK) return error;
    return gsmi_wait(queue->at.memory, queue->at.memory->data + GSMI_WANTED, gsmi_has_message,
                     gsmi_queue_has_producer, queue, timeout_msec);
}

static inline gsm_error gsmi_attach_again(gsm_queue *queue) {
    if (queue->at.memory == NULL) return GSM_ERROR_ARGUMENT;
    if (queue->is_producer || queue->is_consumer || gsmi_is_attached(&queue->at)) return GSM_OK;
    return gsmi_attach_to_header(&queue->at);
}

// Describes the next message without taking it out, so that a buffer can be made. Takes no role. An object
// that isn't the consumer doesn't know whose turn it is, and looks at the first lane that has a message.
static inline gsm_error gsm_queue_peek(gsm_queue *queue, gsm_message *message) {
    *message = gsmi_message(0, 0);
    gsm_error error = gsmi_attach_again(queue);
    if (error != GSM_OK) return error;
    for (uint32_t i = 0; i < queue->at.count; i++) {
        uint32_t lane = (queue->turn + i) % queue->at.count;
        const unsigned char *words = gsmi_lane(queue, lane);
        error = GSM_BUSY;
        for (int j = 0; j < GSMI_TRIES && error == GSM_BUSY; j++) {
            uint64_t head = gsmi_load64(words + GSMI_HEAD), tail = gsmi_load64(words), next = head;
            gsm_error found = GSM_EMPTY;
            if (!gsmi_is_ring(queue, head, tail)) found = GSM_ERROR_INVALID_DATA;
            else if (head != tail) found = gsmi_copy_record(queue, lane, &next, tail, message, NULL, 0);
            __atomic_thread_fence(__ATOMIC_ACQUIRE);
            if (gsmi_load64(words + GSMI_HEAD) == head) error = found;
        }
        if (error == GSM_ERROR_MESSAGE) error = GSM_ERROR_INVALID_DATA;
        if (error != GSM_EMPTY) return error;
    }
    return GSM_EMPTY;
}

static inline gsm_error gsmi_count(const unsigned char *position, const unsigned char *pairs, uint64_t *count) {
    for (int i = 0; i < GSMI_TRIES; i++) {
        uint64_t before = gsmi_load64(position);
        gsm_error error = gsmi_find_count(pairs, before, count);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (gsmi_load64(position) == before) return error;
    }
    return GSM_BUSY;
}

// Counts the messages that wait in all lanes. Takes no role. GSM_BUSY: the other programs were faster.
static inline gsm_error gsm_queue_count(gsm_queue *queue, uint64_t *count) {
    *count = 0;
    gsm_error error = gsmi_attach_again(queue);
    for (uint32_t i = 0; error == GSM_OK && i < queue->at.count; i++) {
        const unsigned char *lane = gsmi_lane(queue, i);
        uint64_t taken = 0, put = 0;
        // First the smaller number, which doesn't overtake the other one.
        error = gsmi_count(lane + GSMI_HEAD, lane + GSMI_TAKEN, &taken);
        if (error == GSM_OK) error = gsmi_count(lane, lane + GSMI_PUT, &put);
        if (error == GSM_OK && put < taken) error = GSM_ERROR_INVALID_DATA;
        *count += put - taken;
    }
    return error;
}

// Empties the queue, also one with invalid data. Needs every role of the queue free or held by this object,
// else GSM_ERROR_IN_USE.
static inline gsm_error gsm_queue_reset(gsm_queue *queue) {
    uint64_t mine[4] = {0, 0, 0, 0};
    uint32_t producer = GSMI_PRODUCER + queue->lane;
    if (queue->is_consumer) mine[0] |= UINT64_C(1) << GSMI_CONSUMER;
    if (queue->is_producer) mine[producer / 64] |= UINT64_C(1) << producer % 64;
    gsm_error error = gsmi_reset_attached(&queue->at, mine);
    if (error == GSM_OK && queue->is_producer) error = gsmi_load_producer(queue);
    if (error == GSM_OK && queue->is_consumer) error = gsmi_load_consumer(queue);
    return error;
}

// ---- Peers: two programs talk ----

enum { GSM_CLOSED, GSM_WAITING, GSM_CONNECTED };  // states of a peer
enum { GSMI_NEWS = 0x08 };                        // in a lane: the words that its consumer waits with
enum { GSMI_REQUEST = 1, GSMI_ANSWER = 2 };       // the upper two bits of a tag
#define GSMI_SMALLEST_BUFFER UINT64_C(4096)
#define GSMI_PATIENCE (50 * GSMI_MSEC)            // with a program that is opening, or about to end
#define GSMI_LOOK (100 * GSMI_MSEC)               // from one look at the name to the next

// One side of a connection. Its address must not change while it is open.
typedef struct gsm_peer {
    int is_request;     // the message received last is a request: the next gsm_peer_send() answers it
    int is_answer;      // the message received last is the answer to gsm_peer_ask()
    uint64_t late;      // answers that came after their request had ended, and were dropped
    // Internal from here on.
    gsm_memory memory;
    gsm_queue queue;    // puts into lane `queue.lane`, and takes out of the other one
    int scope, is_joining, has_introduced, is_alive, has_message, has_lost;
    uint64_t ring, own, partner, due, answered;
    uint64_t asked;     // the number of the request that the next message answers
    uint64_t requests;  // made so far
    uint64_t waiting;   // the number of the request that waits for its answer
    uint64_t searched;  // how far the lane was searched for answers
    uint64_t scanned;   // how far the lane was searched for the mark of another partner
    uint64_t looked;    // the time of the last look at the name
    char name[256];
} gsm_peer;

static inline uint32_t gsmi_inbox(const gsm_peer *peer) { return 1 - peer->queue.lane; }

static inline int gsmi_is_side_held(gsm_peer *peer, uint32_t side) {
    return gsmi_is_held(&peer->memory, peer->queue.at.incarnation, GSMI_SIDE + side);
}

// Returns whether the creator is known to live. A lock file doesn't tell.
static inline int gsmi_has_creator(gsm_memory *memory) {
    return !memory->has_lock_file && gsmi_is_locked(memory, GSMI_LIFE);
}

// Takes the layout lock and both sides, if no other program has one of them, and removes the name that a dead
// creator has left. Returns GSM_BUSY then. If that is impossible, empties the memory of an opener. Gives the
// locks back, except for the side of a peer that is closing.
static inline gsm_error gsmi_clear_pair(gsm_peer *peer, int is_closing) {
    gsm_attachment *at = &peer->queue.at;
    gsm_memory *memory = &peer->memory;
    uint64_t both[4] = {UINT64_C(3) << GSMI_SIDE, 0, 0, 0};
    uint32_t taken = 0;
    gsmi_header header;
    gsm_error error = gsmi_claim(memory, 0, GSMI_LAYOUT);
    if (error != GSM_OK) return error;
    if (!is_closing) error = gsmi_attach_to_header(at);
    for (uint32_t i = 0; i < 2 && error == GSM_OK; i++) {
        if (is_closing && i == peer->queue.lane) continue;
        error = gsmi_claim(memory, at->incarnation, GSMI_SIDE + i);
        if (error == GSM_OK) taken |= 1u << i;
    }
    if (error == GSM_OK && gsmi_remove_dead(memory, peer->name) == GSM_OK) {
        error = GSM_BUSY;
    } else if (error == GSM_OK && !is_closing) {
        gsmi_copy_header(memory, &header);
        error = gsmi_check_header(&header, GSMI_PAIR, memory->size);
        if (error == GSM_OK) error = gsmi_reset(memory, &header, both);
        if (error == GSM_OK) error = gsmi_attach_to_header(at);
    }
    for (uint32_t i = 0; i < 2; i++)
        if (taken >> i & 1) gsmi_give_back(memory, at->incarnation, GSMI_SIDE + i);
    gsmi_give_back(memory, 0, GSMI_LAYOUT);
    return error;
}

// Opens the memory, or creates it, and takes a side. Most errors mean that it is worth trying again.
static inline gsm_error gsmi_take_side(gsm_peer *peer) {
    gsm_memory *memory = &peer->memory;
    gsm_queue *queue = &peer->queue;
    uint64_t ring = 0;
    gsm_error error = gsm_memory_open(memory, peer->name, GSM_READ_WRITE);
    if (error == GSM_ERROR_NOT_FOUND) {
        ring = peer->ring;
        error = gsmi_create(memory, peer->name, gsmi_total_length(GSMI_PAIR, 2, ring), peer->scope,
                            GSMI_KEEPS_LEFT_OVERS);
    }
    if (error != GSM_OK) return error;
    error = gsmi_attach(&queue->at, memory, GSMI_PAIR, ring, 2, ring ? GSMI_PATIENCE : 0);
    int is_left = ring == 0 && !gsmi_has_creator(memory);
    if (is_left && error == GSM_OK && !gsmi_is_side_held(peer, 0) && !gsmi_is_side_held(peer, 1))
        error = gsmi_clear_pair(peer, 0);
    else if (is_left && error != GSM_OK && error != GSM_BUSY && gsmi_remove_dead(memory, peer->name) == GSM_OK)
        error = GSM_BUSY;
    if (error == GSM_OK) error = gsmi_take_role(&queue->at, GSMI_SIDE, &queue->lane);
    if (error == GSM_OK) error = gsmi_load_producer(queue);
    if (error == GSM_OK) error = gsmi_load_head(queue, gsmi_inbox(peer));
    // Its creator may have closed it, or a program that found it empty has replaced it.
    if (error == GSM_OK && !gsm_memory_is_current(memory)) error = GSM_BUSY;
    if (error == GSM_OK && (peer->own = gsmi_random()) == 0) error = GSM_ERROR_SYSTEM;
    if (error != GSM_OK) memset(queue, 0, sizeof *queue);
    return gsmi_finish_opening(memory, error);
}

// Writes a mark that says where this side's messages begin. Without room, the next step tries again.
static inline gsm_error gsmi_write_mark(gsm_peer *peer, uint64_t to) {
    gsm_message mark = gsmi_message(0, 16);
    uint64_t numbers[2] = {peer->own, to};
    gsm_error error = gsmi_find_room(&peer->queue, 16);
    if (error != GSM_OK) return error;
    gsmi_put(&peer->queue, 16, &mark, NULL, numbers);
    gsmi_wake(gsmi_lane(&peer->queue, peer->queue.lane) + GSMI_NEWS);
    return GSM_OK;
}

static inline gsm_error gsmi_write_marks(gsm_peer *peer) {
    gsm_error error = peer->has_introduced ? GSM_OK : gsmi_write_mark(peer, 0);
    if (error == GSM_OK) peer->has_introduced = 1;
    if (error == GSM_OK && peer->due != 0) {
        error = gsmi_write_mark(peer, peer->due);
        if (error == GSM_OK) peer->answered = peer->due, peer->due = 0;
    }
    return error == GSM_FULL ? GSM_OK : error;
}

// Returns whether a record is a request or an answer, and its number.
static inline uint32_t gsmi_number_of(const uint32_t words[2], const unsigned char *record, uint64_t *number) {
    uint32_t shape = gsmi_shape_size(words[1] & 0xFF), bits = words[1] >> 30;
    if (words[0] < shape + 8 || bits == 0 || bits == 3) return 0;
    memcpy(number, record + 8 + shape, sizeof *number);
    return bits;
}

// Returns whether a record is a mark, and its two numbers: 0 if they can't be right.
static inline int gsmi_is_mark(const uint32_t words[2], const unsigned char *record, uint64_t numbers[2]) {
    numbers[0] = numbers[1] = 0;
    if (words[1] == 0 && words[0] == 16) memcpy(numbers, record + 8, 16);
    return words[1] == 0;
}

static inline void gsmi_lose_partner(gsm_peer *peer) {
    peer->partner = peer->due = peer->asked = peer->waiting = 0;
    peer->has_lost = 1;
}

// Passes a mark. Returns 0 if it stays, since it is the border behind the partner's messages.
static inline int gsmi_pass_mark(gsm_peer *peer, uint64_t from, uint64_t to) {
    int is_joined = to == 0 && from != peer->partner, is_answer = to == peer->own && peer->is_joining;
    if (from == 0 || (!is_joined && !is_answer)) return 1;
    if (is_joined && peer->partner != 0) {
        gsmi_lose_partner(peer);
        return 0;
    }
    if (is_answer) peer->is_joining = 0;
    if (!peer->is_joining) peer->partner = from;
    peer->due = peer->answered == from ? 0 : from;
    return 1;
}

// Takes out what isn't for the program, up to the next message.
static inline gsm_error gsmi_pass_marks(gsm_peer *peer) {
    gsm_queue *queue = &peer->queue;
    uint32_t inbox = gsmi_inbox(peer), words[2];
    const unsigned char *record;
    uint64_t number, numbers[2];
    gsm_error error = gsmi_write_marks(peer);
    peer->has_message = 0;
    queue->lanes[inbox].tail = gsmi_load64(gsmi_lane(queue, inbox));
    while (error == GSM_OK && queue->lanes[inbox].head != queue->lanes[inbox].tail && !peer->has_message) {
        uint64_t head = queue->lanes[inbox].head, next = head, tail = queue->lanes[inbox].tail;
        error = gsmi_is_ring(queue, head, tail) ? gsmi_find_record(queue, inbox, &next, tail, words, &record)
                                                : GSM_ERROR_INVALID_DATA;
        if (error != GSM_OK) {
            queue->lanes[inbox].tail = head;
        } else if (gsmi_is_mark(words, record, numbers)) {
            if (gsmi_pass_mark(peer, numbers[0], numbers[1])) gsmi_take_out(queue, inbox, next);
        } else if (peer->partner == 0) {
            gsmi_take_out(queue, inbox, next);
        } else if (gsmi_number_of(words, record, &number) == GSMI_ANSWER &&
                   (number != peer->waiting || peer->waiting == 0)) {
            peer->late += head >= peer->searched;
            gsmi_take_out(queue, inbox, next);
        } else {
            peer->has_message = 1;
        }
    }
    return error == GSM_OK ? gsmi_write_marks(peer) : error;
}

// Returns whether a record is the border behind the partner's messages: the mark with which another one joins.
static inline int gsmi_is_border(const gsm_peer *peer, const uint32_t words[2], const unsigned char *record) {
    uint64_t numbers[2];
    return gsmi_is_mark(words, record, numbers) && numbers[0] != 0 && numbers[1] == 0 && numbers[0] != peer->partner;
}

// Returns whether the border is behind the messages that wait. Their sender is dead then, although the lock of
// its side is held.
static inline int gsmi_is_replaced(gsm_peer *peer) {
    gsm_queue *queue = &peer->queue;
    uint32_t inbox = gsmi_inbox(peer), words[2];
    uint64_t head = queue->lanes[inbox].head, tail = queue->lanes[inbox].tail;
    const unsigned char *record;
    if (peer->scanned < head) peer->scanned = head;
    while (peer->scanned != tail) {
        uint64_t next = peer->scanned;
        // gsm_peer_receive() reports what is wrong.
        if (!gsmi_is_ring(queue, next, tail) || gsmi_find_record(queue, inbox, &next, tail, words, &record)) return 0;
        if (gsmi_is_border(peer, words, record)) return 1;
        peer->scanned = next;
    }
    return 0;
}

static inline gsm_error gsmi_open_peer(gsm_peer *peer, uint64_t patience) {
    uint64_t deadline = gsm_clock() + patience;
    gsm_error error;
    for (;;) {
        error = gsmi_take_side(peer);
        int is_passing = error == GSM_ERROR_EXISTS || error == GSM_ERROR_SIZE || error == GSM_ERROR_IN_USE ||
                         error == GSM_NOT_LAID_OUT || error == GSM_BUSY;
        if (!is_passing || gsm_clock() >= deadline) break;
        gsmi_sleep(GSMI_MSEC);
    }
    if (error != GSM_OK) return error;
    peer->is_joining = 1;
    peer->looked = gsm_clock();
    gsmi_pass_marks(peer);  // the next call reports what is wrong
    return GSM_OK;
}

// Connects to the program that opens the same name, now or later. Either may start first.
// `capacity`: bytes for the messages of each direction that weren't received yet, up to 2^30. It is rounded up
// to a power of two, from 4096 on. If the partner is there already, its capacity counts.
// GSM_ERROR_IN_USE: two other programs use the name. GSM_NOT_LAID_OUT, GSM_BUSY, GSM_ERROR_LAYOUT and others:
// the name leads to other memory, whose creator lives. Waits for up to 50 ms until that may end.
static inline gsm_error gsm_peer_open(gsm_peer *peer, const char *name, uint64_t capacity, int scope) {
    memset(peer, 0, sizeof *peer);
#if !defined(_WIN32) && !defined(F_OFD_SETLK)
    errno = ENOTSUP;
    return GSM_ERROR_SYSTEM;
#endif
    if (gsmi_check_name(name) || capacity > GSMI_LARGEST_RING || (scope != GSM_LOCAL && scope != GSM_GLOBAL))
        return GSM_ERROR_ARGUMENT;
    memcpy(peer->name, name, strlen(name) + 1);
    peer->scope = scope;
    for (peer->ring = GSMI_SMALLEST_BUFFER; peer->ring < capacity;) peer->ring *= 2;
    return gsmi_open_peer(peer, GSMI_PATIENCE);
}

// Ends the connection. The partner still receives what this side has sent.
static inline void gsm_peer_close(gsm_peer *peer) {
    gsm_memory *memory = &peer->memory;
    if (peer->queue.at.memory == NULL) return;
    int is_mine = gsmi_may_unlock(memory);
    if (is_mine && !memory->is_created && !gsmi_has_creator(memory)) gsmi_clear_pair(peer, 1);
    gsmi_give_back(memory, peer->queue.at.incarnation, GSMI_SIDE + peer->queue.lane);
    for (uint32_t i = 0; i < 2 && is_mine; i++) {
        gsmi_wake(gsmi_lane(&peer->queue, i) + GSMI_NEWS);
        gsmi_wake(gsmi_lane(&peer->queue, i) + GSMI_ROOM);
    }
    gsm_memory_close(memory);
    memset(peer, 0, sizeof *peer);
}

// Returns the bytes of the longest message, a little less than half of the capacity.
static inline uint64_t gsm_peer_max_length(const gsm_peer *peer) {
    return peer->queue.at.memory ? peer->queue.at.limit / 2 - 32 : 0;
}

// Opens the name again if it leads to other memory, and this memory has nobody and nothing else.
static inline void gsmi_follow_name(gsm_peer *peer) {
    gsm_peer next;
    if (gsm_clock() - peer->looked < GSMI_LOOK) return;
    peer->looked = gsm_clock();
    if (gsm_memory_is_current(&peer->memory) || gsmi_is_side_held(peer, gsmi_inbox(peer))) return;
    uint32_t inbox = gsmi_inbox(peer);
    if (gsmi_load64(gsmi_lane(&peer->queue, inbox)) != peer->queue.lanes[inbox].head) return;
    memset(&next, 0, sizeof next);
    memcpy(next.name, peer->name, sizeof next.name);
    next.scope = peer->scope;
    next.ring = peer->ring;
    next.is_request = peer->is_request;
    next.is_answer = peer->is_answer;
    next.late = peer->late;
    next.has_lost = peer->has_lost;
    next.requests = peer->requests;
    if (gsmi_open_peer(&next, 0) != GSM_OK) return;
    gsm_peer_close(peer);
    *peer = next;
    peer->queue.at.memory = &peer->memory;
}

// Does what is due before each call: marks, the end of a partner, the next memory.
static inline gsm_error gsmi_step(gsm_peer *peer) {
    uint64_t before = peer->partner;
    // First the lock. What a program has sent before it ended is then there.
    peer->is_alive = before != 0 && gsmi_is_side_held(peer, gsmi_inbox(peer));
    gsm_error error = gsmi_pass_marks(peer);
    if (error != GSM_OK) return error;
    if (peer->partner != before) peer->is_alive = peer->partner != 0 && gsmi_is_side_held(peer, gsmi_inbox(peer));
    else if (before != 0 && !peer->is_alive && !peer->has_message) gsmi_lose_partner(peer);
    if (peer->has_message && peer->is_alive && gsmi_is_replaced(peer)) peer->is_alive = 0;
    if (peer->partner == 0) gsmi_follow_name(peer);
    return GSM_OK;
}

static inline int gsmi_is_connected(const gsm_peer *peer) {
    return peer->partner != 0 && peer->answered == peer->partner && peer->is_alive;
}

// Returns whether the partner has ended, and only this program can go on, by receiving what is left.
static inline int gsmi_has_rest(const gsm_peer *peer) {
    return peer->partner != 0 && !peer->is_alive && peer->has_message;
}

static inline int gsmi_has_news(void *object) {
    gsm_peer *peer = (gsm_peer *)object;
    uint32_t inbox = gsmi_inbox(peer);
    return gsmi_load64(gsmi_lane(&peer->queue, inbox)) != peer->queue.lanes[inbox].tail;
}

// Sleeps until something may have changed: news or room. Returns 0 if the time is up.
static inline int gsmi_sleep_between_steps(gsm_peer *peer, int needs_room, uint64_t deadline) {
    gsm_queue *queue = &peer->queue;
    uint64_t now = gsm_clock();
    if (now >= deadline) return 0;
    uint64_t rest = deadline - now < GSMI_SLICE ? deadline - now : GSMI_SLICE;
    if (needs_room || !peer->has_introduced || peer->due != 0)
        gsmi_sleep_until(&peer->memory, gsmi_lane(queue, queue->lane) + GSMI_ROOM, gsmi_has_room, queue, rest);
    else
        gsmi_sleep_until(&peer->memory, gsmi_lane(queue, gsmi_inbox(peer)) + GSMI_NEWS, gsmi_has_news, peer, rest);
    return 1;
}

// Returns GSM_CLOSED, GSM_WAITING or GSM_CONNECTED. A partner that was killed isn't connected, and one that was
// stopped is.
static inline int gsm_peer_status(gsm_peer *peer) {
    if (peer->queue.at.memory == NULL) return GSM_CLOSED;
    return gsmi_step(peer) == GSM_OK && gsmi_is_connected(peer) ? GSM_CONNECTED : GSM_WAITING;
}

// Waits until a partner is connected. GSM_NO_PARTNER: the partner has ended, and the next one can join when
// gsm_peer_receive() has taken out what it had sent.
static inline gsm_error gsm_peer_wait_connected(gsm_peer *peer, int64_t timeout_msec) {
    if (peer->queue.at.memory == NULL || timeout_msec < 0) return GSM_ERROR_ARGUMENT;
    uint64_t deadline = gsmi_deadline(gsm_clock(), timeout_msec);
    do {
        gsm_error error = gsmi_step(peer);
        if (error != GSM_OK) return error;
        if (gsmi_is_connected(peer)) return GSM_OK;
        if (gsmi_has_rest(peer)) return GSM_NO_PARTNER;
    } while (gsmi_sleep_between_steps(peer, 0, deadline));
    return GSM_TIMEOUT;
}

// Waits until gsm_peer_receive() would return something at once.
static inline gsm_error gsm_peer_wait(gsm_peer *peer, int64_t timeout_msec) {
    if (peer->queue.at.memory == NULL || timeout_msec < 0) return GSM_ERROR_ARGUMENT;
    uint64_t deadline = gsmi_deadline(gsm_clock(), timeout_msec);
    do {
        gsm_error error = gsmi_pass_marks(peer);
        if (error == GSM_OK && !peer->has_message) error = gsmi_step(peer);
        if (error != GSM_OK || peer->has_message || peer->has_lost) return error;
    } while (gsmi_sleep_between_steps(peer, 0, deadline));
    return GSM_TIMEOUT;
}

// Returns GSM_GONE once for each partner that ended, before the messages of the next one.
static inline gsm_error gsmi_tell_loss(gsm_peer *peer) {
    if (!peer->has_lost) return GSM_OK;
    peer->has_lost = 0;
    return GSM_GONE;
}

static inline gsm_error gsmi_send(gsm_peer *peer, const gsm_message *message, uint32_t bits, uint64_t number,
                                  const void *content, int64_t timeout_msec) {
    if (peer->queue.at.memory == NULL || timeout_msec < 0 || (content == NULL && message->length != 0))
        return GSM_ERROR_ARGUMENT;
    gsm_error error = gsm_message_check(message);
    if (error != GSM_OK) return error;
    gsm_message numbered = *message;
    numbered.tag |= bits << 30;
    uint64_t deadline = gsmi_deadline(gsm_clock(), timeout_msec);
    do {
        if ((error = gsmi_step(peer)) != GSM_OK || (error = gsmi_tell_loss(peer)) != GSM_OK) return error;
        if (message->length > gsm_peer_max_length(peer)) return GSM_ERROR_TOO_LONG;
        error = GSM_NO_PARTNER;
        if (gsmi_has_rest(peer)) return error;
        if (gsmi_is_connected(peer)) {
            uint32_t size = gsmi_shape_size(gsm_kind(message)) + (bits ? 8 : 0) + (uint32_t)message->length;
            error = gsmi_find_room(&peer->queue, size);
            if (error == GSM_OK) {
                gsmi_put(&peer->queue, size, &numbered, bits ? &number : NULL, content);
                gsmi_wake(gsmi_lane(&peer->queue, peer->queue.lane) + GSMI_NEWS);
            }
            if (error != GSM_FULL) return error;
        }
    } while (gsmi_sleep_between_steps(peer, error == GSM_FULL, deadline));
    return timeout_msec == 0 ? error : GSM_TIMEOUT;
}

// Sends a message, whose content is copied, and wakes the partner. If the message received last was a request,
// or if one before it had no answer yet, this is the answer.
// GSM_NO_PARTNER, GSM_FULL: no partner is connected, or there is no room, and the timeout is 0. GSM_TIMEOUT: the
// same after that time. GSM_NO_PARTNER is returned at once if gsm_peer_receive() must take out first what a
// partner that ended had sent. GSM_GONE: the partner has ended. Of all functions that send or receive, the first
// one tells that, once. The next call is about the next partner.
static inline gsm_error gsm_peer_send(gsm_peer *peer, const gsm_message *message, const void *content,
                                      int64_t timeout_msec) {
    gsm_error error =
        gsmi_send(peer, message, peer->asked ? GSMI_ANSWER : 0, peer->asked, content, timeout_msec);
    if (error == GSM_OK) peer->asked = 0;
    return error;
}

// Copies the message of a record, which may have a number.
static inline gsm_error gsmi_copy_numbered(const uint32_t words[2], const unsigned char *record,
                                           gsm_message *message, void *buffer, uint64_t capacity) {
    uint64_t number;
    uint32_t plain[2] = {words[0], words[1] & 0x3FFFFFFF}, bits = words[1] >> 30;
    gsm_error error = gsmi_copy_message(plain, record, message, bits ? &number : NULL, buffer, capacity);
    return bits == 3 ? GSM_ERROR_MESSAGE : error;
}

// Takes the next message out. `message` receives the description, `buffer` the content.
// GSM_ERROR_BUFFER: the message has more than `capacity` bytes; `message` says how many, and it stays.
// GSM_EMPTY: there is none, and the timeout is 0. GSM_TIMEOUT: there was none in that time. GSM_GONE: the
// partner has ended, and all that it had sent was received. This is told once.
static inline gsm_error gsm_peer_receive(gsm_peer *peer, gsm_message *message, void *buffer, uint64_t capacity,
                                         int64_t timeout_msec) {
    char none;
    uint32_t words[2];
    uint64_t number = 0;
    const unsigned char *record;
    *message = gsmi_message(0, 0);
    if (buffer == NULL && capacity != 0) return GSM_ERROR_ARGUMENT;
    gsm_error error = gsm_peer_wait(peer, timeout_msec);
    if (error == GSM_TIMEOUT && timeout_msec == 0) error = GSM_EMPTY;
    if (error != GSM_OK || (error = gsmi_tell_loss(peer)) != GSM_OK) return error;
    uint32_t inbox = gsmi_inbox(peer);
    uint64_t head = peer->queue.lanes[inbox].head, tail = peer->queue.lanes[inbox].tail;
    error = gsmi_find_record(&peer->queue, inbox, &head, tail, words, &record);
    if (error != GSM_OK) return error;
    uint32_t bits = gsmi_number_of(words, record, &number);
    error = gsmi_copy_numbered(words, record, message, buffer == NULL ? &none : buffer, capacity);
    if (error == GSM_ERROR_BUFFER) return error;
    gsmi_take_out(&peer->queue, inbox, head);
    peer->is_request = bits == GSMI_REQUEST && error == GSM_OK;
    peer->is_answer = bits == GSMI_ANSWER && error == GSM_OK;
    if (peer->is_request) peer->asked = number;
    if (bits == GSMI_ANSWER) peer->waiting = 0;
    return error == GSM_OK ? GSM_OK : GSM_ERROR_INVALID_DATA;
}

// Sends a request. gsm_peer_receive() returns the answer among the other messages, with `is_answer` set. An
// earlier request that waits is given up. The results are those of gsm_peer_send().
static inline gsm_error gsm_peer_ask(gsm_peer *peer, const gsm_message *message, const void *content,
                                     int64_t timeout_msec) {
    peer->waiting = 0;
    gsm_error error = gsmi_send(peer, message, GSMI_REQUEST, peer->requests + 1, content, timeout_msec);
    if (error == GSM_OK) peer->waiting = ++peer->requests;
    return error;
}

// Searches the answer among the messages that wait. GSM_EMPTY: it isn't there yet.
static inline gsm_error gsmi_find_answer(gsm_peer *peer, gsm_message *message, void *buffer, uint64_t capacity) {
    gsm_queue *queue = &peer->queue;
    uint32_t inbox = gsmi_inbox(peer), words[2];
    uint64_t head = queue->lanes[inbox].head, tail = queue->lanes[inbox].tail, number;
    const unsigned char *record;
    if (peer->searched < head) peer->searched = head;
    while (peer->searched != tail) {
        uint64_t next = peer->searched;
        if (!gsmi_is_ring(queue, next, tail) || gsmi_find_record(queue, inbox, &next, tail, words, &record))
            return GSM_ERROR_INVALID_DATA;
        if (gsmi_is_border(peer, words, record)) return GSM_NO_PARTNER;
        if (gsmi_number_of(words, record, &number) == GSMI_ANSWER && number == peer->waiting) {
            gsm_error error = gsmi_copy_numbered(words, record, message, buffer, capacity);
            if (error == GSM_ERROR_BUFFER) return error;
            // Behind other messages, it stays, and is dropped later.
            if (peer->searched == head) gsmi_take_out(queue, inbox, next);
            peer->searched = next;
            peer->waiting = 0;
            return error == GSM_OK ? GSM_OK : GSM_ERROR_INVALID_DATA;
        }
        if (gsmi_number_of(words, record, &number) == GSMI_ANSWER) peer->late++;
        peer->searched = next;
    }
    return GSM_EMPTY;
}

// Sends a request, and waits for its answer, for `timeout_msec` altogether. `answer` receives its description,
// `buffer` its content. Other messages stay for gsm_peer_receive(). They and all behind them take room until
// then, so a program that makes requests also receives. An answer that comes later is dropped.
// GSM_TIMEOUT: there was no partner, no room or no answer. GSM_GONE, GSM_NO_PARTNER: as gsm_peer_send().
// GSM_ERROR_BUFFER: the answer has more than `capacity` bytes; `answer` says how many. gsm_peer_receive()
// returns it, with `is_answer` set.
static inline gsm_error gsm_peer_request(gsm_peer *peer, const gsm_message *message, const void *content,
                                         gsm_message *answer, void *buffer, uint64_t capacity,
                                         int64_t timeout_msec) {
    char none;
    gsm_message found = gsmi_message(0, 0);
    if (buffer == NULL && capacity != 0) return GSM_ERROR_ARGUMENT;
    uint64_t deadline = gsmi_deadline(gsm_clock(), timeout_msec < 0 ? 0 : timeout_msec);
    gsm_error error = gsm_peer_ask(peer, message, content, timeout_msec);
    *answer = found;
    if (error != GSM_OK) return error;
    do {
        if ((error = gsmi_step(peer)) == GSM_OK) error = gsmi_tell_loss(peer);
        if (error == GSM_OK) error = gsmi_find_answer(peer, &found, buffer == NULL ? &none : buffer, capacity);
        if (error == GSM_EMPTY && gsmi_has_rest(peer)) error = GSM_NO_PARTNER;
    } while (error == GSM_EMPTY && gsmi_sleep_between_steps(peer, 0, deadline));
    if (error == GSM_OK || error == GSM_ERROR_BUFFER) *answer = found;
    else peer->waiting = 0;
    return error == GSM_EMPTY ? GSM_TIMEOUT : error;
}

// ---- Mutexes: one holder at a time ----

// A lock. Its address must not change while it is open.
typedef struct gsm_mutex {
    gsm_memory memory;
    gsm_attachment at;
    uint32_t id;
    int is_held, was_abandoned;
    gsm_error error;  // of the last attempt
} gsm_mutex;

enum { GSMI_DIRTY = 8 };

static inline unsigned char *gsmi_lock_line(const gsm_memory *memory, uint32_t id) {
    return memory->data + 256 + GSMI_LINE * (uint64_t)id;
}

static inline int gsmi_are_locks_clean(const gsm_memory *memory) {
    for (uint32_t id = 0; id < GSMI_ALL_LOCKS; id++)
        if (gsmi_load32(gsmi_lock_line(memory, id) + GSMI_DIRTY)) return 0;
    return 1;
}

// Opens lock number `id`, 0 to 63, of a name. The first program makes the memory, for the users in `scope`.
// The last one removes it. Fails with GSM_ERROR_LAYOUT, _SIZE or _FOREIGN if the name leads to other contents,
// and with GSM_BUSY if another program takes more than a second to make or remove the memory. GSM_GLOBAL works
// on Linux only.
static inline gsm_error gsm_mutex_open(gsm_mutex *mutex, const char *name, uint32_t id, int scope) {
    gsm_memory *memory = &mutex->memory;
    uint64_t length = gsmi_total_length(GSMI_LOCKS, GSMI_ALL_LOCKS, GSMI_LINE), largest = length;
    memset(mutex, 0, sizeof *mutex);
    if (id >= GSMI_ALL_LOCKS) return GSM_ERROR_ARGUMENT;
#if !defined(_WIN32) && !defined(F_OFD_SETLK)
    errno = ENOTSUP;
    return GSM_ERROR_SYSTEM;
#endif
#ifndef __linux__
    largest = 16384;  // in whole pages
#endif
    for (uint64_t deadline = gsm_clock() + GSMI_SECOND;; gsmi_sleep(GSMI_MSEC)) {
        gsm_error error = gsm_memory_open(memory, name, GSM_READ_WRITE);
        if (error == GSM_ERROR_NOT_FOUND) error = gsmi_create_for_all(memory, name, length, scope);
        int is_open = error == GSM_OK;
        if (is_open) error = gsmi_join(memory);
        // Zeros of another size are not for this program to lay out, and then to remove.
        if (error == GSM_OK && (memory->size < length || memory->size > largest)) error = GSM_ERROR_SIZE;
        mutex->id = id;
        if (error == GSM_OK) {
            error = gsmi_attach(&mutex->at, memory, GSMI_LOCKS, GSMI_LINE, GSMI_ALL_LOCKS, GSMI_SECOND);
            if (error == GSM_OK) return GSM_OK;
            deadline = 0;
        }
        // The name of other contents is not for this program to remove.
        if (is_open) gsm_memory_close(memory);
        int is_passing = error == GSM_BUSY || error == GSM_ERROR_EXISTS;
        if (!is_passing || gsm_clock() >= deadline) return is_passing && deadline ? GSM_BUSY : error;
    }
}

// Takes the lock if it is free. Returns 0 if another object or program holds it.
static inline int gsmi_try_lock(void *object) {
    gsm_mutex *mutex = (gsm_mutex *)object;
    unsigned char *dirty = gsmi_lock_line(&mutex->memory, mutex->id) + GSMI_DIRTY;
    uint32_t index;
    mutex->error = gsmi_take_role(&mutex->at, GSMI_LOCK + mutex->id, &index);
    int is_taken = mutex->error == GSM_OK;
    // Programs that open the name now do not see this lock. So it is neither held nor waited for.
    if ((is_taken || mutex->error == GSM_ERROR_IN_USE) && !gsm_memory_is_current(&mutex->memory)) {
        if (is_taken) gsmi_give_back(&mutex->memory, mutex->at.incarnation, GSMI_LOCK + mutex->id);
        mutex->error = GSM_ERROR_NOT_FOUND;
    }
    if (mutex->error != GSM_OK) return mutex->error != GSM_ERROR_IN_USE;
    mutex->is_held = 1;
    mutex->was_abandoned = gsmi_load32(dirty) != 0;
    __atomic_store_n((uint32_t *)(void *)dirty, 1, __ATOMIC_RELAXED);
    gsmi_fence();
    return 1;
}

static inline int gsmi_always(void *object) {
    (void)object;
    return 1;
}

// Takes the lock. Waits until it is free, but no longer than `timeout_msec`: then returns GSM_TIMEOUT. Fails
// with GSM_ERROR_IN_USE if this object holds it, and with GSM_ERROR_NOT_FOUND if the name was removed.
static inline gsm_error gsm_mutex_lock(gsm_mutex *mutex, int64_t timeout_msec) {
    if (mutex->at.memory == NULL) return GSM_ERROR_ARGUMENT;
    if (mutex->is_held) return GSM_ERROR_IN_USE;
    gsm_error error = gsmi_wait(&mutex->memory, gsmi_lock_line(&mutex->memory, mutex->id), gsmi_try_lock,
                                gsmi_always, mutex, timeout_msec);
    return error == GSM_OK ? mutex->error : error;
}

// Gives the lock back, and wakes the programs that wait for it. Fails with GSM_ERROR_ARGUMENT if this object
// doesn't hold it.
static inline gsm_error gsm_mutex_unlock(gsm_mutex *mutex) {
    if (!mutex->is_held || !gsmi_may_unlock(&mutex->memory)) return GSM_ERROR_ARGUMENT;
    unsigned char *line = gsmi_lock_line(&mutex->memory, mutex->id);
    mutex->is_held = mutex->was_abandoned = 0;
    gsmi_store32(line + GSMI_DIRTY, 0);
    gsmi_give_back(&mutex->memory, mutex->at.incarnation, GSMI_LOCK + mutex->id);
    gsmi_wake(line);
    return GSM_OK;
}

// Returns whether this object holds the lock, and the holder before it died with it. What the lock guards may
// be half changed.
static inline int gsm_mutex_was_abandoned(const gsm_mutex *mutex) { return mutex->was_abandoned; }

// Returns whether any object or program holds the lock.
static inline int gsm_mutex_is_locked(gsm_mutex *mutex) {
    return mutex->at.memory != NULL && gsmi_is_held(&mutex->memory, mutex->at.incarnation, GSMI_LOCK + mutex->id);
}

// Gives the lock back if this object holds it, and ends the use of the name.
static inline void gsm_mutex_close(gsm_mutex *mutex) {
    if (mutex->at.memory == NULL) return;
    gsm_mutex_unlock(mutex);
    gsmi_leave(&mutex->memory, gsmi_are_locks_clean);
    gsm_memory_close(&mutex->memory);
    memset(&mutex->at, 0, sizeof mutex->at);
}

#endif  // GODOT_SHARED_MEMORY_H
