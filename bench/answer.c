// The other side of python.gd in C: sends each question of a peer back. answer.py does the same in Python.
//
//   answer NAME
//
// The first byte of a question says how to wait for the next one. After SPIN, this side looks for it again and
// again; after SLEEP, it sleeps. QUIT is the last question.
#include "../partners/c/godot_shared_memory.h"

enum { QUIT, SPIN, SLEEP };
enum { PATIENCE_MSEC = 10000 };

static int fail(const char *what, gsm_error error) {
    fprintf(stderr, "answer: %s: %s\n", what, gsm_error_text(error));
    return 1;
}

int main(int count, char **words) {
    if (count != 2) return fail("the name is missing", GSM_ERROR_ARGUMENT);
    gsm_peer peer;
    gsm_error error = gsm_peer_open(&peer, words[1], 1 << 16, GSM_LOCAL);
    if (error != GSM_OK) return fail("open", error);
    unsigned char question[64] = {SLEEP};
    while (question[0] != QUIT) {
        gsm_message message;
        uint64_t end = gsm_clock() + PATIENCE_MSEC * (uint64_t)1000000;
        long tries = 0;
        do {
            int64_t timeout = question[0] == SPIN ? 0 : PATIENCE_MSEC;
            error = gsm_peer_receive(&peer, &message, question, sizeof question, timeout);
        } while (error == GSM_EMPTY && (++tries % 1000 != 0 || gsm_clock() < end));
        if (error != GSM_OK) return fail("receive", error);
        error = gsm_peer_send(&peer, &message, question, PATIENCE_MSEC);
        if (error != GSM_OK) return fail("send", error);
    }
    gsm_peer_close(&peer);
    return 0;
}
