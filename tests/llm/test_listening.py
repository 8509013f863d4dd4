"""Models that hear: padding, gradients and folders, for every projector and input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from codectok.errors import CodectokError, FormatError
from codectok.llm.continuous.audio_input import AudioInput
from codectok.llm.continuous.heard_audio import collate_heard
from codectok.llm.continuous.listening import ListeningModel
from codectok.llm.continuous.speech_llm import SpeechLLM
from codectok.llm.continuous.speech_model import SpeechModel
from codectok.llm.continuous.speech_model_making import open_speech_model
from tests.llm.hearing_models import OPTIONS, Frames, base_model, heard, speech_model

INPUTS = ("continuous", "quantized", "discrete", "shuffled", "none")
LENGTHS = (9, 4)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_model(tmp_path_factory.mktemp("base") / "llama")


def batch_of(speech: SpeechModel, lengths: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Clips of these lengths with texts of others, padded with what must not be read."""
    torch.manual_seed(0)
    sizes = [5 + n % 3 for n in lengths]
    texts = torch.full((len(lengths), max(sizes)), 7)
    labels = torch.full_like(texts, 9)
    for i, n in enumerate(sizes):
        generator = torch.Generator().manual_seed(lengths[i])
        texts[i, :n] = torch.randint(3, 20, (n,), generator=generator)
        labels[i, :n] = torch.cat([torch.full((2,), -100), texts[i, 2:n]])
    found = {"texts": texts, "labels": labels, "lengths": torch.tensor(sizes)}
    if speech.input.input != "none":
        found |= collate_heard([heard(speech, n) for n in lengths])
    if speech.letters:
        found |= {"transcripts": torch.tensor([[1, 2]] * len(lengths))}
        found["transcript_lengths"] = torch.tensor([2] * len(lengths))
    return found


def spoil_padding(batch: dict[str, torch.Tensor]) -> None:
    for name in [name for name in batch if name.startswith("audio")]:
        for row, n in zip(batch[name], batch[name.replace("audio", "lengths")].tolist(), strict=True):
            row[n:] = 5 if row.dtype == torch.int64 else float("nan")


def total(model: ListeningModel, batch: dict[str, torch.Tensor]) -> float:
    """The loss, not divided by the number of labels, which are the texts but for the two ids of a prompt."""
    return float(model(batch).detach()) * int((batch["lengths"] - 2).sum())


@pytest.mark.parametrize(
    ("input", "projector"), [*((i, "linear") for i in INPUTS), *(("continuous", p) for p in OPTIONS)]
)
def test_a_batch_is_its_clips_one_by_one(base: Path, input: Any, projector: str) -> None:
    speech = speech_model(base, projector, input=input, encoder="a", ctc_weight=0.0)
    with torch.no_grad():  # gates at 0 would hide what the layers read
        for block in getattr(speech.model.reader, "blocks", []):
            block.attention_gate.fill_(1.0)
            block.feedforward_gate.fill_(0.5)
    both = batch_of(speech, LENGTHS)
    spoil_padding(both)
    alone = sum(total(speech.model, batch_of(speech, (n,))) for n in LENGTHS)
    assert total(speech.model, both) == pytest.approx(alone, rel=1e-4)
    clips = [heard(speech, n) for n in LENGTHS]
    answers = speech.answer(clips, max_new_tokens=6)
    if input == "none":
        assert len(answers) == 1
    else:
        assert answers == [speech.answer([clip], max_new_tokens=6)[0] for clip in clips]


@pytest.mark.parametrize("projector", OPTIONS)
def test_gradients_reach_every_part_between_encoder_and_language_model(base: Path, projector: str) -> None:
    speech = speech_model(base, projector, encoder="a")
    for block in getattr(speech.model.reader, "blocks", []):
        torch.nn.init.ones_(block.attention_gate)
        torch.nn.init.ones_(block.feedforward_gate)
    speech.model(batch_of(speech, LENGTHS)).backward()
    parts = speech.model.adapter()
    assert set(parts) == {"join", "blocks" if projector == "xattn" else "projector"}
    still = {
        n for part in parts.values() for n, p in part.named_parameters() if p.grad is None or not bool(p.grad.any())
    }
    # A single key takes all of the attention, so queries of a window of one frame learn nothing; none is that short.
    assert not still


