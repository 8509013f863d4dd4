"""What a message advises exists: every command, option, extra and prefix in the strings of the four packages."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from codectok import registry
from codectok.cli.main import main
from codectok.opening import _takes

ROOT = Path(__file__).parents[1]
PACKAGES = ("codectok", "train_codec", "kmeans_units", "benchmarks")
PROSE = {"cannot", "knows", "reads", "runs", "that", "wrote"}
"""Words behind the name of the project where it is no command."""
OTHERS = {
    "codectok/files/page_style.py": "CSS",
    "benchmarks/report/html.py": "CSS",
    "benchmarks/report/plots.py": "CSS",
    "benchmarks/runner/provenance.py": "git",
    "benchmarks/studies/rate_distortion/coders.py": "opusenc, speexenc and their like",
    "codectok/metrics/speaker.py": "pip",
}
"""Files whose options are those of something else."""
OWN_PACKAGES = {"distillmos", "resemblyzer", "visqol-python"}
"""That metrics need and no extra brings: their requirements do not go with the others'."""
OWN_PREFIXES = {"llm"}
"""Of probes: ``llm:ARM``."""


@cache
def commands() -> dict[tuple[str, ...], tuple[frozenset[str], str]]:
    """Options of every command by its words, and the file of its function."""
    found: dict[tuple[str, ...], tuple[frozenset[str], str]] = {}

    def walk(command: click.Command, words: tuple[str, ...]) -> None:
        options = {o for p in command.params for o in (*p.opts, *p.secondary_opts) if o.startswith("-")}
        callback = inspect.unwrap(command.callback) if command.callback else walk
        file = Path(callback.__code__.co_filename)
        found[words] = (frozenset(options | {"--help", "-h"}), file.relative_to(ROOT).as_posix())
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                walk(below, (*words, name))

    walk(main, ())
    return found


@cache
def declared(folder: str) -> frozenset[str]:
    """Options that the scripts of a folder declare."""
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            if isinstance(node, ast.Call) and name in ("option", "add_argument"):
                words = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                found.update(part for word in words if word.startswith("-") for part in word.split("/"))
    return frozenset(found)


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of every string but docstrings and an option's old names; what is filled in is ``{}``."""
    inner = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    inner |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    olds = (node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "old")
    inner |= {name for names in olds if isinstance(names, ast.List) for name in names.elts}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inner:
            yield node.lineno, node.value


def wrong_commands(text: str) -> Iterator[str]:
    """Commands that do not exist, and options behind a command that it does not have."""
    for match in re.finditer(r"(?<![\w./-])codectok ((?:[a-z]+ ?)+)([^`():;]*)", text):
        words = tuple(match[1].split())
        if words[0] in PROSE:
            continue
        known = [words[:n] for n in (1, 2) if words[:n] in commands()]
        if not known or (len(known) == 1 and any(len(c) == 2 and c[0] == words[0] for c in commands()) and words[1:]):
            yield f"codectok {' '.join(words[:2])}"
            continue
        behind = re.findall(r"(?<![\w-])--?[a-z][a-z-]*", match[0])
        yield from (f"codectok {' '.join(known[-1])} {o}" for o in behind if o not in commands()[known[-1]][0])


def wrong_options(text: str, file: str) -> Iterator[str]:
    """Options that no command has; in a command's own file, that it does not have."""
    if file in OTHERS:
        return
    own = [options for options, where in commands().values() if where == file]
    known = frozenset().union(*(own or [options for options, _ in commands().values()]))
    if "codectok " in text:  # of the command that is named there, see above
        known = frozenset().union(*(options for options, _ in commands().values()))
    if file.startswith("benchmarks/"):
        known |= declared("benchmarks")
    for option in re.findall(r"(?<![\w{}()-])(--[a-z][a-z-]*[a-z]|-[a-z])(?![\w-])", text):
        if option not in known:
            yield option


