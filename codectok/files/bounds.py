"""What a stranger's model folder may ask for: numbers that are numbers, and no more than its weights hold."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from codectok.errors import CodectokError, FormatError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
MAX_SIZE = 2**20
"""Of any whole number in a config: sample rates, hops and widths are far below."""
LIMITS = {"noise_frames": 2**12, "ratios": 2**10, "strides": 2**10, "mels": 2**12, "n_samples": 2**31}
"""Of keys whose values cost time when a model is opened, and that no tensor bounds; or that cost nothing."""
MAX_BUFFER = 2**25
"""Numbers of a tensor that is no parameter, such as a mask or a table of positions, however small the weights are."""
NOT_BUILT = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What classes raise that are given numbers that they cannot be built with."""


def check_weights(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise on weights that are no finite floating-point numbers: codes of them are silence or noise.

    Raises:
        FormatError: names the first such tensor.
    """
    import torch

    known = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    for name, tensor in tensors.items():
        if tensor.dtype not in known:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise FormatError(
                f"{path}: tensor {name!r} is of type {kind}: give float16, bfloat16, float32 or float64",
                path=path,
            )
        # Both ends are NaN where any value is; ten times as fast as isfinite, which makes a tensor of its own.
        if tensor.numel() and not all(end.isfinite() for end in tensor.aminmax()):
            raise FormatError(f"{path}: tensor {name!r} holds NaN or infinite values: get the model again", path=path)


def config_of(kind: type[T], values: Mapping[str, Any], where: Path) -> T:
    """A config of a stored folder, each value of the type that its field's default has, counts not below 0.

    What training takes from people is checked by :mod:`codectok.settings`, with better words and a slower import.

    Raises:
        FormatError: an unknown key, or a value of another type.
    """
    for found in fields(kind):  # type: ignore[arg-type]
        factory = found.default_factory
        default = found.default if factory is MISSING else factory()
        given = values.get(found.name, default)
        if found.name in values and (not _like(given, default) or (found.name == "sample_rate" and given == 0)):
            raise FormatError(
                f"{where}: weights and config do not fit: {found.name} is {given!r:.60}, no value like {default!r:.60}",
                path=where,
                key=found.name,
                given=given,
            )
    return kind(**values)


def _like(value: Any, default: Any) -> bool:
    if isinstance(default, list) and default:
        return isinstance(value, list) and bool(value) and all(_like(v, default[0]) for v in value)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if isinstance(default, int) and not isinstance(default, bool):
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return default in (None, MISSING) or isinstance(value, type(default))


@contextlib.contextmanager
def built_from(tensors: Mapping[str, Tensor], config: Mapping[str, Any], where: Path) -> Iterator[None]:
    """Within, modules are built from a config: any failure is one error, and no parameter is larger than all weights.

    Args:
        tensors: the weights that belong to the config.
        config: plain values.
        where: the folder, for errors.

    Raises:
        FormatError: the config asks for more than the weights hold, or for what cannot be built.
    """
    check_sizes(config, where)
    with bounded(sum(t.numel() for t in tensors.values()), len(tensors), where):
        yield


@contextlib.contextmanager
def bounded(whole: int, most: int, where: Path) -> Iterator[None]:
    """Within, modules are built that may have no larger parameter than ``whole`` numbers, and about ``most`` of them.

    Raises:
        FormatError: the config asks for more, or for what cannot be built.
    """
    from torch.nn.modules.module import register_module_parameter_registration_hook

    from codectok.files.no_larger import NoLarger

    thread, seen = threading.get_ident(), 0

    def count(module: Any, name: str, parameter: Any) -> None:
        nonlocal seen
        if parameter is None or threading.get_ident() != thread:
            return
        seen += 1
        # Weights that are made at first as a norm and a direction are two for one.
        if parameter.numel() > whole or seen > 2 * most + 100:
            raise FormatError(
                f"{where}: weights and config do not fit: the config asks for more weights",
                path=where,
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        with NoLarger(max(whole, MAX_BUFFER), where):
            yield
    except CodectokError:
        raise
    except NOT_BUILT as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FormatError(f"{where}: weights and config do not fit: {reason}", path=where) from None
    finally:
        hook.remove()


def check_sizes(value: Any, where: Path, key: str = "") -> None:
    """Raise on a whole number in a config that no model has.

    Raises:
        FormatError: names it.
    """
    if isinstance(value, Mapping):
        for name, held in value.items():
            check_sizes(held, where, str(name))
    elif isinstance(value, list | tuple):
        for held in value:
            check_sizes(held, where, key)
    elif isinstance(value, int) and abs(value) > (most := LIMITS.get(key, MAX_SIZE)):
        raise FormatError(
            f"{where}: {key} {str(value)[:20]} in its config is more than any model has ({most})",
            path=where,
            key=key,
            given=value,
        )
