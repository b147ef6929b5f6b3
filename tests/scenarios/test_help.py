"""The help that F1 shows, against what ClassDB knows, member by member."""

import fnmatch
import itertools
import re
import textwrap
import xml.etree.ElementTree as ElementTree

import pytest
from harness.session import REPOSITORY

HELP = REPOSITORY / "rust/addon/doc_classes"

# As the help's format writes types, enums and values.
CLASS_DB = """
func type_of(info):
	if info.type == TYPE_NIL:
		return ["Variant" if info.usage & PROPERTY_USAGE_NIL_IS_VARIANT else "void", ""]
	if info.type == TYPE_OBJECT:
		return [String(info["class_name"]), ""]
	if info.usage & PROPERTY_USAGE_CLASS_IS_ENUM:
		return ["int", String(info["class_name"])]
	if info.hint == PROPERTY_HINT_ARRAY_TYPE:
		return [info.hint_string + "[]", ""]
	return [type_string(info.type), ""]

func run(name):
	var methods = {}
	for method in ClassDB.class_get_method_list(name, true):
		var parameters = []
		var first_default = method.args.size() - method.default_args.size()
		for index in method.args.size():
			var parameter = [method.args[index].name] + type_of(method.args[index])
			if index >= first_default:
				parameter.append(var_to_str(method.default_args[index - first_default]))
			else:
				parameter.append(null)
			parameters.append(parameter)
		var qualifiers = ""
		if method.flags & METHOD_FLAG_STATIC:
			qualifiers = "static"
		elif method.flags & METHOD_FLAG_CONST:
			qualifiers = "const"
		methods[method.name] = [type_of(method.return), parameters, qualifiers]
	var members = {}
	for property in ClassDB.class_get_property_list(name, true):
		if property.usage & (PROPERTY_USAGE_CATEGORY | PROPERTY_USAGE_GROUP):
			continue
		members[property.name] = type_of(property) + [
			String(ClassDB.class_get_property_setter(name, property.name)),
			String(ClassDB.class_get_property_getter(name, property.name)),
			var_to_str(ClassDB.class_get_property_default_value(name, property.name)),
		]
	var constants = {}
	for enumeration in ClassDB.class_get_enum_list(name, true):
		for constant in ClassDB.class_get_enum_constants(name, enumeration, true):
			var value = ClassDB.class_get_integer_constant(name, constant)
			constants[constant] = [str(value), enumeration]
	var signals = {}
	for found in ClassDB.class_get_signal_list(name, true):
		signals[found.name] = found.args.map(func(info): return [info.name] + type_of(info))
	return [ClassDB.get_parent_class(name), methods, members, constants, signals]
"""

