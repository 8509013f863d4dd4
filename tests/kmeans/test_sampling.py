from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codectok.errors import CodectokError
from codectok.items.corpus import read_corpus
from kmeans_units.dump import Dump
from kmeans_units.sample_options import SampleOptions
from kmeans_units.sampling import FrameSample, sample_frames
from tests.kmeans.fake_encoder import FakeEncoder, write_corpus

LENGTHS = [0.5, 1.3, 0.01, 2.0, 0.7, 1.1, 0.33, 3.0, 0.9, 1.7, 0.6, 2.2] * 4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), LENGTHS)


class Killed(BaseException):
    pass


def take(corpus: Path, options: SampleOptions, encoder: FakeEncoder | None = None, **more: object) -> FrameSample:
    return sample_frames(read_corpus(corpus), encoder or FakeEncoder(), options, **more)  # type: ignore[arg-type]


def same(a: FrameSample, b: FrameSample) -> bool:
    pairs = zip([*a.fit, *a.valid], [*b.fit, *b.valid], strict=True)
    return all(x.tobytes() == y.tobytes() for x, y in pairs) and a.counts == b.counts


def rows_of(path: Path, encoder: FakeEncoder) -> set[bytes]:
    samples, _ = soundfile.read(path, dtype="float32")
    return {row.tobytes() for row in encoder.features(samples).numpy()}


