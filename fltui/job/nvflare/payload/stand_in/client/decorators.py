"""nvflare's decorators, where a script asks for fltui's."""

from nvflare.client import evaluate, train

__all__ = ["evaluate", "train"]
