"""A lab in this process: API server, controllers, kubelet, proxy and name server around one node's network.

`async with Cluster.up(LabConfig(name="x")) as lab` gives a running lab and takes everything down at the end. The
background process of `osmia lab up` is the same thing behind a signal handler.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import msgspec
from anyio.to_thread import run_sync

from osmia.lab.apiserver import ApiError, ApiServer, LogQuery, Served, make_certificate, serve
from osmia.lab.config import LabConfig, check_name
from osmia.lab.controllers.deployments import Deployments
from osmia.lab.controllers.proxy import Proxy
from osmia.lab.controllers.replicasets import ReplicaSets
from osmia.lab.controllers.scheduler import Scheduler
from osmia.lab.controllers.services import Claims, Services
from osmia.lab.controllers.sets import DaemonSets, StatefulSets
from osmia.lab.host import cgroup_root, require_host
from osmia.lab.kubelet.kubelet import Kubelet
from osmia.lab.kubelet.resolve import NodeFacts
from osmia.lab.manifest import parse_manifest, plural_of
from osmia.lab.network.dns import NameServer
from osmia.lab.network.node import NodeSockets, used_networks
from osmia.lab.network.plan import AddressPlan, choose_plan, twin
from osmia.lab.readiness import WORKLOADS, Progress, progress_of
from osmia.lab.runtime.sandbox import Runtime
from osmia.lab.state import LabDirectory, LabState, clean, started_at, take_down
from osmia.model.errors import LabError
from osmia.telemetry import get_logger

__all__ = ["Cluster"]

Object = dict[str, Any]

_POLL_S = 0.05
_DNS_PORT = 53

log = get_logger("lab")


class Cluster:
    """A running lab; made by `up`."""

    def __init__(
        self, state: LabState, directory: LabDirectory, *, api: ApiServer, kubelet: Kubelet, proxy: Proxy
    ) -> None:
        self.state = state
        self.directory = directory
        self.api = api
        self._kubelet = kubelet
        self._proxy = proxy

    @classmethod
    @asynccontextmanager
    async def up(cls, config: LabConfig, *, kubeconfig_copy: str = "") -> AsyncIterator[Cluster]:
        """Build a lab, run it for the length of the block, take it down.

        Raises:
            LabError: this machine cannot carry it, a lab of that name runs, or a step failed.
            ConfigError: a setting is wrong.
        """
        require_host()
        directory = LabDirectory(config.state_root, check_name(config.name))
        await _refuse_running(directory)
        state = await _claim(config, directory, kubeconfig_copy)
        try:
            await state.network.create()
            async with AsyncExitStack() as stack:
                yield await cls._assemble(config, state, directory, stack)
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:  # what the caller's block raised, wrapped by our task group
                raise group.exceptions[0] from group
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await clean(directory, state)

    @classmethod
    async def _assemble(
        cls, config: LabConfig, state: LabState, directory: LabDirectory, stack: AsyncExitStack
    ) -> Cluster:
        network, plan = state.network, state.plan
        second_ip = (lambda ip: str(twin(IPv4Address(ip)))) if config.dual_stack else None
        api = ApiServer(service_network=state.services, second_ip=second_ip)
        served = await _serve(config, state, directory, api, stack)
        _create_system_objects(api, plan, served.port)
        sockets = await stack.enter_async_context(NodeSockets(network))
        names = NameServer()
        proxy = Proxy(api, [network], names)
        kubelet = Kubelet(
            api,
            node=_node_facts(config, state, directory, served),
            runtime=Runtime(pods=directory.pods, cgroup_root=cgroup_root(), network=network),
            sockets=sockets,
            pods=directory.pods,
        )
        api.log_source = kubelet.logs
        datagrams, listener = await _dns_sockets(sockets, plan)
        stack.callback(datagrams.close)
        stack.callback(listener.close)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        controllers = (
            *(Deployments(api), ReplicaSets(api), StatefulSets(api), DaemonSets(api), Scheduler(api)),
            *(Services(api, plan.services), Claims(api), proxy, kubelet),
        )
        for controller in controllers:
            tasks.start_soon(controller.run)
        tasks.start_soon(names.serve, datagrams, listener)
        up = msgspec.structs.replace(state, server=served.url, is_up=True)
        directory.write(up)
        log.info("lab is up", name=state.name, server=served.url, pods=state.pods, services=state.services)
        return cls(up, directory, api=api, kubelet=kubelet, proxy=proxy)

    @property
    def plan(self) -> AddressPlan:
        """Its addresses; `plan.host` is where pods reach this machine."""
        return self.state.plan

    @property
    def kubeconfig(self) -> Path:
        """For kubectl and the agent."""
        return Path(self.state.kubeconfig)

    @property
    def namespace_path(self) -> Path:
        """File of the node's network namespace (conntrack lives there)."""
        return self.state.network.namespace_path

    def apply(self, text: str) -> None:
        """Create or update the objects of a manifest.

        Raises:
            ConfigError: it is malformed.
            ApiError: the API server refuses an object.
        """
        for obj in parse_manifest(text):
            resource = plural_of(obj)
            metadata = obj["metadata"]
            try:
                self.api.create(resource, obj)
            except ApiError as exc:
                if exc.reason != "AlreadyExists":
                    raise
                self.api.patch(resource, metadata.get("namespace", "") or "default", metadata["name"], obj)

    def progress(self) -> Progress:
        """How far the workloads are."""
        return progress_of({resource: self.api.list(resource) for resource in WORKLOADS}, self.api.list("pods"))

    async def wait_ready(self, timeout_s: float = 90.0) -> None:
        """Wait until every workload is ready and the Services lead to it.

        Raises:
            LabError: it is not within the time; names what is missing and why.
        """
        with anyio.move_on_after(timeout_s):
            while not (self.progress().is_done and self._proxy.is_current):  # noqa: ASYNC110 - a condition over several resources
                await anyio.sleep(_POLL_S)
            return
        raise LabError(f"not ready after {timeout_s:g} s: {', '.join(self.progress().missing)}")

    def pods(self, namespace: str, prefix: str = "") -> list[Object]:
        """The pods of a namespace whose name begins with `prefix`."""
        return [pod for pod in self.api.list("pods", namespace) if pod["metadata"]["name"].startswith(prefix)]

    def process_ids(self, pod: Object) -> dict[str, int]:
        """First process (as this machine numbers it) of each running container of a pod."""
        worker = self._kubelet.worker(pod["metadata"]["uid"])
        return worker.process_ids if worker else {}

    def address_of(self, namespace: str, service: str) -> str:
        """The VIP of a Service.

        Raises:
            ApiError: there is no such Service.
        """
        return str(self.api.get("services", namespace, service)["spec"]["clusterIP"])

    def log_files(self, pod: Object, container: str = "") -> list[Path]:
        """The logs of a pod's container (default: its first), one per run, oldest first."""
        name = container or pod["spec"]["containers"][0]["name"]
        return self._kubelet.log_files(pod["metadata"]["uid"], name)

    async def read_log(self, pod: Object, container: str = "") -> str:
        """The log of a container's present run."""
        metadata = pod["metadata"]
        query = LogQuery(metadata["namespace"], metadata["name"], container)
        chunks = [chunk async for chunk in self._kubelet.logs(query)]
        return b"".join(chunks).decode(errors="replace")


