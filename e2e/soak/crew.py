"""The processes of the soak: each is started here, heard here, and ended here by its own id."""
import json
import os
import selectors
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# How long a role that was told to leave may take: what it has sent must be acknowledged first.
LEAVE_S = 90


class Worker:
    def __init__(self, name, process):
        self.name, self.process, self.heard, self.told_to_leave = name, process, b"", False


class Crew:
    def __init__(self, results):
        self.workers, self.selector = {}, selectors.DefaultSelector()
        self.errors = open(os.path.join(results, "clients.log"), "ab")
        # What ended although nobody told it to, or with a failure.
        self.troubles = []

    def start(self, name, program, *arguments):
        self.run(name, [sys.executable, os.path.join(HERE, program), *map(str, arguments)])

    def run(self, name, command):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        worker = self.workers[name] = Worker(name, process)
        os.set_blocking(process.stdout.fileno(), False)
        self.selector.register(process.stdout, selectors.EVENT_READ, worker)

    def leave(self, name):
        """Its input ends, and it leaves politely."""
        worker = self.workers[name]
        worker.told_to_leave = True
        worker.process.stdin.close()

    def kill(self, name):
        worker = self.workers[name]
        worker.told_to_leave = None  # whatever it ends with
        worker.process.kill()

    def hear(self, seconds):
        """What workers have said within that time: (name, facts), at least once around."""
        for key, _ in self.selector.select(seconds):
            worker = key.data
            received = os.read(worker.process.stdout.fileno(), 1 << 20)
            if not received:
                self.ended(worker)
                continue
            *lines, worker.heard = (worker.heard + received).split(b"\n")
            for line in lines:
                # A Java program's output is text.
                yield worker.name, json.loads(line) if line.startswith(b"{") else {"kind": "text", "text": line.decode(errors="replace")}

    def ended(self, worker):
        self.selector.unregister(worker.process.stdout)
        code = worker.process.wait()
        worker.process.stdout.close()
        worker.process.stdin.close()
        del self.workers[worker.name]
        if worker.told_to_leave is False and code == 0:
            worker.told_to_leave = worker.name == "java"  # it has a number of records to send, and then ends
        if worker.told_to_leave is False or (worker.told_to_leave and code != 0):
            self.troubles.append(f"{worker.name} ended with {code}" + ("" if worker.told_to_leave else " although nobody told it to"))

    def dismiss(self, names):
        """Lets these leave and hears them out; who takes too long is killed."""
        names = [name for name in names if name in self.workers]
        for name in names:
            self.leave(name)
        deadline = time.monotonic() + LEAVE_S
        while any(name in self.workers for name in names):
            yield from self.hear(0.5)
            if time.monotonic() > deadline:
                for name in names:
                    if name in self.workers:
                        self.troubles.append(f"{name} did not leave within {LEAVE_S} s and was killed")
                        self.kill(name)
                deadline = float("inf")

    def end(self):
        for worker in list(self.workers.values()):
            worker.process.kill()
            worker.process.wait()
        self.errors.close()
