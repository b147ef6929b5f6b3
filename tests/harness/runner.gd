extends SceneTree
## Runs the tests of one file: harness/gdscript.py starts it, harness/judge.py reads its marks.

const TestCase := preload("res://test_case.gd")


func _initialize() -> void:
	run(self)


static func run(tree: SceneTree) -> void:
	var options := _options()
	seed(int(options.seed))
	var script: GDScript = load(options.file)
	if script == null or not script.can_instantiate():
		# Godot has printed why.
		tree.quit(1)
		return

	var tests: PackedStringArray = options.tests.split(",")
	var ran := 0
	var assertions := 0
	for test in tests:
		TestCase.mark("begin", {"test": test})
		var began := Time.get_ticks_usec()
		var case: TestCase = script.new()
		case.prefix = options.prefix
		await case.call(test)
		case.settle()
		ran += 1
		assertions += case.assertions
		var seconds := (Time.get_ticks_usec() - began) / 1e6
		# The test object drops its objects before the end: errors that they print are the test's, too.
		var made := case.assertions
		case = null
		TestCase.mark("end", {"test": test, "assertions": made, "seconds": seconds})
	TestCase.mark("done", {"tests": ran, "assertions": assertions})
	tree.quit()


static func _options() -> Dictionary:
	var options := {}
	for argument in OS.get_cmdline_user_args():
		var parts := argument.trim_prefix("--").split("=", true, 1)
		options[parts[0]] = parts[1]
	return options
