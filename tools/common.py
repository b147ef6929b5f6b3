"""The base of all commands: messages, the repository's folders, and how other programs are run."""

import contextlib
import filecmp
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "target"
LOGS = TARGET / "test-logs"
SYSTEM = platform.system()
# As Godot and the .gdextension file call the processor.
MACHINE = {"amd64": "x86_64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
TIME_IS_UP = 124
# The exit code with which pytest says that no test was selected.
NOTHING_SELECTED = 5


class Failure(Exception):
    """Ends the command with this message and exit code 1."""


def run_main(main, *arguments):
    """Runs the main function of this program, and exits.

    A signal leaves through every `finally`: no program that was started may outlive this one.
    """

    def leave(number, _frame):
        sys.exit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), leave)
    try:
        sys.exit(main(*arguments))
    except Failure as failure:
        sys.exit(f"build.sh: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)


def say(text):
    """Tells of progress, on stderr: stdout belongs to the results of a command."""
    print(f"==> {text}", file=sys.stderr, flush=True)


def have(program):
    return shutil.which(program) is not None


def require_linux(command, why):
    if SYSTEM != "Linux":
        raise Failure(f"{command}: {why}")


def parse(command, arguments, *, options=(), most=0):
    """Splits arguments into words, at most `most`, and a dict of options. An option "--x=" takes a value."""
    words, found = [], {}
    waiting = list(arguments)
    hint = f"(see ./build.sh {command} --help)"
    while waiting:
        argument = waiting.pop(0)
        if argument + "=" in options:
            if not waiting:
                raise Failure(f"{command}: {argument} needs a value {hint}")
            found[argument] = waiting.pop(0)
        elif argument in options:
            found[argument] = True
        elif argument.startswith("-") or len(words) == most:
            raise Failure(f"{command}: unknown argument '{argument}' {hint}")
        else:
            words.append(argument)
    return words, found


def positive(command, text, unit):
    if not text.isdecimal() or int(text) == 0:
        raise Failure(f"{command}: '{text}' is not a number of {unit}")
    return int(text)


def run(command, *, env=None, limit=None, log=None, cwd=ROOT, **options):
    """Runs a command to its end and returns its exit code.

    With `limit`, it has that number of seconds: then it is killed with all that it started, and the code is
    TIME_IS_UP. With `log`, all its output goes to stdout and is appended to that file as well.
    """
    command = [str(part) for part in command]
    env = {**os.environ, **{key: str(value) for key, value in (env or {}).items()}}
    if limit is None and log is None:
        return subprocess.run(command, cwd=cwd, env=env, **options).returncode
    if log is not None:
        options.update(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    # A session of its own, so that it can be ended with everything that it started.
    process = subprocess.Popen(command, cwd=cwd, env=env, start_new_session=True, **options)
    late = threading.Event()
    timer = threading.Timer(limit or 0, lambda: (late.set(), kill(process)))
    timer.daemon = True
    if limit is not None:
        timer.start()
    try:
        if log is not None:
            copy_output(process.stdout, log)
        process.wait()
    except BaseException:
        interrupt(process)
        raise
    finally:
        timer.cancel()
    if late.is_set():
        print(f"gave up after {limit} s: {' '.join(command)}", file=sys.stderr)
        return TIME_IS_UP
    return process.returncode


def copy_output(pipe, log):
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as file:
        for part in iter(lambda: pipe.read1(1 << 16), b""):
            file.write(part)
            sys.stdout.buffer.write(part)
            sys.stdout.flush()


def interrupt(process, number=signal.SIGINT):
    """Ends a process as Ctrl+C does, which lets a test run clean up; kills it if it takes too long."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        if os.name != "nt":
            os.killpg(process.pid, number)
            process.wait(10)
    kill(process)


def kill(process):
    """Ends a process with a group of its own, and everything that it started."""
    if os.name == "nt":
        command = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def must(command, why=None, **options):
    """Runs a command that has to succeed."""
    code = run(command, **options)
    if code != 0:
        raise Failure(why or f"{command[0]} ended with exit code {code}")


def output(*command, env=None, **options):
    """Returns what a command that has to succeed prints, without the last line break."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            check=True,
            encoding="utf-8",
            **options,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failure(f"{command[0]}: {error}") from error
    return done.stdout.rstrip("\n")


def git(*arguments):
    """Returns what git prints about this repository. In a container the files may belong to another user."""
    return output("git", "-c", "safe.directory=*", *arguments)


def tracked(*patterns):
    """Returns the files here with such names. Git knows which are ours."""
    files = git("ls-files", "-co", "--exclude-standard", "--deduplicate", *patterns).splitlines()
    return [path for path in files if (ROOT / path).exists()]


def install_file(source, destination):
    """Puts a file in its place, unless it is there already.

    A running Godot may have the old one mapped, so that is replaced, never written into. An open editor sees
    no change where there is none.
    """
    if destination.exists() and filecmp.cmp(source, destination, shallow=False):
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    # Not beside its place, where a concurrent build.sh would take it for a file of the addon.
    unfinished = TARGET / f"install.{os.getpid()}"
    TARGET.mkdir(exist_ok=True)
    shutil.copy(source, unfinished)
    os.replace(unfinished, destination)
