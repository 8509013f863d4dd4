"""What a run starts with: weights that exist, and parts that stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

from codectok import load
from codectok.codec.model import CodecModel
from codectok.codec.tokenizer import CodecTokenizer
from codectok.errors import FormatError


def load_weights(codec: CodecModel, name: str) -> None:
    """Copy the weights of a model folder or packaged tokenizer into ``codec``; nothing, if ``name`` is empty.

    Ceilings that the codec has and those weights have not stay untrained.

    Released weights are averages in float16 without optimizer or usage counts, so this starts a new run, it does not
    continue one.

    Raises:
        FormatError: not a codec of the same shape.
    """
    if not name:
        return
    tokenizer = load(name)
    if not isinstance(tokenizer, CodecTokenizer):
        raise FormatError(f"start_from {name!r} is not a codec: give a model folder")
    theirs, ours = tokenizer.model.state_dict(), codec.state_dict()
    theirs = {k: v for k, v in ours.items() if k.startswith("decoder.ceiling.")} | theirs
    wrong = [k for k in ours if k not in theirs or theirs[k].shape != ours[k].shape]
    if wrong or len(theirs) != len(ours):
        what = wrong[0] if wrong else next(k for k in theirs if k not in ours)
        raise FormatError(f"start_from {name!r} is a codec of another shape ({what}): use the recipe it was made with")
    codec.load_state_dict({k: v.detach().clone().to(ours[k].dtype) for k, v in theirs.items()})


def freeze(codec: CodecModel, parts: Sequence[str]) -> frozenset[str]:
    """Let the parts of ``codec`` with these names learn nothing; returns the names.

    Raises:
        FormatError: no such part, or none left that learns.
    """
    known = [name for name, part in codec.named_children() if any(True for _ in part.parameters())]
    names = ["encoder", "quantizer", "decoder"]
    for name in parts:
        if name not in names or name not in {n for n, _ in codec.named_children()}:
            raise FormatError(f"freeze is {list(parts)}: give any of {', '.join(names)}")
        codec.get_submodule(name).requires_grad_(False)
    if set(known) <= set(parts):
        raise FormatError(f"freeze is {list(parts)}: then nothing learns, leave one part out")
    return frozenset(parts)
