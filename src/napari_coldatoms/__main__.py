"""``python -m napari_coldatoms`` is the command line."""

from __future__ import annotations

import sys

from napari_coldatoms.cli import main

if __name__ == "__main__":
    sys.exit(main())
