"""The clients' processes: each is started here and ended here by its own id."""
import os
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# What a producer has sent must have a fate first: as long as its longest delivery timeout, and an answer.
LEAVE_S = 150


class Crew:
    def __init__(self, results):
        self.journals, self.workers, self.count = os.path.join(results, "history"), {}, 0
        os.makedirs(self.journals)
        self.errors = open(os.path.join(results, "clients.log"), "ab")
        # What ended although nobody told it to, or with a failure.
        self.troubles = []

    def start(self, name, command, *arguments, named=True):
        """The program is called with BOOTSTRAP JOURNAL NAME and its own arguments; `command` ends with BOOTSTRAP. Not every one wants its NAME."""
        self.count += 1
        journal = os.path.join(self.journals, f"{name}-{self.count}")
        self.workers[name] = subprocess.Popen([*command, journal, *([name] if named else []), *map(str, arguments)], stdin=subprocess.PIPE,
                                              stdout=self.errors, stderr=self.errors)

    def look(self):
        """Whoever has ended since, and was not told to."""
        for name, process in list(self.workers.items()):
            if process.poll() is None:
                continue
            told = process.stdin.closed
            if not told or process.returncode:
                self.troubles.append(f"{name} ended with {process.returncode}" + ("" if told else " although nobody told it to"))
            self._forget(name)
            if not told:
                yield name

    def leave(self, name):
        """It may take its time; look() sees it go."""
        self.workers[name].stdin.close()

    def kill(self, name):
        self.workers[name].kill()
        self.workers[name].wait()
        self._forget(name)

    def dismiss(self, names):
        """Lets these leave, all at once; who takes too long is killed."""
        names = [name for name in names if name in self.workers]
        for name in names:
            self.leave(name)
        deadline = time.monotonic() + LEAVE_S
        for name in names:
            process = self.workers[name]
            try:
                if process.wait(max(0, deadline - time.monotonic())):
                    self.troubles.append(f"{name} ended with {process.returncode}")
            except subprocess.TimeoutExpired:
                self.troubles.append(f"{name} did not leave within {LEAVE_S} s and was killed")
                process.kill()
                process.wait()
            self._forget(name)

    def _forget(self, name):
        process = self.workers.pop(name)
        if not process.stdin.closed:
            process.stdin.close()

    def end(self):
        for process in self.workers.values():
            process.kill()
            process.wait()
        self.errors.close()
