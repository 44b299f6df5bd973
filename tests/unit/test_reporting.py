"""A lab's report: what it claims, what it leaves out, and that no text in it is more than text."""

from __future__ import annotations

import html.parser
import re
from pathlib import Path
from typing import Any

import pytest

from core.errors import LabError
from core.lab import Lab
from core.models import Verdict
from core.reporting import Report, gather, record_of, write
from core.reporting.claims import agreements
from core.reporting.html import page
from core.reporting.markdown import document
from core.reporting.picture import NAMES, picture
from core.reporting.plot import png, svg
from core.reporting.provenance import shown_config
from core.reporting.words import headline, summary
from core.text import invisible
from tests.unit.report_lab import HOSTILE, KIND, Session, record
from tui.cli import run
from tui.commands.frame import EXIT_WRONG

HELPS, HARMS = -0.012, 0.012


def report_of(lab: Lab) -> Report:
    reader = record_of(lab)
    try:
        return gather(lab, reader, now=1_790_100_000.0)
    finally:
        reader.close()


def session(root: Path, *effects: float) -> Session:
    made = Session(root / "lab")
    made.begin()
    for number, effect in enumerate(effects, 1):
        made.tries(f"idea {number}", effect)
    return made


class Page(html.parser.HTMLParser):
    """What a browser would make of a page: tags, attributes, text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


# ---- the claim -----------------------------------------------------------------------------------------------------


def test_the_claim_rests_on_runs_that_chose_nothing(tmp_path: Path) -> None:
    made = session(tmp_path, HELPS, HARMS, HELPS, HARMS)
    report = report_of(made.lab)
    claim = report.claim
    assert (claim.keeps, claim.by_hand, claim.direct) == (2, 0, True)
    assert claim.delta == pytest.approx(2 * HELPS, abs=0.006)
    assert claim.low is not None
    assert claim.high is not None
    assert claim.delta is not None
    assert claim.low < claim.delta < claim.high < 0
    own = made.champion_runs[made.champion]
    assert claim.champion == pytest.approx(sum(own.values()) / len(own))
    assert "none of which chose it" in " ".join(summary(report))


def test_what_was_kept_leads_the_right_way_in_the_picture_whatever_the_seeds(tmp_path: Path) -> None:
    made = session(tmp_path, HELPS, HARMS, HELPS, HARMS)
    made.store.db.execute(
        "UPDATE runs SET metric = metric + 0.02 WHERE experiment_id IS NULL AND commit_sha != ?", ["0" * 40]
    )
    report = report_of(made.lab)
    drawn, kept = picture(report), [one.experiment for one in report.kept]
    assert len(kept) == 2
    levels = [step.level for step in drawn.steps]
    assert levels == sorted(levels, reverse=True), "runs of its own on harder seeds lift no champion"
    assert levels[0] == report.claim.baseline
    assert levels[-1] - levels[0] == pytest.approx(sum(e.delta or 0.0 for e in kept))
    stands = {dot.x: dot.y for dot in drawn.dots}
    assert [stands[e.id] for e in kept] == levels[1:]
    worse = next(t.experiment for t in report.tried if t.experiment.verdict is Verdict.DISCARD)
    assert worse.delta is not None
    assert stands[worse.id] == pytest.approx(report.heights[worse.parent_commit] + worse.delta)


def test_a_champion_without_runs_of_its_own_is_said_to_look_too_good(tmp_path: Path) -> None:
    report = report_of(session(tmp_path, HELPS).lab)
    assert not report.claim.direct
    assert "a little too good" in " ".join(summary(report))


def test_what_a_human_kept_is_in_no_figure_of_the_claim(tmp_path: Path) -> None:
    made = session(tmp_path, HELPS, HARMS)
    measured = report_of(made.lab).claim
    made.keeps_by_hand(2)
    made.tries("after it", HELPS)
    report = report_of(made.lab)
    assert (report.claim.keeps, report.claim.by_hand, report.claim.replaced) == (2, 1, 1)
    assert report.claim.champion is None
    assert measured.delta is not None
    assert report.claim.delta == pytest.approx(
        measured.delta + HELPS, abs=0.006
    )  # the harm of the kept one is not in it
    assert [k.by_hand for k in report.kept] == [False, True, False]
    assert "without what was kept by hand" in headline(report)
    assert "left out of these figures" in " ".join(summary(report))
    assert {d.mark for d in picture(report).dots} == {"keep", "hand"}
    assert "kept by a human" in page(report)


def test_a_gain_that_today_is_within_the_noise_is_marked(tmp_path: Path) -> None:
    made = session(tmp_path, HELPS)
    assert [k.now_noise for k in report_of(made.lab).kept] == [False]
    db = made.store.db
    db.execute("UPDATE experiments SET delta = -0.0001 WHERE id = 1")
    report = report_of(made.lab)
    assert [k.now_noise for k in report.kept] == [True]
    assert "by today&#x27;s noise this would not be kept" in page(report) or "by today's noise" in page(report)
    assert "by today's noise" in document(report)


def test_approvals_that_were_kept_are_counted_apart_for_people_and_for_the_dial(tmp_path: Path) -> None:
    lab = record(tmp_path / "lab", 60)
    report = report_of(lab)
    people, dial = report.agreements
    assert (people.who, dial.who) == ("people", "autonomy")
    assert people.vetoes == 2
    assert people.approvals + dial.approvals == 58
    kept = sum(t.experiment.verdict is Verdict.KEEP for t in report.tried)
    assert people.kept + dial.kept == kept
    assert people.seconds == 12.0
    assert dial.seconds is None
    assert agreements([], [], frozenset()) == ()


def test_the_noise_is_given_with_its_interval_and_degrees_of_freedom(tmp_path: Path) -> None:
    report = report_of(record(tmp_path / "lab", 40))
    noise = report.noise
    assert report.kind == KIND
    assert noise.df > 10
    assert noise.low < noise.sigma < noise.high
    assert f'<td class="figure">{noise.df}</td>' in page(report)


def test_the_cost_is_a_dash_where_it_is_not_known(tmp_path: Path) -> None:
    made = session(tmp_path, HELPS)
    used: dict[str, Any] = {"input": 1000, "output": 200, "cache_read": 50, "cache_write": 10, "seconds": 4.0}
    made.store.add_usage(model="sonnet", cost=None, **used)
    report = report_of(made.lab)
    assert report.cost.cost is None
    assert ("model cost", "–") in [(a, b) for a, b in _tiles(report)]
    made.store.add_usage(model="sonnet", cost=0.5, **used)
    report = report_of(made.lab)
    assert (report.cost.models[0].calls, report.cost.models[0].unpriced, report.cost.cost) == (2, 1, 0.5)
    assert "1 calls without a price" in document(report)


def _tiles(report: Report) -> list[tuple[str, str]]:
    from core.reporting.words import tiles

    return tiles(report)


# ---- the files -----------------------------------------------------------------------------------------------------


def test_three_files_are_written_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    lab = record(tmp_path / "lab", 12)
    written = write(lab, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["progress.png", "report.html", "report.md"]
    assert written.png.read_bytes().startswith(b"\x89PNG")
    assert write(lab).html == lab.root / "report" / "report.html"


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    source = page(report_of(record(tmp_path / "lab", 60)))
    seen = Page(source)
    assert not {"script", "link", "iframe", "img", "object"} & set(seen.tags)
    assert not [value for name, value in seen.attributes if name in ("src", "srcset", "style", "action")]
    assert all(value.startswith("#") for name, value in seen.attributes if name == "href")
    assert "@import" not in source
    assert "url(" not in source
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert "default-src 'none'" in dict((n, v) for n, v in seen.attributes if "default-src" in v)["content"]
    assert "prefers-color-scheme" in source
    assert "width=device-width" in source
    assert seen.open == []


def test_every_section_is_in_both(tmp_path: Path) -> None:
    report = report_of(record(tmp_path / "lab", 60))
    seen, markdown = Page(page(report)), document(report)
    for title in ("Kept changes", "Decisions", "Everything tried", "Noise", "Cost", "Method", "Provenance"):
        assert title in seen.text
        assert f"\n## {title}\n" in markdown
    for kept in report.kept:
        assert f"#{kept.experiment.id} {kept.experiment.title}" in seen.text
    assert seen.tags.count("details") >= len(report.kept)
    assert "5f" * 32 in seen.text
    assert "5f" * 32 in markdown


def test_hostile_text_is_only_text(tmp_path: Path) -> None:
    made = session(tmp_path, HELPS)
    made.tries(HOSTILE, HELPS, hypothesis=HOSTILE, rationale=HOSTILE)
    made.tries(HOSTILE, 0.0, fails=HOSTILE)
    made.keeps_by_hand(3, HOSTILE)
    made.store.db.execute("UPDATE reviews SET reason = ?, actor = ?, policy = ?", (HOSTILE,) * 3)
    made.store.db.execute("UPDATE experiments SET author = ?", (HOSTILE,))
    made.store.set("preparation", {"hash": HOSTILE})
    made.store.set("lab", {"metric": HOSTILE, "profile": HOSTILE, "corpus": HOSTILE, "direction": "min"})
    report = report_of(made.lab)
    source, markdown = page(report), document(report)
    assert not invisible(source)
    assert not invisible(markdown)
    seen = Page(source)
    assert not {"script", "img"} & set(seen.tags)
    assert {name for name, value in seen.attributes if "evil" in value} <= {"aria-label"}
    assert "<script>alert(1)</script>" in seen.text
    outside = re.sub(r"^(`{3,})diff\n.*?^\1$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"(?<!\\)<", outside)
    assert not re.search(r"(?<!\\)\[[^\]]*\]\((?!progress\.png)", outside)
    assert not re.search(r"^\s*# heading", outside, re.MULTILINE)
    assert len(re.findall(r"^`{4,}diff$", markdown, re.MULTILINE)) == 2  # the fence is longer than what is in it
    drawn = picture(report)
    assert "<script" not in svg(drawn)
    png(drawn, tmp_path / "hostile.png")


def test_the_configuration_is_shown_without_what_may_be_secret() -> None:
    text = shown_config(
        {
            "target": {"profile": "cpu", "train": ["python", "train.py"], "sizes": {"depth": 2}},
            "researcher": {"base_url": "https://me:hunter2@gateway.example/v1?key=hunter2", "key_file": "/me/hunter2"},
            "runs": {"environment": {"WANDB_API_KEY": "hunter2"}},
            "judging": {"z": 2.33},
        }
    )  # fmt: skip
    assert "hunter2" not in text
    assert "gateway.example" in text
    assert "WANDB_API_KEY = (left out)" in text
    assert "z = 2.33" in text
    assert "sk-ant-12345678" not in shown_config({"target": {"train": ["x", "--key", "sk-ant-12345678"]}})


# ---- labs of any length --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("experiments", [0, 1, 3])
def test_a_lab_with_hardly_anything_in_it_has_a_report(tmp_path: Path, experiments: int) -> None:
    written = write(record(tmp_path / "lab", experiments))
    Page(written.html.read_text())
    assert written.headline.startswith("val_bpb 1.84")


def test_a_lab_in_which_nothing_was_measured_says_so(tmp_path: Path) -> None:
    made = Session(tmp_path / "lab")
    written = write(made.lab)
    assert written.headline == "Nothing has been measured yet"
    assert "Nothing yet." in written.markdown.read_text()


def test_a_lab_that_was_never_started_has_words(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no record yet"):
        write(Lab(tmp_path))


def test_a_directory_that_cannot_be_written_has_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="cannot be written"):
        write(record(tmp_path / "lab", 1), tmp_path / "file" / "out")


def test_the_picture_of_a_long_lab_stays_small(tmp_path: Path) -> None:
    drawn = picture(report_of(record(tmp_path / "lab", 400)))
    assert len(drawn.dots) == 390
    assert len(drawn.names) <= NAMES
    assert len(svg(drawn)) < 40_000
    assert drawn.low < min(s.level for s in drawn.steps)
    assert drawn.high > max(s.level for s in drawn.steps)


def test_a_result_far_off_does_not_flatten_the_picture(tmp_path: Path) -> None:
    made = session(tmp_path, HELPS, HARMS, HARMS)
    made.store.db.execute("UPDATE experiments SET metric = 9.5, delta = 7.7, verdict = 'discard' WHERE id = 2")
    made.store.db.execute("UPDATE experiments SET metric = 0.002, delta = -1.8, verdict = 'suspect' WHERE id = 3")
    drawn = picture(report_of(made.lab))
    assert drawn.high < 1.9
    assert drawn.low > 1.7
    assert 'class="tried beyond"' in svg(drawn)
    assert 'class="suspect beyond"' in svg(drawn)


def test_where_more_is_better_the_report_says_so(tmp_path: Path) -> None:
    made = session(tmp_path, HELPS)
    made.store.set("lab", {"metric": "accuracy", "direction": "max"})
    report = report_of(made.lab)
    assert "higher is better" in svg(picture(report))
    assert "for a higher accuracy" in document(report)


def test_the_command_prints_where_the_files_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = record(tmp_path / "lab", 3)
    assert run(["report", str(lab.root), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert [Path(line).name for line in shown.out.splitlines()] == ["report.html", "report.md", "progress.png"]
    assert shown.err.startswith("val_bpb 1.84")
    assert run(["report", str(tmp_path)]) == EXIT_WRONG
    assert run(["replay", str(tmp_path)]) == EXIT_WRONG