@pytest.mark.parametrize(
    ("input", "projector"), [*((i, "linear") for i in INPUTS), *(("continuous", p) for p in OPTIONS)]
)
def test_a_saved_model_opens_and_says_the_same(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, input: Any, projector: str
) -> None:
    monkeypatch.setattr("codectok.llm.continuous.heard_audio.load", lambda name, device: Frames(f"frames{name}"))
    speech = speech_model(base, projector, input=input, encoder="0")
    with torch.no_grad():
        for part in speech.model.adapter().values():
            for p in part.parameters():
                p.add_(0.05 * torch.randn_like(p))
    speech.model.eval()
    speech.save_pretrained(tmp_path / "saved")
    opened = open_speech_model(tmp_path / "saved")
    batch = batch_of(speech, LENGTHS)
    assert torch.equal(speech.model(batch), opened.model(batch))
    assert speech.answer([heard(speech, 5)], max_new_tokens=8) == opened.answer([heard(speech, 5)], max_new_tokens=8)
    assert opened.input == speech.input


def test_soft_tokens_begin_at_the_scale_of_text(base: Path) -> None:
    speech = speech_model(base, "linear", encoder="a")
    reader, features = speech.model.reader, speech.model.features(collate_heard([heard(speech, 9)]))
    assert isinstance(reader, SpeechLLM)
    assert features is not None
    soft = reader.projector(*features)[0].detach() * reader.gain
    text = speech.model.llm.get_input_embeddings().weight.detach()
    assert float(soft.square().mean().sqrt()) == pytest.approx(float(text.square().mean().sqrt()), rel=1e-4)
    assert reader.gain < 0.5  # as it was drawn, it would have drowned the text


def test_two_encoders_of_different_rates_come_side_by_side(base: Path) -> None:
    speech = speech_model(base, encoder="a+b")
    found = speech.model.features(collate_heard([heard(speech, 12), heard(speech, 6)]))
    assert found is not None
    joined, lengths = found
    assert joined.shape == (2, 12, 12)
    assert lengths.tolist() == [12, 6]
    slow = heard(speech, 12)[1]  # a frame of 30 ms, held until the next begins
    norm = speech.model.join.norms[1]  # type: ignore[union-attr]
    nearest = norm(slow)[torch.arange(12) * 320 // 480]
    assert torch.allclose(joined[0, :, 6:], nearest, atol=1e-6)


def test_a_changed_folder_is_refused(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codectok.llm.continuous.heard_audio.load", lambda name, device: Frames(f"frames{name}"))
    speech_model(base, encoder="0").save_pretrained(tmp_path / "a")
    with pytest.raises(CodectokError, match="learned to hear by encoder print of frames0, frames1 is"):
        open_speech_model(tmp_path / "a", named=["1"])
    (tmp_path / "a/audio_input.safetensors").unlink()
    with pytest.raises(FormatError, match=r"audio_input\.safetensors"):
        open_speech_model(tmp_path / "a")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"projector": "lineer"}, "no projector 'lineer': did you mean linear"),
        ({"prompt": " "}, "prompt is empty"),
        ({"encoder": "a+"}, "encoder 'a\\+'"),
        ({"input": "none", "encoder_train": "lora"}, "encoder_train lora with input none"),
    ],
)
def test_settings_that_cannot_be_meant(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(CodectokError, match=message):
        AudioInput(**wrong)


def test_codes_are_not_asked_of_an_encoder_that_has_none() -> None:
    with pytest.raises(FormatError, match="needs codes, and x@layer=3 has features alone"):
        AudioInput(input="discrete", encoder="x@layer=3").coder  # noqa: B018
    assert AudioInput(input="discrete", encoder="x@layer=3", tokenizer="units").coder == "units"
