"""Every probe says what it found, and how to mend what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core import doctor
from core.doctor import Check, Health
from core.lab import Lab
from core.runs.sandbox import Sandbox, Tier

GOOD_TERMINAL = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}


def test_every_problem_comes_with_its_fix_and_nothing_takes_more_than_one_line() -> None:
    checks = doctor.examine(env=GOOD_TERMINAL)
    assert {check.name for check in checks} >= {
        "sandbox", "bubblewrap", "user namespaces", "landlock", "gpu", "cuda", "torch", "sqlite", "file system", "disk",
        "key", "git", "terminal", "python",
    }  # fmt: skip
    for check in checks:
        assert check.found
        assert "\n" not in check.found + check.fix, check
        assert check.fix or check.health != Health.PROBLEM, check


def test_a_probe_that_fails_is_a_finding_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Check:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(doctor, "of_git", broken)
    checks = doctor.examine(env=GOOD_TERMINAL)
    assert any("no such thing" in check.found for check in checks)
    assert checks[-1].name == "terminal"


@pytest.mark.parametrize(
    ("tier", "health"), [(Tier.BUBBLEWRAP, Health.OK), (Tier.LANDLOCK, Health.NOTE), (Tier.NONE, Health.PROBLEM)]
)
def test_the_sandbox_is_named_by_its_tier(tier: Tier, health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "probe", lambda _: Sandbox(tier, "as it is", "do this"))
    check = doctor.of_sandbox(["cpu"])
    assert (check.health, check.fix) == (health, "do this")
    assert f"tier {tier}" in check.found


def test_a_lab_on_a_network_file_system_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounts = (
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "22 21 0:40 / /home rw,relatime shared:1 - nfs4 server:/home rw\n"
        "23 22 0:41 / /home/ada/My\\040Disk rw - xfs /dev/sdb1 rw"
    )
    monkeypatch.setattr(doctor, "_text", lambda path: mounts)
    assert doctor.file_system(Path("/var/lab")) == ("ext4", "/")
    assert doctor.file_system(Path("/home/ada/lab")) == ("nfs4", "/home")
    assert doctor.file_system(Path("/home/ada/My Disk/lab")) == ("xfs", "/home/ada/My Disk")
    assert doctor.file_system(Path("/homestead")) == ("ext4", "/")
    assert doctor.of_file_system(Path("/home/ada/lab")).health == Health.PROBLEM


def test_a_full_disk_is_a_problem_even_where_the_lab_is_not_made_yet(tmp_path: Path) -> None:
    place = tmp_path / "not" / "made" / "yet"
    assert doctor.of_free_disk(place, least=1e9).health == Health.PROBLEM
    assert doctor.of_free_disk(place, least=0).health != Health.PROBLEM


def test_the_key_is_never_shown() -> None:
    secret = "sk-ant-very-secret"
    shown = doctor.lines(doctor.examine(env={**GOOD_TERMINAL, "ANTHROPIC_API_KEY": secret}))
    assert secret not in "\n".join(shown)
    assert doctor.of_key({}).health == Health.NOTE


def test_a_terminal_that_cannot_move_its_cursor_is_a_problem() -> None:
    assert doctor.of_terminal({"TERM": "dumb"}).health == Health.PROBLEM
    assert doctor.of_terminal({}).fix


def test_an_old_git_and_a_missing_one_are_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_first_line", lambda argv: "git version 2.17.1")
    monkeypatch.setattr("shutil.which", lambda program: "/usr/bin/git")
    assert "2.20" in doctor.of_git().fix
    monkeypatch.setattr("shutil.which", lambda program: None)
    assert "install git" in doctor.of_git().fix


def test_a_missing_torch_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert doctor.of_torch().health == Health.PROBLEM


def test_switched_off_user_namespaces_are_said_with_the_command_that_allows_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(doctor, "_text", lambda path: "1" if "apparmor" in path else "10000" if "max" in path else "1")
    check = doctor.of_user_namespaces()
    assert "apparmor_restrict" in check.found
    assert "bwrap-userns-restrict" in check.fix


def test_a_lab_whose_configuration_is_wrong_says_which_key(tmp_path: Path) -> None:
    (tmp_path / "autoresearch.toml").write_text("[runs]\nwallclock = 3\n")
    check = doctor.of_config(Lab(tmp_path))
    assert check.health == Health.PROBLEM
    assert "wallclock" in check.found


def test_it_imports_neither_torch_nor_a_screen() -> None:
    code = "import sys; from core import doctor; doctor.examine(); print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert not {"torch", "textual", "anthropic", "numpy"} & set(ended.stdout.split())


def test_the_lines_have_the_fix_below_the_finding() -> None:
    shown = doctor.lines([Check("git", Health.PROBLEM, "not installed", "apt"), Check("disk", Health.OK, "12 GB free")])
    assert shown[0].startswith("FIX   git ")
    assert shown[1].strip() == "→ apt"
    assert shown[2].startswith("ok    disk")
