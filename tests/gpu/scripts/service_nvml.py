"""What the simulated NVML is to tell of the tenants in a status, and of one process that is none.
usage: service_nvml.py STATUS PID"""

import json
import sys

status = json.load(open(sys.argv[1]))
print("device", status["gpus"][0]["uuid"])
for pid, mib in [(t["pid"], 60) for t in status["tenants"]] + [(sys.argv[2], 5)]:
    print("compute", pid, mib << 20)
