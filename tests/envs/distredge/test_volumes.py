"""Tables of layer-volumes: many made in one walk are those that every volume has by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.envs.distredge.volumes import Range, VolumeTables
from splitgym.models.lookup import get_model
from splitgym.models.model import Model, ValueBytes
from splitgym.profiling.tables import modelled_table

from ...models.strategies import models

VALUE_BYTES = ValueBytes(2)


def every(model: Model) -> list[Range]:
    return [(start, stop) for stop in range(1, len(model.units) + 1) for start in range(stop)]


def check(model: Model, ranges: list[Range]) -> None:
    """All that a volume has in tables with others is, to the bit, what it has in tables of its own."""
    tables = [modelled_table(model, device) for device in ("nano", "xavier")]
    together = VolumeTables(model, tables, ranges, VALUE_BYTES)
    for number, (start, stop) in enumerate(ranges):
        alone = VolumeTables(model, tables, [(start, stop)], VALUE_BYTES)
        assert together.index[start, stop] == number
        height, tensors = int(together.height[number]), alone.n_tensors
        assert height == alone.height[0]
        posts = slice(together.post_at[number], together.post_at[number] + height + 1)
        assert np.array_equal(together.rows[:, :tensors, posts], alone.rows)
        assert np.array_equal(together.head_bytes[posts], alone.head_bytes)
        cells = slice(together.cell_at[number], together.cell_at[number] + (height + 1) ** 2)
        assert np.array_equal(together.compute_s[:, cells], alone.compute_s)
        assert np.array_equal(together.row_bytes[number, :tensors], alone.row_bytes[0])
        assert together.out_bytes[number] == alone.out_bytes[0]


@given(data=st.data(), model=models())
@settings(max_examples=30)
def test_volumes_are_the_same_among_any_others(data: st.DataObject, model: Model) -> None:
    check(model, data.draw(st.lists(st.sampled_from(every(model)), min_size=1, max_size=12, unique=True)))


@pytest.mark.parametrize("name", ["vgg11_32", "openpose"])
def test_volumes_of_known_networks_are_the_same_among_others(name: str) -> None:
    model = get_model(name)
    check(model, every(model)[::7])


@given(model=models())
@settings(max_examples=30)
def test_a_part_takes_what_its_rows_of_every_kernel_take(model: Model) -> None:
    table = modelled_table(model, "nano")
    ranges = every(model)
    tables = VolumeTables(model, [table], ranges, VALUE_BYTES)
    for number, (start, stop) in enumerate(ranges):
        volume = model.volume(start, stop)
        posts = slice(tables.post_at[number], tables.post_at[number] + volume.height + 1)
        need_lo, need_hi, hold = tables.rows[:, :, posts]
        assert np.array_equal(need_lo[: len(volume.needs)], volume.need_lo)
        assert np.array_equal(need_hi[: len(volume.needs)], volume.need_hi)
        assert np.array_equal(hold[: len(volume.holds)], volume.hold_post)
        a, b = np.triu_indices(volume.height + 1, 1)
        cell = tables.cell_at[number] + a * (volume.height + 1) + b
        rows = np.maximum(volume.kernel_hi[:, b] - volume.kernel_lo[:, a], 0)
        summed_s = sum(table.seconds[kernel, own] for kernel, own in zip(volume.kernels, rows, strict=True))
        assert tables.compute_s[0, cell] == pytest.approx(summed_s, rel=1e-12)
