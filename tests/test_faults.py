"""The short form of the fault suite: its kinds that need no process of their own. `make faults` tries all."""

import re

import pytest

KINDS = "checkpoint other_runs record read_only methods arguments study_file notebook_parameters image_folders".split()


def test_what_is_damaged_or_at_random_is_named_and_gives_no_wrong_record(python):
    process = python("tests/faults", "--short", "--only", *KINDS)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err[-2000:]
    held = re.findall(r"^ *(\d+) of +(\d+) held in", out, re.M)
    assert len(held) == len(KINDS) and all(one == other != "0" for one, other in held)


@pytest.mark.parametrize(
    ("asked", "said"), [(["--only", "flood"], "invalid choice: 'flood'"), (["--help"], "make faults")]
)
def test_its_command_teaches(python, asked, said):
    out, err = python("tests/faults", *asked).communicate(timeout=60)
    assert said in out + err
