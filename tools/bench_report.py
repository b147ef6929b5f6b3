"""The table that ./build.sh bench prints, from what is in target/bench.json."""

# The figures of a call, as call_times of bench_measure.py names them.
CALL_COLUMNS = ("ns", "multiple")


def table(results):
    lines = [heading(results["machine"])]
    if "calls" in results:
        lines += [
            *calls(results),
            *copies(results["copies_ns"]),
            *trips(results["round_trips_us"]),
            *structs(results["structs_ns"]),
            *waits(results["waits"]),
            *native(results["native"]),
            *lockstep(results["lockstep"]),
            *objects(results),
            *rust(results["rust_ns"]),
            *library(results),
        ]
    if "python" in results:
        lines += python(results["python"])
    return "\n".join(lines)


def heading(machine):
    return (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, load {machine['load']}\n"
        f"{machine['date']}, Godot {machine['godot']}, Python {machine['python']}, "
        f"rustc {machine['rustc']}, commit {machine['commit']}"
    )


def rows(title, columns, lines):
    """Yields the lines of a table. The first cell of a line is its name."""
    yield ""
    lines = [[title, *columns], *lines]
    first, *widths = [max(map(len, cells)) for cells in zip(*lines)]
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths)]
        yield "  ".join([line[0].ljust(first), *cells])


def calls(results):
    builds = [b for b in (results, results.get("exported")) if b]
    columns = [f"{build}{name}" for build in ("", "exported: ")[: len(builds)] for name in CALL_COLUMNS]
    lines = [
        [call, *(f"{b['calls'][call][k]:.2f}" for b in builds for k in CALL_COLUMNS)]
        for call in results["calls"]
    ]
    yield from rows("A call (64 bytes)", columns, lines)
    yield "(multiple: of {}; for read(), of {})".format(*results["yardsticks"])


def copies(directions):
    for direction, by_size in directions.items():
        names = list(next(iter(by_size.values())))
        lines = [[n, *(time(by_size[size][n]) for size in by_size)] for n in names]
        yield from rows(f"Copies in Godot: {direction}", list(map(size_text, by_size)), lines)


def trips(transports):
    sizes = list(next(iter(transports.values())))
    columns = [f"{size_text(s)} {what}" for s in sizes for what in ("median", "p99")]
    lines = [
        [name, *(time(by_size[s][what] * 1e3) for s in sizes for what in ("median", "p99"))]
        for name, by_size in transports.items()
    ]
    return rows("Round trip Godot-Python-Godot", columns, lines)


def structs(times):
    lines = [[call, time(ns)] for call, ns in times.items()]
    return rows("128 structs of 1,888 bytes", ["time"], lines)


def native(measured):
    sizes = measured["throughput"]
    names = list(next(iter(sizes.values()))["ns"])
    lines = [[n, *(time(by["ns"][n]) for by in sizes.values())] for n in names]
    lines.append(["messages a second, as a part of C's", *(f"{by['ratio']:.2f}" for by in sizes.values())])
    yield from rows("A message between two processes", [size_text(size) for size in sizes], lines)
    for title, part in (
        ("A round trip of 64 bytes, asleep", measured["asleep"]),
        ("A picture of 1920 x 1080, written and read", measured["picture"]),
        ("A lock that nobody else wants", measured["lock"]),
    ):
        lines = [*([n, time(ns)] for n, ns in part["ns"].items()), ["ratio", f"{part['ratio']:.2f}"]]
        yield from rows(title, [""], lines)
    ends = [time(measured["death_ns"][what]) for what in ("median", "p99")]
    yield from rows("From SIGKILL to the error", ["median", "p99"], [["in a call that waits", *ends]])


# The most that a request may take, as a multiple of the time beside it. The first number is for the median of
# the runs, and the second one for the worst run.
LOCKSTEP_TARGETS = {"both spin": (1.5, None), "both sleep": (1.3, None)}
BESIDE_TCP = (1, 1.2)


def lockstep(measured):
    for other, title, table, unit in (
        ("TCP", "A request of 64 bytes", "beside TCP", 1),
        ("C", "The same", "beside C", 1),
        ("TCP", "The same in two Godots", "in Godot", 1000),
    ):
        columns = ["median", other, "mean", other, "ratio", "target", "worst", "target"]
        lines = [
            [
                name,
                *(time(ticks * unit) for kind in ("ticks", "mean_ticks") for ticks in found[kind]),
                *beside_targets(found, LOCKSTEP_TARGETS.get(name, BESIDE_TCP)),
            ]
            for name, found in measured[table].items()
        ]
        yield from rows(title, columns, lines)
    ours, tcp = measured["use of a core"]
    line = ["a pair, of which one thinks 20 ms a step", f"{ours:.2%}", f"{tcp:.2%}", "2%"]
    yield from rows("Use of a core", ["", "TCP", "target"], [line])


