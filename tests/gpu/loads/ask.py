"""Asks the servers at these ports, COUNT times each. `at-once`: all of them at the same time; `in-turn`: one after the other, and
around again. Prints JSON: for each port the seconds that each answer took, and the answers.
usage: ask.py at-once|in-turn COUNT PORT..."""

import json
import sys
import threading
import time
import urllib.request

how, count, ports = sys.argv[1], int(sys.argv[2]), [int(port) for port in sys.argv[3:]]
took, answers = {port: [] for port in ports}, {port: [] for port in ports}


def ask(port):
    begin = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", b"Once upon a time", timeout=60) as answer:
        answers[port].append(answer.read().decode())
    took[port].append(time.monotonic() - begin)


def ask_all(port):
    for _ in range(count):
        ask(port)


if how == "at-once":
    threads = [threading.Thread(target=ask_all, args=(port,)) for port in ports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
else:
    for _ in range(count):
        for port in ports:
            ask(port)
            # Long enough to be idle.
            time.sleep(0.5)
right = all(len(answers[port]) == count for port in ports)
print(json.dumps({"right": right, "took": [took[port] for port in ports], "answers": [answers[port] for port in ports]}))
