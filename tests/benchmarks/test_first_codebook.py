"""The first-codebook comparison: letters, labels on frames, probe, paired intervals, the command."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner, Result

pytest.importorskip("sklearn")
pytest.importorskip("transformers")

from benchmarks.studies.code_labels import FrameGrid, letter_labels, on_frames, teacher_units, transcripts
from benchmarks.studies.code_probe import Frames, compare, fold_of, probe
from benchmarks.studies.first_codebook import main
from benchmarks.studies.letters import LetterModels, best_path, cepstra, chain, words_of
from codectok.codec.folder import save_codec
from codectok.codec.harmonic import HarmonicCodec, HarmonicCodecConfig
from codectok.errors import FormatError
from codectok.metrics.registry import MetricError
from train_codec.distill.align import Grid
from train_codec.distill.teacher import TeacherCache

BANDS = {"a": (300, 600), "b": (1000, 1400), "c": (2200, 2800), "d": (4000, 5200)}


def spoken(words: list[str], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Audio [S] of words and the letter of each sample ("" in silence): each letter is noise in a band of its own."""
    pieces, letters = [], []

    def add(letter: str, samples: int) -> None:
        noise = np.fft.rfft(rng.normal(0, 1, samples))
        low, high = BANDS.get(letter, (0, 8000))
        hertz = np.fft.rfftfreq(samples, 1 / 16000)
        noise[(hertz < low) | (hertz > high)] = 0
        x = np.fft.irfft(noise, samples)
        pieces.append(x / x.std() * 0.1 * bool(letter))
        letters.append(np.full(samples, letter))

    add("", int(rng.integers(800, 3000)))
    for word in words:
        for letter in word:
            add(letter, int(rng.integers(800, 2400)))
        if rng.random() < 0.5:
            add("", int(rng.integers(800, 3000)))
    audio = np.concatenate(pieces)
    return (audio + rng.normal(0, 0.001, len(audio))).astype(np.float32), np.concatenate(letters)


def corpus(clips: int, seed: int = 0) -> list[tuple[list[str], np.ndarray, np.ndarray]]:
    rng, found = np.random.default_rng(seed), []
    for _ in range(clips):
        words = ["".join(rng.choice(list("abcd"), rng.integers(1, 5))) for _ in range(rng.integers(1, 4))]
        found.append((words, *spoken(words, rng)))
    return found


# -- letters -----------------------------------------------------------------------------------------------------------


def test_words_of_a_transcript() -> None:
    assert words_of("Jé, tak \u2013 dlouho!") == ["jé", "tak", "dlouho"]
    assert words_of("it's e-mail") == ["its", "e", "mail"]
    assert words_of("channel 12") is None
    assert words_of("...") is None


def test_viterbi_is_the_best_of_all_paths() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        names, optional = chain(list(rng.choice(["a", "b"], rng.integers(1, 3))))
        frames = int(rng.integers(1, 8))
        scores = rng.normal(size=(frames, len(names)))
        best = (-np.inf, None)
        for path in itertools.combinations_with_replacement(range(len(names)), frames):
            if set(np.flatnonzero(~optional)) <= set(path):
                best = max(best, (float(scores[np.arange(frames), path].sum()), path), key=lambda b: b[0])
        found = best_path(scores, optional)
        assert (found is None) == (best[1] is None)
        if found is not None:
            assert tuple(found.tolist()) == best[1]


def test_letters_are_found_from_a_flat_start() -> None:
    clips = corpus(40)
    features = [cepstra(x) for _, x, _ in clips]
    models = LetterModels(features, [words for words, _, _ in clips])
    assert models.letters == ["a", "b", "c", "d"]
    right = total = 0
    for (words, _, truth), x in zip(clips, features, strict=True):
        aligned = models.align(x, words)
        assert aligned is not None
        expected = truth[np.minimum(np.arange(len(x)) * 160, len(truth) - 1)]
        right += int((np.array(["", *models.letters])[aligned] == expected).sum())
        total += len(x)
    assert right / total > 0.9


