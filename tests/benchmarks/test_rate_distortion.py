"""Delays, Ogg files, coders (a fake one always, the real ones where installed) and the command."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.split_tables import choose
from benchmarks.studies.rate_distortion import coders, ogg
from benchmarks.studies.rate_distortion.align import find_delays, remove_delay
from benchmarks.studies.rate_distortion.coders import AMR_WB, CODEC2, OPUS, RATE, SPEEX, Coder, CoderError, CoderSetting
from benchmarks.studies.rate_distortion.command import labels, main
from benchmarks.studies.rate_distortion.points import coder_rows, measure, read_clips, row
from codectok.errors import FormatError

SPEECH = Path(__file__).parents[2] / "benchmarks/speech"


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    return read_clips(SPEECH, choose(SPEECH / "splits.tsv", "val"))


def shifted(clip: np.ndarray, delay: int) -> np.ndarray:
    return np.concatenate([np.zeros(delay, np.float32), clip]) if delay >= 0 else clip[-delay:]


def without_phase(clip: np.ndarray) -> np.ndarray:
    """What a parametric coder does: short-time magnitudes kept, phases drawn anew. float32 [S]."""
    size, rng = 320, np.random.default_rng(0)
    padded = np.pad(clip, (size, 2 * size))
    out = np.zeros(len(padded))
    window = np.sqrt(np.hanning(size + 1)[:-1])
    for start in range(0, len(padded) - size, size // 2):
        spectrum = np.abs(np.fft.rfft(padded[start : start + size] * window))
        turned = spectrum * np.exp(2j * np.pi * rng.random(len(spectrum)))
        out[start : start + size] += np.fft.irfft(turned, size) * window
    return out[size : size + len(clip)].astype(np.float32)


@pytest.mark.parametrize("delay", [0, 1, 137, 799, -53])
def test_a_delay_is_found_to_the_sample(clips: list[np.ndarray], delay: int) -> None:
    assert find_delays(clips, [0.5 * shifted(clip, delay) for clip in clips], RATE) == [delay] * len(clips)


@pytest.mark.parametrize("delay", [0, 300, -200])
def test_a_delay_is_found_without_a_waveform(clips: list[np.ndarray], delay: int) -> None:
    found = find_delays(clips, [shifted(without_phase(clip), delay) for clip in clips], RATE)
    assert len(set(found)) == 1
    assert abs(found[0] - delay) <= 32  # 2 ms, an eighth of the window of the envelopes


def test_clips_that_disagree_keep_their_own_delay(clips: list[np.ndarray]) -> None:
    delays = [230, 230, 9]
    assert find_delays(clips, [shifted(c, d) for c, d in zip(clips, delays, strict=True)], RATE) == delays


@given(st.integers(1, 50), st.integers(0, 60), st.integers(-20, 20))
def test_removing_a_delay_gives_the_length_asked_for(length: int, room: int, delay: int) -> None:
    samples = np.arange(1, length + 1, dtype=np.float32)
    out = remove_delay(samples, delay, room)
    expected = [samples[i + delay] if 0 <= i + delay < length else 0 for i in range(room)]
    np.testing.assert_array_equal(out, np.array(expected, np.float32))


def test_stoi_needs_the_delay_removed(clips: list[np.ndarray]) -> None:
    late = shifted(clips[0], 400)
    wrong, _ = measure((clips[0], remove_delay(late, 0, len(clips[0]))))
    right, _ = measure((clips[0], remove_delay(late, 400, len(clips[0]))))
    assert wrong["stoi"] < 0.7
    assert right["stoi"] > 0.999


@given(st.lists(st.integers(0, 1100), max_size=30), st.integers(1, 255))
def test_ogg_packets(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], segments: int) -> None:
    lacings = [part for size in sizes for part in (*[255] * (size // 255), size % 255)]
    data = b""
    for start in range(0, len(lacings), segments):
        table = lacings[start : start + segments]
        data += b"OggS" + bytes(22) + bytes([len(table)]) + bytes(table) + b"x" * sum(table)
    path = tmp_path_factory.getbasetemp() / "some.ogg"
    path.write_bytes(data)
    assert ogg.packets(path) == sizes
    assert ogg.audio_packets(path) == sizes[2:]
    if data:
        path.write_bytes(data + b"Og")
        with pytest.raises(FormatError):
            ogg.packets(path)


# -- a coder of our own making ----------------------------------------------------------------------------------------

ENCODER = """
import sys
setting, source, coded = sys.argv[1:]
data = open(source, "rb").read()
if setting == "broken" or len(data) > 2 * 16000 * int(setting):
    sys.exit("too much for me")
