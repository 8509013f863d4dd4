"""A manifest of audio to a model that hears, by command: train, generate, and every refusal in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.commands import refused, run
from tests.llm.hearing_models import OPTIONS, base_model, clips, encoder_folder

STAGES = "stages=[{trainable: all, steps: 150, learning_rate: 1e-2}]"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model, an encoder, and clips of two tones."""
    root = tmp_path_factory.mktemp("hearing")
    base_model(root / "llama")
    encoder_folder(root / "hubert")
    clips(root / "clips")
    return root


def train(there: Path, out: Path, *settings: object, stages: str = STAGES) -> str:
    base = ("llm", "train", there / "clips/clips.tsv", there / "llama", stages, "batch=6", "target=keyword")
    result = run(*base, *settings, "-o", out)
    assert result.exit_code == 0, result.output
    return result.stderr


def answers(folder: Path, there: Path, *more: object) -> list[str]:
    result = run("llm", "generate", folder, "--audio", there / "clips", "--max-tokens", 8, *more)
    assert result.exit_code == 0, result.output
    return [line.split("\t")[1] for line in result.stdout.splitlines()]


def test_keywords_are_learned_from_sound_and_without_it_they_are_not(there: Path, tmp_path: Path) -> None:
    words = ["stop", "go"] * 3
    layer = "encoder=logmel@layer=0"
    train(there, tmp_path / "continuous", "input=continuous", layer, "projector=mlp")
    assert answers(tmp_path / "continuous", there) == words
    assert run("llm", "generate", tmp_path / "continuous", "--audio", there / "clips/1.wav").stdout == "go\n"
    for other in ("discrete", "quantized"):
        train(there, tmp_path / other, f"input={other}", layer, "tokenizer=units")
        assert answers(tmp_path / other, there) == words, other
    train(there, tmp_path / "none", "input=none", layer)
    assert run("llm", "generate", tmp_path / "none").stdout.strip() in {"stop", "go"}
    train(there, tmp_path / "shuffled", "input=shuffled", layer, "projector=mlp")
    assert answers(tmp_path / "shuffled", there) != words  # it learned what the audio of others is called
    logs = [[json.loads(line) for line in (tmp_path / name / "run/log.jsonl").read_text().splitlines()]
            for name in ("continuous", "discrete", "quantized", "none", "shuffled")]  # fmt: skip
    assert len({tuple((row["step"], row["learning_rate"]) for row in log) for log in logs}) == 1


@pytest.mark.parametrize("projector", OPTIONS)
def test_every_projector_by_command(there: Path, tmp_path: Path, projector: str) -> None:
    options = f"projector_options={json.dumps(OPTIONS[projector])}"
    stages = "stages=[{trainable: adapter, steps: 2, learning_rate: 1e-3}, {trainable: adapter+lora, steps: 2, " \
             "learning_rate: 1e-3}]"  # fmt: skip
    given = ("input=continuous", "encoder=logmel", f"projector={projector}", options, "lora_rank=2")
    train(there, tmp_path / "out", *given, stages=stages)
    assert len(answers(tmp_path / "out", there)) == 6
    saved = json.loads((tmp_path / "out/audio_input.json").read_text())
    assert saved["projector"] == projector
    assert saved["letters"] == (" aeglopst" if projector == "ctc" else "")


def test_features_are_computed_once_for_all_runs_that_share_a_folder(there: Path, tmp_path: Path) -> None:
    short = "stages=[{trainable: adapter, steps: 1, learning_rate: 1e-3}]"
    both = f"encoder={there / 'hubert'}@layer=1+logmel"
    cache = f"cache={tmp_path / 'cache'}"
    said = train(there, tmp_path / "a", "input=continuous", both, cache, stages=short)
    assert "features of 6 clips: 12 made, 0 were there" in said
    files = sorted((tmp_path / "cache").rglob("*.npy"))
    assert len(files) == 12
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".npy"]
    said = train(there, tmp_path / "b", "input=shuffled", both, cache, stages=short)
    assert "features of 6 clips: 0 made, 12 were there" in said
    other = f"encoder={there / 'hubert'}@layer=2+logmel"  # another layer, and the other encoder as before
    assert "6 made, 6 were there" in train(there, tmp_path / "c", "input=continuous", other, cache, stages=short)
    assert len(answers(tmp_path / "c", there)) == 6


