extends RefCounted
## Godot's side of a conversation between two programs in one piece of shared memory.
##
## demo/python/chat.py is the other side, and explains the layout of the memory and the rules.

signal message_received(text: String)

const SIZE := 1024
const MINE := 0x000
const THEIRS := 0x200

const TEXT_SIZE := 0x1EC
const MARK_AT := 0x1EC
const SESSION_AT := 0x1F0
const COUNTER_AT := 0x1F4
const SEEN_AT := 0x1F8
const MARK := "CHAT"

const SEEN_TIMEOUT_MSEC := 1000

var _memory: SharedMemory
var _joined := false
var _session := 0
var _counter := 0
var _seen_session := 0
var _seen_counter := 0
var _was_seen := true
var _written_at := 0
var _unsent: Array[String] = []
var _partner_here := false
var _overwritten := false


func _init(memory: SharedMemory) -> void:
	_memory = memory


## Returns whether a text has at most [code]TEXT_SIZE - 1[/code] bytes.
static func fits(text: String) -> bool:
	return text.to_utf8_buffer().size() < TEXT_SIZE


## Returns whether the partner's half has the mark of a conversation.
func has_partner_mark() -> bool:
	return _memory.read_string(MARK.length(), THEIRS + MARK_AT) == MARK


## Enters the conversation. Before that, nothing is written to the memory.
func join() -> void:
	if _joined:
		return
	_joined = true
	_session = maxi(1, randi())
	_memory.pack("<4s4I", [MARK.to_ascii_buffer(), _session, 0, 0, 0], MINE + MARK_AT)


func is_joined() -> bool:
	return _joined


## Leaves the conversation. The last text stays in the memory.
func leave() -> void:
	if _joined and not _overwritten:
		_memory.pack("<2I", [0, 0], MINE + SESSION_AT)
	_joined = false


## Sends a text for which [method fits] is [code]true[/code]. It is in the memory at once, unless
## the partner has not seen the one before.
func say(text: String) -> void:
	join()
	_unsent.append(text)
	_write_next()


## Returns whether the partner has seen everything that was said.
func is_all_seen() -> bool:
	return _was_seen and _unsent.is_empty()


func is_partner_here() -> bool:
	return _partner_here


## Returns whether another program has written to Godot's half. That ends the conversation.
func is_overwritten() -> bool:
	return _overwritten


## Looks at the memory, and may emit [signal message_received]. To be called in each frame.
func poll() -> void:
	if not _joined:
		return
	var mine := _read_numbers(MINE)
	_overwritten = not mine.is_empty() and mine[0] != _session
	if mine.is_empty() or _overwritten:
		_partner_here = false
		return
	var theirs := _read_numbers(THEIRS)
	if theirs.is_empty():
		return
	var session: int = theirs[0] if has_partner_mark() else 0
	if session != 0 and session != _seen_session:
		_see(session, 0)
	_partner_here = session != 0 and theirs[2] == _session
	# A partner that has left keeps these two numbers.
	if theirs[2] == _session and theirs[3] == _counter:
		_was_seen = true
	if _partner_here:
		_read_message(session, theirs[1])
	_write_next()


func _read_message(session: int, counter: int) -> void:
	if counter == _seen_counter or counter == 0 or counter % 2 == 1:
		return
	var text := _memory.read_string(TEXT_SIZE, THEIRS)
	if _read_numbers(THEIRS).slice(0, 2) == [session, counter]:
		_see(session, counter)
		message_received.emit(text)


func _write_next() -> void:
	var seen_or_late := _was_seen or Time.get_ticks_msec() >= _written_at + SEEN_TIMEOUT_MSEC
	if _unsent.is_empty() or not seen_or_late:
		return
	_memory.encode_u32(MINE + COUNTER_AT, _counter + 1)
	_memory.fill(0, MINE, TEXT_SIZE)
	_memory.write_string(_unsent.pop_front(), MINE)
	_counter += 2
	_memory.encode_u32(MINE + COUNTER_AT, _counter)
	_was_seen = false
	_written_at = Time.get_ticks_msec()


func _see(session: int, counter: int) -> void:
	_seen_session = session
	_seen_counter = counter
	_memory.pack("<2I", [session, counter], MINE + SEEN_AT)


## Returns session, counter, seen session and seen counter; nothing if the memory can't be read.
func _read_numbers(side: int) -> Array:
	return _memory.unpack("<4I", side + SESSION_AT)
