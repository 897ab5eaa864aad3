"""Pillow's process-wide switches, held in the strict position while pictures are decoded."""

from __future__ import annotations

import threading
import warnings
from types import TracebackType

from PIL import ImageFile


class StrictPillow:
    """A context that any number of threads may enter at once; the last one out restores everything.

    Truncated files are refused even where other code asked Pillow to load them
    (``LOAD_TRUNCATED_IMAGES``), and Pillow's warnings, about odd metadata or about sizes that the
    decoder checks itself, neither print nor raise.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._warnings = warnings.catch_warnings()
        self._truncated = False

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._warnings = warnings.catch_warnings()
                self._warnings.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
                self._truncated = ImageFile.LOAD_TRUNCATED_IMAGES
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                ImageFile.LOAD_TRUNCATED_IMAGES = self._truncated
                self._warnings.__exit__(kind, error, trace)


STRICT = StrictPillow()
"""The one instance: the switches are the process's."""
