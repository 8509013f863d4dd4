"""A model folder that carries code is opened without that code or not at all: nothing asks, nothing runs."""

from __future__ import annotations

import ast
import builtins
import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codectok.errors import CodectokError
from codectok.llm.model.folder import open_model, open_text_tokenizer
from codectok.llm.model.stored_weights import empty_model
from codectok.metrics.judge import WhisperJudge
from codectok.metrics.speaker import XVectorModel
from codectok.units import load_encoder
from tests.import_graph import ROOT

pytest.importorskip("transformers")
AUTO_MAP = {
    name: f"evil.{name}"
    for name in (
        "AutoConfig",
        "AutoModel",
        "AutoModelForCausalLM",
        "AutoModelForAudioXVector",
        "AutoFeatureExtractor",
        "AutoTokenizer",
    )
}
OPENERS: dict[str, Callable[[Path], Any]] = {
    "open_model": open_model,
    "open_text_tokenizer": open_text_tokenizer,
    "empty_model": empty_model,
    "load_encoder": lambda folder: load_encoder(folder, 1),
    "WhisperJudge": WhisperJudge,
    "XVectorModel": XVectorModel,
}


def armed(folder: Path, model_type: str, mark: Path) -> Path:
    """A folder whose every part names a class in ``evil.py``, which writes a file when it is imported."""
    folder.mkdir(exist_ok=True)
    path = folder / "config.json"
    config = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**config, "model_type": model_type, "auto_map": AUTO_MAP}))
    for name, kind in (("tokenizer_config.json", "tokenizer_class"), ("preprocessor_config.json", "processor_class")):
        auto = {**AUTO_MAP, "AutoTokenizer": ["evil.AutoTokenizer", None]}
        (folder / name).write_text(json.dumps({kind: "Evil", "auto_map": auto}))
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass AutoConfig: pass\n")
    (folder / "custom_generate").mkdir(exist_ok=True)
    shutil.copy(folder / "evil.py", folder / "custom_generate/generate.py")
    return folder


@pytest.mark.parametrize("model_type", ["evil", "llama", "hubert", "whisper"])
@pytest.mark.parametrize("opener", OPENERS)
def test_a_folder_with_code_neither_asks_nor_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opener: str, model_type: str
) -> None:
    asked: list[Any] = []

    def answer(*prompt: Any) -> str:
        asked.append(prompt)
        return "y"

    monkeypatch.setattr(builtins, "input", answer)
    folder = armed(tmp_path / "model", model_type, tmp_path / "ran")
    # A type that transformers knows may open with its own class; one that it does not is refused in one error.
    with pytest.raises(CodectokError) if model_type == "evil" else contextlib.suppress(CodectokError):
        OPENERS[opener](folder)
    assert not asked
    assert not (tmp_path / "ran").exists()


def test_every_call_of_an_auto_class_refuses_code() -> None:
    found = 0
    for path in [*(ROOT / "codectok").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = ast.unparse(node.func.value)
            if node.func.attr in ("from_pretrained", "from_config") and owner.startswith("Auto"):
                found += 1
                given = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert given.get("trust_remote_code") == "False", f"{path}:{node.lineno}"
    assert found > 8
