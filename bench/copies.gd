extends RefCounted
## Copies of 64 B to 8 MiB: into the memory and out of it, and the same bytes by other ways that
## Godot has.

const Loop := preload("loop.gd")
const Segments := preload("segments.gd")

const SIZES: Array[int] = [64, 4096, 65_536, 1_048_576, 8_294_400]

## The files are written so that another process sees the bytes. StreamPeerBuffer.put_data is a
## memcpy into memory that the engine has already: PackedByteArray.duplicate() would not do, as it
## copies nothing until somebody writes.
const WRITE := {
	"write": "shm.write(bytes, 0)",
	"write_image": "shm.write_image(image, 0)",
	"write_image, padded rows": "shm.write_image(image, 0, padded)",
	"write_image, rows upwards": "shm.write_image(image, last_row, -padded)",
	"FileAccess, /dev/shm": "file.seek(0); file.store_buffer(bytes); file.flush()",
	"FileAccess, disk": "disk.seek(0); disk.store_buffer(bytes); disk.flush()",
	"memcpy (StreamPeerBuffer.put_data)": "buffer.seek(0); buffer.put_data(bytes)",
}
## The files are opened each time. One that stays open answers small reads from its own buffer, and
## never sees later writes of another process. slice() is a copy into a fresh array, as read() is.
const READ := {
	"read": "shm.read(size, 0)",
	"read_into": "shm.read_into(into, 0)",
	"read_image": "shm.read_image(image, 0)",
	"read_image, padded rows": "shm.read_image(image, 0, padded)",
	"read_image, rows upwards": "shm.read_image(image, last_row, -padded)",
	"FileAccess, /dev/shm": "FileAccess.open(path, FileAccess.READ).get_buffer(size)",
	"FileAccess, disk": "FileAccess.open(disk_path, FileAccess.READ).get_buffer(size)",
	"copy to a new array (slice)": "bytes.slice(0)",
}

## The size of an image of 1080p, whose rows are measured with padding behind them as well.
const FULL_HD := 1920 * 1080 * 4
const PADDING := 64

const ROUNDS := 25
const BATCH_USEC := 4_000


func run(options: Dictionary) -> Dictionary:
	var result := {"write": {}, "read": {}}
	for size in SIZES:
		print("==> copies of %d bytes" % size)
		var measured := _measure(size, options.prefix + "copies", options.folder)
		result.write[size] = measured[0]
		result.read[size] = measured[1]
	return result


func _measure(size: int, name: String, folder: String) -> Array[Dictionary]:
	var bytes := PackedByteArray()
	bytes.resize(size)
	bytes.fill(0x5A)
	var into := PackedByteArray()
	into.resize(size)
	var image := _image_of(bytes)
	var padded := size / image.get_height() + PADDING
	var shm := Segments.create(name, image.get_height() * padded)
	shm.fill(0x5A)
	# On Linux a segment is a file: FileAccess gets the very same bytes.
	var path := "/dev/shm/" + name
	var disk_path := folder.path_join("copies.bin")
	var variables := {
		"shm: SharedMemory": shm,
		"size: int": size,
		"bytes: PackedByteArray": bytes,
		"into: PackedByteArray": into,
		"image: Image": image,
		"padded: int": padded,
		"last_row: int": (image.get_height() - 1) * padded,
		"path: String": path,
		"disk_path: String": disk_path,
		"file: FileAccess": FileAccess.open(path, FileAccess.READ_WRITE),
		"disk: FileAccess": FileAccess.open(disk_path, FileAccess.WRITE),
		"buffer: StreamPeerBuffer": StreamPeerBuffer.new(),
	}
	var result: Array[Dictionary] = [
		Loop.compare(WRITE, variables, ROUNDS, BATCH_USEC),
		Loop.compare(READ, variables, ROUNDS, BATCH_USEC),
	]
	if (
		into != bytes
		or image.get_data() != bytes
		or FileAccess.get_file_as_bytes(disk_path) != bytes
	):
		push_error("a copy of %d bytes is not what was written" % size)
	DirAccess.remove_absolute(disk_path)
	return result


func _image_of(bytes: PackedByteArray) -> Image:
	if bytes.size() == FULL_HD:
		return Image.create_from_data(1920, 1080, false, Image.FORMAT_RGBA8, bytes)
	var width := mini(bytes.size(), 4096)
	var height := bytes.size() / width
	return Image.create_from_data(width, height, false, Image.FORMAT_L8, bytes)