# The errors that the help of each method must name, by class. "*" stands for any part of a name; a line
# before it goes first. Methods without errors have a line, too: a method without a line fails the test.
READS = "INVALID_PARAMETER UNCONFIGURED FILE_CORRUPT"
WRITES = READS + " UNAUTHORIZED"
OPENS = "INVALID_PARAMETER ALREADY_IN_USE UNAUTHORIZED UNAVAILABLE BUSY"
LOST = "UNCONFIGURED FILE_CORRUPT"
GONE = LOST + " UNAVAILABLE"
ATTACHES = LOST + " INVALID_PARAMETER INVALID_DATA"
CREATES = "INVALID_PARAMETER ALREADY_EXISTS UNAUTHORIZED OUT_OF_MEMORY CANT_CREATE BUSY UNAVAILABLE"
COPIES = " TIMEOUT OUT_OF_MEMORY"
WAITS = " TIMEOUT CONNECTION_ERROR"
TAKES_ROLE = GONE + " INVALID_DATA UNAUTHORIZED ALREADY_IN_USE BUSY"
LOCKS = GONE + " BUSY ALREADY_IN_USE UNAVAILABLE INVALID_DATA"
TALKS = LOST + " INVALID_DATA OUT_OF_MEMORY"
NEWEST = GONE + " DOES_NOT_EXIST INVALID_DATA BUSY UNAVAILABLE"
ERRORS = {
    "SharedMemory": {
        "create": OPENS + " ALREADY_EXISTS OUT_OF_MEMORY CANT_CREATE",
        "open": OPENS + " DOES_NOT_EXIST CANT_OPEN",
        "open_read_only": OPENS + " DOES_NOT_EXIST CANT_OPEN",
        "open_or_create": OPENS + " ALREADY_EXISTS OUT_OF_MEMORY CANT_CREATE CANT_OPEN",
        "read": READS + " OUT_OF_MEMORY",
        "read_into": READS + " OUT_OF_MEMORY UNAVAILABLE",
        "read_*": READS + " OUT_OF_MEMORY",
        "unpack*": READS + " OUT_OF_MEMORY",
        "atomic_load_*": READS,
        "atomic_*": WRITES,
        "wait_u32": READS + " TIMEOUT",
        "notify_u32": READS,
        "decode_var": READS + " INVALID_DATA OUT_OF_MEMORY",
        "decode_var_size": READS + " INVALID_DATA",
        "decode_*": READS,
        "has_encoded_var": READS,
        "write": WRITES + " OUT_OF_MEMORY",
        "write_*": WRITES + " OUT_OF_MEMORY",
        "fill": WRITES + " OUT_OF_MEMORY",
        "pack": WRITES + " OUT_OF_MEMORY",
        "encode_var": WRITES + " OUT_OF_MEMORY",
        "encode_*": WRITES,
        "set_backend": "INVALID_PARAMETER ALREADY_IN_USE",
        "set_persistent": "UNAUTHORIZED",
        "unlink": "UNAUTHORIZED",
        "remove": "INVALID_PARAMETER DOES_NOT_EXIST UNAUTHORIZED CANT_OPEN UNAVAILABLE",
        "close": "",
        "clear_last_error": "",
        "get_*": "",
        "is_*": "",
        # They print an error, or return false or nothing.
        "calcsize": "",
        "exists": "",
        "generate_name": "",
        "list_*": "",
    },
    "SharedMemoryStream": {
        "create": CREATES,
        "open": "INVALID_PARAMETER ALREADY_IN_USE",
        "close": "",
        "is_attached": "",
        "attach": ATTACHES + " BUSY UNAVAILABLE",
        "write": GONE
        + COPIES
        + " INVALID_DATA INVALID_PARAMETER UNAUTHORIZED ALREADY_IN_USE BUSY",
        "read": GONE + COPIES + " DOES_NOT_EXIST INVALID_DATA BUSY",
        "read_image": NEWEST + " INVALID_PARAMETER OUT_OF_MEMORY",
        "read_into": NEWEST + " INVALID_PARAMETER",
        "get_message_*": NEWEST,
        "has_new_data": GONE + " INVALID_DATA",
        "mark_as_read": GONE + " INVALID_DATA UNAUTHORIZED",
        "is_message_read": GONE + " INVALID_DATA UNAVAILABLE",
        "get_capacity": "UNCONFIGURED UNAVAILABLE",
        "get_sequence": GONE + " UNAVAILABLE",
        "get_missed_count": GONE + " UNAVAILABLE",
        "get_age_usec": GONE + " DOES_NOT_EXIST INVALID_DATA BUSY UNAVAILABLE",
        "get_writer_state": GONE + " UNAVAILABLE",
        "wait": GONE + " INVALID_PARAMETER INVALID_DATA TIMEOUT CONNECTION_ERROR",
        "poll": GONE + COPIES + " INVALID_DATA BUSY",
        "reset": GONE + " INVALID_DATA UNAUTHORIZED ALREADY_IN_USE BUSY",
        "set_lock_timeout_msec": "TIMEOUT INVALID_PARAMETER",
        "get_lock_timeout_msec": "",
        "get_memory": "",
        "detach": "",
        "*_last_error*": "",
    },
    "SharedMemoryQueue": {
        "create": CREATES,
        "open": "INVALID_PARAMETER ALREADY_IN_USE",
        "close": "",
        "is_attached": "",
        "attach": ATTACHES + " BUSY UNAVAILABLE",
        "enqueue": TAKES_ROLE + COPIES + WAITS + " INVALID_PARAMETER",
        "dequeue": TAKES_ROLE + COPIES + WAITS + " INVALID_PARAMETER DOES_NOT_EXIST",
        "dequeue_all": TAKES_ROLE + COPIES,
        "peek": GONE + COPIES + " DOES_NOT_EXIST UNAUTHORIZED INVALID_DATA BUSY",
        "clear": TAKES_ROLE + COPIES,
        "is_*": GONE + " INVALID_DATA BUSY",
        "get_*_count": GONE + " INVALID_DATA BUSY",
        "get_capacity": GONE + " INVALID_DATA UNAVAILABLE",
        "get_byte_capacity": GONE + " INVALID_DATA",
        "get_max_message_size": GONE + " INVALID_DATA",
        "wait": TAKES_ROLE + WAITS + " INVALID_PARAMETER",
        "poll": TAKES_ROLE + COPIES,
        "reset": TAKES_ROLE,
        "set_lock_timeout_msec": "TIMEOUT INVALID_PARAMETER",
        "get_lock_timeout_msec": "",
        "get_memory": "",
        "detach": "",
        "*_last_error*": "",
    },
    "SharedMemoryPeer": {
        "open": "INVALID_PARAMETER ALREADY_IN_USE BUSY INVALID_DATA UNAUTHORIZED"
        + " OUT_OF_MEMORY UNAVAILABLE CANT_OPEN "
        + TALKS,
        "send": TALKS + WAITS + " INVALID_PARAMETER BUSY UNAVAILABLE",
        "request": TALKS + WAITS + " INVALID_PARAMETER BUSY UNAVAILABLE",
        "receive": TALKS + WAITS + " INVALID_PARAMETER DOES_NOT_EXIST",
        "wait*": TALKS + " INVALID_PARAMETER TIMEOUT",
        "poll": TALKS,
        "close": "",
        "get_*": "",
        "clear_last_error": "",
    },
    "SharedMemoryArray": {
        "attach": ATTACHES + " BUSY",
        "get_element_count": LOST + " INVALID_DATA",
        "get_element": LOST + " INVALID_PARAMETER INVALID_DATA OUT_OF_MEMORY",
        "set_element": LOST
        + " INVALID_PARAMETER INVALID_DATA OUT_OF_MEMORY UNAUTHORIZED",
        "to_array": LOST + " INVALID_DATA OUT_OF_MEMORY",
        "fill": LOST + " INVALID_PARAMETER INVALID_DATA OUT_OF_MEMORY UNAUTHORIZED",
        "reset": LOST + " INVALID_DATA UNAUTHORIZED",
        "get_memory": "",
        "detach": "",
        "*_last_error*": "",
    },
    "SharedMemoryMutex": {
        "open": "INVALID_PARAMETER ALREADY_IN_USE INVALID_DATA UNAUTHORIZED BUSY UNAVAILABLE"
        " OUT_OF_MEMORY CANT_OPEN CANT_CREATE FILE_CORRUPT",
        "lock": LOCKS + " TIMEOUT INVALID_PARAMETER",
        "try_lock": LOCKS,
        "unlock": LOST,
        "is_locked": LOST,
        "was_abandoned": "",
        "get_name": "",
        "close": "",
        "*_last_error*": "",
    },
}
REFERENCE = re.compile(r"\[(method|member|signal|constant|enum|param) ([@\w.]+)\]")
ERROR = re.compile(r"\[constant ERR_(\w+)\]")
# Constants of @GlobalScope, which stand without a prefix, as in the engine's own help.
GLOBAL = re.compile(r"ERR_\w+|OK|FAILED|Error")
# A name, or the beginning of names, of methods that share a list of errors in the class description.
METHOD = re.compile(r"\[method (\w+)\]|\[code\](\w+_)\*\[/code\]")


