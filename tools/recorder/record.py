#!/usr/bin/env python3
"""Records a demo for ./build.sh pictures: its Python code and output on the left, and the game on the right.

Runs Godot in a window under Xvfb, where record.gd saves the frames, and the partner beside it.
"""

import argparse
import contextlib
import io
import keyword
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import threading
import tokenize
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo"
RECORDER = pathlib.Path(__file__).with_name("record.gd")


class Picture(NamedTuple):
    """A demo to record."""

    scene: str
    partner: str
    # The code that is shown: from the line that begins with the first text to the one that has the last.
    first: str
    last: str
    # True if the scene waits for its partner in each frame. Then time passes as if the machine were fast.
    in_step: bool = False


PICTURES = {"water": Picture("water", "water.py", "def wave", "game.send(now)", in_step=True)}

RATE = 20
SECONDS = 6
# Of the scene, before the first frame that is saved: both sides have met, and something is to be seen.
SKIPPED_SECONDS = 12
# Of the whole recording. The machine may be busy, and draw in software.
TIME_LIMIT = 300
MARK = "##frame## "

WIDTH, HEIGHT = 960, 460
GAP, MARGIN, BAR, RADIUS = 12, 14, 30, 10
CODE_WIDTH = 446
GAME_WIDTH = WIDTH - CODE_WIDTH - GAP
# Pixels of a letter, and from line to line.
FONT, LINE, SMALL, SMALL_LINE = 13, 19, 12, 17
TERMINAL_LINES = 5

PAGE, PANEL, TOP, EDGE = "#0d1117", "#161b22", "#21262d", "#30363d"
TEXT, DIM, GREEN = "#e6edf3", "#8b949e", "#7ee787"
COLORS = {"keyword": "#ff7b72", "string": "#a5d6ff", "number": "#79c0ff", "comment": DIM, "name": "#d2a8ff"}
QUALITY = 62
FONTS = ("usr/share/fonts/truetype/dejavu", "root/usr/share/fonts/truetype/dejavu")


def record(picture, godot, python, folder):
    """Runs both sides. Returns the lines of Python by the number of the frame before which they came."""
    lines, last = [], [-1]
    with contextlib.ExitStack() as stack:
        display = stack.enter_context(screen())
        partner = stack.enter_context(started(python, "-u", DEMO / "python" / picture.partner))

        def listen():
            lines.extend((last[0] + 1, line.rstrip()) for line in partner.stdout)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        options = ["--rendering-driver", "opengl3", "--audio-driver", "Dummy"]
        options += ["--resolution", f"{GAME_WIDTH}x{HEIGHT - BAR}"]
        options += ["--fixed-fps", RATE] if picture.in_step else ["--max-fps", 60]
        scene = f"res://{picture.scene}/{picture.scene}.tscn"
        words = [scene, folder, RATE, RATE * SECONDS, RATE * SKIPPED_SECONDS]
        command = [godot, "--path", DEMO, *options, "-s", RECORDER, "--", *words]
        game = stack.enter_context(started(*command, env={**os.environ, "DISPLAY": display}))
        timer = threading.Timer(TIME_LIMIT, game.kill)
        timer.start()
        stack.callback(timer.cancel)
        for line in game.stdout:
            if line.startswith(MARK):
                last[0] = int(line.removeprefix(MARK))
        if game.wait() != 0:
            sys.exit(f"record.py: Godot ended with exit code {game.returncode}")
    listener.join(5)
    return lines


@contextlib.contextmanager
def screen():
    options = ["-displayfd", "1", "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-nolisten", "tcp"]
    with started("Xvfb", *options, stderr=subprocess.DEVNULL) as server:
        number = next((line for line in server.stdout if line.strip().isdigit()), None)
        if number is None:
            sys.exit("record.py: Xvfb doesn't start")
        yield f":{number.strip()}"


@contextlib.contextmanager
def started(*command, **options):
    """Runs a program for the time of the block, and then ends it as Ctrl+C does."""
    command = [str(part) for part in command]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, **options)
    try:
        yield program
    finally:
        program.send_signal(2)
        try:
            program.wait(10)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
        program.stdout.close()


