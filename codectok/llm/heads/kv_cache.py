"""Calls with a key-value cache, whose name transformers has changed."""

from __future__ import annotations

import inspect
from typing import Any


def call_cached(model: Any, cache: Any, **inputs: Any) -> tuple[Any, Any]:
    """Call a model of transformers with what it remembers; its output, and what it remembers then.

    Args:
        model: a language model, or its body.
        cache: what the call before gave; None at the beginning.
        inputs: of the new positions.
    """
    name = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
    out = model(**{name: cache}, use_cache=True, **inputs)
    return out, getattr(out, name)
