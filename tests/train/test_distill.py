"""Distillation: teacher frames onto codec frames, the cache on disk, the losses."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import FormatError
from train_codec.data import ClipArray, ClipSpan
from train_codec.distill import DistillationLoss, TeacherCache, TeacherSpec
from train_codec.distill import teacher as teacher_module
from train_codec.distill.align import Grid, pooling
from train_codec.distill.features import pieces
from train_codec.distill.reduce import Reduction

LENGTHS = [16000, 7001, 24000, 1, 12345, 3200]


def clip_array(lengths: list[int] = LENGTHS, seed: int = 0, rate: int = 16000) -> ClipArray:
    samples = np.random.default_rng(seed).integers(-9000, 9000, sum(lengths)).astype(np.int16)
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    return ClipArray(
        samples, [ClipSpan(f"{i}.wav", s, n) for i, (s, n) in enumerate(zip(starts, lengths, strict=True))], rate
    )


class FakeEncoder:
    """Features that say where they are from: the mean of the samples of each hop, and the frame's number."""

    hop, offset, sample_rate, dim, layer, fingerprint = 320, 0, 16000, 4, 2, "f" * 32
    calls = 0

    def num_frames(self, num_samples: int) -> int:
        return -(-num_samples // self.hop)

    def features(self, audio: np.ndarray) -> torch.Tensor:
        FakeEncoder.calls += 1
        frames = self.num_frames(len(audio))
        padded = np.pad(audio, (0, frames * self.hop - len(audio))).reshape(frames, self.hop)
        t = np.arange(frames)
        return torch.from_numpy(np.stack([padded.mean(1) * 100, t, t**0.5, np.ones(frames)], 1).astype(np.float32))


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_module.TeacherSpec, "load", lambda self, layer: FakeEncoder())
    FakeEncoder.calls = 0


def make(folder: Path, clips: ClipArray | None = None, dim: int | None = None, **options: Any) -> TeacherCache:
    return TeacherCache.open_or_make(clips or clip_array(), "fake", folder, 2, dim, report=lambda _: None, **options)


# -- alignment ---------------------------------------------------------------------------------------------------------


def slow_weights(grid: Grid, start: int, num_frames: int, frame_size: int, available: int) -> list[list[Fraction]]:
    """The formula as it is written, over all teacher frames."""
    rows = []
    for j in range(num_frames):
        a, b = Fraction(start + j * frame_size), Fraction(start + (j + 1) * frame_size)
        begins = [grid.offset + t * grid.hop for t in range(available)]
        row = [max(Fraction(0), min(x + grid.hop, b) - max(x, a)) for x in begins]
        rows.append([w / sum(row) if sum(row) else Fraction(0) for w in row])
    return rows


@settings(max_examples=150, deadline=None)
@given(
    hop=st.sampled_from([(320, 0, 16000), (320, -160, 16000), (640, 0, 16000), (320, -160, 24000), (320, 0, 44100)]),
    start=st.integers(0, 6000),
    num_frames=st.integers(1, 6),
    frame_size=st.sampled_from([320, 640, 1280, 1920, 512, 77]),
    available=st.integers(0, 30),
)
def test_pooling_is_the_written_formula(
    hop: tuple[int, int, int], start: int, num_frames: int, frame_size: int, available: int
) -> None:
    encoder_hop, offset, rate = hop
    grid = Grid.of(encoder_hop, offset, 16000, rate)
    first, weights = pooling(grid, start, num_frames, frame_size, available)
    full = np.zeros((num_frames, available))
    full[:, first : first + weights.shape[1]] = weights
    expected = np.array(slow_weights(grid, start, num_frames, frame_size, available), dtype=np.float64)
    np.testing.assert_allclose(full, expected.reshape(num_frames, available), atol=1e-12)


@pytest.mark.parametrize(("frame_size", "group"), [(320, 1), (640, 2), (1280, 4)])
def test_multiples_of_the_hop_are_plain_means(frame_size: int, group: int) -> None:
    first, weights = pooling(Grid(Fraction(320)), 2 * frame_size, 3, frame_size, 100)
    assert first == 2 * group
    np.testing.assert_array_equal(weights, np.kron(np.eye(3), np.full((1, group), 1 / group)))


