"""Every command says in one line, before any work, which extra it lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from codectok.errors import MissingPackageError
from codectok.extras import need

RUN = """
import sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None
sys.argv = ["codectok", *sys.argv[2:]]
from codectok.__main__ import run
run()
"""
COMMANDS = {
    "llm extend MODEL -o OUT": ("llm", "transformers", "tokenizers"),
    "llm verify MODEL": ("llm", "transformers"),
    "llm generate MODEL": ("llm", "transformers"),
    "llm train MODEL MODEL STAGES -o OUT": ("llm", "accelerate", "datasets", "peft"),
    "train tiny data=MODEL out=OUT": ("train", "accelerate"),
    "train tiny data=MODEL out=OUT tensorboard=true": ("train", "tensorboard"),
    "plot MODEL": ("train", "matplotlib"),
    "units fit logmel.yaml -o OUT": ("units", "faiss", "threadpoolctl"),
    "units fit logmel.yaml -o OUT backend=sklearn": ("units", "sklearn"),
    "units fit hubert-base encoder=MODEL data=AUDIO -o OUT": ("units", "transformers"),
    "units score random AUDIO --align": ("bench", "pocketsphinx"),
    "units score random AUDIO --plot OUT/x.png": ("bench", "matplotlib"),
    "bench run mini-quick -o OUT": ("bench", "scipy"),
    "bench run mini-quick -o OUT --judge MODEL": ("bench", "transformers"),
    "bench report MODEL": ("bench", "scipy"),
    "bench compare MODEL MODEL": ("bench", "scipy"),
    "tokenize AUDIO -o OUT": ("scale", "pyarrow"),
    "tokenize AUDIO -o OUT --engine ray": ("scale", "ray"),
    "corpus segment AUDIO -o OUT/x.jsonl --max 9 --vad": ("scale", "webrtcvad"),
}
"""A command: the extra that it says is missing, and the packages that it can be missing for."""


@pytest.mark.parametrize("command", COMMANDS)
def test_one_line_names_the_extra(command: str, tmp_path: Path) -> None:
    extra, *packages = COMMANDS[command]
    (tmp_path / "audio").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text('{"model_type": "hubert"}')
    (tmp_path / "logmel.yaml").write_text(f"encoder: logmel\nlayer: 0\nk: 8\ndata: {tmp_path / 'audio'}\n")
    (tmp_path / "stages.yaml").write_text("stages:\n- {trainable: lora, steps: 1, learning_rate: 1.0}\n")
    names = {"MODEL": "model", "AUDIO": "audio", "OUT": "out", "STAGES": "stages.yaml", "logmel.yaml": "logmel.yaml"}
    words = command
    for name, file in names.items():
        words = words.replace(name, str(tmp_path / file))
    for package in packages:
        done = subprocess.run([sys.executable, "-c", RUN, package, *words.split()], capture_output=True, text=True)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("Error: ")
        assert package in done.stderr
        assert f"pip install 'codectok[{extra}]'" in done.stderr
        assert not list(tmp_path.glob("out/*")), "nothing is written"


def test_need_says_all_that_is_missing() -> None:
    need("this needs", "llm", "numpy", "json")
    with pytest.raises(MissingPackageError) as caught:
        need("this needs", "llm", "numpy", "no_such", "nor_this", otherwise="leave it out")
    assert str(caught.value) == "this needs no_such and nor_this: pip install 'codectok[llm]', or leave it out"
    assert (caught.value.package, caught.value.extra) == ("no_such", "llm")
