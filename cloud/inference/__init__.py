"""The full-size models. One interface, `FullModels.judge`: evidence in, judgement out."""

from cloud.inference.full import FullModels, Judgement

__all__ = ["FullModels", "Judgement"]
