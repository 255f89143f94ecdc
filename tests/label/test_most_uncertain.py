"""The app of docs/examples in MONAI Label's server: the most uncertain image comes first, over REST."""

import importlib.util
import json
import shutil
import time

import pytest

from .conftest import ROOT, Server, infer_by_command

pytestmark = [
    pytest.mark.label,
    pytest.mark.skipif(importlib.util.find_spec("monailabel") is None, reason="needs MONAI Label: tox -e label"),
]

MODEL = "pgdiffseg"
STRATEGY = f"/activelearning/most_uncertain_{MODEL}"
SCORING = f"/scoring/triage_{MODEL}?run_sync=true"


@pytest.fixture(scope="module")
def app(folder, packages):
    """The example's folder with a package in it."""
    app = shutil.copytree(ROOT / "docs" / "examples" / "monai_label", folder / "app")
    shutil.copytree(packages[MODEL], app / "model" / MODEL, ignore=shutil.ignore_patterns("runs"))
    return app


@pytest.fixture(scope="module")
def triage(folder, app, inputs):
    """{image: triage number} of the command line."""
    infer_by_command(app / "model" / MODEL, inputs, folder / "by_app")
    cases = [json.loads(path.read_text()) for path in (folder / "by_app").glob("*.json") if path.stem != "report"]
    return {case["image"].split("/")[-1].split(".")[0]: case["triage"] for case in cases}


@pytest.fixture(scope="module")
def server(folder, app, studies):
    own = shutil.copytree(studies, folder / "own_studies", ignore=shutil.ignore_patterns("datastore*"))
    server = Server(folder, app, own, [MODEL])
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


def ask_for(server, path):
    return json.loads(server.request(path))


def ask(server, path, body=None):
    return json.loads(server.request(path, json.dumps(body or {}).encode()))


def test_the_strategy_and_the_scoring_are_offered_first(server):
    info = json.loads(server.request("/info/"))
    assert next(iter(info["strategies"])) == f"most_uncertain_{MODEL}" and f"triage_{MODEL}" in info["scoring"]


def infos(server):
    """{image: {"number", "weights"} or {}}, when no scoring runs any more."""
    while any(task["status"] in ("SUBMITTED", "RUNNING") for task in ask_for(server, "/scoring/?all=true")):
        time.sleep(0.3)
    objects = ask_for(server, "/datastore/?output=all")["objects"]
    return {name: made["image"]["info"].get(f"triage_{MODEL}", {}) for name, made in objects.items()}


def test_images_are_scored_at_the_start_as_by_the_command_line(server, triage):
    numbers = {name: made["number"] for name, made in infos(server).items() if made}
    assert numbers == pytest.approx(triage, abs=1e-6) and len(set(triage.values())) > 2


def test_images_without_a_label_come_most_uncertain_first_and_then_in_turn(server, triage):
    offered = [ask(server, STRATEGY) for _ in range(len(triage))]
    assert [made["triage"] for made in offered] == sorted(triage.values(), reverse=True)
    assert {made["id"] for made in offered} == set(triage)
    assert ask(server, STRATEGY)["id"] == offered[0]["id"]
    assert len(ask_for(server, "/scoring/?all=true")) == 1  # nothing was scored again


def test_after_a_training_they_are_scored_anew_and_what_can_not_be_read_comes_last(server, triage, folder):
    before = infos(server)
    (folder / "own_studies" / "grey.png").write_bytes(b"no picture")
    server.train(MODEL, {}, "?run_sync=true")
    after = infos(server)
    assert all(after[name]["weights"] > before[name]["weights"] for name in triage)
    assert after["grey"]["number"] == -1 and all(after[name]["number"] >= 0 for name in triage if name != "grey")
    assert ask(server, SCORING) == {"scored": 0, "failed": []}
    assert {ask(server, STRATEGY)["id"] for _ in range(len(triage))} == set(triage) - {"grey"}


def test_an_image_with_a_label_is_offered_no_more(server, folder, inputs):
    first = ask(server, STRATEGY)["id"]
    final = folder / "own_studies" / "labels" / "final"
    label = next(final.iterdir()).read_bytes()
    part = f'--end\r\nContent-Disposition: form-data; name="label"; filename="{first}.png"\r\n\r\n'
    body = part.encode() + label + b"\r\n--end--\r\n"
    kind = "multipart/form-data; boundary=end"
    server.request(f"/datastore/label?image={first}&tag=final", body, kind, method="PUT")
    assert first not in {ask(server, STRATEGY)["id"] for _ in range(8)}
