"""A real game as an environment of Gymnasium. The variable GODOT names the Godot."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import godot_shared_memory as gsm
import numpy as np
import pytest
from conftest import eventually, linux

gymnasium = pytest.importorskip("gymnasium")

from godot_shared_memory.gym import (  # noqa: E402
    Game,
    GameEndedError,
    GameError,
    GameScriptWarning,
    GameTimeoutError,
    GodotEnv,
    GodotVectorEnv,
    SpaceMismatchError,
)
from godot_shared_memory.gym._process import Output  # noqa: E402
from gymnasium.utils.env_checker import check_env  # noqa: E402
from gymnasium.vector import AutoresetMode, SyncVectorEnv  # noqa: E402

GODOT = os.environ.get("GODOT")
ADDON = pathlib.Path(__file__).parents[3] / "addons/shared_memory"

pytestmark = pytest.mark.skipif(not GODOT or not (ADDON / "bin").exists(), reason="needs Godot and the addon")

PROJECT = """config_version=5

[application]
config/name="gym"
run/main_scene="res://main.tscn"
"""

SCENE = """[gd_scene load_steps=2 format=3]

[ext_resource type="Script" path="res://main.gd" id="1"]

[node name="Main" type="Node"]
script = ExtResource("1")
"""

# Makes the gym that the arguments describe, as in "agent=walker n=4".
MAIN = """extends Node

const GYM := "res://addons/shared_memory/shared_memory_gym.gd"

func _ready() -> void:
	var settings := {"agent": "walker", "n": "1"}
	for argument in OS.get_cmdline_user_args():
		var parts := argument.split("=")
		settings[parts[0]] = parts[1]
	var gym: SharedMemoryGym = load(settings.get("gym", GYM)).new()
	gym.name = "Gym"
	gym.memory_name = settings.get("name", "")
	gym.steps_per_action = int(settings.get("steps", "1"))
	gym.steps_after_reset = int(settings.get("after", "0"))
	gym.max_episode_steps = int(settings.get("max", "0"))
	gym.mode = int(settings.get("mode", "0"))
	var agent: GDScript = load("res://%s.gd" % settings.agent)
	for index in int(settings.n):
		var node: Node = agent.new()
		node.name = "Agent%d" % index
		node.add_to_group("gym_agents")
		gym.add_child(node)
	add_child(gym)
"""

# Takes another action than it gets.
TYPED = """extends Node

var observation_space := SharedMemoryGym.box([1])
var action_space := SharedMemoryGym.box([1])

func reset(_random: RandomNumberGenerator) -> void:
	pass

func act(_action: int) -> void:
	pass

func observe() -> PackedFloat32Array:
	return [0.0]

func judge() -> Array:
	return [0.0, false]
"""

# Overrides what any node may override, without super().
OWN_GYM = """extends SharedMemoryGym

func _init() -> void:
	pass

func _enter_tree() -> void:
	pass

func _ready() -> void:
	pass

func _exit_tree() -> void:
	pass

func _process(_delta: float) -> void:
	pass

func _physics_process(_delta: float) -> void:
	pass

func _notification(_what: int) -> void:
	pass
"""

AGENTS = {
    "typed": TYPED,
    "broken": TYPED.replace("	pass", "	pas", 1),
    "own_gym": OWN_GYM,
    # Fails in ways that Godot only prints, and in ways that end the gym.
    "faulty": """extends Node

var observation_space := SharedMemoryGym.box([1])
var action_space := SharedMemoryGym.discrete(9)
var nothing: Variant
var fault := 0

func reset(_random: RandomNumberGenerator, options: Dictionary) -> void:
	fault = 0
	if options.has("scene"):
		get_tree().change_scene_to_file(options.scene)

func act(action: int) -> void:
	fault = action
	match action:
		1: nothing.x = 3
		2: get_tree().change_scene_to_file("res://main.tscn")
		3: get_tree().reload_current_scene()
		4: get_parent().queue_free()
		5: get_tree().quit(3)
	if action == 5 or action == 7:
		fail()
	while action >= 6:
		pass

func fail() -> void:
	nothing.y = 4

func observe() -> PackedFloat32Array:
	return [0.0]

func judge() -> Array:
	return [0.0, false]
""",
    "short": TYPED.replace("_random: RandomNumberGenerator", ""),
    # Walks to the left or to the right, until it is far away.
    "walker": """extends Node

var observation_space := SharedMemoryGym.box([4], -100, 100)
var action_space := SharedMemoryGym.discrete(2)
var at := 0.0
var direction := 0.0
var physics := 0
var others := 0
var options := {}
var noise := 0.0

func reset(random: RandomNumberGenerator, given: Dictionary) -> void:
	options = given
	at = random.randf_range(-3, 3)
	noise = random.randf()
	direction = 0.0
	physics = 0

func act(action: int) -> void:
	direction = 1.0 if action == 1 else -1.0

func _physics_process(_delta: float) -> void:
	at += direction
	physics += 1

func observe() -> PackedFloat32Array:
	return PackedFloat32Array([at, noise, physics, options.get("mark", 0.0)])

func judge() -> Array:
	if at > 4:
		return [10.0, true, {"far": at, "side": "right"}]
	return [direction / 8, at < -6]

func human_action() -> int:
	others += 1
	return 1

func script_action(observation: PackedFloat32Array) -> int:
	others += 1
	return 1 if observation[0] < 0 else 0
""",
    # Observes what it has done, in a value of each type.
    "echo": """extends Node

var observation_space := SharedMemoryGym.dict(_spaces())
var action_space := SharedMemoryGym.dict(_spaces())
var last := {}