def covers(names, method):
    """Returns whether a line with these names speaks of the method."""
    return not names or any(
        method == one or (start and method.startswith(start)) for one, start in names
    )


class Help:
    """The help of a class, and what ClassDB knows of the same class."""

    def __init__(self, name, agent):
        self.name = name
        self.root = ElementTree.parse(HELP / f"{name}.xml").getroot()
        answer = agent.run(CLASS_DB, name)
        self.parent, self.methods, self.members, self.constants, self.signals = answer

    def entries(self, path):
        found = self.root.findall(path)
        names = [entry.get("name") for entry in found]
        assert len(names) == len(set(names)), "one entry each"
        return dict(zip(names, found))


@pytest.fixture(params=ERRORS)
def help(request, agent):
    return Help(request.param, agent)


def assert_described(entry, text):
    assert len((text or "").strip()) > 10, f"{entry.get('name')} is not described"


def assert_parameters(entry, expected):
    """Compares name, type and enum of each, and its default where one is expected."""
    found = sorted(entry.findall("param"), key=lambda p: int(p.get("index")))
    keys = ("name", "type", "enum", "default")[: len(expected[0]) if expected else 0]
    told = [[p.get(key, "" if key == "enum" else None) for key in keys] for p in found]
    assert told == expected, entry.get("name")
    text = entry.findtext("description")
    assert_described(entry, text)
    for parameter in found:
        assert f"[param {parameter.get('name')}]" in text, entry.get("name")


