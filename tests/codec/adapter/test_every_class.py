"""Every audio tokenizer that transformers exports is opened, or refused with a reason: a new one fails here."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_AUDIO_TOKENIZATION_NAMES

import codectok
from codectok import FormatError
from codectok.codec.adapter.table import CONTINUOUS, FAMILIES, family_class
from tests.codec.adapter.models import MODELS


@cache
def exported() -> dict[str, ast.ClassDef]:
    """Public model classes of transformers, from its source: importing each would take minutes."""
    found = {}
    for path in sorted((Path(transformers.__file__).parent / "models").glob("*/modeling_*.py")):
        text = path.read_text(encoding="utf-8")
        if "input_values" not in text and "audio" not in text:
            continue
        tree = ast.parse(text)
        public = next((ast.literal_eval(n.value) for n in tree.body if _assigns(n, "__all__")), [])
        found |= {n.name: n for n in tree.body if isinstance(n, ast.ClassDef) and n.name in public}
    return found


def _assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name


def is_tokenizer(node: ast.ClassDef) -> bool:
    """Whether a class encodes audio: by a method ``encode`` of samples, or by its base where it has a forward pass."""
    methods = {m.name: m for m in node.body if isinstance(m, ast.FunctionDef)}
    encode = methods.get("encode")
    of_samples = encode is not None and any("input_values" in a.arg or "audio" in a.arg for a in encode.args.args)
    based = any(isinstance(b, ast.Name) and b.id == "PreTrainedAudioTokenizerBase" for b in node.bases)
    return of_samples or (based and "forward" in methods)


def tokenizers() -> set[str]:
    return {name for name, node in exported().items() if is_tokenizer(node)}


def known() -> set[str]:
    return {family_class(kind, "").model_class for kind in FAMILIES} | set(CONTINUOUS.values())


def test_every_class_is_opened_or_refused() -> None:
    assert len(tokenizers()) >= 10
    assert tokenizers() | set(MODEL_FOR_AUDIO_TOKENIZATION_NAMES.values()) == known()
    assert set(MODEL_FOR_AUDIO_TOKENIZATION_NAMES) <= {*FAMILIES, *CONTINUOUS}
    assert set(MODELS) == set(FAMILIES), "every family has a small model that all tests run over"


def test_a_new_class_would_be_found() -> None:
    new = ast.parse("class NewCodec(NewPreTrainedModel):\n def encode(self, input_values): ...\n").body[0]
    assert isinstance(new, ast.ClassDef)
    assert is_tokenizer(new)


@pytest.mark.parametrize("kind", CONTINUOUS)
def test_what_gives_no_codes_is_called_continuous(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(f'{{"model_type": "{kind}"}}')
    for name in (f"hf:{tmp_path}", str(tmp_path)):
        with pytest.raises(FormatError, match="continuous") as caught:
            codectok.load(name)
        assert "\n" not in str(caught.value)
