"""`noise2mask watch` beside a real archive: every new series once, whatever is killed or restarted in between."""

import json
import shutil

import numpy as np
import pytest

from noise2mask.clinical.dicomweb import Archive
from noise2mask.clinical.series import hashed
from noise2mask.clinical.watch import SERVED, WORKING, Watch
from noise2mask.files import LOCK
from noise2mask.refusals import ServerError

from ..clinical.scanner import PATIENT, change, magnetic_resonance, ultrasound
from .conftest import MARKS, VOLUME

pytestmark = [*MARKS, pytest.mark.e2e]


@pytest.fixture
def watch(orthanc, command, weights, tmp_path):
    """watch(): the started command; it looks at studies of any day."""

    def start(output="out", weights=weights, modality="MR"):
        where = ("--dicomweb", orthanc.url, "--modality", modality, "-o", tmp_path / output, "--weights", weights)
        return command("watch", "pgdiffseg", *where, "--days", "36500", "--interval", "1")

    return start


def test_weights_and_settings_that_do_not_fit_are_refused_before_it_watches(orthanc, command, weights, tmp_path):
    where = ("--dicomweb", orthanc.url, "--modality", "MR", "-o", tmp_path / "out", "--weights", weights)
    for wrong, said in (("network_def::dense_layers=3", "does not fit the network"), ("step=3", "Did you mean steps?")):
        run = command("watch", "pgdiffseg", *where, "--set", wrong)
        assert run.wait() == 2 and said in run.text and not (tmp_path / "out" / SERVED).exists()


def by_hand(orthanc, tmp_path, segment):
    """A watch that looks when it is told to."""
    return Watch(Archive(orthanc.url), "MR", 36500, tmp_path / "out", segment, lambda: None)


def served(folder):
    lines = [json.loads(line) for line in (folder / SERVED).read_text().splitlines() if line]
    return {line["series"]: line["outcome"] for line in lines}, len(lines)


def test_new_series_are_served_as_they_come_and_bad_ones_are_left_out(orthanc, watch, tmp_path):
    running = watch()
    running.wait_for("watching")
    good = magnetic_resonance(tmp_path / "good", VOLUME)
    orthanc.send(tmp_path / "good")
    running.wait_for(f"series {hashed(good)}: stored")
    bad = magnetic_resonance(tmp_path / "bad", VOLUME, tilt=1.0)
    orthanc.send(tmp_path / "bad")
    running.wait_for(f"series {hashed(bad)}: left out")
    last = magnetic_resonance(tmp_path / "last", VOLUME)
    orthanc.send(tmp_path / "last")
    running.wait_for(f"series {hashed(last)}: stored")
    outcomes, lines = served(tmp_path / "out")
    assert lines == 3 and outcomes[hashed(good)] == outcomes[hashed(last)] == "stored"
    assert outcomes[hashed(bad)].startswith("left out: The slices are shifted")
    assert len(orthanc.objects()) == 3 * len(VOLUME) + 6
    assert {path.name for path in (tmp_path / "out").iterdir()} == {SERVED, LOCK, WORKING}
    assert list((tmp_path / "out" / WORKING).iterdir()) == []  # no pixels of patients stay
    for secret in (PATIENT, "id-4711", good, bad):
        assert secret not in running.text and secret not in (tmp_path / "out" / SERVED).read_text()


def test_the_stills_and_clips_of_an_examination_by_ultrasound_are_served(orthanc, watch, tmp_path):
    for number, frames in enumerate((VOLUME[0], VOLUME[1], VOLUME, VOLUME[2])):
        folder = tmp_path / ("later" if number == 3 else "us")
        folder.mkdir(exist_ok=True)
        ultrasound(folder / f"{number}.dcm", frames.astype(np.uint8))
        same = {"SeriesInstanceUID": "1.2.3", "StudyInstanceUID": "1.2", "InstanceNumber": number + 1}
        change(folder / f"{number}.dcm", **same)
    orthanc.send(tmp_path / "us")
    running = watch(modality="US")
    running.wait_for(f"series {hashed('1.2.3')}: stored")
    (line,) = [json.loads(text) for text in (tmp_path / "out" / SERVED).read_text().splitlines() if text]
    assert line["cases"] == 3 and 0 <= line["triage"] <= 1
    assert [len(orthanc.objects(modality)) for modality in ("US", "SEG", "OT")] == [3, 4, 3]
    before = {*orthanc.objects()}
    orthanc.send(tmp_path / "later")  # the examination goes on
    running.wait_for("4 objects\n")
    running.wait_for("10 objects are stored")
    assert [len(orthanc.objects(modality)) for modality in ("US", "SEG", "OT")] == [4, 6, 4]
    assert before < {*orthanc.objects()}  # those of the first stills are the same


