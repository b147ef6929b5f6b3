#!/usr/bin/env python3
"""Make the zip that users install.

    package.py [--libraries FOLDER] [--checksum] ZIP ADDON_FOLDER EXTRA_FILE...

Everything stands under addons/<name of the folder>/. Order, dates and permissions are fixed, so that the
same files give the same zip, whoever makes it.

    --libraries FOLDER   take the libraries from there, instead of from the addon's bin/
    --checksum           write ZIP.sha256 as well, as `sha256sum --check` reads it
"""

import argparse
import hashlib
import os
import pathlib
import sys
import zipfile

# The first that a zip can name.
DATE = (1980, 1, 1, 0, 0, 0)


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--libraries", type=pathlib.Path)
    parser.add_argument("--checksum", action="store_true")
    parser.add_argument("archive", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("extra", type=pathlib.Path, nargs="*")
    return parser.parse_args()


def entries(options):
    for file in options.folder.rglob("*"):
        relative = file.relative_to(options.folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        elsewhere = options.libraries and relative.parts[0] == "bin"
        if file.is_file() and not hidden and not elsewhere:
            yield relative.as_posix(), file
    if options.libraries:
        for file in options.libraries.iterdir():
            yield f"bin/{file.name}", file
    for file in options.extra:
        yield file.name, file


def main():
    options = arguments()
    unfinished = options.archive.with_suffix(".new")
    with zipfile.ZipFile(
        unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9
    ) as output:
        for name, file in sorted(entries(options)):
            entry = zipfile.ZipInfo(f"addons/{options.folder.name}/{name}", DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # As on a Unix system, where the file is a plain one that everybody may read.
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            output.writestr(entry, file.read_bytes())
            print(f"    {entry.filename}", file=sys.stderr)
    os.replace(unfinished, options.archive)
    if options.checksum:
        digest = hashlib.sha256(options.archive.read_bytes()).hexdigest()
        line = f"{digest}  {options.archive.name}\n"
        checksum = options.archive.with_name(options.archive.name + ".sha256")
        checksum.write_bytes(line.encode())


if __name__ == "__main__":
    main()
