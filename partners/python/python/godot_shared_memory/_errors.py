"""The exceptions: one class for each cause, beside that of Python with the same meaning."""

import builtins


class Error(Exception):
    """The base of all exceptions of this package."""


class ArgumentError(Error, ValueError):
    """An argument is wrong. The text names it, its value and the limit."""


class ClosedError(Error, ValueError):
    """The object is closed, was closed during the wait, or doesn't hold the lock."""


class ExistsError(Error, FileExistsError):
    """Another program has the name, and lives or is not of this package."""


class NotFoundError(Error, FileNotFoundError):
    """There is no memory of this name."""


class AccessError(Error, PermissionError):
    """The system refuses this user, or the memory is open for reading only."""


class OutOfMemoryError(Error, MemoryError):
    """There is no memory, or a value would take more than its limit."""


class BusyError(Error, BlockingIOError):
    """There is no room, or another program is in the middle of something. A later call may succeed."""


class InUseError(Error):
    """Another object or program has the role that the call needs."""


class UnavailableError(Error):
    """The system lacks it, or there is no memory or no partner under the name yet."""


class DataError(Error, ValueError):
    """The bytes in memory, or those of a message, are not valid."""


class LostError(Error):
    """Another program has taken memory away from under this one."""


class ConnectionError(Error, builtins.ConnectionError):
    """The other side has closed or ended, and all that it had sent was received."""


class TimeoutError(Error, builtins.TimeoutError):
    """The time is over."""


class SystemError(Error, OSError):
    """A call of the system has failed. The text has the system's own words."""