# -- cache -------------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(clip=st.integers(0, len(LENGTHS) - 1), crop=st.integers(0, 30), frame_size=st.sampled_from([320, 640, 1280]))
def test_targets_are_of_the_very_samples_of_the_crop(
    tmp_path_factory: pytest.TempPathFactory, clip: int, crop: int, frame_size: int
) -> None:
    clips = clip_array()
    cache = make(Path(tmp_path_factory.getbasetemp()) / "shared", clips)
    start = crop * frame_size
    targets, mask = cache.targets(torch.tensor([clip, 0]), torch.tensor([start, 0]), 5, frame_size)
    assert targets.shape == (2, 5, 4)
    assert targets.dtype == torch.float32
    audio = clips.read(clips.clips[clip])
    for j in range(5):
        span = audio[start + j * frame_size : start + (j + 1) * frame_size]
        assert bool(mask[0, j]) == (len(span) == frame_size)
        if mask[0, j]:
            assert targets[0, j, 0] == pytest.approx(100 * span.mean(), abs=2e-2)
        else:
            assert not targets[0, j].any()


def test_a_cache_is_made_once_and_opened_after(tmp_path: Path) -> None:
    first = make(tmp_path)
    assert FakeEncoder.calls == len(LENGTHS)
    again = make(tmp_path)
    assert FakeEncoder.calls == len(LENGTHS)
    assert np.array_equal(first.features, again.features)
    assert first.features.dtype == np.float16
    assert not isinstance(first.features, np.ndarray) or isinstance(first.features, np.memmap)
    (folder,) = tmp_path.iterdir()
    assert {p.name for p in folder.iterdir()} == {"features.npy", "index.json"}


def test_other_clips_encoder_layer_or_width_is_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    make(tmp_path, clip_array(seed=1))
    make(tmp_path, clip_array([16001, 7000, *LENGTHS[2:]]))  # the same samples, cut elsewhere
    make(tmp_path, dim=2)
    monkeypatch.setattr(FakeEncoder, "fingerprint", "e" * 32)
    make(tmp_path)
    TeacherCache.open_or_make(clip_array(), TeacherSpec("fake", "bfloat16"), tmp_path, 2, report=lambda _: None)
    assert len(list(tmp_path.iterdir())) == 6


def test_a_known_fingerprint_gives_the_same_cache(tmp_path: Path) -> None:
    import hashlib

    clips = clip_array()
    known = ClipArray(clips.samples, clips.clips, 16000, hashlib.sha256(clips.samples.tobytes()).hexdigest())
    make(tmp_path, clips)
    make(tmp_path, known)
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = clip_array([16000 * 70] * 6)  # pieces of two clips
    whole = make(tmp_path / "whole", clips, dim=2)
    calls = FakeEncoder.calls
    real = FakeEncoder.features

    def stop(self: FakeEncoder, audio: np.ndarray) -> torch.Tensor:
        if FakeEncoder.calls == calls + 6 + 3:  # 6 for the principal components, 3 clips after
            raise KeyboardInterrupt
        return real(self, audio)

    monkeypatch.setattr(FakeEncoder, "features", stop)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "cut", clips, dim=2)
    (folder,) = (tmp_path / "cut").iterdir()
    assert {p.name for p in folder.iterdir()} == {"parts", "reduction.npz"}
    assert [p.name for p in (folder / "parts").iterdir()] == ["00000.npy"]
    monkeypatch.setattr(FakeEncoder, "features", real)
    FakeEncoder.calls = 0
    resumed = make(tmp_path / "cut", clips, dim=2)
    assert FakeEncoder.calls == 4
    assert np.array_equal(resumed.features, whole.features)


def test_a_damaged_cache_is_an_error(tmp_path: Path) -> None:
    make(tmp_path)
    (folder,) = tmp_path.iterdir()
    np.save(folder / "features.npy", np.zeros((3, 4), np.float16))
    with pytest.raises(FormatError, match="delete it"):
        make(tmp_path)