func _spaces() -> Dictionary:
	return {
		"f32": SharedMemoryGym.box([2, 3]), "f64": SharedMemoryGym.box([], -1, 1, "float64"),
		"u8": SharedMemoryGym.box([3], 0, 255, "uint8"), "i8": SharedMemoryGym.box([3], -9, 9, "int8"),
		"i32": SharedMemoryGym.box([2], [-5, -6], [5, 6], "int32"),
		"i64": SharedMemoryGym.box([1], -INF, INF, "int64"), "one": SharedMemoryGym.discrete(5, -2),
		"many": SharedMemoryGym.multi_discrete([2, 3]), "bits": SharedMemoryGym.multi_binary(5),
	}

func reset(_random: RandomNumberGenerator) -> void:
	last = {
		"f32": PackedFloat32Array([0, 0, 0, 0, 0, 0]), "f64": PackedFloat64Array([0]),
		"u8": PackedByteArray([0, 0, 0]), "i8": PackedByteArray([0, 0, 0]),
		"i32": PackedInt32Array([0, 0]), "i64": PackedInt64Array([0]), "one": 0,
		"many": PackedInt64Array([0, 0]), "bits": PackedByteArray([0, 0, 0, 0, 0]),
	}

func act(action: Dictionary) -> void:
	last = action

func observe() -> Dictionary:
	return last

func judge() -> Array:
	return [0.0, false]
""",
    # Sees a picture in another format than that of the space.
    "picture": """extends Node

var observation_space := SharedMemoryGym.box([4, 6, 3], 0, 255, "uint8")
var action_space := SharedMemoryGym.box([1], -1, 1)
var image := Image.create_empty(6, 4, false, Image.FORMAT_RGBA8)

func reset(random: RandomNumberGenerator) -> void:
	image.fill(Color8(random.randi() % 256, 2, 3))

func act(action: PackedFloat32Array) -> void:
	image.set_pixel(5, 1, Color8(int(action[0] * 100) + 100, 7, 8))

func observe() -> Image:
	return image

func judge() -> Array:
	return [0.0, false]
""",
    # A pile of bodies that the physics engine moves.
    "pile": """extends Node2D

var observation_space := SharedMemoryGym.box([20])
var action_space := SharedMemoryGym.box([2], -1, 1)
var bodies: Array[RigidBody2D] = []
var seeded := 0.0

func _ready() -> void:
	var floor_body := StaticBody2D.new()
	floor_body.add_child(_shape(Vector2(2000, 20)))
	floor_body.position.y = 300
	add_child(floor_body)

func _shape(size: Vector2) -> CollisionShape2D:
	var shape := CollisionShape2D.new()
	shape.shape = RectangleShape2D.new()
	shape.shape.size = size
	return shape

func reset(random: RandomNumberGenerator) -> void:
	for body in bodies:
		body.free()
	bodies.clear()
	seeded = randf()
	for index in 9:
		var body := RigidBody2D.new()
		body.add_child(_shape(Vector2(30, 20)))
		body.position = Vector2(random.randf_range(-40, 40), -40 * index)
		body.rotation = random.randf()
		add_child(body)
		bodies.append(body)

func act(action: PackedFloat32Array) -> void:
	bodies[0].apply_central_impulse(Vector2(action[0], action[1]) * 200)

func observe() -> PackedFloat32Array:
	var seen := PackedFloat32Array([seeded, bodies[0].rotation])
	for body in bodies:
		seen.append(body.position.x)
		seen.append(body.position.y)
	return seen

func judge() -> Array:
	return [bodies[0].position.x, false]
""",
    # Does what a hasty author does, as the first element of its actions says.
    "wrong": """extends Node

var observation_space := SharedMemoryGym.dict({"a": SharedMemoryGym.box([2])})
var action_space := SharedMemoryGym.discrete(8)
var fault := 0

func reset(_random: RandomNumberGenerator) -> void:
	fault = 0

func act(action: int) -> void:
	fault = action
	if fault == 5:
		queue_free()
	elif fault == 6:
		get_tree().paused = true
	elif fault == 7:
		get_tree().quit(3)

func observe() -> Variant:
	match fault:
		1: return {"a": PackedFloat32Array([1])}
		2: return {"b": PackedFloat32Array([1, 2])}
		3: return {"a": "text"}
	return {"a": PackedFloat32Array([1, 2])}

func judge() -> Array:
	return [0.0] if fault == 4 else [0.0, false]
""",
}


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Returns a project with the agents. Its import counts for no test."""
    folder = tmp_path_factory.mktemp("gym")
    (folder / "project.godot").write_text(PROJECT)
    (folder / "main.tscn").write_text(SCENE)
    (folder / "main.gd").write_text(MAIN)
    for name, source in AGENTS.items():
        (folder / f"{name}.gd").write_text(source)
    shutil.copytree(ADDON, folder / "addons/shared_memory")
    assert GODOT is not None
    command = [GODOT, "--headless", "--path", os.fspath(folder), "--import"]
    # Some builds of Godot abort at the end of the first import of a project with an extension.
    subprocess.run(command, capture_output=True, timeout=110, check=False)
    assert (folder / ".godot/global_script_class_cache.cfg").exists()
    return folder


@pytest.fixture
def make(project: pathlib.Path) -> Iterator[Callable[..., Any]]:
    """Makes an environment of one of the agents, and closes it at the end of the test."""
    made: list[Any] = []

    def begin(kind: Any = GodotEnv, agent: str = "walker", timeout: float = 20, **settings: Any) -> Any:
        own = {"n", "steps", "after", "max", "mode", "name", "gym"}
        words = [f"agent={agent}", *(f"{key}={settings.pop(key)}" for key in own & settings.keys())]
        made.append(kind(project=project, arguments=words, timeout=timeout, **settings))
        return made[-1]

    yield begin
    for env in made:
        env.close()


