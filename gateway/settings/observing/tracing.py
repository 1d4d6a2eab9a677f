"""The section `tracing:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class TracingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the time of each turn went, as OpenTelemetry's spans (docs/tracing.md)."""

    endpoint: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s]+)?$",
            description="A collector that takes OTLP over HTTP, e.g. http://127.0.0.1:4318 (Jaeger, Tempo) or "
            "https://cloud.langfuse.com/api/public/otel; empty: nothing is traced.",
        ),
    ] = ""
    headers: Annotated[
        dict[str, str],
        Meta(description="Of each request to it. Secrets belong into authorization_file."),
    ] = {}
    authorization_file: Annotated[
        str,
        Meta(
            description="A file whose first line is the Authorization header, e.g. `Basic cGs6c2s=` for Langfuse."
        ),
    ] = ""
    ca_file: Annotated[
        str, Meta(description="Certificates that vouch for it; empty: those that this machine trusts.")
    ] = ""
    sample: Annotated[float, Meta(ge=0.0, le=1.0, description="Which share of the turns is traced.")] = 1.0
    service_name: Annotated[
        str, Meta(min_length=1, max_length=64, description="What this gateway is called there.")
    ] = "earshot"
