"""A notebook's cells in a real Jupyter kernel, asked for as a notebook's page does.

Needs the packages of ipykernel.txt. Standard input is JSON, a list of cells; one that prints "began" is interrupted
then, as by the page's stop button. Standard output is JSON: what each cell printed, and the name of what it raised.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from jupyter_client.manager import KernelManager

PATIENCE = 60.0


def run(manager, client, cell):
    printed = []

    def hear(message):
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])
            if printed[-1].startswith("began"):
                manager.interrupt_kernel()

    reply = client.execute_interactive(cell, timeout=PATIENCE, output_hook=hear)
    return "".join(printed), reply["content"].get("ename")


def main():
    # In a folder of its own: a socket's path is short, and the user's own settings and history stay out of it.
    with tempfile.TemporaryDirectory() as folder:
        for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
            os.environ[name] = folder
        manager = KernelManager(transport="ipc", ip=str(Path(folder, "kernel")))
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=PATIENCE)
            ended = [run(manager, client, cell) for cell in json.load(sys.stdin)]
        finally:
            client.stop_channels()
            manager.shutdown_kernel()
    json.dump(ended, sys.stdout)


if __name__ == "__main__":
    main()
