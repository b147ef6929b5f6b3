extends Control
## Shows the instruments of a car, which demo/python/simulator.py publishes 120 times per second.
##
## A record is an array of numbers, in the order of [enum Field]. A program in any language can
## publish it.

signal state_changed

enum State { WAITING, LIVE, SILENT }
## Seconds; km/h; revolutions per minute; 0 to 1; 0 to 1; -1 (left) to 1 (right); the gear; metres.
enum Field { TIME, SPEED, RPM, THROTTLE, BRAKE, STEERING, GEAR, X, Y, COUNT }

const Gauge := preload("res://telemetry/gauge.gd")
const Bar := preload("res://telemetry/bar.gd")
const Plot := preload("res://telemetry/plot.gd")

const STREAM_NAME := "SharedMemoryTelemetry"
const SILENT_USEC := 1_000_000

const TEXTS: Array[String] = [
	"Waiting for a simulator, such as demo/python/simulator.py.",
	"The simulator is here.",
	"The simulator is silent: it hangs.",
]
const COLORS: Array[Color] = [Color("8c97a8"), Color("7fd08f"), Color("f0a860")]
const FADED := Color(1, 1, 1, 0.4)

var stream := SharedMemoryStream.new()
var state := State.WAITING
var record := PackedFloat32Array()
## The number of records read so far, from all simulators.
var records := 0

var _second := 0.0
var _read_before := 0
var _missed_before := 0

@onready var _instruments: Control = %Instruments
@onready var _speed_gauge: Gauge = %SpeedGauge
@onready var _rpm_gauge: Gauge = %RpmGauge
@onready var _gear_label: Label = %GearLabel
@onready var _throttle_bar: Bar = %ThrottleBar
@onready var _brake_bar: Bar = %BrakeBar
@onready var _steering_bar: Bar = %SteeringBar
@onready var _course: Control = %Course
@onready var _plot: Plot = %Plot
@onready var _status_light: Control = %StatusLight
@onready var _status_label: Label = %StatusLabel
@onready var _memory_label: Label = %MemoryLabel
@onready var _rate_label: Label = %RateLabel


func _ready() -> void:
	get_window().min_size = get_combined_minimum_size()
	stream.message_received.connect(_on_message_received)
	# The simulator may come later, end, be killed, and start again.
	stream.open(STREAM_NAME)
	_show_state()


func _process(delta: float) -> void:
	stream.poll()
	var new_state := _find_state()
	if new_state != state:
		state = new_state
		_show_state()
		state_changed.emit()
	_show_rate(delta)


## Returns what the instruments show, in words.
func describe() -> String:
	return (
		"%.3f s: %.1f km/h, %.0f rpm, gear %s, throttle %.2f, brake %.2f"
		% [
			record[Field.TIME],
			_speed_gauge.value,
			_rpm_gauge.value,
			_gear_label.text,
			_throttle_bar.value,
			_brake_bar.value,
		]
	)


func _find_state() -> State:
	if stream.get_writer_state() != SharedMemory.OWNER_ALIVE:
		return State.WAITING
	return State.LIVE if stream.get_age_usec() < SILENT_USEC else State.SILENT


func _on_message_received(value: Variant) -> void:
	# Another program may write anything.
	if value is PackedFloat32Array and value.size() == Field.COUNT:
		record = value
		records += 1
		_show_record()


func _show_state() -> void:
	_status_light.modulate = COLORS[state]
	_status_label.text = TEXTS[state]
	_instruments.modulate = Color.WHITE if state == State.LIVE else FADED
	_course.modulate = _instruments.modulate
	var memory := stream.get_memory()
	_memory_label.text = ""
	if memory != null:
		_memory_label.text = "%s, %d bytes" % [memory.get_native_name(), memory.get_size()]


func _show_record() -> void:
	_speed_gauge.value = record[Field.SPEED]
	_rpm_gauge.value = record[Field.RPM]
	_gear_label.text = "%.0f" % record[Field.GEAR]
	_throttle_bar.value = record[Field.THROTTLE]
	_brake_bar.value = record[Field.BRAKE]
	_steering_bar.value = record[Field.STEERING]
	var percents := [record[Field.THROTTLE] * 100.0, record[Field.BRAKE] * 100.0]
	_plot.add(record[Field.TIME], [record[Field.SPEED], percents[0], percents[1]])


func _show_rate(delta: float) -> void:
	_second += delta
	if _second < 1.0:
		return
	# The count of missed records begins again with new memory.
	var missed := stream.get_missed_count()
	var rates := [records - _read_before, maxi(0, missed - _missed_before)].map(
		func(count: int) -> float: return count / _second
	)
	_rate_label.text = "%.0f records per second, %.0f missed" % rates
	_second = 0.0
	_read_before = records
	_missed_before = missed
