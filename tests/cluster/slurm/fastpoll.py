"""Snakemake, with at most 1 s between two looks at a remote executor's jobs.

The Slurm plugin's own wait grows by 10 s a look up to 180 s, and no option caps it: too long for tests.
"""

import asyncio
import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor


async def sleep(self) -> None:
    await asyncio.sleep(min(1, self.next_seconds_between_status_checks))


RemoteExecutor.sleep = sleep
sys.exit(main())