async def _refuse_running(directory: LabDirectory) -> None:
    state = directory.read()
    if state is not None and state.is_alive:
        raise LabError(
            f"a lab named {state.name} is up (process {state.pid})",
            remedy="`osmia lab down`, or give another --name",
        )
    if state is not None:
        log.info("clearing away a lab whose process died", name=state.name)
        await take_down(directory)


async def _claim(config: LabConfig, directory: LabDirectory, kubeconfig_copy: str) -> LabState:
    """Choose addresses and write the state, alone on this machine while doing so."""
    directory.make()
    with _locked(directory.root / "lock"):
        used = [*await used_networks(), *_networks_of_labs(directory)]
        plan = choose_plan(used, pods=config.pod_cidr, services=config.service_cidr, uplink=config.uplink_cidr)
        state = LabState(
            name=config.name,
            pid=os.getpid(),
            pid_started=started_at(os.getpid()),
            node=f"{config.name}-node-1",
            pods=str(plan.pods),
            services=str(plan.services),
            uplink=str(plan.uplink),
            kubeconfig=str(directory.path / "kubeconfig"),
            kubeconfig_copy=kubeconfig_copy,
            is_dual_stack=config.dual_stack,
        )
        directory.write(state)
    return state


def _networks_of_labs(directory: LabDirectory) -> Iterator[Any]:
    """Networks of labs that are just being built and have no routes yet."""
    for path in directory.root.iterdir():
        other = LabDirectory(directory.root, path.name).read() if path.is_dir() and path != directory.path else None
        if other is not None:
            yield from (other.plan.pods, other.plan.services, other.plan.uplink)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


