"""Tiny examples that need no audio: each class of clip has its own codes or its own direction."""

from collections.abc import Sequence
from fractions import Fraction

import torch

from benchmarks.contract import Clip, Dataset, Example, InputInfo, Split, Trial

SIZES = (8, 8)
DIM = 6
KINDS = ("discrete", "quantized", "continuous")


def toy_info(kind: str, frame_rate: Fraction = Fraction(50)) -> InputInfo:
    sizes, dim = (SIZES, 0) if kind == "discrete" else ((), DIM)
    return InputInfo("toy", "toy", kind, "toy", "0" * 8, frame_rate, sizes, dim)


def toy_x(
    kind: str, symbols: Sequence[int], frames: int, generator: torch.Generator, noise: float = 0.3
) -> torch.Tensor:
    """``frames`` frames that spell out the symbols (0 to 5) one after another."""
    which = torch.tensor(symbols)[torch.arange(frames) * len(symbols) // frames]
    if kind == "discrete":
        flip = torch.rand(2, frames, generator=generator) < noise
        anything = torch.randint(8, (2, frames), generator=generator)
        return torch.where(flip, anything, torch.stack([which, (which + 3) % 8]))
    return torch.eye(DIM)[which] * 3 + noise * torch.randn(frames, DIM, generator=generator)


def toy_split(
    kind: str, labels: Sequence[str], clips: int = 12, seed: int = 0, speakers: int = 4
) -> tuple[Dataset, Split]:
    """A data set whose labels are classes ("0" to "5"), or texts of the letters "a" to "f", and its examples."""
    generator = torch.Generator().manual_seed(seed)
    parts: dict[str, tuple[Example, ...]] = {}
    for name, count in (("train", clips), ("valid", clips // 2), ("test", clips)):
        examples = []
        for i in range(count):
            label = labels[i % len(labels)]
            symbols = [int(c) if c.isdigit() else "abcdef".index(c) for c in label.replace(" ", "")] or [0]
            frames = max(12, 6 * len(symbols)) + int(torch.randint(9, (), generator=generator))
            clip = Clip(f"{name}-{i}", f"{name}-{i}.wav", f"{name}-{i % speakers}", label)
            examples.append(Example(clip, toy_x(kind, symbols, frames, generator), num_samples=320 * frames))
        parts[name] = tuple(examples)
    clips_of = {name: tuple(e.clip for e in examples) for name, examples in parts.items()}
    test = clips_of["test"]
    trials = tuple(
        Trial(a.id, b.id, a.label == b.label) for i, a in enumerate(test) for b in test[i + 1 :] if a.id != b.id
    )
    dataset = Dataset(
        "toy", "toy", clips_of["train"], clips_of["valid"], {"test": test}, (), {"test": trials}, note="made up"
    )
    return dataset, Split(parts["train"], parts["valid"], {"test": parts["test"]})
