import base64
import io
import json
import re
import struct
import zlib
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from codectok.cli.main import main
from codectok.controls import PcmTokenizer, RandomTokenizer
from codectok.errors import CodeRangeError
from codectok.inspect import TokenizerSetting, choose_settings, compare, render, summarize
from codectok.inspect.comparison import METRICS, OCTAVES
from codectok.inspect.pictures import audio_uri, codes_uri, spectrogram, thin_codes
from codectok.inspect.png import palette, write_png
from codectok.metrics import registry
from codectok.tokenizer import Tokenizer

RATE = 16000
VOID = {"meta", "img", "br", "rect", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags nest, and keeps them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def write_clip(path, seconds=0.7, rate=RATE, hz=300.0):
    t = np.arange(round(seconds * rate)) / rate
    x = np.sin(2 * np.pi * hz * t) * np.clip(np.sin(2 * np.pi * 3 * t), 0, None)
    soundfile.write(path, 0.5 * x, rate)
    return path


def inspect(*args):
    return CliRunner().invoke(main, ["inspect", *map(str, args)])


@pytest.fixture
def report(tmp_path):
    write_clip(tmp_path / "a.wav")
    write_clip(tmp_path / "<b>&.wav", rate=8000)
    out = tmp_path / "deep" / "r.html"
    clips = (tmp_path / "a.wav", tmp_path / "<b>&.wav")
    result = inspect(*clips, "-o", out, "--tokenizer", "pcm", "--tokenizer", "random")
    assert result.exit_code == 0, result.stderr
    assert str(out) in result.stdout
    return out.read_text(encoding="utf-8")


def test_page_is_self_contained(report):
    page = Page(report)
    for _, attrs in page.tags:
        for key in ("src", "href", "poster", "data"):
            if attrs.get(key):
                assert attrs[key].startswith(("data:", "#")), attrs[key][:80]
    assert not re.search(r"https?://|url\(|@import|<link", report)
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {a["href"][1:] for a in page.all("a")} <= ids
    assert len(page.all("section")) == 2


def test_page_has_sound_and_pictures(report):
    page = Page(report)
    # Original and pcm of two clips; random cannot decode.
    assert len(page.all("audio")) == 4
    assert len(page.all("img")) == 4 + 4  # spectrograms, codes
    for audio in page.all("audio"):
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(audio["src"].split(",")[1])))
        assert len(samples) == round(0.7 * rate)
    assert "cannot decode: codes only" in report


def test_page_escapes_names(report):
    assert "<b>&.wav" not in report
    assert "&lt;b&gt;&amp;.wav" in report


def test_page_is_reproducible(tmp_path):
    write_clip(tmp_path / "a.wav")
    settings = [TokenizerSetting(PcmTokenizer(), 1)]
    pages = [render(c, summarize(c)) for c in ([compare(tmp_path / "a.wav", settings, 20.0)] for _ in range(2))]
    assert pages[0] == pages[1]


def test_page_codes_are_the_codes(tmp_path):
    write_clip(tmp_path / "a.wav")
    clip = compare(tmp_path / "a.wav", [TokenizerSetting(RandomTokenizer(), 3)], 20.0)
    plot = next(a for a in Page(render([clip], summarize([clip]))).all("div") if a.get("class") == "plot codes")
    codes = np.frombuffer(base64.b64decode(plot["data-codes"]), "<u4").reshape(int(plot["data-levels"]), -1)
    assert np.array_equal(codes, clip.reconstructions[0].tokens.codes.numpy())


def test_json_summary_and_prefixes(tmp_path):
    write_clip(tmp_path / "a.wav")
    args = ("--tokenizer", "random", "--codebooks", 2, "--codebooks", 5, "--codebooks", 99, "--json")
    result = inspect(tmp_path / "a.wav", "-o", tmp_path / "r.html", *args)
    assert result.exit_code == 0, result.stderr
    settings = json.loads(result.stdout)["settings"]
    assert [s["codebooks"] for s in settings] == [2, 5, 24]
    assert [s["token_rate"] for s in settings] == [50, 125, 600]
    assert settings[1]["bitrate"] == pytest.approx(1.25)
    assert settings[0]["used"] == settings[1]["used"][:2]
    assert "random has 24 codebooks" in result.stderr


