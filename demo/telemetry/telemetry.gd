extends Control
## Shows the instruments of a car, which demo/python/simulator.py publishes 120 times per second.

signal state_changed

enum State { WAITING, LIVE, SILENT }

const FollowedMemory := preload("res://followed_memory.gd")
const Record := preload("res://telemetry/record.gd")
const Gauge := preload("res://telemetry/gauge.gd")
const Bar := preload("res://telemetry/bar.gd")
const Plot := preload("res://telemetry/plot.gd")

const SILENT_SECONDS := 1.0

const TEXTS: Array[String] = [
	"Waiting for the simulator: python3 demo/python/simulator.py",
	"The simulator is here.",
	"The simulator is silent: it hangs, or was killed.",
]
const COLORS: Array[Color] = [Color("8c97a8"), Color("7fd08f"), Color("f0a860")]
const FADED := Color(1, 1, 1, 0.4)

## The number of records read so far, from all simulators.
var records := 0
var memory := FollowedMemory.new(Record.NAME)
var record := Record.new()
var state := State.WAITING

var _record_read_ago := 0.0
var _second := 0.0
var _in_this_second := 0

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
	memory.lost.connect(_on_memory_lost)
	_show_state()


func _process(delta: float) -> void:
	if memory.follow(delta):
		_read(delta)
	_show_rate(delta)


## Returns what the instruments show, in words.
func describe() -> String:
	return (
		"record %d: %.1f km/h, %.0f rpm, gear %s, throttle %.2f, brake %.2f"
		% [
			record.sequence >> 1,
			_speed_gauge.value,
			_rpm_gauge.value,
			_gear_label.text,
			_throttle_bar.value,
			_brake_bar.value,
		]
	)


func _on_memory_lost() -> void:
	record.sequence = 0
	_change_state(State.WAITING)


func _read(delta: float) -> void:
	_record_read_ago += delta
	if record.read_from(memory):
		records += 1
		_in_this_second += 1
		_record_read_ago = 0.0
		_show_record()
		_change_state(State.LIVE)
	elif state == State.LIVE and _record_read_ago > SILENT_SECONDS:
		_change_state(State.SILENT)


func _change_state(new_state: State) -> void:
	if new_state != state:
		state = new_state
		_show_state()
		state_changed.emit()


func _show_state() -> void:
	_status_light.modulate = COLORS[state]
	_status_label.text = TEXTS[state]
	_instruments.modulate = Color.WHITE if state == State.LIVE else FADED
	_course.modulate = _instruments.modulate
	_memory_label.text = ""
	if memory.is_open():
		_memory_label.text = "%s, %d bytes" % [memory.get_native_name(), memory.get_size()]


func _show_record() -> void:
	_speed_gauge.value = record.speed
	_rpm_gauge.value = record.rpm
	_gear_label.text = str(record.gear)
	_throttle_bar.value = record.throttle
	_brake_bar.value = record.brake
	_steering_bar.value = record.steering
	_plot.add(record.time, [record.speed, record.throttle * 100.0, record.brake * 100.0])


func _show_rate(delta: float) -> void:
	_second += delta
	if _second >= 1.0:
		_rate_label.text = "%.0f records per second" % (_in_this_second / _second)
		_second = 0.0
		_in_this_second = 0