def test_what_cannot_be_aligned_is_left_out() -> None:
    clips = corpus(20)
    models = LetterModels([cepstra(x) for _, x, _ in clips], [words for words, _, _ in clips])
    x = cepstra(clips[0][1])
    assert models.align(x[:5], ["abcd"]) is None  # too short
    assert models.align(x, ["xyz"]) is None  # letters never heard
    (words, audio, letters), hold = clips[0], 24000
    middle = int(np.flatnonzero(letters != "")[0]) + 400
    held = np.concatenate([audio[:middle], np.tile(audio[middle : middle + 400], hold // 400), audio[middle:]])
    assert models.align(x, words) is not None
    assert models.align(cepstra(held), words) is None  # a sound of over a second
    with pytest.raises(MetricError, match="no clip"):
        LetterModels([], [])
    with pytest.raises(MetricError, match="too short"):
        LetterModels([x[:4]], [["abcd"]])


# -- labels on frames --------------------------------------------------------------------------------------------------


def test_letters_are_taken_at_the_middle_of_each_whole_frame() -> None:
    clips = corpus(30)
    audio = {str(i): x for i, (_, x, _) in enumerate(clips)}
    words = {str(i): w for i, (w, _, _) in enumerate(clips)}
    for grid in (FrameGrid(16000, 640), FrameGrid(24000, 1920)):
        labels, names = letter_labels(audio, words, grid)
        assert names == ["(silence)", "a", "b", "c", "d"]
        step = grid.frame_size * 16000 // grid.sample_rate
        right = []
        for path, found in labels.items():
            truth = clips[int(path)][2]
            assert len(found) == len(truth) // step
            middles = truth[(np.arange(len(found)) * step + step // 2)]
            right += list(np.array(["", *names[1:]])[found] == middles)
        assert np.mean(right) > 0.9


def test_teacher_features_are_pooled_on_whole_frames() -> None:
    features = np.arange(50, dtype=np.float16)[:, None]
    cache = TeacherCache(features, np.array([0, 50]), np.array([16000 - 10]), Grid(Fraction(320)), {}, None)
    (found,) = on_frames(cache, FrameGrid(16000, 640))
    np.testing.assert_allclose(found[:, 0], np.arange(24) * 2 + 0.5)
    (other,) = on_frames(cache, FrameGrid(24000, 960))
    np.testing.assert_allclose(other, found)
    with pytest.raises(FormatError, match="whole samples"):
        FrameGrid.of(16000, Fraction(75))


def test_units_are_of_the_fitted_clusters() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 10, (4, 3))
    fit = [centres[rng.integers(0, 4, 100)] + rng.normal(0, 0.1, (100, 3)) for _ in range(4)]
    known = rng.integers(0, 4, 60)
    (units, empty) = teacher_units(fit, [centres[known], np.zeros((0, 3))], 4)
    assert len(set(zip(units.tolist(), known.tolist(), strict=True))) == 4
    assert len(empty) == 0
    with pytest.raises(FormatError, match="too few"):
        teacher_units([centres[:2]], [], 4)


def test_transcripts_are_of_the_commonest_language_and_never_of_dev(tmp_path: Path) -> None:
    (tmp_path / "m.tsv").write_text(
        "path\tlanguage\ttranscript\n1\tda\ten to\n2\tda\ttre\n3\tcs\tjedna\n4\tda\tfire\n5\tda\t\n6\tda\tsyv\n"
    )
    (tmp_path / "s.tsv").write_text("path\tuse\n1\tval\n2\tval\n3\tval\n4\tfit\n5\tval\n6\tdev\n")
    found = transcripts(tmp_path / "m.tsv", tmp_path / "s.tsv", None, "val")
    assert found == ("da", {"1": ["en", "to"], "2": ["tre"], "4": ["fire"]})
    assert transcripts(tmp_path / "m.tsv", tmp_path / "s.tsv", "cs", "val") == ("cs", {"3": ["jedna"]})
    with pytest.raises(FormatError, match="in nl"):
        transcripts(tmp_path / "m.tsv", tmp_path / "s.tsv", "nl", "val")


# -- comparison --------------------------------------------------------------------------------------------------------


def frames(share_a: float, share_b: float, clips: int = 40, speakers: int = 4, seed: int = 0) -> Frames:
    """Codes that tell the label on a share of the frames, and are drawn at random on the others."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, clips * 40)

    def codes(share: float) -> np.ndarray:
        known = labels * 5 + rng.integers(0, 5, len(labels))
        return np.where(rng.random(len(labels)) < share, known, rng.integers(0, 30, len(labels)))

    clip = np.repeat(np.arange(clips), 40)
    return Frames(
        {"A": codes(share_a), "B": codes(share_b)}, labels, clip, np.array([f"s{c % speakers}" for c in clip])
    )


def test_the_better_codes_are_above_and_equal_ones_are_not() -> None:
    better = compare(frames(0.7, 0.3), resamples=200)
    for name in ("pnmi", "held_out_pnmi", "probe_accuracy"):
        row = better["difference"][name]
        assert row["above_zero"]
        assert 0 < row["low"] < row["mean"] < row["high"]
        assert row["n"] == 40
    assert better["models"]["A"]["pnmi"] > better["models"]["B"]["pnmi"] > better["models"]["B"]["chance_pnmi"]
    assert better["models"]["A"]["probe_accuracy"] == pytest.approx(0.7 + 0.3 / 6, abs=0.05)


def test_intervals_of_equal_models_cover_zero() -> None:
    found = [compare(frames(0.5, 0.5, seed=s), resamples=100)["difference"] for s in range(40)]
    for name in ("pnmi", "held_out_pnmi", "probe_accuracy"):
        assert sum(row[name]["low"] <= 0 <= row[name]["high"] for row in found) >= 34


def test_more_codes_alone_are_not_above_chance() -> None:
    """Splitting each code at random raises PNMI and nothing else."""
    base = frames(0.5, 0.5)
    split = base.codes["B"] + 30 * np.random.default_rng(99).integers(0, 20, len(base.labels))
    found = compare(Frames({"A": split, "B": base.codes["B"]}, base.labels, base.clips, base.speakers), resamples=100)
    assert found["difference"]["pnmi"]["above_zero"]
    assert not found["difference"]["held_out_pnmi"]["above_zero"]
    assert not found["difference"]["probe_accuracy"]["above_zero"]


def test_no_frame_is_labelled_by_a_probe_that_saw_its_group() -> None:
    """Codes that give away the label through who speaks help nobody else."""
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(4), 200)
    labels = rng.integers(0, 5, 800)
    codes = (labels + speakers) % 5 + 5 * speakers  # within a speaker, the code tells the label
    assert probe(codes, labels, fold_of(speakers, 4)).mean() < 0.35
    assert probe(codes, labels, rng.integers(0, 4, 800)).mean() > 0.95


def test_one_speaker_is_folded_by_clips() -> None:
    found = compare(frames(0.7, 0.3, speakers=1), resamples=100)
    assert found["probe"] == "5 folds over clips of one speaker"
    assert compare(frames(0.7, 0.3), resamples=100)["probe"] == "4 folds over speakers"
    with pytest.raises(FormatError, match="two clips"):
        compare(frames(0.7, 0.3, clips=1, speakers=1), resamples=100)


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech with transcripts, a tiny teacher, two tiny codecs and a third of other frames."""
    import transformers

    root = tmp_path_factory.mktemp("first-codebook")
    manifest, splits = ["path\tlanguage\ttranscript"], ["path\tspeaker\tuse"]
    for i, (words, audio, _) in enumerate(corpus(24, seed=1)):
        soundfile.write(root / f"{i}.wav", audio, 16000)
        manifest.append(f"{i}.wav\txx\t{' '.join(words)}")
        splits.append(f"{i}.wav\ts{i % 3}\t{'fit' if i < 10 else 'val'}")
    (root / "manifest.tsv").write_text("\n".join(manifest) + "\n")
    (root / "splits.tsv").write_text("\n".join(splits) + "\n")
    conv = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.HubertConfig(
        **conv, conv_dim=(8,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2
    )
    torch.manual_seed(0)
    transformers.HubertModel(config).save_pretrained(root / "teacher")
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(root / "teacher")
    shape = {
        "dim": 16,
        "depth": 1,
        "code_dim": 16,
        "parts": [1, 1, 1, 1],
        "codebook_sizes": [32, 32, 32, 32],
        "mels": 16,
    }
    for name, merge in (("a", 2), ("b", 2), ("slow", 4)):
        config = HarmonicCodecConfig(**shape, merge=merge, part_dims=[8, merge, 4 * merge, 8])  # type: ignore[arg-type]
        save_codec(HarmonicCodec(config), root / name)
    return root


def run(world: Path, *extra: str, models: tuple[str, str] = ("a", "b")) -> Result:
    paths = ["--data", str(world), "--splits", str(world / "splits.tsv"), "--cache", str(world / "cache")]
    teacher = ["--teacher", str(world / "teacher"), "--layer", "1", "--units", "8", "--resamples", "100"]
    return CliRunner().invoke(main, [*(str(world / m) for m in models), *paths, *teacher, *extra])


def test_the_command(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    result = run(world, "--manifest", str(world / "manifest.tsv"), "-o", str(out))
    assert result.exit_code == 0, result.output
    assert "approximate" in result.stdout
    found = json.loads(out.read_text())
    assert set(found["targets"]) == {"teacher units", "letters"}
    for scores in found["targets"].values():
        assert scores["clips"] == 14
        assert scores["speakers"] == 3
        assert set(scores["difference"]) == {"pnmi", "held_out_pnmi", "probe_accuracy"}
        assert scores["difference"]["pnmi"]["n"] == 14
    assert found["A"]["fingerprint"] != found["B"]["fingerprint"]
    again = run(world, "--manifest", str(world / "manifest.tsv"), "-o", str(tmp_path / "again.json"))
    assert again.exit_code == 0
    assert (tmp_path / "again.json").read_text() == out.read_text()


def test_a_model_against_itself_is_no_better(world: Path, tmp_path: Path) -> None:
    result = run(world, "-o", str(tmp_path / "r.json"), models=("a", "a"))
    assert result.exit_code == 0, result.output
    (scores,) = json.loads((tmp_path / "r.json").read_text())["targets"].values()
    for row in scores["difference"].values():
        assert (row["mean"], row["low"], row["high"], row["above_zero"]) == (0, 0, 0, False)


def test_bad_use_is_one_line(world: Path) -> None:
    other = run(world, models=("a", "slow"))
    assert other.exit_code == 2
    assert "different frames" in other.stderr
    none = run(world, "--use", "nosuch")
    assert none.exit_code == 2
    assert "nosuch" in none.stderr
