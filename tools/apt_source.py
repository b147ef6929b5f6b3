#!/usr/bin/env python3
"""Print this system's own Debian archive as apt sources of another suite.

    apt_source.py SUITE ARCHITECTURE [APT_FOLDER]

Mirror, keyring and trust come from the system's settings (`*.sources` and `*.list`): whoever set up the
machine chose them, and behind a firewall they may be the only ones that answer. Each source found is printed
as one deb822 stanza. A suite with security updates (`bookworm-security`) is looked for where the system gets
its own. Nothing found: nothing printed, exit code 1.
"""

import pathlib
import re
import sys

# Which of the system's sources are Debian's own archive is told by the suite they name. Sources of other
# parties are never asked for a suite that they can't have.
DEBIAN_SUITES = {
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldstable",
    "stable",
    "testing",
    "unstable",
}

# What the owner of the machine said of how far to trust a source. Kept as it is.
KEPT_FIELDS = ("Signed-By", "Trusted", "Check-Valid-Until", "Check-Date")


def stanzas(text):
    """Yield the stanzas of a deb822 file as dicts; a field of several lines keeps its line breaks."""
    fields = {}
    last = None
    for line in text.splitlines() + [""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, None
        elif line[0] in " \t":
            if last:
                fields[last] += "\n" + line
        elif ":" in line:
            name, value = line.split(":", 1)
            # Field names are matched whatever their case, as apt does.
            last = name.strip().lower()
            fields[last] = value.strip()


def from_deb822(text):
    for fields in stanzas(text):
        if fields.get("enabled", "yes").lower() in (
            "no",
            "false",
            "0",
            "off",
            "without",
            "disable",
        ):
            continue
        yield {
            "types": fields.get("types", "").split(),
            "uris": fields.get("uris", "").split(),
            "suites": fields.get("suites", "").split(),
            "components": fields.get("components", "").split(),
            "kept": {
                name: fields[name.lower()]
                for name in KEPT_FIELDS
                if name.lower() in fields
            },
        }


def from_one_line(text):
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        match = re.match(r"(\S+)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)$", line)
        if not match:
            continue
        kind, options, uri, suite, components = match.groups()
        given = dict(
            word.split("=", 1) for word in (options or "").split() if "=" in word
        )
        kept = {}
        for name in KEPT_FIELDS:
            if name.lower() in given:
                # A list is separated by commas here, by spaces in deb822.
                kept[name] = given[name.lower()].replace(",", " ")
        yield {
            "types": [kind],
            "uris": [uri],
            "suites": [suite],
            "components": components.split(),
            "kept": kept,
        }


def configured(folder):
    parts = folder / "sources.list.d"
    files = [folder / "sources.list"]
    if parts.is_dir():
        files += sorted(parts.iterdir())
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if file.suffix == ".sources":
            yield from from_deb822(text)
        elif file.suffix == ".list":
            yield from from_one_line(text)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    suite, architecture = sys.argv[1:3]
    folder = pathlib.Path(sys.argv[3] if len(sys.argv) == 4 else "/etc/apt")

    # They are an archive of their own.
    security = "-security" if suite.endswith("-security") else ""
    wanted = {name + security for name in DEBIAN_SUITES}
    seen = set()
    for source in configured(folder):
        if "deb" not in source["types"] or "main" not in source["components"]:
            continue
        if wanted.isdisjoint(source["suites"]):
            continue
        kept = "".join(f"{name}: {value}\n" for name, value in source["kept"].items())
        for uri in source["uris"]:
            stanza = f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\n"
            stanza += f"Architectures: {architecture}\n{kept}"
            if stanza not in seen:
                seen.add(stanza)
                print(stanza)
    return 0 if seen else 1


if __name__ == "__main__":
    sys.exit(main())
