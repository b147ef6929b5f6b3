extends RefCounted
## The record that demo/python/simulator.py publishes, and how to read it whole.
##
## [codeblock]
## struct telemetry {
##     uint32_t sequence;  // up by 2 with each record; odd: the record is being written
##     uint32_t seen;      // written by the reader: the last sequence that it has read
##     double time;        // seconds since the start
##     float speed;        // km/h
##     float rpm;
##     float throttle;     // 0 to 1
##     float brake;        // 0 to 1
##     float steering;     // -1 (left) to 1 (right)
##     int8_t gear;
##     float x, y;         // metres
## };
## [/codeblock]
## The sequence makes it a seqlock. A record is whole if the sequence is the same even number before
## and after reading. Otherwise the record may be torn, and the reader waits for the next one.

const NAME := "SharedMemoryTelemetry"
## The same text as in simulator.py. It describes the struct above as a C compiler lays it out.
const FORMAT := "@IId5fb2f"
const SEQUENCE_AT := 0
const SEEN_AT := 4

## The sequence of the last record that was read, or 0.
var sequence := 0
var time := 0.0
var speed := 0.0
var rpm := 0.0
var throttle := 0.0
var brake := 0.0
var steering := 0.0
var gear := 0
var place := Vector2.ZERO


## Reads the record in the memory, and returns whether it is a new one. Tells the simulator so.
func read_from(memory: SharedMemory) -> bool:
	var before := memory.decode_u32(SEQUENCE_AT)
	if before == sequence or before % 2 == 1:
		return false
	var values := memory.unpack(FORMAT)
	# The array is empty if another program has truncated the memory.
	if values.is_empty() or memory.decode_u32(SEQUENCE_AT) != before:
		return false
	sequence = before
	time = values[2]
	speed = values[3]
	rpm = values[4]
	throttle = values[5]
	brake = values[6]
	steering = values[7]
	gear = values[8]
	place = Vector2(values[9], values[10])
	memory.encode_u32(SEEN_AT, sequence)
	return true
