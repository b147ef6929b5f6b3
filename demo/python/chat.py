#!/usr/bin/env python3
"""A conversation with the Godot scene demo/chat. Type a line to send it; Ctrl+C ends.

Needs the package of partners/python/. A second chat.py can be the partner, too.
"""

import argparse
import contextlib
import sys
import threading

import godot_shared_memory as gsm

NAME = "SharedMemoryChat"
# The answer of --auto, and its time limit in seconds.
ANSWER = "Hello world from Python Shared Memory!"
AUTO_TIMEOUT = 20


def listen(peer):
    """Prints what the partner says, and when it comes and goes, until the peer is closed."""
    with contextlib.suppress(gsm.ClosedError):
        while True:
            peer.wait_connected(None)
            print("[Godot is here]")
            for text in peer:
                print(f"Godot: {text}")
            if not peer.is_closed():
                print("[Godot has left]")


def talk(peer):
    """Sends each line that is typed."""
    listener = threading.Thread(target=listen, args=[peer])
    listener.start()
    try:
        for line in sys.stdin:
            try:
                peer.send(line.rstrip("\n"))
            except gsm.Error as error:
                print(f"[not sent: {error}]")
    finally:
        peer.close()
        listener.join()


def answer_once(peer):
    print(f"Python received: {peer.receive(AUTO_TIMEOUT)}")
    # Godot finds it even if this program ends at once.
    peer.send(ANSWER)
    print(f"Python sent: {ANSWER}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--auto", action="store_true", help="answer one text, and end")
    options = parser.parse_args()
    with gsm.Peer(NAME) as peer:
        answer_once(peer) if options.auto else talk(peer)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print()
    except gsm.Error as error:
        sys.exit(f"chat.py: {error}")
