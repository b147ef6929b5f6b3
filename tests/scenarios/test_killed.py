"""Owners that were killed, and who may reclaim what they left. At any moment: see test_kill_matrix.py."""

import os
import signal
import unittest

from harness.agent import Agent
from harness.scenario import (
    ERR_ALREADY_EXISTS,
    GLOBAL_SCOPE,
    OK,
    STATUS_CREATED,
    STATUS_OPEN,
    Scenario,
)
from harness.session import SHARED

# A dead owner's: the sticky bit is the addon's mark. Nobody holds its lock.
LEFTOVER = 0o1600

# All processes begin at the same moment and take the names in the same order. They meet again and again:
# who is ahead has more to do at each name.
RACE = """
var objects = []
func run(method, names, start):
	var results = []
	while Time.get_unix_time_from_system() < start:
		OS.delay_usec(20)
	for name in names:
		var memory = SharedMemory.new()
		objects.append(memory)
		results.append([memory.call(method, name, 64), memory.get_status()])
	Engine.set_meta("race", objects)
	return results
"""
NOW = "func run(): return Time.get_unix_time_from_system()"
CURRENT = """
func run():
	return Engine.get_meta("race").map(func(memory): return memory.is_current())
"""
FORGET = "func run(): Engine.remove_meta('race')"


