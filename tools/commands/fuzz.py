"""build.sh fuzz: the fuzz targets of rust/fuzz, by cargo-fuzz and libFuzzer."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import needs
import rust
from common import ROOT, TARGET, Failure, must, parse, positive, require_linux, run, say

# Builds what is run, so it is pinned: a run can be repeated.
CARGO_FUZZ = "0.13.2"
FUZZ = ROOT / "rust/fuzz"
OUT = TARGET / "fuzz"
TOOLS = TARGET / "tools"
# The beginning of all names in /dev/shm.
NAMES = f"fuzz-test_{os.getpid()}"

HELP = """\
Usage: ./build.sh fuzz [TARGET...] [--seconds N] [--input FILE] [--merge]

Builds the fuzz targets in rust/fuzz (those named, otherwise all), and runs each for N seconds (60), two at a
time. Each starts from its corpus in rust/fuzz/corpus and from the findings of earlier runs, in
target/fuzz/corpus. An input that makes one fail is kept in target/fuzz/findings/TARGET.

  --input FILE  run TARGET with this one input, and nothing else
  --merge       don't run, but replace the corpus in rust/fuzz by the fewest inputs of both that cover as much

With a nightly Rust (rustup toolchain install nightly), under AddressSanitizer; otherwise, on the one that
builds everything else, without. Needs Linux and a C++ compiler (Debian: apt install g++). cargo-fuzz comes
from crates.io, into target/tools.
"""


def main(arguments):
    all_targets = sorted(file.stem for file in FUZZ.glob("src/bin/*.rs"))
    options = ("--seconds=", "--input=", "--merge")
    targets, given = parse("fuzz", arguments, options=options, most=len(all_targets))
    seconds = positive("fuzz", given.get("--seconds", "60"), "seconds")
    single = given.get("--input")
    if single and len(targets) != 1:
        raise Failure("fuzz: --input takes exactly one target")
    if single and not os.path.isfile(single):
        raise Failure(f"fuzz: there is no file '{single}'")
    require_linux("fuzz", "the targets look into /dev/shm, which only Linux has")
    for target in targets:
        if target not in all_targets:
            raise Failure(f"fuzz: no target '{target}'; there are: {' '.join(all_targets)}")
    targets = targets or all_targets
    needs.check(needs.CXX)

    folder = build(targets)
    try:
        if single:
            code = run(target_command(folder, targets[0], os.path.abspath(single)), env=variables(targets[0]))
            sys.exit(code)
        for target in targets if "--merge" in given else ():
            merge(folder, target)
        if "--merge" not in given:
            run_all(folder, targets, seconds)
    finally:
        # Targets that have found something leave their names.
        for path in pathlib.Path("/dev/shm").glob(f"{NAMES}_*"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def build(targets):
    """Builds the targets and returns the folder of their programs."""
    sanitizer, env = "address", {"RUSTUP_TOOLCHAIN": "nightly"}
    if not rust.has_nightly():
        say("no nightly Rust was found: without AddressSanitizer")
        sanitizer, env = "none", {}
    cargo_fuzz = installed_cargo_fuzz()
    say(f"building {len(targets)} fuzz targets (sanitizer: {sanitizer})")
    # A folder for each sanitizer: the one would have to build again what the other has built.
    options = ["--fuzz-dir", ".", "--sanitizer", sanitizer, "--target-dir", OUT / sanitizer]
    for target in targets:
        must([cargo_fuzz, "build", *options, target], "fuzz: a target could not be built", env=env, cwd=FUZZ)
    return OUT / sanitizer / rust.compiler_info("host") / "release"


def installed_cargo_fuzz():
    program = TOOLS / "bin/cargo-fuzz"
    if program.exists():
        told = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
        if told.strip() == f"cargo-fuzz {CARGO_FUZZ}":
            return program
    say(f"installing cargo-fuzz {CARGO_FUZZ} from crates.io into target/tools")
    install = ["cargo", "install", "--quiet", "--locked", "--root", TOOLS, "--version", CARGO_FUZZ]
    must([*install, "cargo-fuzz"], "cargo-fuzz could not be installed; it comes from crates.io.")
    return program


def variables(target):
    return {"SHM_FUZZ_NAME": f"{NAMES}_{target}"}


def target_command(folder, target, *arguments):
    """Returns the command that runs a target."""
    findings = OUT / "findings" / target
    for needed in (OUT / "corpus" / target, findings, FUZZ / "corpus" / target):
        needed.mkdir(parents=True, exist_ok=True)
    # No -handle_bus=0: libFuzzer's handler is there before ours, so it gets faults that are not ours, and
    # reports them.
    options = ["-timeout=10", "-rss_limit_mb=4096", "-max_len=1024", "-print_final_stats=1"]
    return [folder / target, *options, f"-artifact_prefix={findings}/", *arguments]


def run_all(folder, targets, seconds):
    logs = OUT / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    say(f"running {' '.join(targets)}, {seconds} s each, two at a time; the logs are in target/fuzz/logs")
    waiting, running, failed = list(targets), {}, []
    try:
        while waiting or running:
            if waiting and len(running) < 2:
                target = waiting.pop(0)
                corpus = [OUT / "corpus" / target, FUZZ / "corpus" / target]
                command = target_command(folder, target, f"-max_total_time={seconds}", *corpus)
                with open(logs / f"{target}.log", "wb") as log:
                    env = {**os.environ, **variables(target)}
                    running[target] = subprocess.Popen(command, env=env, stdout=log, stderr=log)
                continue
            # The first one was started first and so ends first.
            target = next(iter(running))
            if not report(target, running[target].wait(), logs):
                failed.append(target)
            del running[target]
    finally:
        for process in running.values():
            process.kill()
    if failed:
        raise Failure(f"fuzz: something was found by {' '.join(failed)}")
    say("fuzz: nothing found")


def report(target, code, logs):
    """Tells how a run went, and returns whether it found nothing."""
    log = (logs / f"{target}.log").read_text(errors="replace")
    if code == 0:
        say(f"{target}: {figures(log)}")
        return True
    say(f"{target}: FAILED with status {code}, after {figures(log)}")
    lines = [line for line in log.splitlines() if not re.match(r"#\d", line)]
    print("\n".join(lines[-60:]), file=sys.stderr)
    return False


def figures(log):
    """Returns the last coverage, and the closing statistics of libFuzzer."""

    def last(pattern):
        found = re.findall(pattern, log, re.MULTILINE)
        return found[-1] if found else "-"

    runs, rate = (
        last(rf"^stat::{name}: *(\d+)") for name in ("number_of_executed_units", "average_exec_per_sec")
    )
    edges, corpus = last(r"^#\d+.* cov: (\d+)"), last(r"^#\d+.* corp: (\S+)")
    return f"{runs} runs, {rate} a second, {edges} edges covered, corpus {corpus}"


def merge(folder, target):
    """Replaces the committed corpus by the needed part of it and of the inputs found since."""
    merged, corpus = OUT / "merged" / target, FUZZ / "corpus" / target
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir(parents=True)
    # The smallest set that reaches every edge, however often: some thirty inputs instead of some hundreds.
    options = ["-set_cover_merge=1", "-use_counters=0", merged, corpus, OUT / "corpus" / target]
    with open(OUT / "merge.log", "wb") as log:
        code = run(target_command(folder, target, *options), env=variables(target), stdout=log, stderr=log)
    if code != 0:
        raise Failure(f"fuzz: the corpus of {target} could not be merged; see target/fuzz/merge.log")
    shutil.rmtree(corpus)
    merged.rename(corpus)
    say(f"{target}: {len(list(corpus.iterdir()))} inputs")
