"""Locks itself in with Landlock and seccomp, then becomes the command: `python -I -S launch.py [OPTIONS] -- COMMAND…`.

    --read PATH    may be read and executed          --device PATH  a device node that may be used
    --write PATH   may be changed, and what is in it  --comm         threads may be named (CUDA does that)
    --hide PATH    inside a readable one: not even read (its name stays visible)

Stdlib only, by syscall: it must work where nothing can be installed. What is not named cannot be opened; no sockets can
be made, no process outside can be signalled (Landlock 6) or inspected, no privilege regained. Any failure ends it with
126 before the command runs.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_SOCK, MAKE_BLOCK, REFER, TRUNCATE, IOCTL_DEV = 1 << 6, 1 << 9, 1 << 11, 1 << 13, 1 << 14, 1 << 15
READ = EXECUTE | READ_FILE | READ_DIR
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
CREATE_RULESET, ADD_RULE, RESTRICT_SELF, PATH_BENEATH = 444, 445, 446, 1

# what a training script never needs, and an escape might; io_uring would make sockets behind the filter's back
FORBIDDEN = {
    "x86_64": (
        0xC000003E,
        (41, 101, 155, 161, 165, 166, 175, 176, 246, 248, 249, 250, 272, 298, 304, 308, 310, 311, 313, 321, 323),
    ),
    "aarch64": (
        0xC00000B7,
        (198, 117, 41, 51, 40, 39, 105, 106, 104, 217, 218, 219, 97, 241, 265, 268, 270, 271, 273, 280, 282),
    ),
}  # socket, ptrace, pivot_root, chroot, mount, umount2, …_module, kexec_load, keys, unshare, perf, handles, setns,
# process_vm_…, bpf, userfaultfd; and with one number everywhere: io_uring ×3, the new mount calls, pidfd_getfd
FORBIDDEN_EVERYWHERE = (425, 426, 427, 428, 429, 430, 432, 438, 442)
X32 = 0x40000000
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 13  # EACCES

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_CAP_AMBIENT = 38, 22, 24, 47
CAPABILITY_VERSION = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> None:
    split = arguments.index("--")
    options, command = arguments[:split], arguments[split + 1 :]
    named: dict[str, list[str]] = {"--read": [], "--write": [], "--hide": [], "--device": []}
    comm = "--comm" in options
    words = iter(word for word in options if word != "--comm")
    for option in words:
        named[option].append(next(words))
    drop_capabilities()
    must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    restrict_files(named["--read"], named["--write"], named["--hide"], named["--device"], comm)
    restrict_calls()
    os.execvpe(command[0], command, os.environ)


def restrict_files(read: list[str], write: list[str], hide: list[str], devices: list[str], comm: bool) -> None:
    abi = libc.syscall(CREATE_RULESET, None, 0, 1)
    rights = (1 << (13 + (abi >= 2) + (abi >= 3))) - 1 | (IOCTL_DEV if abi >= 5 else 0)
    rules = struct.pack("=QQQ", rights, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)  # TCP both ways; signals, sockets
    rules = rules[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    ruleset = must(libc.syscall(CREATE_RULESET, rules, len(rules), 0), "landlock")
    hide = [os.path.realpath(path) for path in hide]
    for path in sorted({os.path.realpath(path) for path in read}):
        if any(inside(item, path) for item in hide):
            allow(ruleset, path, READ_DIR & rights)  # names only; Python lists its directories
            for part in around(path, hide):
                allow(ruleset, part, READ & rights)
        else:
            allow(ruleset, path, READ & rights)
    for path in write:
        allow(ruleset, path, rights & ~(MAKE_CHAR | MAKE_BLOCK | MAKE_SOCK | IOCTL_DEV))
    for path in devices:
        allow(ruleset, path, (READ_FILE | READ_DIR | WRITE_FILE | IOCTL_DEV | TRUNCATE) & rights)
    if comm:
        allow(ruleset, "/proc/self/task", (READ_FILE | READ_DIR | WRITE_FILE) & rights)
    must(libc.syscall(RESTRICT_SELF, ruleset, 0), "landlock")
    os.close(ruleset)


def allow(ruleset: int, path: str, rights: int) -> None:
    """Grant rights on a path and what is below it; a path that is not there is no loss."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):
        rights &= FILE_RIGHTS
    rule = struct.pack("=Qi", rights, handle)
    must(libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, rule, 0), f"landlock rule for {path}")
    os.close(handle)


def around(path: str, hide: list[str]) -> list[str]:
    """Everything in a directory but the hidden: rights are inherited downwards and cannot be taken away again.

    A link stays out, lest it lead to what is hidden (a venv's lib64 is its lib); where it leads has a path of its own.
    """
    parts = []
    for entry in os.scandir(path):
        if entry.path in hide or entry.is_symlink():
            continue
        deeper = [item for item in hide if inside(item, entry.path)]
        parts += around(entry.path, deeper) if deeper else [entry.path]
    return parts


def inside(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")


def restrict_calls() -> None:
    """Seccomp: the calls above fail with EACCES. Machines whose numbers are not known here go without."""
    machine = os.uname().machine
    if machine not in FORBIDDEN:
        return
    architecture, known = FORBIDDEN[machine]
    numbers = (*known, *FORBIDDEN_EVERYWHERE)
    program = [(LOAD, 0, 0, 4), (JUMP_EQUAL, 0, len(numbers) + 3, architecture), (LOAD, 0, 0, 0)]
    program.append((JUMP_AT_LEAST, len(numbers) + 1, 0, X32))
    program += [(JUMP_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    program += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    filled = struct.pack("@HP", len(program), ctypes.addressof(code))
    must(libc.prctl(PR_SET_SECCOMP, 2, filled, 0, 0), "seccomp")


def drop_capabilities() -> None:
    """Root without its powers: it keeps only what its files' owner may do."""
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_CAP_AMBIENT, 4, 0, 0, 0)
    must(libc.capset(struct.pack("=II", CAPABILITY_VERSION, 0), bytes(24)), "capset")


def must(result: int, what: str) -> int:
    if result < 0:
        sys.stderr.write(f"sandbox: {what}: {os.strerror(ctypes.get_errno())}\n")
        sys.exit(126)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
