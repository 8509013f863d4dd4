"""Probes: padding never changes a result, every probe learns, front ends are as published."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchmarks.contract import Clip, Example
from benchmarks.probes import PROBES, ProbeOptions, build_encoder, build_pooling, gives_frames
from benchmarks.probes.ctc import beam_search, frames_needed, greedy
from benchmarks.probes.frontend import AttentionMLP, Frontend, collate, length_mask, start_table
from benchmarks.probes.heads import ClipProbe, FrameProbe
from benchmarks.probes.layers import MaskedBatchNorm, pooled
from benchmarks.probes.macs import macs_per_second
from benchmarks.probes.translator import Translator
from codectok.errors import FormatError, UnknownNameError
from tests.benchmarks.toy_examples import DIM, KINDS, SIZES, toy_info, toy_x

POOLINGS = list(PROBES)
ENCODERS = [name for name in POOLINGS if gives_frames(name)]

DIMS = 16
OPTIONS = ProbeOptions(dim=DIMS, width=16)
LENGTHS = (1, 2, 7, 23)
"""One frame, fewer than any receptive field, and more."""


def batch(kind: str, lengths=LENGTHS, seed: int = 0) -> list[Example]:
    g = torch.Generator().manual_seed(seed)
    return [Example(Clip(str(i), "", "s"), toy_x(kind, [i % 6], n, g)) for i, n in enumerate(lengths)]


def settled(model: nn.Module) -> nn.Module:
    """In eval mode, with batch norm statistics that are not the start's, and no zero weights."""
    torch.manual_seed(5)
    for module in model.modules():
        if isinstance(module, MaskedBatchNorm):
            module.mean.normal_()
            module.var.uniform_(0.5, 2)
            nn.init.normal_(module.bias)
    return model.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", POOLINGS)
def test_a_clips_vector_does_not_depend_on_the_batch(name, kind):
    model = settled(ClipProbe(name, toy_info(kind), 3, OPTIONS))
    examples = batch(kind)
    together = model(*collate(examples))
    for row, example in zip(together, examples, strict=True):
        torch.testing.assert_close(row, model(*collate([example]))[0], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ENCODERS)
def test_a_clips_frames_do_not_depend_on_the_batch(name, kind):
    model = settled(FrameProbe(name, toy_info(kind), 5, OPTIONS))
    examples = batch(kind)
    together, counts = model(*collate(examples))
    assert counts.tolist() == list(LENGTHS)
    for row, example, n in zip(together, examples, LENGTHS, strict=True):
        torch.testing.assert_close(row[:n], model(*collate([example]))[0][0], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["bilstm", "conformer"])
def test_a_translation_does_not_depend_on_the_batch(name):
    torch.manual_seed(0)
    model = settled(Translator(name, toy_info("discrete"), 9, OPTIONS))
    examples = batch("discrete")
    x, lengths = collate(examples)
    targets = torch.randint(2, 9, (len(examples), 4))
    together = model(x, lengths, targets)
    for i, example in enumerate(examples):
        one = model(*collate([example]), targets[i : i + 1])[0]
        torch.testing.assert_close(together[i], one, atol=2e-5, rtol=1e-4)
    assert model.write(x, lengths, 6) == [model.write(*collate([e]), 6)[0] for e in examples]


