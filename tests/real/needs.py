"""Names the files that this CPython reads to start and to run the imports before this text, one a line."""
import glob
import site
import sys

for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None)
    if file:
        print(file)
    # A module may have put another in its place, as collections.abc does; its package is still there.
    for folder in getattr(module, "__path__", ()):
        print(*glob.glob(glob.escape(folder) + "/*.py"), sep="\n")
