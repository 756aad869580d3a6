"""A Parquet file that is written in pieces, and is complete or not there.

Rows are kept until they fill a row group, so that memory does not grow with their number. The
file has a temporary name until it is closed; the same rows in the same pieces give the same bytes.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.errors import InputError, Place
from sim.record.store import unwritable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

GROUP_ROWS: Final = 65_536


@contextmanager
def table_stream(path: Path, schema: pa.Schema) -> Iterator[TableStream]:
    """Write one file while the block runs.

    Raises:
        InputError: the disk refuses it.
    """
    stream = TableStream(path, schema)
    try:
        yield stream
        stream.close()
    finally:
        stream.discard()


class TableStream:
    """One file that is being written, of `table_stream`.

    Args:
        path: where it will stand.
        schema: of all pieces.

    Raises:
        InputError: the disk refuses it.
    """

    def __init__(self, path: Path, schema: pa.Schema):
        import pyarrow.parquet as pq

        self.path = path
        self._draft = path.with_name(f".{path.name}.tmp")
        self._waiting: list[pa.Table] = []
        self._rows = 0
        try:
            self._writer = pq.ParquetWriter(self._draft, schema, compression="zstd", version="2.6")
        except OSError as error:
            raise unwritable(path, error) from error

    def write(self, piece: pa.Table) -> None:
        """Add rows.

        Raises:
            InputError: the disk refuses them.
        """
        self._waiting.append(piece)
        self._rows += piece.num_rows
        if self._rows >= GROUP_ROWS:
            try:
                self._flush()
            except OSError as error:
                raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Write what is left; the file stands at its place.

        Raises:
            InputError: the disk refuses it.
        """
        try:
            if self._rows:
                self._flush()
            self._writer.close()
            self._draft.replace(self.path)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def discard(self) -> None:
        """Leave nothing of a file that was not closed."""
        self._writer.close()
        self._draft.unlink(missing_ok=True)

    def _flush(self) -> None:
        import pyarrow as pa

        whole = pa.concat_tables(self._waiting).combine_chunks()
        self._writer.write_table(whole, row_group_size=GROUP_ROWS)
        self._waiting, self._rows = [], 0


def read_pieces(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a file in pieces, in order.

    Raises:
        InputError: it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            missing = set(columns) - set(file.schema_arrow.names)
            if missing:
                raise InputError(
                    f"has no column {min(missing)!r}", "run it again", place=Place(str(path))
                )
            yield from file.iter_batches(GROUP_ROWS, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        what = f"is damaged: {str(error).splitlines()[0]}"
        raise InputError(what, "run it again", place=Place(str(path))) from error
