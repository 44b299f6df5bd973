"""metrics.jsonl comes from untrusted code: every line may be anything."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.runs.metrics import LINE_LIMIT, MetricsTail, metric_from_log


def tail_of(path: Path, *chunks: bytes) -> tuple[MetricsTail, list[tuple[str, int, float, float]]]:
    tail, points = MetricsTail(path), []
    for chunk in chunks:
        with path.open("ab") as file:
            file.write(chunk)
        points += tail.read()
    return tail, points


def test_a_line_cut_in_the_middle_waits_for_its_end(tmp_path: Path) -> None:
    line = b'{"step": 1, "t": 0.5, "progress": 0.25, "loss": 3.5}\n'
    tail, points = tail_of(tmp_path / "m", line[:20], line[20:])
    assert points == [("loss", 1, 0.5, 3.5)]
    assert (tail.progress, tail.bad_lines) == (0.25, 0)


def test_nan_and_infinity_are_gaps_not_errors(tmp_path: Path) -> None:
    lines = (b"NaN", b"Infinity", b"null", b"1e999")
    text = b"".join(b'{"step": %d, "loss": %s}\n' % pair for pair in enumerate(lines))
    _, points = tail_of(tmp_path / "m", text)
    assert [not math.isfinite(value) for _, _, _, value in points] == [True] * 4


def test_a_line_that_is_too_long_is_skipped_and_the_next_is_read(tmp_path: Path) -> None:
    tail, points = tail_of(tmp_path / "m", b"x" * (LINE_LIMIT * 3), b'yy\n{"step": 2, "loss": 1}\n')
    assert points == [("loss", 2, 0.0, 1.0)]
    assert tail.bad_lines == 1


def test_nonsense_is_counted_and_harms_nothing(tmp_path: Path) -> None:
    bad = [
        b"[]",
        b"{}",
        b'{"step": -1}',
        b'{"step": "x"}',
        b'{"step": 1e400}',
        b"\xff\xfe",
        b'{"step": true}',
        b"[" * 5000,
    ]
    tail, points = tail_of(tmp_path / "m", b"\n".join([*bad, b'{"step": 9, "loss": 2}\n']))
    assert points == [("loss", 9, 0.0, 2.0)]
    assert tail.bad_lines == len(bad)


def test_names_are_limited_in_number_and_in_letters(tmp_path: Path) -> None:
    row = {"step": 1, **{f"n{i}": i for i in range(100)}, "a\x1b[2J": 1, "ok": 2}
    _, points = tail_of(tmp_path / "m", json.dumps(row).encode() + b"\n")
    assert len(points) == 32


def test_a_link_is_not_followed_and_a_cut_file_goes_on(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('{"step": 1, "loss": 1}\n')
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    assert MetricsTail(tmp_path / "link").read() == []
    path = tmp_path / "m"
    tail, _ = tail_of(path, b'{"step": 1, "loss": 1}\n' * 3)
    path.write_bytes(b"")
    assert tail.read() == []
    with path.open("ab") as file:
        file.write(b'{"step": 5, "loss": 1}\n')
    assert [point[1] for point in tail.read()] == [5]


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_are_read_without_an_error(tmp_path_factory: object, chunks: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("m") / "m"  # type: ignore[attr-defined]
    for name, step, t, value in tail_of(path, *chunks)[1]:
        assert isinstance(name, str)
        assert step >= 0
        assert t >= 0
        assert isinstance(value, float)


def test_a_metric_is_found_in_the_forms_that_people_print(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for text, value in [
        ("val_bpb: 1.25\n", 1.25),
        ("METRIC val_bpb=1.5\n", 1.5),
        ('{"val_bpb": 0.75}\n', 0.75),
        ("step 1\rstep 2\rval_bpb: 2e-1\r", 0.2),
        ("val_bpb: 9\nval_bpb: 1.0\n", 1.0),
        ("my_val_bpb: 3\n", None),
        ("val_bpb: soon\n", None),
        ("val_bpb: 1.2\nval_bpb: -inf\n", -math.inf),
    ]:
        log.write_text(text)
        assert metric_from_log(log, "val_bpb") == value, text


@pytest.mark.parametrize("last", ["val_bpb: nan", "METRIC val_bpb=NaN", '{"val_bpb": NaN}'])
def test_a_run_that_diverged_is_not_measured_by_what_it_printed_before(tmp_path: Path, last: str) -> None:
    (tmp_path / "log").write_text(f"val_bpb: 1.5\n{last}\n")
    found = metric_from_log(tmp_path / "log", "val_bpb")
    assert found is not None
    assert math.isnan(found)