def test_class_is_described(help):
    assert help.root.get("name") == help.name
    assert help.root.get("inherits") == help.parent
    assert_described(help.root, help.root.findtext("brief_description"))
    assert_described(help.root, help.root.findtext("description"))


def test_methods_agree_with_class_db(help):
    entries = help.entries("methods/method")
    # The help of a property stands for those of its setter and getter, if they have none.
    accessors = {name for member in help.members.values() for name in member[2:4]}
    assert set(help.methods) - set(entries) - accessors == set()
    assert set(entries) - set(help.methods) == set(), "not in ClassDB"
    for name, entry in entries.items():
        returned, parameters, qualifiers = help.methods[name]
        told = entry.find("return")
        assert [told.get("type"), told.get("enum", "")] == returned, name
        assert entry.get("qualifiers", "") == qualifiers, name
        assert_parameters(entry, parameters)


def test_members_agree_with_class_db(help):
    entries = help.entries("members/member")
    told = {
        name: [entry.get("type"), entry.get("enum", "")]
        + [entry.get(key) for key in ("setter", "getter", "default")]
        for name, entry in entries.items()
    }
    assert told == help.members
    for entry in entries.values():
        assert_described(entry, entry.text)


def test_constants_agree_with_class_db(help):
    entries = help.entries("constants/constant")
    told = {name: [e.get("value"), e.get("enum")] for name, e in entries.items()}
    assert told == help.constants
    for entry in entries.values():
        assert_described(entry, entry.text)


def test_signals_agree_with_class_db(help):
    entries = help.entries("signals/signal")
    assert set(entries) == set(help.signals)
    for name, entry in entries.items():
        assert_parameters(entry, help.signals[name])


def test_errors_of_methods_are_described(help):
    entries = help.entries("methods/method")
    entries.update({m.get("setter"): m for m in help.root.findall("members/member")})
    shared = shared_errors(help)
    unused = set(ERRORS[help.name])
    problems = {}
    for name in help.methods:
        line = line_for(name, ERRORS[help.name])
        if line is None:
            problems[name] = "has no line in ERRORS"
            continue
        unused.discard(line)
        # The getter of a property has no entry of its own.
        entry = entries.get(name)
        text = "" if entry is None else entry.findtext("description") or entry.text
        own = set(ERROR.findall(text))
        told = own | {e for names, e in shared if covers(names, name)}
        expected = set(ERRORS[help.name][line].split())
        missing, foreign = expected - told, own - expected
        if missing or foreign:
            problems[name] = {"not described": missing, "not its own": foreign}
    assert problems == {}
    assert unused == set(), "not in ClassDB"


