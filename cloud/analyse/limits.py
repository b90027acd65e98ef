"""How much an analysis may be and take."""

from __future__ import annotations

from dataclasses import dataclass

MEGA = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is accepted, and what a child process gets. The first two are options of `mien-cloud serve`."""

    max_bytes: int = 200 * MEGA
    """Of all files of one analysis together."""
    max_duration_s: float = 600.0
    """Of one file of sound or video."""
    max_files: int = 4
    max_pixels: int = 50 * MEGA
    """Of a picture, or of one frame of a video: what today's phones take, in 300 MB of memory."""
    max_active: int = 9
    """Analyses that are uploaded, wait or run; more are asked to come back."""
    max_own: int = 3
    """Of one person."""
    max_stored: int = 100
    """Results of one person that are kept at a time."""
    memory_bytes: int = 1_000 * MEGA
    """That a child may take beyond what it has once its models are loaded."""
    open_cpu_s: int = 20
    """Processor seconds for finding out what a file is."""
    cpu_per_second: float = 4.0
    """Processor seconds for each second of media; besides, `least_cpu_s`."""
    least_cpu_s: int = 60
    silence_s: float = 300.0
    """A child that has not said anything for so long hangs."""
    result_s: float = 86_400.0
    """For which a result is kept where the user does not ask for more."""
    most_keep_days: int = 90
    max_live: int = 4
    """Webcam pages at a time: each has a child process of its own."""
    live_bytes: int = 240_000
    """Of one picture of the webcam page; uvicorn cuts off beyond it."""
    live_pixels: int = 2 * MEGA
