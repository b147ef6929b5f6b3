extends Control
## Shows what another program measures, as it comes: a "simulator" in Python, 120 times a second.

const Record := preload("res://telemetry/record.gd")
const Gauge := preload("res://telemetry/gauge.gd")
const Plot := preload("res://telemetry/plot.gd")

const NAME_CHECK_SECONDS := 0.5

## How many records were read, of all simulators so far.
var records := 0
var memory := SharedMemory.new()
var record := Record.new()

var _name_checked_ago := 0.0
var _second := 0.0
var _in_this_second := 0
var _rate := 0

@onready var _speed_gauge: Gauge = %SpeedGauge
@onready var _rpm_gauge: Gauge = %RpmGauge
@onready var _plot: Plot = %Plot
@onready var _gear_label: Label = %GearLabel
@onready var _throttle_bar: ProgressBar = %ThrottleBar
@onready var _brake_bar: ProgressBar = %BrakeBar
@onready var _steering_slider: HSlider = %SteeringSlider
@onready var _status_label: Label = %StatusLabel


func _process(delta: float) -> void:
	if not memory.is_open() and memory.open(Record.NAME) != OK:
		_status_label.text = "Waiting for a simulator: python3 demo/python/simulator.py"
		return
	_check_name(delta)
	if record.read_from(memory):
		records += 1
		_in_this_second += 1
		_show_record()
	_second += delta
	if _second >= 1.0:
		_rate = _in_this_second
		_in_this_second = 0
		_second = 0.0
	_status_label.text = (
		"%s, %d bytes: record %d; %d new ones in a second, at %d frames"
		% [
			memory.get_native_name(),
			memory.get_size(),
			record.sequence / 2,
			_rate,
			Engine.get_frames_per_second(),
		]
	)


## A simulator that has ended takes the name with it; one that has started anew has made another
## memory.
func _check_name(delta: float) -> void:
	_name_checked_ago += delta
	if _name_checked_ago > NAME_CHECK_SECONDS:
		_name_checked_ago = 0.0
		if not memory.is_current():
			memory.close()
			record.sequence = 0


func _show_record() -> void:
	_speed_gauge.value = record.speed
	_rpm_gauge.value = record.rpm
	_gear_label.text = "R" if record.gear < 0 else str(record.gear)
	_throttle_bar.value = record.throttle
	_brake_bar.value = record.brake
	_steering_slider.value = record.steering
	_plot.add(record.time, [record.speed, record.throttle * 100.0, record.brake * 100.0])
