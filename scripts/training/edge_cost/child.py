"""One way in a process of its own: `python -m training.edge_cost.child WAY MEDIA NETS DETECTOR`.

MEDIA is the folder that `measure.write_media` wrote. Prints one JSON line when everything is loaded and warm; then, for
each number N on standard input, plays the next N windows and prints one JSON line. Only what a way does with frames and
sound is timed; reading them is not.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.bench_child import peak_kb
from training.edge_cost.ways import CAMERA_FPS, WAYS, WINDOW_S, Hearing, Picture, Player, Voice, Way

FRAME = (480, 640, 3)
WINDOW_FRAMES = round(WINDOW_S * CAMERA_FPS)


class Media:
    """The scene, again and again, window by window."""

    def __init__(self, folder: Path) -> None:
        self._frames = folder / "frames.raw"
        self._count = self._frames.stat().st_size // int(np.prod(FRAME)) // WINDOW_FRAMES
        self._pcm = np.load(folder / "sound.npy").reshape(self._count, -1)
        self._wide = np.load(folder / "sound-wide.npy").reshape(self._count, -1)

    def frames(self, window: int, every: int) -> Iterator[Picture]:
        """Yield every `every`-th frame of a window."""
        for number in range(0, WINDOW_FRAMES, every):
            index = window % self._count * WINDOW_FRAMES + number
            image = np.fromfile(self._frames, np.uint8, int(np.prod(FRAME)), offset=index * int(np.prod(FRAME)))
            yield Picture((window * WINDOW_FRAMES + number) / CAMERA_FPS, image.reshape(FRAME))

    def sound(self, window: int) -> Voice:
        """Return the sound of a window."""
        return Voice(window * WINDOW_S, self._pcm[window % self._count], self._wide[window % self._count])


def main(name: str, media: str, nets: str, detector: str) -> None:
    """Load, say so, and play as often as asked."""
    way, scene = WAYS[name], Media(Path(media))
    player = make_player(way, Path(nets), detector)
    play(player, way, scene, 0)
    print(json.dumps({"note": player.note}), flush=True)
    window = 1
    for line in sys.stdin:
        found, before = {"cpu_s": 0.0, "media_s": 0.0}, player.faces
        for _ in range(int(line)):
            found["cpu_s"] += play(player, way, scene, window)
            found["media_s"] += WINDOW_S
            window += 1
        print(json.dumps(found | {"faces": player.faces - before, "peak_kb": peak_kb()}), flush=True)


def play(player: Player, way: Way, media: Media, window: int) -> float:
    """Play one window and return the processor time that it took, seconds of all threads."""
    cpu_s = 0.0
    for picture in media.frames(window, way.every):
        started = time.process_time()
        player.see(picture)
        cpu_s += time.process_time() - started
    if isinstance(player, Hearing):
        voice = media.sound(window)
        started = time.process_time()
        player.hear(voice)
        cpu_s += time.process_time() - started
    return cpu_s


def make_player(way: Way, nets: Path, detector: str) -> Player:
    """Return what plays the way. Imports only what it needs, so that memory is its own."""
    if way.kind == "mien":
        from training.edge_cost.mien import Mien

        return Mien(detector)
    if way.kind == "seeds":
        from training.edge_cost.seeds import Seeds

        return Seeds(way, nets)
    from training.edge_cost.fer_package import Fer

    return Fer()


if __name__ == "__main__":
    main(*sys.argv[1:])
