"""What an export for nvflare copies into the job: `fltui_for_nvflare`, and `stand_in` as the package ``fltui``.

None of it is imported by fltui, and none of it imports fltui: it runs where nvflare is installed, and fltui is not.
"""
