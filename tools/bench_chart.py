"""The chart of the README, as SVG, from what is in target/bench.json.

On a light card of its own: a README is shown on white and on black.
"""

import math
from html import escape

from bench_report import size_text, time

WIDTH, HEIGHT = 920, 560
INK, MUTED, LINES = "#1f2328", "#59636e", "#d8dee4"
OURS = "#0072b2"

# As in round_trips.gd.
TRANSPORTS = {
    "this addon": OURS,
    "StreamPeerUDS": "#6e7781",
    "StreamPeerTCP": "#6e7781",
    "OS pipe": "#6e7781",
}

# As in copies.gd: direction, name there, text, colour, dashes.
CURVES = (
    ("write", "write", "write()", OURS, ""),
    ("read", "read_into", "read_into()", "#009e73", ""),
    ("read", "read", "read()", "#56b4e9", ""),
    ("write", "FileAccess, /dev/shm", "FileAccess, writing", "#d55e00", ""),
    ("read", "FileAccess, /dev/shm", "FileAccess, reading", "#e69f00", ""),
    ("write", "memcpy (StreamPeerBuffer.put_data)", "memcpy", INK, "2 4"),
)


def draw(results):
    machine = results["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}"
    versions = (
        f"{machine['date']} · Godot {machine['godot']} · Python {machine['python']} · "
        f"rustc {machine['rustc']} · commit {machine['commit']}"
    )
    parts = [
        f'<rect x="1" y="1" width="{WIDTH - 2}" height="{HEIGHT - 2}" rx="10" '
        f'fill="#ffffff" stroke="{LINES}"/>',
        text(28, 38, "Godot Shared Memory: ./build.sh bench", size=19, weight=600),
        text(28, 60, where, MUTED),
        text(28, 78, versions, MUTED),
        *trips(results["round_trips_us"]),
        *bandwidth(results["copies_ns"]),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">\n'
        "<title>Round trips between Godot and Python, and copies in Godot</title>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def text(x, y, words, fill=INK, size=12, anchor="start", weight=400):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
        f'fill="{fill}" text-anchor="{anchor}">{escape(words)}</text>'
    )


def line(x1, y1, x2, y2):
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{LINES}"/>'


def scale(values, start, end):
    """Returns a function from a value to its place, by its logarithm, and the powers of ten."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def place(value):
        return start + (math.log10(value) - low) / (high - low) * (end - start)

    return place, [10.0**n for n in range(low, high + 1)]


def trips(transports):
    left, right, top, bottom = 138, 400, 148, 500
    sizes = [s for s in next(iter(transports.values())) if int(s) in (64, 1 << 20)]
    shown = [t for t in TRANSPORTS if t in transports]
    times = [transports[t][s][what] * 1e3 for t in shown for s in sizes for what in ("median", "p99")]
    place, ticks = scale(times, left, right)
    yield text(28, 112, "Round trip Godot → Python → Godot", size=15, weight=600)
    yield text(28, 130, "dot, number: median; tick: 99 of 100 are faster; log scale", MUTED)
    for tick in ticks:
        yield line(place(tick), top, place(tick), bottom)
        yield text(place(tick), bottom + 18, time(tick), MUTED, 11, "middle")
    step = (bottom - top) / (len(sizes) * (len(shown) + 1))
    y = top
    for size in sizes:
        yield text(28, y + step * 0.7, size_text(size), weight=600)
        y += step
        for name in shown:
            found = transports[name][size]
            end, far = place(found["median"] * 1e3), place(found["p99"] * 1e3)
            middle = y + step / 2
            yield text(left - 8, middle + 4, name, anchor="end")
            colour = TRANSPORTS[name]
            yield (
                f'<path d="M{end:.1f} {middle:.1f}H{far:.1f}m0 -6v12" stroke="{colour}" '
                'stroke-width="2" fill="none"/>'
            )
            yield f'<circle cx="{end:.1f}" cy="{middle:.1f}" r="6" fill="{colour}"/>'
            words = f"{time(found['median'] * 1e3)}"
            yield text(far + 8, middle + 4, words, weight=600 if colour == OURS else 400)
            y += step


def bandwidth(directions):
    left, right, top, bottom = 530, 870, 148, 410
    sizes = list(directions["write"])
    curves = {
        label: [float(s) / directions[way][s][name] for s in sizes] for way, name, label, _, _ in CURVES
    }
    first, last = math.log(float(sizes[0])), math.log(float(sizes[-1]))

    def x(size):
        return left + (math.log(float(size)) - first) / (last - first) * (right - left)

    y, ticks = scale([v for curve in curves.values() for v in curve], bottom, top)
    yield text(478, 112, "Copies in Godot, GB/s", size=15, weight=600)
    yield text(478, 130, "by size of the copy; log scales, higher is better", MUTED)
    for tick in ticks:
        yield line(left, y(tick), right, y(tick))
        yield text(left - 8, y(tick) + 4, f"{tick:g}", MUTED, 11, "end")
    for size in sizes:
        yield text(x(size), bottom + 18, size_text(size), MUTED, 11, "middle")
    for index, (_, _, label, colour, dashes) in enumerate(CURVES):
        points = [f"{x(s):.1f} {y(v):.1f}" for s, v in zip(sizes, curves[label])]
        stroke = f'stroke="{colour}" stroke-width="2.5" fill="none"'
        if dashes:
            stroke += f' stroke-dasharray="{dashes}"'
        yield f'<path d="M{"L".join(points)}" {stroke}/>'
        at, height = left + index % 2 * 180, bottom + 46 + index // 2 * 22
        yield f'<path d="M{at} {height - 4}h24" {stroke}/>'
        yield text(at + 32, height, label)
