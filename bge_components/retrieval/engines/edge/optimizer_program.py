"""The program that copies a shard and optimises the copy, in a process of its own; see `Optimizer`.

python -m bge_components.retrieval.engines.edge.optimizer_program FOLDER COPY SETTINGS PARENT

FOLDER is the index, COPY the name of the new shard in it, SETTINGS those of the engine as JSON, PARENT the number of
the process that waits. Says the figures as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from dataclasses import asdict

from .copying import copy_folder, sync_tree
from .figures import Figures, optimized
from .folder import EdgeFolder
from .settings import EdgeSettings
from .shard import EdgeShardCalls

_PR_SET_PDEATHSIG = 1


def optimized_copy(folder: EdgeFolder, copy: EdgeFolder, settings: EdgeSettings) -> Figures:
    """Copy the shard of a folder, optimise the copy, and write all of it to the disk itself."""
    channels = folder.channels()
    copy_folder(folder.shard, copy.shard)
    shard = EdgeShardCalls.opened(copy, channels, settings)
    figures = optimized(shard, copy, channels, settings)
    shard.close()
    sync_tree(copy.shard)
    return figures


def end_with(parent: int) -> None:
    """End when the process that waits ends, where the system can see to that; elsewhere the work is for nothing."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that waits is gone")


def main(path: str, copy: str, settings: str, parent: str) -> None:
    """Do what the command line asks."""
    end_with(int(parent))
    folder = EdgeFolder(path)
    folder.find_shard()
    figures = optimized_copy(folder, folder.with_shard(copy), EdgeSettings(**json.loads(settings)))
    sys.stdout.write(json.dumps(asdict(figures)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
