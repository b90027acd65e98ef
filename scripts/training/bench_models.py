"""What a shipped model costs: latency, processor time, memory, beside the same net in float.

Every variant (a model in a runtime) lives in a process of its own, and they take turns, a few runs at a time: what
else the machine does hits all alike. Latency is that of `TfliteModel` or onnxruntime for one input on one thread, with
quantising the input and dequantising the output, as the device pays it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from edge.perception.manifest import load_manifest, verified_file
from training.bench_float import float_partner
from training.errors import TrainingError
from training.models import FOLDERS, ROOT
from training.second_runtime import PYTHON as SECOND_PYTHON

EXAMPLES = 16
WARM_UP = 20
ROUND = 25
"""Runs in a turn: long enough to have the caches warm again, short against what else a machine does."""

RUNTIMES = {"litert": "LiteRT", "tflite": "tflite-runtime", "onnx": "onnxruntime"}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One model file in one runtime."""

    model: str
    """Name in the manifest, e.g. face-edge."""
    task: str
    runtime: str
    """A key of `RUNTIMES`."""
    numbers: str
    """int8 or float32."""
    path: Path
    shipped: bool

    @property
    def title(self) -> str:
        """For progress and messages."""
        return f"{self.model} {self.numbers} {RUNTIMES[self.runtime]}"


@dataclass
class Tally:
    """What was measured of one variant."""

    variant: Variant
    load_ms: float
    runtime_kb: int
    times_ms: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    peak_kb: int = 0


class Child:
    """A process that runs one variant. Raises TrainingError if the model cannot be run there."""

    def __init__(self, variant: Variant, inputs: Path) -> None:
        self._variant = variant
        python = str(SECOND_PYTHON) if variant.runtime == "tflite" else sys.executable
        command = [python, "-m", "training.bench_child", variant.runtime, str(variant.path), str(inputs)]
        self._process = subprocess.Popen(
            command,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def loaded(self) -> Tally:
        """Wait until the model is loaded and return an empty tally of it."""
        said = self._answer()
        return Tally(self._variant, said["load_ms"], said["runtime_kb"])

    def run(self, count: int, tally: Tally | None = None) -> None:
        """Run `count` times and add to `tally`, if it is no warm-up."""
        assert self._process.stdin is not None
        print(count, file=self._process.stdin, flush=True)
        said = self._answer()
        if tally is not None:
            tally.times_ms += said["times_ms"]
            tally.cpu_s += said["cpu_s"]
            tally.peak_kb = said["peak_kb"]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            said = self._process.stderr.read().strip().splitlines() or ["it ended without a word"]
            raise TrainingError(f"{self._variant.title} cannot be run: {said[-1]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def measure(variants: Sequence[Variant], runs: int, folder: Path) -> list[Tally]:
    """Time every variant about `runs` times, in turns. `folder` is where inputs may be written."""
    with ExitStack() as stack:
        children = [stack.enter_context(Child(each, _inputs(each.task, folder))) for each in variants]
        tallies = [child.loaded() for child in children]
        for child in children:
            child.run(min(WARM_UP, runs))
        for size in tqdm(list(_rounds(runs)), desc="rounds", unit="round", leave=False):
            for child, tally in zip(children, tallies, strict=True):
                child.run(size, tally)
    return tallies


def shipped_variants(*, second_runtime: bool) -> list[Variant]:
    """Return the shipped models in each runtime that runs them, each int8 one before its float partner.

    Without `second_runtime` nothing of tflite-runtime. Raises ModelError if a model is missing or damaged.
    """
    variants = []
    for arch, folder in FOLDERS.items():
        for entry in load_manifest(folder).models:
            path = verified_file(folder, entry)
            if path.suffix == ".onnx":
                variants.append(_variant(entry.name, entry.task, "onnx", "float32", path))
                continue
            partner = float_partner(entry.task, arch, entry.parameters, entry.macs)
            for runtime in ("litert", "tflite") if second_runtime else ("litert",):
                variants.append(_variant(entry.name, entry.task, runtime, "int8", path))
                if partner is not None:
                    variants.append(_variant(entry.name, entry.task, runtime, "float32", partner, shipped=False))
    return variants


def figures(tallies: Sequence[Tally]) -> list[dict[str, object]]:
    """Return one JSON object per variant; `ratio_to_float` compares medians in the same runtime, None without one."""
    rows = []
    medians = {(t.variant.model, t.variant.runtime): _quantile(t, 50) for t in tallies if _is_float(t.variant)}
    for tally in tallies:
        variant = tally.variant
        partner = medians.get((variant.model, variant.runtime))
        rows.append(
            {
                "model": variant.model,
                "runtime": RUNTIMES[variant.runtime],
                "numbers": variant.numbers,
                "shipped": variant.shipped,
                "runs": len(tally.times_ms),
                "p50_ms": _quantile(tally, 50),
                "p95_ms": _quantile(tally, 95),
                "ratio_to_float": None if partner is None else _quantile(tally, 50) / partner,
                "cpu_s_per_1000": 1000 * tally.cpu_s / len(tally.times_ms),
                "peak_mb": tally.peak_kb / 1024,
                "runtime_mb": tally.runtime_kb / 1024,
                "load_ms": tally.load_ms,
                "bytes": variant.path.stat().st_size,
            }
        )
    return rows


def _variant(model: str, task: str, runtime: str, numbers: str, path: Path, *, shipped: bool = True) -> Variant:
    return Variant(model=model, task=task, runtime=runtime, numbers=numbers, path=path, shipped=shipped)


def _is_float(variant: Variant) -> bool:
    return variant.numbers == "float32"


def _quantile(tally: Tally, percent: float) -> float:
    return float(np.percentile(tally.times_ms, percent))


def _rounds(runs: int) -> Iterator[int]:
    for start in range(0, runs, ROUND):
        yield min(ROUND, runs - start)


def _inputs(task: str, folder: Path) -> Path:
    """Write made-up inputs, (16, 1, H, W), once, and return where."""
    path = folder / f"{task}.npy"
    if not path.exists():
        from training.nets import INPUT_LIMITS, input_shape

        examples = np.random.default_rng(0).uniform(*INPUT_LIMITS[task], (EXAMPLES, *input_shape(task)))
        np.save(path, examples.astype(np.float32))
    return path
