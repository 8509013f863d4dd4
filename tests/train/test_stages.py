"""Training in stages: the noise channel holds a rate, codebooks are fitted once and stay, and all of it resumes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from codectok import load
from codectok.codec.beam import beam_search
from codectok.codec.envelope import EnvelopeCodec
from codectok.codec.rvq import ResidualVQ
from codectok.errors import FormatError
from tests.contract.subjects import voice
from tests.train.recipes import process, recipe
from train_codec.base_layer import base_rows, fit_base
from train_codec.fit import fit_residual
from train_codec.loop import train
from train_codec.losses import BandNoiseLoss
from train_codec.noise import NoiseChannel, audible
from train_codec.schedule import RecipeStage, stage_of
from train_codec.trainer import Trainer

STAGES: dict[str, Any] = {"name": "tiny-stages", "steps": 12, "quantize_from": 6, "adversarial_from": 0}


def staged(out: Path, until: int | None = None, **changes: Any) -> Trainer:
    trainer = Trainer(recipe(out, **{**STAGES, **changes}))
    train(trainer, until)
    return trainer


def correlated(rows: int, dim: int = 6, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, generator=torch.Generator().manual_seed(9))
    return torch.randn(rows, dim, generator=generator) @ mixing * 2 + 1


# -- the noise channel ----------------------------------------------------------------------------------------------


def test_the_rate_is_that_of_a_gaussian_channel() -> None:
    z = correlated(20000)
    channel = NoiseChannel(6, 10.0, 0.02)
    for _ in range(300):
        channel(z[None], torch.ones(1, len(z), dtype=torch.bool))
    expected = 0.5 * torch.logdet(torch.eye(6) + torch.cov(z.T)) / math.log(2)
    assert float(channel.bits()) == pytest.approx(float(expected), rel=0.02)


def test_the_penalty_pulls_as_the_rate_does() -> None:
    """The gradient is the weight times that of 1/2 log2 det(I + C)."""
    z = correlated(500).requires_grad_()
    channel = NoiseChannel(6, 10.0, 0.05)
    centred = z - z.mean(0)
    rate = 0.5 * torch.logdet(torch.eye(6) + centred.T @ centred / len(z)) / math.log(2)
    (expected,) = torch.autograd.grad(rate, z)
    with torch.no_grad():
        channel.mean.copy_(z.mean(0))
        channel.covariance.copy_(centred.T @ centred / len(z))
    penalty = channel(z[None], torch.ones(1, len(z), dtype=torch.bool))
    (found,) = torch.autograd.grad(penalty, z)
    torch.testing.assert_close(found, float(channel.weight) * expected, rtol=0.03, atol=1e-6)


def test_the_weight_follows_the_rate() -> None:
    z = correlated(1000)[None]
    counted = torch.ones(1, 1000, dtype=torch.bool)
    for target, sign in ((1.0, 1), (100.0, -1)):
        channel = NoiseChannel(6, target, 0.02)
        for _ in range(20):
            channel(z, counted)
        assert sign * (float(channel.weight) - 0.02) > 0


def test_training_holds_the_rate(tmp_path: Path) -> None:
    trainer = staged(tmp_path / "run", steps=60, quantize_from=60, noise_rate=12, noise_weight=0.05)
    channel = trainer.generator.noise
    assert isinstance(channel, NoiseChannel)
    free = staged(tmp_path / "free", steps=60, quantize_from=60, noise_rate=1e4, noise_weight=1e-3)
    assert isinstance(free.generator.noise, NoiseChannel)
    assert channel.bits() < free.generator.noise.bits()


def test_silent_frames_are_not_counted() -> None:
    audio = torch.zeros(2, 4 * 640)
    audio[0, :640] = 0.5
    audio[0, 640:1280] = 0.5 * 10 ** (-30 / 20)
    audio[0, 1280:] = 0.5 * 10 ** (-50 / 20)
    assert audible(audio, 4).tolist() == [[True, True, False, False], [False] * 4]


def test_uncounted_frames_change_nothing() -> None:
    z, counted = correlated(40).view(1, 40, 6), torch.arange(40)[None] < 25
    other = torch.where(counted[..., None], z, 1e6)
    channels = [NoiseChannel(6, 10.0, 0.02) for _ in range(2)]
    assert channels[0](z, counted) == channels[1](other, counted)
    assert torch.equal(channels[0].covariance, channels[1].covariance)


# -- fitting --------------------------------------------------------------------------------------------------------


def test_rounds_bring_codebooks_nearer_to_rows_they_were_not_fitted_to() -> None:
    errors = []
    for rounds in (0, 3):
        vq = ResidualVQ(6, [16, 16, 16], "beam-4")
        fit_residual(vq, correlated(6000), rounds, seed=0)
        errors.append(
            float(beam_search(correlated(2000, seed=5), [c.vectors for c in vq.levels], 4).errors[:, 0].mean())
        )
    assert errors[1] < 0.97 * errors[0]


def test_a_base_layer_is_fitted_to_speech(tmp_path: Path) -> None:
    trainer = staged(tmp_path / "run", until=1)
    codec = trainer.codec
    assert isinstance(codec, EnvelopeCodec)
    x = torch.stack([torch.from_numpy(voice(64000, 16000, seed)) for seed in range(3)])
    with torch.no_grad():
        rows = base_rows(codec, x)
        fit_base(codec, rows, 1, 0, 0, 1)
        z = codec.encode_step(x, None, False)[0]
        decoded = codec.dequantize(codec.quantize(z, codec.fixed_codebooks))
    start, stop = sum(codec.config.part_dims[:2]), sum(codec.config.part_dims[:3])
    error = (decoded - z)[..., start:stop].square().mean()
    assert error < 0.2 * z[..., start:stop].var()
    assert (decoded[..., stop:] == 0).all()
    assert codec.quantizer.means.any(), "what the first code says of the envelope"


# -- the run --------------------------------------------------------------------------------------------------------


def test_stages_follow_each_other(tmp_path: Path) -> None:
    r = recipe(tmp_path / "run", **{**STAGES, "first_steps": 2})
    assert [stage_of(r, step) for step in (0, 1, 2, 5, 6, 11)] == [
        RecipeStage.FIRST,
        RecipeStage.FIRST,
        RecipeStage.LATENTS,
        RecipeStage.LATENTS,
        RecipeStage.CODES,
        RecipeStage.CODES,
    ]


@pytest.mark.parametrize("cuts", [(3, 6, 9)])
def test_a_staged_run_resumes_bit_for_bit(tmp_path: Path, teacher: Path, cuts: tuple[int, ...]) -> None:
    """Within every stage and at the borders, where codebooks are fitted."""
    changes: dict[str, Any] = {"teacher": teacher, "teacher_dim": 8, "teacher_layer": 1, "first_steps": 3}
    whole = staged(tmp_path / "whole", **changes)
    for cut in cuts:
        staged(tmp_path / "parts", cut, **changes)
    parts = staged(tmp_path / "parts", **changes)
    for ours, theirs in ((whole.generator, parts.generator), (whole.released(), parts.released())):
        expected = theirs.state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())


def test_codes_stay_once_they_are_fitted(tmp_path: Path) -> None:
    first = load(str(staged(tmp_path / "run", 7).export()))
    before = {k: v.clone() for k, v in first.model.state_dict().items()}  # type: ignore[attr-defined]
    last = load(str(staged(tmp_path / "run").export()))
    after = last.model.state_dict()  # type: ignore[attr-defined]
    changed = {name.partition(".")[0] for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"decoder"}
    x = voice(16000, 16000)
    assert torch.equal(first.encode(x, 16000).codes, last.encode(x, 16000).codes)


def test_the_first_stage_trains_the_semantic_branch_alone(tmp_path: Path, teacher: Path) -> None:
    changes = {"teacher": teacher, "teacher_dim": 8, "teacher_layer": 1, "first_steps": 4}
    trainer = Trainer(recipe(tmp_path / "run", **{**STAGES, **changes}))
    before = {name: p.detach().clone() for name, p in trainer.codec.named_parameters()}
    train(trainer, 4)
    moved = {n.partition(".")[0] for n, p in trainer.codec.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"semantic"}
    trainer = Trainer(recipe(tmp_path / "run", **{**STAGES, **changes}))
    train(trainer, 8)
    averaged = dict(trainer.average.named_parameters())
    branch = {n: p for n, p in trainer.codec.named_parameters() if n.startswith("semantic.")}
    assert all(torch.equal(p, averaged[n]) for n, p in branch.items()), "the averaged one is kept"


def test_a_semantic_branch_needs_a_teacher(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="first_steps"):
        staged(tmp_path / "run", first_steps=2)


def test_the_harmonic_codec_goes_through_the_noise_channel_too(tmp_path: Path) -> None:
    trainer = staged(tmp_path / "run", name="tiny", noise_rate=40, fit_frames=200, fit_rounds=1, keep_codes=True)
    audio = voice(8000, 16000)
    tok = load(str(trainer.export()))
    assert tok.decode(tok.encode(audio, 16000)).shape == audio.shape


@pytest.mark.parametrize(
    ("changes", "stay"),
    [
        ({"quantize_from": 6}, False),
        ({"quantize_from": 6, "freeze": ["encoder"]}, True),
        ({"quantize_from": 0}, True),
    ],
)
def test_codebooks_that_came_with_weights_stay_unless_the_encoder_learned_through_noise(
    tmp_path: Path, changes: dict[str, Any], stay: bool
) -> None:
    before = staged(tmp_path / "before").export()
    kept = load(str(before)).model.quantizer.state_dict()  # type: ignore[attr-defined]
    trainer = staged(tmp_path / "after", 7, start_from=before, learning_rate=1e-2, **changes)
    found = trainer.codec.quantizer.state_dict()
    last = max(name.split(".")[1] for name in kept if name.startswith("parts."))
    books = [name for name in kept if name.startswith(f"parts.{last}.") and name.endswith("vectors")]
    assert books
    assert all(torch.equal(found[name].float(), kept[name].float()) for name in books) is stay


def test_noise_in_bands_saturates_and_forgives_silence() -> None:
    loss = BandNoiseLoss(16000)
    x = torch.from_numpy(voice(16000, 16000))[None]
    noise = 0.02 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    values = [float(loss(x + gain * noise, x)) for gain in (0.0, 0.3, 1.0, 10.0)]
    assert values[0] == 0
    assert values == sorted(values)
    assert values[3] - values[2] < 10 * (values[2] - values[1]), "not the square"
    pair = torch.cat([x, x]), torch.cat([x + noise, x])
    assert float(loss(*pair, torch.tensor([0.0, 1.0]))) == 0


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path, teacher: Path) -> None:
    """As far as the latents' k-means, in which the last digits of sums may turn a row to another code."""
    changes = {**STAGES, "teacher": teacher, "teacher_dim": 8, "teacher_layer": 1, "first_steps": 2, "bf16": "false"}
    changes |= {"steps": 8, "quantize_from": 5, "threads": 1, "learning_rate": 1e-3}
    for folder, processes in (("one", 1), ("two", 2)):
        process(tmp_path / folder, 5, changes, processes)
    one, two = (torch.load(tmp_path / n / "checkpoint.pt", weights_only=True)["generator"] for n in ("one", "two"))
    for name, expected in one.items():
        torch.testing.assert_close(two[name], expected, rtol=2e-2, atol=5e-3, msg=name)
    process(tmp_path / "two", 8, changes, processes=2)
