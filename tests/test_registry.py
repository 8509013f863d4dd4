"""Names to objects: own ones from the source tree, others from installed packages, and what is said of unknown ones."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from codectok import registry
from codectok.errors import CodectokError, UnknownNameError

KINDS = registry.kinds()


@pytest.fixture(autouse=True)
def nothing_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_added", {})


def pretend(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str, str, str]) -> None:
    """As if packages were installed that give (package, kind, name, target)."""
    found = registry._by_kind([(EntryPoint(n, t, registry.PREFIX + k), p) for p, k, n, t in points])
    monkeypatch.setattr(registry, "_outside", lambda: found)


@pytest.mark.parametrize("kind", KINDS)
def test_every_own_name_can_be_imported_and_is_found_by_its_own_module(kind: str) -> None:
    for entry in registry.entries(kind):
        thing = entry.load()
        assert thing is not None
        module = getattr(thing, "__module__", None)
        if isinstance(thing, type):  # so that name_of finds it without importing others
            assert entry.target == f"{module}:{thing.__qualname__}"


def test_own_names_come_first_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, ("b", "tokenizers", "zebra", "x:y"), ("a", "tokenizers", "ant", "x:y"))
    names = registry.names("tokenizers")
    assert names[0] == "speech"
    assert names[-2:] == ["zebra", "ant"]


def test_a_name_of_ones_own_is_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, ("thief", "tokenizers", "speech", "json:dumps"))
    assert registry.entry_of("tokenizers", "speech").package == "codectok"
    assert registry.names("tokenizers").count("speech") == 1


def test_two_packages_with_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, ("one", "tokenizers", "x", "json:dumps"), ("two", "tokenizers", "x", "json:dumps"))
    with pytest.raises(CodectokError, match="one and two both give a tokenizer 'x': uninstall one"):
        registry.find("tokenizers", "x")


def test_unknown_names_get_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="no tokenizer 'spech': did you mean speech"):
        registry.find("tokenizers", "spech")
    with pytest.raises(UnknownNameError, match="no codec 'zzz': there are harmonic-codec, "):
        registry.find("codecs", "zzz")
    monkeypatch.setattr(registry, "_own", dict)
    with pytest.raises(UnknownNameError, match="no corpus 'x': there is none"):
        registry.find("corpora", "x")


@pytest.mark.parametrize(("target", "says"), [("no_such_module:f", "it needs no_such_module"), ("json:nope", "nope")])
def test_what_cannot_be_imported_says_what_to_install(target: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, ("theirs", "metrics", "x", f"{target} [more]"))
    with pytest.raises(CodectokError, match=rf"metric 'x' of theirs .*{says}.*pip install 'theirs\[more\]'"):
        registry.find("metrics", "x")


def test_the_decorator_names_things_in_this_process() -> None:
    @registry.register("codecs", "mine")
    class Mine:
        pass

    assert registry.find("codecs", "mine") is Mine
    assert registry.name_of("codecs", Mine) == "mine"
    assert registry.register("codecs", "mine")(Mine) is Mine  # a cell that is run again
    assert registry.names("codecs").count("mine") == 1
    with pytest.raises(CodectokError, match="exists already"):
        registry.register("codecs", "dac-codec")


def test_things_have_their_names_back() -> None:
    from codectok.codec.mimi import MimiCodec

    assert registry.name_of("codecs", MimiCodec) == "mimi-codec"
    with pytest.raises(UnknownNameError, match=r"entry point of the group codectok\.codecs"):
        registry.name_of("codecs", Path)


def test_a_clone_reads_its_own_pyproject_and_an_installation_its_metadata(tmp_path: Path) -> None:
    """The package copied out of the clone, without and with metadata beside it."""
    package = tmp_path / "codectok"
    package.mkdir()
    for name in ("registry.py", "errors.py"):
        (package / name).write_text((Path(registry.__file__).parent / name).read_text())
    (package / "__init__.py").touch()
    code = "from codectok import registry as r; print(r.names('metrics'), r.source_tree() is None)"

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-S", "-c", code]  # without site-packages: nothing else is installed
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    assert "pip install it" in run().stderr
    info = tmp_path / "codectok-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: codectok\nVersion: 9\n")
    (info / "entry_points.txt").write_text("[codectok.metrics]\nold = a:b\n")
    assert run().stdout == "['old'] True\n"
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "codectok"\n[project.entry-points."codectok.metrics"]\nnew = "a:b"\n'
    )
    assert run().stdout == "['new'] False\n"


def test_in_a_clone_a_package_goes_by_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {"tool": {"setuptools": {"package-dir": {"installed_name": "benchmarks"}}}}
    assert registry._moved(tree)("installed_name.tasks:ASR") == "benchmarks.tasks:ASR"
    assert registry._moved(tree)("other.tasks:ASR [x]") == "other.tasks:ASR [x]"
    assert registry._moved({})("installed_name:ASR") == "installed_name:ASR"
    # elsewhere the folder is not to be imported, and an editable installation has the other name
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert registry._moved(tree)("installed_name.tasks:ASR") == "installed_name.tasks:ASR"


def test_the_registry_imports_nothing_heavy() -> None:
    code = "import sys; from codectok import registry; registry.names('tokenizers'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