def beside_targets(found, targets):
    for ratio, target in zip((found["ratio"], found["worst"]), targets):
        yield from (f"{ratio:.2f}", f"{target}" if target else "")


# The most that the Python package may take, as a multiple of the way beside it.
PYTHON_TARGETS = {
    "a request of 64 B from Godot, both spin": 2,
    "the same, both sleep": 2,
    "Queue: enqueue and dequeue of 64 B": 2,
    "Stream.write of a picture": 1.15,
    "the same copy in Stream.begin": 1.15,
}


def python(measured):
    pairs = [*measured["beside C"].values(), measured["queue"], *measured["write"].values()]
    beside = ("in C", "in C", "in GDScript", "memcpy", "memcpy")
    lines = [
        [name, *map(time, found["ns"]), other, f"{found['ratio']:.2f}", f"{found['worst']:.2f}", f"{target}"]
        for (name, target), other, found in zip(PYTHON_TARGETS.items(), beside, pairs)
    ]
    columns = ["median", "other", "", "ratio", "worst", "target"]
    yield from rows("The Python package", columns, lines)
    for kind, title in (
        ("values", "A dictionary of 20 entries, one an array of 1000, there and back"),
        ("bytes", "A request of 64 B between two programs in Python"),
        ("picture", "A picture of 1920 x 1080 to another program, and an answer"),
    ):
        ways = measured[kind].items()
        lines = [[name, time(found["ns"][1]), f"{1 / found['ratio']:.2f}"] for name, found in ways]
        yield from rows(title, ["median", "multiple"], lines)
    yield "(multiple: of the first one. The target for the dictionary is 3.)"


def waits(measured):
    lines = [[name, time(value)] for name, value in measured["ns"].items()]
    yield from rows("Round trip of two processes asleep", ["median"], lines)
    yield f"(ratio, pair by pair: {measured['ratio']:.2f})"


def objects(results):
    measured = results["objects"]
    yield from threads("Threads: million a second", measured)
    if "exported" in results:
        yield from threads("The same, exported", results["exported"]["objects"])
    lines = [[name, f"{value:.0f} B"] for name, value in measured["bytes_each"].items()]
    yield from rows("Memory of an object", ["each"], lines)
    lines = [[f"create, close: {k}", time(v)] for k, v in measured["create_close_ns"].items()]
    lines.append(["load the library", time(results["load_us"] * 1e3)])
    yield from rows("In Godot", ["time"], lines)


def threads(title, measured):
    rates = measured["runs_per_second"]
    counts = list(next(iter(rates.values())))
    lines = [[c, *(f"{v[n] / 1e6:.1f}" for n in counts)] for c, v in rates.items()]
    return rows(title, [f"{n} thr." for n in counts], lines)


def rust(groups):
    for direction in ("write", "read"):
        group = groups[direction]
        sizes = list(next(iter(group.values())))
        lines = [[name, *(time(by_size[s]) for s in sizes)] for name, by_size in group.items()]
        yield from rows(f"Segment crate: {direction}", list(map(size_text, sizes)), lines)
    lines = [[name, time(value)] for name, value in groups["create"].items()]
    yield from rows("Segment crate: create, drop", ["1 MiB"], lines)


def library(results):
    found = results["library"]
    big = sorted(found["sections"].items(), key=lambda item: -item[1])[:6]
    lines = [["all", f"{found['bytes'] / 1024:.0f} KiB"]]
    lines += [[name, f"{size / 1024:.0f} KiB"] for name, size in big]
    return rows("The library, stripped", ["size"], lines)


def time(ns):
    for unit, scale in (("ms", 1e6), ("µs", 1e3)):
        if ns >= scale:
            return f"{ns / scale:.3g} {unit}"
    return f"{ns:.3g} ns"


def size_text(size):
    size = int(size)
    if size % (1 << 20) == 0:
        return f"{size >> 20} MiB"
    # Such as that of a picture.
    if size > 1_000_000:
        return f"{size / 1e6:.1f} MB"
    return f"{size >> 10} KiB" if size % 1024 == 0 else f"{size} B"
