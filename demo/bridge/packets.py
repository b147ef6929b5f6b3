"""The parts that both kinds of mirrors use."""

import threading
import time
import urllib.parse

# Each packet begins with these bytes, which change with the packets.
MAGIC = b"GSB1"
# Set once the bridge is to end.
STOP = threading.Event()


def say(text):
    print(text, flush=True)


class Complaints:
    """Says what is wrong, but once per second at most: another program decides how often it happens."""

    def __init__(self, name):
        self.name, self.said = name, 0.0

    def say(self, text):
        if time.monotonic() - self.said > 1.0:
            self.said = time.monotonic()
            say(f"{self.name}: {text}")


def key_of(kind, name):
    # Some characters have a meaning in a key.
    return f"godot_shared_memory/{kind}/{urllib.parse.quote(name, safe='')}"


def unpack(format, data):
    """Returns the fields of a packet, or None for bytes that are none."""
    if len(data) != format.size or data[:4] != MAGIC:
        return None
    return format.unpack(data)[1:]