@pytest.mark.parametrize("how", ["lora", "full"])
def test_an_encoder_that_is_trained_is_saved_with_the_model(there: Path, tmp_path: Path, how: str) -> None:
    from safetensors.torch import load_file

    layer = f"encoder={there / 'hubert'}@layer=2"
    said = train(there, tmp_path / "out", "input=continuous", layer, f"encoder_train={how}", "lora_rank=2",
                 stages="stages=[{trainable: all, steps: 80, learning_rate: 1e-2}]")  # fmt: skip
    assert "features of" not in said
    names = [name for name in load_file(tmp_path / "out/audio_input.safetensors") if name.startswith("encoder0.")]
    assert names
    assert all("lora_" in name for name in names) is (how == "lora")
    assert set(answers(tmp_path / "out", there)) <= {"stop", "go"}


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    from codectok.llm.training.audio_run import AudioStageRun

    stages = "stages=[{trainable: adapter, steps: 3, learning_rate: 1e-2}, {trainable: all, steps: 3, " \
             "learning_rate: 1e-2}]"  # fmt: skip
    begin = AudioStageRun.begin

    def broken(self: AudioStageRun, *args: object) -> object:
        if self.index == 1:
            raise RuntimeError("the power went")
        return begin(self, *args)  # type: ignore[arg-type]

    for given in ("input=continuous", "input=discrete"):
        same = (given, "encoder=units", "projector=conv", "projector_options={strides: [2]}")
        whole, halved = tmp_path / f"{given}-whole", tmp_path / f"{given}-halved"
        train(there, whole, *same, stages=stages)
        with monkeypatch.context() as patch:
            patch.setattr(AudioStageRun, "begin", broken)
            base = ("llm", "train", there / "clips/clips.tsv", there / "llama", stages, "batch=6", "target=keyword")
            assert isinstance(run(*base, *same, "-o", halved).exception, RuntimeError)
        assert (halved / "run/stage-1").is_dir()
        train(there, halved, *same, stages=stages)
        for file in ("model.safetensors", *(["projector/model.safetensors"] if given == "input=continuous" else [])):
            one, two = load_file(whole / file), load_file(halved / file)
            assert one.keys() == two.keys()
            assert all(bool((one[name] == two[name]).all()) for name in one), file


def test_clips_that_cannot_be_read_are_left_out_and_named(there: Path, tmp_path: Path) -> None:
    shutil.copytree(there / "clips", tmp_path / "clips")
    (tmp_path / "clips/2.wav").write_bytes(b"no audio")
    (tmp_path / "llama").symlink_to(there / "llama")
    short = "stages=[{trainable: all, steps: 1, learning_rate: 1e-3}]"
    said = train(tmp_path, tmp_path / "out", "input=continuous", "encoder=logmel", stages=short)
    assert "left out 2: " in said
    assert "features of 5 clips" in said
    assert "left out 2: " in train(tmp_path, tmp_path / "none", "input=none", stages=short)


