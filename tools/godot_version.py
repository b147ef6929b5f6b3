#!/usr/bin/env python3
"""Print the version that a Godot program gives for itself.

    godot_version.py PROGRAM

Any program may stand under the name `godot`, so it gets a time limit, no input, and its answer must look like
a version. Otherwise: nothing printed, exit code 1.
"""

import re
import subprocess
import sys


def main():
    try:
        answer = subprocess.run(
            [sys.argv[1], "--headless", "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return 1
    # Godot 3 knows no --headless and prints a complaint before the version.
    match = re.search(r"^\d+\.\d+\S*", answer, re.MULTILINE)
    if not match:
        return 1
    # On Windows, too: bash takes a carriage return for a part of what it is told.
    sys.stdout.reconfigure(newline="\n")
    print(match.group())
    return 0


if __name__ == "__main__":
    sys.exit(main())
