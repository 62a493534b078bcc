"""Two notebooks on one card: kernels as JupyterLab starts them (jupyter_client, ipykernel), which inherit this process's
LD_PRELOAD. One asks for less in its first cell; together they do not fit. Adds rows to FACTS as recipes_hosts.sh does.
usage: recipes_notebooks.py FACTS RUNTIME FIRST-CELL BYTES      BYTES: of a GiB"""

import json
import re
import statistics
import subprocess
import sys
import time

from jupyter_client.manager import KernelManager

facts, runtime, first_cell, gib = sys.argv[1:]
facts = open(facts, "a", buffering=1)


def figure(what, value, unit="", must="", good=True):
    print(f"notebooks: {what}", value, unit, must, "yes" if good else "no", sep="\t", file=facts)


def tenants():
    """The tenants by their pids."""
    said = subprocess.run(["nvsharectl", "--runtime-dir", runtime, "status", "--json"], capture_output=True, check=True)
    return {tenant["pid"]: tenant for tenant in json.loads(said.stdout)["tenants"]}


def becomes(condition, seconds=20):
    """Whether the tenants become so, in time."""
    end = time.monotonic() + seconds
    while not condition(tenants()):
        if time.monotonic() > end:
            print(subprocess.run(["nvsharectl", "--runtime-dir", runtime, "status", "-o", "wide"], capture_output=True).stdout.decode(), file=sys.stderr)
            return False
        time.sleep(0.05)
    return True


class Notebook:
    def __init__(self):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()

    def ready(self):
        self.client.wait_for_ready(timeout=40)
        self.pid = int(self.cell("import os; print(os.getpid())"))

    def cell(self, code):
        """What a cell prints, or the error that it ends with."""
        said = []

        def hear(message):
            content = message["content"]
            # What the library says on standard error comes here too, sometimes with a later cell.
            if message["msg_type"] == "stream" and content["name"] == "stdout":
                said.append(content["text"])
            elif message["msg_type"] == "error":
                said.append(f"{content['ename']}: {content['evalue']}")

        self.client.execute_interactive(code, timeout=40, output_hook=hear)
        return "".join(said).strip()

    def allocate(self, blocks):
        self.blocks, self.steps = blocks, 0
        return self.cell(
            f"import torch\nx = [torch.full(({gib} // 4,), 1.0, device='cuda') for _ in range({blocks})]\ntorch.cuda.synchronize()"
        )

    def step(self):
        """Runs a short cell; how long that took."""
        begin = time.monotonic()
        said = self.cell("for block in x: block.add_(1)\ntorch.cuda.synchronize()\nprint('done')")
        self.steps += said == "done"
        return time.monotonic() - begin

    def right(self):
        said = self.cell(f"print(all(bool((block == {1 + self.steps}).all()) for block in x))")
        if said != "True":
            print(f"after {self.steps} steps:", said, self.cell("print([(block.min().item(), block.max().item()) for block in x])"), file=sys.stderr)
        return said == "True"

    def end(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=False)


one, two = Notebook(), Notebook()
one.ready()
two.ready()
one.cell(first_cell)
wrong = [said for said in (one.allocate(4),) if said]
asked = re.search(r'"(\d+)([GM])iB"', first_cell)
limit = int(asked[1]) << {"G": 30, "M": 20}[asked[2]]
figure("the first cell's wish is the limit", tenants()[one.pid]["limit_bytes"] / limit, "", 1, tenants()[one.pid]["limit_bytes"] == limit)
one.step()
wrong += [said for said in (two.allocate(8),) if said]
two.step()
if wrong:
    print(*wrong, sep="\n", file=sys.stderr)
figure("kernels that are tenants, of 2", len({one.pid, two.pid} & tenants().keys()), "", 2, {one.pid, two.pid} <= tenants().keys())
said = one.cell(f"y = [torch.full(({gib} // 4,), 1.0, device='cuda') for _ in range(4)]")
figure("above what it asked for: out of memory", int("out of memory" in said or "error 2" in said), "", 1, "out of memory" in said or "error 2" in said)
one.cell("y = None")
took = [notebook.step() for _ in range(4) for notebook in (one, two)]
figure("a short cell after the other notebook's, the median", statistics.median(took) * 1e3, "ms")
figure("... the longest", max(took) * 1e3, "ms")
idle = becomes(lambda now: now[one.pid]["resident_bytes"] < now[one.pid]["allocated_bytes"] > 0)
mine = tenants()[one.pid]
figure("the idle one's memory that made room for the other", (mine["allocated_bytes"] - mine["resident_bytes"]) / int(gib), "GiB", "> 0", idle)
rights = [one.right(), two.right()]
figure("notebooks with right numbers, of 2", sum(rights), "", 2, all(rights) and one.steps == two.steps == 5)
one.end()
back = becomes(lambda now: one.pid not in now)
figure("a kernel that is shut down gives its memory back", int(back), "", 1, back)
two.client.stop_channels()
two.manager.restart_kernel(now=True)
back = becomes(lambda now: not now)
figure("... and one that is restarted", int(back), "", 1, back)
two.manager.shutdown_kernel(now=True)
