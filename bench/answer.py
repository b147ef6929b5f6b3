"""The other side of python.gd in Python: sends each question of a peer back, as answer.c does in C.

answer.py NAME

A question that is a dictionary asks for the nanoseconds of a number of calls in Python.
"""

import sys
import time

import godot_shared_memory as gsm
from partner import end_with_parent

# The first byte of a question, as in answer.c.
QUIT, SPIN = 0, 1
PATIENCE = 10.0


def answer(name, peer):
    is_spinning = False
    while True:
        question = None
        while is_spinning and question is None:
            question = peer.receive()
        if not is_spinning:
            question = peer.receive(PATIENCE)
        if isinstance(question, dict):
            peer.send(
                nanoseconds_of(name, question["queue"], question["bytes"]), PATIENCE
            )
            continue
        peer.send(question, PATIENCE)
        if question[0] == QUIT:
            return
        is_spinning = question[0] == SPIN


def nanoseconds_of(name, times, message):
    """Returns the time of a loop that puts a message into a queue and takes it out, `times` times."""
    with gsm.Queue.create(name + "-queue", 4096) as queue:
        start = time.perf_counter_ns()
        for _ in range(times):
            queue.enqueue(message)
            queue.dequeue()
        return time.perf_counter_ns() - start


if __name__ == "__main__":
    end_with_parent()
    with gsm.Peer(sys.argv[1], 1 << 16) as opened:
        answer(sys.argv[1], opened)