async def _serve(
    config: LabConfig, state: LabState, directory: LabDirectory, api: ApiServer, stack: AsyncExitStack
) -> Served:
    """Put the API server on the uplink's host address, by TLS and token, and write the kubeconfigs."""
    plan = state.plan
    hosts = (str(plan.host), str(plan.kubernetes), "127.0.0.1", "localhost", "kubernetes.default.svc")
    certificate = await run_sync(partial(make_certificate, directory.path, hosts=hosts))
    serving = serve(api, str(plan.host), config.api_port, tokens=[secrets.token_hex(16)], certificate=certificate)
    try:
        served = await stack.enter_async_context(serving)
    except (OSError, OverflowError) as exc:
        where = f"{plan.host}:{config.api_port}"
        raise LabError(f"the API server cannot listen on {where}: {exc}", remedy="give another --api-port") from exc
    for path in filter(None, (state.kubeconfig, state.kubeconfig_copy)):
        served.write_kubeconfig(Path(path))
    return served


def _node_facts(config: LabConfig, state: LabState, directory: LabDirectory, served: Served) -> NodeFacts:
    authority = served.certificate.certificate.read_text() if served.certificate else ""
    return NodeFacts(
        name=state.node,
        addresses=state.plan.both(state.plan.node),
        dns=str(state.plan.dns),
        environment={"KUBERNETES_SERVICE_HOST": str(state.plan.kubernetes), "KUBERNETES_SERVICE_PORT": "443"},
        account_files={"ca.crt": authority},
        claims=directory.claims,
        token_life_s=config.token_life_s,
    )


def _create_system_objects(api: ApiServer, plan: AddressPlan, api_port: int) -> None:
    """The Services that every cluster has, with endpoints outside of pods: API server and name server."""
    for namespace, name, vip, ports, address, target in (
        ("default", "kubernetes", plan.kubernetes, [("https", 443, "TCP")], plan.host, api_port),
        (
            *("kube-system", "kube-dns", plan.dns),
            *([("dns", _DNS_PORT, "UDP"), ("dns-tcp", _DNS_PORT, "TCP")], plan.node, _DNS_PORT),
        ),
    ):
        spec_ports = [{"name": one, "port": port, "protocol": kind} for one, port, kind in ports]
        metadata = {"name": name, "namespace": namespace}
        api.create("services", {"metadata": metadata, "spec": {"clusterIP": str(vip), "ports": spec_ports}})
        api.create(
            "endpointslices",
            {
                "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [str(address)], "conditions": {"ready": True}}],
                "ports": [{"name": one, "port": target, "protocol": kind} for one, _, kind in ports],
            },
        )


async def _dns_sockets(sockets: NodeSockets, plan: AddressPlan) -> tuple[socket.socket, socket.socket]:
    datagrams, listener = await sockets.open(socket.SOCK_DGRAM), await sockets.open(socket.SOCK_STREAM)
    datagrams.bind((str(plan.node), _DNS_PORT))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((str(plan.node), _DNS_PORT))
    listener.listen()
    return datagrams, listener
