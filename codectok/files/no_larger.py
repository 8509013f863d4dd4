"""No tensor that a hostile config asks for is much larger than the weights that came with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from codectok.errors import FormatError


class NoLarger(TorchFunctionMode):
    """Within, no function of torch's gives a tensor of more than ``most`` numbers.

    A mode below autograd would see more and takes a second to start; buffers of models are made by these functions.

    Args:
        most: numbers of a tensor.
        where: the folder, for errors.

    Raises:
        FormatError: a larger tensor.
    """

    def __init__(self, most: int, where: Path) -> None:
        super().__init__()
        self.most, self.where = most, where

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.numel() > self.most:
            raise FormatError(
                f"{self.where}: weights and config do not fit: it asks for a tensor of {result.numel()} numbers",
                path=self.where,
            )
        return result
