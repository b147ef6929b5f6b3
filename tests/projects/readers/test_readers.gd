extends "res://test_case.gd"
## The demos read data that changes concurrently whole or not at all.
##
## The writer is a thread that hardly pauses, with memory opened by name as another program's would
## be. Data written by the rules always agree with their number. Most of the other data don't.

const Record := preload("res://telemetry/record.gd")
const Frames := preload("res://video/frames.gd")

const MILLISECONDS := 1500
const ENOUGH := 20
const DOUBLE_AT := 8
const FLOATS_AT: Array[int] = [16, 20, 24, 28, 32, 40, 44]
## The size may change from picture to picture.
const SIZES: Array[Vector2i] = [Vector2i(128, 128), Vector2i(64, 96), Vector2i(1, 50)]


func test_records_are_whole() -> void:
	var memory := created(SharedMemory.calcsize(Record.FORMAT))
	var writer := Thread.new()
	writer.start(_write_records.bind(memory.get_name()))
	var record := Record.new()
	var found := 0
	var torn := []
	while writer.is_alive():
		if record.read_from(memory):
			found += 1
			var values := [record.time, record.speed, record.rpm, record.throttle, record.brake]
			values += [record.steering, record.place.x, record.place.y]
			if values.count(float(record.sequence)) != values.size():
				torn.append([record.sequence, values])
	assert_eq(writer.wait_to_finish(), OK, "the writer")
	assert_eq(torn.slice(0, 3), [], "torn records of %d" % found)
	assert_true(found > ENOUGH, "%d records" % found)


func test_pictures_are_whole() -> void:
	var memory := created(Frames.SIZE)
	var writer := Thread.new()
	writer.start(_write_pictures.bind(memory.get_name()))
	var frames := Frames.new(memory)
	var found := 0
	var torn := []
	while writer.is_alive():
		if frames.read():
			found += 1
			var pixels := frames.image.get_data()
			if pixels.count(frames.count % 256) != pixels.size():
				torn.append(frames.count)
	assert_eq(writer.wait_to_finish(), OK, "the writer")
	assert_eq(torn.slice(0, 3), [], "torn pictures of %d" % found)
	assert_true(found > ENOUGH, "%d pictures" % found)


func _write_records(name: String) -> Error:
	var memory := SharedMemory.new()
	var error := memory.open(name)
	var sequence := 0
	var end := Time.get_ticks_msec() + MILLISECONDS
	while error == OK and Time.get_ticks_msec() < end:
		sequence += 2
		memory.encode_u32(Record.SEQUENCE_AT, sequence - 1)
		memory.encode_double(DOUBLE_AT, sequence)
		for at in FLOATS_AT:
			memory.encode_float(at, sequence)
		memory.encode_u32(Record.SEQUENCE_AT, sequence)
		# Without any pause, hardly a record lasts as long as it takes to read.
		if sequence % 16 == 0:
			OS.delay_usec(1)
	return error


func _write_pictures(name: String) -> Error:
	var memory := SharedMemory.new()
	var error := memory.open(name)
	var frames := Frames.new(memory)
	var pictures := SIZES.map(
		func(size: Vector2i) -> Image:
			return Image.create_empty(size.x, size.y, false, Image.FORMAT_RGBA8)
	)
	var end := Time.get_ticks_msec() + MILLISECONDS
	while error == OK and Time.get_ticks_msec() < end:
		var value := (frames.count + 1) % 256
		var picture: Image = pictures[frames.count / 8 % pictures.size()]
		picture.fill(Color8(value, value, value, value))
		error = frames.write(picture)
	return error
