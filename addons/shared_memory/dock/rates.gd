@tool
extends RefCounted
## Messages per second, from the numbers of messages at two looks.

## Shorter times give rates that jump.
const SHORTEST_USEC := 1_000_000
## More messages per second are not possible: another program has written any number.
const MOST := 100_000_000

var _samples := {}


## Takes a look at a segment. Returns its messages per second, or -1 if that isn't known yet.
func follow(key: String, segment: Dictionary) -> float:
	var now := Time.get_ticks_usec()
	var count: int = segment.get("sequence", 0)
	var incarnation: int = segment.get("incarnation", 0)
	var sample: Dictionary = _samples.get(key, {})
	if incarnation == 0:
		_samples.erase(key)
		return -1.0
	if sample.get("incarnation", 0) != incarnation or count < sample["count"]:
		sample = {"incarnation": incarnation, "count": count, "time": now, "rate": -1.0}
		_samples[key] = sample
	elif now - sample["time"] >= SHORTEST_USEC:
		var rate: float = (count - sample["count"]) * 1e6 / (now - sample["time"])
		sample.merge({"count": count, "time": now, "rate": rate if rate < MOST else -1.0}, true)
	return sample["rate"]


## Forgets the segments that are not among these.
func keep(keys: Dictionary) -> void:
	for key: String in _samples.keys():
		if not keys.has(key):
			_samples.erase(key)
