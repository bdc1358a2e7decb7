"""The resource of language models: a server that stands already, or one that is started for the run.

Belongs here: which server answers for which labeller. Does not belong here: starting and asking it
(``spine_models.corpus.labels.llm``), which models there are (the profile).
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from pathlib import Path

import dagster as dg

from pipelines.runtime.profiles import Settings
from spine_models.config import LlmSettings


class LanguageModels(dg.ConfigurableResource):
    """Servers that speak the OpenAI protocol.

    Args:
        url: ``SPINE_LLM_URL``: one server for all labellers, or ``name=url`` pairs, comma-separated; empty starts
            ``vllm serve`` for as long as a labeller asks, with the profile's model and tensor parallelism.
        command: ``SPINE_VLLM``: the vllm command of its own environment.
        api_key: ``SPINE_LLM_KEY``: bearer token, where the server wants one.
        models: folder of weights; a model that has a folder of its name there is read from it, any other is left to
            vllm to find.
        logs: folder of the started servers' logs.
    """

    url: str = ""
    command: str = "vllm"
    api_key: str = ""
    models: str = ""
    logs: str = ""

    @classmethod
    def from_settings(cls, settings: Settings) -> LanguageModels:
        """As the environment has it."""
        return cls(
            url=settings.llm_url or "",
            command=settings.vllm,
            api_key=settings.llm_key or "",
            models=str(settings.root.expanduser().absolute() / "models"),
            logs=str(settings.home / "llm"),
        )

    def serving(self, model: LlmSettings) -> AbstractContextManager[str]:
        """The endpoint that answers for a labeller, up for as long as the context is open.

        Raises:
            LlmError: the server does not answer, does not have the model, or did not start.
            ValueError: ``SPINE_LLM_URL`` names other labellers only.
        """
        from spine_models.corpus.labels.llm import serving

        local = Path(self.models) / model.model
        return serving(
            model,
            url=self.url_of(model.name),
            command=self.command,
            api_key=self.api_key or None,
            weights=local if local.is_dir() else None,
            log=Path(self.logs) / f"{model.name}.log",
            progress=logging.getLogger("spineagent").info,
        )

    def url_of(self, labeller: str) -> str | None:
        """The URL set for a labeller, None where a server is to be started.

        Raises:
            ValueError: URLs are set by name, and none for this one.
        """
        if not self.url:
            return None
        entries = [entry.strip() for entry in self.url.split(",") if entry.strip()]
        if all(entry.startswith(("http://", "https://")) for entry in entries) and len(entries) == 1:
            return entries[0]
        named = dict(entry.split("=", 1) for entry in entries if "=" in entry)
        if labeller not in named:
            raise ValueError(
                f"SPINE_LLM_URL names no server for the labeller {labeller!r}: add {labeller}=http://host:port/v1"
            )
        return named[labeller]
