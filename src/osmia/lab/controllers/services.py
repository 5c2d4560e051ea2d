"""Services -> EndpointSlices (the ready pods that a selector finds), addresses of load balancers; claims -> bound."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Any

from osmia.lab.apiserver import ApiServer
from osmia.lab.apiserver.selectors import match_labels
from osmia.lab.controllers.loop import Key, Reconciler, own_key
from osmia.lab.controllers.pods import find, is_ready

__all__ = ["Claims", "Services", "slice_of"]

Object = dict[str, Any]

_SERVICE_NAME = "kubernetes.io/service-name"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_CONTROLLER = "endpointslice-controller.k8s.io"
_FIRST_FAMILY = "IPv4"


class Services:
    """The controller of Services. One slice per Service is enough for a lab."""

    def __init__(self, api: ApiServer, network: IPv4Network) -> None:
        self._api = api
        self._network = network

    async def run(self) -> None:
        """Keep EndpointSlices and load balancers as Services and pods want them, until cancelled."""
        sources = {"services": own_key, "pods": self._services_of}
        await Reconciler("services", self._api, self._reconcile, sources).run()

    def _services_of(self, pod: Object) -> Iterable[Key]:
        """All Services of the pod's namespace: its labels may just have left a selector."""
        services = self._api.list("services", pod["metadata"]["namespace"])
        return [
            (one["metadata"]["namespace"], one["metadata"]["name"]) for one in services if one["spec"].get("selector")
        ]

    async def _reconcile(self, key: Key) -> None:
        service = find(self._api, "services", key)
        if service is None:
            return
        if service["spec"]["type"] == "LoadBalancer":
            self._balance(service)
        if service["spec"].get("selector"):
            pods = [pod for pod in self._api.list("pods", key[0]) if _is_behind(service, pod)]
            for family in service["spec"].get("ipFamilies") or [_FIRST_FAMILY]:
                self._write(slice_of(service, pods, family))

    def _write(self, wanted: Object) -> None:
        metadata = wanted["metadata"]
        present = find(self._api, "endpointslices", (metadata["namespace"], metadata["name"]))
        if present is None:
            self._api.create("endpointslices", wanted)
        elif any(present.get(field) != wanted[field] for field in ("endpoints", "ports")):
            self._api.replace("endpointslices", {**present, **wanted, "metadata": present["metadata"]})

    def _balance(self, service: Object) -> None:
        """Give a LoadBalancer an address out of the last 256 of the Service network, which this machine can reach."""
        status = service.get("status") or {}
        if (status.get("loadBalancer") or {}).get("ingress"):
            return
        taken = {
            ingress.get("ip")
            for one in self._api.list("services")
            for ingress in ((one.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        }
        last = list(self._network.subnets(new_prefix=24))[-1] if self._network.prefixlen < 24 else self._network  # noqa: PLR2004
        address = next(str(one) for one in last.hosts() if str(one) not in taken)
        patch = {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}
        self._api.patch("services", service["metadata"]["namespace"], service["metadata"]["name"], patch, "status")


def slice_of(service: Object, pods: Iterable[Object], family: str = _FIRST_FAMILY) -> Object:
    """The EndpointSlice of a Service over these pods, for one address family.

    Who is not ready or ending is listed but says so.
    """
    metadata = service["metadata"]
    chosen = sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
    return {
        "metadata": {
            "name": f"{metadata['name']}-lab{'' if family == _FIRST_FAMILY else '6'}",
            "namespace": metadata["namespace"],
            "labels": {_SERVICE_NAME: metadata["name"], _MANAGED_BY: _CONTROLLER},
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "addressType": family,
        "ports": [_slice_port(port, chosen) for port in service["spec"].get("ports", [])],
        "endpoints": [_endpoint(pod, service, ips) for pod in chosen if (ips := _ips_of(pod, family))],
    }


def _is_behind(service: Object, pod: Object) -> bool:
    status = pod.get("status") or {}
    has_ended = status.get("phase") in {"Succeeded", "Failed"}
    labels = pod["metadata"].get("labels") or {}
    return (
        bool(status.get("podIP"))
        and not has_ended
        and match_labels({"matchLabels": service["spec"]["selector"]}, labels)
    )


def _ips_of(pod: Object, family: str) -> list[str]:
    ips = [str(one["ip"]) for one in pod["status"].get("podIPs") or [{"ip": pod["status"]["podIP"]}]]
    return [ip for ip in ips if (":" in ip) == (family == "IPv6")]


def _endpoint(pod: Object, service: Object, addresses: list[str]) -> Object:
    is_ending = "deletionTimestamp" in pod["metadata"]
    serving = is_ready(pod)
    ready = (serving and not is_ending) or bool(service["spec"].get("publishNotReadyAddresses"))
    endpoint: Object = {
        "addresses": addresses,
        "conditions": {"ready": ready, "serving": serving, "terminating": is_ending},
        "nodeName": pod["spec"].get("nodeName", ""),
        "targetRef": {
            "kind": "Pod",
            "namespace": pod["metadata"]["namespace"],
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
        },
    }
    if pod["spec"].get("subdomain") == service["metadata"]["name"] and pod["spec"].get("hostname"):
        endpoint["hostname"] = pod["spec"]["hostname"]
    return endpoint


def _slice_port(port: Object, pods: Iterable[Object]) -> Object:
    target = port.get("targetPort", port["port"])
    if isinstance(target, str):
        target = next((found for pod in pods if (found := _named_port(pod, target))), port["port"])
    return {"name": port.get("name", ""), "port": target, "protocol": port.get("protocol", "TCP")}


def _named_port(pod: Object, name: str) -> int | None:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports", []):
            if port.get("name") == name:
                return int(port["containerPort"])
    return None


class Claims:
    """Binds every PersistentVolumeClaim at once to a volume of its size: a directory that the kubelet makes."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    async def run(self) -> None:
        """Bind claims as they appear, until cancelled."""
        await Reconciler("claims", self._api, self._reconcile, {"persistentvolumeclaims": own_key}).run()

    async def _reconcile(self, key: Key) -> None:
        claim = find(self._api, "persistentvolumeclaims", key)
        if claim is None or (claim.get("status") or {}).get("phase") == "Bound":
            return
        metadata, spec = claim["metadata"], claim["spec"]
        volume, capacity = f"pvc-{metadata['uid']}", (spec.get("resources") or {}).get("requests") or {}
        modes = spec.get("accessModes") or ["ReadWriteOnce"]
        reference = {"kind": "PersistentVolumeClaim", "namespace": key[0], "name": key[1], "uid": metadata["uid"]}
        self._api.put(
            "persistentvolumes",
            {
                "metadata": {"name": volume},
                "spec": {
                    "capacity": capacity,
                    "accessModes": modes,
                    "claimRef": reference,
                    "persistentVolumeReclaimPolicy": "Delete",
                    "storageClassName": spec.get("storageClassName", "lab"),
                    "hostPath": {"path": f"/claims/{key[0]}_{key[1]}"},
                },
                "status": {"phase": "Bound"},
            },
        )
        self._api.patch("persistentvolumeclaims", *key, {"spec": {"volumeName": volume}})
        bound = {"status": {"phase": "Bound", "capacity": capacity, "accessModes": modes}}
        self._api.patch("persistentvolumeclaims", *key, bound, "status")
