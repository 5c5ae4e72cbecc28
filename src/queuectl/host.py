"""Which host, boot and pid namespace this is, and facts about processes, from /proc."""

from __future__ import annotations

import errno
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.model import Worker

_OF_THE_KERNEL = 0x00200000  # PF_KTHREAD
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def host_name() -> str:
    """As `uname -n`."""
    return os.uname().nodename


def boot_id() -> str:
    """Differs after each boot; empty where the system does not tell."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def pid_namespace() -> str:
    """Tells containers apart; empty where there is no such thing."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if it is gone (or a zombie)."""
    found = stat(pid)
    return found[0] if found else None


def stat(pid: int) -> tuple[int, int, int] | None:
    """(start in ticks since boot, session id, group id) of a living process that is not the
    kernel's own (proc_pid_stat(5)); an id is 0 where its leader is outside of this pid
    namespace. Raises OSError where the machine is too short of something to tell."""
    text = _read(f"/proc/{pid}/stat")
    # The name stands in brackets and may hold anything, brackets too.
    fields = text[text.rfind(")") + 2 :].split()
    if len(fields) < 20 or fields[0] == "X" or int(fields[6]) & _OF_THE_KERNEL:
        return None
    if fields[0] == "Z" and int(fields[17]) < 2:  # else only its first thread has ended
        return None
    return int(fields[19]), int(fields[3]), int(fields[2])


def is_suspended(pid: int) -> bool:
    """Whether a signal or a debugger has stopped the process."""
    text = _read(f"/proc/{pid}/stat")
    return text[text.rfind(")") + 2 :][:1] in ("T", "t")


def is_here(worker: Worker) -> bool:
    """Whether it registered on this host, in this boot and pid namespace."""
    return (worker.host, worker.boot_id, worker.pid_namespace) == (
        host_name(),
        boot_id(),
        pid_namespace(),
    )


def is_running(worker: Worker) -> bool:
    """Whether the process that registered as this worker may be alive, as far as this host,
    boot and pid namespace can tell."""
    if (worker.boot_id, worker.pid_namespace) != (boot_id(), pid_namespace()):
        # Another boot of this host is over; of another host or container nothing is known.
        return worker.host != host_name() or worker.boot_id == boot_id()
    return start_ticks(worker.pid) == worker.start_ticks


def ticks_now() -> int:
    """The present in the unit and from the origin of `start_ticks`, rounded down."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // _TICK_NS


def keep_only(*descriptors: int) -> None:
    """Close what was inherited beyond the standard streams and these, and keep these to
    ourselves: nothing of a shell's or a supervisor's may stay open in a worker or a job."""
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        if number > 2 and number not in descriptors:
            _close(number)
    for number in descriptors:
        os.set_inheritable(number, False)


def _close(number: int) -> None:
    try:
        os.close(number)
    except OSError:  # the listing's own
        return


def all_pids() -> list[int]:
    """Every process that /proc shows."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def is_shortage(error: OSError) -> bool:
    """Whether it tells of this machine's want of descriptors, memory or processes, and of
    nothing else: to be tried again."""
    return error.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError as error:
        if is_shortage(error):
            raise
        return ""
