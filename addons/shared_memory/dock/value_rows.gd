@tool
extends RefCounted
## Any value as the rows of a table: where it is, and its text.
##
## The value comes from another program. So each text has a limited length, there is a limited
## number of rows, and nothing is printed.

const Printable := preload("printable.gd")

const MOST_ROWS := 1000
const MOST_DEPTH := 16
const MOST_ELEMENTS := 100
const LONGEST_TEXT := 1000

## An array for each row: its key, and its cells.
var rows: Array[Array] = []


func _init(value: Variant) -> void:
	_add("", value, 0)
	if rows.size() == MOST_ROWS:
		rows.append(["more", "…", "There are more values."])


func _add(path: String, value: Variant, depth: int) -> void:
	var has_parts: bool = (value is Array or value is Dictionary) and not value.is_empty()
	if not has_parts or depth == MOST_DEPTH:
		if rows.size() < MOST_ROWS:
			rows.append(["%d %s" % [rows.size(), path], path, text_of(value)])
		return
	for step: Variant in value if value is Dictionary else value.size():
		if rows.size() == MOST_ROWS:
			return
		_add(path + _step(step, path.is_empty()), value[step], depth + 1)


## Returns a value on one line.
static func text_of(value: Variant) -> String:
	match typeof(value):
		TYPE_STRING:
			return _cut(Printable.literal(value.left(LONGEST_TEXT)), value.length(), "characters")
		TYPE_PACKED_BYTE_ARRAY:
			return _bytes(value)
		TYPE_ARRAY, TYPE_DICTIONARY:
			return "%d elements" % value.size()
	if typeof(value) > TYPE_PACKED_BYTE_ARRAY:
		var start := Printable.name(str(value.slice(0, MOST_ELEMENTS)).left(LONGEST_TEXT))
		return (
			start if value.size() <= MOST_ELEMENTS else "%s … %d elements" % [start, value.size()]
		)
	return Printable.name(str(value).left(LONGEST_TEXT))


## Returns bytes as text, which a struct has for names, or else in hexadecimal.
static func _bytes(value: PackedByteArray) -> String:
	var end := value.find(0)
	var text := value.slice(0, end if end >= 0 else value.size())
	var is_text := not text.is_empty()
	for byte in text.slice(0, LONGEST_TEXT):
		is_text = is_text and byte >= 0x20 and byte < 0x7f
	if is_text:
		var shown := Printable.literal(text.slice(0, LONGEST_TEXT).get_string_from_ascii())
		return _cut(shown, text.size(), "bytes")
	var hex := value.slice(0, MOST_ELEMENTS).hex_encode()
	var pairs := PackedStringArray()
	for at in range(0, hex.length(), 2):
		pairs.append(hex.substr(at, 2))
	var rest := "" if value.size() <= MOST_ELEMENTS else " …"
	return "%s%s (%d bytes)" % [" ".join(pairs), rest, value.size()]


static func _cut(shown: String, length: int, unit: String) -> String:
	return shown if length <= LONGEST_TEXT else "%s … %d %s" % [shown, length, unit]


static func _step(key: Variant, is_first: bool) -> String:
	if key is String and key.length() <= LONGEST_TEXT and key.is_valid_identifier():
		return key if is_first else "." + key
	return "[%s]" % text_of(key)
