"""The composition root: the only module that knows every part of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
from fastapi import FastAPI
from fastapi.routing import APIRoute

from osmia import __version__
from osmia.model.errors import ConfigError
from osmia.server.api import clusters, health, ingest, live, reference, telemetry
from osmia.server.api.errors import ErrorBody, install_error_handlers
from osmia.server.api.pages import pages_router
from osmia.server.api.state import Directory, Services
from osmia.server.auth.keys import KeyRing
from osmia.server.config import ServerConfig
from osmia.server.ingest.admission import Admission
from osmia.server.ingest.intake import Intake
from osmia.server.ingest.journal import Journal
from osmia.server.ingest.late import load_late_names
from osmia.server.ingest.peers import AddressBooks
from osmia.server.ingest.presence import Presence
from osmia.server.ingest.writer import Pace, Writer
from osmia.server.metrics import ServerMetrics
from osmia.server.query.freshness import Freshness
from osmia.server.storage.cluster import ClusterStore
from osmia.server.storage.embedded import EmbeddedStore
from osmia.server.storage.engine import Limits
from osmia.server.storage.metadata import MetadataStore
from osmia.server.storage.store import Store

__all__ = ["create_app", "open_services"]

_MIB = 1 << 20


def create_app(config: ServerConfig, *, web: Path | None = None) -> FastAPI:
    """The ASGI application; it opens its store when it starts and closes it when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with open_services(config) as services:
                app.state.services = services
                yield
        except Exception as exc:
            # The ASGI server only logs a failed start; whoever runs it finds the error here.
            app.state.failure = exc
            raise

    app = FastAPI(
        title="Osmia",
        version=__version__,
        summary="Service map, traffic and data quality of monitored clusters",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        generate_unique_id_function=_operation_id,
        responses={"4XX": {"model": ErrorBody, "description": "What was wrong and what to do"}},
    )
    install_error_handlers(app)
    for module in (clusters, telemetry, live, ingest, health, reference):
        app.include_router(module.router)
    app.include_router(pages_router(web))
    return app


@asynccontextmanager
async def open_services(config: ServerConfig) -> AsyncIterator[Services]:
    """Everything a running server needs, opened in order and closed in reverse."""
    data = await _data_directory(config.data)
    async with AsyncExitStack() as stack:
        store = await _open_store(config, Path(data))
        stack.push_async_callback(store.close)
        await store.migrate()
        metadata = await MetadataStore.open(config.metadata_url or f"sqlite:///{data / 'metadata.sqlite'}")
        stack.push_async_callback(metadata.close)
        metrics = ServerMetrics()
        pace = Pace(config.queue_rows, config.batch_rows, config.batch_ms / 1_000)
        journal = Journal.open(Path(data / "journal"))
        writer = await stack.enter_async_context(Writer.open(store, metadata, journal, metrics=metrics, pace=pace))
        # After the writer: it may have finished an insert that a crash broke off.
        intake = await _load_intake(config, store, writer, metrics=metrics)
        yield Services(
            config=config,
            store=store,
            metadata=metadata,
            directory=Directory(metadata),
            keys=KeyRing.open(Path(data / "secret")),
            intake=intake,
            presence=intake.presence,
            freshness=intake.freshness,
            late_names=intake.late_names,
            metrics=metrics,
        )


async def _data_directory(name: str) -> anyio.Path:
    """The data directory, made when it is missing, for this user's eyes only: it holds the secret.

    Raises:
        ConfigError: it cannot be a directory that we may write to.
    """
    data = anyio.Path(name)
    try:
        await data.mkdir(mode=0o700, parents=True, exist_ok=True)
        await (data / "store.lock").touch(mode=0o600)
    except OSError as exc:
        problem = exc.strerror or str(exc)
        raise ConfigError("data", name, problem, remedy="choose a directory that this user may make and write") from exc
    return data


async def _load_intake(config: ServerConfig, store: Store, writer: Writer, *, metrics: ServerMetrics) -> Intake:
    """The intake, with what it remembers read back from the store."""
    books = await AddressBooks.load(store)
    return Intake(
        writer=writer,
        books=books,
        late_names=await load_late_names(store, books),
        presence=await Presence.load(store),
        freshness=await Freshness.load(store),
        metrics=metrics,
        admission=Admission(metrics, limit=config.ingest_posts),
        max_bytes=config.max_payload_mib * _MIB,
    )


async def _open_store(config: ServerConfig, data: Path) -> Store:
    limits = Limits(
        readers=config.readers,
        query_timeout_s=config.query_timeout_s,
        query_memory_bytes=config.query_memory_mib * _MIB,
    )
    if config.store_url:
        return await ClusterStore.open(config.store_url, limits=limits)
    return await EmbeddedStore.open(data, limits=limits, memory_bytes=config.store_memory_mib * _MIB)


def _operation_id(route: APIRoute) -> str:
    """get_edge_series -> getEdgeSeries: what generated clients call it."""
    first, *rest = route.name.split("_")
    return first + "".join(part.capitalize() for part in rest)
