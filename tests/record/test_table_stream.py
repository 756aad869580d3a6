"""A Parquet file in pieces: the same bytes each time, complete or not there."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sim.errors import InputError
from sim.record.table_stream import read_pieces, table_stream

SCHEMA = pa.schema([("n", pa.int64())])


def piece(begin: int, count: int) -> pa.Table:
    return pa.table({"n": list(range(begin, begin + count))}, SCHEMA)


def written(path: Path, sizes: tuple[int, ...]) -> bytes:
    done = 0
    with table_stream(path, SCHEMA) as stream:
        for size in sizes:
            stream.write(piece(done, size))
            done += size
    return path.read_bytes()


def test_pieces_come_back_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.record.table_stream.GROUP_ROWS", 100)
    path = tmp_path / "t.parquet"
    once = written(path, (30, 0, 80, 250, 3))
    assert pq.read_metadata(path).num_row_groups == 6  # 110 in two, 250 in three, 3
    rows = [n for part in read_pieces(path, ["n"]) for n in part.column("n").to_pylist()]
    assert rows == list(range(363))
    assert written(path, (30, 0, 80, 250, 3)) == once
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_without_rows_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    written(path, ())
    assert sum(part.num_rows for part in read_pieces(path, ["n"])) == 0


def test_nothing_is_left_of_a_writer_that_failed(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with table_stream(tmp_path / "t.parquet", SCHEMA) as stream:
            stream.write(piece(0, 10))
            assert len(list(tmp_path.iterdir())) == 1  # under another name
            assert not (tmp_path / "t.parquet").exists()
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="cannot be written"),
        table_stream(tmp_path / "no" / "t.parquet", SCHEMA),
    ):
        pass


def test_a_damaged_file_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    whole = written(path, (1000,))
    with pytest.raises(InputError, match="no column 'm'"):
        list(read_pieces(path, ["n", "m"]))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is damaged"):
        list(read_pieces(path, ["n"]))
