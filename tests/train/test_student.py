"""Training the student and the vocoder on a few synthetic clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from codectok import FormatError, load
from codectok.codec.folder import save_codec
from codectok.codec.harmonic import HarmonicCodec
from codectok.metrics import get_metric
from codectok.testing import voice
from tests.contract.subjects import HARMONIC, settle
from tests.units.student_subject import tiny_codec
from train_codec.distill import teacher as teacher_module
from train_codec.recipe import build_recipe, read_recipe
from train_codec.student.distil import StudentLoop
from train_codec.student.run import run_task
from train_codec.student.settings import StudentRecipe, VocoderRecipe
from train_codec.student.vocoder import VocoderLoop

CLIPS = {"ann": [16000, 9000, 20000], "bob": [12000, 7001, 16000], "cat": [15000]}


class FakeTeacher:
    """Log energies of eight parts of each hop: what a student of mel frames can learn."""

    hop, offset, sample_rate, dim, layer, fingerprint = 320, -160, 16000, 8, 2, "e" * 32

    def num_frames(self, num_samples: int) -> int:
        return -(-num_samples // self.hop)

    def features(self, audio: np.ndarray) -> torch.Tensor:
        frames = self.num_frames(len(audio))
        padded = np.pad(np.asarray(audio), (160, frames * self.hop - len(audio) - 160 + 320))[: frames * self.hop]
        spectra = np.abs(np.fft.rfft(padded.reshape(frames, self.hop)))[:, :64].reshape(frames, 8, 8).sum(2)
        return torch.from_numpy(np.log(spectra + 0.1).astype(np.float32))


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_module.TeacherSpec, "load", lambda self, layer: FakeTeacher())


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    lines = ["path\tspeaker\tuse"]
    for speaker, lengths in CLIPS.items():
        (folder / speaker).mkdir()
        for i, length in enumerate(lengths):
            path = f"{speaker}/{i}.wav"
            soundfile.write(folder / path, voice(length, 16000, seed=length + i), 16000)
            lines.append(f"{path}\t{speaker}\t{'val' if speaker == 'cat' else 'fit'}")
    (folder / "splits.tsv").write_text("\n".join(lines) + "\n")
    return folder


def recipe(name: str, speech: Path, out: Path, **changes: Any) -> Any:
    given: dict[str, Any] = {"data": speech, "splits": speech / "splits.tsv", "out": out, "cache": out.parent / "cache"}
    given |= {"batch": 4, "crop_seconds": 0.5, "bf16": "false", "validate_every": 1000, "warmup_steps": 5}
    given |= {"steps": 6, "log_every": 3, "threads": torch.get_num_threads(), **changes}
    return build_recipe(read_recipe(name, [f"{k}={v}" for k, v in given.items()]))


def student(speech: Path, out: Path, **changes: Any) -> StudentRecipe:
    shape = {"teacher": "fake", "teacher_tail_seconds": 0, "mels": 20, "dim": 24, "depth": 2, "ahead": 2}
    return recipe("units-16k", speech, out, **{**shape, "latent_dim": 6, "units": 20, **changes})


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Model folders of a small unit codec and a small harmonic codec."""
    folder = tmp_path_factory.mktemp("models")
    codec = tiny_codec()
    codec.vocoder = None
    save_codec(codec, folder / "units")
    torch.manual_seed(0)
    save_codec(settle(HarmonicCodec(HARMONIC)), folder / "speech")
    return folder / "units", folder / "speech"


def vocoder(speech: Path, folders: tuple[Path, Path], out: Path, **changes: Any) -> VocoderRecipe:
    given = {"tokenizer": folders[0], "decoder": folders[1], "speaker": "bob", "vocoder_dim": 24, "vocoder_depth": 2}
    return recipe("unit-vocoder", speech, out, **{**given, "vocoder_ahead": 2, **changes})


def test_student_learns_and_is_a_tokenizer(speech: Path, tmp_path: Path) -> None:
    loop = StudentLoop(student(speech, tmp_path / "run", steps=60, learning_rate=5e-3, noise_prob=0))
    before = loop.validate()
    loop.run()
    after = loop.validate()
    assert after["same"] > before["same"] + 0.1
    assert after["cosine"] > before["cosine"] + 0.2
    tok = load(str(loop.export()))
    assert not tok.can_decode
    assert tok.encode(voice(8000, 16000), 16000).codes.shape == (1, 25)


