#!/usr/bin/env python3
"""Mirrors streams and queues to memory of the same name on another machine, over Zenoh.

Neither game changes a line. On the machine of the camera, and on that of the viewer:

    python bridge.py --listen tcp/192.0.2.1:7447 --send-stream camera --receive-queue commands 65536
    python bridge.py --connect tcp/192.0.2.1:7447 --receive-stream camera 8294400 --send-queue commands

A stream gives the newest value: older ones are dropped under a slow link. A queue gives each message once, in
the order of its producer. docs/BRIDGE.md has the promises and the limits.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
import traceback

import zenoh
from packets import STOP, say
from queues import BATCH_SIZE, QueueReceiver, QueueSender
from streams import StreamReceiver, StreamSender


def configuration(options):
    """Returns the settings of Zenoh: the given addresses and no others, and limits for what comes."""
    sizes = [int(size) for _, size in options.receive_stream + options.receive_queue]
    config = zenoh.Config()
    settings = {
        "mode": '"peer"',
        "listen/endpoints": str(options.listen).replace("'", '"'),
        "connect/endpoints": str(options.connect).replace("'", '"'),
        # Where nobody listens yet, it tries again.
        "connect/timeout_ms": "-1",
        "connect/exit_on_failure": "false",
        "connect/retry": '{"period_init_ms": 200, "period_max_ms": 1000, "period_increase_factor": 1.5}',
        "scouting/multicast/enabled": "false",
        "scouting/gossip/enabled": "false",
        # Zenoh's own shared memory is for processes of one machine.
        "transport/shared_memory/enabled": "false",
        "transport/unicast/max_sessions": "16",
        "transport/link/tx/lease": "3000",
        # A longer message than fits into the memory here ends the connection before it takes memory.
        "transport/link/rx/max_message_size": str(
            max([BATCH_SIZE, *sizes]) + (1 << 16)
        ),
        # The parts of a message that has begun wait for the link. Only whole messages are dropped.
        "transport/link/tx/queue/congestion_control/drop/max_wait_before_drop_fragments": "30000000",
        "transport/link/tx/queue/congestion_control/drop/wait_before_drop": "1000000",
    }
    for key, value in settings.items():
        config.insert_json5(key, value)
    return config


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    many = {"action": "append", "default": []}
    add(
        "--listen",
        **many,
        metavar="ENDPOINT",
        help="where the other side connects, as tcp/ADDRESS:PORT",
    )
    add("--connect", **many, metavar="ENDPOINT", help="where the other side listens")
    add(
        "--send-stream",
        **many,
        metavar="NAME",
        help="mirror this stream to the other side",
    )
    add(
        "--send-queue",
        **many,
        metavar="NAME",
        help="mirror this queue; its only consumer is the bridge",
    )
    to = {"nargs": 2, **many, "metavar": ("NAME", "SIZE")}
    add(
        "--receive-stream",
        **to,
        help="make this stream, for messages of SIZE bytes; with 0, follow the name",
    )
    add(
        "--receive-queue",
        **to,
        help="make this queue, with a buffer of SIZE bytes, more than twice a message",
    )
    add(
        "--suffix",
        default="",
        help="an ending for the names of received memory, to try it on one machine",
    )
    options = parser.parse_args()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: STOP.set())
    failures = []

    def run(mirror):
        try:
            mirror.run()
        except Exception:
            # At the end, the memory and the connection are closed under it.
            if not STOP.is_set():
                failures.append(traceback.format_exc())
                STOP.set()

    session = zenoh.open(configuration(options))
    mirrors = [StreamSender(session, name) for name in options.send_stream]
    mirrors += [QueueSender(session, name) for name in options.send_queue]
    for kind, given in (
        (StreamReceiver, options.receive_stream),
        (QueueReceiver, options.receive_queue),
    ):
        mirrors += [
            kind(session, name, int(size), name + options.suffix)
            for name, size in given
        ]
    threads = [
        threading.Thread(target=run, args=(mirror,), daemon=True) for mirror in mirrors
    ]
    for thread in threads:
        thread.start()
    say("the bridge is up")
    while not STOP.wait(1.0):
        pass
    for mirror in mirrors:
        mirror.memory.close()
    with contextlib.suppress(zenoh.ZError):
        session.close()
    for thread in threads:
        thread.join(5)
    print("".join(failures), end="", file=sys.stderr, flush=True)
    # A thread that still waits for the network must not hold the end up.
    os._exit(bool(failures))


if __name__ == "__main__":
    main()
