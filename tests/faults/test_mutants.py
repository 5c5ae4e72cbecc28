"""The list of mutants stays true to the code; `make mutants` tries them."""

from __future__ import annotations

import os
import shlex

import pytest

from .mutants import MUTANTS, Mutant
from .mutants.__main__ import ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_a_mutant_takes_out_stands_in_the_code_once(mutant: Mutant) -> None:
    with open(os.path.join(ROOT, mutant.file), encoding="utf-8") as file:
        found = file.read().count(mutant.old)
    assert found == 1, f"the code has changed: mend {mutant.name!r} in tests/faults/mutants/"
    for word in shlex.split(mutant.tests.replace(";", " ")):
        if word.endswith(".py"):
            assert os.path.exists(os.path.join(ROOT, word))


def test_mutants_have_names_of_their_own() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names))
