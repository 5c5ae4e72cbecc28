"""`python -m queuectl.worker.main SETTINGS LIFELINE READY`: a worker process.

SETTINGS is JSON; the store is that of QUEUECTL_DB, where a password is safe from `ps`.
LIFELINE and READY are descriptors of pipes from the supervisor: the first ends when the
supervisor is gone, into the second goes a byte once the worker is registered. Exit codes: 0
done, 75 start another, 76 too old for the store, else an error that another start would not
mend.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from contextlib import suppress

from queuectl import __version__, host
from queuectl.clock import now_ms
from queuectl.errors import QueuectlError, StoreError, StoreTooNew
from queuectl.model import Worker
from queuectl.store import lasting_url, open_store
from queuectl.worker import OUTDATED, faultpoints, shortage
from queuectl.worker.doorbell import Doorbell
from queuectl.worker.ear import Ear
from queuectl.worker.heart import Heart, boot_ns
from queuectl.worker.lookout import Lookout
from queuectl.worker.loop import Loop, Settings
from queuectl.worker.pace import MOST
from queuectl.worker.report import Report
from queuectl.worker.rescue import end_runs
from queuectl.worker.run import NEVER
from queuectl.worker.signals import catch
from queuectl.worker.slots import SlotFile
from queuectl.worker.storethread import StoreThread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.config import Config

_GRACEFUL = (signal.SIGTERM, signal.SIGHUP)
_AT_ONCE = (signal.SIGINT, signal.SIGQUIT)


def main(argv: list[str]) -> int:
    """Be a worker until told to stop."""
    words = json.loads(argv[1])
    url = lasting_url(None)
    lists = {name: tuple(value) for name, value in words.items() if isinstance(value, list)}
    settings = Settings(**{**words, **lists})
    lifeline, ready = int(argv[2]), int(argv[3])
    try:
        with shortage.as_store_error():
            host.keep_only(lifeline, ready)
            faultpoints.arm()
            return _begin(url, settings, lifeline, ready)
    except QueuectlError as error:
        print(f"queuectl: {error.message}", file=sys.stderr)
        return OUTDATED if isinstance(error, StoreTooNew) else error.exit_code


def _begin(url: str, settings: Settings, lifeline: int, ready: int) -> int:
    signals, _write = catch((signal.SIGCHLD, *_GRACEFUL, *_AT_ONCE))
    with open_store(url) as store:
        if store.uid != settings.store_uid:  # what watches over us looks elsewhere
            print(f"queuectl: {store.url} is another store than before", file=sys.stderr)
            return OUTDATED
        config = store.config()
        began = boot_ns()
        slot_file = _slot_file(store.slot_dir, settings)
        try:
            store.register(_describe(settings))
        except BaseException:
            slot_file.remove()
            raise
        leases = store.leases
        # Registering read it too; should it have been lowered between, the lower holds.
        lease = min(config.lease_seconds, store.config().lease_seconds)
        faultpoints.reach("worker.registered")
    heart = None
    if leases:
        heart = Heart(url, settings.worker_id, lease, began, slot_file)
    return _work(settings, config, slot_file, heart, signals, lifeline, ready)


def _work(
    settings: Settings,
    config: Config,
    slot_file: SlotFile,
    heart: Heart | None,
    signals: int,
    lifeline: int,
    ready: int,
) -> int:
    _make_room(settings.slots)
    report = Report()
    bell = Doorbell(settings.store_uid, settings.worker_id)
    lookout = Lookout(settings.worker_id, config, slot_file)

    store = StoreThread(open_store, lookout, config.worker_poll_interval, bell)
    loop = Loop(settings, config, store, slot_file, heart, report)

    def signalled() -> None:
        for number in os.read(signals, 4096):
            if number == signal.SIGCHLD:
                loop.reap()
            elif number in _GRACEFUL:
                loop.stop_gracefully()
            elif number in _AT_ONCE:
                loop.stop_now()

    def supervisor_gone() -> None:
        loop.unwatch(lifeline)
        loop.stop(NEVER)

    loop.watch(signals, signalled)
    loop.watch(lifeline, supervisor_gone)
    slots = "1 slot" if settings.slots == 1 else f"{settings.slots} slots"
    queues = ", ".join(settings.queues) if settings.queues else "all queues"
    report.line(f"worker {settings.worker_id} ready on {host.host_name()}: {slots}, {queues}")
    store.start()
    ear = Ear(open_store, store.ring)
    if heart is not None:
        heart.start()
        ear.start()
    _tell(ready)
    code = loop.run()
    if code == 0:
        store.finish(5.0)
    else:  # nothing may be recorded any more, and all that runs must end now
        end_runs(slot_file.path, settings.store_uid)
    if heart is not None:
        heart.stop()
        ear.stop()
    bell.take_down()
    if loop.signed_off:
        slot_file.remove()
    return code


def _slot_file(folder: str, settings: Settings) -> SlotFile:
    try:
        return SlotFile(folder, settings.worker_id, settings.slots + 2 * MOST + 64)
    except OSError as error:
        raise StoreError(f"no slot file can be kept in {folder}: {error.strerror}") from None


def _tell(ready: int) -> None:
    with suppress(BrokenPipeError):  # the supervisor is gone; the lifeline will say so
        os.write(ready, b"!")
    os.close(ready)


def _describe(settings: Settings) -> Worker:
    now = now_ms()
    return Worker(
        id=settings.worker_id,
        host=host.host_name(),
        pid=os.getpid(),
        boot_id=host.boot_id(),
        pid_namespace=host.pid_namespace(),
        start_ticks=host.start_ticks(os.getpid()) or 0,
        supervisor_pid=os.getppid(),
        slots=settings.slots,
        queues=settings.queues,
        started_at=now,
        heartbeat_at=now,
        version=__version__,
    )


def _make_room(slots: int) -> None:
    """Descriptors for many slots; programs inherit the limit, so only if need be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = slots * 2 + 128
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
