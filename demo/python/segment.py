"""Shared memory by name, with nothing but the standard library.

`Segment` opens memory that the Godot class `SharedMemory` made, and makes memory that it can open:

* Linux: a POSIX segment NAME is the file /dev/shm/NAME, mapped like any other file.
* macOS: it has no file, but `shm_open` is in `_posixshmem`, the module under the standard
  library's own `multiprocessing.shared_memory`. That module itself is not used: up to Python
  3.12 its class removes a segment that it has merely opened.
* Windows: a section with that name, which `mmap` calls `tagname`.

write.py, read.py, chat.py, simulator.py and video.py build on this module.
"""

from __future__ import annotations

import argparse
import errno
import mmap
import os
import signal
import stat
import sys
import time
from collections.abc import Callable

if os.name == "nt":
    import _winapi
else:
    _SHM_FOLDER = "/dev/shm" if os.path.isdir("/dev/shm") else None
    if _SHM_FOLDER is None:
        import _posixshmem

DEFAULT_NAME = "SharedMemoryExample"
DEFAULT_SIZE = 1024

# The time between two looks at the memory, in seconds.
POLL_INTERVAL = 0.02

# Some creators set the size in a step of its own, and a segment without a size can't be mapped.
_SIZING_TIME = 0.25


class SegmentError(Exception):
    """An error, in one line that says what to do about it."""


class NotThereError(SegmentError):
    """There is not such a segment yet."""


class TakenError(SegmentError):
    """There is such a segment already."""


class Segment:
    """A named piece of memory. `mapping` has its bytes: an `mmap` of length `size`."""

    def __init__(
        self, name: str, mapping: mmap.mmap, created: bool, identity: object
    ) -> None:
        self.name = name
        self.size = len(mapping)
        self.mapping = mapping
        self.created = created
        self._identity = identity

    @classmethod
    def create(cls, name: str, size: int) -> Segment:
        """Makes a new segment of `size` zero bytes. `close` removes its name."""
        mapping, identity = _create(_checked(name, size), size)
        return cls(name, mapping, True, identity)

    @classmethod
    def open(cls, name: str, size: int, wait: float = 0.0) -> Segment:
        """Opens the first `size` bytes of a segment. Waits up to `wait` seconds until it is made."""
        native = _checked(name, size)
        deadline = time.monotonic() + wait
        while True:
            try:
                mapping, identity = _open(native, size)
                return cls(name, mapping, False, identity)
            except NotThereError as error:
                if time.monotonic() >= deadline:
                    advice = (
                        f", after {wait:g} seconds"
                        if wait
                        else ": start the other program first, or use --wait SECONDS"
                    )
                    raise NotThereError(f"{error}{advice}") from None
            time.sleep(POLL_INTERVAL)

    @classmethod
    def open_or_create(cls, name: str, size: int) -> Segment:
        """Makes a segment, or opens it if the other side has made it."""
        for _ in range(50):
            # Between the two calls, the other side may make or remove the segment.
            try:
                return cls.open(name, size)
            except NotThereError:
                pass
            try:
                return cls.create(name, size)
            except TakenError:
                pass
        raise SegmentError(
            f"shared memory '{name}' is made and removed too fast to be opened"
        )

    def is_current(self) -> bool:
        """Returns whether the name still leads to this segment. It may be removed or made again."""
        return (
            os.name == "nt"
            or _identify(_checked(self.name, self.size)) == self._identity
        )

    def close(self) -> None:
        """Closes the segment. Also removes the name, if this program has made the segment."""
        # Another program may have made a segment with that name. Windows removes names by itself.
        remove = self.created and os.name != "nt" and self.is_current()
        self.created = False
        self.mapping.close()
        if remove:
            _remove(_checked(self.name, self.size))

    def __enter__(self) -> Segment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # A slice is copied as a whole. `struct.pack_into` would store single bytes, and the other side
    # might see half of a number.

    def read(self, size: int, offset: int = 0) -> bytes:
        return self.mapping[offset : offset + size]

    def write(self, data: bytes, offset: int = 0) -> None:
        self.mapping[offset : offset + len(data)] = data

    def read_text(self, size: int, offset: int = 0) -> str:
        """Returns the UTF-8 text up to the first zero byte, of at most `size` bytes."""
        return (
            self.read(size, offset).split(b"\0", 1)[0].decode("utf-8", errors="replace")
        )


def _checked(name: str, size: int) -> str:
    """Returns the name as the system takes it."""
    if size <= 0:
        raise SegmentError(f"the size must be 1 or more, and is {size}")
    native = name[1:] if name.startswith("/") else name
    if (
        native in ("", ".", "..")
        or "\0" in native
        or (os.name != "nt" and "/" in native)
    ):
        raise SegmentError(f"'{name}' cannot be the name of shared memory")
    return native


def _explain(error: OSError, name: str) -> SegmentError:
    if isinstance(error, FileNotFoundError):
        return NotThereError(f"there is not a shared memory '{name}' yet")
    if isinstance(error, FileExistsError):
        return TakenError(f"there is a shared memory '{name}' already")
    if error.errno in (errno.ELOOP, errno.EISDIR):
        return SegmentError(f"'{name}' is not shared memory")
    if isinstance(error, PermissionError):
        return SegmentError(
            f"shared memory '{name}': permission denied; it may be another user's"
        )
    return SegmentError(f"shared memory '{name}': {error.strerror or error}")


