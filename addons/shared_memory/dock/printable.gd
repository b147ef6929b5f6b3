@tool
extends RefCounted
## Texts as a person reads them. Names and contents come from any program, so no text may break a
## line, hide a part of itself, or be of any length.


## Returns a name with each character that can't be seen as an escape, such as [code]\n[/code].
static func name(raw: String) -> String:
	var shown := ""
	for character in raw:
		shown += character if _is_visible(character.unicode_at(0)) else _escape(character)
	return shown


## Returns a text as a literal of GDScript and Python.
static func literal(raw: String) -> String:
	var escaped := ""
	for character in raw:
		var code := character.unicode_at(0)
		if character in ['"', "\\"]:
			escaped += "\\" + character
		else:
			escaped += character if _is_visible(code) else _escape(character)
	return '"%s"' % escaped


## Returns a text as a literal of C, in UTF-8.
static func c_literal(raw: String) -> String:
	var escaped := ""
	for byte in raw.to_utf8_buffer():
		var is_plain := byte >= 0x20 and byte < 0x7f and not byte in [0x22, 0x5c, 0x3f]
		escaped += char(byte) if is_plain else "\\%03o" % byte
	return '"%s"' % escaped


## Returns a time in microseconds in the largest unit that fits. A negative one is unknown.
static func age(usec: int) -> String:
	var seconds := usec / 1e6
	if usec < 0:
		return ""
	if seconds < 1.0:
		return "%d ms" % roundi(seconds * 1e3)
	if seconds < 60.0:
		return "%.1f s" % seconds
	for unit: Array in [["min", 60.0, 60.0], ["h", 3600.0, 24.0], ["d", 86400.0, INF]]:
		if seconds < unit[1] * unit[2]:
			return "%d %s" % [floori(seconds / unit[1]), unit[0]]
	return ""


## Returns a number of bytes in the largest unit that fits.
static func size(bytes: int) -> String:
	if bytes < 1024:
		return "%d B" % bytes
	var amount := bytes / 1024.0
	var unit := 0
	while amount >= 1000.0:
		amount /= 1024.0
		unit += 1
	var digits := "%.1f" if amount < 100.0 else "%.0f"
	return "%s %s" % [digits % amount, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"][unit]]


## Returns whether a character is one that a font shows, in its place. Controls and the marks that
## change the direction of a line are not.
static func _is_visible(code: int) -> bool:
	var is_control := code < 0x20 or (code >= 0x7f and code < 0xa0)
	var is_mark := (code >= 0x200b and code <= 0x200f) or (code >= 0x2028 and code <= 0x202e)
	var is_isolate := code >= 0x2060 and code <= 0x206f
	return not (is_control or is_mark or is_isolate or code in [0xad, 0x61c, 0xfeff])


static func _escape(character: String) -> String:
	match character:
		"\n":
			return "\\n"
		"\t":
			return "\\t"
		"\r":
			return "\\r"
	return "\\u%04x" % character.unicode_at(0)
