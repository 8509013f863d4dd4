"""What the report says in words: what was run, and how to read it."""

from __future__ import annotations

from codectok.errors import FormatError
from codectok.settings.values import read

from .book import Book
from .facts import duration

READ = (
    "Every input of a task gets the same probe, training clips, steps and learning-rate sweep. The figures say what "
    "*this* probe reads from an input with *this* budget, not all that is in it: a larger probe or more data can turn "
    "the order of two inputs. Compare within a column, not across suites.",
    "± is an interval of 95 %. Over seeds it tells how much a repeated training would move the mean (with three seeds "
    "the factor of Student's t is 4.3 / √3, so it is wide); it says nothing of other test clips. Over clips it is "
    "the other way round. Clips of one speaker are not independent, so intervals and tests over clips are narrower "
    "than they would be over speakers.",
    "★ and ≈ come from paired tests on the same clips, each with the mean of its seeds: sign-flip permutation "
    "for means, paired bootstrap for corpus-level rates such as WER, Holm's correction over all pairs of the column "
    "(floors and ceilings left out). "
    "≈ means that these clips cannot tell the two apart, not that they are equal. Metrics that are no sum over "
    "clips (EER, F1) have no such test, and only their best is marked.",
    "Floors: random codes are drawn anew for each clip and tell nothing of it; "
    "a probe trained on shuffled labels hears everything and can "
    "learn nothing; the chance interval holds 95 % of the scores of guessers that know the labels' frequencies. "
    "A figure within it (°) shows nothing. Ceilings: the clips themselves and 8-bit PCM, where sound is made.",
    "N.C.: not computed, for the reason in the footnote (a package, folder or program is missing, or the input has no "
    "way to do it). failed: it was tried and broke. Neither is a number, and neither enters a mean or a rank. A clip "
    "that cannot be scored is counted as failed beside n, and is not in the figure.",
    "kbit/s are nominal; the entropy bitrate, where it is measured, is what an ideal coder of single codes would need, "
    "by their counts in the test clips (a little too low where these are few).",
)


def title(book: Book) -> str:
    """Of the report."""
    suites = list(dict.fromkeys(r["suite"] for r in book.rows))
    return f"codectok bench: {', '.join(suites) or 'no rows'}"


def about(book: Book) -> str:
    """The suite's own line, where its file is there."""
    try:
        return str(read([str(book.folder / "suite.yaml")], [], noun="suite").plain.get("about") or "")
    except FormatError:
        return ""


def counts(book: Book) -> str:
    """How many cells there are, and what became of them."""
    status = [r["status"] for r in book.rows]
    tasks = len({(r["task"], r["dataset"]) for r in book.rows})
    inputs = len({r["input"]["spec"] for r in book.rows})
    seeds = len({r["seed"] for r in book.rows})
    total = sum(r["cost"].get("wall_seconds") or 0.0 for r in book.rows)
    parts = [f"{len(status)} cells", _many(tasks, "task"), _many(inputs, "input"), _many(seeds, "seed")]
    ends = [f"{status.count('done')} done", f"{status.count('failed')} failed", f"{status.count('nc')} not computed"]
    return f"{', '.join(parts)}. {', '.join(ends)}. {duration(total)} of computing."


def missing(book: Book) -> list[str]:
    """Each reason for which cells have no score, with those cells."""
    found: dict[str, list[str]] = {}
    for group in book.groups:
        for reason in group.reasons:
            name = " ".join(p for p in (group.task, group.probe, group.system.label, *group.place) if p)
            found.setdefault(reason, []).append(name)
    return [f"{reason} ({'; '.join(names)})" for reason, names in found.items()]


def notes(book: Book) -> list[str]:
    """What must be known of the data and the fits before a figure is believed."""
    found = [f"{r['dataset']}: {r['data']['note']}." for r in book.rows if r.get("data", {}).get("note")]
    found += [f"{r['notes']['fitted']}." for r in book.rows if r["notes"].get("fitted")]
    for row in book.rows:
        words = row["input"]["fitted_on"]
        if words not in ("nothing", ""):
            found.append(f"{row['input']['tokenizer'] or row['input']['label']} was fitted on: {words}.")
    return list(dict.fromkeys(found))


def _many(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' if n != 1 else ''}"
