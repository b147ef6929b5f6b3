// A simulator for Godot: a ball on a circle. It writes its state 60 times per second, and takes commands.
// Build: cc -std=c11 -O2 simulator.c -o simulator -lm. README.md has the script for Godot.

#include "godot_shared_memory.h"

#include <math.h>

static void must(const char *what, gsm_error error) {
    if (error == GSM_OK) return;
    fprintf(stderr, "%s: %s\n", what, gsm_error_text(error));
    exit(1);
}

int main(void) {
    gsm_memory states, commands;
    gsm_stream stream;
    gsm_queue queue;
    must("ball", gsm_stream_create(&stream, &states, "ball", 64, 2, GSM_LOCAL));
    must("ball_commands", gsm_queue_create(&queue, &commands, "ball_commands", 4096, 1, GSM_LOCAL));

    double angle = 0, speed = 1;  // radians, radians per second
    char command[64] = "";
    for (uint64_t next = gsm_clock(), now; strcmp(command, "quit") != 0; angle += speed / 60) {
        float state[3] = {(float)cos(angle), (float)sin(angle), (float)speed};
        uint32_t count = 3;
        gsm_message message = gsm_array(GSM_F32, GSM_NUMBERS, 1, &count);
        must("write", gsm_stream_write(&stream, &message, state));
        // The rest of the frame is for commands.
        for (next += 1000000000 / 60; (now = gsm_clock()) < next;) {
            int64_t rest = (int64_t)((next - now) / 1000000 + 1);
            if (gsm_queue_dequeue(&queue, &message, command, sizeof command - 1, rest) != GSM_OK) continue;
            command[message.length] = 0;
            if (strncmp(command, "speed ", 6) == 0) speed = atof(command + 6);
        }
    }
    gsm_memory_close(&states);  // the names go, too
    gsm_memory_close(&commands);
}
