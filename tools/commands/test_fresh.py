"""build.sh test-fresh: demo and test on a bare Debian."""

import os
import pathlib
import re
import shutil
import time

import needs
from common import ROOT, TARGET, Failure, must, output, parse, require_linux, say
from debian import apt_source

FOLDER = TARGET / "fresh"
SYSTEM = FOLDER / "system"
COMMANDS = ["demo", "test"]
# Settings of this machine without which programs would not reach the network from there.
NETWORK = re.compile(r"(?i).*_proxy|.*(CERT|CA_BUNDLE|CAINFO|CA_CERTS)(_FILE)?|.*(INDEX_URL|_REGISTRY)")
IN_SYSTEM = """
set -e
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/dev/shm"
mount -t tmpfs tmpfs "$1/tmp"
shift
# Not exec: the first process stays outside, so that the system knows that it is in a chroot.
chroot "$@"
exit $?
"""

HELP = """\
Usage: ./build.sh test-fresh [COMMAND...] [--keep]

Makes a Debian with git and nothing else, in target/fresh/, clones the last commit into it, and runs there
./build.sh demo and ./build.sh test, or the commands that are named. They have to set up everything that they
need. Takes root, debootstrap, ten to fifteen minutes, and 5 GB. The log is target/fresh/log.

  --keep   leave the system there afterwards, to look into it
"""


def main(arguments):
    words, options = parse("test-fresh", arguments, options=("--keep",), most=len(COMMANDS))
    require_linux("test-fresh", "this makes a Debian, for which it takes Linux")
    if os.getuid() != 0:
        raise Failure("test-fresh: root is needed, to make a system and to change into it")
    needs.check(needs.DEBOOTSTRAP)
    if output("git", "status", "--porcelain"):
        say("the last commit is tested: what is not committed is left out")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    log = FOLDER / "log"
    try:
        make_system(log)
        env = [*network_settings(), "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
        for command in words or COMMANDS:
            start = time.monotonic()
            say(f"./build.sh {command}, there")
            into = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", IN_SYSTEM, "sh", SYSTEM, SYSTEM]
            there = ["env", "--ignore-environment", *env, "/opt/repository/build.sh", command]
            must([*into, *there], f"test-fresh: {command} failed", log=log, limit=3000)
            say(f"test-fresh: {command} took {time.monotonic() - start:.0f} s")
    finally:
        if "--keep" not in options:
            shutil.rmtree(SYSTEM, ignore_errors=True)


def make_system(log):
    """Makes a Debian of this system's release, from its mirror, with a clone of the repository."""
    release = pathlib.Path("/etc/os-release").read_text()
    suite = re.search(r"^VERSION_CODENAME=(\w+)", release, re.MULTILINE)
    suite = suite[1] if suite else "unknown"
    parts = FOLDER / "sources"
    parts.mkdir()
    mirror = re.search(r"\w+://\S+", apt_source.write([suite], parts))
    if not mirror:
        raise Failure("test-fresh: the apt sources of this system name no Debian archive")
    say(f"making a bare {suite} in {SYSTEM.relative_to(ROOT)}")
    options = ["--variant=minbase", "--include=git"]
    must(["debootstrap", *options, suite, SYSTEM, mirror[0]], "debootstrap failed", log=log)
    apt = SYSTEM / "etc/apt"
    (apt / "sources.list").unlink(missing_ok=True)
    apt_source.write([suite, f"{suite}-security"], apt / "sources.list.d")
    # Proxies, and how old an archive may be.
    settings = re.findall("(?m)^Acquire::(?!IndexTargets).*;$", output("apt-config", "dump"))
    (apt / "apt.conf.d/90settings").write_text("\n".join(settings) + "\n")
    shutil.copy("/etc/resolv.conf", SYSTEM / "etc/resolv.conf")
    must(["git", "clone", "--quiet", ROOT, SYSTEM / "opt/repository"])


def network_settings():
    """Returns this machine's variables for proxies and certificates, as they hold inside the system."""
    for name, value in sorted(os.environ.items()):
        if NETWORK.fullmatch(name) and not os.path.isdir(value):
            if os.path.isfile(value):
                # Not where ca-certificates puts its own: that has to be installed.
                copy = pathlib.Path("etc/settings") / name
                (SYSTEM / copy).parent.mkdir(exist_ok=True)
                shutil.copy(value, SYSTEM / copy)
                value = f"/{copy}"
            yield f"{name}={value}"
            if name == "SSL_CERT_FILE":
                yield f"CARGO_HTTP_CAINFO={value}"
