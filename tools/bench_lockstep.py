"""Measures requests between two processes, for ./build.sh bench: this addon beside TCP, and beside C."""

import contextlib
import functools
import os
import resource
import statistics
import sys

from bench_processes import cores, memories, on, started
from common import output

# The runs of each way in each condition. The ways take turns.
RUNS = 10
ROUNDS = 2000
# The rounds of a pair that sleeps, and the microseconds before each.
ASLEEP = (1000, 200)
# The rounds after which both sides of a pair spin, and the measured ones behind them. These are few, since a
# round that is held up puts both sides to sleep.
POLLED = 1000
SPINNING = 300
# The microseconds that a partner thinks, and the rounds.
THINKING = (20_000, 50)

CONDITIONS = ("at rest", "on one core", "a load on every core")
# Seconds. A load ends then, even if this program was killed.
LOAD_LIMIT = 60
LOAD = f"import time; end = time.monotonic() + {LOAD_LIMIT}\nwhile time.monotonic() < end: pass"


@contextlib.contextmanager
def condition(name):
    """Makes the condition, and returns the options of the processes in it."""
    with contextlib.ExitStack() as stack:
        if name == "a load on every core":
            for core in cores():
                stack.enter_context(started(sys.executable, "-c", LOAD, **on(core)))
        yield on(cores()[0]) if name == "on one core" else {}


class Pairs:
    """Pairs of processes. A method runs one pair, and returns the nanoseconds of its rounds."""

    def __init__(self, ours, ring, futex, prefix):
        self.ours, self.ring, self.futex = ours, ring, futex
        self.name, self.memory = prefix + "peer", prefix + "memory"

    def peers(self, rounds=ROUNDS, pause=0, thinking=0, **options):
        with started(self.ours, "answer", self.name, thinking, **options):
            return times(self.ours, "ask", self.name, rounds, pause, **options)

    def tcp(self, rounds=ROUNDS, pause=0, thinking=0, **options):
        with started(self.ours, "tcp-answer", thinking, **options) as partner:
            port = partner.stdout.readline().strip()
            return times(self.ours, "tcp-ask", port, rounds, pause, **options)

    def spinning_peers(self):
        """Both sides spin, each on a core of its own."""
        with started(self.ours, "poll", self.name, POLLED) as partner:
            partner.stdout.readline()
            # Now, as a process that opens a segment with one core alone never spins.
            os.sched_setaffinity(partner.pid, {cores()[-1]})
            return times(self.ours, "ask", self.name, POLLED + SPINNING, 0, warm_up=POLLED)

    def ring_in_c(self):
        words = (self.memory, ROUNDS, 64)
        with memories([self.memory], 1 << 18), started(self.ring, "answer", *words, **on(cores()[-1])):
            return times(self.ring, "ask", *words, **on(cores()[0]))

    def sleeping_peers(self):
        return self.peers(*ASLEEP)

    def futex_in_c(self):
        rounds, pause = ASLEEP
        with memories([self.memory], 4096), started(self.futex, "answer", self.memory, rounds):
            return times(self.futex, "ask", self.memory, rounds, pause)


def use_of_core(way):
    """Returns the share of a core that a pair uses while one side thinks, and the other one waits."""
    thinking, rounds = THINKING
    # The programs' beginning and end take as long as the steps.
    used = [processor_time(way, count, thinking) for count in (0, rounds)]
    return (used[1] - used[0]) / (rounds * thinking / 1e6)


def processor_time(way, rounds, thinking):
    """Returns the seconds that both processes of a pair use."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    way(rounds=rounds, thinking=thinking)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def times(*command, warm_up=None, **options):
    found = list(map(int, output(*command, **options).split()))
    return found[len(found) // 10 if warm_up is None else warm_up :]


def compared(ours, others, middle=statistics.median):
    """Returns the medians of two ways, ours first, and the ratios of their runs. `middle` is that of a run.

    The ticks are nanoseconds, or microseconds in Godot.
    """
    ratios = [middle(mine) / middle(other) for mine, other in zip(ours, others)]
    return {
        "ticks": [statistics.median(map(middle, runs)) for runs in (ours, others)],
        # A round that was held up counts here.
        "mean_ticks": [statistics.median(map(statistics.mean, runs)) for runs in (ours, others)],
        "ratio": statistics.median(ratios),
        "worst": max(ratios),
    }


def turns(*ways):
    """Returns the runs of each way. The ways take turns."""
    return zip(*([way() for way in ways] for _ in range(RUNS)))


def measure(pairs):
    """Returns the times of requests, beside the same over TCP and in C in the same minute."""
    beside_tcp = {}
    for what in CONDITIONS:
        with condition(what) as options:
            ways = [functools.partial(way, **options) for way in (pairs.peers, pairs.tcp)]
            beside_tcp[what] = compared(*turns(*ways))
    return {
        "beside TCP": beside_tcp,
        "beside C": {
            "both spin": compared(*turns(pairs.spinning_peers, pairs.ring_in_c)),
            "both sleep": compared(*turns(pairs.sleeping_peers, pairs.futex_in_c)),
        },
        "use of a core": [use_of_core(way) for way in (pairs.peers, pairs.tcp)],
    }


def in_godot(run):
    """Returns the times of two Godots. `run` starts them with some options, and returns their rounds."""
    found = {}
    for what in CONDITIONS:
        with condition(what) as options:
            ways = run(**options)
        # Godot's clock counts whole microseconds: the median is found within the one it is in.
        found[what] = compared(*ways.values(), statistics.median_grouped)
    return found