def test_targets_are_the_teachers_frames_as_they_are(speech: Path, tmp_path: Path) -> None:
    loop = StudentLoop(student(speech, tmp_path / "run", gain_prob=0, noise_prob=0, lowpass_prob=0))
    from train_codec.data import draw

    audio, targets, mask = loop.batch(3)
    crops = draw(loop.clips, 3, 0, 4, loop.crop, loop.frame)
    assert torch.equal(audio, crops.audio)
    for row in range(4):
        clip, first = int(crops.clip[row]), int(crops.start[row]) // 320
        expected = loop.teacher.clip(clip)[first : first + targets.shape[1]]
        n = int(mask[row].sum())
        assert n >= 20
        assert np.allclose(targets[row, :n].numpy(), expected[:n], atol=1e-6)


def test_own_codebook(speech: Path, tmp_path: Path) -> None:
    loop = StudentLoop(student(speech, tmp_path / "run", codebook="own"))
    loop.run()
    codec = loop.released()
    audio = torch.from_numpy(loop.clips.read(loop.clips.clips[0]))[None]
    with torch.no_grad():
        z = codec.encode_step(audio, None, True)[0][0]
    theirs: Any = loop.average
    own, given = (c.quantizer.levels[0].vectors for c in (codec, theirs.codec))
    assert torch.cdist(z, own).amin(1).mean() < torch.cdist(z, given).amin(1).mean()


@pytest.mark.parametrize("kind", ["student", "vocoder"])
def test_resumed_equals_whole(kind: str, speech: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    def make(out: Path) -> StudentLoop | VocoderLoop:
        if kind == "student":
            return StudentLoop(student(speech, out))
        return VocoderLoop(vocoder(speech, folders, out))

    whole = make(tmp_path / "whole")
    whole.run()
    make(tmp_path / "cut").run(until=4)
    cut = make(tmp_path / "cut")
    cut.run()
    assert cut.step == whole.step == 6
    for a, b in ((whole.network, cut.network), (whole.average, cut.average)):
        for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            assert torch.equal(x, y), name


def test_a_checkpoint_of_another_run_is_refused(speech: Path, tmp_path: Path) -> None:
    StudentLoop(student(speech, tmp_path / "run", steps=1)).run()
    with pytest.raises(FormatError, match="dim 24 is now 32"):
        StudentLoop(student(speech, tmp_path / "run", dim=32)).run()


def test_a_checkpoint_from_before_a_key_was_there_goes_on(speech: Path, tmp_path: Path) -> None:
    from train_codec.checkpoint import write_checkpoint

    StudentLoop(student(speech, tmp_path / "run", steps=1)).run()
    state = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)
    del state["recipe"]["unit_weight"], state["recipe"]["ahead"]
    write_checkpoint(tmp_path / "run/checkpoint.pt", state)
    loop = StudentLoop(student(speech, tmp_path / "run", steps=2))
    loop.run()
    assert loop.step == 2


