"""CTC compressor: runs by the argmax, blank dropped, averages by a slow reference."""

from __future__ import annotations

from itertools import groupby

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.llm.continuous.ctc import BLANK, CTCCompressor, CTCCompressorConfig

LABELS = 3


def reading(labels: list[int], values: torch.Tensor) -> torch.Tensor:
    """Features [T, 1 + 4]: a value, and logits with which the head below reads ``labels``."""
    logits = torch.nn.functional.one_hot(torch.tensor(labels, dtype=torch.int64), LABELS + 1).float()
    return torch.cat([values[:, None], logits * (1 + values[:, None].abs())], 1)


def compressor(merge: str = "average", drop_blank: bool = True) -> CTCCompressor:
    """Its head copies the logits, its linear layer the value."""
    made = CTCCompressor(LABELS + 2, 1, CTCCompressorConfig(LABELS, merge, drop_blank, bias=False))
    with torch.no_grad():
        made.head.weight.copy_(torch.eye(LABELS + 2)[1:])
        made.head.bias.zero_()
        made.linear.weight.copy_(torch.eye(LABELS + 2)[:1])
    return made


def reference(x: torch.Tensor, labels: list[int], merge: str, drop_blank: bool) -> list[float]:
    out, probabilities = [], x[:, 1:].softmax(1)
    for label, run in groupby(range(len(labels)), key=lambda t: labels[t]):
        frames = list(run)
        if label == BLANK and drop_blank:
            continue
        p = probabilities[frames, label]
        weights = {"average": torch.ones_like(p), "weighted": p, "softmax": p.exp()}[merge]
        out.append(float((weights / weights.sum() * x[frames, 0]).sum()))
    return out


@given(
    st.lists(st.lists(st.integers(0, LABELS), max_size=25), min_size=1, max_size=3),
    st.sampled_from(["average", "weighted", "softmax"]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_equals_the_slow_reference(batch: list[list[int]], merge: str, drop_blank: bool) -> None:
    clips = [reading(labels, torch.randn(len(labels))) for labels in batch]
    x = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=7.0)
    made = compressor(merge, drop_blank)
    out, counts = made(x, [len(c) for c in clips])
    expected = [reference(c, labels, merge, drop_blank) for c, labels in zip(clips, batch, strict=True)]
    assert counts.tolist() == [len(e) for e in expected]
    assert out.shape == (len(batch), max(map(len, expected)), 1)
    for row, e in zip(out, expected, strict=True):
        assert torch.allclose(row[: len(e), 0], torch.tensor(e), atol=1e-5)
        assert not row[len(e) :].any()


def test_written_out() -> None:
    """A blank between two runs of one label keeps them apart, as in CTC's own collapse."""
    x = reading([1, 1, 0, 1, 2, 0, 0, 2], torch.tensor([1.0, 3, 9, 5, 6, 9, 9, 8]))
    assert compressor()(x[None])[0].flatten().tolist() == [2, 5, 6, 8]
    assert compressor(drop_blank=False)(x[None])[0].flatten().tolist() == [2, 9, 5, 6, 9, 8]


def test_all_blank_is_no_soft_token() -> None:
    x = reading([0] * 5, torch.ones(5))[None]
    out, counts = compressor()(x)
    assert out.shape == (1, 0, 1)
    assert counts.tolist() == compressor().lengths_of(x).tolist() == [0]


@pytest.mark.parametrize(("merge", "reaches"), [("average", False), ("weighted", True), ("softmax", True)])
def test_gradient_reaches_the_head_through_weights_and_through_its_loss(merge: str, reaches: bool) -> None:
    torch.manual_seed(0)
    made, x = compressor(merge), reading([1, 1, 2, 2, 2], torch.randn(5))[None]
    made(x)[0].sum().backward()
    assert made.linear.weight.grad is not None
    assert (made.head.weight.grad is not None) == reaches
    made.ctc_loss(x, None, torch.tensor([[1, 3]]), torch.tensor([2])).backward()
    assert made.head.weight.grad is not None
    assert bool(made.head.weight.grad.any())


def test_ctc_loss_teaches_the_head_and_ignores_padding() -> None:
    torch.manual_seed(0)
    made = CTCCompressor(4, 2, CTCCompressorConfig(LABELS))
    x, targets = torch.randn(2, 12, 4), torch.tensor([[1, 2, 1], [3, 0, 0]])
    optimizer = torch.optim.Adam(made.parameters(), lr=0.1)
    first = made.ctc_loss(x, [12, 9], targets, torch.tensor([3, 1])).item()
    padded = x.clone()
    padded[1, 9:] = 100.0
    assert made.ctc_loss(padded, [12, 9], targets, torch.tensor([3, 1])).item() == pytest.approx(first)
    for _ in range(30):
        optimizer.zero_grad()
        made.ctc_loss(x, [12, 9], targets, torch.tensor([3, 1])).backward()
        optimizer.step()
    assert made.ctc_loss(x, [12, 9], targets, torch.tensor([3, 1])).item() < 0.5 * first
