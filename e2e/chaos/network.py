"""The network between the nodes: a namespace for each, in which every packet that leaves it can be sent astray.

The driver itself runs in a network namespace of its own (run.sh), so names and addresses meet nobody's, and the clients run beside it. Each
node has a cable into one bridge. Neighbours are entered by hand on all sides; a cut from one to another gives the one a wrong hardware
address for the other: what it sends is lost in silence, as on a broken cable, and nothing else changes. So a cut has a direction.
"""
import os
import shutil
import subprocess

# The clients' end: they and the driver are one more machine on the bridge.
CLIENTS = 0
BROKER_PORT, CONTROLLER_PORT = 9092, 9093
# What a slow network lets through of each direction of a cable, and how long a packet may wait for it.
SLOW_RATE, SLOW_QUEUE = "512kbit", "400ms"
NETEM_DELAY = ("delay", "80ms", "40ms", "loss", "2%")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def hardware(node):
    return f"02:00:00:00:01:{node:02x}"


class Namespaces:
    """Needs to be root, and run.sh's namespace."""
    cuts = True

    def __init__(self, nodes):
        self.nodes = list(nodes)
        run("ip", "link", "set", "lo", "up")
        # The names of namespaces lie in a folder that all of them would share.
        os.makedirs("/run/netns", exist_ok=True)
        run("mount", "-t", "tmpfs", "none", "/run/netns")
        run("ip", "link", "add", "bridge", "address", hardware(CLIENTS), "type", "bridge")
        run("ip", "address", "add", f"{self.host(CLIENTS)}/24", "dev", "bridge")
        run("ip", "link", "set", "bridge", "up")
        for node in self.nodes:
            run("ip", "netns", "add", f"node{node}")
            run("ip", "link", "add", f"cable{node}", "type", "veth", "peer", "name", "eth0", "netns", f"node{node}")
            run("ip", "link", "set", f"cable{node}", "master", "bridge", "up")
            for what in (("link", "set", "lo", "up"), ("link", "set", "eth0", "address", hardware(node)),
                         ("address", "add", f"{self.host(node)}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
                run("ip", "-n", f"node{node}", *what)
        self.ends = [CLIENTS, *self.nodes]
        self.heal()
        self.netem = self._knows_netem()

    def host(self, node):
        return f"10.99.0.{node or 254}"

    def address(self, node):
        return f"{self.host(node)}:{BROKER_PORT}"

    def controller(self, node):
        return f"{self.host(node)}:{CONTROLLER_PORT}"

    def command(self, node, command):
        return ["nsenter", f"--net=/run/netns/node{node}", *command]

    def _neighbour(self, at, of, address):
        where = ("-n", f"node{at}") if at else ()
        device = "eth0" if at else "bridge"
        run("ip", *where, "neighbour", "replace", self.host(of), "lladdr", address, "nud", "permanent", "dev", device)

    def cut(self, sender, receiver):
        """What `sender` sends to `receiver` is lost."""
        self._neighbour(sender, receiver, "02:ff:00:00:00:00")

    def heal(self):
        for sender in self.ends:
            for receiver in self.ends:
                if sender != receiver:
                    self._neighbour(sender, receiver, hardware(receiver))

    def unplug(self, node):
        run("ip", "link", "set", f"cable{node}", "down")

    def plug(self, node):
        run("ip", "link", "set", f"cable{node}", "up")

    def _knows_netem(self):
        try:
            self._shape(self.nodes[0], "netem", *NETEM_DELAY)
            self.quick(self.nodes[0])
            return True
        except OSError:
            return False

    def _shape(self, node, *how):
        run("tc", "qdisc", "replace", "dev", f"cable{node}", "root", *how)
        run("tc", "-n", f"node{node}", "qdisc", "replace", "dev", "eth0", "root", *how)

    def slow(self, node):
        if self.netem:
            self._shape(node, "netem", *NETEM_DELAY)
        else:
            self._shape(node, "tbf", "rate", SLOW_RATE, "burst", "16kb", "latency", SLOW_QUEUE)

    def quick(self, node):
        for where in (("dev", f"cable{node}"), ("-n", f"node{node}")):
            if where[0] == "-n":
                subprocess.run(["tc", *where, "qdisc", "del", "dev", "eth0", "root"], capture_output=True)
            else:
                subprocess.run(["tc", "qdisc", "del", *where, "root"], capture_output=True)

    def can_slow(self):
        return shutil.which("tc") is not None


class Loopback:
    """Where there may be no namespaces: ports on one address, and a network that cannot be hurt."""
    cuts = False

    def __init__(self, nodes):
        import socket
        held = [socket.create_server(("127.0.0.1", 0)) for _ in nodes for _ in range(2)]
        ports = [s.getsockname()[1] for s in held]
        self.ports = {node: ports[2 * i:2 * i + 2] for i, node in enumerate(nodes)}
        for s in held:
            s.close()

    def address(self, node):
        return f"127.0.0.1:{self.ports[node][0]}"

    def controller(self, node):
        return f"127.0.0.1:{self.ports[node][1]}"

    def command(self, _node, command):
        return command

    def can_slow(self):
        return False

    def heal(self):
        pass