def code_of(picture):
    """Returns the code that is shown, as lines of parts: a colour and a text."""
    lines = (DEMO / "python" / picture.partner).read_text(encoding="utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(picture.first)]
    ends = [number for number, line in enumerate(lines) if picture.last in line]
    if not starts or not ends:
        sys.exit(f"record.py: {picture.partner} has no {picture.first!r} or no {picture.last!r}")
    start = starts[0]
    end = next((number for number in ends if number >= start), start)
    shown = [line for line in lines[start : end + 1] if not line.lstrip().startswith('"""')]
    # Two empty lines take the place of one that says something.
    text = "\n".join(shown).replace("\n\n\n", "\n\n")
    return [*colored(textwrap.dedent(text))]


def colored(text):
    rows = [[(TEXT, letter) for letter in line] for line in text.splitlines()]
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            color = color_of(token)
            if color and token.start[0] == token.end[0]:
                for column in range(token.start[1], token.end[1]):
                    rows[token.start[0] - 1][column] = (color, token.string[column - token.start[1]])
    except (tokenize.TokenError, IndentationError):
        # A part of a file may end within a bracket. All before that has its colours.
        pass
    return rows


def color_of(token):
    kinds = {tokenize.STRING: "string", tokenize.NUMBER: "number", tokenize.COMMENT: "comment"}
    kind = kinds.get(token.type)
    if token.type == tokenize.NAME:
        kind = "keyword" if keyword.iskeyword(token.string) else None
        following = token.line[token.end[1] :]
        kind = "name" if kind is None and following.startswith("(") else kind
    return COLORS.get(kind)


class Canvas:
    """Draws the frames of the recording: all but the game and the terminal stays the same."""

    def __init__(self, picture, fonts):
        self.font = ImageFont.truetype(str(fonts / "DejaVuSansMono.ttf"), FONT)
        self.small = ImageFont.truetype(str(fonts / "DejaVuSansMono.ttf"), SMALL)
        self.bold = ImageFont.truetype(str(fonts / "DejaVuSansMono-Bold.ttf"), SMALL)
        self.partner = picture.partner
        self.page = Image.new("RGB", (WIDTH, HEIGHT), PAGE)
        self.terminal_top = HEIGHT - MARGIN - (TERMINAL_LINES + 1) * SMALL_LINE
        self._window(0, CODE_WIDTH, f"{picture.partner} – Python")
        self._window(CODE_WIDTH + GAP, GAME_WIDTH, f"{picture.scene}.tscn – Godot")
        draw = ImageDraw.Draw(self.page)
        width = self.font.getlength(" ")
        for row, parts in enumerate(code_of(picture)):
            for column, (color, letter) in enumerate(parts):
                place = (MARGIN + column * width, BAR + MARGIN - 4 + row * LINE)
                draw.text(place, letter, fill=color, font=self.font)
        draw.line([(1, self.terminal_top - 9), (CODE_WIDTH - 2, self.terminal_top - 9)], fill=EDGE)
        corners = Image.new("L", (GAME_WIDTH - 2, HEIGHT - BAR - 1), 255)
        self.game_mask = self._rounded_below(corners)

    def _window(self, left, width, title):
        draw = ImageDraw.Draw(self.page)
        box = (left, 0, left + width - 1, HEIGHT - 1)
        draw.rounded_rectangle(box, RADIUS, fill=PANEL, outline=EDGE)
        draw.rounded_rectangle((left, 0, box[2], BAR + RADIUS), RADIUS, fill=TOP, outline=EDGE)
        draw.rectangle((left + 1, BAR, box[2] - 1, BAR + RADIUS), fill=PANEL)
        for number, color in enumerate(("#ff5f57", "#febc2e", "#28c840")):
            x = left + 18 + number * 18
            draw.ellipse((x - 5, BAR // 2 - 5, x + 5, BAR // 2 + 5), fill=color)
        place = (left + width / 2, BAR / 2)
        draw.text(place, title, fill=TEXT, font=self.bold, anchor="mm")

    @staticmethod
    def _rounded_below(mask):
        width, height = mask.size
        mask.paste(0, (0, 0, width, height))
        draw = ImageDraw.Draw(mask)
        draw.rounded_rectangle((0, -RADIUS, width - 1, height - 1), RADIUS, fill=255)
        return mask

    def frame(self, game, lines):
        page = self.page.copy()
        game = game.convert("RGB").resize(self.game_mask.size)
        page.paste(game, (CODE_WIDTH + GAP + 1, BAR), self.game_mask)
        draw = ImageDraw.Draw(page)
        y = self.terminal_top
        draw.text((MARGIN, y), "$", fill=GREEN, font=self.bold)
        draw.text((MARGIN + 16, y), f"python3 {self.partner}", fill=TEXT, font=self.small)
        for line in lines[-TERMINAL_LINES:]:
            y += SMALL_LINE
            draw.text((MARGIN, y), line, fill=DIM if line is not lines[-1] else TEXT, font=self.small)
        return page


def find_fonts(godot):
    """Returns the folder of DejaVu's fonts, of the system or beside a Godot that build.sh has fetched."""
    for start in (pathlib.Path("/"), pathlib.Path(godot).parents[1]):
        for folder in FONTS:
            if (start / folder / "DejaVuSansMono.ttf").exists():
                return start / folder
    sys.exit("record.py: the fonts of DejaVu are needed: apt install fonts-dejavu-core")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--godot", required=True)
    parser.add_argument("--python", required=True, help="the Python of the partner")
    parser.add_argument("name", choices=PICTURES)
    parser.add_argument("file", type=pathlib.Path, help="the picture to make, as WebP")
    options = parser.parse_args()

    picture = PICTURES[options.name]
    canvas = Canvas(picture, find_fonts(options.godot))
    with tempfile.TemporaryDirectory() as folder:
        told = record(picture, options.godot, options.python, folder)
        frames = []
        for number, file in enumerate(sorted(pathlib.Path(folder).glob("*.png"))):
            with Image.open(file) as game:
                frames.append(canvas.frame(game, [line for before, line in told if before <= number]))
    if len(frames) != RATE * SECONDS:
        sys.exit(f"record.py: {len(frames)} frames were saved, not {RATE * SECONDS}")
    options.file.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(
        options.file,
        save_all=True,
        append_images=frames[1:],
        duration=1000 // RATE,
        loop=0,
        quality=QUALITY,
        method=4,
    )


if __name__ == "__main__":
    main()
