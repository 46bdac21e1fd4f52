"""A cluster of several nodes of either system, each in its network namespace and, where it may be mounted, on a small file system of its own."""
import base64
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid

from systems import PEERS, formatted, properties

START_S = 120
STOP_S = 60
# Room for what a run writes, with both systems' preallocated files; sparse, so only what is written takes space.
DISK_MIB = 2048


class Node:
    def __init__(self, number, folder):
        self.number, self.folder = number, folder
        self.file, self.log = os.path.join(folder, "server.properties"), os.path.join(folder, "server.log")
        self.volume = os.path.join(folder, "volume")
        self.process, self.paused = None, False

    @property
    def data(self):
        return os.path.join(self.volume, "data")

    @property
    def ballast(self):
        return os.path.join(self.volume, "ballast")

    def running(self):
        return self.process is not None and self.process.poll() is None


class Cluster:
    def __init__(self, system, network, count, folder, overrides=None, disks=True):
        self.system, self.network, self.folder, self.overrides = system, network, folder, overrides or {}
        # Neither a "-" at its beginning nor a reserved one: what Kafka's random-uuid gives.
        self.id = "C" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        self.nodes = {n: Node(n, os.path.join(folder, f"node-{n}")) for n in range(1, count + 1)}
        for node in self.nodes.values():
            os.makedirs(node.volume)
        self.disks = disks and self._mount()

    @property
    def bootstrap(self):
        return ",".join(self.network.address(n) for n in self.nodes)

    def _mount(self):
        """Loop devices, so that a disk can be full without filling the machine's. They go with run.sh's mount namespace."""
        if os.geteuid() or not shutil.which("mkfs.ext4"):
            return False
        for node in self.nodes.values():
            image = os.path.join(node.folder, "volume.img")
            with open(image, "wb") as file:
                file.truncate(DISK_MIB << 20)
            for command in (["mkfs.ext4", "-q", "-m", "0", image], ["mount", "-o", "loop", image, node.volume]):
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    print(f"# no disks of their own: {' '.join(command)}: {done.stderr.strip()}", flush=True)
                    return False
        return True

    def format(self, number):
        node = self.nodes[number]
        os.makedirs(node.data)
        with open(node.file, "w") as file:
            file.write(properties(self.system, number, self.nodes, self.network, node.data, self.overrides))
        formatted(self.system, self.id, node.file, os.path.join(node.folder, "format.log"))

    def start(self, number):
        node = self.nodes[number]
        with open(node.log, "ab") as log:
            node.process = subprocess.Popen(self.network.command(number, self.system.server(node.file)), cwd=node.folder, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)

    def start_all(self):
        for number in self.nodes:
            self.format(number)
            self.start(number)
        deadline = time.monotonic() + START_S
        for number in self.nodes:
            self.await_answer(number, deadline)

    def await_answer(self, number, deadline):
        while not self.answers(number):
            if not self.nodes[number].running():
                raise OSError(f"node {number} ended before it answered, see {self.nodes[number].log}")
            if time.monotonic() > deadline:
                raise OSError(f"node {number} did not answer in time, see {self.nodes[number].log}")
            time.sleep(0.3)

    def answers(self, number):
        return not subprocess.run([sys.executable, os.path.join(PEERS, "answers.py"), self.network.address(number)]).returncode

    def kill(self, number):
        node = self.nodes[number]
        if node.running():
            node.process.kill()
            node.process.wait()
        node.paused = False

    def stop(self, number):
        """The polite way; says whether it was enough."""
        node = self.nodes[number]
        if not node.running():
            return True
        node.process.terminate()
        try:
            node.process.wait(STOP_S)
            return True
        except subprocess.TimeoutExpired:
            self.kill(number)
            return False

    def pause(self, number):
        if self.nodes[number].running():
            self.nodes[number].process.send_signal(signal.SIGSTOP)
            self.nodes[number].paused = True

    def resume(self, number):
        if self.nodes[number].paused:
            self.nodes[number].process.send_signal(signal.SIGCONT)
            self.nodes[number].paused = False

    def fill(self, number):
        """Not a byte is free any more."""
        node = self.nodes[number]
        with open(node.ballast, "wb", buffering=0) as file:
            free = os.statvfs(node.volume)
            try:
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
            except OSError:
                pass  # it was taken meanwhile
            end, block = file.seek(0, os.SEEK_END), 1 << 16
            while block >= 512:
                try:
                    file.write(bytes(block))
                except OSError:
                    block //= 2
            return end

    def free(self, number):
        if os.path.exists(self.nodes[number].ballast):
            os.remove(self.nodes[number].ballast)

    def wipe(self, number):
        """Everything it ever wrote is gone, as when a disk is replaced; it is formatted for the same cluster under the same number."""
        self.kill(number)
        shutil.rmtree(self.nodes[number].data)
        self.format(number)

    def end(self):
        for node in self.nodes.values():
            if node.running():
                node.process.kill()
                node.process.wait()
        for node in self.nodes.values():
            if os.path.ismount(node.volume):
                subprocess.run(["umount", "-l", node.volume], capture_output=True)
