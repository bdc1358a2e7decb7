"""A tiny decoder and a warmed model, trained once."""

from __future__ import annotations

import pytest

from spine_models.encoder.torchvision_repair import repair_torchvision

repair_torchvision()


@pytest.fixture(scope="session")
def decoder(tmp_path_factory):
    from spine_models.reporting.llava.tiny import train_tiny
    from tests.reporting.llava.learning import small_settings, studies

    out = tmp_path_factory.mktemp("tiny") / "decoder"
    return train_tiny(small_settings(), studies(10), studies(3, prefix="v"), out, parents={"reports": "r1"})


@pytest.fixture(scope="session")
def warmed(tmp_path_factory, decoder):
    from spine_models.reporting.llava.train import warm_up
    from tests.reporting.llava.learning import small_settings, studies

    out = tmp_path_factory.mktemp("warmed") / "model"
    return warm_up(
        small_settings(), studies(10), studies(3, prefix="v"), out,
        decoder=decoder.folder, decoder_version=decoder.card["version"], parents={"vectors": "v1"},
    )  # fmt: skip
