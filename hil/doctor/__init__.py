"""What this machine has, what is missing for which command, and the line that would mend it. Opens no device."""

from hil.doctor.finding import Finding, Verdict
from hil.doctor.page import page
from hil.doctor.sections import look

__all__ = ["Finding", "Verdict", "look", "page"]
