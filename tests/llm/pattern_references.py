"""Slow, obvious arrangements, one code at a time: what the patterns' index tables are compared with."""

from __future__ import annotations

from codectok.llm.patterns import (
    Cell,
    CoarseFirst,
    Delay,
    Flatten,
    Grouped,
    MultiRate,
    PartialFlatten,
    Pattern,
    Sections,
)

START, BLANK, END, PAD = (int(c) for c in (Cell.START, Cell.BLANK, Cell.END, Cell.PAD))
Rows = list[list[int]]


def columns_to_rows(columns: Rows, streams: int) -> Rows:
    return [[column[s] for column in columns] for s in range(streams)]


def delay(p: Delay, codes: Rows) -> Rows:
    late = list(p.delays) if p.delays is not None else list(range(len(codes)))
    rows = [[START] * (p.lead + d) + row + [END] * p.ends for d, row in zip(late, codes, strict=True)]
    if p.tail == "truncate":
        return [row[: p.lead + len(codes[0])] for row in rows]
    longest = max(len(row) for row in rows)
    return [row + [PAD] * (longest - len(row)) for row in rows]


def flatten(p: Flatten, codes: Rows) -> Rows:
    return [[codes[k][t] for t in range(len(codes[0])) for k in (p.order or range(len(codes)))]]


def multirate(p: MultiRate, codes: Rows) -> Rows:
    return [[row[t] for t in range(len(codes[0])) for row in codes]]


def partial(p: PartialFlatten, codes: Rows) -> Rows:
    frames, late = len(codes[0]), p.delays or (0,) * len(codes)
    turns = sorted({(turn, d) for turn, d in zip(p.flattening, late, strict=True)})
    said = [(t + d, t, turn) for turn, d in turns for t in range(frames + max(late) - d)]
    columns = [[START] * len(codes)] * p.lead
    for _, t, turn in sorted(said):
        column = [BLANK] * len(codes)
        for k in range(len(codes)):
            if p.flattening[k] == turn:
                column[k] = codes[k][t] if t < frames else PAD
        columns.append(column)
    return columns_to_rows(columns, len(codes))


def sections(p: Sections, codes: Rows) -> Rows:
    out = []
    for group in p.groups or [(k,) for k in range(len(codes))]:
        for t in range(len(codes[0])):
            out += [codes[k][t] for k in group]
        out += [END] * p.ends
    return [out]


def coarse_first(p: CoarseFirst, codes: Rows) -> Rows:
    rest = codes[1:]
    first = [START] * p.lead + codes[0] + [END] * p.ends
    if not rest:
        return [first]
    after = delay(Delay(p.delays if p.delays is not None else (0,) * len(rest), ends=p.ends), rest)
    ahead = [START] * p.lead + [BLANK] * (len(first) - p.lead)
    return [first + [BLANK] * len(after[0])] + [ahead + row for row in after]


def grouped(p: Grouped, codes: Rows) -> Rows:
    frames = len(codes[0])
    columns = []
    for begin in range(0, frames + p.ends, p.group):
        column = []
        for t in range(begin, begin + p.group):
            for row in codes:
                column.append(row[t] if t < frames else END if p.ends and t == frames else PAD)
        columns.append(column)
    return columns_to_rows(columns, p.group * len(codes))


REFERENCES = {
    Delay: delay,
    Flatten: flatten,
    MultiRate: multirate,
    PartialFlatten: partial,
    Sections: sections,
    CoarseFirst: coarse_first,
    Grouped: grouped,
}


def reference(pattern: Pattern, codes: Rows) -> Rows:
    return REFERENCES[type(pattern)](pattern, codes)  # type: ignore[operator]