class Running:
    """A game that no environment has started."""

    def __init__(self, project: pathlib.Path, *words: str) -> None:
        assert GODOT is not None
        command = [GODOT, "--headless", "--fixed-fps", "60", "--path", os.fspath(project), "--", *words]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def end(self, name: str) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)
        # A killed game leaves its memory.
        for left in (name, name + "-game"):
            with contextlib.suppress(gsm.Error):
                gsm.remove(left)


@pytest.fixture
def run_game(project: pathlib.Path, name: str) -> Iterator[Callable[..., Running]]:
    """Starts a game by hand, which meets programs under ``name``."""
    started: list[Running] = []

    def begin(*words: str) -> Running:
        started.append(Running(project, f"name={name}", *words))
        return started[-1]

    yield begin
    for game in started:
        game.end(name)


def actions_of(env: Any, count: int, seed: int = 5) -> list[Any]:
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(count)]


def equal(one: Any, other: Any) -> bool:
    """Compares observations or infos, bit by bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) and one.dtype == object:
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, np.ndarray):
        return bool(
            one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
        )
    return bool(one == other)


@pytest.mark.parametrize("agent", ["walker", "echo", "picture"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_checker_of_gymnasium_passes(make: Callable[..., Any], agent: str) -> None:
    check_env(make(agent=agent), skip_render_check=True)


def test_step_takes_that_many_physics_steps(make: Callable[..., Any]) -> None:
    env = make(steps=3)
    observation, info = env.reset(seed=1)
    assert observation[2] == 0
    assert info == {}
    for step in range(1, 4):
        after, reward, terminated, truncated, info = env.step(0)
        assert after[2] == 3 * step
        assert after[0] == np.float32(observation[0]) - 3 * step
        assert (reward, truncated) == (-0.125, False)
        if terminated:
            break


def test_first_observation_is_that_many_steps_after_reset(make: Callable[..., Any]) -> None:
    env = make(after=2)
    assert env.reset()[0][2] == 2
    assert env.step(1)[0][2] == 3


def test_every_type_arrives(make: Callable[..., Any]) -> None:
    env = make(agent="echo")
    env.reset()
    for action in actions_of(env, 20):
        observation = env.step(action)[0]
        assert env.observation_space.contains(observation)
        for name, value in action.items():
            assert np.array_equal(observation[name], value), name
    assert env.observation_space["i64"].low[0] == -(1 << 63)
    assert env.observation_space["i32"].high.tolist() == [5, 6]
    assert env.observation_space["one"] == gymnasium.spaces.Discrete(5, start=-2)


def test_agents_get_their_own_values(make: Callable[..., Any]) -> None:
    envs = make(GodotVectorEnv, agent="echo", n=3)
    envs.reset()
    for actions in actions_of(envs, 5):
        observations = envs.step(actions)[0]
        assert all(np.array_equal(observations[name], actions[name]) for name in actions)


def test_picture_has_rows_and_colours(make: Callable[..., Any]) -> None:
    env = make(agent="picture")
    env.reset(seed=1)
    observation = env.step(np.array([0.5], np.float32))[0]
    assert observation.shape == (4, 6, 3)
    assert observation[1, 5].tolist() == [150, 7, 8]
    assert observation[0, 0, 1:].tolist() == [2, 3]


def test_observations_are_new_arrays(make: Callable[..., Any]) -> None:
    env = make()
    first = env.reset(seed=1)[0]
    kept = first.copy()
    second = env.step(1)[0]
    second[0] = 99
    assert np.array_equal(first, kept)
    assert env.step(1)[0][0] == kept[0] + 2


def test_observations_are_views_by_wish(make: Callable[..., Any]) -> None:
    env = make(copy=False)
    first = env.reset(seed=1)[0]
    kept = first.copy()
    env.step(1)
    assert not first.flags.writeable
    assert np.array_equal(first, kept)


def test_info_and_options_arrive(make: Callable[..., Any]) -> None:
    env = make()
    observation, _ = env.reset(options={"mark": 7.5})
    assert observation[3] == 7.5
    for _ in range(20):
        observation, reward, terminated, truncated, info = env.step(1)
        if terminated:
            break
    assert (reward, truncated) == (10, False)
    assert info == {"far": observation[0], "side": "right"}
    assert env.reset()[0][3] == 0


def test_episode_is_truncated(make: Callable[..., Any]) -> None:
    env = make(max=3, steps=1)
    env.reset()
    ends = [env.step(step % 2)[2:4] for step in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]


def test_seed_repeats_run_bit_by_bit(make: Callable[..., Any]) -> None:
    def trace(seed: int) -> list[bytes]:
        env = make(agent="pile")
        seen = [env.reset(seed=seed)[0]]
        for action in actions_of(env, 150):
            observation, reward, *_ = env.step(action)
            seen += [observation, np.float64(reward)]
        seen.append(env.reset()[0])
        env.close()
        return [value.tobytes() for value in seen]

    first = trace(3)
    assert first == trace(3)
    assert first != trace(4)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("shape", ["games", "agents"])
def test_vector_equals_that_of_gymnasium(
    make: Callable[..., Any], project: pathlib.Path, mode: AutoresetMode, shape: str
) -> None:
    settings = {"num_games": 3} if shape == "games" else {"n": 3}
    ours = make(GodotVectorEnv, max=7, autoreset_mode=mode, **settings)
    theirs = SyncVectorEnv([lambda: make(max=7)] * 3, autoreset_mode=mode)
    assert ours.observation_space == theirs.observation_space
    assert ours.single_action_space == theirs.single_action_space
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"]
    start: Any = ours.reset(seed=2)
    other: Any = theirs.reset(seed=2)
    ended = 0
    for step, actions in enumerate(actions_of(theirs, 60)):
        # Agents of one game share its clock: the third value counts physics steps after the reset.
        assert equal(start[0], other[0]), step
        assert equal(start[-1], other[-1]), step
        start, other = ours.step(actions), theirs.step(actions)
        ended += int(np.sum(start[2] | start[3]))
        assert all(equal(one, two) for one, two in zip(start, other, strict=True)), step
    assert ended > 10
    theirs.close()


def test_mask_begins_some_episodes(make: Callable[..., Any]) -> None:
    envs = make(GodotVectorEnv, n=2, num_games=2, autoreset_mode=AutoresetMode.DISABLED)
    before, _ = envs.reset(seed=1)
    envs.step(np.array([0, 1, 0, 1]))
    mask = np.array([True, False, False, True])
    after, _ = envs.reset(seed=[1, None, None, 4], options={"reset_mask": mask, "mark": 2.0})
    assert np.array_equal(after[mask, :3], before[mask, :3])
    assert after[:, 3].tolist() == [2, 0, 0, 2]
    assert after[~mask, 2].tolist() == [1, 1]


@linux
def test_eight_games_at_once(make: Callable[..., Any]) -> None:
    envs = make(GodotVectorEnv, num_games=8, n=2)
    assert envs.num_envs == 16
    observations, _ = envs.reset(seed=1)
    assert len(np.unique(observations[:, 0])) == 16
    for actions in actions_of(envs, 50):
        envs.step(actions)
    pids = [game.pid for game in envs.games]
    envs.close()
    assert not any(lives(pid) for pid in pids)


def lives(pid: int | None) -> bool:
    assert pid is not None
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@linux
@pytest.mark.parametrize("vector", [False, True])
def test_killed_game_is_an_error_and_reset_starts_another(make: Callable[..., Any], vector: bool) -> None:
    env = make(GodotVectorEnv, num_games=2) if vector else make()
    first = env.reset(seed=1)[0]
    game = env.games[1] if vector else env.game
    os.kill(game.pid, signal.SIGKILL)
    action = np.array([1, 1]) if vector else 1
    begin = time.monotonic()
    with pytest.raises(GameEndedError, match="ended with the exit code -9"):
        env.step(action)
    assert time.monotonic() - begin < 5
    with pytest.raises(GameError, match="closed"):
        env.step(action)
    assert equal(env.reset(seed=1)[0], first)
    env.step(action)


@linux
def test_stopped_game_is_an_error_in_time(make: Callable[..., Any]) -> None:
    env = make(timeout=1)
    env.reset(seed=1)
    pid = env.game.pid
    os.kill(pid, signal.SIGSTOP)
    begin = time.monotonic()
    with pytest.raises(GameTimeoutError, match="within 1 s"):
        env.step(1)
    assert time.monotonic() - begin < 4
    assert eventually(lambda: not lives(pid))
    env.reset(seed=1)
    env.step(1)


@linux
def test_game_ends_with_its_program(start: Callable[..., Any], project: pathlib.Path) -> None:
    source = """
