# SPDX-License-Identifier: GPL-2.0-only
"""A small archive of Debian's form, with kernels that are no kernels, signed by a throwaway key."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

from tests.fakes import programs as fake_programs

CONFIG = "".join(
    f"CONFIG_{name}=m\n"
    for name in ("KVM", "KVM_AMD", "NET_9P", "NET_9P_VIRTIO", "9P_FS", "VIRTIO_PCI")
)


def why_not() -> str:
    """Empty, or which tools for making and reading an archive are missing."""
    return fake_programs.why_not("archive", "sources", "tests")


def vmlinuz(release: str, size: int = 0x8000) -> bytes:
    """The header of a bzImage, and nothing that would boot."""
    image = bytearray(size)
    image[0x1F1] = 3
    image[0x1F4:0x1F8] = ((size - 4 * 512) // 16).to_bytes(4, "little")
    image[0x202:0x206] = b"HdrS"
    image[0x20E:0x210] = (0x3000 - 0x200).to_bytes(2, "little")
    text = f"{release} (somebody@somewhere) #1 SMP".encode()
    image[0x3000 : 0x3000 + len(text)] = text
    return bytes(image)


class Key:
    """A signing key of its own home; `ring` is its public half as a keyring of apt."""

    def __init__(self) -> None:
        # Not pytest's folder: the agent's socket must have a path of at most 107 bytes.
        self.home = Path(tempfile.mkdtemp(prefix="key-"))
        self.ring = self.home / "ring.gpg"
        words = ("--passphrase", "", "--quick-generate-key", "nobody", "ed25519", "sign", "never")
        self._gpg(*words)
        self._gpg("--output", str(self.ring), "--export")

    def sign(self, release: Path) -> None:
        """Writes InRelease beside a Release."""
        target = release.with_name("InRelease")
        self._gpg("--yes", "--output", str(target), "--clearsign", str(release))

    def close(self) -> None:
        """Ends the agent that gpg started, and forgets the key."""
        command = ["gpgconf", "--homedir", str(self.home), "--kill", "all"]
        subprocess.run(command, check=False, capture_output=True)
        shutil.rmtree(self.home, ignore_errors=True)

    def _gpg(self, *words: str) -> None:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--pinentry-mode", "loopback"]
        subprocess.run([*command, *words], check=True, capture_output=True)


@dataclass
class Archive:
    """The archive's folder, and what is in each of its suites."""

    root: Path
    key: Key
    arch: str
    stanzas: dict[str, list[str]] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return f"file://{self.root}"

    def add(
        self,
        suite: str,
        name: str,
        version: str,
        files: dict[str, bytes] | None = None,
        depends: str = "",
        size: int = 0,
    ) -> Path:
        """Puts a package with these files into a suite; `size` is the installed size it claims."""
        tree = self.root / "tree"
        (tree / "DEBIAN").mkdir(parents=True)
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: {self.arch}\n"
            f"Maintainer: nobody <nobody@example.org>\nInstalled-Size: {size}\n"
            + (f"Depends: {depends}\n" if depends else "")
        )
        (tree / "DEBIAN/control").write_text(control + "Description: a fake\n")
        for where, data in (files or {}).items():
            (tree / where).parent.mkdir(parents=True, exist_ok=True)
            (tree / where).write_bytes(data)
        deb = self.root / "pool" / f"{name}_{version}_{self.arch}.deb"
        deb.parent.mkdir(exist_ok=True)
        command = ["dpkg-deb", "-Znone", "--root-owner-group", "-b", str(tree), str(deb)]
        subprocess.run(command, check=True, capture_output=True)
        shutil.rmtree(tree)
        data = deb.read_bytes()
        self.stanzas.setdefault(suite, []).append(
            f"{control}Filename: pool/{deb.name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\nDescription: a fake\n"
        )
        return deb

    def add_kernel(
        self,
        suite: str,
        release: str,
        version: str,
        flavour: str = "",
        config: str = CONFIG,
        size: int = 0,
    ) -> Path:
        """A kernel in one package, as up to 7.2, and its metapackage."""
        image = f"linux-image-{release}"
        deb = self.add(
            suite,
            image,
            version,
            {
                f"boot/vmlinuz-{release}": vmlinuz(release),
                f"boot/config-{release}": config.encode(),
                f"lib/modules/{release}/kernel/empty": b"",
            },
            depends="kmod, initramfs-tools | linux-initramfs-tool",
            size=size,
        )
        self.add(
            suite, f"linux-image-{flavour}{self.arch}", version, depends=f"{image} (= {version})"
        )
        return deb

    def remove(self, suite: str, name: str) -> None:
        """Takes every version of a package out of a suite."""
        kept = [each for each in self.stanzas[suite] if f"Package: {name}\n" not in each]
        self.stanzas[suite] = kept

    def publish(self, suite: str) -> None:
        """Writes the signed lists of a suite."""
        folder = self.root / "dists" / suite
        packages = folder / "main" / f"binary-{self.arch}" / "Packages.gz"
        packages.parent.mkdir(parents=True, exist_ok=True)
        data = "\n".join(self.stanzas.get(suite, [])).encode()
        packages.write_bytes(gzip.compress(data))
        # apt fetches an index only if the plain form is in the list too, though it need not exist.
        lines = "".join(
            f" {hashlib.sha256(content).hexdigest()} {len(content)} {path.relative_to(folder)}\n"
            for path, content in (
                (packages.with_suffix(""), data),
                (packages, packages.read_bytes()),
            )
        )
        (folder / "Release").write_text(
            f"Origin: Fake\nSuite: {suite}\nCodename: {suite}\nArchitectures: {self.arch}\n"
            f"Components: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n{lines}"
        )
        self.key.sign(folder / "Release")


@contextmanager
def served(root: Path, cut: int, drips: str = "") -> Iterator[tuple[str, list[str]]]:
    """A web server of a folder that ends its first answer with a package after `cut` bytes.

    Files whose names end with `drips` come a byte at a time, and never to their end.
    Yields its address, and the ranges that were asked for later, `` for a whole file.
    """
    ranges: list[str] = []
    over = Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = root / self.path.lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            data, asked = path.read_bytes(), self.headers.get("Range", "")
            start = int(asked.removeprefix("bytes=").rstrip("-") or 0)
            self.send_response(206 if start else 200)
            self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
            self.send_header("Content-Length", str(len(data) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            if drips and path.name.endswith(drips):
                with contextlib.suppress(ConnectionError):
                    while not over.wait(0.02):
                        self.wfile.write(b"x")
                return
            if path.suffix == ".deb":
                ranges.append(asked)
                if len(ranges) == 1:
                    self.wfile.write(data[:cut])
                    self.close_connection = True
                    return
            self.wfile.write(data[start:])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", ranges
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()
