"""A real Orthanc with DICOMweb, on ports of its own, with its files in a folder; and a line to it that can be cut."""

import json
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from pathlib import Path

import pydicom
import requests
from pynetdicom import AE

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
SECONDS = 60  # to start


def program():
    """Orthanc's path, None where it or its plugin is not installed."""
    return shutil.which("Orthanc") if PLUGIN.is_file() else None


def free_port():
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


class Orthanc:
    """Started at once; `stop` and `start` keep what it holds."""

    def __init__(self, folder, **settings):
        self.folder, self.process = folder, None
        self.web, self.dicom = free_port(), free_port()
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "Name": "test",
            "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"),
            "Plugins": [str(PLUGIN)],
            "HttpPort": self.web,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomPort": self.dicom,
            "DicomAet": "ORTHANC",
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowStore": True,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            **settings,
        }
        (folder / "orthanc.json").write_text(json.dumps(config))
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.web}/dicom-web"

    def start(self):
        log = open(self.folder / "orthanc.log", "a")  # the process writes into it
        self.process = subprocess.Popen([program(), str(self.folder / "orthanc.json")], stdout=log, stderr=log)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                requests.get(f"http://127.0.0.1:{self.web}/system", timeout=5)
                return
            except requests.ConnectionError:
                time.sleep(0.2)
        raise AssertionError((self.folder / "orthanc.log").read_text()[-3000:])

    def stop(self):
        self.process.terminate()
        self.process.wait(SECONDS)

    def rest(self, path):
        return requests.get(f"http://127.0.0.1:{self.web}{path}", timeout=20).json()

    def objects(self, modality=None):
        """UIDs of what it holds, in order."""
        found = [self.rest(f"/instances/{name}/simplified-tags") for name in self.rest("/instances")]
        return sorted(made["SOPInstanceUID"] for made in found if modality in (None, made["Modality"]))

    def clear(self):
        for name in self.rest("/patients"):
            assert requests.delete(f"http://127.0.0.1:{self.web}/patients/{name}", timeout=20).ok

    def send(self, folder):
        """C-STORE of all files in a folder."""
        objects = [pydicom.dcmread(path) for path in sorted(Path(folder).iterdir())]
        entity = AE()
        for context in {(str(made.SOPClassUID), str(made.file_meta.TransferSyntaxUID)) for made in objects}:
            entity.add_requested_context(*context)
        association = entity.associate("127.0.0.1", self.dicom)
        assert association.is_established
        assert all(association.send_c_store(made).Status == 0 for made in objects)
        association.release()


class Line(socketserver.ThreadingTCPServer):
    """Passes bytes on to a port, and closes some connections after so many bytes.

    Args:
        target:  port.
        answers: bytes of the answer after which the next connections are cut; None passes all.
        asked:   the same for bytes of the request.
    """

    daemon_threads = allow_reuse_address = True

    def __init__(self, target, answers=(), asked=()):
        super().__init__(("127.0.0.1", 0), _Pass)
        self.target, self.answers, self.asked, self.connections = target, list(answers), list(asked), 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/dicom-web"


class _Pass(socketserver.BaseRequestHandler):
    def handle(self):
        line = self.server
        line.connections += 1
        answer, asked = (cuts.pop(0) if cuts else None for cuts in (line.answers, line.asked))
        with socket.create_connection(("127.0.0.1", line.target)) as there:
            threading.Thread(target=_copy, args=(self.request, there, asked), daemon=True).start()
            _copy(there, self.request, answer)


def _copy(source, target, left):
    """Pass bytes on until either side closes, or `left` bytes are passed."""
    try:
        while left is None or left > 0:
            content = source.recv(65536 if left is None else min(65536, left))
            if not content:
                break
            target.sendall(content)
            left = None if left is None else left - len(content)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
