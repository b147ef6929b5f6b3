"""An editor that obeys a scenario, order by order: see projects/dock/driver."""

import json
import re
import shutil

from . import projects
from .agent import literal
from .session import kill, wait_until

# Scenarios fail where they call the editor, not in here.
__tracebackhide__ = True

TIME_LIMIT = 120
# "[  50% ]", in colour.
PROGRESS = re.compile(r"^(\x1b\[\d*m)*\[( *\d+%| DONE) \]|^\x1b\[0m$")


class Editor:
    """A project may be given; otherwise it is a copy of projects/dock, with the addon in its folder."""

    def __init__(
        self,
        session,
        *arguments,
        addon=projects.ADDON,
        environment=None,
        project=None,
    ):
        self._session = session
        self.project = project or projects.make(session, "dock", addon)
        if addon and not project:
            projects.list_addon(self.project)
        self.orders = session.folder / session.name("orders")
        self.orders.mkdir()
        self.log = self.orders / "log.txt"
        self._number = 0
        self._seen = 0
        arguments = arguments or ["--headless"]
        environment = {**(environment or {}), "DRIVER_FOLDER": str(self.orders)}
        with self.log.open("wb") as output:
            self.process = session.start(
                [session.godot, *arguments, "--editor", "--path", self.project],
                stdout=output,
                env={**session.environment(), **environment},
            )

    def run(self, source, *arguments):
        """Runs a GDScript that extends order.gd in the editor; returns what its function `run` returns."""
        self._number += 1
        order = self.orders / f"order{self._number}.gd"
        answer = self.orders / f"answer{self._number}.json"
        order.with_name(order.name + ".arguments").write_text(
            literal(arguments), encoding="utf-8"
        )
        unfinished = order.with_suffix(".new")
        unfinished.write_text(source, encoding="utf-8")
        unfinished.rename(order)
        wait_until(
            lambda: answer.exists() or self.process.poll() is not None, TIME_LIMIT
        )
        assert answer.exists(), f"the editor ended\n{self.printed()}"
        return json.loads(answer.read_text(encoding="utf-8"))

    def printed(self):
        """Returns what it has printed, without the progress of its start."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(line for line in text.splitlines() if not PROGRESS.match(line))

    def errors(self):
        return projects.errors_in(self.printed().splitlines())

    def new_errors(self):
        """Returns the errors since the last call."""
        errors = self.errors()
        seen, self._seen = self._seen, len(errors)
        return errors[seen:]

    def end(self, allowed=(), keep=False):
        """Asks it to quit; fails if it printed an error, or exits with anything but 0.

        Errors with one of the texts `allowed` are none. With `keep`, the project stays.
        """
        self.run("func run(): plugin.get_tree().quit.call_deferred()")
        try:
            code = self.process.wait(TIME_LIMIT)
        finally:
            kill(self.process)
        errors = [e for e in self.errors() if not any(text in e for text in allowed)]
        assert errors == [], self.printed()
        assert code == 0, self.printed()
        if not keep:
            shutil.rmtree(self.project)
