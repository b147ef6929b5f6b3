#!/usr/bin/env python3
"""Run the addon's tests in a real Godot.

Two kinds: GDScript test files (test_*.gd, one Godot process each) and scenarios in Python
(scenarios/test_*.py, for what needs several processes, kills, the editor or an export).
What a test prints is judged as strictly as what it asserts: see harness/judge.py.
"""

import argparse
import pathlib
import random
import sys

from harness import gdscript, scenario
from harness.report import Report
from harness.session import Session

HERE = pathlib.Path(__file__).resolve().parent


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--godot", required=True, help="the Godot to run them in")
    parser.add_argument("--template", help="its release export template")
    parser.add_argument("--seed", type=int, help="repeat the order of an earlier run")
    parser.add_argument(
        "--folder",
        type=pathlib.Path,
        default=HERE,
        help="where the tests are, inside their Godot project (default: %(default)s)",
    )
    parser.add_argument("--list", action="store_true", help="name the tests, run none")
    parser.add_argument(
        "filter",
        nargs="?",
        default="",
        metavar="FILTER",
        help="run only tests with this in their name, such as test_open.gd:test_absent",
    )
    return parser.parse_args()


def main():
    options = arguments()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    chance = random.Random(seed)

    folder = options.folder.resolve()
    groups = gdscript.discover(folder, options.filter)
    groups += scenario.discover(folder / "scenarios", options.filter)
    chance.shuffle(groups)
    for group in groups:
        chance.shuffle(group.tests)
    if options.list:
        for name in sorted(name for group in groups for name in group.names()):
            print(name)
        return 0

    print(f"seed {seed}", flush=True)
    report = Report()
    with Session(options.godot, options.template, seed) as session:
        problem = session.problem()
        if problem:
            sys.exit(f"run.py: {problem}")
        for group in groups:
            for result in group.run(session):
                report.add(result)
            # Whatever it left would be found by the next group, and be taken for that one's.
            report.add_if_failed(session.leftovers(group.label))
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