def test_features_beyond_float16_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeEncoder, "features", lambda self, audio: torch.full((self.num_frames(len(audio)), 4), 1e6))
    with pytest.raises(FormatError, match="float16"), np.errstate(over="ignore"):
        make(tmp_path)


def test_another_rate_is_resampled(tmp_path: Path) -> None:
    cache = make(tmp_path, clip_array([24000, 4800], rate=24000))
    assert (cache.grid.hop, cache.starts.tolist()) == (480, [0, 50, 60])
    targets, mask = cache.targets(torch.tensor([0]), torch.tensor([1920]), 3, 1920)
    assert mask.all()
    np.testing.assert_allclose(targets[0, :, 1], [5.5, 9.5, 13.5])


def test_principal_components_are_sklearns(tmp_path: Path) -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    x = np.random.default_rng(0).normal(size=(500, 6)) @ np.diag([5, 4, 3, 2, 1, 0.5]) + 3
    found = Reduction.fit(x.astype(np.float32), 3)
    expected = decomposition.PCA(3).fit(x)
    np.testing.assert_allclose(np.abs(found(x)), np.abs(expected.transform(x)), atol=1e-3)
    assert found.explained == pytest.approx(expected.explained_variance_ratio_.sum(), abs=1e-4)
    found.save(tmp_path / "r.npz")
    np.testing.assert_array_equal(Reduction.load(tmp_path / "r.npz")(x), found(x))
    for wrong in (0, 7):
        with pytest.raises(FormatError, match="1 to 6"):
            Reduction.fit(x, wrong)
    with pytest.raises(FormatError, match="too few"):
        Reduction.fit(x[:2], 3)


def test_huge_values_of_a_few_frames_do_not_make_a_component() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 6)).astype(np.float32) @ np.diag([4, 3, 2, 1, 1, 1]).astype(np.float32)
    clean = Reduction.fit(x, 2)
    x[::200, 5] = 500.0
    found = Reduction.fit(x, 2)
    np.testing.assert_allclose(np.abs(found.basis[5]), 0, atol=0.1)
    np.testing.assert_allclose(np.abs((clean.basis * found.basis).sum(0)), 1, atol=0.01)
    assert np.abs(found(x)).max() < 30


def test_two_caches_can_share_their_axes(tmp_path: Path) -> None:
    fit = make(tmp_path, dim=2)
    val = make(tmp_path, clip_array([9000], seed=3), dim=2, basis_of=fit)
    assert val.reduction is not None
    assert fit.reduction is not None
    np.testing.assert_array_equal(val.reduction.basis, fit.reduction.basis)
    own = make(tmp_path, clip_array([9000], seed=3), dim=2)
    assert not np.array_equal(own.features, val.features)


@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=30), most=st.integers(1, 100))
def test_pieces_hold_every_clip_once_in_order(lengths: list[int], most: int) -> None:
    found = pieces(lengths, most)
    assert [i for p in found for i in p] == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in p[:-1]) < most for p in found)


def test_progress_is_a_line_a_piece(tmp_path: Path) -> None:
    lines: list[str] = []
    TeacherCache.open_or_make(clip_array(), "fake", tmp_path, 2, report=lines.append)
    assert len(lines) == 1
    assert lines[0].startswith("teacher 1/1, ")


