"""The files beside a record: whatever happens to their bytes, they are read or named."""

import numpy as np
import pytest
import torch
from conftest import any_byte_altered

from skdcore import state
from skdcore.errors import Damaged

KINDS = {
    "tensors": (state.save, state.load, {"a": torch.arange(3.0), "b": torch.ones(2, dtype=torch.int64)}),
    "arrays": (state.save_arrays, state.load_arrays, {"a": np.arange(3.0), "b": np.ones(2, int)}),
}


@pytest.mark.parametrize(("save", "load", "content"), KINDS.values(), ids=KINDS)
def test_a_file_with_any_byte_altered_is_read_or_named(tmp_path, save, load, content):
    save(content, file := tmp_path / "x")
    assert load(file).keys() == content.keys()
    any_byte_altered(file, load)


@pytest.mark.parametrize(("save", "load", "content"), KINDS.values(), ids=KINDS)
def test_a_file_cut_off_anywhere_is_named(tmp_path, save, load, content):
    save(content, file := tmp_path / "x")
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(Damaged, match="x: damaged"):
            load(file)
