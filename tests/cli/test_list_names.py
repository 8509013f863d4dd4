"""``codectok info --list KIND``."""

import json
from importlib.metadata import EntryPoint

import pytest
from click.testing import CliRunner

from codectok import registry
from codectok.cli import listing
from codectok.cli.main import main
from codectok.cli.source_help import source_help
from codectok.metrics import Metric


def run(*args):
    return CliRunner().invoke(main, ["info", *args])


@pytest.mark.parametrize("kind", registry.kinds())
def test_every_name_of_every_kind_says_what_it_is(kind):
    rows = json.loads(run("--list", kind, "--json").stdout)
    assert [row["name"] for row in rows] == registry.names(kind)
    assert all(row["what"] and row["from"] for row in rows), [r for r in rows if not r["what"]]
    text = run("--list", kind).stdout
    assert all(f"  {row['name']} " in text and row["what"] in text for row in rows)


def test_names_and_lines_are_whole_off_a_terminal(monkeypatch):
    name = "a-name-" + "x" * 300
    found = registry._by_kind([(EntryPoint(name, "json:dumps", "codectok.codecs"), "their-package")])
    monkeypatch.setattr(registry, "_outside", lambda: found)
    lines = run("--list", "codecs").stdout.splitlines()
    assert next(line for line in lines if name in line).split()[:2] == [name, "their-package"]
    assert any(source_help("json:dumps") in line for line in lines)


def test_what_is_missing_and_how_to_get_it(monkeypatch):
    def nowhere(name):
        raise listing.PackageNotFoundError(name)

    listing._missing.cache_clear()
    monkeypatch.setattr(listing, "version", nowhere)
    row = next(r for r in json.loads(run("--list", "tokenizers", "--json").stdout) if r["name"] == "km")
    assert "transformers" in row["missing"]
    assert row["needs"].startswith("pip install 'codectok[units]' (lacks ")
    assert "pip install 'codectok[units]' (lacks " in run("--list", "tokenizers").stdout
    monkeypatch.undo()
    listing._missing.cache_clear()
    assert run("--list", "tokenizers").stdout.count("pip install") == 0


def test_extras_that_name_extras_are_followed(monkeypatch):
    listing._missing.cache_clear()
    tree = {"project": {"optional-dependencies": {"all": ["codectok[some]", "numpy"], "some": ["no-such-package>=1"]}}}
    monkeypatch.setattr(registry, "source_tree", lambda: tree)
    entry = registry.Entry("x", "y", "a:b", "codectok", ("all",))
    assert listing.needs_of(entry) == ("pip install 'codectok[all]' (lacks no-such-package)", ["no-such-package"])
    listing._missing.cache_clear()


def test_a_metric_says_itself_what_it_needs(monkeypatch):
    metric = Metric(
        "m", "M", None, "", True, "", install="pip install --no-deps nowhere-to-be-had && pip install numpy"
    )
    monkeypatch.setattr(registry, "_added", {})
    registry.register("metrics", "m")(metric)
    line = next(line for line in run("--list", "metrics").stdout.splitlines() if "nowhere" in line)
    assert line.split() == f"m this process {metric.install} (lacks nowhere-to-be-had) a Metric".split()


def test_a_broken_package_does_not_hide_the_others(monkeypatch):
    found = registry._by_kind([(EntryPoint("theirs", "no_such_module:x", "codectok.metrics"), "their-package")])
    monkeypatch.setattr(registry, "_outside", lambda: found)
    text = run("--list", "metrics").stdout
    assert "pesq" in text
    assert "it needs no_such_module (pip install 'their-package')" in text


def test_an_unknown_kind():
    result = run("--list", "tokenisers")
    assert result.exit_code == 2
    assert result.stderr == "Error: no kind 'tokenisers': did you mean tokenizers?\n"


def test_the_docstring_of_a_variable_is_the_string_after_it(tmp_path, monkeypatch):
    (tmp_path / "some_module_of_a_test.py").write_text('"""M."""\nA: int = 1\n"""What ``A`` is.\n\nMore."""\nB = 2\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert source_help("some_module_of_a_test:A") == "What A is."
    assert source_help("some_module_of_a_test:B") == "M."
