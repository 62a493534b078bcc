"""Processes that answer a line with a line, so that one of several works at a time and what the machine does meanwhile
meets all of them alike."""
import os
import queue
import subprocess
import threading

LOADS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "loads")


def command(case, speed):
    """What runs a case: of speed.cu, built in the folder `speed`, or of framework_cases.py."""
    if case.startswith("cpp_"):
        _, library, what = case.split("_")
        return [f"{speed}/speed-{library}", what]
    return ["python3", f"{LOADS}/framework_cases.py", case]


class Process:
    def __init__(self, command, kind, library, runtime, log, settings=None):
        """`kind`: native, or the engine that it runs with under the scheduler in `runtime`."""
        env = {**os.environ, **(settings or {})}
        if kind != "native":
            env |= {"LD_PRELOAD": library, "NVSHARE_ENGINE": kind, "NVSHARE_SOCKET": f"{runtime}/tenants/scheduler.sock"}
        self.name, self.log = f"{command[-1]} ({kind})", log
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(log, "w"), text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())
        self.lines.put(None)

    def tell(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def hear(self, seconds):
        """Its next line. An error if it has ended, or says nothing within so many seconds."""
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            raise RuntimeError(f"{self.name}: no answer within {seconds} s") from None
        if line is None:
            last = open(self.log, errors="replace").read().strip().splitlines()[-1:]
            raise RuntimeError(f"{self.name}: ended with {self.process.wait()}: {' '.join(last)}")
        return line

    def ask(self, word, seconds):
        self.tell(word)
        return self.hear(seconds)

    def end(self):
        """Lets it end by itself; kills it if it does not."""
        try:
            self.process.stdin.close()
            return self.process.wait(20)
        except (subprocess.TimeoutExpired, OSError):
            self.process.kill()
            return self.process.wait()