open(coded, "wb").write(data[1::2])  # the upper byte of each sample
"""
DECODER = """
import sys
coded, decoded = sys.argv[1:]
late = bytes(137) + open(coded, "rb").read()
open(decoded, "wb").write(b"".join(bytes([0, byte]) for byte in late))
"""


@pytest.fixture
def fake(tmp_path: Path) -> Coder:
    """137 samples late, 128 kbit/s; its setting is the most seconds that it takes."""
    for name, text in (("enc", ENCODER), ("dec", DECODER)):
        (tmp_path / name).write_text(f"#!{sys.executable} -S\n{text}")
        (tmp_path / name).chmod(0o755)
    encode = (str(tmp_path / "enc"), "{setting}", "{source}", "{coded}")
    decode = (str(tmp_path / "dec"), "{coded}", "{decoded}")
    settings = (CoderSetting("30", 128.0),)
    return Coder("Fake", "fake-tools", RATE, settings, encode, decode, coders.of_file, raw=True, frame=160)


def test_a_coder_is_scored_and_its_delay_removed(fake: Coder, clips: list[np.ndarray]) -> None:
    (found,) = coder_rows(fake, clips, map)
    assert found["delay ms"] == [8.56, 8.56]
    assert (found["kbit/s"], found["measured"], found["failed"]) == (128.0, 128.0, {})
    assert found["stoi"][0] > 0.98
    assert found["pesq"][3] == found["stoi"][3] == len(clips)
    mean, low, high, _ = found["pesq"]
    assert low <= mean <= high


def test_the_end_comes_back_and_the_level_stays(fake: Coder, clips: list[np.ndarray]) -> None:
    decoded, _ = fake.run(clips[0], fake.settings[0])
    assert len(decoded) >= len(clips[0]) + 137
    error = remove_delay(decoded, 137, len(clips[0])) - clips[0]
    assert np.abs(error).max() <= 2 / 256


def test_failures_are_counted_and_never_scored(fake: Coder, clips: list[np.ndarray]) -> None:
    lengths = sorted(len(clip) / RATE for clip in clips)
    some = dataclasses.replace(fake, settings=(CoderSetting(str(int(lengths[-1])), 128.0),), tail=0)
    (found,) = coder_rows(some, clips, map)
    assert found["failed"] == {"coder": 1}
    assert found["pesq"][3] == len(clips) - 1
    none = dataclasses.replace(fake, settings=(CoderSetting("broken", 128.0),))
    with pytest.raises(CoderError, match="status 1: too much for me"):
        list(coder_rows(none, clips, map))


def test_a_metric_that_fails_everywhere_has_no_mean() -> None:
    scores = [({"pesq": 2.0}, {"stoi": "too short"})] * 2
    found = row("x", "1", 1.0, 1.0, scores)
    assert found["stoi"] is None
    assert found["pesq"] == [2.0, 2.0, 2.0, 2]
    assert found["failed"] == {"stoi": 2}


# -- the command ------------------------------------------------------------------------------------------------------


def run(folder: Path, *extra: str, data: Path = SPEECH) -> Result:
    fixed = ["--data", str(data), "--splits", str(data / "splits.tsv"), "-o", str(folder / "plot.png")]
    return CliRunner().invoke(main, ["pcm", *fixed, "--json", str(folder / "rows.json"), *extra])


def test_the_command(fake: Coder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = dataclasses.replace(fake, name="Absent", encode=("no-such-program",))
    broken = dataclasses.replace(fake, name="Broken", settings=(CoderSetting("broken", 1.0),))
    monkeypatch.setattr("benchmarks.studies.rate_distortion.command.CODERS", (absent, broken, fake))
    result = run(tmp_path, "--limit", "2")
    assert result.exit_code == 0, result.output
    assert "skipped Absent: no-such-program is not installed (on Debian: apt install fake-tools)" in result.stderr
    assert re.search(r"skipped Broken: .*too much for me", result.stderr)
    record = json.loads((tmp_path / "rows.json").read_text())
    assert [found["name"] for found in record["rows"]] == ["pcm", "Fake"]
    pcm, _ = record["rows"]
    assert pcm["kbit/s"] == 128
    assert pcm["pesq"][0] > 3.9
    assert record["clips"] == 2
    assert set(record["fingerprints"]) == {"pcm"}
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert "1 codebooks" in result.stdout


@pytest.mark.slow
def test_several_processes_give_the_same(fake: Coder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.studies.rate_distortion.command.CODERS", (fake,))
    found = []
    for jobs in ("1", "2"):
        assert run(tmp_path, "--limit", "2", "--workers", jobs).exit_code == 0
        found.append(json.loads((tmp_path / "rows.json").read_text()))
    assert found[0] == found[1]


def test_no_clips_is_an_error(tmp_path: Path) -> None:
    result = run(tmp_path, "--use", "nosuch")
    assert result.exit_code == 2
    assert "no clips" in result.stderr


def test_labels() -> None:
    assert labels(["speech", "runs/a"]) == ["speech", "a"]
    assert labels(["runs/a", "other/a"]) == ["runs/a", "other/a"]


def test_clips_are_chosen_evenly(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("path\tuse\n" + "".join(f"{i}\tval\nx\tfit\n" for i in range(10)))
    assert choose(tmp_path / "s", "val", 4) == ["0", "2", "5", "7"]
    assert choose(tmp_path / "s", "val", 10) == choose(tmp_path / "s", "val") == [str(i) for i in range(10)]


# -- the real ones ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coder", [OPUS, AMR_WB, CODEC2, SPEEX], ids=lambda coder: coder.name)
def test_real_coders(coder: Coder, clips: list[np.ndarray]) -> None:
    if missing := coder.missing():
        pytest.skip(f"{missing} is not installed (on Debian: apt install {coder.package})")
    ends = dataclasses.replace(coder, settings=(coder.settings[0], coder.settings[-1]))
    low, high = coder_rows(ends, clips, map)
    assert not low["failed"]
    assert low["stoi"][0] < high["stoi"][0]
    assert high["stoi"][0] > (0.75 if coder is CODEC2 else 0.95)
    for found in (low, high):
        # Whole bytes a frame add up to 15 % to Codec2's smallest frames; variable bitrate goes both ways.
        assert found["measured"] == pytest.approx(found["nominal"], rel=0.2)
        assert max(map(abs, found["delay ms"])) < 45


def test_opus_bitrate_is_what_opusenc_says(tmp_path: Path, clips: list[np.ndarray]) -> None:
    if OPUS.missing():
        pytest.skip("opusenc is not installed (on Debian: apt install opus-tools)")
    soundfile.write(tmp_path / "a.wav", clips[0], RATE, "PCM_16")
    command = ["opusenc", "--bitrate", "9", str(tmp_path / "a.wav"), str(tmp_path / "a.opus")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    expected = re.search(r"Bitrate: ([\d.]+) kbit/s \(without overhead\)", said)
    assert expected is not None
    assert coders.of_packets(tmp_path / "a.opus", 0.0) == pytest.approx(float(expected[1]), rel=1e-4)
