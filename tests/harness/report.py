"""What a test came to, and how that is told."""

import dataclasses
from typing import Optional

LOG_LINES_SHOWN = 60


@dataclasses.dataclass
class Result:
    name: str
    problems: list = dataclasses.field(default_factory=list)
    log: list = dataclasses.field(default_factory=list)
    # What is worth telling also if it passed: seeds, how much was done.
    notes: list = dataclasses.field(default_factory=list)
    skipped: Optional[str] = None
    seconds: float = 0.0


class Report:
    """One line a test as it comes in, what is wrong under it, and the sums at the end."""

    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = 0

    def add(self, result):
        if result.problems:
            self.failed.append(result.name)
            print(f"FAILED  {result.name}")
            for problem in result.problems:
                print("    " + problem.replace("\n", "\n      "))
            if result.log:
                print("    its log:")
                if len(result.log) > LOG_LINES_SHOWN:
                    print(f"      ({len(result.log) - LOG_LINES_SHOWN} lines more)")
                for line in result.log[-LOG_LINES_SHOWN:]:
                    print("      | " + line)
        elif result.skipped is not None:
            self.skipped += 1
            print(f"skipped {result.name}: {result.skipped}")
        else:
            self.passed += 1
            print(f"passed  {result.name} ({result.seconds:.2f} s)")
        for note in result.notes:
            print(f"    {note}")
        # The output may be a file or a pipe, and whoever watches it wants each line as it comes.
        print(end="", flush=True)

    def add_if_failed(self, result):
        if result.problems:
            self.add(result)

    def close(self):
        """Print the closing lines; return the exit code."""
        if self.skipped:
            print(f"skipped: {self.skipped}")
        for name in self.failed:
            print(f"failed: {name}")
        print(f"{self.passed} passed, {len(self.failed)} failed", flush=True)
        return 0 if self.passed and not self.failed else 1