def test_low_rank_updates_without_peft_are_refused_before_any_work(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codectok.extras._is_there", lambda name: name != "peft")
    base = ("llm", "train", there / "clips/clips.tsv", there / "llama", STAGES, "input=continuous")
    line = refused(*base, f"encoder={there / 'hubert'}@layer=1", "encoder_train=lora", "-o", tmp_path / "out")
    assert "codectok llm train needs peft: pip install 'codectok[llm]'" in line
    assert not (tmp_path / "out").exists()


def test_a_language_model_is_stored_as_it_came(there: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    from tests.llm.tiny_models import folder

    folder(tmp_path / "llama", dtype=torch.bfloat16)
    (tmp_path / "clips").symlink_to(there / "clips")
    short = "stages=[{trainable: all, steps: 1, learning_rate: 1e-3}]"
    train(tmp_path, tmp_path / "out", "input=continuous", "encoder=logmel", stages=short)
    assert {t.dtype for t in load_file(tmp_path / "out/model.safetensors").values()} == {torch.bfloat16}
    assert len(answers(tmp_path / "out", there)) == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["input=continous"], "input"),
        (["input=continuous", "encodr=units"], "unknown key 'encodr': did you mean encoder?"),
        (["input=continuous", "encoder=./nowhere@layer=1"], "./nowhere is no readable model folder or hub id"),
        (["input=continuous", "encoder=HUBERT@layer=9"], "give 0 to 3"),
        (["input=continuous", "encoder=HUBERT@layer=first"], "write NAME@layer=L"),
        (["input=continuous", "projector=mlpp"], "no projector 'mlpp'"),
        (["input=continuous", "encoder=logmel", "projector_options={depth: 2}"], "depth"),
        (["input=continuous", "encoder=logmel", "projector=xattn", "projector_options={depth: 2}"], "xattn has every"),
        (["input=discrete", "encoder=HUBERT@layer=1"], "name a tokenizer beside it"),
        (["input=quantized", "encoder=pcm"], "pcm"),
        (
            ["input=continuous", "projector=ctc", "transcripts=words"],
            "projector ctc learns from transcripts, and 6 of 6",
        ),
        (["input=continuous", "target=label"], "its labels are keyword, text"),
        (["input=continuous", "encoder=units", "encoder_train=lora"], "units-1 cannot be trained here"),
        (["input=none", "STAGE=new-rows"], "only discrete input has new rows"),
        (["input=continuous", "encoder=logmel", "MODEL=./nowhere"], "no text tokenizer in ./nowhere"),
        ([], "of a manifest of audio, give input=... too"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    there: Path, tmp_path: Path, settings: list[str], message: str
) -> None:
    part = next((s.partition("=")[2] for s in settings if s.startswith("STAGE=")), "adapter")
    model = next((s.partition("=")[2] for s in settings if s.startswith("MODEL=")), str(there / "llama"))
    given = [
        s.replace("HUBERT", str(there / "hubert")) for s in settings if s.partition("=")[0] not in ("STAGE", "MODEL")
    ]
    if not any(s.startswith("target=") for s in given) and given:
        given.append("target=keyword")
    stages = f"stages=[{{trainable: {part}, steps: 1, learning_rate: 1e-3}}]"
    line = refused("llm", "train", there / "clips/clips.tsv", model, stages, *given, "-o", tmp_path / "out")
    assert message in line
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_generation_is_refused_with_another_encoder_or_with_what_it_has_no_use_for(there: Path, tmp_path: Path) -> None:
    short = "stages=[{trainable: adapter, steps: 1, learning_rate: 1e-3}]"
    shutil.copytree(there / "hubert", tmp_path / "hubert")
    out, clip = tmp_path / "out", there / "clips/0.wav"
    train(there, out, "input=continuous", f"encoder={tmp_path / 'hubert'}@layer=1", stages=short)
    assert "give --audio FILE" in refused("llm", "generate", out)
    assert "--task is for models with audio tokens" in refused("llm", "generate", out, "--audio", clip, "--task", "asr")
    moved = ("--tokenizer", f"{there / 'hubert'}@layer=1")
    assert run("llm", "generate", out, "--audio", clip, *moved).exit_code == 0
    wrong = ("--tokenizer", f"{there / 'hubert'}@layer=2")
    assert "learned to hear by encoder" in refused("llm", "generate", out, "--audio", clip, *wrong)
    encoder_folder(tmp_path / "other", "wavlm-base")
    shutil.rmtree(tmp_path / "hubert")
    (tmp_path / "other").rename(tmp_path / "hubert")
    assert "learned to hear by encoder" in refused("llm", "generate", out, "--audio", clip)


def test_explain_shows_the_settings_of_both(there: Path) -> None:
    result = run(
        "llm", "train", there / "clips/clips.tsv", there / "llama", STAGES, "input=continuous", "--explain", "--json"
    )
    rows = {row["key"]: row for row in json.loads(result.stdout)}
    assert rows["projector"]["value"] == "linear"
    assert rows["input"]["from"] == "command line"
    assert "gated cross-attention" in rows["projector"]["meaning"]
