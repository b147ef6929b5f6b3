"""The command line: what memory there is, whose it is, and what is in it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import godot_shared_memory as gsm

OWNERS = {gsm.OwnerState.UNKNOWN: "unknown", gsm.OwnerState.ALIVE: "alive", gsm.OwnerState.DEAD: "dead"}
LAYOUTS = {"latest": "stream", "lanes": "queue", "pair": "peer", "locks": "mutex"}
SHOWN_BYTES = 256
SHOWN_CHARACTERS = 200
# The exit code that a shell tells of a program that was ended by SIGPIPE.
NO_READER = 128 + 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m godot_shared_memory", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list all memory that this user may see")
    helps = {
        "show": "show the facts about some memory, and its first bytes",
        "watch": "print the messages of a stream as they come, and how many there are of a queue or peer",
        "remove": "remove a name; programs that have the memory open keep it",
    }
    for name, text in helps.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("name")
        if name == "watch":
            command.add_argument("--seconds", type=float, help="stop after this time")
    options = parser.parse_args(arguments)
    try:
        if options.command == "list":
            list_all()
        elif options.command == "show":
            show(options.name)
        elif options.command == "watch":
            watch(options.name, options.seconds)
        else:
            gsm.remove(options.name)
        # Here, an error can still be treated.
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
        return NO_READER
    except gsm.Error as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def drop_output() -> None:
    """Leads the output nowhere. Otherwise, Python would tell at its end that it can't write the rest."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def list_all() -> None:
    """Prints a line for each segment."""
    rows = [("NAME", "SIZE", "LAYOUT", "OWNER", "SCOPE", "MESSAGES", "AGE")]
    for segment in gsm.list_segments():
        rows.append(
            (
                printable(segment["name"]),
                str(segment["size"]),
                LAYOUTS.get(segment["layout"], "-"),
                OWNERS[segment["owner_state"]],
                segment["scope"].name.lower(),
                str(segment["sequence"]) if segment["layout"] else "-",
                age_of(segment),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def age_of(info: Mapping[str, Any]) -> str:
    """Returns the age of the newest message as a text."""
    age = info["newest_age"]
    return "-" if age is None else f"{age:.3f} s"


def printable(text: str) -> str:
    """Returns a text without characters that a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)


def info_of(name: str) -> Mapping[str, Any]:
    """Returns the facts about a segment, which must exist."""
    info = gsm.get_info(name)
    if info is None:
        raise gsm.NotFoundError(f"there is no memory called {name!r}")
    return info


def show(name: str) -> None:
    """Prints the facts about a segment, and its first bytes."""
    info = info_of(name)
    layout = info["layout"]
    print(f"name:     {printable(name)}")
    print(f"size:     {info['size']} bytes")
    print(f"owner:    {OWNERS[info['owner_state']]} ({info['description']})")
    print(f"scope:    {info['scope'].name.lower()}")
    print(f"layout:   {f'{LAYOUTS[layout]} ({layout})' if layout else 'none of the native ones'}")
    if layout:
        print(f"messages: {info['sequence']}, the newest one is {age_of(info)} old")
        print(f"rate:     {rate_of(name, info):.1f} messages per second")
    users = gsm.get_users(name)
    print(f"mapped by processes: {', '.join(map(str, users)) or 'none that this user may see'}")
    with gsm.SharedMemory.open_read_only(name) as memory:
        for offset in range(0, min(len(memory), SHOWN_BYTES), 16):
            print(hex_line(offset, memory.read(offset, min(16, len(memory) - offset))))


def rate_of(name: str, before: Mapping[str, Any]) -> float:
    """Returns the messages per second, counted for half a second."""
    start = time.monotonic()
    time.sleep(0.5)
    after = gsm.get_info(name)
    if after is None or after["incarnation"] != before["incarnation"]:
        return 0.0
    count: int = after["sequence"] - before["sequence"]
    return max(0, count) / (time.monotonic() - start)


def hex_line(offset: int, part: bytes) -> str:
    """Returns a line of a hex view."""
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
    return f"{offset:08x}  {part.hex(' '):<47}  {text}"


def watch(name: str, seconds: float | None) -> None:
    """Prints messages as they come. Takes no role that another program needs."""
    end = None if seconds is None else time.monotonic() + seconds
    if info_of(name)["layout"] == "latest":
        watch_stream(name, end)
        return
    previous = -1
    while end is None or time.monotonic() < end:
        info = info_of(name)
        if info["sequence"] != previous:
            print(f"{info['sequence']} messages so far, owner {OWNERS[info['owner_state']]}", flush=True)
            previous = info["sequence"]
        time.sleep(0.1)


def watch_stream(name: str, end: float | None) -> None:
    """Prints the messages of a stream, without a pin."""
    with gsm.SharedMemory.open_read_only(name) as memory, gsm.Stream.attach(memory, 0, 0) as stream:
        while True:
            rest = None if end is None else end - time.monotonic()
            if rest is not None and rest <= 0:
                return
            try:
                stream.wait(rest)
            except TimeoutError:
                return
            except gsm.ConnectionError as error:
                print(f"watch: {error}", flush=True)
                return
            try:
                message = stream.read()
            except (gsm.BusyError, gsm.DataError) as error:
                message = error
            shown = printable(repr(message).replace("\n", " "))
            more = "…" if len(shown) > SHOWN_CHARACTERS else ""
            print(f"{stream.get_sequence()}: {shown[:SHOWN_CHARACTERS]}{more}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
