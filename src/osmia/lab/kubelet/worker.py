"""One pod on its node, from the first look at its manifest to the last trace: the task that owns its processes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from osmia.lab.apiserver import ApiError, ApiServer, DeletionOptions
from osmia.lab.kubelet.probe import Probe, parse_probe
from osmia.lab.kubelet.resolve import NodeFacts, PodPlace, container_spec, quality_of
from osmia.lab.kubelet.status import ContainerState, pod_status
from osmia.lab.kubelet.tokens import keep_tokens
from osmia.lab.network.node import NodeSockets
from osmia.lab.network.plan import twin
from osmia.lab.runtime.sandbox import Container, Runtime, Sandbox, SandboxSpec
from osmia.model.errors import LabError
from osmia.telemetry import get_logger

__all__ = ["PodWorker"]

Object = dict[str, Any]

_FIRST_BACK_OFF_S = 0.5
_LONGEST_BACK_OFF_S = 30.0
_FORGIVEN_AFTER_S = 60.0
_EAGER_PERIOD_S = 0.2
_SAID_BYTES = 1024
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")

log = get_logger("lab.kubelet")


class PodWorker:
    """Runs one pod; `update` brings news of it, `forget` says that it is gone from the API server."""

    def __init__(  # noqa: PLR0913 - what a pod's life depends on
        self,
        pod: Object,
        *,
        api: ApiServer,
        node: NodeFacts,
        runtime: Runtime,
        sockets: NodeSockets,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._pod = pod
        self._api = api
        self._node = node
        self._runtime = runtime
        self._sockets = sockets
        self._clock = clock
        self._ending = anyio.Event()
        self._gone = anyio.Event()
        self._sandbox: Sandbox | None = None
        self._running: dict[str, Container] = {}
        self._initializers = [_state(one) for one in pod["spec"].get("initContainers", [])]
        self._states = [_state(one) for one in pod["spec"]["containers"]]
        self._phase = "Pending"
        self.update(pod)

    @property
    def process_ids(self) -> dict[str, int]:
        """First process of each running container, by container name."""
        return {name: container.process.innermost for name, container in self._running.items()}

    @property
    def name(self) -> str:
        """Namespace and name of the pod."""
        return f"{self._pod['metadata']['namespace']}/{self._pod['metadata']['name']}"

    def update(self, pod: Object) -> None:
        """A newer version of the pod's object."""
        self._pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            self._ending.set()

    def forget(self) -> None:
        """The object is gone: whatever still runs must end at once."""
        self._gone.set()
        self._ending.set()

    async def run(self) -> None:
        """Live until the pod is deleted, then take everything down; cancelling takes it down as well."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._live)
                tasks.start_soon(self._keep_tokens)
                await self._ending.wait()
                tasks.cancel_scope.cancel()
            await self._stop_containers()
        finally:
            with anyio.CancelScope(shield=True):
                await self._remove_sandbox()
                await self._runtime.remove_files(self._pod["metadata"]["uid"])
        self._confirm_end()

    async def _keep_tokens(self) -> None:
        home = self._runtime.home(self._pod["metadata"]["uid"])
        await keep_tokens(self._api, self._pod, home, self._node.token_life_s)

    async def _live(self) -> None:
        self._publish()
        self._sandbox = await self._retry(self._start_sandbox)
        for container, state in zip(self._pod["spec"].get("initContainers", []), self._initializers, strict=True):
            await self._run_container(container, state, "OnFailure")
        async with anyio.create_task_group() as tasks:
            for container, state in zip(self._pod["spec"]["containers"], self._states, strict=True):
                tasks.start_soon(self._run_container, container, state, self._pod["spec"]["restartPolicy"])
        self._phase = "Succeeded" if all(state.exit_code == 0 for state in self._states) else "Failed"
        self._publish()
        await self._remove_sandbox()

    async def _start_sandbox(self) -> Sandbox:
        metadata, spec = self._pod["metadata"], self._pod["spec"]
        return await self._runtime.start(
            SandboxSpec(
                uid=metadata["uid"],
                hostname=(spec.get("hostname") or metadata["name"])[:63],
                quality=quality_of(self._pod),
                is_host_network=bool(spec.get("hostNetwork")),
                is_host_pids=bool(spec.get("hostPID")),
            )
        )

    async def _retry(self, start: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever `start` makes
        delay_s = _FIRST_BACK_OFF_S
        while True:
            try:
                return await start()
            except LabError as exc:
                log.warning("pod cannot start yet", pod=self.name, problem=str(exc))
                for state in self._states:
                    state.message = str(exc)
                self._publish()
            await anyio.sleep(delay_s)
            delay_s = min(2 * delay_s, _LONGEST_BACK_OFF_S)

    async def _run_container(self, manifest: Object, state: ContainerState, policy: str) -> None:
        """Start the container again and again until its restart policy is content."""
        delay_s = _FIRST_BACK_OFF_S
        while True:
            began = self._clock()
            container = await self._start_container(manifest, state, "CreateContainerError")
            if container is not None:
                await self._follow(manifest, state, container)
                if policy == "Never" or (policy == "OnFailure" and state.exit_code == 0):
                    self._publish()
                    return
                if self._clock() - began > _FORGIVEN_AFTER_S:
                    delay_s = _FIRST_BACK_OFF_S
                state.last = state.ended()
                said = _last_line(container.spec.log)
                state.waiting, state.message = "CrashLoopBackOff", f"back-off {delay_s} s; the container said: {said}"
            self._publish()
            await anyio.sleep(delay_s)
            delay_s = min(2 * delay_s, _LONGEST_BACK_OFF_S)
            state.restarts += container is not None

    async def _start_container(self, manifest: Object, state: ContainerState, reason: str) -> Container | None:
        sandbox = self._sandbox
        if sandbox is None:
            raise LabError(f"pod {self.name} has no sandbox")
        try:
            for field in _PROBES:
                parse_probe(manifest, field)
            place = PodPlace(sandbox.home, self._addresses)
            spec = container_spec(self._api, self._node, self._pod, manifest, place)
            container = sandbox.start(replace(spec, log=spec.log / f"{state.restarts}.log"))
        except LabError as exc:
            state.waiting, state.message = reason, str(exc)
            log.warning("container cannot start", pod=self.name, container=state.name, problem=str(exc))
            return None
        self._running[state.name] = container
        state.id, state.started, state.waiting, state.message = container.id, self._api.timestamp(), "", ""
        state.exit_code = None
        state.is_ready = not (manifest.get("readinessProbe") or manifest.get("startupProbe"))
        self._publish()
        return container

    async def _follow(self, manifest: Object, state: ContainerState, container: Container) -> None:
        """Probe a running container until it ends, then clear it away."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._probe_all, manifest, container, state)
            state.exit_code = await container.process.wait()
            state.finished, state.is_ready = self._api.timestamp(), False
            tasks.cancel_scope.cancel()
        log.info("container ended", pod=self.name, container=state.name, exit_code=state.exit_code)
        with anyio.CancelScope(shield=True):
            await container.remove()
        del self._running[state.name]

    async def _probe_all(self, manifest: Object, container: Container, state: ContainerState) -> None:
        """The other probes begin when the one of the start has passed."""
        if (startup := parse_probe(manifest, "startupProbe")) is not None:
            await self._probe(startup, container, state, self._kill_unhealthy, is_once=True)
        if not manifest.get("readinessProbe"):
            self._set_ready(state, container, verdict=True)
        async with anyio.create_task_group() as tasks:
            for field, act in (("readinessProbe", self._set_ready), ("livenessProbe", self._kill_unhealthy)):
                if (probe := parse_probe(manifest, field)) is not None:
                    tasks.start_soon(self._probe, probe, container, state, act)

    async def _probe(
        self,
        probe: Probe,
        container: Container,
        state: ContainerState,
        act: Callable[[ContainerState, Container, bool], None],
        *,
        is_once: bool = False,
    ) -> None:
        """Ask for as long as the container runs, or until it passed; fast until then, so that start-up is quick."""
        await anyio.sleep(probe.initial_delay_s)
        passed, failed, has_passed = 0, 0, False
        while True:
            is_good = await probe.ask(self._sockets, self._address, container.process.innermost)
            passed, failed = (passed + 1, 0) if is_good else (0, failed + 1)
            pause_s = probe.period_s if has_passed else min(probe.period_s, _EAGER_PERIOD_S)
            if passed >= probe.successes:
                has_passed = True
                act(state, container, True)  # noqa: FBT003 - the verdict is the value
                if is_once:
                    return
            elif failed * pause_s >= probe.failures * probe.period_s:
                act(state, container, False)  # noqa: FBT003
            await anyio.sleep(pause_s)

    def _set_ready(self, state: ContainerState, container: Container, verdict: bool) -> None:  # noqa: FBT001 - a value
        del container
        if state.is_ready != verdict:
            state.is_ready = verdict
            self._publish()

    def _kill_unhealthy(self, state: ContainerState, container: Container, verdict: bool) -> None:  # noqa: FBT001
        if not verdict:
            log.warning("container failed its liveness probe", pod=self.name, container=state.name)
            container.ask_to_stop()

    async def _stop_containers(self) -> None:
        """Ask every container to end and wait for it, at most for the pod's grace period."""
        for container in self._running.values():
            container.ask_to_stop()
        grace_s = self._pod["metadata"].get("deletionGracePeriodSeconds", 0)
        with anyio.move_on_after(grace_s):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._cancel_when_gone, tasks.cancel_scope)
                for container in list(self._running.values()):
                    await container.process.wait()
                tasks.cancel_scope.cancel()

    async def _cancel_when_gone(self, scope: anyio.CancelScope) -> None:
        await self._gone.wait()
        scope.cancel()

    async def _remove_sandbox(self) -> None:
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is None:
            return
        for container in list(self._running.values()):
            await container.remove()
        self._running.clear()
        await self._runtime.remove(sandbox)

    def _confirm_end(self) -> None:
        if self._gone.is_set():
            return
        metadata = self._pod["metadata"]
        options = DeletionOptions(grace_period_s=0, uid=metadata["uid"])
        try:
            self._api.delete("pods", metadata["namespace"], metadata["name"], options)
        except ApiError as exc:
            log.debug("pod was gone already", pod=self.name, problem=str(exc))

    @property
    def _addresses(self) -> tuple[str, ...]:
        if self._sandbox is None:
            return ()
        address = self._sandbox.address
        has_twin = len(self._node.addresses) > 1
        return (str(address), str(twin(address))) if has_twin else (str(address),)

    @property
    def _address(self) -> str:
        return str(self._sandbox.address) if self._sandbox else ""

    def _publish(self) -> None:
        """Tell the API server how the pod is, if that changed."""
        metadata = self._pod["metadata"]
        if self._phase == "Pending" and all(state.id for state in self._states):
            self._phase = "Running"
        try:
            old = self._api.get("pods", metadata["namespace"], metadata["name"])
            if old["metadata"]["uid"] != metadata["uid"]:
                return
            status = pod_status(
                old.get("status") or {},
                now=self._api.timestamp(),
                host_addresses=self._node.addresses,
                addresses=() if self._phase == "Pending" else self._addresses,
                initializers=self._initializers,
                containers=self._states,
                phase=self._phase,
            )
            self._api.patch("pods", metadata["namespace"], metadata["name"], {"status": status}, "status")
        except ApiError as exc:
            log.debug("pod status not written", pod=self.name, problem=str(exc))


def _last_line(log_file: Path) -> str:
    with suppress(OSError), log_file.open("rb") as stream:
        stream.seek(max(0, log_file.stat().st_size - _SAID_BYTES))
        return stream.read().decode(errors="replace").rstrip().rpartition("\n")[2]
    return ""


def _state(container: Object) -> ContainerState:
    return ContainerState(container["name"], container["image"])
