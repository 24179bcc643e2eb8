"""What a confined process cannot do. Every attempt is really made, inside the real sandbox."""

import asyncio
import contextlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from worker_runtime.gpu import sandbox

pytestmark = pytest.mark.system


async def inside(program: str, *inputs: Path, limits: sandbox.Limits = sandbox.LIMITS) -> str:
    """What a Python program prints inside, the last line of its complaint if it fails."""
    confinement = sandbox.find()
    assert confinement.missing is None
    child = await confinement.start([sys.executable, "-I", "-B", "-c", program], inputs=inputs, limits=limits)
    out, complaint = await asyncio.wait_for(child.communicate(), 30)
    return out.decode().strip() if child.returncode == 0 else complaint.decode().strip().rpartition("\n")[2]


async def test_a_program_runs_inside() -> None:
    assert await inside("print(6 * 7)") == "42"


async def test_nobody_is_dialled() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        refused = await inside(f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)")
        assert refused.startswith(("ConnectionRefusedError", "OSError"))
        with pytest.raises(TimeoutError):
            server.accept()


async def test_no_name_is_resolved() -> None:
    assert "gaierror" in await inside("import socket; socket.getaddrinfo('example.org', 80)")


async def test_a_local_socket_is_not_reached(tmp_path: Path) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(tmp_path / "door"))
        server.listen()
        refused = await inside(f"import socket; socket.socket(socket.AF_UNIX).connect({str(tmp_path / 'door')!r})")
    assert refused.startswith("FileNotFoundError")


async def test_a_key_file_is_not_there(tmp_path: Path) -> None:
    key = tmp_path / "worker.key"
    key.write_text("secret")
    assert (await inside(f"print(open({str(key)!r}).read())")).startswith("FileNotFoundError")


@pytest.mark.parametrize("path", ["/root/.bashrc", "/etc/passwd", "/etc/shadow", "/proc/1/environ", "/srv", "/var", "/sys/class"])
async def test_the_machine_is_not_there(path: str) -> None:
    assert (await inside(f"import os; os.stat({path!r})")).startswith(("FileNotFoundError", "PermissionError"))


async def test_an_input_is_read_and_not_written(tmp_path: Path) -> None:
    (tmp_path / "scene.txt").write_text("hello")
    assert await inside("print(open('scene.txt').read())", tmp_path) == "hello"
    assert (await inside("open('scene.txt', 'w')", tmp_path)).startswith("OSError: [Errno 30] Read-only")
    assert (await inside("open('more.txt', 'w')", tmp_path)).startswith("OSError: [Errno 30] Read-only")


async def test_a_link_out_of_the_inputs_leads_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "scene"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    assert (await inside("print(open('link').read())", folder)).startswith("FileNotFoundError")


@pytest.mark.parametrize("path", ["/usr/x", "/x", sys.prefix + "/x"])
async def test_nothing_of_the_system_is_written(path: str) -> None:
    assert "Read-only" in await inside(f"open({path!r}, 'w')")


async def test_a_great_file_is_not_written() -> None:
    assert (await inside("open('/tmp/x', 'wb').write(bytes(10 << 20))")).startswith("OSError")


@pytest.mark.parametrize(
    "attempt",
    [
        "import os; os.fork()",
        "import subprocess; subprocess.run(['/bin/true'], check=True)",
        "import os; os.posix_spawn('/bin/true', ['true'], {})",
        "import multiprocessing as m; m.get_context('fork').Process(target=print).start()",
    ],
)
async def test_no_process_is_started(attempt: str) -> None:
    assert (await inside(attempt)).startswith(("PermissionError", "BlockingIOError"))


async def test_a_fork_bomb_is_a_dud() -> None:
    bomb = "import os\nfor n in range(1000):\n try: os.fork()\n except PermissionError: continue\n else: break\nelse: print('alone')"
    assert await inside(bomb) == "alone"


async def test_threads_are_started_up_to_their_limit() -> None:
    count = (
        "import threading, time\nn = 0\ntry:\n"
        "  while n < 500: threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); n += 1\n"
        "except RuntimeError: pass\nprint(n >= 8, flush=True)\nimport os; os._exit(0)"
    )
    assert await inside(count) == "True"