def test_bad_clip_among_good_ones(tmp_path):
    write_clip(tmp_path / "a.wav")
    (tmp_path / "b.wav").write_text("not audio")
    result = inspect(tmp_path, "-o", tmp_path / "r.html", "--tokenizer", "pcm")
    assert result.exit_code == 1
    assert "b.wav" in result.stderr
    assert len(Page((tmp_path / "r.html").read_text()).all("section")) == 1


def test_audio_of_a_folder_that_is_not_read_is_said(tmp_path):
    write_clip(tmp_path / "a.wav")
    (tmp_path / "b.m4a").write_bytes(b"m4a")
    result = inspect(tmp_path, "-o", tmp_path / "r.html", "--tokenizer", "pcm")
    assert result.exit_code == 1
    assert (tmp_path / "r.html").is_file()
    [line] = result.stderr.splitlines()
    assert line.startswith(f"failed: {tmp_path / 'b.m4a'}: ")


def test_nothing_usable_writes_nothing(tmp_path):
    (tmp_path / "b.wav").write_text("not audio")
    result = inspect(tmp_path / "b.wav", "-o", tmp_path / "r.html", "--tokenizer", "pcm")
    assert result.exit_code == 2
    assert not (tmp_path / "r.html").exists()
    assert inspect(tmp_path / "b.wav", "-o", tmp_path, "--tokenizer", "pcm").exit_code == 2


def test_long_clips_are_cut_and_said_to_be(tmp_path):
    write_clip(tmp_path / "a.wav", seconds=2.0)
    out = tmp_path / "r.html"
    assert inspect(tmp_path / "a.wav", "-o", out, "--tokenizer", "random", "--seconds", 0.5).exit_code == 0
    text = out.read_text(encoding="utf-8")
    assert "the first 0.5 s of 2.0 s" in text
    assert Page(text).all("section")[0]["data-seconds"] == "0.500000"


def test_missing_metric_package_is_said_with_its_remedy(tmp_path, monkeypatch):
    def missing(reference, estimate, rate):
        raise registry.MetricUnavailable("PESQ is not installed: pip install 'codectok[bench]'")

    known = registry.get_metric("pesq")
    monkeypatch.setattr("codectok.metrics.signal.PESQ", replace(known, function=missing))
    write_clip(tmp_path / "a.wav")
    clip = compare(tmp_path / "a.wav", [TokenizerSetting(PcmTokenizer(), 1)], 20.0)
    assert "pip install &#39;codectok[bench]&#39;" in render([clip], summarize([clip]))