def _too_small(name: str, held: int, size: int) -> SegmentError:
    return SegmentError(
        f"shared memory '{name}' has {held} bytes, fewer than the {size} asked for"
    )


if os.name == "nt":

    def _create(name: str, size: int) -> tuple[mmap.mmap, object]:
        # `mmap` alone would open an existing section as well, and not say so.
        try:
            section = _winapi.CreateFileMapping(
                _winapi.INVALID_HANDLE_VALUE,
                _winapi.NULL,
                _winapi.PAGE_READWRITE,
                size >> 32,
                size & 0xFFFFFFFF,
                name,
            )
            try:
                if _winapi.GetLastError() == _winapi.ERROR_ALREADY_EXISTS:
                    raise FileExistsError
                return mmap.mmap(-1, size, tagname=name), None
            finally:
                _winapi.CloseHandle(section)
        except OSError as error:
            raise _explain(error, name) from None

    def _open(name: str, size: int) -> tuple[mmap.mmap, object]:
        # `mmap` alone would make a missing section. The handle keeps the section until `mmap` has
        # its own.
        try:
            section = _winapi.OpenFileMapping(_winapi.FILE_MAP_READ, False, name)
            try:
                view = _winapi.MapViewOfFile(section, _winapi.FILE_MAP_READ, 0, 0, 0)
                held = _winapi.VirtualQuerySize(view)
                # Python 3.9 does not have this call: the view stays until the script ends.
                if hasattr(_winapi, "UnmapViewOfFile"):
                    _winapi.UnmapViewOfFile(view)
                if held < size:
                    raise _too_small(name, held, size)
                return mmap.mmap(-1, size, tagname=name), None
            finally:
                _winapi.CloseHandle(section)
        except OSError as error:
            raise _explain(error, name) from None

else:

    def _descriptor(name: str, flags: int) -> int:
        if _SHM_FOLDER is None:
            return _posixshmem.shm_open("/" + name, flags, mode=0o600)
        # A link is not followed, and a FIFO with this name does not block.
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(f"{_SHM_FOLDER}/{name}", flags, 0o600)

    def _remove(name: str) -> None:
        try:
            if _SHM_FOLDER is None:
                _posixshmem.shm_unlink("/" + name)
            else:
                os.unlink(f"{_SHM_FOLDER}/{name}")
        except FileNotFoundError:
            pass

    def _identity_of(descriptor: int) -> tuple[int, int]:
        # On macOS, these are zeros for every segment: there, a name always counts as current.
        status = os.fstat(descriptor)
        return status.st_dev, status.st_ino

    def _identify(name: str) -> tuple[int, int] | None:
        try:
            descriptor = _descriptor(name, os.O_RDONLY)
        except OSError:
            return None
        try:
            return _identity_of(descriptor)
        finally:
            os.close(descriptor)

    def _create(name: str, size: int) -> tuple[mmap.mmap, object]:
        try:
            descriptor = _descriptor(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except OSError as error:
            raise _explain(error, name) from None
        try:
            os.ftruncate(descriptor, size)
            return mmap.mmap(descriptor, size), _identity_of(descriptor)
        except (OSError, OverflowError, ValueError) as error:
            _remove(name)
            raise SegmentError(
                f"shared memory '{name}' of {size} bytes: {error}"
            ) from None
        finally:
            os.close(descriptor)

    def _open(name: str, size: int) -> tuple[mmap.mmap, object]:
        try:
            descriptor = _descriptor(name, os.O_RDWR)
        except OSError as error:
            raise _explain(error, name) from None
        try:
            deadline = time.monotonic() + _SIZING_TIME
            while os.fstat(descriptor).st_size == 0 and time.monotonic() < deadline:
                time.sleep(POLL_INTERVAL)
            status = os.fstat(descriptor)
            if _SHM_FOLDER is not None and not stat.S_ISREG(status.st_mode):
                raise SegmentError(f"'{name}' is not shared memory")
            if status.st_size < size:
                raise _too_small(name, status.st_size, size)
            return mmap.mmap(descriptor, size), _identity_of(descriptor)
        except (OSError, ValueError) as error:
            raise SegmentError(
                f"shared memory '{name}' cannot be mapped: {error}"
            ) from None
        finally:
            os.close(descriptor)


def argument_parser(description: str, wait_help: str) -> argparse.ArgumentParser:
    """Returns a parser of the options that all the scripts have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--name", default=DEFAULT_NAME, help="of the memory (%(default)s)"
    )
    parser.add_argument(
        "--size", type=int, default=DEFAULT_SIZE, metavar="BYTES", help="(%(default)s)"
    )
    parser.add_argument("--wait", type=float, metavar="SECONDS", help=wait_help)
    return parser


def run(main: Callable[[], int]) -> None:
    """Runs `main` and exits with its exit code. An error becomes one line and exit code 1."""
    # By default, SIGTERM would end Python without closing the segment, and its name would stay.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # On Windows, a pipe has the encoding of the country, which may lack characters of the text.
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")
    # A reader of a pipe gets each line as soon as it is printed.
    sys.stdout.reconfigure(line_buffering=True)
    try:
        sys.exit(main())
    except SegmentError as error:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
