"""A terminal whose output goes to a file. usage: service_console.py FILE LINK: LINK then leads to the terminal."""

import os
import pty
import sys

main, other = pty.openpty()
os.symlink(os.ttyname(other), sys.argv[2])
with open(sys.argv[1], "wb", 0) as out:
    while True:
        out.write(os.read(main, 4096))