@pytest.mark.parametrize("call", ["unshare(0x10000000)", "ptrace(0, 0, 0, 0)", "mount(0, 0, 0, 0, 0)", "setns(0, 0)"])
async def test_no_namespace_and_no_tracing(call: str) -> None:
    attempt = f"import ctypes; c = ctypes.CDLL(None, use_errno=True); print(c.{call}, ctypes.get_errno())"
    assert await inside(attempt) == "-1 1"


async def test_memory_is_bounded() -> None:
    assert (await inside("bytearray(1 << 30)", limits=sandbox.Limits(memory_bytes=1 << 29))).startswith("MemoryError")


async def test_processor_time_is_bounded() -> None:
    confinement = sandbox.find()
    child = await confinement.start([sys.executable, "-I", "-c", "while True: pass"], limits=sandbox.Limits(processor_s=1))
    started = time.monotonic()
    await asyncio.wait_for(child.wait(), 20)
    assert child.returncode != 0
    assert time.monotonic() - started < 15


async def test_nothing_of_the_environment_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDLEDGER_SECRET", "secret")
    seen = await inside("import os; print(sorted(os.environ))")
    assert seen == str(sorted({*sandbox.ENVIRONMENT, "PWD"}))


async def test_no_other_process_is_reached() -> None:
    assert (await inside(f"import os; os.kill({os.getpid()}, 0)")).startswith("ProcessLookupError")


async def test_no_capability_is_held() -> None:
    assert (await inside("import os; os.chown('/tmp', 0, 0)")).startswith(("PermissionError", "OSError"))


async def test_killing_the_handle_ends_what_runs_inside() -> None:
    child = await sandbox.find().start([sys.executable, "-I", "-c", "import time; print('up', flush=True); time.sleep(60)"])
    assert child.stdout
    assert await asyncio.wait_for(child.stdout.readline(), 20) == b"up\n"
    child.kill()
    # The pipe ends when the last process that holds it is gone.
    assert await asyncio.wait_for(child.stdout.read(), 5) == b""
    await child.wait()


def family(pid: int) -> list[int]:
    """A process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def gone(pid: int) -> bool:
    """Ended, whether or not somebody has buried it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_a_sandbox_dies_with_its_parent() -> None:
    program = (
        "import asyncio, sys\nfrom worker_runtime.gpu import sandbox\nasync def main():\n"
        "  child = await sandbox.find().start([sys.executable, '-I', '-c', 'import time; print(flush=True); time.sleep(60)'])\n"
        "  await child.stdout.readline()\n  print(child.pid, flush=True)\n  await asyncio.sleep(60)\nasyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as parent:
        assert parent.stdout
        inhabitants = family(int(parent.stdout.readline()))
        parent.kill()
    deadline = time.monotonic() + 5
    while not all(map(gone, inhabitants)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(inhabitants) >= 2
    assert [pid for pid in inhabitants if not gone(pid)] == []


async def test_an_ordinary_user_has_the_same_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    other = 65534 if os.geteuid() == 0 else None
    command = [*sandbox.confined(()), "--", "/bin/sh", "-c", "echo $HOME; cat /etc/shadow"]
    child = await asyncio.create_subprocess_exec(*command, user=other, group=other, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/")
    out, complaint = await asyncio.wait_for(child.communicate(), 20)
    assert (out, b"No such file" in complaint) == (b"/tmp\n", True)


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "bwrap" else found(tool))
    assert sandbox.missing.__wrapped__() == "bwrap is not installed (package bubblewrap)"


def test_a_foreign_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    assert sandbox.missing.__wrapped__() == "there is no sandbox for linux on s390x"


def test_a_sandbox_that_may_not_be_made_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda tool: str(fake) if tool == "bwrap" else found(tool))
    assert sandbox.missing.__wrapped__() == ("bubblewrap may not make namespaces here: No permissions to create new namespace")


async def test_without_a_sandbox_a_process_is_still_bounded_and_says_that_it_is_not_isolated() -> None:
    bare = sandbox.Sandbox("bwrap is not installed")
    assert not bare.isolated
    program = "import os, resource; print(sorted(os.environ), resource.getrlimit(resource.RLIMIT_CORE)[0])"
    child = await bare.start([sys.executable, "-I", "-c", program])
    out, _ = await asyncio.wait_for(child.communicate(), 20)
    assert out.decode().strip() == f"{sorted(sandbox.ENVIRONMENT)} 0"
