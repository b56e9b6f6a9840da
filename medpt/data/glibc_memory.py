"""Memory that is used again: large images cost more to allocate than to decode.

The C library of Linux gives every large array back to the system when it is freed, and the next one faults
its pages in anew. For a JPEG of 4000 x 4000 that is more than half of the time of preparing it. Where there
is no such library, this file does nothing.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # of malloc.h
KEEPING = {M_TRIM_THRESHOLD: 2**31 - 1, M_MMAP_MAX: 0}
USUAL = {M_TRIM_THRESHOLD: 2**26, M_MMAP_THRESHOLD: 2**25, M_MMAP_MAX: 65_536}  # what glibc adapts itself to


@contextmanager
def kept() -> Iterator[None]:
    """What the process frees within stays with it, and goes back to the system at the end."""
    library = ctypes.CDLL(None)
    if sys.platform != "linux" or not hasattr(library, "mallopt"):
        yield
        return
    _set(library, KEEPING)
    try:
        yield
    finally:
        _set(library, USUAL)
        library.malloc_trim(0)


def _set(library: ctypes.CDLL, values: dict[int, int]) -> None:
    for name, value in values.items():
        library.mallopt(name, value)
