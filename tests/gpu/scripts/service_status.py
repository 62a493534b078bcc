"""Whether a condition on a status of nvsharectl holds, as the exit code. usage: service_status.py FILE CONDITION
CONDITION: Python, of s (the status), tenants and devices"""

import json
import sys

s = json.load(open(sys.argv[1]))
tenants, devices = s["tenants"], s["gpus"]
sys.exit(not eval(sys.argv[2]))