def test_a_real_encoder_of_the_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a model folder to targets, without the stand-in."""
    transformers = pytest.importorskip("transformers")
    monkeypatch.undo()
    conv = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.HubertConfig(
        **conv, conv_dim=(8,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2
    )
    transformers.HubertModel(config).save_pretrained(tmp_path / "model")
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path / "model")
    cache = TeacherCache.open_or_make(
        clip_array(), str(tmp_path / "model"), tmp_path / "cache", -1, 8, report=lambda _: None
    )
    targets, mask = cache.targets(torch.tensor([0, 2, 3]), torch.tensor([640, 0, 0]), 10, 640)
    assert targets.shape == (3, 10, 8)
    assert mask.sum(1).tolist() == [10, 10, 0]
    assert json.loads(next((tmp_path / "cache").glob("*/index.json")).read_text())["layer"] == 2


# -- losses ------------------------------------------------------------------------------------------------------------


def slow_loss(kind: str, y: np.ndarray, s: np.ndarray, mask: np.ndarray) -> float:
    def cos(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    def log_sigmoid(x: float) -> float:
        return float(-np.log1p(np.exp(-x)))

    values = []
    for item in range(len(y)):
        kept = mask[item]
        if kind == "d-axis":
            if kept.any():
                values += [-log_sigmoid(cos(y[item, kept, d], s[item, kept, d])) for d in range(y.shape[2])]
        else:
            each = [cos(a, b) for a, b in zip(y[item, kept], s[item, kept], strict=True)]
            values += [1 - c if kind == "cosine" else -log_sigmoid(c) for c in each]
    return float(np.mean(values))


@pytest.mark.parametrize("kind", ["cosine", "d-axis", "t-axis"])
def test_losses_are_their_formulas(kind: str) -> None:
    rng = torch.Generator().manual_seed(0)
    loss = DistillationLoss(6, 5, kind)
    q, s = torch.randn(3, 9, 6, generator=rng, requires_grad=True), torch.randn(3, 9, 5, generator=rng)
    mask = torch.ones(3, 9, dtype=torch.bool)
    mask[1, 4:] = False
    mask[2] = False
    found = loss(q, s, mask)
    y = loss.project(q).detach().numpy()
    assert found.item() == pytest.approx(slow_loss(kind, y, s.numpy(), mask.numpy()), rel=1e-5)
    found.backward()
    assert q.grad is not None
    assert q.grad[0].abs().sum(1).min() > 0
    assert q.grad[1, :4].abs().sum(1).min() > 0
    assert not q.grad[1, 4:].any()
    assert not q.grad[2].any()
    assert loss.project.weight.grad is not None


@pytest.mark.parametrize("kind", ["cosine", "d-axis", "t-axis"])
def test_what_is_masked_cannot_reach_the_loss(kind: str) -> None:
    loss = DistillationLoss(4, 4, kind)
    q, s = torch.randn(2, 6, 4), torch.randn(2, 6, 4)
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    before = loss(q, s, mask).item()
    q[0, 4:], s[0, 4:] = 1e3, float("nan")
    assert loss(q, s, mask).item() == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize("kind", ["cosine", "d-axis", "t-axis"])
def test_all_masked_is_zero_with_finite_gradients(kind: str) -> None:
    loss = DistillationLoss(4, 3, kind)
    q = torch.randn(2, 5, 4, requires_grad=True)
    found = loss(q, torch.zeros(2, 5, 3), torch.zeros(2, 5, dtype=torch.bool))
    found.backward()
    assert found.item() == 0
    assert q.grad is not None
    assert not q.grad.any()
    assert not loss.project.weight.grad.isnan().any()


@pytest.mark.parametrize("kind", ["cosine", "d-axis", "t-axis"])
def test_training_on_it_brings_the_vectors_to_the_teacher(kind: str) -> None:
    torch.manual_seed(0)
    loss, q = DistillationLoss(8, 6, kind), torch.randn(2, 20, 8, requires_grad=True)
    s, mask = torch.randn(2, 20, 6), torch.ones(2, 20, dtype=torch.bool)
    optimizer = torch.optim.Adam([q, *loss.parameters()], lr=0.03)
    for _ in range(200):
        optimizer.zero_grad()
        loss(q, s, mask).backward()
        optimizer.step()
    cosine = torch.cosine_similarity(loss.project(q), s, dim=1 if kind == "d-axis" else 2)
    assert cosine.mean() > 0.95


def test_the_map_is_in_the_state_and_bf16_is_widened() -> None:
    loss = DistillationLoss(4, 3)
    assert set(loss.state_dict()) == {"project.weight", "project.bias"}
    q, s, mask = torch.randn(2, 5, 4), torch.randn(2, 5, 3), torch.ones(2, 5, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(q, s, mask)
    assert inside.dtype == torch.float32
    assert inside.item() == loss(q, s, mask).item()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(FormatError, match="cosine, d-axis, t-axis"):
        DistillationLoss(4, 3, "l2")