import sys, time
from godot_shared_memory.gym import GodotEnv
env = GodotEnv(project=sys.argv[1], arguments=["agent=walker"])
env.reset()
print(env.game.pid, env.game._name)
time.sleep(60)
"""
    program = start(source, os.fspath(project))
    pid, name = program.line().split()
    program.kill()
    assert eventually(lambda: not runs(int(pid)), 20)
    assert not gsm.SharedMemory.exists(name)
    assert not gsm.SharedMemory.exists(name + "-program")


@linux
@pytest.mark.parametrize("when", ["at once", "while the game waits", "while a script hangs"])
def test_game_ends_with_a_killed_program(start: Callable[..., Any], project: pathlib.Path, when: str) -> None:
    source = """
import sys, time
from godot_shared_memory.gym import Game
game = Game(project=sys.argv[1], arguments=["agent=faulty"], connect=False)
print(game.pid, game._name)
if sys.argv[2] == "while a script hangs":
    game.connect()
    game.send_reset()
    game.receive()
    game.send_action(6)
    print("hangs")
time.sleep(60)
"""
    program = start(source, os.fspath(project), when)
    pid, name = program.line().split()
    if when == "while the game waits":
        assert eventually(lambda: gsm.SharedMemory.exists(name), 20)
    elif when == "while a script hangs":
        assert program.line() == "hangs"
        time.sleep(0.3)
    program.kill()
    assert eventually(lambda: not runs(int(pid)), 20)
    assert not gsm.SharedMemory.exists(name)
    assert not gsm.SharedMemory.exists(name + "-program")


@linux
def test_program_that_forgets_to_close_leaves_nothing(run: Callable[..., str], project: pathlib.Path) -> None:
    source = f"""
from godot_shared_memory.gym import GodotEnv
env = GodotEnv(project={os.fspath(project)!r}, arguments=["agent=walker"])
env.reset()
print(env.game.pid, env.game._name)
"""
    pid, name = run(source).split()
    assert not lives(int(pid))
    assert not gsm.SharedMemory.exists(name)


def runs(pid: int) -> bool:
    """Returns whether a process runs. An orphan that nobody has waited for doesn't."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@linux
