"""Judges manifests/, Dockerfile and docker-compose.yml: renders every overlay, validates it, and runs what it says.

    target/manifests-tools/bin/python tests/deploy/check.py [WORD]

With WORD only what has it in its name. It runs target/debug/berth: build that first. `./test` installs requirements.txt and runs
this; its last line is counted there.
"""

import sys
import time

import monitoring
import programs
import promises
import running
from rendered import ROOT, Rendered

PARTS = [programs, promises, monitoring, running]


def main():
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    rendered = [Rendered(name) for name in ("dev", "prod-small", "prod")]
    rendered.append(Rendered("prod with autoscaler-act", ROOT / "tests/deploy/act"))
    passed = failed = 0
    for part in PARTS:
        for promise in part.PROMISES:
            name = promise.__name__.replace("_", " ")
            if word not in name:
                continue
            began = time.monotonic()
            broken = list(promise(rendered))
            took = f" ({time.monotonic() - began:.1f} s)" if time.monotonic() - began > 1 else ""
            print(f"{'FAILED' if broken else 'ok'}: {name}{took}", *broken, sep="\n    ", flush=True)
            passed, failed = passed + (not broken), failed + bool(broken)
    print(f"test result: {'FAILED' if failed else 'ok'}. {passed} passed; {failed} failed;")
    return 1 if failed or not passed else 0


sys.exit(main())
