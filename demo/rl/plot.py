"""The progress of the learner: a bar and a plot in the terminal, and a stream for the game's window."""

import godot_shared_memory as gsm
import learn
import numpy

# demo/rl/rl.gd shows what is published there.
NAME = "godot_rl_progress"
BARS = " ▁▂▃▄▅▆▇█"
WIDTH, HEIGHT = 60, 8


class Plot:
    def __init__(self, file):
        self.file = file
        self.stream = None

    def __enter__(self):
        try:
            self.stream = gsm.Stream.create(NAME, 1 << 16)
        except gsm.Error as error:
            print(f"The game's window won't show the plot: {error}", file=self.file)
        return self

    def __exit__(self, *_exception):
        if self.stream is not None:
            self.stream.close()

    def show(self, progress):
        """Shows a generation: a line that the next one replaces, or one of many where nobody looks on."""
        mean = progress.means[-1]
        done = min(1.0, max(0.0, mean / learn.SOLVED))
        bar = "█" * round(20 * done) + "░" * round(20 * (1 - done))
        text = (
            f"generation {len(progress.means):3} {bar} mean return {mean:5.1f} of {learn.SOLVED:.0f}, "
            f"{progress.episodes} episodes in {progress.seconds:.0f} s"
        )
        if self.file.isatty():
            self.file.write(f"\r{text}\033[K")
        else:
            self.file.write(f"{text}\n")
        self.file.flush()
        if self.stream is not None:
            numbers = {
                key: getattr(progress, key) for key in ("means", "lows", "highs")
            }
            packed = {
                key: numpy.array(values, numpy.float32)
                for key, values in numbers.items()
            }
            self.stream.write({**packed, "solved": learn.SOLVED})

    def end(self, progress):
        """Shows the whole course, and the result."""
        if self.file.isatty():
            self.file.write("\n")
        self.file.writelines(f"{line}\n" for line in draw(progress.means))
        result = "Solved" if progress.solved else "Not solved"
        print(
            f"{result} after {len(progress.means)} generations, {progress.episodes} episodes and "
            f"{progress.seconds:.1f} s: the mean return is {progress.means[-1]:.1f}",
            file=self.file,
            flush=True,
        )


def draw(means):
    """Yields the lines of a plot: a column per generation, from 0 to a perfect return."""
    shown = means[-WIDTH:]
    for row in reversed(range(HEIGHT)):
        label = f"{(row + 1) * learn.EPISODE / HEIGHT:4.0f} │"
        heights = (mean / learn.EPISODE * HEIGHT - row for mean in shown)
        yield label + "".join(
            BARS[round(8 * min(1.0, max(0.0, height)))] for height in heights
        )
    yield "   0 └" + "─" * len(shown)