def test_game_sleeps_while_the_policy_thinks(make: Callable[..., Any]) -> None:
    env = make()
    env.reset()
    path = pathlib.Path(f"/proc/{env.game.pid}/schedstat")
    begin, busy = time.monotonic(), int(path.read_text().split()[0])
    for _ in range(50):
        time.sleep(0.02)
        env.step(0)
    used = (int(path.read_text().split()[0]) - busy) / 1e9
    assert used < 0.05 * (time.monotonic() - begin)


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """Returns the name of a screen without a monitor."""
    program = shutil.which("Xvfb")
    if not program:
        pytest.skip("no Xvfb, so no window")
    command = [program, "-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        yield f":{server.stdout.readline().strip()}"
        server.terminate()


@linux
@pytest.mark.parametrize("render_mode", ["human", "rgb_array"])
def test_world_with_a_window_stands_still_while_the_policy_thinks(
    make: Callable[..., Any], screen: str, render_mode: str
) -> None:
    env = make(render_mode=render_mode, env={"DISPLAY": screen})
    env.reset()
    for count in range(1, 8):
        time.sleep(0.05 if count < 5 else 0)
        assert env.step(count % 2)[0][2] == count
    picture = env.render()
    if render_mode == "human":
        assert picture is None
    else:
        # The grey of an empty scene.
        assert picture.shape[2] == 3
        assert picture.min() == picture.max() == 77


def test_other_spaces_than_expected_are_named(make: Callable[..., Any]) -> None:
    spaces = gymnasium.spaces
    with pytest.raises(SpaceMismatchError, match="action_space: .*Discrete.3.* the game has Discrete.2."):
        make(action_space=spaces.Discrete(3))
    expected = spaces.Dict({"a": spaces.Box(-1, 1, (2,))})
    with pytest.raises(SpaceMismatchError, match=r"observation_space\.a: .*inf"):
        make(agent="wrong", observation_space=expected)
    with pytest.raises(SpaceMismatchError, match=r"observation_space\.b is expected"):
        make(agent="wrong", observation_space=spaces.Dict({"b": expected["a"]}))
    make(observation_space=spaces.Box(-100, 100, (4,)), action_space=spaces.Discrete(2))


def test_wrong_actions_are_refused(make: Callable[..., Any]) -> None:
    env = make(agent="picture")
    env.reset()
    for action, given in (([1.0, 2.0], r"\(2,\)"), (1.0, r"\(\)"), ([[1.0]], r"\(1, 1\)")):
        with pytest.raises(ValueError, match=rf"^action must have the shape \(1,\), but has {given}$"):
            env.step(action)
    with pytest.raises(ValueError, match="^action must be of the type float32, but is <U1$"):
        env.step(["a"])
    env.step(np.zeros(1, np.float64))
    env = make(agent="echo")
    with pytest.raises(ValueError, match="dictionary"):
        env.step(1)
    with pytest.raises(GameError, match="before its first reset"):
        env.step(env.action_space.sample())
    env = make()
    env.reset()
    with pytest.raises(ValueError, match="type"):
        env.step(0.5)
    with pytest.raises(GameError, match="action_space: the value 2 is not from 0 to 1"):
        env.step(2)
    env.reset()


@pytest.mark.parametrize("settings", [{"n": 4}, {"n": 2, "num_games": 2}])
def test_wrong_actions_of_a_vector_are_named_with_its_shape(
    make: Callable[..., Any], settings: dict[str, int]
) -> None:
    envs = make(GodotVectorEnv, agent="picture", **settings)
    envs.reset()
    for shape in ((4, 2), (2, 1), (5, 1), (4,)):
        text = re.escape(f"actions must have the shape (4, 1), but has {shape}")
        with pytest.raises(ValueError, match=f"^{text}$"):
            envs.step(np.zeros(shape, np.float32))
    envs.close()
    envs = make(GodotVectorEnv, agent="echo", **settings)
    envs.reset()
    actions = dict(envs.action_space.sample())
    actions["f64"] = actions["f64"][:3]
    with pytest.raises(ValueError, match=re.escape("actions['f64'] must have the shape (4,), but has (3,)")):
        envs.step(actions)


def test_program_after_a_wrong_one_can_play(run_game: Callable[..., Running], name: str) -> None:
    run_game("agent=walker")
    for _ in range(2):
        with Game(join=name, timeout=20) as game:
            game.send_reset()
            game.receive()
            game.send_step(np.array([1]))
            game.receive()
            game.send_step(np.array([7]))
            with pytest.raises(GameError, match="the value 7"):
                game.receive()


def test_game_of_one_agent_is_needed_for_single_actions(make: Callable[..., Any]) -> None:
    game = make(Game, n=2)
    with pytest.raises(ValueError, match="must have one agent, but has 2"):
        game.send_action(1)
    with pytest.raises(ValueError, match="must have one agent, but has 2"):
        game.receive_one()


def test_script_error_is_a_warning(make: Callable[..., Any]) -> None:
    env = make(agent="faulty")
    env.reset()
    text = r"the game goes on: res://faulty\.gd:16: .*Nil.* \(in act\(\)\)$"
    with pytest.warns(GameScriptWarning, match=text) as seen:
        for _ in range(25):
            env.step(1)
            time.sleep(0.1)
    assert [pathlib.Path(warning.filename) for warning in seen] == [pathlib.Path(__file__)]
    # Only the first one is told.
    env.close()
    env = make(agent="faulty")
    env.reset()
    env.step(1)
    with pytest.warns(GameScriptWarning, match=r"res://faulty\.gd:16"):
        env.close()


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        (b"1\nSCRIPT ERROR: a\n   at: f (res://b.gd:3)\nmore", "res://b.gd:3: a (in f())"),
        (b"SCRIPT ERROR: a\r\nb\r\n   at: f (res://b (1).gd:3)\r\n", "res://b (1).gd:3: a\r\nb (in f())"),
        (b"\x1b[1;31mSCRIPT ERROR:\x1b[0m a\n  \x1b[90mat: f (b:3)\n\x1b[0m", "b:3: a (in f())"),
        (b"SCRIPT ERROR: Parse Error: a\n   at: GDScript::reload (b:3)\n", "b:3: Parse Error: a"),
        (b"SCRIPT ERROR: \xff\nat" + b" at: " * 2000, "\ufffd"),
        (b"SCRIPT ERROR: a\n   at: f (b:3)", None),
        (b"SCRIPT ERROR: " * 9 + b"(" * 9, None),
        (b"no error", None),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_script_error_is_found_in_any_output(printed: bytes, found: str | None, step: int) -> None:
    output = Output()
    for begin in range(0, len(printed), step):
        os.write(output.descriptor, printed[begin : begin + step])
        error = output.find_script_error()
    os.close(output.descriptor)
    assert (None if error is None else str(error)) == found
    assert output.get_tail().endswith(printed.decode(errors="replace").strip()[-4000:].strip())
    output.close()
    assert output.find_script_error() == error
    assert output.get_tail() == ""


@pytest.mark.parametrize("fault", [5, 7])
def test_script_error_is_part_of_the_error(make: Callable[..., Any], fault: int) -> None:
    env = make(agent="faulty", timeout=2)
    env.reset()
    text = r"(?s)^the game has .*\nThe first error of a script: res://faulty\.gd:27: .*Nil.* \(in fail\(\)\)"
    with pytest.raises(GameError, match=text):
        for _ in range(3):
            env.step(fault)


def test_parse_error_is_the_headline(make: Callable[..., Any]) -> None:
    line = r"res://broken\.gd:7: Parse Error: .*pas"
    error = pytest.raises(GameTimeoutError, match=rf"^{line}.*\nSo the game was not ready")
    with pytest.warns(GameScriptWarning, match=line), error:
        make(agent="broken", start_timeout=5)


@pytest.mark.parametrize("fault", [2, 3, 4])
def test_gym_that_leaves_the_tree_says_so(make: Callable[..., Any], fault: int) -> None:
    env = make(agent="faulty")
    env.reset()
    with pytest.raises(GameError, match=r"^(the gym|the agent Agent0) has left the tree"):
        for _ in range(3):
            env.step(fault)
    env.reset()
    with pytest.raises(GameError, match="^the gym has left the tree"):
        env.reset(options={"scene": "res://main.tscn"})
    env.reset()
    env.step(0)


def test_joined_game_goes_on_after_a_change_of_scene(run_game: Callable[..., Running], name: str) -> None:
    game = run_game("agent=faulty")
    for _ in range(2):
        with Game(join=name, timeout=20) as joined:
            joined.send_reset()
            joined.receive()
            joined.send_step(np.array([2]))
            with pytest.raises(GameError, match="the gym has left the tree"):
                joined.receive()
    assert game.process.poll() is None


def test_script_that_extends_the_gym_may_override_the_methods_of_a_node(make: Callable[..., Any]) -> None:
    env = make(gym="res://own_gym.gd")
    env.reset()
    env.step(1)


def test_second_game_of_a_name_names_the_first(run_game: Callable[..., Running], name: str) -> None:
    first = run_game("agent=walker")
    assert eventually(lambda: gsm.SharedMemory.exists(name), 20)
    second = run_game("agent=walker")
    assert second.process.stdout is not None
    limit = threading.Timer(30, second.process.kill)
    limit.start()
    line = next((line for line in second.process.stdout if b"SharedMemoryGym: " in line), b"").decode()
    limit.cancel()
    limit.join()
    assert f"another game, the process {first.process.pid}, has the name {name}" in line
    with Game(join=name, timeout=20) as game:
        game.send_reset()
        game.receive()
    first.end(name)
    # The second one takes its place.
    with Game(join=name, timeout=20) as game:
        game.send_reset()
        game.receive()


def test_second_program_of_a_game_is_told(run_game: Callable[..., Running], name: str) -> None:
    running = run_game("agent=walker")
    with Game(join=name, timeout=20) as game:
        text = f"another program plays the game under the name {name}"
        if sys.platform == "linux":
            text += rf" \(processes .*\b{running.process.pid}\b"
        with pytest.raises(GameError, match=text):
            Game(join=name)
        game.send_reset()
        game.receive()


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (1, r"Agent0: observation_space\.a: observe\(\) must return 2 elements, but returned 1"),
        (2, r"Agent0: observation_space\.a: observe\(\) has no value a"),
        (3, r"Agent0: observation_space\.a: observe\(\) must return PackedFloat32Array, but returned String"),
        (4, r"Agent0: judge\(\) must return \[reward, terminated\]"),
        (5, "the agent Agent0 has left the tree"),
        (6, "the game has paused the tree"),
        (7, "ended with the exit code 3"),
    ],
)
def test_faults_of_agents_are_named(make: Callable[..., Any], fault: int, text: str) -> None:
    env = make(agent="wrong")
    env.reset()
    with pytest.raises(GameError, match=text):
        for _ in range(3):
            env.step(fault)