def wrong_packages(text: str) -> Iterator[str]:
    """Extras that there are not, and packages to install that are in none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for found in re.findall(r"codectok\[([^\]{]+)\]", text):
        yield from (f"codectok[{name}]" for name in found.split(",") if name not in extras)
    listed = [*project["dependencies"], *(r for requirements in extras.values() for r in requirements)]
    known = OWN_PACKAGES | {re.split(r"[\[<>=!~; ]", r)[0].lower() for r in listed}
    for found in re.findall(r"pip install ([^,:;)]+)", text):
        for word in found.replace("pip install", "").split():
            name = re.split(r"[\[<>=]", word.strip("'\""))[0].lower()
            if re.fullmatch(r"[a-z][\w.-]*", name) and name not in known | {"codectok", "it"}:
                yield f"pip install {name}"


def wrong_prefixes(text: str) -> Iterator[str]:
    """Prefixes, as in km:FOLDER, that no tokenizer has which takes something behind it."""
    for name in re.findall(r"(?<![\w/.:}])([a-z][a-z0-9-]*):(?:<\w+>|[A-Z]{2,}\b)", text):
        known = registry.known("tokenizers", name) and _takes(registry.find("tokenizers", name), "x", device="cpu")
        if not known and name not in OWN_PREFIXES:
            yield f"{name}:"


def wrong(text: str, file: str = "codectok/a.py") -> list[str]:
    # A letter alone is an argument of another program, such as ffmpeg.
    text = (
        ""
        if re.fullmatch(r"-[a-zA-Z](:\w+)?", text)
        else re.sub(r"\b(python|torchrun)( --nproc-per-node N)? -m ", "", text)
    )
    return [*wrong_commands(text), *wrong_options(text, file), *wrong_packages(text), *wrong_prefixes(text)]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_messages_advise_exists(package: str) -> None:
    found, seen = [], 0
    for path in sorted((ROOT / package).rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        for line, text in strings(ast.parse(path.read_text(encoding="utf-8"))):
            seen += 1
            found += [f"{file}:{line} advises {what}" for what in wrong(text, file)]
    assert seen > 100
    assert not found, "\n".join(found)


def test_what_help_advises_exists() -> None:
    for words in commands():
        context = click.Context(main, info_name="codectok")
        command: click.Command = main
        for word in words:
            assert isinstance(command, click.Group)
            below = command.get_command(context, word)
            assert below is not None
            command = below
        assert not wrong(command.help or ""), words


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("not built in; load it as hff:<id>", ["hff:"]),
        ("write encodec:FOLDER or km:FOLDER", ["encodec:"]),
        ("random:ID takes nothing", ["random:"]),
        ("make one with `codectok tokenise`", ["codectok tokenise"]),
        ("train one (codectok units train)", ["codectok units train"]),
        ("use codectok convert {} -o OUT --labels MANIFEST; this codectok reads 2", []),
        ("(codectok merge --labels)", ["codectok merge --labels"]),
        ("choose another -o, or give --overrite", ["--overrite"]),
        ("sklearn is missing: pip install 'codectok[unit]'", ["codectok[unit]"]),
        ("pip install torch-audio", ["pip install torch-audio"]),
        ("pip install 'visqol-python[lattice]'", []),
        ("pip install --no-deps resemblyzer && pip install librosa webrtcvad-wheels", []),
    ],
)
def test_bad_advice_is_found(text: str, what: list[str]) -> None:
    assert wrong(text, "codectok/metrics/speaker.py" if "no-deps" in text else "codectok/a.py") == what


def test_the_lists_of_exceptions_are_needed() -> None:
    every = {
        path.relative_to(ROOT).as_posix(): [t for _, t in strings(ast.parse(path.read_text(encoding="utf-8")))]
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    everything = "\n".join(text for texts in every.values() for text in texts)
    assert all(re.search(rf"\bcodectok {word}\b", everything) for word in PROSE)
    assert all(any("--" in text or "-C" in text for text in every[file]) for file in OTHERS)
    assert all(f"pip install {name}" in everything.replace("'", "").replace("--no-deps ", "") for name in OWN_PACKAGES)
