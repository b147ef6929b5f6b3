"""The rules for prose that a program can check: widths and openings of comments, and SAFETY comments."""

import re
from typing import NamedTuple

from common import ROOT, TARGET, say, tracked

WIDTH = 110
REPORT = TARGET / "prose.txt"

# A comment of one or more whole lines, by the end of its file's name: the indentation, the sign, the first
# words.
SIGNS = {".rs": r"//[/!]?", ".gd": r"##?", ".py": r"#|\"\"\"", ".sh": r"#"}
# The subject of a sentence is a noun.
OPENING = re.compile(r"(?:Who|Whom|Whose|Whoever|What|Whatever|Those|That which)\b")


class Finding(NamedTuple):
    rule: str
    place: str
    text: str


def check():
    """Reports all findings, and returns whether lint goes on."""
    found = [finding for path in tracked(*(f"*{end}" for end in SIGNS)) for finding in findings(path)]
    REPORT.parent.mkdir(exist_ok=True)
    lines = [f"{finding.place}: {finding.rule}: {finding.text}\n" for finding in found]
    REPORT.write_text("".join(lines), encoding="utf-8")
    for rule in sorted({finding.rule for finding in found}):
        say(f"prose: {sum(finding.rule == rule for finding in found)} times: {rule}")
    if found:
        say("prose: target/prose.txt lists them")
    return not found


def findings(path):
    path = ROOT / path
    comment = re.compile(rf"\s*(?:{SIGNS[path.suffix]})[ \t]*(.*)")
    goes_on = False
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        match = comment.match(line)
        place = f"{path.relative_to(ROOT).as_posix()}:{number}"
        text = match[1] if match else ""
        if match and path.suffix == ".rs" and len(line) > WIDTH and "://" not in line:
            yield Finding(f"a comment wider than {WIDTH}", place, text)
        if text and not goes_on and OPENING.match(text):
            yield Finding("a comment that does not begin with a noun or a verb", place, text)
        if path.suffix == ".rs" and re.search("SAFETY: the caller's", line, re.IGNORECASE):
            yield Finding("a SAFETY comment that does not name the guarantee", place, text)
        # An empty line of a comment, and the end of a sentence, begin a new one.
        goes_on = bool(text) and not text.endswith((".", ":", "?", "!"))
