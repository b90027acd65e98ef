"""The full-size models, behind one interface, `Engine.infer`: evidence in, judgement out.

`LocalEngine` runs them in this process; `ray_serve.RayEngine` on the machines of a Ray cluster.
"""

from cloud.inference.engine import Declined, Engine, Request
from cloud.inference.full import FullModels, Judgement
from cloud.inference.local import LocalEngine

__all__ = ["Declined", "Engine", "FullModels", "Judgement", "LocalEngine", "Request"]
