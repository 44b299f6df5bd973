"""What code in a sandbox can and cannot do: each attempt is a real process, in every tier that this machine has."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.config import Config, Target
from core.lab import Lab
from core.runs.local import Child
from core.runs.sandbox import Sandbox, Tier, bubblewrap, landlock, places, probe
from core.runs.sandbox.wrapping import python_command
from core.target import children

SECRET = "sk-ant-secret"
BOTH = ("bubblewrap", "landlock")


@pytest.fixture(params=BOTH)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """A sandbox that keeps something in; skipped where this machine has none of the kind."""
    found = probe(["cpu"], wanted=request.param)
    if found.tier == Tier.NONE:
        pytest.skip(found.detail)
    return found


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    """As the engine makes them: run/src and run/out, beside a lab's database and a secret."""
    for name in ("run/src", "run/out", "run/eval"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "run/src/train.py").write_text("print('training')\n")
    (tmp_path / "lab.db").write_text(SECRET)
    return tmp_path / "run"


def attempt(
    sandbox: Sandbox,
    run: Path,
    code: str,
    *,
    readable: list[str] | None = None,
    hidden: list[str] | None = None,
    env: dict[str, str] | None = None,
) -> str:
    """Run code as the trainer of `run`; what it printed, or how it failed."""
    child = Child([sys.executable, "-I", "-S", "-c", textwrap.dedent(code)], str(run / "src"), env or {}, 20)
    wrapped = sandbox.wrap(
        child, readable=[str(run / "src"), *(readable or [])], writable=[str(run / "out")], hidden=hidden or []
    )
    ended = subprocess.run(
        list(wrapped.argv),
        cwd=wrapped.cwd,
        env=dict(wrapped.env),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return (ended.stdout + ended.stderr).strip()


def test_it_reads_its_source_and_writes_its_results(sandbox: Sandbox, run_directory: Path) -> None:
    code = """
        import os
        assert open("train.py").read()
        os.makedirs("../out/deep/er")
        open("../out/deep/er/model.pt", "w").write("weights")
        os.rename("../out/deep/er/model.pt", "../out/model.pt")
        print("done")
    """
    assert attempt(sandbox, run_directory, code) == "done"
    assert (run_directory / "out/model.pt").read_text() == "weights"


FORBIDDEN_WRITES = (
    "../src/train.py",
    "../src/new.py",
    "../eval/result.json",
    "../../lab.db",
    "../x",
    "/usr/x",
    "/etc/x",
)


@pytest.mark.parametrize("path", FORBIDDEN_WRITES)
def test_it_writes_nowhere_else(path: str, sandbox: Sandbox, run_directory: Path) -> None:
    place = run_directory / "src" / path
    before = place.read_text() if place.exists() else None
    attempt(sandbox, run_directory, f"open({path!r}, 'w').write('x')")  # it may succeed in a scratch space of its own
    assert (place.read_text() if place.exists() else None) == before


def test_it_cannot_cut_a_file_it_may_only_read(sandbox: Sandbox, run_directory: Path) -> None:
    assert "Error" in attempt(sandbox, run_directory, "import os; os.truncate('train.py', 0)")
    assert "Error" in attempt(sandbox, run_directory, "import os; os.open('train.py', os.O_RDONLY | os.O_TRUNC)")
    assert (run_directory / "src/train.py").read_text()


def test_it_reads_nothing_that_was_not_given(sandbox: Sandbox, run_directory: Path) -> None:
    for path in (run_directory.parent / "lab.db", "/etc/shadow", Path.home() / ".bashrc", "/etc/hostname"):
        if Path(path).exists():
            assert "Error" in attempt(sandbox, run_directory, f"print(open({str(path)!r}, 'rb').read())"), path
    assert SECRET not in attempt(sandbox, run_directory, "import os; print(os.listdir('../..'))")


def test_links_out_of_its_directory_lead_nowhere(sandbox: Sandbox, run_directory: Path) -> None:
    secret = run_directory.parent / "lab.db"
    code = f"import os; os.symlink({str(secret)!r}, '../out/link'); print(open('../out/link').read())"
    assert SECRET not in attempt(sandbox, run_directory, code)
    assert "Error" in attempt(sandbox, run_directory, f"import os; os.link({str(secret)!r}, '../out/hard')")


def test_its_environment_is_the_one_it_was_given(
    sandbox: Sandbox, run_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    code = "import os; print(sorted(os.environ)); print(os.environ.get('AR_SEED'))"
    said = attempt(sandbox, run_directory, code, env={"AR_SEED": "7"})
    assert "ANTHROPIC_API_KEY" not in said
    assert said.endswith("7")


def test_no_environment_of_another_process_can_be_read(sandbox: Sandbox, run_directory: Path) -> None:
    other = subprocess.Popen(["/bin/sleep", "60"], env={"ANTHROPIC_API_KEY": SECRET})
    code = """
        import glob
        for path in glob.glob("/proc/[0-9]*/environ"):
            try:
                print(open(path, "rb").read())
            except OSError:
                pass
    """
    try:
        assert SECRET not in attempt(sandbox, run_directory, code)
        said = attempt(sandbox, run_directory, f"import os; os.kill({other.pid}, 9)")
        assert "Error" in said or landlock.abi() < landlock.SIGNALS_ABI
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_bubblewrap_shows_no_process_but_its_own(run_directory: Path) -> None:
    sandbox = probe(["cpu"], wanted="bubblewrap")
    if sandbox.tier != Tier.BUBBLEWRAP:
        pytest.skip(sandbox.detail)
    pids = attempt(sandbox, run_directory, "import os; print([p for p in os.listdir('/proc') if p.isdigit()])")
    assert len(json.loads(pids.replace("'", '"'))) <= 3
    assert "rtnetlink" not in pids


@pytest.fixture
def listening() -> Iterator[tuple[int, list[str]]]:
    """A TCP server on this machine, and what it was told."""
    heard: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            heard.append(connection.recv(100).decode())
            connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1], heard
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def test_it_reaches_no_network_not_even_this_machine(
    sandbox: Sandbox, run_directory: Path, listening: tuple[int, list[str]]
) -> None:
    port, heard = listening
    code = f"import socket; s = socket.create_connection(('127.0.0.1', {port}), 5); s.send(b'the secret')"
    assert "Error" in attempt(sandbox, run_directory, code)
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram.bind(("127.0.0.1", 0))
    datagram.settimeout(0.2)
    port = datagram.getsockname()[1]
    code = f"import socket; socket.socket(2, 2).sendto(b'the secret', ('127.0.0.1', {port}))"
    attempt(sandbox, run_directory, code)
    with pytest.raises(TimeoutError):
        datagram.recv(100)
    datagram.close()
    assert heard == []


def test_it_cannot_speak_to_the_engine(sandbox: Sandbox, run_directory: Path) -> None:
    """The socket lies in the lab, belongs to the same user, and would take an approval."""
    engine = socket.socket(socket.AF_UNIX)
    engine.bind(str(run_directory.parent / "engine.sock"))
    engine.listen()
    said = attempt(sandbox, run_directory, "import socket; socket.socket(socket.AF_UNIX).connect('../../engine.sock')")
    engine.close()
    assert "Error" in said


def test_it_gains_no_privilege(sandbox: Sandbox, run_directory: Path) -> None:
    said = attempt(sandbox, run_directory, "print(open('/proc/self/status').read())")
    status = dict(line.split(":\t") for line in said.splitlines() if ":\t" in line)
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    nested = attempt(sandbox, run_directory, "import os; print(os.system('unshare -Ur true 2>/dev/null') == 0)")
    assert nested.endswith("False")


def test_it_sees_no_disk_and_no_gpu_that_is_not_its_own(sandbox: Sandbox, run_directory: Path) -> None:
    code = """
        import os
        for folder, _, names in os.walk("/dev"):
            for name in names:
                try:
                    os.close(os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NONBLOCK))
                    print(os.path.join(folder, name))
                except OSError:
                    pass
    """
    opened = set(attempt(sandbox, run_directory, code).split())
    assert opened <= {
        *landlock.DEVICES,
        "/dev/tty",
        "/dev/ptmx",
        "/dev/stdin",
        "/dev/stdout",
        "/dev/stderr",
        "/dev/core",
        "/dev/pts/ptmx",
    }


# ---- held-out text -------------------------------------------------------------------------------------------------


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A prepared directory whose val came from an installed package, a package's test and a text of its own."""
    root = tmp_path / "prepared"
    for split in places.SPLITS:
        (root / split).mkdir(parents=True)
        (root / split / "rows.bin").write_text(f"the rows of {split}")
    (root / "manifest.json").write_text("{}")
    site = Path(pytest.__file__).parents[1]
    files = [site / "_pytest/capture.py", site / "numpy/lib/tests/test_io.py", tmp_path / "corpus/val.txt"]
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/val.txt").write_text("held out")
    (tmp_path / "corpus/train.txt").write_text("shown")
    (root / "holdout.json").write_text(json.dumps({"files": [str(path) for path in files]}))
    return root


def test_a_trainer_sees_train_and_an_evaluator_only_its_split(
    sandbox: Sandbox, run_directory: Path, prepared: Path
) -> None:
    code = f"""
        for split in ("train", "val", "audit"):
            try:
                print(open({str(prepared)!r} + f"/{{split}}/rows.bin").read())
            except OSError:
                pass
        open({str(prepared / "manifest.json")!r})
    """
    said = attempt(sandbox, run_directory, code, readable=places.data_for(str(prepared), "train"))
    assert said == "the rows of train"
    said = attempt(sandbox, run_directory, code, readable=places.data_for(str(prepared), "audit"))
    assert said == "the rows of audit"


def test_the_text_that_val_was_made_from_cannot_be_read(sandbox: Sandbox, run_directory: Path, prepared: Path) -> None:
    hidden = places.held_out(str(prepared))
    corpus = str(prepared.parent / "corpus")
    for file in json.loads((prepared / "holdout.json").read_text())["files"]:
        bytecode = [str(path) for path in Path(file).parent.glob(f"__pycache__/{Path(file).stem}.*.pyc")]
        for path in (file, *bytecode):
            code = f"print(len(open({path!r}, 'rb').read()))"
            assert "Error" in attempt(sandbox, run_directory, code, readable=[corpus], hidden=hidden), path
    code = f"print(open({corpus + '/train.txt'!r}).read())"
    shown = attempt(sandbox, run_directory, code, readable=[corpus], hidden=hidden)
    assert shown == "shown"


def test_a_package_with_held_out_text_is_hidden_whole_and_a_test_with_its_directory() -> None:
    assert places.hiding_place("/v/lib/python3.11/site-packages/rich/console.py") == [
        "/v/lib/python3.11/site-packages/rich"
    ]
    assert places.hiding_place("/v/lib/python3.11/site-packages/numpy/lib/tests/data/x.py") == [
        "/v/lib/python3.11/site-packages/numpy/lib/tests"
    ]
    assert places.hiding_place("/v/lib/python3.11/site-packages/six.py") == ["/v/lib/python3.11/site-packages/six.py"]
    assert places.hiding_place("/home/ada/corpus/a.txt") == ["/home/ada/corpus/a.txt"]


def test_copies_of_packages_that_this_python_never_imports_are_hidden(sandbox: Sandbox, run_directory: Path) -> None:
    for directory in places.needless_directories():
        code = f"""
            import os
            files = [os.path.join(at, name) for at, _, names in os.walk({directory!r}) for name in names]
            for path in files:
                if os.path.isfile(path) and not os.path.islink(path):
                    print(open(path, "rb"))
        """
        said = attempt(sandbox, run_directory, code)
        assert said == "" or "PermissionError" in said, directory


# ---- the child as a whole ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_torch_and_the_harness_can_be_imported_inside(sandbox: Sandbox, run_directory: Path) -> None:
    child = Child([sys.executable, "-c", "import nanochat.harness, torch; print(torch.ones(2).sum())"], "/", {}, 60)
    wrapped = sandbox.wrap(child, writable=[str(run_directory / "out")])
    ended = subprocess.run(
        list(wrapped.argv), cwd="/", env=dict(wrapped.env), capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.stdout == "tensor(2.)\n", ended.stderr
    assert ended.stderr == ""


def test_when_the_one_who_started_it_is_killed_nothing_of_it_goes_on(sandbox: Sandbox, run_directory: Path) -> None:
    """bubblewrap ends with its parent; what Landlock holds is ended by the runner, by parent-death signal."""
    if sandbox.tier != Tier.BUBBLEWRAP:
        pytest.skip("only bubblewrap has processes of its own")
    code = "import os, time; os.fork() or (os.setsid(), os.fork()); print('up', flush=True); time.sleep(60)"
    wrapped = sandbox.wrap(python_command(code), writable=[str(run_directory / "out")])
    process = subprocess.Popen(list(wrapped.argv), stdout=subprocess.PIPE, text=True, env=dict(wrapped.env))
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    while process.stdout.readline():  # all writers gone: an end of file, or the test hangs and fails
        pass
    process.stdout.close()


def test_caches_are_the_run_s_own_in_every_tier(run_directory: Path) -> None:
    for wanted in ("auto", "landlock", "none"):
        wrapped = probe(["cpu"], wanted=wanted).wrap(
            Child(["true"], "/", {"TRITON_CACHE_DIR": "/shared", "AR_SEED": "1"}, 1),
            writable=[str(run_directory / "out")],
        )
        words = [*wrapped.argv, *wrapped.env.values()]
        assert "/shared" not in words
        assert "1" in words


def test_a_gpu_is_the_first_one_inside_whatever_its_number(run_directory: Path) -> None:
    sandbox = Sandbox(Tier.NONE, "", gpus={"cuda:3": places.Gpu(3, "GPU-abc")})
    child = Child(["true"], "/", {"AR_DEVICE": "cuda:3"}, 1)
    env = sandbox.wrap(child, writable=[str(run_directory)], device="cuda:3").env
    assert (env["CUDA_VISIBLE_DEVICES"], env["AR_DEVICE"]) == ("GPU-abc", "cuda:0")
    assert sandbox.wrap(child, writable=[str(run_directory)], device="cpu").env["CUDA_VISIBLE_DEVICES"] == ""


# ---- the trainer and the evaluator of a run ------------------------------------------------------------------------


def family(sandbox: Sandbox, run: Path, data: Path, **target: Any) -> tuple[Child, Child]:
    trainer, evaluator = children(
        Config(target=Target(profile="test", **target)), Lab(run.parent), run,
        device="cpu", seed=1, split="val", data=str(data), profile={}, seconds=9.0, sandbox=sandbox,
    )  # fmt: skip
    assert evaluator is not None
    return trainer, evaluator


def test_the_candidate_s_code_never_meets_the_data_or_the_score(
    sandbox: Sandbox, run_directory: Path, prepared: Path
) -> None:
    """The built-in evaluator holds both, and starts the model in the sandbox that it is told of."""
    trainer, evaluator = family(sandbox, run_directory, prepared)
    words = json.loads(evaluator.env["AR_MODEL_SANDBOX"])
    for text in (str(prepared), str(run_directory / "eval"), "AR_DATA", "AR_SPLIT"):
        assert not [word for word in words if text in word], text
    assert str(run_directory / "src") in words
    assert str(run_directory / "out") in words
    assert not [word for word in trainer.argv if word.startswith((str(prepared / "val"), str(prepared / "audit")))]
    assert evaluator.argv[0] == sys.executable
    code = "import os; open(os.environ.get('AR_EVAL_OUT', '../eval') + '/x', 'w')"
    said = subprocess.run(
        [*words, sys.executable, "-I", "-S", "-c", code],
        cwd=run_directory / "out", env=dict(evaluator.env), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Error" in said.stderr
    assert not (run_directory / "eval/x").exists()


def test_somebody_else_s_evaluator_is_kept_in_itself(sandbox: Sandbox, run_directory: Path, prepared: Path) -> None:
    _, evaluator = family(sandbox, run_directory, prepared, evaluate=["{python}", "/opt/mine/score.py"])
    assert evaluator.argv[-2:] == [sys.executable, "/opt/mine/score.py"]
    assert len(evaluator.argv) > 10
    assert str(prepared / "val") in evaluator.argv
    assert str(prepared / "audit") not in evaluator.argv


# ---- the probe -----------------------------------------------------------------------------------------------------


def test_without_bubblewrap_the_next_tier_is_taken_and_the_fix_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "find", lambda: None)
    found = probe(["cpu"])
    assert found.tier in (Tier.LANDLOCK, Tier.NONE)
    assert "not installed" in found.detail
    assert "apt install bubblewrap" in found.fix


def test_with_nothing_at_all_it_says_that_there_is_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "find", lambda: None)
    monkeypatch.setattr(landlock, "abi", lambda: 1)
    found = probe(["cpu"])
    assert found.tier == Tier.NONE
    assert "no sandbox" in found.detail
    assert "Landlock 1" in found.detail


def test_a_bubblewrap_that_cannot_start_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "find", lambda: str(broken))
    found = probe(["cpu"])
    assert found.tier != Tier.BUBBLEWRAP
    assert "uid map" in found.detail
    assert "AppArmor" in found.fix


def test_an_older_bubblewrap_does_without_what_it_does_not_know(run_directory: Path) -> None:
    sandbox = probe(["cpu"], wanted="bubblewrap")
    if sandbox.tier != Tier.BUBBLEWRAP:
        pytest.skip(sandbox.detail)
    plain = replace(sandbox, options=frozenset())
    wrapped = plain.wrap(python_command("print('up')"), writable=[str(run_directory / "out")])
    assert not {"--size", "--disable-userns"} & set(wrapped.argv)
    assert attempt(plain, run_directory, "print('up')") == "up"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can become somebody else")
def test_it_works_for_an_ordinary_user_too(tmp_path: Path) -> None:
    program = bubblewrap.find()
    if program is None:
        pytest.skip("no bubblewrap here")
    argv = bubblewrap.arguments(
        program,
        bubblewrap.supported(program),
        env={"A": "1"},
        cwd="/tmp",
        readable=[],
        writable=[],
        hidden=[],
        nodes=[],
    )
    become = ["setpriv", "--reuid=4242", "--regid=4242", "--clear-groups"]
    ended = subprocess.run([*become, *argv, "/bin/sh", "-c", "echo $A"], capture_output=True, text=True, check=False)
    assert ended.stdout == "1\n", ended.stderr