def test_a_series_that_is_still_being_sent_is_waited_for(orthanc, tmp_path):
    series, seen = magnetic_resonance(tmp_path / "sent", VOLUME), []

    def segment(files, folder):
        seen.append(len(list(files.iterdir())))
        (folder / "report.json").write_text(json.dumps({"cases": [{"triage": 0.5}]}))
        return list(files.iterdir())  # stored again, which changes nothing

    watching = by_hand(orthanc, tmp_path, segment)
    for number, path in enumerate(sorted((tmp_path / "sent").iterdir())):
        (tmp_path / str(number)).mkdir()
        path.rename(tmp_path / str(number) / path.name)
        orthanc.send(tmp_path / str(number))
        watching.look()
    assert seen == []
    watching.look()
    assert seen == [len(VOLUME)] and served(tmp_path / "out") == ({hashed(series): "stored"}, 1)


def test_weights_that_are_away_for_a_moment_are_waited_for(orthanc, watch, weights, tmp_path):
    own = shutil.copy(weights, tmp_path / "model.pt")
    running = watch(weights=own)
    running.wait_for("watching")
    shutil.move(own, tmp_path / "away.pt")
    series = magnetic_resonance(tmp_path / "sent", VOLUME)
    orthanc.send(tmp_path / "sent")
    running.wait_for("expected weights: give a model.pt, or train one: noise2mask train.: trying again")
    shutil.move(tmp_path / "away.pt", own)
    running.wait_for(f"series {hashed(series)}: stored")
    assert served(tmp_path / "out")[1] == 1


@pytest.mark.parametrize("words", ["objects\n", "written:", "objects are stored"])
def test_killed_at_any_point_it_goes_on_and_stores_nothing_twice(orthanc, watch, tmp_path, words):
    series = magnetic_resonance(tmp_path / "sent", VOLUME)
    orthanc.send(tmp_path / "sent")
    first = watch()
    first.wait_for(words)
    first.kill()
    again = watch()
    again.wait_for("series served before")
    if hashed(series) not in (served(tmp_path / "out")[0] if (tmp_path / "out" / SERVED).exists() else {}):
        again.wait_for(f"series {hashed(series)}: stored")
    assert served(tmp_path / "out")[1] == 1 and len(orthanc.objects()) == len(VOLUME) + 3


def test_an_archive_that_restarts_is_waited_for(orthanc, watch, tmp_path):
    running = watch()
    running.wait_for("watching")
    orthanc.stop()
    try:
        running.wait_for("trying again at the next look")
    finally:
        orthanc.start()
    series = magnetic_resonance(tmp_path / "sent", VOLUME)
    orthanc.send(tmp_path / "sent")
    running.wait_for(f"series {hashed(series)}: stored")
    assert running.process.poll() is None and len(orthanc.objects()) == len(VOLUME) + 3


def test_a_lost_note_is_made_again_and_the_archive_stays_as_it_is(orthanc, watch, tmp_path):
    series = magnetic_resonance(tmp_path / "sent", VOLUME)
    orthanc.send(tmp_path / "sent")
    watch().wait_for(f"series {hashed(series)}: stored")
    first = orthanc.objects()
    watch("other").wait_for(f"series {hashed(series)}: stored")
    assert orthanc.objects() == first


def test_a_series_at_which_the_archive_fails_does_not_hold_up_the_others(orthanc, tmp_path):
    names = []
    for number in range(3):
        names.append(hashed(magnetic_resonance(tmp_path / str(number), VOLUME)))
        orthanc.send(tmp_path / str(number))
    tried = []

    def segment(files, folder):
        tried.append(folder.name)
        raise ServerError("no room for it")

    watch = by_hand(orthanc, tmp_path, segment)
    for _ in range(4):
        watch.look()
    assert sorted(tried) == sorted(names) and not watch.served


def test_what_breaks_for_reasons_unknown_is_left_out_after_three_tries(orthanc, tmp_path, caplog):
    name = hashed(magnetic_resonance(tmp_path / "sent", VOLUME))
    orthanc.send(tmp_path / "sent")

    def segment(files, folder):
        raise KeyError(PATIENT)

    watch = by_hand(orthanc, tmp_path, segment)
    for _ in range(6):
        watch.look()
    assert served(tmp_path / "out") == ({name: "left out: KeyError"}, 1)
    assert "try 2 of 3: KeyError" in caplog.text and PATIENT not in caplog.text