# The end of the line before a list of errors.
BEFORE_ERRORS = re.compile(
    r"(?:^|\. )(?:Besides the errors of the class description, fails|Fails) with:$"
)
ERROR_LINE = re.compile(r"- \[constant (?:ERR_\w+|FAILED)\]")


def test_descriptions_end_with_the_errors(help):
    """Each description has its own errors in one list at the end, one a line, after the same words."""
    shared = shared_errors(help)
    for entry in help.root.findall("methods/method"):
        lines = [line.strip() for line in entry.findtext("description").split("\n")]
        lines = [line for line in lines if line]
        errors = list(itertools.takewhile(ERROR_LINE.match, reversed(lines)))
        text = lines[: len(lines) - len(errors)]
        name = entry.get("name")
        if errors:
            assert BEFORE_ERRORS.search(text[-1]), name
        known = set(ERROR.findall(" ".join(errors)))
        known |= {error for names, error in shared if covers(names, name)}
        others = set(ERROR.findall(" ".join(text))) - known
        assert not others, f"{name}: {others} are not in its list"
        assert not any(map(ERROR_LINE.match, text)), f"{name}: a list before the end"


def line_for(name, lines):
    """Returns the line of a method: its name, or the first pattern that matches."""
    return next((line for line in lines if fnmatch.fnmatchcase(name, line)), None)


def shared_errors(help):
    """Returns the errors that the class description lists for several methods.

    Each is a list of names and an error. The line before a list of errors has the names;
    a line without names is for all methods.
    """
    found = []
    names = []
    for line in help.root.findtext("description").splitlines():
        if not line.strip().startswith("- "):
            names = METHOD.findall(line)
        elif error := ERROR.search(line):
            found.append((names, error[1]))
    assert found
    return found


def test_references_lead_to_members(help):
    known = {
        "method": set(help.methods),
        "member": set(help.members),
        "constant": set(help.constants),
        "signal": set(help.signals),
        "enum": {enum for _value, enum in help.constants.values()},
    }
    for entry in help.root.iter():
        parameters = {p.get("name") for p in entry.findall("param")}
        for text in [entry.text or "", entry.findtext("description") or ""]:
            for kind, name in REFERENCE.findall(text):
                # References to other classes are the engine's, those to parameters the description's.
                if "." in name or (kind == "param" and entry.tag == "description"):
                    continue
                if kind in ("constant", "enum") and GLOBAL.fullmatch(name):
                    continue
                names = parameters if kind == "param" else known[kind]
                assert name in names, f"[{kind} {name}] in {entry.get('name')}"


COMPILE = """
func run(source):
	var script = GDScript.new()
	script.source_code = source
	return script.reload() == OK
"""
EXAMPLE = re.compile(r"\[codeblock\]\n(.*?)\[/codeblock\]", re.DOTALL)
# Of a script around the examples that are parts of one.
MEMBERS = {
    "memory": "SharedMemory.new()",
    "queue": "SharedMemoryQueue.new()",
    "frame": "0",
    "is_running": "true",
    "image": "Image.create_empty(8, 8, false, Image.FORMAT_RGBA8)",
}


def whole_script(example):
    """Returns a script with the example in it, which may be a script already, members or statements."""
    example = textwrap.dedent(example)
    if example.startswith("extends "):
        return example
    if not re.search("^func ", example, re.MULTILINE):
        example = "func _ready() -> void:\n" + textwrap.indent(example, "\t")
    members = [
        f"var {name} := {value}\n"
        for name, value in MEMBERS.items()
        if not re.search(rf"^\s*var {name}\b", example, re.MULTILINE)
    ]
    return "extends Node2D\n" + "".join(members) + example


def test_examples_compile(help, agent):
    texts = [entry.text or "" for entry in help.root.iter("description")]
    examples = [example for text in texts for example in EXAMPLE.findall(text)]
    assert examples
    for example in examples:
        assert agent.run(COMPILE, whole_script(example)), example
