"""The demo rl: a program learns to play the game, and people and scripts play it by the same code."""

import re

import pytest
from harness import projects
from harness.demos import DEMO, PACKAGE, after, needs_package, run_demo
from harness.marks import linux_only, same_for_every_user
from harness.session import file_of

pytestmark = [linux_only, same_for_every_user]

RETURN = re.compile(r"generation +(\d+) .* mean return +(\S+) of")
# Plays the scene without a program: at first as a script, then by hand, with the arrow key to the right.
BY_HAND = """
extends Node

func _ready() -> void:
	get_window().process_mode = PROCESS_MODE_ALWAYS
	var game: Node3D = load("res://rl/rl.tscn").instantiate()
	add_child(game)
	await get_tree().create_timer(1.0).timeout
	var plate: Node3D = game.get_node("Gym/Plate1")
	print("the script has ", plate.reward > 0.3)
	press(KEY_S)
	press(KEY_RIGHT)
	await get_tree().create_timer(0.5).timeout
	print("the right side is down: ", (plate.get_node("Top") as Node3D).rotation_degrees.z < -10)
	get_tree().quit()

func press(key: Key) -> void:
	var event := InputEventKey.new()
	event.keycode = key
	event.physical_keycode = key
	event.pressed = true
	Input.parse_input_event(event)
"""


@pytest.fixture(autouse=True)
def no_name_left(cleanup):
    for name in ("godot_rl_demo", "godot_rl_demo-game", "godot_rl_progress"):
        cleanup.callback(file_of(name).unlink, missing_ok=True)


@needs_package
def test_demo_rl_is_solved(session):
    said = run_demo(session, "rl")
    means = returns(said)
    assert len(means) <= 25
    assert means[-1] >= 170 > means[0]
    assert after(said, "Python played 16 new episodes"), said
    # With more games, the same is learnt. Three generations don't solve the game.
    options = ["--generations", "3", "--games", "2", "--godot", session.godot]
    code, lines = session.run([PACKAGE, "-u", DEMO / "rl/train.py", *options], 60)
    assert code == 1, lines
    assert projects.errors_in(lines) == []
    assert returns(lines) == means[:3]


def test_demo_rl_is_played_by_hand_and_by_script(session):
    script = session.folder / "by_hand.gd"
    script.write_text(BY_HAND)
    scene = session.folder / "by_hand.tscn"
    scene.write_text(
        f'[gd_scene format=3]\n[ext_resource type="Script" path="{script}" id="1"]\n'
        '[node name="ByHand" type="Node"]\nscript = ExtResource("1")\n'
    )
    options = ["--headless", "--fixed-fps", "60", "--path", DEMO]
    code, lines = session.run([session.godot, *options, scene], 30)
    assert code == 0, lines
    assert projects.errors_in(lines) == []
    assert "the script has true" in lines, lines
    assert "the right side is down: true" in lines, lines


def returns(lines):
    """Returns the mean return of each generation."""
    return [float(match[2]) for match in map(RETURN.match, lines) if match]
