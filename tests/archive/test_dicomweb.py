"""The line to an archive: what is cut, down or refused is tried again or said, and nothing is stored by halves."""

import numpy as np
import pydicom
import pytest

from noise2mask.clinical import dicomweb as module
from noise2mask.clinical.dicomweb import AUTHORIZATION, Archive
from noise2mask.refusals import ServerError

from ..clinical.scanner import PATIENT, magnetic_resonance, ultrasound
from .conftest import MARKS, VOLUME
from .orthanc import Line, Orthanc, free_port

pytestmark = MARKS


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(module, "WAITS", (0.01, 0.02, 0.04))


@pytest.fixture
def sent(orthanc, tmp_path):
    """A folder of four slices that the archive holds."""
    magnetic_resonance(tmp_path / "sent", VOLUME)
    orthanc.send(tmp_path / "sent")
    return tmp_path / "sent"


def pixels(paths):
    return {made.SOPInstanceUID: made.PixelData for made in map(pydicom.dcmread, paths)}


def test_what_is_fetched_is_what_was_sent(orthanc, sent, tmp_path):
    archive = Archive(orthanc.url)
    (series,) = archive.series(Modality="MR")
    assert pixels(archive.fetch(series, tmp_path / "got")) == pixels(sent.iterdir())
    assert archive.series(Modality="US") == []


@pytest.mark.parametrize("cut", [0, 50, 120, 150, 200, 400, 900])
def test_a_line_that_is_cut_in_an_answer_is_tried_again(orthanc, sent, tmp_path, cut):
    series = Archive(orthanc.url).series()[0]
    line = Line(orthanc.web, answers=[cut, cut, cut])
    assert pixels(Archive(line.url).fetch(series, tmp_path / "got")) == pixels(sent.iterdir())
    assert line.connections == 4


def test_what_has_been_fetched_is_not_fetched_again(orthanc, sent, tmp_path):
    series = Archive(orthanc.url).series()[0]
    line = Line(orthanc.web, answers=[5000, 0, 0, 0])  # the list and some of the slices, which are 1.9 kB each
    with pytest.raises(ServerError, match="broke off|closed the connection"):
        Archive(line.url).fetch(series, tmp_path / "got")
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "got").iterdir()}
    assert 0 < len(first) < 4
    assert pixels(Archive(line.url).fetch(series, tmp_path / "got")) == pixels(sent.iterdir())
    assert all(path.stat().st_mtime_ns == time for path, time in first.items())


@pytest.mark.parametrize("where", ["asked", "answers"])
@pytest.mark.parametrize("cut", [0, 100, 5000, 500_000])
def test_objects_are_stored_once_and_whole_over_a_line_that_is_cut(orthanc, tmp_path, where, cut):
    large = np.random.default_rng(0).integers(0, 255, (3, 640, 640))
    magnetic_resonance(tmp_path / "new", large)
    objects = [pydicom.dcmread(path) for path in (tmp_path / "new").iterdir()]
    Archive(Line(orthanc.web, **{where: [cut, cut]}).url).store(objects)
    assert orthanc.objects() == sorted(made.SOPInstanceUID for made in objects)


def test_nothing_is_stored_where_every_try_is_cut(orthanc, tmp_path):
    large = np.random.default_rng(0).integers(0, 255, (3, 640, 640))
    magnetic_resonance(tmp_path / "new", large)
    objects = [pydicom.dcmread(path) for path in (tmp_path / "new").iterdir()]
    with pytest.raises(ServerError, match="closed the connection"):
        Archive(Line(orthanc.web, asked=[1_000_000] * 4).url).store(objects)
    assert orthanc.objects() == []


def test_a_server_that_is_down_is_named_and_nothing_else(caplog):
    url = f"http://127.0.0.1:{free_port()}/dicom-web"
    with pytest.raises(ServerError, match=r"^127.0.0.1:\d+ can not be reached"):
        Archive(url).series(StudyInstanceUID="1.2.3.4567")
    assert len(caplog.records) == 3 and "1.2.3.4567" not in caplog.text


def test_an_address_that_is_no_dicomweb_is_told(orthanc):
    for path, said in (("/dicom", "answered 404"), ("/app/explorer.html", "404|no DICOMweb")):
        with pytest.raises(ServerError, match=said):
            Archive(f"http://127.0.0.1:{orthanc.web}{path}").series()


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8042/dicom-web",
        "ftp://a/b",
        "http:///x",
        "http://me:secret@host/dicom-web",
        "http://:secret@host/dicom-web",
        "http://me:se/cret@host/dicom-web",
        "http://[secret/dicom-web",
        "http://host:secret/dicom-web",
    ],
)
def test_an_address_that_can_not_be_used_is_refused_and_no_password_repeated(url):
    with pytest.raises(ValueError, match="expected http") as refused:
        Archive(url)
    assert "secret" not in str(refused.value)


def test_credentials_are_asked_for_and_used(tmp_path, monkeypatch):
    closed = Orthanc(tmp_path / "closed", AuthenticationEnabled=True, RegisteredUsers={"me": "secret"})
    try:
        with pytest.raises(ServerError, match=f"answered 401 .*{AUTHORIZATION}"):
            Archive(closed.url).series()
        monkeypatch.setenv(AUTHORIZATION, "Basic bWU6c2VjcmV0")
        assert Archive(closed.url).series() == []
        monkeypatch.setenv(AUTHORIZATION, "")
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        assert Archive(closed.url).series() == []
    finally:
        closed.stop()


def test_objects_that_the_server_does_not_take_are_counted(orthanc, tmp_path):
    ultrasound(tmp_path / "a.dcm", VOLUME[0].astype(np.uint8))
    bad = pydicom.dcmread(tmp_path / "a.dcm")
    del bad.StudyInstanceUID
    with pytest.raises(ServerError, match=r"did not store 1 of 1|answered 4\d\d") as failed:
        Archive(orthanc.url).store([bad])
    assert PATIENT not in str(failed.value)
