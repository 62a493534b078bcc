"""Speaks with dockerd over its socket, and says what containers get in this place (a JSON file, by `describe`).
usage: docker_api.py SOCKET VERB ARGUMENTS...
    ping; import TAR IMAGE; try IMAGE PLACE; spawn CONFIG PLACE SHARE (a container by the DockerSpawner settings of a
    jupyterhub_config.py, whose program is SHARE; prints its id); has ID (runtime, devices and annotations); ended ID WORDS
       docker_api.py - describe WORK SIMULATED MOUNTS DEVICES     (WORK/variables: NAME=VALUE a line)
       docker_api.py - place PLACE SHARE SERVICE...               (what compose adds to each service)"""

import http.client
import json
import socket
import sys
import types

path, verb, *arguments = sys.argv[1:]


def call(method, where, body=None, content="application/json", good=(200, 201, 204)):
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    connection.sock.connect(path)
    connection.request(method, where, body, {"Content-Type": content} if body else {})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status not in good:
        raise SystemExit(f"{method} {where}: {answer.status} {said.decode()}")
    return said


def create(settings, place, share=None):
    host = settings.setdefault("HostConfig", {})
    host["Binds"] = [f"{at}:{at}:ro" for at in place["mounts"]] + [f"{at}:{at}" for at in place["writable"]]
    if share:
        host["Binds"].append(f"{share}:/work/share.py:ro")
    host["Devices"] = [{"PathOnHost": at, "PathInContainer": at, "CgroupPermissions": "rwm"} for at in place["devices"]]
    host["NetworkMode"], host["PidMode"] = "none", place["pid"]
    settings["Env"] = settings.get("Env", []) + [f"{name}={value}" for name, value in place["variables"].items()]
    name = json.loads(call("POST", "/containers/create", json.dumps(settings)))["Id"]
    call("POST", f"/containers/{name}/start")
    return name


def wait(name):
    code = json.loads(call("POST", f"/containers/{name}/wait"))["StatusCode"]
    return code, call("GET", f"/containers/{name}/logs?stdout=1&stderr=1").decode(errors="replace")


def ping():
    call("GET", "/_ping")


def import_(tar, image):
    with open(tar, "rb") as file:
        call("POST", f"/images/create?fromSrc=-&repo={image}&tag=latest", file.read(), "application/x-tar")


def try_(image, place):
    name = create({"Image": image, "Cmd": ["true"], "HostConfig": {"Runtime": "nvshare"}}, json.load(open(place)))
    code, said = wait(name)
    call("DELETE", f"/containers/{name}?force=1")
    if code:
        raise SystemExit(f"the container ended with {code}: {said}")


def spawn(config, place, share):
    c = types.SimpleNamespace(JupyterHub=types.SimpleNamespace(), DockerSpawner=types.SimpleNamespace())
    exec(open(config).read(), {"c": c})
    spawner = c.DockerSpawner
    # As docker-py names them.
    names = {"runtime": "Runtime", "device_requests": "DeviceRequests"}
    host = {names[key]: value for key, value in spawner.extra_host_config.items()}
    host.update(spawner.extra_create_kwargs["host_config"])
    settings = {"Image": spawner.image, "Cmd": ["python3", "share.py"], "WorkingDir": "/work", "HostConfig": host}
    settings["Env"] = [f"{name}={value}" for name, value in spawner.environment.items()]
    print(create(settings, json.load(open(place)), share))


def has(name):
    host = json.loads(call("GET", f"/containers/{name}/json"))["HostConfig"]
    good = host["Runtime"] == "nvshare" and host["DeviceRequests"][0]["Count"] == -1 and "io.nvshare.mem-limit" in host["Annotations"]
    if not good:
        raise SystemExit(json.dumps(host))


def ended(name, words):
    code, said = wait(name)
    call("DELETE", f"/containers/{name}?force=1")
    if code or words not in said:
        raise SystemExit(f"ended with {code}: {said}")


def describe(work, simulated, mounts, devices):
    variables = dict(line.split("=", 1) for line in open(f"{work}/variables").read().splitlines())
    # The simulated card is a directory with locks of processes that see each other.
    writable, pid = ([f"{work}/card"], "host") if simulated else ([], "")
    print(json.dumps({"mounts": mounts.split(), "writable": writable, "devices": devices.split(), "variables": variables, "pid": pid}))


def place(file, share, *services):
    place = json.load(open(file))
    given = {
        "network_mode": "none",
        "pull_policy": "never",
        "working_dir": "/work",
        "environment": place["variables"],
        "devices": [f"{at}:{at}:rwm" for at in place["devices"]],
        "volumes": [f"{at}:{at}:ro" for at in place["mounts"]] + [f"{at}:{at}" for at in place["writable"]] + [f"{share}:/work/share.py:ro"],
    }
    if place["pid"]:
        given["pid"] = place["pid"]
    print(json.dumps({"services": dict.fromkeys(services, given)}))


verbs = {"ping": ping, "import": import_, "try": try_, "spawn": spawn, "has": has, "ended": ended, "describe": describe, "place": place}
verbs[verb](*arguments)
