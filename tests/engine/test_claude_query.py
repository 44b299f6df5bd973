"""The one SELECT a model may ask: what it reads, and everything it is kept from."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.models import Proposal, Purpose, RunState, State
from core.researchers.claude.query import TABLES, QueryError, select
from core.store import Writer


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    store = Writer(tmp_path / "lab.db")
    for number in range(60):
        proposal = Proposal(f"idea\t{number}\x1b[2J", "h", "r", "optimizer", {}, "claude")
        store.add_experiment(proposal, parent_commit="a" * 40, state=State.PROPOSED)
    run = store.add_run(
        experiment_id=1, purpose=Purpose.CANDIDATE, commit_sha="b" * 40, seed=0, device="cpu", device_class="cpu"
    )
    store.update_run(run, state=RunState.FINISHED, metric=2.5, ended_at=1.0, detail={"audit": "hidden score 1.234"})
    audit = store.add_run(
        experiment_id=None, purpose=Purpose.AUDIT, commit_sha="b" * 40, seed=9, device="cpu", device_class="cpu"
    )
    store.update_run(audit, state=RunState.FINISHED, metric=1.234, ended_at=1.0)
    store.set("notebook", ["a secret of the settings"])
    yield tmp_path / "lab.db"
    store.close()


def test_rows_come_as_lines_with_a_header_and_without_control_characters(database: Path) -> None:
    text = select(database, "SELECT id, title FROM experiments WHERE id < 3 ORDER BY id")
    assert text == "id\ttitle\n1\tidea 0␛[2J\n2\tidea 1␛[2J"


def test_only_so_many_rows_come_back(database: Path) -> None:
    text = select(database, "SELECT id FROM experiments")
    assert len(text.splitlines()) == 52
    assert text.endswith("(more than 50 rows: the rest is left out)")


def test_every_listed_table_and_view_can_be_read(database: Path) -> None:
    for table in TABLES:
        assert select(database, f"SELECT count(*) FROM {table}")
    assert select(database, "WITH best AS (SELECT * FROM leaderboard) SELECT max(metric) FROM best")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM experiments",
        "UPDATE experiments SET title = ''",
        "INSERT INTO events (at, kind) VALUES (1, 'x')",
        "DROP TABLE runs",
        "CREATE TEMP TABLE t (x)",
        "ATTACH '/tmp/other.db' AS other",
        "PRAGMA table_info(runs)",
        "PRAGMA writable_schema = ON",
        "SELECT * FROM settings",
        "SELECT count(*) FROM settings",
        "SELECT count(*) FROM sqlite_master",
        "SELECT value FROM experiments, settings",
        "SELECT * FROM events",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM pragma_database_list",
        "SELECT load_extension('/tmp/x.so')",
        "SELECT * FROM experiments WHERE id IN (SELECT value FROM settings)",
        "VACUUM INTO '/tmp/copy.db'",
        "BEGIN",
        "EXPLAIN SELECT 1; DELETE FROM runs",
        "SELECT 1; SELECT 2",
        "SELECT writefile('/tmp/x', 'y')",
        "SELEC",
        "SELECT \x00",
    ],
)
def test_nothing_else_is_allowed(database: Path, sql: str) -> None:
    before = database.stat().st_size
    with pytest.raises(QueryError) as error:
        select(database, sql)
    assert "secret" not in str(error.value)
    assert database.stat().st_size == before
    assert not Path("/tmp/copy.db").exists()


def test_what_the_evaluator_hides_reads_as_nothing(database: Path) -> None:
    assert "hidden" not in select(database, "SELECT * FROM runs")
    assert select(database, "SELECT detail FROM runs").strip() == "detail"
    assert select(database, "SELECT count(*) AS n FROM runs WHERE detail LIKE '%audit%'") == "n\n0"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM runs",
        "SELECT metric FROM main.runs",
        "SELECT * FROM main.runs",
        "WITH runs AS (SELECT metric FROM main.runs) SELECT * FROM runs",
        "WITH r AS (SELECT metric AS m FROM main.runs) SELECT max(m), min(m), sum(m) FROM r",
        "SELECT (SELECT metric FROM main.runs r WHERE r.id = runs.id) FROM runs",
        "SELECT id FROM main.runs ORDER BY metric",
        "SELECT group_concat(metric) FROM (SELECT metric FROM main.runs UNION SELECT metric FROM runs)",
        "SELECT * FROM leaderboard",
    ],
)
def test_the_score_of_an_audit_is_not_read_by_any_way(database: Path, sql: str) -> None:
    assert "1.234" not in select(database, sql)


def test_what_is_no_audit_is_read_as_it_is(database: Path) -> None:
    text = select(database, "SELECT purpose, metric FROM runs ORDER BY id")
    assert text == "purpose\tmetric\ncandidate\t2.5\naudit\t"
    assert select(database, "SELECT count(*) AS n FROM main.runs WHERE metric < 2") == "n\n0"


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n",
        "SELECT count(*) FROM experiments a, experiments b, experiments c, experiments d, experiments e, experiments f",
        "SELECT length(zeroblob(2000000000))",
        "SELECT hex(randomblob(900000000))",
    ],
)
def test_a_query_without_end_is_ended(database: Path, sql: str) -> None:
    begin = time.monotonic()
    with pytest.raises(QueryError, match=r"longer than|too big"):
        select(database, sql, seconds=0.2)
    assert time.monotonic() - begin < 10