def test_game_without_agents_says_so(make: Callable[..., Any]) -> None:
    begin = time.monotonic()
    with pytest.raises(GameError, match="no node below Gym is in the group gym_agents"):
        make(n=0)
    assert time.monotonic() - begin < 20
    with pytest.raises(GameError, match="2 agents, but GodotEnv needs one"):
        make(n=2)


@pytest.mark.parametrize(
    ("agent", "text"),
    [
        ("typed", r"Agent0: act\(\) takes int, but action_space gives PackedFloat32Array"),
        ("short", r"Agent0: reset\(\) takes 0 arguments, but gets 1"),
    ],
)
def test_methods_that_can_not_be_called_are_named(make: Callable[..., Any], agent: str, text: str) -> None:
    with pytest.raises(GameError, match=text):
        make(agent=agent)


def test_arguments_are_checked(project: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Game()
    with pytest.raises(ValueError, match="exactly one"):
        Game(project=project, join="x")
    with pytest.raises(ValueError, match=r"project\.godot"):
        Game(project=tmp_path)
    (tmp_path / "project.godot").write_text(PROJECT)
    addon = re.escape(os.fspath(tmp_path / "addons" / "shared_memory"))
    with pytest.raises(ValueError, match=f"project has no addon: there is no {addon}"):
        Game(project=tmp_path, godot="/no/such/godot")
    for argument in ({"num_games": 2}, {"autoreset_mode": "NextStep"}):
        with pytest.raises(TypeError, match=f"{next(iter(argument))} is an argument of GodotVectorEnv"):
            GodotEnv(project=project, **argument)
    with pytest.raises(ValueError, match="fixed_fps"):
        Game(project=project, fixed_fps=0)
    with pytest.raises(ValueError, match="timeout"):
        Game(project=project, timeout=0)
    with pytest.raises(ValueError, match="render_mode"):
        GodotEnv(project=project, render_mode="ansi")
    with pytest.raises(GameEndedError, match="was not found"):
        Game(project=project, godot="/no/such/godot")
    with pytest.raises(GameEndedError, match="can't start"):
        Game(executable=tmp_path / "missing")
    with pytest.raises(GameEndedError, match="ended before it was ready"):
        Game(executable=shutil.which("true"))


def test_joined_game_goes_on(run_game: Callable[..., Running], name: str) -> None:
    game = run_game("agent=walker")
    for _ in range(3):
        env = GodotEnv(join=name, timeout=20)
        assert env.game.pid is None
        env.reset(seed=1)
        env.step(1)
        env.close()
    assert game.process.poll() is None
    with pytest.raises(GameTimeoutError, match="no game has come"):
        GodotEnv(join=name + "x", start_timeout=0.2)


@pytest.mark.parametrize("mode", [1, 2])
def test_player_or_script_acts_without_a_program(
    run_game: Callable[..., Running], name: str, mode: int
) -> None:
    game = run_game("agent=walker", f"mode={mode}")
    seen = []
    for _ in range(2):
        with Game(join=name, timeout=20) as joined:
            joined.send_reset([False])
            seen.append(float(joined.receive().observations[0, 2]))
            joined.send_reset()
            joined.receive()
            for count in range(1, 4):
                joined.send_step(np.array([0]))
                # The player has no part in the steps of the program.
                assert joined.receive().observations[0, 2] == count
        time.sleep(0.3)
    assert game.process.poll() is None
    assert max(seen) > 0


def test_game_without_the_library_goes_on_by_its_script(
    project: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "game"
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns("bin"))
    source = AGENTS["walker"].replace("others += 1", 'print("acts")')
    (folder / "walker.gd").write_text(source)
    assert GODOT is not None
    command = [GODOT, "--headless", "--fixed-fps", "60", "--path", os.fspath(folder), "--quit-after", "20"]
    command += ["--", "agent=walker", "mode=2", "name=any"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("acts") > 10
    assert done.stderr.count("the library of the addon is missing") == 1


class FakeGame:
    """A program that answers as a game, with any values."""

    def __init__(self, name: str, *answers: Any) -> None:
        self.peer = gsm.Peer(name, 1 << 22)
        self.answers = answers
        self.thread = threading.Thread(target=self.answer)
        self.thread.start()

    def answer(self) -> None:
        with contextlib.suppress(gsm.Error):
            for answer in self.answers:
                self.peer.receive(10)
                for value in answer if isinstance(answer, tuple) else (answer,):
                    self.peer.send(value, 10)

    def close(self) -> None:
        self.peer.close()
        self.thread.join()


BOX = {"type": "box", "shape": [2], "low": -1.0, "high": 1.0, "dtype": "float32"}
GOOD = {
    "gym": 1,
    "agents": ["A"],
    "observation_space": BOX,
    "action_space": {"type": "discrete", "n": 2, "start": 0},
    "steps_per_action": 1,
    "steps_after_reset": 0,
    "max_episode_steps": 0,
    "physics_ticks_per_second": 60,
}


def with_box(**changes: Any) -> dict[str, Any]:
    return {"observation_space": {**BOX, **changes}}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"gym": 2}, "version 2"),
        ({"gym": None}, "version None"),
        ({"agents": []}, "agents"),
        ({"agents": [1]}, "agents"),
        ({"agents": "A"}, "agents"),
        ({"agents": ["A"] * 70000}, "agents"),
        ({"steps_per_action": 0}, "steps_per_action"),
        ({"steps_per_action": True}, "steps_per_action"),
        ({"physics_ticks_per_second": "60"}, "physics_ticks_per_second"),
        ({"action_space": {"type": "discrete", "n": 0, "start": 0}}, "action_space: n"),
        ({"action_space": {"type": "discrete", "n": 2, "start": (1 << 63) - 1}}, "action_space: start"),
        ({"action_space": {"type": "multi_discrete", "nvec": []}}, "nvec"),
        ({"action_space": {"type": "multi_discrete", "nvec": [3, -1]}}, "nvec"),
        ({"action_space": {"type": "multi_binary", "n": 1 << 40}}, "action_space: n"),
        ({"action_space": {"type": "text"}}, "unknown type 'text'"),
        ({"action_space": 5}, "action_space"),
        ({"action_space": {"type": "dict", "spaces": {}}}, "dict"),
        ({"action_space": {"type": "dict", "spaces": {1: BOX}}}, "not a text"),
        (
            {"action_space": {"type": "dict", "spaces": {"x": {"type": "dict", "spaces": {}}}}},
            r"action_space\.x",
        ),
        (with_box(shape=[0]), "shape"),
        (with_box(shape=[1 << 29, 1 << 29]), "shape"),
        (with_box(shape=[1] * 40), "shape"),
        (with_box(shape=["2"]), "shape"),
        (with_box(shape=[1 << 20, 1 << 10]), "room"),
        (with_box(shape=[1 << 20]), "room"),
        (with_box(dtype="object"), "dtype"),
        (with_box(dtype=["float32"]), "dtype"),
        (with_box(low=float("nan")), "low"),
        (with_box(low=2.0), "greater"),
        (with_box(high=[1.0, 2.0, 3.0]), "high has 3 numbers"),
        (with_box(high="1"), "high"),
        (with_box(dtype="uint8", low=-1, high=1), "low is -1"),
    ],
)
def test_hostile_descriptions_are_refused(name: str, changes: dict[str, Any], text: str) -> None:
    game = FakeGame(name, {**GOOD, **changes})
    with pytest.raises(GameError, match=text):
        Game(join=name, start_timeout=5, timeout=5)
    game.close()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (5, "int"),
        ("no", "no"),
        (b"", "bytes"),
        (b"x" * 9, "ended|left"),
        ((b"\1\0\0\0\1\0\0\0", b""), "an answer has"),
        (b"\1\0\0\0\1\0\0\0" + bytes(99), "an answer has"),
        ({1: 2}, "ended|left"),
        (({1: 2}, b"\1\0\0\0\1\0\0\0" + bytes(24)), "infos"),
        (({"a": {}}, b"\1\0\0\0\1\0\0\0" + bytes(24)), "infos"),
    ],
)
def test_hostile_answers_are_refused(name: str, answer: Any, text: str) -> None:
    game = FakeGame(name, GOOD, answer)
    joined = Game(join=name, start_timeout=5, timeout=5)
    joined.send_reset()
    closing = threading.Timer(0.3, game.close)
    closing.start()
    with pytest.raises(GameError, match=text):
        joined.receive()
    assert joined.is_closed
    closing.join()


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([5], "doesn't use a gym"),
        ([{"gym": 9}], "version 9"),
        ([{"gym": 1}, 5], "neither bytes nor options"),
        ([{"gym": 1}, b"1"], "neither bytes nor options"),
        ([{"gym": 1}, bytes(8)], "unknown kind 0"),
        ([{"gym": 1}, b"\1\0\0\0\0\0\0\0"], "actions have"),
        ([{"gym": 1}, b"\2\0\0\0\0\0\0\0" + bytes(100)], "a reset has"),
        ([{"gym": 1}, b"\1\0\0\0\0\0\0\0" + bytes(16)], "before its first reset"),
        ([{"gym": 1}, b"\3\0\0\0\0\0\0\0"], "no pictures"),
    ],
)
def test_game_sends_hostile_programs_away(hostile_target: str, messages: list[Any], text: str) -> None:
    def connect() -> gsm.Peer:
        assert eventually(lambda: gsm.SharedMemory.exists(hostile_target), 20)
        return gsm.Peer(hostile_target, 4096)

    with connect() as peer:
        peer.wait_connected(20)
        for message in messages:
            peer.send(message, 10)
        while not isinstance(said := peer.receive(10), str):
            assert isinstance(said, dict)
        assert text in said
        with pytest.raises(gsm.ConnectionError):
            peer.receive(10)
    with Game(join=hostile_target, timeout=20) as game:
        game.send_reset()
        game.receive()


