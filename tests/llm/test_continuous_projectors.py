"""Every projector: its written length, no word from padding, gradient to all of it, and the same after saving."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok import CodectokError
from codectok.errors import FormatError
from codectok.llm.continuous import PROJECTORS, Projector, build_projector, load_projector, save_projector
from codectok.llm.continuous.ctc import CTCCompressor

IN, OUT = 6, 8
SMALL = {"dim": 8, "heads": 2, "depth": 2, "feedforward": 16}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("linear", {}),
    ("linear", {"bias": False}),
    ("mlp", {"hidden": 5, "activation": "silu"}),
    *[("frame-concat", {"ratio": n, "tail": t, "hidden": h}) for n, t, h in
      [(1, "pad", 7), (3, "pad", None), (5, "drop", 7), (8, "pad", 7), (4, "drop", None)]],
    *[("average-pool", {"ratio": n, "tail": t}) for n, t in [(1, "pad"), (2, "drop"), (3, "pad"), (7, "drop")]],
    ("strided-conv", {"strides": [5]}),
    ("strided-conv", {"strides": [2, 2, 2], "kernels": [3, 3, 3], "padding": 1, "hidden": 4}),
    ("strided-conv", {"strides": [1, 3], "kernels": [4, 2]}),
    ("strided-conv", {"strides": [4], "kernels": [2]}),
    ("q-former", {"window": None, "queries": 5, **SMALL}),
    ("q-former", {"window": 17, "queries": 1, "tail": "drop", **SMALL}),
    ("q-former", {"window": 15, "queries": 3, **SMALL}),
    ("q-former", {"window": 4, "queries": 2, "positions": False, **SMALL}),
    ("resampler", {"latents": 5, **SMALL}),
    ("resampler", {"latents": 3, "positions": False, **SMALL, "depth": 1}),
    ("ctc-compressor", {"labels": 3}),
    ("ctc-compressor", {"labels": 3, "drop_blank": False, "merge": "weighted"}),
    ("ctc-compressor", {"labels": 2, "merge": "softmax"}),
]  # fmt: skip
each_case = pytest.mark.parametrize(("name", "options"), CASES)
FIXED = [case for case in CASES if case[0] != "ctc-compressor"]
WHOLE = [case for case in FIXED if case[0] != "strided-conv" and case[1].get("tail") != "drop"]  # leave no frame out


def make(name: str, options: dict[str, Any]) -> Projector:
    torch.manual_seed(0)
    made = build_projector(name, IN, OUT, **options)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return made.eval()


def test_every_projector_is_tested() -> None:
    assert {name for name, _ in CASES} == set(PROJECTORS)


@pytest.mark.parametrize(("name", "options"), FIXED)
def test_out_length_is_what_comes_out(name: str, options: dict[str, Any]) -> None:
    projector = make(name, options)
    with torch.inference_mode():
        for frames in range(61):
            out, lengths = projector(torch.randn(1, frames, IN))
            assert out.shape == (1, projector.out_length(frames), OUT), f"{frames} frames"
            assert lengths.tolist() == [projector.out_length(frames)]


def test_lengths_as_published() -> None:
    assert make("frame-concat", {"ratio": 5, "tail": "drop"}).out_length(1500) == 300  # SLAM-ASR
    assert make("frame-concat", {"ratio": 4}).out_length(1500) == 375  # Voxtral: 12.5 a second
    assert make("average-pool", {"ratio": 2, "tail": "drop"}).out_length(1500) == 750  # Qwen2-Audio
    assert make("q-former", {"window": 17, "tail": "drop", **SMALL}).out_length(1500) == 88  # SALMONN
    assert make("q-former", {"window": 15, "queries": 3, **SMALL}).out_length(1501) == 303  # Granite-speech
    assert make("q-former", {"window": None, "queries": 64, **SMALL}).out_length(1500) == 64  # SLAM-LLM


@given(ratio=st.integers(1, 9), frames=st.integers(1, 60), tail=st.sampled_from(["pad", "drop"]))
@settings(max_examples=30, deadline=None)
def test_any_ratio(ratio: int, frames: int, tail: str) -> None:
    for name in ("frame-concat", "average-pool"):
        extra = {"hidden": None} if name == "frame-concat" else {}
        projector = build_projector(name, 2, 2, ratio=ratio, tail=tail, **extra)
        assert projector(torch.zeros(1, frames, 2))[0].shape[1] == projector.out_length(frames)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=3),
    st.integers(0, 3),
    st.integers(0, 40),
)
@settings(max_examples=30, deadline=None)
def test_any_convolutions(layers: list[tuple[int, int]], padding: int, frames: int) -> None:
    projector = build_projector(
        "strided-conv", 2, 2, kernels=[k for k, _ in layers], strides=[s for _, s in layers], padding=padding or None
    )
    expected, x = frames, torch.zeros(1, 2, frames)
    for conv in projector.convs if frames else []:  # type: ignore[union-attr]
        if expected + 2 * padding < conv.kernel_size[0]:  # type: ignore[union-attr]
            expected = 0
            break
        x = conv(x)  # type: ignore[operator]
        expected = x.shape[2]
    assert projector.out_length(frames) == expected
    assert projector(torch.zeros(1, frames, 2))[0].shape == (1, expected, 2)


@each_case
def test_padding_never_reaches_a_valid_frame(name: str, options: dict[str, Any]) -> None:
    """Batch = single, whatever the padding holds; and no gradient goes to it, none is NaN."""
    projector, lengths = make(name, options), [23, 40, 0, 1, 17, 34]
    clips = [torch.randn(n, IN) for n in lengths]
    batch = torch.full((len(lengths), 45, IN), float("nan"))
    for row, c in zip(batch, clips, strict=True):
        row[: len(c)] = c
    batch.requires_grad_()
    out, counts = projector(batch, lengths)
    assert counts.tolist() == projector.lengths_of(batch, lengths).tolist()
    for row, count, c in zip(out, counts.tolist(), clips, strict=True):
        alone, alone_count = projector(c[None])
        assert alone_count.tolist() == [count]
        assert torch.allclose(row[:count], alone[0], atol=1e-5)
        assert not row[count:].any()
    out.square().sum().backward()
    assert batch.grad is not None
    for row, n in zip(batch.grad, lengths, strict=True):
        assert not row[n:].any()
    assert all(bool(p.grad.isfinite().all()) for p in projector.parameters() if p.grad is not None)


@pytest.mark.parametrize(("name", "options"), FIXED)
def test_gradient_reaches_every_weight(name: str, options: dict[str, Any]) -> None:
    projector = make(name, options)
    projector(torch.randn(2, 36, IN), [36, 30])[0].square().sum().backward()
    for weight, p in projector.named_parameters():
        assert p.grad is not None, weight
        assert bool(p.grad.any()), weight


@pytest.mark.parametrize(("name", "options"), WHOLE)
def test_every_frame_counts_unless_dropped(name: str, options: dict[str, Any]) -> None:
    x = torch.randn(1, 36, IN, requires_grad=True)
    make(name, options)(x)[0].square().sum().backward()
    assert x.grad is not None
    assert bool(x.grad.abs().sum(2).all())


def test_average_of_a_tail_counts_only_what_is_there() -> None:
    projector = build_projector("average-pool", 1, 1, ratio=3)
    torch.nn.init.ones_(projector.linear.weight)  # type: ignore[union-attr, arg-type]
    torch.nn.init.zeros_(projector.linear.bias)  # type: ignore[union-attr, arg-type]
    out, _ = projector(torch.tensor([[[3.0], [6.0], [9.0], [4.0], [100.0], [100.0]]]), [4])
    assert out.flatten().tolist() == [6.0, 4.0]


def test_frames_are_concatenated_in_order() -> None:
    projector = build_projector("frame-concat", 2, 4, ratio=2, hidden=None)
    layer: Any = projector.layers
    torch.nn.init.eye_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    out, _ = projector(torch.arange(1.0, 7.0).view(1, 3, 2))
    assert out[0].tolist() == [[1, 2, 3, 4], [5, 6, 0, 0]]


@pytest.mark.parametrize(
    ("name", "options"),
    [("q-former", {"window": None, "queries": 3, **SMALL}), ("q-former", {"window": 12, **SMALL}),
     ("resampler", {"latents": 3, **SMALL})],
)  # fmt: skip
def test_positions_tell_one_order_from_another(name: str, options: dict[str, Any]) -> None:
    x = torch.randn(1, 12, IN)
    for positions in (True, False):
        projector = make(name, {**options, "positions": positions})
        same = torch.allclose(projector(x)[0], projector(x.flip(1))[0], atol=1e-5)
        assert same != positions


def test_windows_do_not_see_each_other() -> None:
    projector, x = make("q-former", {"window": 5, "queries": 2, **SMALL}), torch.randn(1, 15, IN)
    changed = x.clone()
    changed[:, 7] += 1.0
    differs = (projector(x)[0] != projector(changed)[0]).any(2)[0]
    assert differs.tolist() == [False, False, True, True, False, False]


@each_case
def test_saved_and_loaded(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    projector, x = make(name, options), torch.randn(1, 20, IN)
    save_projector(projector, tmp_path / "p")
    config = json.loads((tmp_path / "p" / "config.json").read_text())
    assert config["projector_type"] == name
    assert not any(isinstance(v, dict) for v in config.values())
    assert sorted(f.name for f in (tmp_path / "p").iterdir()) == ["config.json", "model.safetensors"]
    again = load_projector(tmp_path / "p")
    assert again.config == projector.config
    for weight, t in projector.state_dict().items():
        assert torch.equal(again.state_dict()[weight], t), weight
    assert torch.allclose(again(x)[0], projector(x)[0], atol=1e-6)  # products may differ with alignment in memory
    assert all(p.requires_grad for p in again.parameters())


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no config\.json"):
        load_projector(tmp_path)
    save_projector(make("linear", {}), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for broken in ({**config, "in_dim": 7}, {**config, "format_version": 2}, {**config, "more": 1}, {"a": 1}, [1]):
        (tmp_path / "config.json").write_text(json.dumps(broken))
        with pytest.raises(FormatError):
            load_projector(tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [("perceiver", {}, "there are linear"), ("linear", {"ratio": 2}, "unknown key 'ratio': there are bias"),
     ("frame-concat", {"ratio": 0}, "ratio is 0"), ("frame-concat", {"tail": "cut"}, "pad .* or drop"),
     ("mlp", {"activation": "tanh"}, "gelu, relu, silu"), ("q-former", {"dim": 9, "heads": 2}, "2 heads"),
     ("strided-conv", {"strides": [2], "kernels": [2, 2]}, "as many"), ("strided-conv", {"strides": [0]}, "1 or more"),
     ("ctc-compressor", {"merge": "max"}, "average, weighted or softmax")],
)  # fmt: skip
def test_options_that_are_not_possible(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(CodectokError, match=says):
        build_projector(name, IN, OUT, **options)


def test_wrong_input_is_said() -> None:
    projector = make("linear", {})
    for features, lengths in (((1, 3, IN + 1), None), ((3, IN), None), ((1, 3, IN), [4]), ((1, 3, IN), [1, 1])):
        with pytest.raises(CodectokError):
            projector(torch.zeros(features), lengths)
    with pytest.raises(CodectokError, match="in_dim"):
        build_projector("linear", 0, 3)
    with pytest.raises(CodectokError, match="lengths_of"):
        CTCCompressor(IN, OUT).out_length(3)