@pytest.mark.parametrize("name", POOLINGS)
def test_in_training_too_padding_itself_counts_for_nothing(name):
    torch.manual_seed(0)
    model = build_pooling(name, DIMS, ProbeOptions(dim=DIMS, width=16, dropout=0.0)).train()
    lengths = torch.tensor([5, 9])
    x = torch.randn(2, 9, DIMS) * length_mask(lengths, 9)[..., None]
    wider = nn.functional.pad(x, (0, 0, 0, 6))
    torch.testing.assert_close(model(x, lengths), model(wider, lengths), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_give_frames_of_their_size_and_zeros_at_padding(name):
    torch.manual_seed(0)
    encoder = build_encoder(name, DIMS, OPTIONS).eval()
    lengths = torch.tensor([3, 8])
    x = torch.randn(2, 8, DIMS) * length_mask(lengths, 8)[..., None]
    y = encoder(x, lengths)
    assert y.shape == (2, 8, encoder.out_dim)
    assert not y[0, 3:].any()
    assert y[0, :3].any()


def test_masked_batch_norm_is_batch_norm_over_the_frames_there_are():
    torch.manual_seed(0)
    ours, theirs = MaskedBatchNorm(4), nn.BatchNorm1d(4)
    lengths = torch.tensor([3, 8])
    x, mask = torch.randn(2, 4, 8), length_mask(lengths, 8)
    real = x.transpose(1, 2)[mask]
    expected = theirs(real)
    torch.testing.assert_close(ours(x, mask[:, None].float()).transpose(1, 2)[mask], expected)
    torch.testing.assert_close(ours.mean, theirs.running_mean)
    torch.testing.assert_close(ours.var, theirs.running_var)


def test_statistics_are_those_of_the_frames_there_are():
    x = torch.randn(2, 3, 8)
    mask = length_mask(torch.tensor([5, 8]), 8)[:, None].float()
    both = pooled(x, mask)
    torch.testing.assert_close(both[0], torch.cat([x[0, :, :5].mean(1), x[0, :, :5].std(1, correction=0)]))


def test_a_front_end_of_codes_is_a_table_a_codebook_weighed_by_attention():
    torch.manual_seed(0)
    frontend = Frontend(toy_info("discrete"), DIMS)
    x = torch.tensor([[[1, 2], [7, 0]]])
    before = x.clone()
    y = frontend(x, torch.tensor([2]))
    assert torch.equal(x, before)
    first, second = frontend.tables.weight.split(SIZES)
    pair = torch.stack([first[1], second[7]])
    weights = frontend.attention.layers(pair).softmax(0)
    torch.testing.assert_close(y[0, 0], (weights * pair).sum(0))
    with pytest.raises(FormatError, match="3 codebooks"):
        frontend(torch.zeros(1, 3, 2, dtype=torch.int64), torch.tensor([2]))


def test_several_layers_are_weighed_by_the_same_attention():
    torch.manual_seed(0)
    frontend = Frontend(toy_info("continuous"), DIMS, layers=3)
    x = torch.randn(1, 3, 4, DIM)
    y = frontend(x, torch.tensor([4]))
    parts = torch.stack([frontend.maps[i](frontend.norms[i](x[:, i])) for i in range(3)], 2)
    assert isinstance(frontend.attention, AttentionMLP)
    torch.testing.assert_close(y, frontend.attention(parts))


@pytest.mark.parametrize("size", [4, 40])
def test_tables_that_start_from_code_vectors_keep_their_angles(size):
    torch.manual_seed(0)
    # Longer than the table's rows, but of few directions: nothing need be lost.
    vectors = [torch.randn(8, 4) @ torch.randn(4, size) if i == 0 else torch.zeros(8, size) for i in range(2)]
    table = start_table(vectors, SIZES, DIMS)
    assert table.shape == (16, DIMS)
    assert table.square().mean().item() == pytest.approx(1)
    cosines = [nn.functional.normalize(v) for v in (vectors[0], table[:8])]
    torch.testing.assert_close(cosines[0] @ cosines[0].T, cosines[1] @ cosines[1].T, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(Frontend(toy_info("discrete"), DIMS, vectors).tables.weight.data, table)
    with pytest.raises(FormatError, match="code vectors"):
        start_table(vectors[:1], SIZES, DIMS)


def test_slow_inputs_get_several_labels_a_frame():
    from fractions import Fraction

    model = FrameProbe("linear", toy_info("discrete", Fraction(25, 2)), 5, OPTIONS)
    logs, counts = model(*collate(batch("discrete")))
    assert counts.tolist() == [3 * n for n in LENGTHS]
    assert logs.shape == (4, 3 * 23, 5)
    torch.testing.assert_close(logs.exp().sum(2), torch.ones(4, 69))


def test_ctc_loss_of_a_clip_too_short_is_finite_and_of_an_empty_text_too():
    torch.manual_seed(0)
    model = FrameProbe("linear", toy_info("discrete"), 5, OPTIONS)
    x, lengths = collate(batch("discrete", (2, 6)))
    loss = model.loss(x, lengths, [torch.tensor([1, 1, 2, 3]), torch.tensor([], dtype=torch.int64)])
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_the_margin_asks_more_of_the_right_class():
    torch.manual_seed(0)
    info, (x, lengths) = toy_info("discrete"), collate(batch("discrete"))
    model = ClipProbe("linear", info, 4, OPTIONS, margin=0.2).eval()
    labels = torch.tensor([0, 1, 2, 3])
    logits = model(x, lengths)
    assert logits.abs().max() <= 30
    angles = torch.acos(logits / 30)
    with_margin = logits.clone()
    for i in range(4):
        with_margin[i, i] = 30 * torch.cos(angles[i, i] + 0.2)
    expected = nn.functional.cross_entropy(with_margin, labels)
    torch.testing.assert_close(model.loss(x, lengths, labels), expected, atol=1e-4, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(2, 4), st.integers(0, 10**6))
def test_a_wide_beam_finds_the_likeliest_text(frames, labels, seed):
    from itertools import product

    logs = torch.randn(frames, labels, generator=torch.Generator().manual_seed(seed)).mul(2).log_softmax(1).numpy()
    total: dict[tuple[int, ...], float] = {}
    for path in product(range(labels), repeat=frames):
        text = tuple(p for i, p in enumerate(path) if p and (i == 0 or path[i - 1] != p))
        total[text] = total.get(text, 0.0) + float(torch.tensor([logs[t, p] for t, p in enumerate(path)]).sum().exp())
    best = max(total.values())
    assert total[tuple(beam_search(logs, 10**4))] == pytest.approx(best, rel=1e-4)
    path = logs.argmax(1).tolist()
    assert greedy(logs) == [p for i, p in enumerate(path) if p and (i == 0 or path[i - 1] != p)]


def test_frames_that_ctc_needs():
    assert [frames_needed(t) for t in ([], [1], [1, 1], [1, 2, 2, 2])] == [0, 1, 3, 6]


def test_multiply_accumulates_of_known_layers():
    info = toy_info("continuous")
    # Linear 6 x 16 a frame at 50 Hz, then the pooled 32 x 3 once in 1 s.
    assert macs_per_second(ClipProbe("linear", info, 3, OPTIONS), info) == 50 * 6 * 16 + 32 * 3
    # Two layers of two directions of four gates: 16 wide, of 16 and then 32 values.
    lstm = 50 * 2 * 4 * 16 * ((16 + 16) + (32 + 16))
    found = macs_per_second(FrameProbe("bilstm", info, 5, OPTIONS), info)
    assert found == 50 * (6 * 16 + 32 * 5) + lstm


def test_published_sizes_have_the_published_number_of_values():
    published = ProbeOptions(size="published")

    def millions(model: nn.Module) -> float:
        return sum(p.numel() for p in model.parameters()) / 1e6

    # ECAPA-TDNN (C = 1024) has 14.7 M with 80 mel bands; X-vector 4.2 M with 24 (Snyder et al. 2018, to segment6).
    assert millions(build_pooling("ecapa", 80, published, embed=True)) == pytest.approx(14.7, rel=0.02)
    assert millions(build_pooling("xvector", 24, published)) == pytest.approx(4.2, rel=0.05)
    assert millions(build_encoder("bilstm", 1024, published)) == pytest.approx(42, rel=0.02)
    assert build_encoder("conformer", 256, published).out_dim == 256


def test_bad_options_and_names_say_what_there_is():
    with pytest.raises(FormatError, match=r"widht.*width"):
        ProbeOptions.read({"widht": 3})
    with pytest.raises(FormatError, match="small or published"):
        ProbeOptions.read({"size": "huge"})
    with pytest.raises(FormatError, match="ecapa gives a vector a clip"):
        build_encoder("ecapa", 8)
    with pytest.raises(UnknownNameError, match="no probe 'mlp': there are linear"):
        build_encoder("mlp", 8)
    with pytest.raises(FormatError, match="ecapa"):
        build_pooling("ecapa", 8, ProbeOptions(width=12))
