"""The other side of round_trips.gd: sends every message back, as a copy.

partner.py memory NAME SIZE | tcp PORT SIZE | uds PATH SIZE | pipe - SIZE
"""

import contextlib
import os
import signal
import socket
import sys
import time
from multiprocessing import resource_tracker, shared_memory

# Seconds, whatever becomes of the other side.
TIME_LIMIT = 60

# As in round_trips.gd.
ANSWER_COUNTER = 64 // 4
MESSAGE = 128
END = 0xFFFFFFFF


def memory(name, size):
    shm = shared_memory.SharedMemory(name=name)
    # Godot's; Python would remove it at the end.
    resource_tracker.unregister(shm._name, "shared_memory")
    counters = shm.buf[:MESSAGE].cast("I")
    message = shm.buf[MESSAGE : MESSAGE + size]
    answer = shm.buf[MESSAGE + size : MESSAGE + 2 * size]
    seen = 0
    while seen != END:
        while (counter := counters[0]) == seen:
            pass
        answer[:] = bytes(message)
        counters[ANSWER_COUNTER] = seen = counter
    for view in (counters, message, answer):
        view.release()
    shm.close()


def stream(family, address, size):
    with socket.socket(family, socket.SOCK_STREAM) as peer:
        peer.connect(address)
        if family == socket.AF_INET:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Busy waiting: a read of an empty socket returns at once.
        echo(
            size,
            lambda view: peer.recv_into(view, 0, socket.MSG_DONTWAIT),
            peer.sendall,
        )


def pipe(size):
    os.set_blocking(0, False)
    with open(1, "wb", buffering=0, closefd=False) as output:

        def write(data):
            rest = memoryview(data)
            while rest:
                rest = rest[output.write(rest) :]

        echo(size, lambda view: os.readv(0, [view]), write)


def echo(size, read, write):
    """Until the other side closes."""
    message = bytearray(size)
    view = memoryview(message)
    while True:
        got = 0
        while got < size:
            try:
                count = read(view[got:])
            except BlockingIOError:
                continue
            if count == 0:
                return
            got += count
        write(bytes(message))


def end_with_parent():
    """Looks once a second, as the loops that wait busily do not."""
    parent, end = os.getppid(), time.monotonic() + TIME_LIMIT

    def look(_signal, _frame):
        if os.getppid() != parent or time.monotonic() > end:
            os._exit(1)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, 1, 1)


def main():
    kind, address, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    end_with_parent()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        if kind == "memory":
            memory(address, size)
        elif kind == "tcp":
            stream(socket.AF_INET, ("127.0.0.1", int(address)), size)
        elif kind == "uds":
            stream(socket.AF_UNIX, address, size)
        else:
            pipe(size)


if __name__ == "__main__":
    main()
