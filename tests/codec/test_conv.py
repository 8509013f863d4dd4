"""Our convolutions against transformers' (in float64), whole and in blocks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.mimi.modeling_mimi import MimiConv1d, MimiConvTranspose1d

from codectok.codec import conv
from codectok.codec.conv import CausalConv, CausalConvTranspose, pack_conv, pack_conv_transpose
from codectok.codec.seanet import ResidualBlock, SeanetConfig


@pytest.fixture(params=[0, 128], ids=["conv2d", "windows"], autouse=True)
def few_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of computing a convolution."""
    monkeypatch.setattr(conv, "FEW_ROWS", request.param)


def _pair(
    mode: str, inputs: int, outputs: int, kernel: int, stride: int, dilation: int
) -> tuple[MimiConv1d, CausalConv]:
    config = SimpleNamespace(use_causal_conv=True, pad_mode=mode)
    theirs = MimiConv1d(config, inputs, outputs, kernel, stride=stride, dilation=dilation).double()
    ours = CausalConv(inputs, outputs, kernel, stride, dilation, mode).double()
    ours.load_state_dict({"weight": pack_conv(theirs.conv.weight), "bias": theirs.conv.bias})
    return theirs, ours


shapes = st.tuples(st.sampled_from(["constant", "reflect", "replicate"]), st.integers(1, 4), st.integers(1, 4)).flatmap(
    lambda head: st.one_of(
        st.tuples(st.integers(1, 7), st.just(1), st.integers(1, 4)),
        st.integers(2, 5).map(lambda stride: (2 * stride, stride, 1)),
    ).map(lambda tail: (*head, *tail))
)


@settings(max_examples=120, deadline=None)
@given(shapes, st.integers(1, 60), st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(1, 2))
@torch.no_grad()
def test_equals_transformers_whole_and_in_blocks(
    shape: tuple[str, int, int, int, int, int], length: int, blocks: list[int], batch: int
) -> None:
    theirs, ours = _pair(*shape)
    x = torch.randn(batch, length, shape[1], dtype=torch.float64)
    expected = theirs(x.mT).mT
    whole, _ = ours.step(x, None, True)
    torch.testing.assert_close(whole, expected)

    state, start, parts = None, 0, []
    for i, block in enumerate(blocks):
        size = block * ours.stride
        if i == 0:
            size = max(size, -(-ours.first // ours.stride) * ours.stride)
        if start + size > length:
            break
        y, state = ours.step(x[:, start : start + size], state, False)
        parts.append(y)
        start += size
    y, _ = ours.step(x[:, start:], state, True)
    torch.testing.assert_close(torch.cat([*parts, y], 1), expected)


@settings(max_examples=60, deadline=None)
@given(*[st.integers(1, 4)] * 3, st.integers(1, 3), st.integers(1, 30), st.integers(0, 30))
@torch.no_grad()
def test_transposed_equals_transformers(
    inputs: int, outputs: int, stride: int, taps: int, length: int, cut: int
) -> None:
    config = SimpleNamespace(use_causal_conv=True, trim_right_ratio=1.0)
    theirs = MimiConvTranspose1d(config, inputs, outputs, taps * stride, stride=stride).double()
    ours = CausalConvTranspose(inputs, outputs, taps * stride, stride).double()
    ours.load_state_dict({"weight": pack_conv_transpose(theirs.conv.weight, stride), "bias": theirs.conv.bias})
    x = torch.randn(2, length, inputs, dtype=torch.float64)
    expected = theirs(x.mT).mT
    torch.testing.assert_close(ours.step(x, None)[0], expected)
    first, state = ours.step(x[:, :cut], None)
    second, _ = ours.step(x[:, cut:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), expected)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate"])
def test_gradients_equal_transformers(mode: str) -> None:
    theirs, ours = _pair(mode, 3, 4, 6, 3, 1)
    x = torch.randn(2, 31, 3, dtype=torch.float64, requires_grad=True)
    probe = torch.randn(2, 11, 4, dtype=torch.float64)
    (expected,) = torch.autograd.grad((theirs(x.mT).mT * probe).sum(), x, retain_graph=True)
    (got,) = torch.autograd.grad((ours.step(x, None, True)[0] * probe).sum(), x)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("shortcut", [True, False])
def test_residual_block_is_the_same_with_and_without_gradients(shortcut: bool) -> None:
    block = ResidualBlock(SeanetConfig(conv_shortcut=shortcut), 8, dilation=2)
    x = torch.randn(2, 50, 8)
    trained, kept = block.step(x, None, True)
    before = x.clone()
    with torch.no_grad():
        fast, state = block.step(x, None, True)
    torch.testing.assert_close(fast, trained)
    torch.testing.assert_close(state, kept)
    assert torch.equal(x, before), "the input must not be overwritten"
    trained.sum().backward()
    assert all(p.grad is not None for p in block.parameters())


def test_state_does_not_hold_the_block() -> None:
    _, state = CausalConv(4, 4, 3).step(torch.randn(1, 1000, 4), None)
    assert state.untyped_storage().nbytes() == 2 * 4 * 4


@pytest.mark.parametrize("length", [3, 4])
def test_a_block_that_cannot_be_exact_is_an_error(length: int) -> None:
    layer = CausalConv(1, 1, 6, 3, pad_mode="reflect")
    with pytest.raises(ValueError, match=r"first block must have 4|may not be a multiple of 3"):
        layer.step(torch.zeros(1, length, 1), None, False)


@pytest.mark.parametrize("options", [{"pad_mode": "circular"}, {"kernel": 3, "stride": 2}, {"kernel": 2, "stride": 2}])
def test_unsupported_shapes_are_errors(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"pad_mode 'circular'|a strided kernel is 2\+ strides"):
        CausalConv(1, 1, **{"kernel": 3, **options})  # type: ignore[arg-type]