class Wide(Tokenizer):
    """Not causal, at another rate than the clips."""

    name, sample_rate, frame_rate, fingerprint, feature_dim = "wide", 24000, Fraction(75), "wide", 1
    codebook_sizes = (4, 8)

    def num_frames(self, num_samples):
        return -(-num_samples // 320)

    def _encode(self, clips, num_codebooks):
        return [torch.arange(self.num_frames(len(c))).repeat(num_codebooks, 1) % 4 for c in clips]

    def _features(self, clips):
        return [torch.zeros(self.num_frames(len(c)), 1) for c in clips]

    def _decode(self, codes, num_samples):
        return [np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in num_samples]


def test_other_rates_and_summary(tmp_path):
    write_clip(tmp_path / "a.wav", rate=44100)
    clip = compare(tmp_path / "a.wav", [TokenizerSetting(Wide(), 2)], 20.0)
    (row,) = clip.reconstructions
    assert len(row.wave) == row.tokens.num_samples == round(0.7 * 24000)
    assert set(row.values) | set(row.failures) == {*METRICS, *OCTAVES}
    (summary,) = summarize([clip, clip])
    assert summary.used == (4, 4)
    assert summary.entropy == pytest.approx(2 * 2 * 75 / 1000, rel=0.01)
    assert summary.num_frames == 2 * row.tokens.num_frames
    assert summary.scores["mel"].n == 2
    Page(render([clip], summarize([clip])))


def test_choose_settings():
    pcm, noise = PcmTokenizer(), RandomTokenizer()
    settings, notes = choose_settings([pcm, noise], [1, 4], [])
    assert [(s.tokenizer.name, s.num_codebooks) for s in settings] == [("pcm", 1), ("random", 1), ("random", 4)]
    assert len(notes) == 1
    assert [s.num_codebooks for s in choose_settings([noise], [], [1.5, 3.0])[0]] == [6, 12]
    assert [s.num_codebooks for s in choose_settings([noise], [], [])[0]] == [24]
    with pytest.raises(CodeRangeError):
        choose_settings([pcm], [], [1.0])


# -- pictures ----------------------------------------------------------------------------------------------------------


def decode_png(data):
    """Width, height, palette and pixels of an indexed PNG; checks every CRC."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    return np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3), rows[:, 1:]


def test_png_round_trip():
    pixels = np.arange(35, dtype=np.uint8).reshape(5, 7)
    colours, decoded = decode_png(write_png(pixels, palette("magma")))
    assert np.array_equal(decoded, pixels)
    assert np.array_equal(colours, palette("magma"))


@pytest.mark.parametrize("name", ["magma", "viridis"])
def test_palettes_match_matplotlib_and_get_lighter(name):
    colours = palette(name).astype(float)
    lightness = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1.5).all()
    matplotlib = pytest.importorskip("matplotlib")
    assert np.abs(colours - 255 * np.array(matplotlib.colormaps[name].colors)).max() < 6


def test_codes_picture():
    codes = np.array([[0, 511, 1023], [0, 1, 3]])
    _, pixels = decode_png(base64.b64decode(codes_uri(codes, (1024, 4)).split(",")[1]))
    assert pixels.tolist() == [[0, 127, 255], [0, 85, 255]]


def test_thin_codes():
    codes = np.arange(16000)[None]
    thin, step = thin_codes(codes)
    assert step == 10
    assert np.array_equal(thin[0], np.arange(0, 16000, 10))
    assert thin_codes(codes[:, :100])[1] == 1


def test_spectrogram_is_bounded_in_width():
    assert spectrogram(np.zeros(600 * RATE, np.float32), RATE, 8000.0).shape[0] <= 1601
    assert spectrogram(np.zeros(1, np.float32), RATE, 8000.0).shape[0] >= 1


def test_embedded_audio_takes_the_smaller_container():
    noise = np.random.default_rng(0).uniform(-1, 1, 100)
    assert audio_uri(noise[:3], RATE).startswith("data:audio/wav;")
    tone = np.sin(np.arange(RATE) / 20) * 0.5
    assert audio_uri(tone, RATE).startswith("data:audio/flac;")


class TooLoud(PcmTokenizer):
    """A codec that explodes: four times the samples."""

    name, fingerprint = "loud", "loud"

    def _decode(self, codes, num_samples):
        return [4 * wave for wave in super()._decode(codes, num_samples)]


def test_what_is_too_loud_is_red_and_what_is_right_is_not(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.15, RATE), RATE)
    settings = [TokenizerSetting(PcmTokenizer(), 1), TokenizerSetting(TooLoud(), 1)]
    clip = compare(tmp_path / "a.wav", settings, 20.0)
    right, wrong = clip.reconstructions
    assert abs(right.values["level"]) < 0.1
    assert wrong.values["level"] > 6
    assert wrong.values["clipped"] > 1
    page = render([clip], summarize([clip]))
    red = re.findall(r'<b class="far" title="past ([^"]+)">([^<]+)</b>', page)
    assert ("1 dB", f"{wrong.values['level']:+.1f}") in red
    assert ("0.01 %", f"{wrong.values['clipped']:.3f}") in red
    alone = compare(tmp_path / "a.wav", settings[:1], 20.0)
    assert 'class="far"' not in render([alone], summarize([alone]))
    Page(page)
