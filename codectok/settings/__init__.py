"""The one way in which settings are read, checked and explained: recipes, stages and suites.

What may be set is a dataclass: the annotation of a field says which values are allowed (:mod:`codectok.settings.kinds`
has names for ranges), the string under it what it means. Settings are given as flat YAML files and ``key=value``.

>>> from dataclasses import dataclass
>>> from codectok.settings.build import build
>>> from codectok.settings.kinds import Count
>>> from codectok.settings.values import read
>>> @dataclass
... class Run:
...     steps: Count = 10
>>> build(Run, read([], ["steps=20"]))
Run(steps=20)
>>> build(Run, read([], ["step=20"]))
Traceback (most recent call last):
codectok.errors.FormatError: command line: unknown key 'step': did you mean steps?
"""
