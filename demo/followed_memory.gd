extends SharedMemory
## Memory that another program makes, found again after that program has ended or was restarted.

## The memory is closed: its name is gone or leads to another memory, or it was truncated.
signal lost

const CHECK_SECONDS := 0.5

var _followed_name: String
var _least_size: int
var _found := false
var _checked_ago := 0.0


func _init(followed_name: String, least_size := 0) -> void:
	_followed_name = followed_name
	_least_size = least_size


## Opens the memory if there is one, and returns whether it is open. To be called in each frame.
func follow(delta: float) -> bool:
	_checked_ago += delta
	if _checked_ago > CHECK_SECONDS:
		_checked_ago = 0.0
		if _found and not is_current():
			_found = false
			close()
			lost.emit()
	_found = is_open() or open(_followed_name, _least_size) == OK or _found
	return is_open()
