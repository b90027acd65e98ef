"""How much memory this process holds, and whether that grows."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from scipy.stats import theilslopes

Sample = Mapping[str, float]

MEASURES = ("rss_mb", "c_heap_mb", "python_blocks")
"""What must not grow: resident memory; what malloc has given out and not got back (arrays, models, SQLite); small
Python objects, by the interpreter's own count. The latter two know nothing of fragmentation and hardly of noise."""

CONFIDENCE = 0.95


class _Mallinfo2(ctypes.Structure):
    """`struct mallinfo2` of malloc.h, glibc 2.33 and later."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks"),
            "keepcost",
        )
    )


def sample() -> dict[str, float]:
    """Return `MEASURES` of this process after a garbage collection, with its threads and open files.

    The interpreter's cache of attribute look-ups is emptied as well. It holds up to 4096 names, and fills for hours:
    each match of a class pattern and each MQTT property looks an attribute up by a string made anew.
    `c_heap_mb` is left out where the C library does not tell (before glibc 2.33, or another one).
    """
    gc.collect()
    _clear_caches()
    found = {
        "rss_mb": _resident_mb(),
        "python_blocks": float(sys.getallocatedblocks()),
        "threads": float(_count("/proc/self/task")),
        "files": float(_count("/proc/self/fd")),
    }
    call = _mallinfo2()
    if call is not None:
        told = call()
        found["c_heap_mb"] = (told.uordblks + told.hblkhd) / 2**20
    return found


def slope_per_hour(samples: Sequence[Sample], measure: str) -> tuple[float, float, float]:
    """Return how fast a measure grows per hour and the ends of its 95 % interval: Theil's and Sen's median slope.

    The median of the slopes between all pairs: a step when a buffer is first used, or a few odd samples, do not count
    as growth. Samples need `hour`. Raises ValueError with fewer than two.
    """
    hours = np.array([each["hour"] for each in samples])
    values = np.array([each[measure] for each in samples])
    if len(samples) < 2:
        raise ValueError("a slope needs two samples")
    slope, _, low, high = theilslopes(values, hours, CONFIDENCE)
    return float(slope), float(low), float(high)


def _clear_caches() -> None:
    # From Python 3.13 on the one, before that the other.
    clear = getattr(sys, "_clear_internal_caches", None) or getattr(sys, "_clear_type_cache", None)
    if clear is not None:
        clear()


def _count(folder: str) -> int:
    return len(list(Path(folder).iterdir()))


def _resident_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@cache
def _mallinfo2() -> ctypes._NamedFuncPointer | None:
    call = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if call is not None:
        call.restype = _Mallinfo2
    return call