def test_all_frames_once_where_nothing_bounds_them(corpus: Path) -> None:
    sample = take(corpus, SampleOptions(valid_share=0.25))
    counts = sample.counts
    frames = [-(-round(s * 16000) // 320) for s in LENGTHS]
    assert counts.frames == sum(frames) == len(sample.fit[0]) + len(sample.valid[0])
    assert (counts.clips, counts.valid_clips, counts.failed) == (48, 12, 0)
    assert counts.seconds == pytest.approx(sum(LENGTHS))
    everything = set().union(*(rows_of(p, FakeEncoder()) for p in corpus.glob("*.wav")))
    found = {row.tobytes() for row in np.concatenate([sample.fit[0], sample.valid[0]])}
    assert found == everything, "nothing but the clips' own frames, of exact lengths: no padding"


def test_clips_are_held_out_whole(corpus: Path) -> None:
    sample = take(corpus, SampleOptions(valid_share=0.25))
    fit, valid = ({row.tobytes() for row in s[0]} for s in (sample.fit, sample.valid))
    held = 0
    for path in corpus.glob("*.wav"):
        rows = rows_of(path, FakeEncoder())
        assert rows <= fit or rows <= valid
        held += rows <= valid
    assert held == 12


@pytest.mark.parametrize(
    ("options", "most"),
    [
        (SampleOptions(hours=100 / 50 / 3600), 100),
        (SampleOptions(frames=300), 300),
        (SampleOptions(frames=300, hours=100 / 50 / 3600), 100),
        (SampleOptions(memory_gib=(200 * 32 + 31) * 17 / 16 / 2**30), 200),
    ],
)
def test_bounds(corpus: Path, options: SampleOptions, most: int) -> None:
    assert len(take(corpus, options).fit[0]) == most


def test_percent_of_the_frames(corpus: Path) -> None:
    sample = take(corpus, SampleOptions(percent=20))
    offered = sample.counts.frames - sample.counts.valid_frames
    assert len(sample.fit[0]) == pytest.approx(0.2 * offered, rel=0.15)


def test_seed_decides(corpus: Path) -> None:
    a, b, c = (take(corpus, SampleOptions(frames=200, seed=s)) for s in (3, 3, 4))
    assert same(a, b)
    assert not same(a, c)


def test_layers_keep_the_same_rows(corpus: Path) -> None:
    encoder = FakeEncoder(layers=(3, 6))
    sample = take(corpus, SampleOptions(frames=150), encoder)
    whole = set().union(*(rows_of(p, encoder) for p in corpus.glob("*.wav")))
    side_by_side = np.concatenate(sample.fit, axis=1)
    assert side_by_side.shape == (150, 16)
    assert {row.tobytes() for row in side_by_side} <= whole


def test_only_some_clips_are_encoded(corpus: Path) -> None:
    encoder = FakeEncoder()
    sample = take(corpus, SampleOptions(clips=10, valid_share=0.2), encoder)
    assert (sample.counts.clips, sample.counts.valid_clips, encoder.calls) == (10, 2, 10)


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    """By size or time of change; what is cached serves as long as neither did."""
    folder, options = write_corpus(tmp_path / "c", [0.5, 0.5, 0.5]), SampleOptions()
    (folder / "clip001.wav").rename(tmp_path / "away.wav")
    (folder / "clip001.wav").write_bytes(b"")
    assert take(folder, options, cache=tmp_path / "cache").counts.failed == 1
    (tmp_path / "away.wav").rename(folder / "clip001.wav")
    first = take(folder, options, cache=tmp_path / "cache")
    assert first.counts.failed == 0
    encoder = FakeEncoder()
    assert same(first, take(folder, options, encoder, cache=tmp_path / "cache"))
    assert encoder.calls == 0
    samples, rate = soundfile.read(folder / "clip000.wav")
    soundfile.write(folder / "clip000.wav", -samples, rate)
    os.utime(folder / "clip000.wav", ns=(0, 1))
    assert not same(first, take(folder, options, encoder, cache=tmp_path / "cache"))
    assert encoder.calls == 3


@pytest.mark.parametrize("after", [1, 20, 47])
def test_a_killed_run_goes_on_to_the_same_sample(corpus: Path, tmp_path: Path, after: int, monkeypatch) -> None:
    monkeypatch.setattr("kmeans_units.clips.BATCH_SECONDS", 3.0)
    options = SampleOptions(frames=200, seed=1)
    whole = take(corpus, options)
    encoder = FakeEncoder()

    def kill(done: int, total: int) -> None:
        assert total == 48
        if done >= after:
            raise Killed

    with pytest.raises(Killed):
        take(corpus, options, encoder, cache=tmp_path, save_every=0, progress=kill)
    first = encoder.calls
    assert same(whole, take(corpus, options, encoder, cache=tmp_path, save_every=0))
    assert encoder.calls < 48 + first or after == 1, "what was done is not done again"
    before = encoder.calls
    assert same(whole, take(corpus, options, encoder, cache=tmp_path))
    assert encoder.calls == before, "a finished sample is taken as it is"
    assert not same(whole, take(corpus, SampleOptions(frames=200, seed=2), encoder, cache=tmp_path))


def test_a_damaged_cache_is_not_used(corpus: Path, tmp_path: Path) -> None:
    options = SampleOptions(frames=200)
    whole = take(corpus, options, cache=tmp_path)
    (file,) = tmp_path.glob("*.npz")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    for damaged in (bytes(data), b""):
        file.write_bytes(damaged)
        assert same(whole, take(corpus, options, cache=tmp_path))


def test_clips_that_fail_are_counted_and_left_out(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "c", [1.0] * 6)
    (folder / "clip001.wav").write_bytes(b"no audio")
    soundfile.write(folder / "clip004.wav", np.ones(16000), 16000)  # the encoder refuses it
    sample = take(folder, SampleOptions(valid_share=0))
    assert (sample.counts.clips, sample.counts.failed) == (4, 2)
    assert ["clip001" in f or ("clip004" in f and "too loud" in f) for f in sample.counts.failures] == [True, True]
    for path in folder.glob("*.wav"):
        path.write_bytes(b"no audio")
    with pytest.raises(CodectokError, match="could be used; the first: clip"):
        take(folder, SampleOptions())


@pytest.mark.parametrize("options", [{"percent": 101}, {"valid_share": 1}, {"hours": 1e-9}])
def test_wrong_options(corpus: Path, options: dict) -> None:
    with pytest.raises(CodectokError, match="give"):
        take(corpus, SampleOptions(**options))


def read_dump(folder: Path, name: str = ".") -> tuple[np.ndarray, list[int], list[str]]:
    """As fairseq reads it: shard after shard, the lengths and the manifest beside."""
    count = len(list((folder / name).glob("*.npy")))
    parts = [np.load(folder / name / f"features_{i}_{count}.npy", mmap_mode="r") for i in range(count)]
    lengths = [int(n) for i in range(count) for n in (folder / name / f"features_{i}_{count}.len").read_text().split()]
    return np.concatenate(parts), lengths, (folder / "features.tsv").read_text().splitlines()


@pytest.mark.parametrize("kill_after", [None, 25])
@pytest.mark.parametrize("layers", [(6,), (3, 6)])
def test_dump_has_fairseqs_layout(
    corpus: Path, tmp_path: Path, layers: tuple[int, ...], kill_after: int | None, monkeypatch
) -> None:
    monkeypatch.setattr("kmeans_units.clips.BATCH_CLIPS", 4)
    encoder, options, cache = FakeEncoder(layers), SampleOptions(frames=200), tmp_path / "cache"

    def dump() -> Dump:
        return Dump(tmp_path / "dump", layers, str(corpus), shard_clips=10)

    def kill(done: int, total: int) -> None:
        if kill_after is not None and done > kill_after:
            raise Killed

    if kill_after:
        with pytest.raises(Killed):
            take(corpus, options, encoder, cache=cache, dump=dump(), progress=kill)
    made = take(corpus, options, encoder, cache=cache, dump=dump())
    assert same(made, take(corpus, options, FakeEncoder(layers)))
    assert encoder.calls == (48 if kill_after is None else 48 + 4), "shards that were complete are not made again"
    root, *lines = (tmp_path / "dump" / "features.tsv").read_text().splitlines()
    assert root == str(corpus)
    want = [(f"clip{i:03d}.wav", str(round(s * 16000))) for i, s in enumerate(LENGTHS)]
    assert [tuple(line.split("\t")) for line in lines] == want
    for i, layer in enumerate(layers):
        features, lengths, _ = read_dump(tmp_path / "dump", "." if len(layers) == 1 else f"layer{layer}")
        assert features.dtype == np.float32
        assert lengths == [-(-round(s * 16000) // 320) for s in LENGTHS]
        samples, _ = soundfile.read(corpus / "clip007.wav", dtype="float32")
        at = sum(lengths[:7])
        assert np.array_equal(features[at : at + lengths[7]], encoder.features(samples).numpy()[:, i * 8 : i * 8 + 8])
    names = {p.name for p in (tmp_path / "dump").rglob("*") if p.is_file()}
    assert not [n for n in names if n.startswith("part-")]


def test_dump_of_something_else_is_refused(corpus: Path, tmp_path: Path) -> None:
    options = SampleOptions(frames=100)
    take(corpus, options, dump=Dump(tmp_path, (6,), str(corpus)))
    calls = FakeEncoder()
    take(corpus, options, calls, dump=Dump(tmp_path, (6,), str(corpus)))
    with pytest.raises(CodectokError, match="another dump"):
        take(corpus, options, FakeEncoder(layer_dim=4), dump=Dump(tmp_path, (6,), str(corpus)))


def test_each_clip_has_a_draw_of_its_own(tmp_path: Path) -> None:
    folder, encoder = write_corpus(tmp_path / "c", [1.0] * 8), FakeEncoder()
    kept = {row.tobytes() for row in take(folder, SampleOptions(percent=50, valid_share=0)).fit[0]}
    places = set()
    for path in folder.glob("*.wav"):
        samples, _ = soundfile.read(path, dtype="float32")
        places.add(tuple(row.tobytes() in kept for row in encoder.features(samples).numpy()))
    assert len(places) == 8