@unittest.skipUnless(
    SHARED.is_dir(), "needs segments that stay when their owner is killed"
)
class Killed(Scenario):
    def make_and_kill(self, names, persistent=False):
        agent = self.agent()
        for name in names:
            memory = agent.memory()
            memory.set_persistent(persistent)
            self.assertEqual(memory.create(name, 64), OK)
            memory.write(b"old")
        agent.kill()
        for name in names:
            self.assertTrue(self.file(name).exists(), "killed: it could not tidy up")

    def test_the_next_run_is_not_blocked(self):
        name = self.name()
        owner = self.agent()
        memory = owner.memory()
        self.assertEqual(memory.create(name, 64), OK)
        memory.write(b"old")
        peer = self.agent().memory()
        self.assertEqual(peer.open(name), OK)
        owner.kill()

        again = self.agent().memory()
        self.assertTrue(again.exists(name))
        self.assertTrue(peer.is_current(), "nothing has replaced it yet")
        self.assertEqual(again.create(name, 32), OK)
        self.assertEqual(again.get_status(), STATUS_CREATED)
        self.assertEqual(again.get_size(), 32)
        self.assertEqual(again.read(), bytes(32), "it is a new one")

        self.assertEqual(peer.read(3), b"old", "who has the old one open keeps it")
        self.assertFalse(peer.is_current(), "and is told")
        peer.close()
        self.assertTrue(again.is_current(), "an opener of the old one removes nothing")
        self.assertEqual(peer.open(name), OK)
        self.assertTrue(peer.is_current())
        self.assertEqual(peer.get_size(), 32)

    def test_open_still_opens_it(self):
        name = self.name()
        self.make_and_kill([name])
        agent = self.agent()
        memory, other = agent.memory(), agent.memory()
        self.assertEqual(memory.open(name), OK)
        self.assertEqual(memory.read(3), b"old")
        self.assertTrue(memory.exists(name))
        self.assertEqual(other.open_or_create(name, 64), OK)
        self.assertEqual(other.get_status(), STATUS_CREATED, "it reclaims")
        self.assertFalse(memory.is_current())
        self.assertEqual(other.read(3), bytes(3))

    def test_global_and_other_size(self):
        name = self.name()
        self.make_and_kill([name])
        memory = self.agent().memory()
        self.assertEqual(memory.open_or_create(name, 5000, GLOBAL_SCOPE), OK)
        self.assertEqual(memory.get_status(), STATUS_CREATED)
        self.assertEqual(memory.get_size(), 5000)
        self.assertEqual(memory.get_scope(), GLOBAL_SCOPE)

    def test_killed_again_and_again(self):
        name = self.name()
        for _round in range(3):
            self.make_and_kill([name])
        self.assertEqual(self.agent().memory().create(name, 64), OK)

    def test_a_persistent_one_is_never_reclaimed(self):
        name = self.name()
        self.make_and_kill([name], persistent=True)
        memory = self.agent().memory()
        self.assertEqual(memory.create(name, 64), ERR_ALREADY_EXISTS)
        self.assertEqual(memory.open_or_create(name, 64), OK)
        self.assertEqual(memory.get_status(), STATUS_OPEN)
        self.assertEqual(memory.read(3), b"old")
        memory.close()
        self.assertEqual(memory.remove(name), OK)
        self.assertFalse(self.file(name).exists())

    def test_what_python_made_is_never_reclaimed(self):
        name = self.name()
        path = self.foreign(name, b"Python")
        path.chmod(0o600)
        memory = self.agent().memory()
        self.assertEqual(memory.create(name, 6), ERR_ALREADY_EXISTS)
        self.assertEqual(memory.open_or_create(name, 6), OK)
        self.assertEqual(memory.get_status(), STATUS_OPEN)
        memory.unlink()
        self.assertFalse(path.exists(), "but an opener may remove it")

    def test_a_living_owner_is_never_reclaimed(self):
        name = self.name()
        owner = self.agent()
        memory = owner.memory()
        self.assertEqual(memory.create(name, 64), OK)
        memory.write(b"mine")
        other = self.agent().memory()
        # Also one that stands still, as in a debugger.
        os.kill(owner.pid, signal.SIGSTOP)
        try:
            self.assertEqual(other.create(name, 64), ERR_ALREADY_EXISTS)
            self.assertEqual(other.open_or_create(name, 64), OK)
            self.assertEqual(other.get_status(), STATUS_OPEN)
        finally:
            os.kill(owner.pid, signal.SIGCONT)
        self.assertTrue(memory.is_current())
        self.assertEqual(other.read(4), b"mine")

    def test_a_living_owner_that_started_a_program(self):
        """What the owner starts must not hold its lock when the owner is dead."""
        name = self.name()
        owner = self.agent()
        self.assertEqual(owner.memory().create(name, 64), OK)
        child = owner.run("func run(): return OS.create_process('sleep', ['1000'])")
        os.kill(owner.pid, signal.SIGKILL)
        owner.process.wait()
        try:
            self.assertEqual(self.agent().memory().create(name, 64), OK)
        finally:
            os.kill(child, signal.SIGKILL)
            owner.kill()

    def test_a_leftover_that_was_not_ours(self):
        if os.geteuid() != 0:
            self.skipTest("needs a second user: run as root")
        name = self.name()
        path = self.foreign(name, b"old")
        path.chmod(LEFTOVER)
        os.chown(path, 65534, 65534)
        memory = self.agent().memory()
        self.assertEqual(memory.create(name, 64), ERR_ALREADY_EXISTS)
        os.chown(path, os.geteuid(), os.getegid())
        self.assertEqual(memory.create(name, 64), OK, "once it is ours")

    def leave(self, names):
        """Make what dead owners leave: here a thousand are killed in no time."""
        for name in names:
            self.foreign(name, b"old".ljust(64)).chmod(LEFTOVER)

    def race(self, method, names, agents):
        start = agents[0].run(NOW) + 0.3
        answers = Agent.run_in_all(agents, RACE, method, names, start)
        # One list a name, not one a process.
        return list(zip(*answers))

    def test_ten_racing_reclaimers(self):
        names = [self.name() for _round in range(400)]
        self.leave(names)
        agents = [self.agent() for _number in range(10)]
        for name, results in zip(names, self.race("create", names, agents)):
            codes = sorted(code for code, _status in results)
            self.assertEqual(codes, [OK] + [ERR_ALREADY_EXISTS] * 9, name)
        current = zip(*(agent.run(CURRENT) for agent in agents))
        for name, answers in zip(names, current):
            self.assertEqual(sum(answers), 1, f"{name} leads to its one owner's")
        for agent in agents:
            agent.run(FORGET)
        for name in names:
            self.assertFalse(self.file(name).exists(), name)

    def test_racing_to_open_or_create(self):
        for what, leave in (("absent", False), ("left by a dead owner", True)):
            with self.subTest(what):
                names = [self.name() for _round in range(400)]
                if leave:
                    self.leave(names)
                agents = [self.agent() for _number in range(4)]
                answers = self.race("open_or_create", names, agents)
                for name, results in zip(names, answers):
                    self.assertEqual([code for code, _status in results], [OK] * 4)
                    statuses = sorted(status for _code, status in results)
                    self.assertEqual(
                        statuses, [STATUS_CREATED] + [STATUS_OPEN] * 3, name
                    )
                for agent in agents:
                    self.assertEqual(
                        agent.run(CURRENT), [True] * 400, "one segment for all"
                    )
                for agent in agents:
                    agent.run(FORGET)