@pytest.fixture(scope="module")
def hostile_target(project: pathlib.Path) -> Iterator[str]:
    """Returns the name of a game that must survive."""
    name = gsm.generate_name("pytest")
    game = Running(project, "agent=walker", f"name={name}")
    yield name
    assert game.process.poll() is None
    game.end(name)


def test_answer_after_an_interruption_is_not_taken_for_the_next(make: Callable[..., Any]) -> None:
    game = make(Game)
    game.send_reset(seeds=[1])
    game.receive()
    game.send_step(np.array([1]))  # Ctrl+C comes before receive().
    game.send_reset(seeds=[1])
    assert game.receive().observations[0, 2] == 0


def test_project_that_was_opened_before_the_addon_came_is_imported(
    project: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "game"
    shutil.copytree(project, folder)
    (folder / ".godot/extension_list.cfg").unlink()
    (folder / ".godot/global_script_class_cache.cfg").write_text("list=[]\n")
    with Game(project=folder, arguments=["agent=walker"]) as game:
        assert game.agents == ("Agent0",)


GUIDE = pathlib.Path(__file__).parents[3] / "docs/GYM.md"


def test_guide_runs_as_it_stands_there(tmp_path: pathlib.Path, run: Callable[..., str]) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    (agent,) = re.findall(r"```gdscript\n(.*?)```", text, re.DOTALL)
    (tmp_path / "project.godot").write_text(PROJECT)
    (tmp_path / "agent.gd").write_text(agent)
    scene = (
        "[gd_scene load_steps=3 format=3]\n"
        '[ext_resource type="Script" path="res://agent.gd" id="1"]\n'
        '[ext_resource type="Script" path="res://addons/shared_memory/shared_memory_gym.gd" id="2"]\n'
        '[node name="Main" type="Node"]\n'
        '[node name="Gym" type="Node" parent="."]\nscript = ExtResource("2")\nmax_episode_steps = 500\n'
        '[node name="Ship" type="Node2D" parent="Gym" groups=["gym_agents"]]\nscript = ExtResource("1")\n'
    )
    (tmp_path / "main.tscn").write_text(scene)
    shutil.copytree(ADDON, tmp_path / "addons/shared_memory")
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(programs) == 2
    printed = []
    for program in programs:
        source = program.replace('"path/to/the/project"', repr(os.fspath(tmp_path)))
        printed.append(run(source.replace('"path/to/godot"', repr(GODOT))))
    assert float(printed[0].split()[-1]) > 0.5
    assert printed[1] == "4 environments\n"
