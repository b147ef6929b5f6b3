"""This system's own Debian archive as apt sources of another suite.

Mirror, keyring and trust stay as the system's settings have them. The owner of the machine chose them, and
behind a firewall they may be the only ones that answer. A suite with security updates (`bookworm-security`)
is looked for where the system gets its own.
"""

import pathlib
import re

# A source is Debian's own archive if it names one of these suites. Sources of other parties are never asked
# for a suite that they can't have.
DEBIAN = r"(bullseye|bookworm|trixie|forky|duke|sid|(old)?stable|testing|unstable)"
DISABLED = re.compile(r"^enabled:\s*(no|false|0|off|without|disable)\s*$", re.IGNORECASE | re.MULTILINE)
ONE_LINE = re.compile(r"^deb\s+(\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(?:.*\s)?main\b", re.MULTILINE)


def write(suites, folder, apt="/etc/apt"):
    """Writes the sources of these suites into a folder, as apt reads it. Returns their text."""
    files = [pathlib.Path(apt, "sources.list"), *pathlib.Path(apt, "sources.list.d").glob("*")]
    found = {".sources": [], ".list": []}
    for file in sorted(file for file in files if file.suffix in found and file.is_file()):
        text = re.sub("^#.*\n", "", file.read_text(encoding="utf-8", errors="replace"), flags=re.MULTILINE)
        convert = deb822 if file.suffix == ".sources" else one_line
        found[file.suffix] += [source for suite in suites for source in convert(text, suite)]
    for suffix, sources in found.items():
        (folder / f"debian{suffix}").write_text("\n".join(dict.fromkeys(sources)))
    return "\n".join(found[".sources"] + found[".list"])


def is_like(suite, others):
    """Returns whether one of the suites comes from the same archive. Security updates have their own."""
    security = "-security" if suite.endswith("-security") else ""
    return any(re.fullmatch(DEBIAN + security, other) for other in others)


def deb822(text, suite):
    for stanza in re.split(r"\n\s*\n", text.strip()):
        named = {name.lower(): value.split() for name, value in re.findall(r"(?m)^(\w+):(.*)$", stanza)}
        usable = "deb" in named.get("types", ()) and "main" in named.get("components", ())
        if usable and is_like(suite, named.get("suites", ())) and not DISABLED.search(stanza):
            for name, value in (("Types", "deb"), ("Suites", suite), ("Components", "main")):
                stanza = re.sub(rf"(?mi)^{name}:.*$", f"{name}: {value}", stanza)
            yield f"{stanza}\n"


def one_line(text, suite):
    for options, uri, other in ONE_LINE.findall(text):
        if is_like(suite, [other]):
            yield f"deb {options}{uri} {suite} main\n"
