"""Looks the locked packages up among known vulnerabilities: ``make audit``.

It ends with 0 where none is known, 1 where one is, and 2 where packages could not be looked up, as
without the network. Packages that only another system needs are looked up there.
"""

import json
import subprocess
import sys

from lock import HERE


def look_up() -> list[dict]:
    """What pip-audit says of every package that this system needs; empty where it could not ask."""
    found = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json",
         "--progress-spinner", "off", "--requirement", HERE / "all.txt",
         "--requirement", HERE / "torch.txt"], capture_output=True, text=True)
    try:
        return json.loads(found.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(found.stderr[-500:], file=sys.stderr)
        return []


def judge(told: list[dict]) -> tuple[int, str]:
    """The exit status, and what to say of what pip-audit told."""
    known = [f"{p['name']} {p['version']}: {v['id']}, mended in "
             f"{', '.join(v.get('fix_versions', ())) or 'no version yet'}"
             for p in told for v in p.get("vulns", ())]
    skipped = sorted(p["name"] for p in told if "skip_reason" in p)
    if skipped or not told:
        known.append("NOT AUDITED: " + (
            f"{len(skipped)} of {len(told)} packages could not be looked up "
            f"({', '.join(skipped[:5])} …)" if told else "no package could be looked up")
            + ": run this where the network allows it.")
    status = 1 if any("vulns" in p and p["vulns"] for p in told) else 2 if known else 0
    return status, "\n".join(known) or f"No vulnerability is known of {len(told)} packages."


def main() -> int:
    """Look up and tell."""
    status, text = judge(look_up())
    print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
