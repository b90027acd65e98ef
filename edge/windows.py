"""Cutting time into windows. Pure.

Windows are `length_s` long and start at multiples of it. In media a tail shorter than `tail_s` joins the window before
it, and a clip shorter than one window is one window, so that no clip is rejected and none ends in a scrap.
"""

from __future__ import annotations


class WindowCutter:
    """Says which windows are over as time goes on.

    >>> cutter = WindowCutter(length_s=3.0, tail_s=1.0)
    >>> cutter.advance(4.2)
    [(0.0, 3.0)]
    >>> cutter.finish(6.4)
    [(3.0, 6.4)]

    With a tail a window is held back until `tail_s` beyond its end has been seen: only then is it known that no tail
    will join it. Live capture has no tail (`tail_s=0`) and waits for nothing.
    """

    def __init__(self, *, length_s: float, tail_s: float, start_s: float = 0.0) -> None:
        self._length_s = length_s
        self._tail_s = tail_s
        self._start_s = start_s

    def advance(self, now_s: float) -> list[tuple[float, float]]:
        """Return the windows (start, end) that are over once everything before `now_s` has been seen."""
        cut = []
        while now_s >= self._start_s + self._length_s + self._tail_s:
            end_s = self._start_s + self._length_s
            cut.append((self._start_s, end_s))
            self._start_s = end_s
        return cut

    def finish(self, end_s: float) -> list[tuple[float, float]]:
        """Return the windows that remain when the clip ends at `end_s`; none if nothing lies after the last cut."""
        cut = self.advance(end_s)
        if end_s > self._start_s:
            cut.append((self._start_s, end_s))
            self._start_s = end_s
        return cut
