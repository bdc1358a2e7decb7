"""The address of a model server, and which models it serves.

Belongs here: reading an address, its name in messages, the list of models. Does not belong here: questions
(``client``), starting a server (``server``).
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from spine_models.config import LlmSettings
from spine_models.corpus.labels.llm.errors import LlmError, ModelMissingError, ServerDownError

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens.

    Attributes:
        root: without ``/v1`` and without a slash at its end.
        shown: the same without user, password and query: for messages.
        loopback: on this machine, where no proxy may be asked.
    """

    root: str
    shown: str
    loopback: bool

    @property
    def api(self) -> str:
        """The base of the OpenAI-compatible protocol."""
        return f"{self.root}/v1"


def endpoint_of(url: str) -> Endpoint:
    """Read an address with or without ``/v1``.

    Raises:
        LlmError: it is no http(s) address.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host:
        raise LlmError("the model server's URL must look like http://host:8000 (SPINE_LLM_URL)")
    path = parts.path.rstrip("/").removesuffix("/v1")
    shown = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}{path}"
    return Endpoint(f"{parts.scheme}://{parts.netloc}{path}", shown, host in _LOOPBACK)


def served_models(
    endpoint: Endpoint, *, api_key: str | None = None, timeout_s: float = 10.0
) -> dict[str, int | None]:
    """The models that a server has, by name, with the tokens of their context where it tells.

    Raises:
        ServerDownError: nothing answers there.
        LlmError: what answers refuses the key or is no model server.
    """
    # A user and password in the address are for the server's own gate, which urllib does not speak.
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    request = urllib.request.Request(f"{endpoint.api}/models", headers=headers)
    handlers = [urllib.request.ProxyHandler({})] if endpoint.loopback else []
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(request, timeout=timeout_s) as reply:
            document = json.loads(reply.read(1_000_000))
        return {str(model["id"]): _context(model) for model in document["data"]}
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403):
            raise refused_key(endpoint, error.code) from None
        raise LlmError(
            f"{endpoint.shown} lists no models (HTTP {error.code}): is it a model server?"
        ) from None
    except (KeyError, TypeError, ValueError):
        raise LlmError(f"{endpoint.shown} lists no models: is it a model server?") from None
    except (OSError, http.client.HTTPException) as error:
        raise down(endpoint, type(error).__name__) from None


def _context(model: Mapping[str, object]) -> int | None:
    """What vLLM tells beside the protocol; servers that do not are believed."""
    told = model.get("max_model_len")
    return told if isinstance(told, int) else None


def demand_model(endpoint: Endpoint, settings: LlmSettings, *, api_key: str | None = None) -> None:
    """Check that a server serves a model with the context that the profile counts on.

    Raises:
        ModelMissingError: it does not; names what it serves.
        LlmError: its context is shorter, so that long reports would be refused for a limit that nobody set; or see
            ``served_models``.
    """
    model = settings.model
    served = served_models(endpoint, api_key=api_key)
    if model not in served:
        names = ", ".join(sorted(served)[:10]) or "none"
        raise ModelMissingError(
            f"{endpoint.shown} does not serve {model}; it serves: {names}. Start it with "
            f"--served-model-name {model}, or name one of these in the profile (the key `model` of the language model)"
        )
    context = served[model]
    if context is not None and context < settings.max_model_len:
        raise LlmError(
            f"{endpoint.shown} serves {model} with {context:,} tokens of context, the profile counts on"
            f" {settings.max_model_len:,}: start it with --max-model-len {settings.max_model_len}, or set"
            " `max_model_len` of the language model to its context"
        )


def down(endpoint: Endpoint, why: str) -> ServerDownError:
    """The error of a server that does not answer."""
    return ServerDownError(
        f"no model server answers at {endpoint.shown} ({why}): start it, or set SPINE_LLM_URL to one that runs. "
        "Answers so far are kept"
    )


def refused_key(endpoint: Endpoint, code: int) -> LlmError:
    """The error of a server that wants another key."""
    return LlmError(f"{endpoint.shown} refuses the key (HTTP {code}): set SPINE_LLM_API_KEY")
