"""What each hospital tells of its patients: sums, and no row. The job says how much noise hides each patient."""

from hospitals import load_hospital

import fltui.client as flare
from fltui.client import statistics


def main() -> None:
    """Take part in a run."""
    flare.init()
    patients = load_hospital(int(flare.get_site_name().removeprefix("hospital-")))
    while flare.is_running():
        flare.send(statistics.answer(flare.receive(), patients))


if __name__ == "__main__":
    main()
