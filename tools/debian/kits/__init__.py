"""The kits. Each is a module with

NUMBER        which goes up with every change that older downloads lack
WHAT          the words for it, with the size of the download
SUITES        names of releases; not every one must be there
PACKAGES      the packages; what they need comes as well
ARCHITECTURE  the processor, if it isn't this machine's
FETCHED       a regular expression: the packages to fetch even if the system has them installed
set_up(kit)   which makes the unpacked packages usable, and tries them
"""
