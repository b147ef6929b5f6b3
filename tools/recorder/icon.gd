extends SceneTree
## Draws an SVG file as PNG, for ./build.sh pictures icon. Its words are both files, and the factor.


func _initialize() -> void:
	var words := OS.get_cmdline_user_args()
	var image := Image.new()
	var error := image.load_svg_from_string(
		FileAccess.get_file_as_string(words[0]), words[2].to_float()
	)
	if error == OK:
		error = image.save_png(words[1])
	quit(error)
