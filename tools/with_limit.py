"""Runs a command for at most so many seconds: with_limit.py SECONDS COMMAND...

Ends with the command's own exit code; 124 if the time was up, and then nothing that it
started is left running.
"""

import os
import signal
import subprocess
import sys


def kill(process: subprocess.Popen) -> None:
    """Ends it with everything that it started."""
    if sys.platform == "win32":
        command = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    else:
        os.killpg(process.pid, signal.SIGKILL)


def main() -> int:
    seconds, command = float(sys.argv[1]), sys.argv[2:]
    # A session of its own, so that it can be ended with all its children.
    process = subprocess.Popen(command, start_new_session=True)

    def end(_signal: int, _frame: object) -> None:
        kill(process)
        sys.exit(130)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill(process)
        process.wait()
        print(f"gave up after {seconds:.0f} s: {' '.join(command)}", file=sys.stderr)
        return 124


if __name__ == "__main__":
    sys.exit(main())