def test_vocoder_learns_and_speaks(speech: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    given = vocoder(speech, folders, tmp_path / "run", steps=50, learning_rate=5e-3, mel_from=48, train_decoder="true")
    loop = VocoderLoop(given)
    with torch.no_grad():
        first = sum(map(float, loop.losses(loop.batch(0)).values()))
    loop.run()
    with torch.no_grad():
        terms = loop.losses(loop.batch(0))
    assert sum(float(v) for k, v in terms.items() if k != "mel") < 0.9 * first
    loop.export().rename(folders[0] / "vocoder")
    tok = load(str(folders[0]))
    assert tok.can_decode
    audio = voice(9000, 16000)
    assert tok.decode(tok.encode(audio, 16000)).shape == audio.shape


def test_vocoder_is_heard_on_clips_held_out(speech: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    loop = VocoderLoop(vocoder(speech, folders, tmp_path / "run", steps=1))
    assert loop.validate() == {}  # of so few clips, none is held out
    clip = 2
    loop.held = np.array([clip])
    loop.run()
    rows = map(json.loads, (tmp_path / "run/log.jsonl").read_text().splitlines())
    (scores,) = [row["val"] for row in rows if "val" in row]
    assert scores["n_1"] == 1
    original = loop.clips.read(loop.clips.clips[clip])
    units, _, _ = loop.crop(clip, 0, int(loop.pairs.frames[clip]))
    codes, speaker = torch.from_numpy(units.T[None]).long(), torch.tensor([loop.speaker[clip]])
    with torch.no_grad():
        merge, ahead = loop.codec.config.merge, loop.average.config.ahead
        control = loop.average.control(codes, speaker, None)[0][:, ahead // merge :]
        decoded = loop.average.decoder.step(loop.average.latents(control), None)[0][0].numpy()[: len(original)]
    for metric in ("level", "lsd", "octave_400"):
        assert scores[f"{metric}_1"] == pytest.approx(get_metric(metric).of_clip(original, decoded, 16000), abs=1e-3)


def test_vocoder_is_asked_for_levels_of_what_counts(speech: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """The terms are there with their weights, and what lies beyond a clip's end is not heard."""
    weights = {"mel_from": 0, "train_decoder": "true", "level_weight": 2, "bands_weight": 0, "excess_weight": 3}
    loop = VocoderLoop(vocoder(speech, folders, tmp_path / "run", **weights))
    terms = loop.losses(loop.batch(0))
    assert {"mel", "level", "excess"} <= terms.keys()
    assert "bands" not in terms
    counted = torch.ones(1, loop.frames, dtype=torch.bool)
    counted[:, loop.frames // 2 :] = False
    audio = torch.from_numpy(voice(loop.frames * 640, 16000))[None]
    after = audio.clone()
    after[:, loop.frames // 2 * 640 :] *= 30
    assert float(loop._heard(after, audio, counted)["excess"]) == 0
    heard = {
        name: [float(loop._heard(gain * audio, audio, counted)[name]) for gain in (1, 2)]
        for name in ("level", "excess")
    }
    assert heard["level"][1] == pytest.approx(heard["level"][0] + 2 * 0.602, abs=0.02)
    assert heard["excess"][1] > 1
    loop.run(until=2)


def test_vocoder_starts_from_another(speech: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    first = VocoderLoop(vocoder(speech, folders, tmp_path / "a", steps=2))
    first.run()
    start = first.export()
    then = VocoderLoop(vocoder(speech, folders, tmp_path / "b", start_from=start))
    assert then.validate() == pytest.approx(first.validate(), rel=1e-2)
    with pytest.raises(FormatError, match="another shape"):
        VocoderLoop(vocoder(speech, folders, tmp_path / "c", start_from=start, vocoder_depth=1))


def test_vocoder_crops_against_the_slow_way(speech: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    loop = VocoderLoop(vocoder(speech, folders, tmp_path / "run"))
    tok, codec = load(str(folders[0])), load(str(folders[1]))
    audio = loop.clips.read(loop.clips.clips[2])
    codes = tok.encode(audio, 16000).codes[0].numpy()
    units, latents, counted = loop.crop(2, 5, 40)
    expected = [codes[min(m, len(codes) - 1)] for m in range(10, 10 + 80 + 2)]
    assert units[:, 0].tolist() == expected
    few = sum(HARMONIC.parts[:3])
    z = codec.model.dequantize(codec.encode(audio, 16000, num_codebooks=few).codes[None])[0, 5:, : latents.shape[1]]
    assert np.allclose(latents[: len(z)], z.numpy(), atol=2e-3)
    assert counted.tolist() == [False] * 6 + [5 + i < len(z) + 5 for i in range(6, 40)]


def test_run_task_and_what_it_refuses(speech: Path, tmp_path: Path) -> None:
    assert (run_task(student(speech, tmp_path / "run", steps=1)) / "config.json").is_file()
    for given, message in (
        (["task=units", "depht=3"], "unknown key 'depht': did you mean depth"),
        (["task=unit"], "task is 'unit': give units or vocoder"),
        (["codebook=mine"], "codebook is 'mine': give teacher or own"),
    ):
        with pytest.raises(FormatError, match=f"command line: {message}"):
            build_recipe(read_recipe("units-16k", given))
    with pytest.raises(FormatError, match="tokenizer=FOLDER"):
        run_task(recipe("unit-vocoder", speech, tmp_path / "v"))
