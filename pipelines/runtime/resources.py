"""The one resource: a profile's numbers, key and two zones.

Belongs here: what an asset asks of its surroundings. Does not belong here: file layout (``storage``).
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from pydantic import PrivateAttr

from pipelines.runtime import generations
from pipelines.runtime.generations import GenerationError
from pipelines.runtime.partitions import encoder_sequences
from pipelines.runtime.profiles import Settings
from pipelines.runtime.storage import WHOLE, Draft, Zone, writing
from spine_models.config import FREE_ON_RESUME, Profile, load_profile

if TYPE_CHECKING:
    from spine_models.reporting.scores.readers import Reading

RESTRICTED_KEYS = {("deid", "quarantine"), ("deid", "crosswalk")}
"""Assets of the restricted zone beside every ``archive`` asset."""

HOST_TAG = "spineagent/host"
"""Of runs: where their process is."""

ENCODER = ("backbone", "anchored")
"""The encoder of a route that everything downstream embeds with."""

SYNTHESIZER = ("synthesizer", "aligned")
"""The synthesizer that embeds what has no encoder of its own."""


class Hospital(dg.ConfigurableResource):
    """Profile, key and storage of one installation.

    Args:
        profile: name or YAML path of the profile.
        home: ``SPINE_ROOT/<profile>``.
        key_file: 0600 file of the pseudonym key.
        generation: whose findings are read and written; empty for the one that is served.
    """

    profile: str
    home: str
    key_file: str
    generation: str = ""
    _held: tuple[str, dict[str, str]] | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Hold the generation and its pins as they are now: one step reads and writes one generation."""
        self._held = None
        name = str(self.lake.generation)
        self._held = (name, generations.pins(self.lake.root, name))
        run = context.run
        if context.instance is not None and run is not None and HOST_TAG not in run.tags:
            context.instance.add_run_tags(run.run_id, {HOST_TAG: socket.gethostname()})

    def refuse_if_moved(self) -> None:
        """Whether what this step began with is still what is served; models pinned since for the first time are.

        Raises:
            GenerationError: another generation is served, or the generation rests on other models.
        """
        if self._held is None:
            return
        name, before = self._held
        now = generations.pins(self.lake.root, name)
        other = not self.generation and generations.served(self.lake.root) != name
        if other or any(now.get(model) != version for model, version in before.items()):
            raise GenerationError(
                f"generation {name} was switched away from, or rests on other models, since this step began: "
                "nothing was written, run it again"
            )

    @classmethod
    def from_settings(cls, settings: Settings) -> Hospital:
        """The installation that the environment describes."""
        return cls(profile=settings.profile, home=str(settings.home), key_file=str(settings.key_path))

    @property
    def numbers(self) -> Profile:
        """All numbers of the profile."""
        return load_profile(self.profile)

    @property
    def lake(self) -> Zone:
        """Everything de-identified, with the models and findings of this hospital's generation."""
        root = Path(self.home) / "lake"
        held = self._held[0] if self._held else ""
        return Zone(root, generation=self.generation or held or generations.served(root))

    @property
    def restricted(self) -> Zone:
        """The only place on disk with identifiers; 0700."""
        return Zone(Path(self.home) / "restricted", mode=0o700)

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.lake.root / "warehouse" / "warehouse.duckdb"

    def key(self) -> bytes:
        """The pseudonym key.

        Raises:
            KeyFileError: missing, too short or readable by others.
        """
        from spine_models.corpus.deid import read_key_file

        return read_key_file(Path(self.key_file))

    def zone_of(self, key: Sequence[str]) -> Zone:
        """The zone that an asset is stored in."""
        return self.restricted if key[0] == "archive" or tuple(key) in RESTRICTED_KEYS else self.lake

    def draft(self, key: Sequence[str], partition: str | None = None) -> AbstractContextManager[Draft]:
        """Build and publish an artifact of its zone; always built in the restricted zone first.

        Findings are published into the generation that the step began with, or not at all, as tables are.

        Raises:
            GenerationError: on leaving the block, as ``refuse_if_moved``.
        """
        fence = self.refuse_if_moved if key[0] in generations.GENERATION_STAGES else None
        return self.zone_of(key).draft(key, partition, aside=self._staging(), fence=fence)

    def current(self, key: Sequence[str], partition: str | None = None) -> Path:
        """Folder of an artifact's published version."""
        return self.zone_of(key).current(key, partition)

    def artifacts(self, key: Sequence[str], partitions: Sequence[str]) -> dict[str, Path]:
        """Published folders of those partitions that have one."""
        zone = self.zone_of(key)
        return {p: zone.current(key, p) for p in partitions if zone.has_artifact(key, p)}

    def encoders(self) -> dict[str, Path]:
        """Folders of the encoders that the generation embeds with, by route; the first call pins what is published."""
        self.pin()
        return self.artifacts(ENCODER, encoder_sequences.get_partition_keys())

    def trained(self, key: Sequence[str], partition: str | None = None) -> Path | None:
        """Folder of a published model that was trained; None where there is none, or only an initialised one."""
        if not self.zone_of(key).has_artifact(key, partition):
            return None
        card = self.zone_of(key).card(key, partition)
        return self.current(key, partition) if card["training"]["trained"] else None

    def synthesizer(self) -> Path | None:
        """Folder of the published aligned synthesizer, trained or not; None before the first."""
        return self.current(SYNTHESIZER) if self.zone_of(SYNTHESIZER).has_artifact(SYNTHESIZER) else None

    def embedder_folders(self) -> tuple[dict[str, Path], Path | None]:
        """What embeds: the encoders' folders by route and the synthesizer's (``embeddings.encoders``)."""
        return self.encoders(), self.synthesizer()

    def journal(self, key: Sequence[str], partition: str) -> AbstractContextManager[Path]:
        """A file for what a long computation of a table has finished (``Zone.journal``)."""
        return self.zone_of(key).journal(key, partition)

    def newest(self, key: Sequence[str], partition: str | None = None) -> Path:
        """Folder of the newest published version, whatever is pinned; what trainings go on from."""
        return replace(self.lake, pinned=False).current(key, partition)

    def newest_encoders(self) -> dict[str, Path]:
        """Folders of the newest published encoders by route."""
        routes = encoder_sequences.get_partition_keys()
        return {r: self.newest(ENCODER, r) for r in routes if self.lake.has_artifact(ENCODER, r)}

    def newest_models(self) -> dict[str, str]:
        """Newest published versions of everything that a generation pins."""
        found = {}
        for key in generations.MODELS:
            for partition in encoder_sequences.get_partition_keys() if key == ENCODER else [None]:
                if self.lake.has_artifact(key, partition):
                    found[generations.pin_of(key, partition)] = self.newest(key, partition).name
        return found

    def refuse_if_closed(self) -> None:
        """Whether the generation's pins can be written, tried where they lie; asked before what takes hours.

        Raises:
            StorageError: the disk is full, read-only or closed to this user.
        """
        lake = self.lake
        room = generations.room(lake.root, str(lake.generation))
        with writing(f"the pins of generation {lake.generation}"):
            room.mkdir(parents=True, exist_ok=True)
            os.rmdir(mkdtemp(prefix=".probe-", dir=room))

    def pin(self, *, again: bool = False) -> dict[str, str]:
        """Fix which models this generation rests on: what it has pinned before stays, unless ``again``.

        Returns:
            Its pins: model to version.

        Raises:
            StorageError: they cannot be written.
        """
        lake = self.lake
        before = generations.pins(lake.root, str(lake.generation))
        pins = self.newest_models() if again else self.newest_models() | before
        if pins != before:
            with writing(f"the pins of generation {lake.generation}"):
                generations.write_pins(lake.root, str(lake.generation), pins)
        return pins

    @property
    def models_version(self) -> str:
        """Hash of the models that this generation rests on."""
        lake = self.lake
        return generations.fingerprint(generations.pins(lake.root, str(lake.generation)))

    def untrained_encoders(self) -> list[str]:
        """Versions of the generation's encoders that were only initialised; agents must not judge by their vectors."""
        routes = [p for p in encoder_sequences.get_partition_keys() if self.lake.has_artifact(ENCODER, p)]
        cards = [self.lake.card(ENCODER, p) for p in routes]
        return [str(card["training"]["version"]) for card in cards if not card["training"]["trained"]]

    def previous(self, key: Sequence[str], partition: str) -> pl.DataFrame | None:
        """A table as an earlier run left it; None before the first."""
        path = self.zone_of(key).table_path(key, partition)
        return pl.read_parquet(path) if path.is_file() else None

    def training_folder(
        self, key: Sequence[str], partition: str | None, identity: dict[str, object], *, code_version: str
    ) -> Path:
        """Where a training keeps its checkpoints: one folder per settings, data, parents and code.

        Settings that a run may go on with others of make no other folder, so that changing them resumes.

        Args:
            key: of the model asset.
            partition: of it; None where it has none.
            identity: JSON of whatever makes it this training and no other; ``backbone`` in it is that section.
            code_version: of the asset; new code trains anew.
        """
        own = dict(identity)
        if isinstance(backbone := own.get("backbone"), dict):
            own["backbone"] = {name: v for name, v in backbone.items() if name not in FREE_ON_RESUME}
        text = json.dumps([own, code_version], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self.training_root / "-".join([*key, partition or WHOLE, digest])

    @property
    def training_root(self) -> Path:
        """Folder of all trainings' checkpoints."""
        return self.lake.root.parent / "training"

    def answers_folder(self, labeller: str, batch: str) -> Path:
        """Where a language model's answers are logged as they come, so that a killed run asks none of them again."""
        return self.answers_root / labeller / batch

    @property
    def answers_root(self) -> Path:
        """Folder of all answers of language models; de-identified text."""
        return Path(self.home) / "answers"

    @property
    def adjudications_file(self) -> Path:
        """Where people write their decisions on labels: study_key, condition, status."""
        return self.lake.root / "labels" / "adjudications.csv"

    def adjudications(self) -> pl.DataFrame:
        """People's decisions on labels; empty where there is no file.

        Raises:
            AdjudicationError: names line, column and remedy.
        """
        from spine_models.corpus.labels import read_adjudications

        return read_adjudications(self.adjudications_file)

    def adjudications_version(self) -> str:
        """Hash of the decisions as they stand; the same for the same file."""
        return _version_of(self.adjudications_file)

    @property
    def readers_file(self) -> Path:
        """Where readers write what they made of the drafts: reader, study_key, draft_key, score, corrected_text.

        A corrected text may name a patient again, so it does not lie in the lake.
        """
        return Path(self.home) / "readers.csv"

    def readings(self) -> list[Reading]:
        """What readers made of the drafts; empty where there is no file.

        Raises:
            ReadersError: names line, column and remedy.
        """
        from spine_models.reporting.scores.readers import read_readings

        return read_readings(self.readers_file)

    def readings_version(self) -> str:
        """Hash of the readings as they stand; the same for the same file."""
        return _version_of(self.readers_file)

    def ledger(self) -> pl.DataFrame | None:
        """Which inbox file belongs to which batch; None before the first registration."""
        path = self.restricted.table_path(("archive", "ledger"))
        return pl.read_parquet(path) if path.is_file() else None

    def write_ledger(self, ledger: pl.DataFrame) -> None:
        """Replace the ledger."""
        self.restricted.write_table(("archive", "ledger"), None, ledger)

    @property
    def nights_root(self) -> Path:
        """Folder of what the generation's refreshes did, one file each."""
        name = self.lake.generation
        return Path(self.home) / "nights" / str(name)

    def note_refresh(self, lines: pl.DataFrame, name: str) -> None:
        """Keep the lines of one refresh."""
        self.nights_root.mkdir(parents=True, exist_ok=True)
        aside = self.nights_root / f".{name}.partial"
        lines.write_parquet(aside)
        aside.replace(self.nights_root / f"{name}.parquet")

    def inboxes(self) -> dict[str, Path]:
        """Registered inbox folders by cohort, for the sensor."""
        ledger = self.ledger()
        if ledger is None:
            return {}
        pairs = ledger.select("cohort", "inbox").unique().sort("cohort", "inbox").rows()
        return {f"{cohort}:{inbox}": Path(inbox) for cohort, inbox in pairs}

    def _staging(self) -> Path:
        zone = self.restricted
        zone.root.mkdir(parents=True, exist_ok=True)
        zone.root.chmod(zone.mode)
        return zone.root / "staging"


def _version_of(file: Path) -> str:
    """Version of a file by its content alone; ``none`` where there is none."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else "none"
