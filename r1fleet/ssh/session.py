"""A session over SSH: one connection, one channel for the agent, further ones for plain commands."""

from __future__ import annotations

import base64

import paramiko

from r1fleet.errors import HostFailed, HostUnreachable, Where
from r1fleet.ssh import causes, channel
from r1fleet.ssh.connection import Door
from r1fleet.ssh.target import Target
from r1fleet.transport.greeting import remote_command
from r1fleet.transport.protocol import Call, Completed
from r1fleet.transport.session import AgentSession, AgentSettings
from r1fleet.transport.wire import Wire


class SshSession(AgentSession):
    """An open connection to one host."""

    def __init__(self, target: Target, settings: AgentSettings, *, accept_new: bool = False) -> None:
        super().__init__(target.name, settings)
        self._target = target
        self._door = Door(target, accept_new=accept_new)
        self._transport = self._door.open()

    def execute(self, command: str, *, stdin: bytes = b"", timeout: float | None = None) -> Completed:
        """Run one shell command on a channel of its own; through the agent where the host allows no second one."""
        try:
            return channel.execute(self.name, self._transport, command, stdin, timeout)
        except paramiko.ChannelException:
            return self._execute_by_agent(command, stdin, timeout)
        except causes.FAILURES as error:
            raise self._broken(error) from error

    def pipe(self, command: str) -> Wire:
        """Start one shell command on a channel of its own."""
        try:
            return channel.ChannelWire(channel.open_channel(self._transport, command))
        except causes.FAILURES as error:
            raise self._broken(error) from error

    def _execute_by_agent(self, command: str, stdin: bytes, timeout: float | None) -> Completed:
        args = {"command": command, "stdin": base64.b64encode(stdin).decode()}
        reply = self.run(Call("agent.execute", args, timeout=timeout))
        if reply.get("failed"):
            raise HostFailed(reply["msg"], where=Where(host=self.name))
        return Completed(reply["rc"], base64.b64decode(reply["stdout"]), base64.b64decode(reply["stderr"]))

    def _wire(self, nonce: str, interpreter: str | None, *, elevated: bool) -> Wire:
        command = remote_command(nonce, interpreter, elevated=elevated and self._door.user != "root")
        try:
            return channel.ChannelWire(channel.open_channel(self._transport, command))
        except causes.FAILURES as error:
            raise self._broken(error) from error

    def _disconnect(self) -> None:
        self._door.close()

    def _broken(self, error: BaseException) -> HostUnreachable:
        return causes.unreachable(self.name, self._target.address, self._door.user, channel.OPEN_SECONDS, error)
