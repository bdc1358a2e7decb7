"""Where the environment is read: profile, root and key file, from ``SPINE_*`` variables or ``.env``.

Belongs here: the only reading of environment variables. Does not belong here: numbers (``spine_models.config``).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """``SPINE_PROFILE``, ``SPINE_ROOT``, ``SPINE_KEY_FILE``, ``SPINE_LLM_URL``, ``SPINE_VLLM``; see the README."""

    model_config = SettingsConfigDict(env_prefix="SPINE_", env_file=".env", extra="ignore")

    profile: str = Field("phantom", description="phantom, workstation, paper, or the path of a YAML file")
    root: Path = Field(Path("spine_root"), description="folder of lake, restricted zone and Dagster storage")
    key_file: Path | None = Field(
        None, description="0600 file of the pseudonym key; default ROOT/pseudonym.key"
    )
    llm_url: str | None = Field(
        None,
        description="OpenAI-compatible server, ending in /v1; or name=url,name=url by labeller. None: vllm is started",
    )
    llm_key: str | None = Field(None, description="bearer token of that server")
    vllm: str = Field("vllm", description="the vllm command of its own environment")

    @property
    def key_path(self) -> Path:
        """The key file: as set, else beside the profiles and outside both zones."""
        return (self.key_file or self.root / "pseudonym.key").expanduser().absolute()

    @property
    def profile_name(self) -> str:
        """The profile's name as a folder: the stem where a YAML file was given."""
        return Path(self.profile).stem

    @property
    def home(self) -> Path:
        """``ROOT/<profile>``, absolute."""
        return (self.root.expanduser() / self.profile_name).absolute()

    @property
    def dagster_home(self) -> Path:
        """Folder of Dagster's own storage."""
        return self.home / "dagster"
