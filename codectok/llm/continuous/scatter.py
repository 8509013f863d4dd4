"""Soft tokens into a prompt: features take the places of placeholder ids in ``inputs_embeds``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from codectok.errors import CodectokError


def expand_placeholders(ids: Sequence[int] | Tensor, placeholder_id: int, counts: Sequence[int]) -> Tensor:
    """A prompt with one placeholder a clip -> the same with as many as the clip has soft tokens.

    Args:
        ids: token ids [L] of one prompt.
        placeholder_id: may lie outside the model's vocabulary, which then stays as it is.
        counts: soft tokens of each clip, in the order of the prompt; a clip of 0 disappears.

    Returns:
        int64 [L - clips + sum(counts)].

    Raises:
        CodectokError: not one count for each placeholder, or a negative one.
    """
    ids = torch.as_tensor(ids, dtype=torch.int64)
    repeats = torch.ones_like(ids)
    there = ids == placeholder_id
    if int(there.sum()) != len(counts):
        raise CodectokError(
            f"the prompt has {int(there.sum())} placeholders (id {placeholder_id}) for {len(counts)} clips: "
            "write one placeholder for each clip"
        )
    if any(n < 0 for n in counts):
        raise CodectokError(f"counts {list(counts)}: a clip has 0 or more soft tokens")
    repeats[there] = torch.tensor(list(counts), dtype=torch.int64, device=ids.device)
    return ids.repeat_interleave(repeats)


def scatter_features(
    inputs_embeds: Tensor,
    input_ids: Tensor,
    placeholder_id: int,
    features: Tensor,
    lengths: Tensor | Sequence[int],
    clips: Sequence[int] | None = None,
) -> Tensor:
    """Put features in the places of the placeholders, in order; everything else stays. Gradient flows to both.

    Counts must agree exactly: to clamp or to cut would train on audio that has silently gone missing.

    Args:
        inputs_embeds: [B, L, D].
        input_ids: int64 [B, L].
        placeholder_id: the id whose places are taken.
        features: [N, T, D] soft tokens of N clips, padded; taken to the type of ``inputs_embeds``.
        lengths: [N], valid frames of each.
        clips: how many of the N clips each of the B items has, in order; None for one each.

    Returns:
        [B, L, D], a new tensor.

    Raises:
        CodectokError: shapes that do not fit, or an item whose placeholders are not as many as its soft tokens.
    """
    lengths = check_lengths(lengths, features)
    owners = [1] * len(input_ids) if clips is None else list(clips)
    if len(owners) != len(input_ids) or sum(owners) != len(features):
        raise CodectokError(
            f"{len(features)} clips for {len(input_ids)} items: give one clip an item, or clips, the number of each"
        )
    if inputs_embeds.shape[:2] != input_ids.shape or features.shape[2] != inputs_embeds.shape[2]:
        raise CodectokError(
            f"inputs_embeds {list(inputs_embeds.shape)}, input_ids {list(input_ids.shape)} and features "
            f"{list(features.shape)} do not fit: give [B, L, D], [B, L] and [N, T, D]"
        )
    places = input_ids == placeholder_id
    wanted = [int(part.sum()) for part in lengths.split(owners)]
    for item, (have, want) in enumerate(zip(places.sum(1).tolist(), wanted, strict=True)):
        if have != want:
            raise CodectokError(
                f"item {item} has {have} placeholders and {want} soft tokens: expand its placeholders by the "
                "projector's out_length, and truncate text around audio, never through it"
            )
    # Both sides are row-major, so with equal counts in every item each feature meets its own placeholder.
    soft = features[frame_mask(lengths, features.shape[1])].to(inputs_embeds.dtype)
    return inputs_embeds.masked_scatter(places[:, :, None], soft)


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """Lengths [N] -> bool [N, frames], true at valid frames."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def check_lengths(lengths: Tensor | Sequence[int] | None, features: Tensor) -> Tensor:
    """Lengths as int64 [N] beside features [N, T, D]; None for T each.

    Raises:
        CodectokError: features of another shape, or a length outside 0..T.
    """
    if features.dim() != 3:
        raise CodectokError(f"features of shape {list(features.shape)}: give [N, T, D]")
    count, frames = features.shape[:2]
    if lengths is None:
        return torch.full((count,), frames, dtype=torch.int64, device=features.device)
    lengths = torch.as_tensor(lengths, dtype=torch.int64, device=features.device)
    if lengths.shape != (count,) or (count and not 0 <= int(lengths.min()) <= int(lengths.max()) <= frames):
        raise CodectokError(f"lengths {lengths.tolist()}: give {count}, each from 0 to {frames}")
    return lengths


def batch_features(many: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Features [T, D] of clips -> one padded tensor [N, max T, D], and lengths int64 [N]."""
    if not many:
        raise CodectokError("no features: give those of at least one clip")
    return torch.nn.utils.rnn.pad_sequence(list(many), batch_first=True), torch.tensor([len(f) for f in many])
