"""The emotion labels and their order, the same everywhere."""

from __future__ import annotations

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Face, text, fusion, verdicts: seven, in this order."""

SPEECH_EMOTIONS = (*EMOTIONS, "calm")
"""The speech models know an eighth; fusion folds it into neutral."""

MODALITIES = ("face", "speech")
