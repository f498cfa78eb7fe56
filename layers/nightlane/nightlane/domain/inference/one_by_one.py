"""Sends one line at a time, because some line of the shard crashes its worker."""

import asyncio

from msgspec.structs import replace

from nightlane.domain.inference.feed import Candidate, Probe
from nightlane.domain.inference.open_shards import OpenShards
from nightlane.domain.inference.results import unanswered
from nightlane.domain.inference.sender import Sender
from nightlane.domain.lines import LineError
from nightlane.domain.ports import Ports

# Attempts on the line found to crash workers.
MAX_SUSPECT_ATTEMPTS = 3


class OneByOne:
    """Records each line before it is sent, so that the next worker knows if it crashed this one."""

    def __init__(self, ports: Ports, sender: Sender, shards: OpenShards) -> None:
        self._ports = ports
        self._sender = sender
        self._shards = shards

    async def send(self, item: Candidate | Probe) -> None:
        """Send a line or a probe, and commit the result."""
        await (self._sender.probe() if isinstance(item, Probe) else self._send_suspect(item))
        # A committed line is no longer suspected: the first uncommitted one is the line that crashes workers.
        await self._shards.flush()

    async def _send_suspect(self, candidate: Candidate) -> None:
        journal, line = candidate.shard.journal, candidate.line.number
        strikes = journal.shard.suspect_strikes if journal.shard.suspect == line else 0
        if strikes >= MAX_SUSPECT_ATTEMPTS:
            journal.add(unanswered(candidate.line, LineError.CRASHED_ITS_WORKER))
            return
        journal.shard = await asyncio.to_thread(self._ports.batches.mark_suspect, journal.shard, line)
        await self._sender.send(candidate)
        # The worker survived, so a retry of the line is not another strike.
        journal.shard = replace(journal.shard, suspect=line, suspect_strikes=strikes)
