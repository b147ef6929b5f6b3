"""The exceptions and the warning of a game."""

import builtins

from godot_shared_memory._errors import Error


class GameError(Error):
    """The game can't go on. The text has its reason, and the last lines that the game has printed."""


class GameEndedError(GameError, builtins.ConnectionError):
    """The game has ended, or could not be started."""


class GameTimeoutError(GameError, builtins.TimeoutError):
    """The game has not answered in time. It may hang, or be stopped in a debugger."""


class SpaceMismatchError(GameError, ValueError):
    """The game has other spaces than those that were expected. The text names the field."""


class GameScriptWarning(UserWarning):
    """A script of the game has failed, and the game goes on. The text has its file and line."""
