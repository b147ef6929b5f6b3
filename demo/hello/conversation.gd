extends RefCounted
## One side of a conversation between two programs in one piece of shared memory.
##
## The other side is demo/python/chat.py.

# What is in the memory (numbers have 32 bits and are little-endian):
#
#     Godot   partner
#     0x000   0x200   text          UTF-8, ends with a zero byte: at most 491 bytes before it
#     0x1EC   0x3EC   mark          the letters CHAT
#     0x1F0   0x3F0   session       drawn at random when a side joins; 0: nobody is here
#     0x1F4   0x3F4   counter       up by 2 with each message; odd: the text is being written
#     0x1F8   0x3F8   seen session  \ the message of the other side that this side
#     0x1FC   0x3FC   seen counter  / has read last; counter 0: it has seen the other side join
#
# Each side writes its own half only, and Godot's text is where a program looks that knows nothing
# of all this: at the start.
#
# * Writing: counter + 1, the text, counter + 1 again. Reading: the numbers, the text, the session
#   and counter again; if these changed or the counter is odd, the text may be a mixture, and is
#   read again later. (The order of two stores is the order in which the other side sees them on
#   x86. ARM does not promise it; the time that passes between two calls makes it so in practice.)
# * The memory may outlive a program that was killed, and then still holds its words. So a side
#   counts only if it has "seen session" right, which it can only have from looking at the memory
#   after this side joined.
# * A side writes its next message once the last one was seen, or has waited for
#   SEEN_TIMEOUT_MSEC.

signal message_received(text: String)

const SIZE := 1024
const GODOT := 0x000
const PARTNER := 0x200

const TEXT_SIZE := 0x1EC
const MARK_AT := 0x1EC
const NUMBERS_AT := 0x1F0
const SEEN_AT := 0x1F8
const MARK := "CHAT"

const SEEN_TIMEOUT_MSEC := 1000

var _memory: SharedMemory
var _mine: int
var _theirs: int
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


func _init(memory: SharedMemory, side := GODOT) -> void:
	_memory = memory
	_mine = side
	_theirs = PARTNER if side == GODOT else GODOT


## Whether a text can be said: it has at most [code]TEXT_SIZE - 1[/code] bytes.
static func fits(text: String) -> bool:
	return text.to_utf8_buffer().size() < TEXT_SIZE


## Does the partner's half bear the mark of a conversation?
func has_partner_mark() -> bool:
	return _memory.read(4, _theirs + MARK_AT) == MARK.to_ascii_buffer()


## Enters the conversation: from here on this side's half of the memory is written to.
func join() -> void:
	if _joined:
		return
	_joined = true
	_session = maxi(1, randi())
	_write_numbers(NUMBERS_AT, [_session, 0, 0, 0])
	_memory.write(MARK.to_ascii_buffer(), _mine + MARK_AT)


func is_joined() -> bool:
	return _joined


## Says goodbye. The last text stays.
func leave() -> void:
	if _joined and not _overwritten:
		_write_numbers(NUMBERS_AT, [0, 0])
	_joined = false


## Hands over a text that [method fits]. It is in the memory at once, unless an earlier one waits to
## be seen.
func say(text: String) -> void:
	join()
	_unsent.append(text)
	_write_next()


## Has the partner seen everything that was said?
func is_all_seen() -> bool:
	return _was_seen and _unsent.is_empty()


func is_partner_here() -> bool:
	return _partner_here


## Has another program written over this side? There is no conversation then.
func is_overwritten() -> bool:
	return _overwritten


## Looks at the memory; to be called in every frame. Emits [signal message_received].
func poll() -> void:
	if not _joined:
		return
	var mine := _read_numbers(_mine)
	_overwritten = not mine.is_empty() and mine[0] != _session
	if mine.is_empty() or _overwritten:
		_partner_here = false
		return
	var theirs := _read_numbers(_theirs)
	if theirs.is_empty():
		return
	var session := theirs[0] if has_partner_mark() else 0
	if session != 0 and session != _seen_session:
		_see(session, 0)
	_partner_here = session != 0 and theirs[2] == _session
	# A partner who has left has not taken back what it had seen.
	if theirs[2] == _session and theirs[3] == _counter:
		_was_seen = true
	if _partner_here:
		_read_message(session, theirs[1])
	_write_next()


func _read_message(session: int, counter: int) -> void:
	if counter == _seen_counter or counter == 0 or counter % 2 == 1:
		return
	var bytes := _memory.read(TEXT_SIZE, _theirs)
	var numbers := _read_numbers(_theirs)
	if numbers.is_empty() or numbers[0] != session or numbers[1] != counter:
		return
	_see(session, counter)
	message_received.emit(bytes.get_string_from_utf8())


func _write_next() -> void:
	var seen_or_late := _was_seen or Time.get_ticks_msec() >= _written_at + SEEN_TIMEOUT_MSEC
	if _unsent.is_empty() or not seen_or_late:
		return
	var text: String = _unsent.pop_front()
	var bytes := text.to_utf8_buffer()
	var zeros := PackedByteArray()
	zeros.resize(TEXT_SIZE - bytes.size())
	zeros.fill(0)
	bytes.append_array(zeros)
	_write_numbers(NUMBERS_AT, [_session, _counter + 1])
	_memory.write(bytes, _mine)
	_counter += 2
	_write_numbers(NUMBERS_AT, [_session, _counter])
	_was_seen = false
	_written_at = Time.get_ticks_msec()


func _see(session: int, counter: int) -> void:
	_seen_session = session
	_seen_counter = counter
	_write_numbers(SEEN_AT, [session, counter])


## Session, counter, seen session, seen counter; empty if the memory cannot be read.
func _read_numbers(side: int) -> PackedInt64Array:
	var bytes := _memory.read(16, side + NUMBERS_AT)
	var numbers := PackedInt64Array()
	for at in range(0, bytes.size(), 4):
		numbers.append(bytes.decode_u32(at))
	return numbers


func _write_numbers(offset: int, numbers: PackedInt64Array) -> void:
	var bytes := PackedByteArray()
	bytes.resize(4 * numbers.size())
	for index in numbers.size():
		bytes.encode_u32(4 * index, numbers[index])
	_memory.write(bytes, _mine + offset)
