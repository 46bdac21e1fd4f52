"""members.py PEER SCRATCH [BOOTSTRAP] -- administrator=COMMAND FAMILY=COMMAND...: what clients of several families expect of Kafka when
they are in one group.

The broker is its own, for it is ended and started again; with BOOTSTRAP it is not, and what needs that is left out.
SCENARIOS names some of those below."""
import os
import shlex
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, ".."))
from classic import cooperative, eager, static
from mixed import mixed, mixed_cooperative
from newer import newer, newer_static
from stage import Stage
from statements import end

SCENARIOS = {s.__name__: s for s in (eager, cooperative, static, newer, newer_static, mixed, mixed_cooperative)}


def main():
    before, after = sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]
    peer, scratch, bootstrap = before[0], before[1], before[2] if len(before) > 2 else None
    commands = {family: shlex.split(command) for family, command in (text.split("=", 1) for text in after)}
    chosen = [name for name in os.environ.get("SCENARIOS", "").split(",") if name] or list(SCENARIOS)
    if unknown := [name for name in chosen if name not in SCENARIOS]:
        sys.exit(f"unknown scenarios {', '.join(unknown)}: there are {', '.join(SCENARIOS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is running is ended first
    stage = Stage(peer, scratch, bootstrap, commands, commands.pop("administrator"))
    print(f"# clients of {len(commands)} families in one group ({', '.join(commands)}) against {peer}", flush=True)
    try:
        for name in chosen:
            began = time.monotonic()
            SCENARIOS[name](stage)
            print(f"# {name}: {time.monotonic() - began:.0f} s", flush=True)
    finally:
        stage.end()
    end()


main()
