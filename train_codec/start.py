"""Starting a run from weights that exist."""

from __future__ import annotations

from codectok import load
from codectok.codec.base import CodecModel
from codectok.codec.tokenizer import CodecTokenizer
from codectok.errors import FormatError


def load_weights(codec: CodecModel, name: str) -> None:
    """Copy the weights of a model folder or packaged tokenizer into ``codec``; nothing, if ``name`` is empty.

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
    wrong = [k for k in ours if k not in theirs or theirs[k].shape != ours[k].shape]
    if wrong or len(theirs) != len(ours):
        what = wrong[0] if wrong else next(k for k in theirs if k not in ours)
        raise FormatError(f"start_from {name!r} is a codec of another shape ({what}): use the recipe it was made with")
    codec.load_state_dict({k: v.detach().clone().to(ours[k].dtype) for k, v in theirs.items()})
