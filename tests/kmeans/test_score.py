"""``codectok units score`` on small made-up corpora: the figures are those of the metrics, failures are counted."""

from __future__ import annotations

import csv
import json
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner, Result

from codectok.errors import CodectokError
from codectok.items.corpus import read_corpus
from codectok.metrics.items import AbxItem
from codectok.metrics.segments import Segment, write_segments
from codectok.metrics.unit_report import phone_scores
from codectok.tokenizer import Tokenizer
from kmeans_units import score as work
from kmeans_units.columns import read_rows
from kmeans_units.score_cli import score

RATE = 16000
TONES = {"AA": 400.0, "IY": 1200.0, "S": 3000.0}


class Tones(Tokenizer):
    """The strongest frequency of each 20 ms, in steps of 200 Hz; the second codebook is always 0."""

    name, sample_rate, frame_rate, fingerprint, feature_dim = "tones", RATE, Fraction(50), "tones", 161
    codebook_sizes = (64, 8)

    def num_frames(self, num_samples):
        return -(-num_samples // 320)

    def _spectra(self, clip):
        return np.abs(np.fft.rfft(np.pad(clip, (0, -len(clip) % 320)).reshape(-1, 320)))

    def _encode(self, clips, num_codebooks):
        tones = [torch.from_numpy((self._spectra(c).argmax(1) // 4).astype(np.int64)) for c in clips]
        return [torch.stack([t, torch.zeros_like(t)])[:num_codebooks] for t in tones]

    def _features(self, clips):
        return [torch.from_numpy(self._spectra(c).astype(np.float32)) for c in clips]


def speak(path: Path, phones: str) -> list[Segment]:
    """Write a clip with 100 ms of tone for each phone, and return its labels."""
    t = np.arange(RATE // 10) / RATE
    wave = np.concatenate([0.3 * np.sin(2 * np.pi * TONES[p] * t) for p in phones.split()])
    soundfile.write(path, wave, RATE)
    return [Segment(0.1 * i, 0.1 * (i + 1), p) for i, p in enumerate(phones.split())]


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six clips of two speakers with labels, one file that is no audio, and a table with a column of its own."""
    monkeypatch.setattr("codectok.tokenizer.load", lambda name, **_: Tones())
    labels = {}
    with open(tmp_path / "m.tsv", "w") as manifest, open(tmp_path / "marks.tsv", "w") as marks:
        manifest.write("path\tspeaker\tlanguage\n")
        marks.write("path\tuse\n")
        for i in range(6):
            # AA and IY are both met between the same phones.
            labels[f"c{i}.wav"] = speak(tmp_path / f"c{i}.wav", "S AA S IY S AA S" if i % 2 else "S IY S AA S")
            manifest.write(f"c{i}.wav\t{'st'[i // 3]}\ten-US\n")
            marks.write(f"c{i}.wav\t{'test' if i < 5 else 'fit'}\n")
        manifest.write("bad.wav\ts\tde\n")
    (tmp_path / "bad.wav").write_text("no audio")
    write_segments(tmp_path / "p.tsv", labels)
    return tmp_path


def run(*args: object) -> Result:
    return CliRunner().invoke(score, [str(a) for a in args])


def test_json_has_all_figures(corpus: Path) -> None:
    result = run("tones", corpus / "m.tsv", "--phones", corpus / "p.tsv", "--features", "--json", "--codebooks", "all",
                 "--robustness", 2, "--resamples", 20)  # fmt: skip
    assert result.exit_code == 1  # bad.wav
    assert "bad.wav" in result.stderr
    found = json.loads(result.stdout)
    assert (found["clips"], list(found["failed"])) == (6, ["bad.wav"])
    first, second = found["codebooks"]
    assert (first["used"], first["size"], second["used"]) == (3, 64, 1)
    assert first["phones"]["pnmi"] == pytest.approx(1)
    assert second["phones"]["pnmi"] == 0
    assert second["phones"]["corrected"]["mean"] == 0
    assert first["token_rate"] == pytest.approx(50)
    assert first["dedup_rate"] == pytest.approx((3 * 7 + 3 * 5) / (3 * 0.7 + 3 * 0.5))
    assert found["bpe"] is None
    scores = found["abx"]["scores"]
    assert set(scores) == {"units, codebook 0", "units, codebook 1", "features"}
    assert scores["units, codebook 0"]["within"]["error"] == 0
    assert scores["units, codebook 1"]["within"]["error"] == 0.5
    assert scores["features"]["across"]["error"] == pytest.approx(0, abs=1e-6)
    changes = found["robustness"]["changes"]
    assert changes["gain +6 dB"][0]["changed"] == 0
    assert changes["speed 0.9"][0]["changed"] > 0.1
    again = run("tones", corpus / "m.tsv", "--phones", corpus / "p.tsv", "--features", "--json", "--codebooks", "all",
                "--robustness", 2, "--resamples", 20)  # fmt: skip
    assert again.stdout == result.stdout


def test_tables_and_picture(corpus: Path) -> None:
    result = run("tones", corpus / "m.tsv", "--where", "language=en*", "--phones", corpus / "p.tsv", "--resamples", 20,
                 "--robustness", 1, "--plot", corpus / "u.png")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    for word in ("perplexity", "PNMI", "held out", "ABX", "within speakers", "noise 10 dB", "c0.wav"):
        assert word in result.output
    assert (corpus / "u.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_clips_are_chosen_by_columns_of_either_table(corpus: Path) -> None:
    opened = read_corpus(corpus / "m.tsv")
    assert len(read_rows(opened)) == 7
    assert [r.item.id for r in read_rows(opened, None, ["speaker=t"])] == ["c3", "c4", "c5"]
    assert [r.item.id for r in read_rows(opened, corpus / "marks.tsv", ["use=test", "speaker=t"])] == ["c3", "c4"]
    assert read_rows(opened)[0].speaker == "s"
    for where in (["use=test"], ["speaker"], ["speaker=x"]):
        with pytest.raises(CodectokError, match="--where"):
            read_rows(opened, None, where)


def test_columns_follow_the_order_of_any_manifest(tmp_path: Path) -> None:
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(100), RATE)
    lines = [{"path": "a.wav", "text": "one, two", "speaker": 7}, {"path": "b.wav", "speaker": None}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with open(tmp_path / "m.csv", "w", newline="") as file:
        csv.writer(file).writerows([["path", "Text", "speaker"], ["a.wav", "one, two", "7"], ["b.wav", "", ""]])
    for manifest in ("m.jsonl", "m.csv"):
        a, b = read_rows(read_corpus(tmp_path / manifest))
        assert (a.transcript, a.speaker, b.transcript, b.speaker) == ("one, two", "7", "", "b")
    assert [r.columns for r in read_rows(read_corpus(tmp_path))] == [{}, {}]


def test_items_outside_their_clip_are_counted_not_scored(corpus: Path) -> None:
    rows = read_rows(read_corpus(corpus / "m.tsv"), None, ["language=en*"])
    encoded = work.encode(Tones(), rows, str(corpus), num_codebooks=1)
    item = lambda file, onset, offset, phone: AbxItem(file, Fraction(onset), Fraction(offset), phone, "S", "AA", "s")  # noqa: E731
    inside = [item("c1", 0, "0.3", "AA"), item("c1.wav", "0.2", "0.5", "IY"), item("c1", "0.4", "0.7", "AA")]
    outside = [item("c1", "0.4", "0.9", "AA"), item("c9", 0, 1, "AA"), item("c1", "0.001", "0.009", "AA")]
    found = work.abx_scores(Tones(), encoded, inside + outside)
    assert (found["items"], found["outside"]) == (6, 3)
    assert found["scores"]["units, codebook 0"]["within"]["error"] == 0
    assert "no triple" in found["scores"]["units, codebook 0"]["across"]["reason"]
    with pytest.raises(CodectokError, match="no item"):
        work.abx_scores(Tones(), encoded, outside)


def test_phone_scores_are_of_the_labels_of_each_clip(corpus: Path) -> None:
    rows = read_rows(read_corpus(corpus / "m.tsv"), None, ["language=en*"])
    encoded = work.encode(Tones(), rows, str(corpus), num_codebooks=1)
    phones = {"c1": [Segment(0, 0.1, "A"), Segment(0.1, 0.3, "B")]}
    labels = work.labels_of(encoded, phones, Tones())
    assert [int((x >= 0).sum()) for x in labels] == [0, 15, 0, 0, 0, 0]
    (row,) = work.codebook_scores(Tones(), encoded, phones, 20, 0)
    assert row["phones"] == phone_scores([encoded.units[1][0]], [labels[1]], resamples=20).to_json()
    with pytest.raises(CodectokError, match="no clip of the corpus has labels"):
        work.labels_of(encoded, {"x": phones["c1"]}, Tones())


def test_bpe_is_counted_over_the_codebooks_it_is_over(corpus: Path, tmp_path: Path) -> None:
    from codectok.transforms.unit_bpe import UnitBPE

    rows = read_rows(read_corpus(corpus / "m.tsv"), None, ["language=en*"])
    tokenizer = Tones()
    tokenizer.folder = tmp_path
    UnitBPE((64,), [], tokenizer_fingerprint="tones").save(tmp_path)
    encoded = work.encode(tokenizer, rows, str(corpus), num_codebooks=2)
    rates = work.bpe_rates(tokenizer, encoded)
    (first, _) = work.codebook_scores(tokenizer, encoded, None, 20, 0)
    assert rates is not None
    assert (rates["token_rate"], rates["vocab_size"]) == (pytest.approx(first["dedup_rate"]), 64)


def test_codebooks_and_features_of_several_layers_are_named_by_layer(corpus: Path) -> None:
    """Two layers side by side: each one's features are scored alone."""
    from types import SimpleNamespace

    rows = read_rows(read_corpus(corpus / "m.tsv"), None, ["language=en*"])
    tokenizer = Tones()
    tokenizer.encoder = SimpleNamespace(layers=(3, 7), layer_dim=2, offset=0)
    tokenizer.streams = [SimpleNamespace(layer_index=1, sizes=(64,)), SimpleNamespace(layer_index=0, sizes=(4, 4))]
    assert work.codebook_names(tokenizer) == ["layer 7", "layer 3, level 0", "layer 3, level 1"]
    encoded = work.encode(tokenizer, rows, str(corpus), num_codebooks=2)
    encoded.features = [np.eye(4)[[0, 1]][(u[0] == 2).astype(int)] for u in encoded.units]  # layer 7 is all zeros
    items = [
        AbxItem("c1", Fraction(a, 10), Fraction(a + 3, 10), p, "S", "S", "s") for a, p in ((0, "A"), (2, "B"), (4, "A"))
    ]
    scores = work.abx_scores(tokenizer, encoded, items)["scores"]
    assert list(scores) == ["units, layer 7", "units, layer 3, level 0", "features, layer 3", "features, layer 7"]
    assert scores["features, layer 3"]["within"]["error"] == 0
    assert scores["features, layer 7"]["within"]["error"] == 0.5


@pytest.mark.parametrize(("args", "message"), [
    (["--phones", "none.tsv"], "there are no labels"), (["--align"], "no clip has a transcript"),
    (["--codebooks", "x"], "a number, or all"), (["--codebooks", "3"], "2 codebooks"),
    (["--where", "speaker=nobody"], "--where"), (["--plot", "p.png", "--plot-clip", "none"], "no such clip"),
    (["--plot", "p.pdf"], "ends in .png"), (["--codebooks", "\u00b2"], "a number, or all"),
])  # fmt: skip
def test_wrong_use_is_one_line(corpus: Path, args: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is said before the corpus is encoded."""
    monkeypatch.setattr(work, "encode", None)
    result = run("tones", corpus / "m.tsv", "--robustness", 0, *args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_units_of_features_are_those_of_encode(corpus: Path) -> None:
    """A tokenizer that makes units of its features runs its encoder once, with the same result."""

    class Once(Tones):
        def units(self, features: torch.Tensor, count: int) -> torch.Tensor:
            tones = features.argmax(1) // 4
            return torch.stack([tones, torch.zeros_like(tones)])[:count]

        def _encode(self, clips, num_codebooks):
            raise AssertionError("encoded twice")

    rows = read_rows(read_corpus(corpus / "m.tsv"), None, ["language=en*"])
    once = work.encode(Once(), rows, str(corpus), num_codebooks=2, features=True)
    twice = work.encode(Tones(), rows, str(corpus), num_codebooks=2, features=True)
    assert once.seconds == twice.seconds
    for a, b in zip(once.units + once.features, twice.units + twice.features, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def segments(corpus: Path) -> Path:
    """One file, whose halves are segments of different phones."""
    speak(corpus / "long.wav", "S AA S IY S IY")
    lines = [
        {"id": "u1", "path": "long.wav", "offset": 0, "duration": 0.3},
        {"id": "u2", "path": "long.wav", "offset": 0.3, "duration": 0.3},
    ]
    (corpus / "s.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return corpus


def test_segments_of_one_file_are_clips_of_their_own(segments: Path) -> None:
    parts = {"u1": "S AA S", "u2": "IY S IY"}
    labels = {n: [Segment(0.1 * i, 0.1 * (i + 1), p) for i, p in enumerate(x.split())] for n, x in parts.items()}
    write_segments(segments / "q.tsv", labels)
    result = run("tones", segments / "s.jsonl", "--phones", segments / "q.tsv", "--json", "--robustness", 2,
                 "--resamples", 20, "--any-context", "--plot", segments / "u.png", "--plot-clip", "u2")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    scores = found["codebooks"][0]["phones"]
    assert (scores["clips"], scores["frames"], scores["pnmi"]) == (2, 30, pytest.approx(1))
    assert (found["clips"], found["robustness"]["clips"], found["abx"]["outside"]) == (2, 2, 0)
    assert "u.png: u2" in result.stderr
    (segments / "s.jsonl").write_text((segments / "s.jsonl").read_text().replace("0.3}", "9}"))
    encoded = run("tones", segments / "s.jsonl")
    assert "no clip could be encoded" in encoded.stderr


def test_alignments_and_failures_of_segments_are_kept_apart(segments: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kmeans_units.phones import Alignments

    def align(clips: object, progress: object) -> Alignments:
        return Alignments({name: [Segment(0, 0.1, text), Segment(0.1, 0.2, "X")] for name, text, _ in clips})  # type: ignore[attr-defined]

    monkeypatch.setattr("kmeans_units.phones.align_clips", align)
    rows = [json.loads(line) | {"text": f"T{i}"} for i, line in enumerate((segments / "s.jsonl").open())]
    rows += [{"id": f"late{i}", "path": "long.wav", "offset": 50 + i} for i in range(2)]
    (segments / "s.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = run("tones", segments / "s.jsonl", "--align", "--phones", segments / "made.tsv", "--json",
                 "--robustness", 0, "--resamples", 20, "--no-abx")  # fmt: skip
    assert result.exit_code == 1, result.stderr
    assert {line.split("\t")[0] for line in (segments / "made.tsv").read_text().splitlines()[1:]} == {"u1", "u2"}
    found = json.loads(result.stdout)
    assert list(found["failed"]) == ["late0", "late1"]
    assert (found["codebooks"][0]["phones"]["labels"], found["codebooks"][0]["phones"]["clips"]) == (3, 2)


def test_a_clip_is_named_by_path_or_id(tmp_path: Path) -> None:
    """Both find the labels of a whole file; a length without an id leaves a line its path; tables join by either."""
    from codectok.items.item import Item
    from kmeans_units.names import by_clip, clip_name, names_of

    items = [Item("u1", "/r/a.wav"), Item("d/b", "/r/d/b.wav", None, 1.5), Item("u2", "/r/c.wav", 0.0, 1.0),
             Item("u3", "/r/c.wav", 1.0), Item("o/e", "/o/e.wav", None, 2.0)]  # fmt: skip
    names = names_of(items, "/r")
    assert list(names.values()) == ["a.wav", "d/b.wav", "u2", "u3", "/o/e.wav"]
    assert [clip_name(i, "/r/") for i in items] == list(names.values())
    one = [Segment(0, 1, "A")]
    for key, name in (("a.wav", "a.wav"), ("u1", "a.wav"), ("d/b", "d/b.wav"), ("d/b.wav", "d/b.wav"), ("u3", "u3")):
        assert list(by_clip({key: one}, names)) == [name]
    assert by_clip({"c.wav": one}, names) == {}
    (tmp_path / "m.csv").write_text("id,path,offset,duration\nu2,c.wav,0,1\nu3,c.wav,1,1\n")
    (tmp_path / "t.csv").write_text("path,use,who\nc.wav,x,a\nu3,y,b\n")
    rows = read_rows(read_corpus(tmp_path / "m.csv"), tmp_path / "t.csv")
    assert [r.columns["use"] for r in rows] == ["x", "y"]


def test_phones_that_cannot_be_scored_leave_the_other_figures(corpus: Path) -> None:
    write_segments(corpus / "one.tsv", {"c0.wav": [Segment(0, 0.2, "A")]})
    args = ("tones", corpus / "m.tsv", "--where", "language=en*", "--phones", corpus / "one.tsv", "--robustness", 0,
            "--no-abx")  # fmt: skip
    result = run(*args, "--json")
    assert result.exit_code == 0, result.stderr
    (row,) = json.loads(result.stdout)["codebooks"]
    assert (row["used"], row["phones"]["pnmi"]) == (3, None)
    assert "same label" in row["phones"]["reason"]
    shown = run(*args).output
    assert "perplexity" in shown
    assert "no phone scores: all frames have the same label" in shown


def test_figures_are_printed_before_a_picture_that_fails(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = ("tones", corpus / "m.tsv", "--robustness", 0, "--plot", corpus / "u.png")
    result = run(*args, "--plot-clip", "bad")  # known, but no audio
    assert (result.exit_code, "perplexity" in result.stdout, (corpus / "u.png").exists()) == (2, True, False)
    (corpus / "m.tsv").write_text("path\tspeaker\nbad.wav\ts\nc0.wav\ts\n")
    result = run(*args)
    assert "u.png: c0.wav" in result.stderr, "the first that can be read"


def test_the_guide_names_options_that_exist() -> None:
    guide = (Path(__file__).parents[2] / "docs/units.md").read_text()
    known = {option for parameter in score.params for option in (*parameter.opts, *parameter.secondary_opts)}
    mine = {
        word
        for line in guide.splitlines()
        if "score" in line and "codectok" in line
        for word in re.findall(r"--[a-z-]+", line)
    }
    assert {"--align", "--items", "--plot"} <= mine
    assert mine <= known
