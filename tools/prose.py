"""The rules for prose that a program can check.

All hold for comments, docstrings, the documentation and the help. Those for words and for the beginning of a
sentence also hold for tables, and for texts in code such as messages.
"""

import ast
import collections
import re

from common import ROOT, TARGET, say, tracked

WIDTH = 110
WORDS = 25
REPORT = TARGET / "prose.txt"

# The sign of a comment that has its line for itself, by the end of the file's name.
SIGNS = {".rs": r"//[/!]?", ".gd": r"##?", ".py": r"#", ".sh": r"#", ".ci/run": r"#"}
FILES = [f"*{end}" for end in (*SIGNS, ".md", ".xml")]
# The subject of a sentence is a noun. "That is so" has one, "That it is so matters" has not.
OPENING = re.compile(
    r"(?:Who|Whom|Whose|Whoever|What|Whatever|How|Why|Whether|Those (?:that|which|who)"
    r"|That (?:which|an?|the|this|all|each|every|no|any|it|they|there))\b"
)
AVOIDED = re.compile(
    r"\b(?:anew|be\sit|believed|but\sfor|by\snow|for\sever|meanwhile|so\smany\s(?:bytes|times|\w*seconds))\b",
    re.IGNORECASE,
)
# A text in code, of three words at least.
TEXT = re.compile(r'"((?:[^"\\]|\\.)*\s(?:[^"\\]|\\.)*\s(?:[^"\\]|\\.)*)"')
CODE_BLOCK = re.compile(r"^\s*```.*?^\s*```|\[codeblocks?\b.*?\[/codeblocks?\]", re.MULTILINE | re.DOTALL)
# A name or an expression, which counts as one word: in Markdown and Rust, and in Godot's help.
CODE = re.compile(r"`[^`]+`|\[code\].*?\[/code\]|\[\w+ [\w.@]+\]|\[/?\w+\]")
# A table, a heading, HTML, the first line of a script, columns, and lines that are only a link or a picture.
NO_PROSE = re.compile(r"\s*(?:[|#<]|!/|.*\S\s{2,}\S|!?\[[^]]*\](?:\([^)]*\)|: \S+)$)")
# Up to a full stop, unless a word in small letters follows, as after "e.g.".
SENTENCE = re.compile(r"\S.*?(?:[.?!][)\"'*_]*(?=\s+(?![a-z]+[\s,]|\s))|\Z)", re.DOTALL)
ITEM = re.compile(r"(?:[-*+]|\d+\.) ")


def check():
    """Reports all findings, and returns whether lint goes on."""
    found = [
        (rule, f"{path}:{number}: {rule}: {words}\n")
        for path in tracked(*FILES)
        for rule, number, words in findings(path, (ROOT / path).read_text(encoding="utf-8"))
    ]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("".join(line for _rule, line in found), encoding="utf-8")
    for rule, times in sorted(collections.Counter(rule for rule, _line in found).items()):
        say(f"prose: {times} times: {rule}; target/prose.txt lists them")
    return not found


def findings(path, text):
    """Yields a rule, the number of a line, and the words that break the rule."""
    lines = prose(path, text)
    for number, (line, words) in enumerate(zip(text.split("\n"), lines), 1):
        for part in [words] if words else texts(path, line):
            if AVOIDED.search(CODE.sub("x", part)):
                yield "a word to avoid", number, part
            if not words and OPENING.match(part[:1].upper() + part[1:]):
                yield "a sentence that begins with a clause", number, part
        if words and len(line) > WIDTH and "://" not in line and not path.endswith(".xml"):
            yield f"a line wider than {WIDTH}", number, words
        if path.endswith(".rs") and re.search("SAFETY: the caller's", words, re.IGNORECASE):
            yield "a SAFETY comment that does not name the guarantee", number, words
    for number, sentence in sentences(lines):
        if OPENING.match(sentence):
            yield "a sentence that begins with a clause", number, sentence
        if len(re.findall(r"\S*\w\S*", CODE.sub("x", sentence))) > WORDS:
            yield f"a sentence of more than {WORDS} words", number, sentence


def texts(path, line):
    """Returns the cells of a line of a table, or the texts in a line of code."""
    if path.endswith(".md"):
        return [cell.strip() for cell in line.split("|")] if line.startswith("|") else []
    return TEXT.findall(line) if path.endswith((".rs", ".gd", ".py")) else []


def prose(path, text):
    """Returns each line's prose, or "" where there is none."""
    sign = next((sign for end, sign in SIGNS.items() if path.endswith(end)), None)
    lines = text.split("\n")
    if sign:
        matches = [re.match(rf"\s*(?:{sign})(.*)", line) for line in lines]
        found = [match[1].strip() if match else "" for match in matches]
        for node in ast.walk(ast.parse(text)) if path.endswith(".py") else ():
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
                part = slice(node.body[0].lineno - 1, node.body[0].end_lineno)
                found[part] = [line.strip('" ') for line in lines[part]]
        lines = found
    elif path.endswith(".xml"):
        # Each line is a paragraph.
        lines = [re.sub(r"^\s*(?=\S)", "- ", re.sub(r"<[^>]*>", "", line)) for line in lines]
    text = CODE_BLOCK.sub(lambda block: "\n" * block[0].count("\n"), "\n".join(lines))
    return ["" if NO_PROSE.match(line) else line.strip() for line in text.split("\n")]


def sentences(lines):
    """Yields each sentence, with the number of its first line."""
    paragraph = []
    for number, line in enumerate([*lines, ""], 1):
        if paragraph and (not line or ITEM.match(line)):
            text = "\n".join(paragraph)
            for match in SENTENCE.finditer(text):
                before = len(paragraph) - text.count("\n", 0, match.start())
                yield number - before, ITEM.sub("", match[0], count=1).replace("\n", " ")
            paragraph = []
        if line:
            paragraph.append(line)
