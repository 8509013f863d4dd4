"""Enhancement, separation and speech synthesis, each end to end on tiny data with a tiny tokenizer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.contract import RATE, Example, NotComputed
from benchmarks.datasets import read_clip
from benchmarks.inputs import open_input
from benchmarks.tasks import TaskError
from benchmarks.tasks.restoration import best_order
from codectok.testing import voice
from tests.benchmarks.generative_toys import CHEAP, MAKE, dataset, examples, mixed, opened, run, write_clips


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny():
    return MAKE["dac-shaped"]()


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.mark.parametrize(
    ("task", "kind", "view"),
    [
        ("se", "white", "discrete"),
        ("ss", "speaker", "quantized"),
        *(
            pytest.param(*cell, marks=pytest.mark.slow)
            for cell in (
                ("se", "white", "continuous"),
                ("se", "white", "quantized"),
                ("ss", "speaker", "discrete"),
                ("ss", "speaker", "continuous"),
            )
        ),
    ],
)
def test_a_probe_is_trained_and_scored(tiny, clips, task, kind, view):
    data = dataset(task, mixed(clips, kind))
    outcome = run(task, data, opened(tiny, view), probe="crdnn" if view == "quantized" else "conformer")
    streams = 1 if task == "se" else 2
    assert [s.metric for s in outcome.scores] == list(CHEAP)
    for score in outcome.scores:
        assert score.n + score.failures == 2 * streams
    mel = next(s for s in outcome.scores if s.metric == "mel")
    assert mel.n == 2 * streams
    parts = [i.value for i in outcome.items if i.metric == "mel"]
    assert mel.value == pytest.approx(np.mean(parts))
    assert 1 <= outcome.steps <= 2  # of the better of the two states
    assert outcome.parameters > 0
    # The mixture and the clean clip through the same input stand beside the scores.
    assert float(outcome.notes["floor.mel"]) != float(outcome.notes["ceiling.mel"]) > 0
    for name, samples in outcome.audio.items():
        clip = next(c for c in data.tests["test"] if name.startswith(c.id))
        assert len(samples) == len(read_clip(clip))


@pytest.mark.parametrize("view", ["discrete", pytest.param("continuous", marks=pytest.mark.slow)])
def test_speech_is_made_of_text(tiny, clips, view):
    outcome = run("tts", dataset("tts", clips), opened(tiny, view), metrics=("distillmos",), audio_clips=2)
    (score,) = outcome.scores
    assert (score.metric, score.test) == ("distillmos", "test")
    assert (score.n, score.failures) in ((2, 0), (0, 0))  # none where the package is missing
    assert all(len(samples) > 0 for samples in outcome.audio.values())
    assert len(outcome.audio) == 2


def test_the_same_seed_gives_the_same_scores(tiny, clips):
    data = dataset("se", mixed(clips, "white"))
    first, second = (run("se", data, opened(tiny, "discrete"), bounds=False) for _ in range(2))
    assert first.scores == second.scores
    assert "floor.mel" not in first.notes


def test_a_probe_learns_what_can_be_learned(tiny, clips):
    """Enhancement of clips that are clean already: the probe copies codes, so the loss falls far below chance."""
    from benchmarks.probes import ProbeOptions
    from benchmarks.probes.generative import Restorer

    source = opened(tiny, "discrete")
    x = source.extract([read_clip(c) for c in clips[:4]])
    rows = [Example(c, v, (v,), 0) for c, v in zip(clips, x, strict=False)]
    torch.manual_seed(0)
    model = Restorer("linear", source.info, 1, ProbeOptions(dim=32), skip=False)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    before = model.loss(rows).item()
    for _ in range(80):
        optimiser.zero_grad()
        model.loss(rows).backward()
        optimiser.step()
    assert model.loss(rows).item() < 0.2 * before
    restored = [r[0] for r in model.eval().restore(rows)]
    right = [float((r == v).float().mean()) for r, v in zip(restored, x, strict=True)]
    assert min(right) > 0.9


@pytest.mark.parametrize("view", ["discrete", "continuous", "quantized"])
def test_an_untrained_probe_gives_back_its_input(tiny, clips, view):
    from benchmarks.probes import ProbeOptions
    from benchmarks.probes.generative import Restorer, moments_of

    source = opened(tiny, view)
    x = source.extract([read_clip(c) for c in clips[:3]])
    moments = None if view == "discrete" else moments_of(x)
    rows = [Example(c, v, (v,), 0) for c, v in zip(clips, x, strict=False)]
    model = Restorer("conformer", source.info, 1, ProbeOptions(dim=16), moments=moments).eval()
    for (restored,), wanted in zip(model.restore(rows), x, strict=True):
        assert restored.dtype == wanted.dtype
        torch.testing.assert_close(restored, wanted, rtol=1e-4, atol=1e-4)
    if view != "discrete":
        assert model.loss(rows).item() < 1e-8
    bare = Restorer("conformer", source.info, 1, ProbeOptions(dim=16), moments=moments, skip=False).eval()
    assert bare.loss(rows).item() > 0.5


def test_separation_does_not_mind_the_order_of_its_targets(tiny, clips):
    from benchmarks.probes import ProbeOptions
    from benchmarks.probes.generative import Restorer

    for view in ("discrete", "continuous"):
        source = opened(tiny, view)
        x = source.extract([read_clip(c)[:9000] for c in clips[:4]])
        torch.manual_seed(0)
        model = Restorer("linear", source.info, 2, ProbeOptions(dim=16)).eval()
        ab = [Example(clips[0], x[0], (x[1], x[2])), Example(clips[1], x[1], (x[3], x[0]))]
        ba = [Example(e.clip, e.x, (e.y[1], e.y[0]) if i else e.y) for i, e in enumerate(ab)]
        assert model.loss(ab).item() == pytest.approx(model.loss(ba).item(), rel=1e-6)
        alone = [model.loss([e]).item() for e in ab]
        assert model.loss(ab).item() == pytest.approx(np.mean(alone), rel=1e-5)  # clip by clip, padding aside


def test_streams_are_matched_with_the_voices_they_are_nearest_to():
    a, b = voice(RATE, RATE, 1), voice(RATE, RATE, 2)
    noise = 0.001 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    first, second = best_order((a, b), (b + noise, a + noise))
    np.testing.assert_array_equal(first, a + noise)
    np.testing.assert_array_equal(second, b + noise)


def test_what_has_no_way_back_is_not_computed_and_not_trained(clips):
    source = open_input("logmel")
    data = dataset("se", mixed(clips, "white"))
    with pytest.raises(NotComputed, match="log-mel"):
        run("se", data, source)
    with pytest.raises(NotComputed, match="log-mel"):
        run("tts", dataset("tts", clips), source)
    with pytest.raises(NotComputed, match="log-mel"):
        run("resynthesis", dataset("resynthesis", clips), source)


def test_clips_without_targets_are_refused(tiny, clips):
    source = opened(tiny, "discrete")
    data = dataset("se", clips)
    with pytest.raises(TaskError, match="target"):
        run("se", data, source, split=examples(data, source, targets=False))
