#!/usr/bin/env python3
"""Make the zip that users install.

    package.py ZIP ADDON_FOLDER EXTRA_FILE...

Everything stands under addons/<name of the folder>/. Order, dates and permissions are fixed, so that the
same files give the same zip, whoever makes it.
"""

import os
import pathlib
import sys
import zipfile

# The first that a zip can name.
DATE = (1980, 1, 1, 0, 0, 0)


def entries(folder, extra):
    for file in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.is_file() and not hidden:
            yield file.relative_to(folder).as_posix(), file
    for file in extra:
        yield file.name, file


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    archive, folder, *extra = map(pathlib.Path, sys.argv[1:])

    unfinished = archive.with_suffix(".new")
    with zipfile.ZipFile(
        unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9
    ) as output:
        for name, file in sorted(entries(folder, extra)):
            entry = zipfile.ZipInfo(f"addons/{folder.name}/{name}", DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # As on a Unix system, where the file is a plain one that everybody may read.
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            output.writestr(entry, file.read_bytes())
            print(f"    {entry.filename}", file=sys.stderr)
    os.replace(unfinished, archive)


if __name__ == "__main__":
    main()
