"""The arms, by the probe's name: what of a clip the language model is given."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..batches import num_frames
from ..contract import Example, InputInfo, InputKind, NotComputed
from ..tasks.task import TaskError


@dataclass(frozen=True)
class Arm:
    """One arm.

    Attributes:
        name: the probe's, without "llm:".
        kinds: of inputs that it can be fed with.
        hears: audio stands in the prompt.
        other: at test, it is the audio of another clip.
    """

    name: str
    kinds: tuple[InputKind, ...]
    hears: bool = True
    other: bool = False


_ANY: tuple[InputKind, ...] = ("discrete", "quantized", "continuous")
ARMS: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("discrete", ("discrete",)),
        Arm("continuous", ("continuous",)),
        Arm("quantized", ("quantized",)),
        Arm("no-audio", _ANY, hears=False),
        Arm("shuffled-audio", _ANY, other=True),
    )
}
"""Codes as tokens; features, and what codes say of them, through one projector; what the prior of the labels gives;
and whether the model listens: trained on each clip's own audio, then asked about the audio of another."""


def read_arm(probe: str, info: InputInfo) -> Arm:
    """The arm that a probe's name means, for an input.

    Raises:
        TaskError: there is none of that name.
        NotComputed: the input is of another kind.
    """
    name = probe.removeprefix("llm:")
    if name not in ARMS:
        raise TaskError(f"no arm {probe!r}: take one of {', '.join(f'llm:{known}' for known in ARMS)}")
    arm = ARMS[name]
    if info.kind not in arm.kinds:
        raise NotComputed(
            f"{probe} needs {' or '.join(arm.kinds)} audio, {info.spec} is {info.kind}: "
            "write TOKENIZER for llm:discrete, TOKENIZER:features for llm:continuous, TOKENIZER:quantized for the other"
        )
    return arm


def swap_audio(examples: Sequence[Example], seed: int) -> list[Example]:
    """The same clips, each with the audio of another; those without a frame stay as they are.

    Raises:
        NotComputed: there is no other clip.
    """
    usable = [i for i, example in enumerate(examples) if num_frames(example)]
    if len(usable) < 2:
        raise NotComputed("llm:shuffled-audio needs two test clips or more: there is no other audio")
    random.Random(f"swap {seed}").shuffle(usable)
    swapped = list(examples)
    for place, source in zip(usable, usable[1:] + usable[:1], strict=True):  # a cycle: nobody keeps their own
        given = examples[source]
        swapped[place] = replace(examples[place], x=given.x, num_samples=given.num_samples)
    return swapped
