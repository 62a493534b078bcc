"""Starts a notebook server's container as JupyterHub does: by the real DockerSpawner with the settings of a
jupyterhub_config.py, for a user of a hub whose database is in memory. Prints the container's id.

usage: spawn.py CONFIG USER NAME=VALUE...     the values, expressions of Python, are set on the spawner: in what the place of
the test differs
"""

import asyncio
import pathlib
import sys

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.objects import Hub
from jupyterhub.user import User
from traitlets.config import PyFileConfigLoader


async def main(config, name, *settings):
    # The hub's own reading of the file, so that a class or a setting that does not exist is found.
    loaded = PyFileConfigLoader(pathlib.Path(config).name, path=str(pathlib.Path(config).parent)).load_config()
    spawner_class = JupyterHub(config=loaded).spawner_class
    session = orm.new_session_factory("sqlite:///:memory:")()
    hub = Hub(ip="127.0.0.1", port=8081, base_url="/hub/")
    person = User(
        orm.User(name=name),
        {"config": loaded, "spawner_class": spawner_class, "hub": hub, "base_url": "/"},
        db=session,
    )
    session.add(person.orm_user)
    session.commit()
    spawner = person.spawner
    assert spawner_class.__name__ == "DockerSpawner", spawner_class
    for setting in settings:
        key, value = setting.split("=", 1)
        setattr(spawner, key, eval(value))  # noqa: S307 of the test's own words
    spawner.api_token = "of-no-hub"
    await spawner.start()
    print(spawner.container_id)


asyncio.run(main(*sys.argv[1:]))
