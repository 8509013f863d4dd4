"""What every quantizer promises: functions that raise AssertionError where one breaks it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from codectok.errors import CodeRangeError
from tests.quantizers.subjects import Make, codebooks, fitted, latents, same_state, seen_by_first, state

close = torch.testing.assert_close


def codes_are_codes(make: Make) -> None:
    vq, z = fitted(make), latents()
    codes = vq.encode(z)
    assert codes.shape == (3, len(vq.codebook_sizes), 40)
    assert codes.dtype == torch.int64
    assert all(0 <= int(c.min()) <= int(c.max()) < n for c, n in zip(codes.unbind(1), vq.codebook_sizes, strict=True))
    assert torch.equal(codes, vq.encode(z)), "deterministic"
    assert vq.decode(codes).shape == z.shape
    assert vq.decode(codes).dtype == torch.float32


def fewer_codebooks_are_a_prefix(make: Make) -> None:
    vq, z = fitted(make), latents()
    every, count = vq.encode(z), len(vq.codebook_sizes)
    for k in range(1, count + 1):
        assert torch.equal(vq.encode(z, k), every[:, :k])
        assert vq.decode(every[:, :k]).shape == z.shape
    for call, bad in ((vq.decode, (every[:, [0] * (count + 1)],)), (vq.encode, (z, count + 1)), (vq.encode, (z, 0))):
        with pytest.raises(CodeRangeError, match="choose 1 to"):
            call(*bad)


def more_codebooks_come_closer(make: Make) -> None:
    """Each level adds what it should: a decoder with two levels swapped, or one scaled, does worse."""
    vq, z = fitted(make), latents()
    codes = vq.encode(z)
    whole = vq.decode(codes).detach()
    last = [(vq.decode(codes[:, : k + 1]) - whole).detach().square().mean() for k in range(codes.shape[1])]
    assert last[-1] == 0
    assert all(b < a for a, b in itertools.pairwise(last))


def forward_is_decode_of_encode(make: Make) -> None:
    vq, z = fitted(make), latents()
    result = vq.eval()(z)
    assert torch.equal(result.codes, vq.encode(z))
    close(result.quantized, vq.decode(result.codes), rtol=0, atol=1e-6)
    torch.manual_seed(3)
    trained = vq.train()(z)
    close(trained.quantized, vq.decode(trained.codes), rtol=0, atol=1e-6)
    torch.manual_seed(3)
    assert torch.equal(vq(z).quantized, trained.quantized), "deterministic"


def distances_explain_the_choice(make: Make) -> None:
    vq, z = fitted(make), latents(1, 30)
    codes = vq.encode(z)[0]
    for t in range(30):
        for k, size in enumerate(vq.codebook_sizes):
            found = vq.distances(z[0, t], codes[:, t], k)
            assert found.shape == (size,)
            assert int(found.argmin()) == codes[k, t]
            assert found.min() >= 0


def every_level_has_a_gradient(make: Make) -> None:
    vq, z = fitted(make), latents(grad=True)
    torch.manual_seed(3)
    out = vq(z)
    probe = torch.randn(z.shape, generator=torch.Generator().manual_seed(4))
    for k, term in enumerate(out.commitment):
        if term.requires_grad:
            (gradient,) = torch.autograd.grad(term, z, retain_graph=True)
            assert gradient.abs().max() > 1e-5, f"commitment of level {k} does not pull the latents"
        else:
            assert term == 0
    loss = (out.quantized * probe).sum() + out.commitment.sum() + out.codebook_loss.sum()
    gradients = torch.autograd.grad(loss, [z, *vq.parameters()], allow_unused=True)
    names = ["z", *(name for name, _ in vq.named_parameters())]
    for name, g in zip(names, gradients, strict=True):
        assert g is not None, f"no gradient reaches {name}"
        assert g.isfinite().all()
        assert g.abs().max() > 0, f"no gradient reaches {name}"


def dropout_is_per_item(make: Make) -> None:
    vq = fitted(make).eval()
    levels = len(vq.codebook_sizes)
    for depths in ([0, levels, 1], [1, 1, 1], [levels, 1, min(2, levels)], [min(3, levels), 0, 0]):
        z = latents(grad=True)
        out = vq(z, torch.tensor(depths))
        for i, d in enumerate(depths):
            assert (out.codes[i, d:] == -1).all()
            if d == 0:
                assert (out.quantized[i] == 0).all(), "without a level, an item contributes nothing"
                continue
            alone = vq.encode(z[i : i + 1], d)
            assert torch.equal(out.codes[i : i + 1, :d], alone)
            close(out.quantized[i : i + 1], vq.decode(alone), rtol=0, atol=1e-6)
        (gradient,) = torch.autograd.grad(out.quantized.sum(), z)
        assert [bool(g.any()) for g in gradient] == [d > 0 for d in depths]
        _losses_are_of_users_only(vq, z.detach(), depths)


def _losses_are_of_users_only(vq: Any, z: Tensor, depths: list[int]) -> None:
    """Items that do not use a level have no part in its losses, neither in the sum nor in the number."""
    out = vq(z, torch.tensor(depths))
    alone = [vq(z, torch.where(torch.arange(len(z)) == i, d, 0)) for i, d in enumerate(depths)]
    for k in range(len(vq.codebook_sizes)):
        users = [i for i, d in enumerate(depths) if d > k]
        if not users:
            assert out.commitment[k] == out.codebook_loss[k] == 0
            continue
        close(out.commitment[k], torch.stack([alone[i].commitment[k] for i in users]).mean(), rtol=1e-4, atol=1e-7)
        others = torch.where(torch.tensor([i in users for i in range(len(z))])[:, None, None], z, 2 * z.flip(1))
        close(vq(others, torch.tensor(depths)).codebook_loss[k], out.codebook_loss[k], rtol=1e-4, atol=1e-7)


def padding_teaches_nothing(make: Make) -> None:
    lengths = [40, 13, 1]
    mask = torch.arange(40) < torch.tensor(lengths)[:, None]
    outcomes = []
    for garbage in (0.0, 1e4, float("nan")):
        vq = make()
        filled = torch.where(mask[:, :, None], latents(), garbage)
        vq.fit(filled, seed=3, mask=mask)
        z = filled.clone().requires_grad_()
        torch.manual_seed(3)
        out = vq(z, torch.tensor([4, 2, 1]), 0.9, mask)
        assert (out.codes.transpose(1, 2)[~mask] == -1).all()
        assert (out.quantized[~mask] == 0).all()
        loss = out.quantized.square().sum() + out.commitment.sum() + out.codebook_loss.sum()
        gradients = torch.autograd.grad(loss, [z, *vq.parameters()], allow_unused=True)
        for level in codebooks(vq) if vq.tracks_usage else ():
            level.counts[2] = 0
        vq.revive(filled, 0.5, torch.Generator().manual_seed(0), mask)
        outcomes.append([out.codes, out.commitment, out.codebook_loss, *state(vq).values(), *gradients])
    for other in outcomes[1:]:
        for a, b in zip(outcomes[0], other, strict=True):
            assert (a is None and b is None) or torch.equal(a, b)


def updates_only_on_request(make: Make) -> None:
    vq, z = fitted(make).train(), latents()
    before = state(vq)
    vq(z)
    vq.eval()(z)
    vq.encode(z)
    assert same_state(before, state(vq))
    vq.train()(z, update_decay=0.9)
    assert same_state(before, state(vq)) is not vq.tracks_usage
    moved = [k for k, v in state(vq).items() if not torch.equal(v, before[k])]
    assert not any(name in dict(vq.named_parameters()) for name in moved), "parameters are the optimizer's"


def dead_codes_come_back(make: Make) -> None:
    vq, z = fitted(make), latents()
    if not vq.tracks_usage:
        before = state(vq)
        assert vq.revive(z, 0.5) == [0] * len(vq.codebook_sizes)
        assert same_state(before, state(vq))
        return
    first = codebooks(vq)[0]
    with torch.no_grad():  # a copy of code 0, the first of equals, is never chosen by a greedy search
        first.vectors[3] = first.vectors[0]
        first.counts[3] = 0.0
        if hasattr(first, "sums"):
            first.sums[3] = 0.0
    revived = vq.revive(z, threshold=0.05, generator=torch.Generator().manual_seed(0))
    assert len(revived) == len(vq.codebook_sizes)
    assert revived[0] == 1
    gap = (seen_by_first(vq, z) - first.vectors[3]).abs().amax(1).min()
    assert gap < 1e-5, "it must stand on a frame of the batch"
    assert (vq.encode(z)[:, 0] == 3).any(), "be chosen at once"
    assert vq.revive(z, 0.05)[0] == 0, "not be revived again"
    vq(z, update_decay=0.99)
    assert (vq.encode(z)[:, 0] == 3).any(), "and still be there after an update"


def fit_starts_on_real_frames(make: Make) -> None:
    vq = make()
    if not any(hasattr(m, "vectors") for m in vq.modules()):
        return
    most = max(vq.codebook_sizes)
    with pytest.raises(ValueError, match="frames"):
        vq.fit(latents(1, most - 1)[0])
    vq.fit(latents(4, 200).flatten(0, 1))
    codes = vq.encode(latents(4, 200))
    assert all(len(codes[:, k].unique()) == size for k, size in enumerate(vq.codebook_sizes))
    if vq.tracks_usage:
        far = 100 + 10 * latents(4, 200)
        vq.fit(far)
        seen, vectors = seen_by_first(vq, far), codebooks(vq)[0].vectors
        slack = 1e-3 * (seen.amax(0) - seen.amin(0))
        assert (vectors > seen.amin(0) - slack).all(), "codes lie among the frames"
        assert (vectors < seen.amax(0) + slack).all()


def quantizes_in_float32(make: Make) -> None:
    vq, low = fitted(make).eval(), latents().bfloat16()
    codes = vq.encode(low.float())
    assert torch.equal(vq.encode(low), codes)
    assert torch.equal(vq(low).codes, codes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(vq.encode(low), codes)
        out = vq(low)
        assert torch.equal(out.codes, codes)
        assert torch.equal(vq.decode(codes), out.quantized)
    assert out.quantized.dtype == out.commitment.dtype == out.codebook_loss.dtype == torch.float32


def weights_come_back(make: Make) -> None:
    """From what a released model holds, without the training state: same codes, and training goes on from there."""
    vq, z = fitted(make), latents()
    other = make()
    other.load_state_dict(vq.state_dict())
    codes = vq.encode(z)
    assert torch.equal(other.encode(z), codes)
    other(z, update_decay=1.0)
    close(other.decode(codes), vq.decode(codes), msg="the first update brought back the old codebook")


CLAUSES: dict[str, Callable[[Make], None]] = {
    f.__name__: f
    for f in (
        codes_are_codes,
        fewer_codebooks_are_a_prefix,
        more_codebooks_come_closer,
        forward_is_decode_of_encode,
        distances_explain_the_choice,
        every_level_has_a_gradient,
        dropout_is_per_item,
        padding_teaches_nothing,
        updates_only_on_request,
        dead_codes_come_back,
        fit_starts_on_real_frames,
        quantizes_in_float32,
        weights_come_back,
    )
}
