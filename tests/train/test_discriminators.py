"""Discriminators: one form for all, layers as in their papers, inputs as a slow reference has them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from codectok.errors import AudioError, CodectokError
from train_codec.adversarial import AdversarialStep
from train_codec.discriminators import (
    DISCRIMINATORS,
    MultiBandDiscriminator,
    MultiFrameDiscriminator,
    MultiPeriodDiscriminator,
    MultiScaleSTFTDiscriminator,
    build_discriminators,
)
from train_codec.discriminators.bands import BandDiscriminator
from train_codec.discriminators.discriminator import as_channels, complex_spectrum
from train_codec.discriminators.frames import FrameDiscriminator, compressed_patches
from train_codec.discriminators.ms_stft import STFTDiscriminator
from train_codec.discriminators.periods import PeriodDiscriminator
from train_codec.losses.spectrum import unit_window

SMALL = {
    "ms_stft": lambda: MultiScaleSTFTDiscriminator((256, 64), filters=4),
    "periods": lambda: MultiPeriodDiscriminator(width=1 / 16),
    "bands": lambda: MultiBandDiscriminator((256, 128), filters=4),
    "frames": lambda: MultiFrameDiscriminator((256, 64), filters=4),
}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.2


def convs(module: nn.Module) -> list[nn.Conv2d]:
    return [m for m in module.modules() if isinstance(m, nn.Conv2d)]


def shape_of(c: nn.Conv2d) -> tuple[object, ...]:
    return c.in_channels, c.out_channels, c.kernel_size, c.stride, c.dilation


@pytest.mark.parametrize("name", SMALL)
class TestEveryDiscriminator:
    def test_form(self, name: str) -> None:
        torch.manual_seed(0)
        d = SMALL[name]()
        x = noise(2, 1200)
        maps = d(x)
        assert all(len(m) >= 4 for m in maps)
        assert all(m[-1].shape[:2] == (2, 1) for m in maps)  # one logit a place
        assert all(f.shape[0] == 2 and f.shape[1] > 1 for m in maps for f in m[:-1])
        for a, b in zip(maps, d(x[:, None]), strict=True):
            assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))

    def test_items_do_not_meet(self, name: str) -> None:
        d, x = SMALL[name](), noise(3, 1200)
        for together, alone in zip(d(x), d(x[1:2]), strict=True):
            for a, b in zip(together, alone, strict=True):
                torch.testing.assert_close(a[1:2], b, rtol=1e-4, atol=1e-5)

    def test_every_parameter_learns_and_the_waveform_feels_it(self, name: str) -> None:
        d = SMALL[name]()
        # Not hinge: while it is linear, the last bias is pulled up and down by exactly as much.
        step = AdversarialStep(d, "least_squares")
        real, fake = noise(2, 1200), noise(2, 1200, seed=1).requires_grad_()
        step.discriminator_loss(real, fake).backward()
        assert fake.grad is None
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in d.parameters())
        d.zero_grad(set_to_none=True)
        sum(step.generator_losses(real, fake).values()).backward()  # type: ignore[union-attr]
        assert all(p.grad is None for p in d.parameters())
        assert fake.grad is not None
        assert (fake.grad.abs().amax(1) > 0).all()

    def test_learns_to_tell_noise_from_tone(self, name: str) -> None:
        torch.manual_seed(0)
        d = SMALL[name]()
        step, optimizer = AdversarialStep(d), torch.optim.Adam(d.parameters(), 5e-3, betas=(0.5, 0.9))
        tone = 0.2 * torch.sin(torch.arange(1200) * 0.3)[None]
        for i in range(40):
            loss = step.discriminator_loss(tone * (1 + 0.1 * (i % 10)), noise(1, 1200, seed=i))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert float(step.discriminator_loss(tone, noise(1, 1200, seed=99)).detach()) < 1.6  # chance: 2

    def test_gradient_at_silence_is_finite(self, name: str) -> None:
        x = torch.zeros(1, 1200, requires_grad=True)
        sum(m[-1].square().sum() for m in SMALL[name]()(x)).backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()

    def test_under_bfloat16_autocast(self, name: str) -> None:
        torch.manual_seed(0)
        d, x = SMALL[name](), noise(2, 1200)
        expected = d(x)
        with torch.autocast("cpu", torch.bfloat16):
            for ours, full in zip(d(x), expected, strict=True):
                assert ours[-1].dtype == torch.bfloat16
                error = (ours[-1].float() - full[-1]).norm() / full[-1].norm()
                assert error < 0.05

    def test_bad_audio_is_refused(self, name: str) -> None:
        d = SMALL[name]()
        for shape in [(1200,), (2, 2, 1200), (2, 1, 1, 1200)]:
            with pytest.raises(AudioError, match="mono"):
                d(noise(*shape))
        with pytest.raises(AudioError, match=f"at least {d.least}"):
            d(noise(1, d.least - 1))
        assert d(noise(1, d.least))


def test_ms_stft_has_the_layers_of_the_paper() -> None:
    d = STFTDiscriminator(1024)
    assert [shape_of(c) for c in convs(d)] == [
        (2, 32, (3, 9), (1, 1), (1, 1)),
        (32, 32, (3, 9), (1, 2), (1, 1)),
        (32, 32, (3, 9), (1, 2), (2, 1)),
        (32, 32, (3, 9), (1, 2), (4, 1)),
        (32, 32, (3, 3), (1, 1), (1, 1)),
        (32, 1, (3, 3), (1, 1), (1, 1)),
    ]
    maps = d(noise(1, 2048))  # 1 + (2048 - 1024) / 256 = 5 frames of 513 bins
    assert [tuple(m.shape[1:]) for m in maps] == [
        (32, 5, 513),
        (32, 5, 257),
        (32, 5, 129),
        (32, 5, 65),
        (32, 5, 65),
        (1, 5, 65),
    ]
    assert [len(s.get_buffer("window")) for s in MultiScaleSTFTDiscriminator(filters=1).scales] == [
        2048,
        1024,
        512,
        256,
        128,
    ]


def test_periods_have_the_layers_of_the_paper() -> None:
    d = PeriodDiscriminator(3)
    assert [shape_of(c)[:4] for c in convs(d)] == [
        (1, 32, (5, 1), (3, 1)),
        (32, 128, (5, 1), (3, 1)),
        (128, 512, (5, 1), (3, 1)),
        (512, 1024, (5, 1), (3, 1)),
        (1024, 1024, (5, 1), (1, 1)),
        (1024, 1, (3, 1), (1, 1)),
    ]
    assert [p.period for p in MultiPeriodDiscriminator(width=1 / 32).periods] == [2, 3, 5, 7, 11]


def test_bands_have_the_layers_of_the_paper() -> None:
    d = BandDiscriminator(2048)
    stack = [(2, 32, (3, 9), (1, 1)), *[(32, 32, (3, 9), (1, 2))] * 3, (32, 32, (3, 3), (1, 1))]
    assert [shape_of(c)[:4] for c in convs(d)] == [*(stack * 5), (32, 1, (3, 3), (1, 1))]
    assert d.bands == [(0, 102), (102, 256), (256, 512), (512, 768), (768, 1025)]
    assert len(d(noise(1, 2048))) == 5 * 5 + 1


def test_bands_are_judged_apart() -> None:
    torch.manual_seed(0)
    d, t = BandDiscriminator(256, filters=2), torch.arange(2000)
    low, high = (0.1 * torch.sin(2 * torch.pi * f * t)[None] for f in (0.02, 0.45))  # cycles a sample
    with torch.no_grad():
        a, b = d(low), d(low + high)
    changed = [float((p - q).abs().max()) for p, q in zip(a[:-1], b[:-1], strict=True)]
    middle = slice(5, -5)  # the reflected ends leak into every band
    inner = float((a[0] - b[0])[..., middle, :].abs().max())
    assert inner < 1e-3 < changed[20]  # the lowest band's first map, the highest's
    assert [m.shape[3] for m in a[:-1:5]] == [high - low for low, high in d.bands]


@settings(deadline=None, max_examples=50)
@given(st.integers(12, 400), st.sampled_from([2, 3, 5, 7, 11]))
def test_periods_fold_every_sample_once_and_pad_only_a_partial_row(samples: int, period: int) -> None:
    x = torch.arange(samples, dtype=torch.float32)[None]
    folded = PeriodDiscriminator(period, width=1 / 32).fold(x)
    rows = -(-samples // period)
    assert folded.shape == (1, 1, rows, period)
    assert torch.equal(folded.flatten()[:samples], x[0])
    assert folded.flatten()[samples:].tolist() == [samples - 2 - i for i in range(rows * period - samples)]


@pytest.mark.parametrize("period", [2, 5])
def test_a_sample_reaches_its_own_column_only(period: int) -> None:
    d, x = PeriodDiscriminator(period, width=1 / 16), noise(1, 30 * period)
    y = x.clone()
    y[0, 7 * period + 1] += 1
    for a, b in zip(d(x), d(y), strict=True):
        changed = (a - b).abs().amax((0, 1, 2)) > 0
        assert changed.tolist() == [column == 1 for column in range(period)]


def test_spectrum_channels_are_the_slow_sum() -> None:
    x, n, hop = noise(1, 100), 16, 4
    found = as_channels(complex_spectrum(x, unit_window(n), hop, center=False))
    window = torch.hann_window(n, dtype=torch.float64)
    window /= window.square().sum().sqrt()
    for t in range(found.shape[2]):
        frame = x[0, t * hop : t * hop + n].double() * window
        for f in range(n // 2 + 1):
            angle = -2 * torch.pi * f * torch.arange(n, dtype=torch.float64) / n
            slow = torch.stack([(frame * angle.cos()).sum(), (frame * angle.sin()).sum()])
            torch.testing.assert_close(found[0, :, t, f].double(), slow, rtol=0, atol=1e-6)
    assert found.shape == (1, 2, (100 - n) // hop + 1, n // 2 + 1)


def test_patches_by_the_definition() -> None:
    z = torch.complex(noise(1, 9, 3), noise(1, 9, 3, seed=1))  # 9 bins, 3 frames
    z[0, 2, 1] = 0
    patches = compressed_patches(z, patch=4)
    assert patches.shape == (1, 12, 3, 2)
    assert patches.is_contiguous(memory_format=torch.channels_last)
    for t in range(3):
        for f in range(8):
            bin_, mag = z[0, f, t], float((z[0, f, t].abs() ** 2 + 1e-8).sqrt())
            expected = [
                float(bin_.real) * mag**-0.7,
                float(bin_.imag) * mag**-0.7,
                1 + 2 * math.log(mag) / 9.21,
            ]
            found = [float(patches[0, kind * 4 + f % 4, t, f // 4]) for kind in range(3)]
            assert found == pytest.approx(expected, abs=1e-5)
    assert float(patches[0, 8 + 2, 1, 0]) == pytest.approx(-1, abs=1e-3)  # silence is the floor


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1199))
def test_frames_see_a_bounded_piece_of_time(position: int) -> None:
    torch.manual_seed(0)
    d, x = FrameDiscriminator(64, filters=4), noise(1, 1200)
    y = x.clone()
    y[0, position] += 1
    changed = (d(x)[-1] - d(y)[-1]).abs().amax((0, 1, 3)).nonzero().flatten()
    # hop 16: a sample lies in frames up to 2 away from its own; the layers reach 1 + 2 + 4 + 1 frames on either side
    assert changed.min() >= position // 16 - 2 - 8
    assert changed.max() <= position // 16 + 3 + 8
    assert len(changed) > 8


def test_build() -> None:
    d = build_discriminators(["frames_small", "frames"], 16000)
    x = noise(1, 1200)
    maps = d(x)
    assert len(maps) == 6
    assert [m[0].shape[1] for m in maps] == [16, 16, 16, 32, 32, 32]
    assert torch.equal(maps[0][-1], d.parts[0](x)[0][-1])
    for names in ([], ["wave"], ["frames", "frames"]):
        with pytest.raises(CodectokError, match=r"choose some of ms_stft, periods, bands, frames, frames_small"):
            build_discriminators(names, 16000)
    with pytest.raises(CodectokError, match="0 Hz"):
        build_discriminators(["frames"], 0)
    assert set(SMALL) < set(DISCRIMINATORS)


def test_frames_refuse_a_window_without_whole_patches() -> None:
    with pytest.raises(CodectokError, match="multiple of 8"):
        FrameDiscriminator(100)
